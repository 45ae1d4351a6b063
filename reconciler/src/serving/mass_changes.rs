//! A run is made or held whole (P23): outside a first sync everything that it changes is staged until all partitions have
//! spoken, and check-ins, hand-overs and broken links are counted over all of them.

use std::collections::BTreeSet;

use amfj_sync_shared::failpoint::{Failpoint, reach};
use amfj_sync_shared::ids::{Key, RunId};
use amfj_sync_shared::messages::Fact;
use amfj_sync_shared::state::View;
use amfj_sync_shared::state::rows::Open;

use super::{Partition, Stop};
use crate::deciding::{are_too_many, counts_towards_limit};

impl Partition<'_> {
    /// Keys of this partition whose changes wait for the judgement over the run, or for the user record that waits for it.
    pub(super) fn kept_back(&self) -> BTreeSet<Key> {
        let mut keys = self.open_decisions(Open::Staged);
        keys.extend(self.open_decisions(Open::Awaiting));
        keys
    }

    /// Keys of this partition that count towards `change_limit`: whose staged changes take an asset from somebody or end a
    /// link, and every asset that will leave its holder as soon as the new one has a user record (P23).
    pub(super) async fn mass_changes(&self) -> Result<BTreeSet<Key>, Stop> {
        let waits = self.desk.integration.sync.auto_checkout;
        self.look(|view| {
            let ours = |open| view.open_decisions(open).into_iter().filter(|key| self.is_ours(key));
            let mut keys: BTreeSet<Key> =
                ours(Open::Staged).filter(|key| is_mass_change(view, key)).collect();
            if waits {
                keys.extend(ours(Open::Awaiting).filter(|key| has_holder(view, key)));
            }
            keys
        })
        .await
    }

    /// When all partitions have counted: are these changes within the limit, or is the run held? The
    /// owner of the first partition says so, once; saying it twice does no harm (P23).
    pub(super) async fn judge_mass_changes(&self) -> Result<(), Stop> {
        if self.lease.id.partition != 0 {
            return Ok(());
        }
        let limit = self.desk.integration.sync.change_limit;
        let look = |view: &View| {
            let run = view.meta().in_force.as_ref()?;
            let undecided = run.decided.len() < usize::from(self.desk.partitions);
            if undecided || run.allowed || run.held.is_some() {
                return None;
            }
            let staged = run.staged.values().fold(0_u32, |sum, staged| sum.saturating_add(*staged));
            Some((run.started.number, staged, view.count_links()))
        };
        let counted = self.look(look).await?;
        let Some((number, staged, linked)) = counted else { return Ok(()) };
        reach(Failpoint::ReconcilerCounted).await;
        if !are_too_many(staged, linked, limit) {
            return self.say(Fact::MassChangesAllowed { number }).await;
        }
        let id = &self.desk.integration.id;
        let reason = format!(
            "{staged} of {linked} linked devices would be checked in, handed over or lose their link at once, more \
             than change_limit ({limit}) allows, so nothing of this run is written: look at them, and if they are right, \
             run `reconciler release {id}`"
        );
        let run = RunId::of(id, number);
        tracing::warn!(integration = %id, %run, reason, "the run is held");
        self.say(Fact::RunHeld { number, reason }).await
    }
}

/// Whether a decision has a staged change that counts.
fn is_mass_change(view: &View, key: &Key) -> bool {
    let has_link = matches!(key, Key::Device(device) if view.link(device).is_some());
    let decision = view.decision(key);
    decision.is_some_and(|decision| {
        decision.changes.iter().any(|decided| counts_towards_limit(decided, has_link))
    })
}

/// Whether somebody has the asset of the device.
fn has_holder(view: &View, key: &Key) -> bool {
    let asset = view.decision(key).and_then(|decision| view.asset(&decision.asset?));
    asset.is_some_and(|row| row.asset.checked_out_to.is_some())
}
