//! A run is made or held whole (P23): outside a first sync everything that it changes is staged until all partitions have
//! spoken, and check-ins, hand-overs and broken links are counted over all of them.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_config::Integration;
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::{Key, RunId};
use amfj_sync_model::mapping::fingerprint::hashes;
use amfj_sync_model::mapping::is_blank;
use amfj_sync_model::messages::{Action, Fact, MassCounts, Outcome};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::Open;

use super::{LeaseLost, Partition};
use crate::final_decision::{are_too_many, counts_towards_limit};

impl Partition<'_> {
    /// Keys of this partition whose changes wait for the judgement over the run, or for the user record that waits for it.
    pub(super) fn kept_back(&self) -> BTreeSet<Key> {
        let mut keys = self.open_decisions(Open::Staged);
        keys.extend(self.open_decisions(Open::Awaiting));
        keys
    }

    /// Keys of this partition that count towards `change_limit`: whose staged changes take an asset from somebody or end a
    /// link, and every asset that will leave its holder as soon as the link is made or the new one has a user record (P23).
    pub(super) async fn mass_changes(&self) -> Result<BTreeSet<Key>, LeaseLost> {
        let auto_checkout = self.context.integration.sync.auto_checkout;
        self.look(|view| counted_keys(view, auto_checkout, |key| self.is_ours(key))).await
    }

    /// What else the staged changes of this partition amount to (P23).
    pub(super) async fn mass_counts(&self) -> Result<MassCounts, LeaseLost> {
        let mapping = hashes(&self.context.integration.fields);
        self.look(|view| {
            let changed = changed_fields(&mapping, view);
            let mut counts = MassCounts::default();
            for key in view.open_decisions(Open::Staged).into_iter().filter(|key| self.is_ours(key)) {
                let Some(decision) = view.decision(&key) else { continue };
                let staged = decision.changes.iter().filter(|decided| decided.staged);
                for action in staged.map(|decided| &decided.change.action) {
                    counts.overwritten += u32::from(overwrites(action, &changed));
                    counts.recorded += u32::from(matches!(action, Action::CreateUser { .. }));
                    counts.linked += u32::from(matches!(action, Action::LinkAsset { .. }));
                }
            }
            counts
        })
        .await
    }

    /// When all partitions have counted: are these changes within the limit, or is the run held? The
    /// owner of the first partition says so, once; saying it twice does no harm (P23).
    pub(super) async fn judge_mass_changes(&self) -> Result<(), LeaseLost> {
        if self.lease.id.partition != 0 {
            return Ok(());
        }
        let Some(counted) = self.look(|view| Counted::of(view, self.context.partitions)).await? else {
            return Ok(());
        };
        let number = counted.number;
        reach(Failpoint::ReconcilerCounted).await;
        let Some(reason) = counted.reason_to_hold(&self.context.integration) else {
            return self.publish_fact(Fact::MassChangesAllowed { number }).await;
        };
        let id = &self.context.integration.id;
        let run = RunId::of(id, number);
        tracing::warn!(integration = %id, %run, reason, "the run is held");
        self.publish_fact(Fact::RunHeld { number, reason }).await
    }
}

/// The keys among these that count towards `change_limit`, as their decisions stand.
fn counted_keys(view: &Projection, auto_checkout: bool, is_ours: impl Fn(&Key) -> bool) -> BTreeSet<Key> {
    let ours = |open| view.open_decisions(open).into_iter().filter(|key| is_ours(key));
    let mut keys: BTreeSet<Key> = ours(Open::Staged).filter(|key| is_mass_change(view, key)).collect();
    if auto_checkout {
        let takes = |key: &Key| view.decision(key).is_some_and(|decision| decision.takes);
        keys.extend(ours(Open::Awaiting).filter(takes));
    }
    keys
}

/// The fields whose mapping is another one than when a run was applied last; none where that is not known.
fn changed_fields<'m>(mapping: &'m BTreeMap<String, String>, view: &Projection) -> BTreeSet<&'m str> {
    let Some(applied) = &view.meta().applied_mapping else { return BTreeSet::new() };
    let changed = mapping.iter().filter(|(field, hash)| applied.get(*field) != Some(*hash));
    changed.map(|(field, _)| field.as_str()).collect()
}

/// Whether a change takes a value that is not blank from one of these fields of an asset.
fn overwrites(action: &Action, fields: &BTreeSet<&str>) -> bool {
    let (Action::UpdateAsset { write, .. } | Action::LinkAsset { write, .. }) = action else { return false };
    let name = write.name.as_ref().filter(|_| fields.contains(Outcome::NAME));
    let others =
        write.fields.iter().filter(|(field, _)| fields.contains(field.as_str())).map(|(_, edit)| edit);
    name.into_iter().chain(others).any(|edit| !is_blank(&edit.old))
}

/// What all partitions of a run have counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counted {
    number: u64,
    first_sync: bool,
    /// Check-ins, hand-overs and broken links.
    taken: u32,
    counts: MassCounts,
    /// Links there are.
    links: usize,
    /// People whom the devices name.
    people: usize,
}

impl Counted {
    /// None before all have spoken, and once the run is judged.
    fn of(view: &Projection, partitions: u16) -> Option<Self> {
        let run = view.meta().in_force.as_ref()?;
        if run.decided.len() < usize::from(partitions) || run.allowed || run.held.is_some() {
            return None;
        }
        let sum = |number: fn(&MassCounts) -> u32| {
            run.amounts.values().map(number).fold(0_u32, u32::saturating_add)
        };
        let counts = MassCounts {
            overwritten: sum(|counts| counts.overwritten),
            recorded: sum(|counts| counts.recorded),
            linked: sum(|counts| counts.linked),
        };
        Some(Self {
            number: run.started.number,
            first_sync: run.started.first_sync,
            taken: run.staged.values().copied().fold(0_u32, u32::saturating_add),
            counts,
            links: view.count_links(),
            people: run.counts.map_or(0, |counts| usize::try_from(counts.users).unwrap_or(usize::MAX)),
        })
    }

    /// Why the run is held, if it is.
    fn reason_to_hold(&self, config: &Integration) -> Option<String> {
        let (id, sync) = (&config.id, &config.sync);
        let Self { first_sync, taken, counts, links, people, .. } = *self;
        let limit = sync.change_limit;
        let cure = format!(
            "so nothing of this run is written: look at them (`amfj-sync plan {id}`), and if they are right, run \
             `amfj-sync release {id}`"
        );
        let with_new = links + counts.linked as usize;
        if first_sync && are_too_many(taken, with_new, sync.first_take_over_limit) {
            return Some(format!(
                "{taken} of {with_new} assets would be taken from people in the first sync, more than \
                 first_take_over_limit ({}) allows, {cure}",
                sync.first_take_over_limit
            ));
        }
        if !first_sync && are_too_many(taken, links, limit) {
            return Some(format!(
                "{taken} of {links} linked devices would be checked in, handed over or lose their link at once, more \
                 than change_limit ({limit}) allows, {cure}"
            ));
        }
        if are_too_many(counts.overwritten, links, limit) {
            return Some(format!(
                "{} of {links} linked assets would lose a value that is not blank, because a mapping was added or changed, \
                 more than change_limit ({limit}) allows, {cure}",
                counts.overwritten
            ));
        }
        (!first_sync && are_too_many(counts.recorded, people, limit)).then(|| {
            format!(
                "{} of {people} people would get a new user record at once, as after a change of the identity provider, \
                 more than change_limit ({limit}) allows, {cure}",
                counts.recorded
            )
        })
    }
}

/// Whether a decision has a staged change that counts.
fn is_mass_change(view: &Projection, key: &Key) -> bool {
    let has_link = matches!(key, Key::Device(device) if view.link(device).is_some());
    let decision = view.decision(key);
    decision.is_some_and(|decision| {
        decision.takes || decision.changes.iter().any(|decided| counts_towards_limit(decided, has_link))
    })
}

#[cfg(test)]
mod tests;
