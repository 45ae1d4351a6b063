//! Walking the device list to its end.

use std::collections::HashSet;

use amfj_sync_shared::ids::DeviceId;
use amfj_sync_shared::retry::{Policy, retry};
use tokio_util::sync::CancellationToken;

use super::client::{KandjiClient, Page};
use super::device::Device;
use super::error::KandjiError;

/// Pages in a row without anything new before the list counts as endless. One such page is normal
/// after an enrolment during the walk.
const STALE_PAGES: u32 = 3;
/// The most reasons for malformed rows that are kept; the rest is only counted.
const REASONS: usize = 100;

/// How far a walk has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Pages read.
    pub pages: u64,
    /// Different devices seen.
    pub devices: u64,
}

/// What a complete walk found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WalkSummary {
    /// Pages read, the empty one at the end included.
    pub pages: u64,
    /// Rows received.
    pub rows: u64,
    /// The different devices among them.
    pub ids: HashSet<DeviceId>,
    /// Rows that repeated a device, because something was enrolled during the walk.
    pub repeated: u64,
    /// Rows that could not be used.
    pub malformed_rows: u64,
    /// The reasons for the first hundred of these.
    pub malformed: Vec<String>,
}

impl WalkSummary {
    /// How many different devices there are.
    #[must_use]
    pub fn devices(&self) -> u64 {
        self.ids.len() as u64
    }
}

impl KandjiClient {
    /// Reads all devices, to the empty page, and hands each to `sink` once, page by page.
    ///
    /// Each page is tried again as `policy` says; `cancel` ends the walk at once. An error means that
    /// the list is incomplete, and nothing may be concluded from what `sink` was given (P2). Even a
    /// complete walk does not prove that a device is gone, because rows move while it reads (P22).
    pub async fn walk(
        &self,
        policy: &Policy,
        cancel: &CancellationToken,
        mut sink: impl FnMut(Vec<Device>) -> anyhow::Result<()> + Send,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<WalkSummary, KandjiError> {
        let mut walk = Walk::default();
        loop {
            let offset = walk.summary.rows;
            let read = retry(policy, cancel, || self.devices(offset));
            let page = cancel.run_until_cancelled(read).await.ok_or(KandjiError::Cancelled)??;
            let end = page.rows == 0;
            let fresh = walk.take(page)?;
            if !fresh.is_empty() {
                sink(fresh).map_err(KandjiError::Sink)?;
            }
            progress(Progress { pages: walk.summary.pages, devices: walk.summary.devices() });
            if end {
                return Ok(walk.summary);
            }
        }
    }
}

#[derive(Default)]
struct Walk {
    stale_pages: u32,
    summary: WalkSummary,
}

impl Walk {
    /// Counts a page and returns the devices not seen before.
    fn take(&mut self, page: Page) -> Result<Vec<Device>, KandjiError> {
        let summary = &mut self.summary;
        let listed = page.devices.len() as u64;
        summary.pages += 1;
        summary.rows += page.rows;
        summary.malformed_rows += page.malformed.len() as u64;
        let room = REASONS.saturating_sub(summary.malformed.len());
        summary.malformed.extend(page.malformed.into_iter().take(room));

        let mut fresh = page.devices;
        fresh.retain(|device| summary.ids.insert(device.device_id.clone()));
        summary.repeated += listed - fresh.len() as u64;

        self.stale_pages = if fresh.is_empty() { self.stale_pages + 1 } else { 0 };
        if page.rows > 0 && self.stale_pages >= STALE_PAGES {
            return Err(KandjiError::Endless { rows: summary.rows, devices: summary.devices() });
        }
        Ok(fresh)
    }
}
