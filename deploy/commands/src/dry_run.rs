//! What the known changes lead to. An assignment is decided only when the link and the user record are
//! there (P20), so the latest decisions alone do not show it: here the changes are made on a copy of the
//! projection, and the rules are asked again, until nothing is left to do.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use amfj_sync_config::Integration;
use amfj_sync_model::amfj::{Asset, Holder, Source, UserRecord};
use amfj_sync_model::ids::{AssetId, Key, RecordId};
use amfj_sync_model::messages::{
    Action, Change, Ending, Event, Fact, LinkOutcome, Origin, Outcome, Rule, Sequence, Settled,
    UserLinkOutcome,
};
use amfj_sync_projection::rows::AssetRow;
use amfj_sync_projection::{Projection, StoreError};
use amfj_sync_rules::{self as rules, Site};
use jiff::Timestamp;
use uuid::Uuid;

/// The id of an asset or record that does not exist yet begins with this.
const NEW: &str = "new:";

/// Link, assignment, and one more to see that nothing is left; the rest is for what the rules may learn.
const ROUNDS: usize = 5;

/// Steps that no run comes to: what is to follow comes after all that was decided.
const AFTER_ALL: u32 = 1 << 30;

/// Whether an asset or user record of that id is still to be created.
pub(super) fn is_new(id: &str) -> bool {
    id.starts_with(NEW)
}

/// What is to come after the known changes.
#[derive(Debug)]
pub(super) struct DryRun {
    /// Changes that follow from others, in order.
    pub(super) following: Vec<Change>,
    /// How things are after all of them, but for who holds what.
    pub(super) after: Projection,
}

impl DryRun {
    /// Makes `known` on a copy of the projection and asks the rules what is next.
    pub(super) fn of(
        config: &Integration,
        view: &Projection,
        siblings: &[&Projection],
        known: &[Change],
    ) -> Result<Self, StoreError> {
        let mut trial = Trial::on(config, view)?;
        let mut seen: BTreeMap<Key, Vec<Change>> = BTreeMap::new();
        let mut following = Vec::new();
        let mut next: Vec<Change> = known.to_vec();
        for _ in 0..ROUNDS {
            // Nothing follows from who holds an asset, and it is most of what follows from anything else.
            let leading: Vec<Change> = next.iter().filter(|change| leads_on(change)).cloned().collect();
            for change in next {
                seen.entry(change.key.clone()).or_default().push(change);
            }
            if leading.is_empty() {
                break;
            }
            let touched = trial.make(&leading)?;
            next = trial.decide(siblings, &touched);
            next.retain(|change| !seen.get(&change.key).is_some_and(|made| made.contains(change)));
            if next.is_empty() {
                break;
            }
            following.extend(next.iter().cloned());
        }
        Ok(Self { following, after: trial.view })
    }
}

fn leads_on(change: &Change) -> bool {
    !matches!(change.action, Action::Assign { .. })
}

struct Trial<'a> {
    config: &'a Integration,
    view: Projection,
    now: Timestamp,
    place: Sequence,
}

impl<'a> Trial<'a> {
    /// In the latest run: nothing is believed of one that nobody has started.
    fn on(config: &'a Integration, view: &Projection) -> Result<Self, StoreError> {
        let run = view.meta().latest.as_ref().map_or(0, |latest| latest.started.number);
        let place = Sequence { run, step: AFTER_ALL };
        Ok(Self { config, view: view.copy()?, now: Timestamp::now(), place })
    }

    /// Tells the copy that these changes were applied; returns whose decision may differ now.
    fn make(&mut self, changes: &[Change]) -> Result<BTreeSet<Key>, StoreError> {
        let mut touched = BTreeSet::new();
        let mut offset = self.view.meta().offset.unwrap_or(0);
        let mut facts = Vec::new();
        for change in changes {
            offset += 1;
            let outcome = self.outcome(change);
            touched.insert(change.key.clone());
            if let Key::User(user) = &change.key {
                touched.extend(self.view.devices_of(user).into_iter().map(Key::Device));
            }
            facts.push((offset, self.fact(outcome)));
        }
        self.view.apply(&facts)?;
        Ok(touched)
    }

    fn fact(&self, outcome: Outcome) -> Event {
        let origin = Origin {
            source: "amfj-sync-plan".to_owned(),
            integration: self.config.id.clone(),
            run: None,
            sequence: Some(outcome.sequence),
            traceparent: None,
        };
        Event::fact(&origin, self.now, Fact::ChangeEnded(Box::new(outcome)))
    }

    fn decide(&self, siblings: &[&Projection], keys: &BTreeSet<Key>) -> Vec<Change> {
        let site = Site { view: &self.view, siblings, config: self.config, now: self.now };
        // Pure functions over a projection that stands still: every core takes its part of the keys.
        let keys: Vec<&Key> = keys.iter().collect();
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let part = keys.len().div_ceil(cores).max(1);
        let decide = |keys: &[&Key]| -> Vec<Change> {
            keys.iter().flat_map(|key| changes_of(&site, key, self.place)).collect()
        };
        std::thread::scope(|scope| {
            let parts: Vec<_> = keys.chunks(part).map(|keys| (keys, scope.spawn(|| decide(keys)))).collect();
            // A part that panicked is decided once more here, where its panic is seen.
            let done = parts.into_iter().map(|(keys, part)| part.join().unwrap_or_else(|_| decide(keys)));
            done.flatten().collect()
        })
    }

    fn outcome(&mut self, change: &Change) -> Outcome {
        self.place = self.place.next();
        let id = Uuid::from_u128(u128::from(self.place.step));
        let mut outcome = Outcome::of(id, self.place, change, Ending::Applied);
        match &change.key {
            Key::Device(_) => self.on_asset(change, &mut outcome),
            Key::User(_) => self.on_record(change, &mut outcome),
        }
        outcome
    }

    fn on_asset(&self, change: &Change, outcome: &mut Outcome) {
        let linked = |asset: &AssetId, rule, takes_over| {
            Some(LinkOutcome::Linked { asset: asset.clone(), rule, takes_over })
        };
        let known = |asset: &AssetId| self.view.asset(asset).map(|AssetRow { asset, .. }| asset);
        match &change.action {
            Action::LinkAsset { asset, rule, takes_over, write } => {
                outcome.asset = known(asset).map(|asset| written(asset, write));
                outcome.link = linked(asset, *rule, takes_over.clone());
            }
            Action::UpdateAsset { asset, write } => {
                outcome.asset = known(asset).map(|asset| written(asset, write));
            }
            Action::CreateAsset { name, asset_type, location, fields } => {
                let Some(id) = AssetId::new(new_id(&change.key)).ok() else { return };
                outcome.link = linked(&id, Rule::Created, None);
                outcome.asset = Some(Asset {
                    id,
                    name: name.clone(),
                    asset_type: asset_type.clone(),
                    location: location.clone(),
                    fields: fields.clone(),
                    checked_out_to: None,
                    created_at: Some(self.now),
                });
            }
            Action::BreakLink { asset } => outcome.link = Some(LinkOutcome::Broken { asset: asset.clone() }),
            Action::Assign { asset, to, primary, .. } => {
                outcome.asset = known(asset).map(|asset| held_by(asset, to.as_ref()));
                outcome.settled = Some(Settled { primary: primary.clone() });
            }
            Action::LinkUser { .. }
            | Action::CreateUser { .. }
            | Action::UpdateUser { .. }
            // Never decided: a person asks the writer for it (P29).
            | Action::Restore { .. } => {}
        }
    }

    fn on_record(&self, change: &Change, outcome: &mut Outcome) {
        match &change.action {
            Action::LinkUser { record, rule, ids } => {
                let (record, ids) = (record.clone(), ids.clone());
                outcome.user_link = Some(UserLinkOutcome { record, rule: *rule, ids });
            }
            Action::CreateUser { name, email, fields, ids } => {
                let Some(id) = RecordId::new(new_id(&change.key)).ok() else { return };
                let ids = ids.clone();
                outcome.user_link = Some(UserLinkOutcome { record: id.clone(), rule: Rule::Created, ids });
                outcome.record = Some(UserRecord {
                    id,
                    name: name.clone(),
                    email: email.clone(),
                    source: Source::Local,
                    fields: fields.clone(),
                });
            }
            Action::UpdateUser { record, write } => {
                outcome.record = self.view.record(record).map(|row| {
                    let mut record = row.record;
                    let text = |edit: &amfj_sync_model::messages::Edit| edit.new.as_str().map(str::to_owned);
                    record.name = write.name.as_ref().and_then(text).unwrap_or(record.name);
                    record.email = write.email.as_ref().map_or(record.email, text);
                    let new = write.fields.iter().map(|(field, edit)| (field.clone(), edit.new.clone()));
                    record.fields.extend(new);
                    record
                });
            }
            _ => {}
        }
    }
}

fn new_id(key: &Key) -> String {
    match key {
        Key::Device(id) => format!("{NEW}{id}"),
        Key::User(key) => format!("{NEW}{key}"),
    }
}

fn written(mut asset: Asset, write: &amfj_sync_model::messages::AssetWrite) -> Asset {
    if let Some(name) = write.name.as_ref().and_then(|edit| edit.new.as_str()) {
        name.clone_into(&mut asset.name);
    }
    if write.location.is_some() {
        asset.location.clone_from(&write.location);
    }
    asset.fields.extend(write.fields.iter().map(|(field, edit)| (field.clone(), edit.new.clone())));
    asset
}

fn held_by(mut asset: Asset, to: Option<&Holder>) -> Asset {
    asset.checked_out_to = to.cloned();
    asset
}

/// What the rules would do about one key, on this projection.
fn changes_of(site: &Site<'_>, key: &Key, place: Sequence) -> Vec<Change> {
    let draft = match key {
        Key::Device(id) => site.view.device(id).map(|row| {
            if row.is_listed() {
                rules::decide_device(site, &row.entry, place)
            } else {
                rules::decide_missing(site, &row)
            }
        }),
        Key::User(key) => {
            let row = site.view.user(key).filter(|row| !row.missing);
            row.map(|row| rules::decide_user(site, &row.entry, place))
        }
    };
    draft.map(|draft| draft.changes).unwrap_or_default()
}
