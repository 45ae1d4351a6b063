//! What is failing now, for whoever asks this worker.

use std::collections::HashMap;

use amfj_sync_service::status::{StoppedRecord, Trouble, WaitingKind};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::kinds::RequestKind;
use super::{Blame, Inner};

impl Blame {
    /// What AMFJ does not take at the moment; none where nothing fails.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let inner = self.inner.lock();
        let kinds = self.waiting_kinds(&inner);
        let mut stopped: Vec<_> =
            inner.records.values().filter(|record| record.held && record.attempts > 0).collect();
        if kinds.is_empty() && stopped.is_empty() {
            return None;
        }
        stopped.sort_by(|one, other| (one.since, &one.label).cmp(&(other.since, &other.label)));
        let records = stopped.iter().take(Trouble::SHOWN).map(|record| StoppedRecord {
            key: record.key.to_string(),
            label: record.label.clone(),
            serials: record.serials.clone(),
            change: record.change.to_owned(),
            request: record.request.map(|request| request.as_str().to_owned()),
            reason: record.reason.clone(),
            since: record.since,
            attempts: record.attempts,
            next: record.next,
            waits_with_kind: record.request.is_some_and(|kind| inner.kinds[kind.index()].waiting().is_some()),
        });
        Some(Trouble {
            kinds,
            records: records.collect(),
            stopped: u32::try_from(stopped.len()).unwrap_or(u32::MAX),
            taken: inner.taken.map(|(_, at)| at),
        })
    }

    fn waiting_kinds(&self, inner: &Inner) -> Vec<WaitingKind> {
        let mut of_kind: HashMap<RequestKind, u32> = HashMap::new();
        for kind in RequestKind::ALL {
            let waiting = u32::try_from(self.lines[kind.index()].len()).unwrap_or(u32::MAX);
            of_kind.insert(kind, waiting);
        }
        let now = (Instant::now(), Timestamp::now());
        let waiting = RequestKind::ALL.into_iter().filter_map(|kind| {
            let waiting = inner.kinds[kind.index()].waiting()?;
            Some(WaitingKind {
                kind: kind.as_str().to_owned(),
                reason: waiting.reason.clone(),
                since: waiting.since,
                attempts: waiting.trials,
                changes: of_kind.get(&kind).copied().unwrap_or(0),
                next: moment(waiting.next, now),
            })
        });
        waiting.collect()
    }
}

/// The time on the clock of a moment.
pub(crate) fn moment(at: Instant, (now, on_the_clock): (Instant, Timestamp)) -> Option<Timestamp> {
    let left = SignedDuration::try_from(at.saturating_duration_since(now)).ok()?;
    on_the_clock.checked_add(left).ok()
}
