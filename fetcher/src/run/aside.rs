//! What was found to differ in AMFJ, kept on disk until both sides are read to the end and then said in one go: a run
//! that fails before says its reason and little else (P2).

use std::sync::atomic::Ordering;

use amfj_sync_model::messages::Fact;

use super::walk::NotKept;
use super::{Halt, Run};

/// Where the facts are in the scratch store.
const PLACE: &str = "amfj/";
/// Rows of facts that are read back at once: a page of a list each, at most.
const STEP: usize = 4;

impl Run<'_> {
    /// Keeps facts of this run aside.
    pub(super) fn keep_aside(&self, facts: &[Fact]) -> Result<(), Halt> {
        if facts.is_empty() {
            return Ok(());
        }
        let place = format!("{PLACE}{:012}", self.aside.fetch_add(1, Ordering::Relaxed));
        // Our own types with text keys: they always serialise.
        let bytes = serde_json::to_vec(facts).unwrap_or_default();
        Ok(self.leader.scratch.lock().apply(vec![(place.into_bytes(), Some(bytes))])?)
    }

    /// Says everything that was kept aside, in the order in which it was.
    pub(super) async fn say_what_was_kept_aside(&self) -> Result<(), Halt> {
        let mut after = Vec::new();
        loop {
            let mut rows = Vec::new();
            self.leader.scratch.lock().scan_after(PLACE.as_bytes(), &after.clone(), &mut |key, value| {
                after = key.to_vec();
                rows.push(value.to_vec());
                rows.len() < STEP
            })?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut facts = Vec::new();
            for row in rows {
                let kept: Vec<Fact> = serde_json::from_slice(&row)
                    .map_err(|error| NotKept::Broken { place: PLACE.to_owned(), error })?;
                facts.extend(kept);
            }
            self.say(facts).await?;
        }
    }
}
