//! Walking the device list to its end.

use std::collections::HashSet;

use amfj_sync_backoff::{Policy, retry};
use amfj_sync_config::FLOOR;
use amfj_sync_http::cursors::{most_pages, most_rows};
use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::Unusables;
use tokio_util::sync::CancellationToken;

use super::client::{KandjiClient, Page};
use super::device::Device;
use super::error::KandjiError;

/// Pages in a row without anything new before the list counts as endless. One such page is normal
/// after an enrolment during the walk.
const STALE_PAGES: u32 = 3;

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
    /// The first of these.
    pub malformed: Unusables,
    /// Properties that could not be used, of devices that could.
    pub odd: Unusables,
}

impl WalkSummary {
    /// How many different devices there are.
    #[must_use]
    pub fn devices(&self) -> u64 {
        self.ids.len() as u64
    }
}

/// What is known before a walk.
#[derive(Debug, Clone)]
pub struct Begin {
    /// The first page, where it was read already.
    pub first: Option<Page>,
    /// How many devices there were in the last complete walk.
    pub last: u64,
    /// So many rows a list may have in any case.
    pub longest: u64,
}

impl Default for Begin {
    fn default() -> Self {
        Self { first: None, last: 0, longest: FLOOR }
    }
}

impl KandjiClient {
    /// One page of a walk, tried again as `policy` says.
    pub async fn page(
        &self,
        offset: u64,
        policy: &Policy,
        cancel: &CancellationToken,
    ) -> Result<Page, KandjiError> {
        let read = retry(policy, cancel, || self.devices(offset));
        Ok(cancel.run_until_cancelled(read).await.ok_or(KandjiError::Cancelled)??)
    }

    /// Reads all devices, to the empty page, and hands each to `sink` once, page by page.
    ///
    /// Each page is tried again as `policy` says; `cancel` ends the walk at once. An error means that
    /// the list is incomplete, and nothing may be concluded from what `sink` was given (P2). Even a
    /// complete walk does not prove that a device is gone, because rows move while it reads (P22).
    pub async fn walk(
        &self,
        begin: Begin,
        policy: &Policy,
        cancel: &CancellationToken,
        mut sink: impl FnMut(Vec<Device>) -> anyhow::Result<()> + Send,
        mut progress: impl FnMut(Progress) + Send,
    ) -> Result<WalkSummary, KandjiError> {
        let most = most_rows(begin.last, begin.longest);
        let mut walk = Walk { stale_pages: 0, most, summary: WalkSummary::default() };
        let mut first = begin.first;
        loop {
            let page = match first.take() {
                Some(page) => page,
                None => self.page(walk.summary.rows, policy, cancel).await?,
            };
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

struct Walk {
    stale_pages: u32,
    /// Rows after which the list counts as endless.
    most: u64,
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
        page.malformed.into_iter().for_each(|one| summary.malformed.add(one));
        page.odd.into_iter().for_each(|one| summary.odd.add(one));

        let mut fresh = page.devices;
        fresh.retain(|device| summary.ids.insert(device.device_id.clone()));
        summary.repeated += listed - fresh.len() as u64;

        self.stale_pages = if fresh.is_empty() { self.stale_pages + 1 } else { 0 };
        let too_many = summary.rows > self.most || summary.pages > most_pages(self.most);
        if page.rows > 0 && (self.stale_pages >= STALE_PAGES || too_many) {
            return Err(KandjiError::Endless {
                rows: summary.rows,
                devices: summary.devices(),
                most: self.most,
            });
        }
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// With hardly a row on each page it takes as many requests as a list a hundred times as long.
    #[test]
    fn a_list_with_hardly_a_row_on_each_page_ends() {
        let mut walk = Walk { stale_pages: 0, most: FLOOR, summary: WalkSummary::default() };
        let mut pages = 0;
        let endless = loop {
            let row = json!({ "device_id": format!("d{pages}") });
            let Ok(device) = Device::parse(row) else { panic!("a device has an id") };
            let page = Page { rows: 1, devices: vec![device], malformed: Vec::new(), odd: Vec::new() };
            if let Err(error) = walk.take(page) {
                break error;
            }
            pages += 1;
            assert!(pages <= most_pages(FLOOR), "it goes on");
        };
        assert!(matches!(endless, KandjiError::Endless { rows, .. } if rows == pages + 1), "{endless}");
        assert_eq!(pages, most_pages(FLOOR));
    }
}
