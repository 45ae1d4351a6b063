//! Claims and what became of them.

use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::{AssetId, DeviceId, Key};
use amfj_sync_model::mapping::fingerprint::until_rematch;
use amfj_sync_model::messages::{Ending, Intent, LinkOutcome, Outcome, Refusal, Rule, UserLinkOutcome};
use uuid::Uuid;

use serde_json::Value;

use super::super::claims::{Answer, Claims};
use super::super::keys::{index, table};
use super::super::rows::{
    Age, Answered, AssetRow, Doubt, FailedAction, HandedBack, IntentRow, LinkRow, Memory, RecordRow,
};
use super::super::rows::{SettledRow, UserLinkRow};
use super::super::store::StoreError;
use super::{Projector, Verdict};

/// What an intent claims: the key, the asset and record if they exist already, and whom it gives a record.
pub(crate) fn claimed_subjects(intent: &Intent) -> Vec<String> {
    let mut subjects = vec![intent.key.to_string()];
    subjects.extend(intent.asset.iter().map(|id| format!("asset/{id}")));
    subjects.extend(intent.record.iter().map(|id| format!("record/{id}")));
    subjects.extend(intent.users.iter().map(|id| format!("kandji-user/{id}")));
    subjects.extend(intent.subjects.iter().cloned());
    subjects
}

fn intent_id(change: Uuid, worker: &str) -> String {
    format!("{change}/{worker}")
}

impl Projector<'_, '_> {
    pub(super) fn intended(&mut self, intent: &Intent) -> Result<Verdict, StoreError> {
        let id = intent_id(intent.change, &intent.worker);
        // A claim that is published again keeps its place.
        let offset = self.batch.row::<IntentRow>(table::INTENT, &id)?.map_or(self.offset, |row| row.offset);
        self.batch.put(table::INTENT, &id, &IntentRow { intent: intent.clone(), offset });
        for subject in claimed_subjects(intent) {
            self.batch.index(index::CLAIM, &subject, &id);
        }
        Ok(Verdict::Accepted)
    }

    /// A worker takes its claim back; those of others for the same change stand.
    pub(super) fn withdrawn(
        &mut self,
        change: Uuid,
        key: &Key,
        worker: &str,
        refused: bool,
    ) -> Result<Verdict, StoreError> {
        let closed = self.close_intent(&intent_id(change, worker))?;
        if let Some(row) = closed.as_ref().filter(|_| refused) {
            let key = key.to_string();
            let mut memory = self.memory(&key)?;
            let before = memory.handed_back.take().filter(|before| before.change == change);
            let announced = before.map_or(row.offset, |before| before.announced.min(row.offset));
            memory.handed_back = Some(HandedBack { change, announced });
            self.batch.put(table::MEMORY, &key, &memory);
        }
        Ok(Verdict::unless(closed.is_none().then_some("there is no such claim")))
    }

    /// Closes the claims of the change that ended. Answers the first of them.
    fn close_intents(&mut self, outcome: &Outcome) -> Result<Option<IntentRow>, StoreError> {
        let mut first: Option<IntentRow> = None;
        let prefix = format!("{}/{}/", table::INTENT, outcome.change);
        for worker in self.batch.keys(prefix.as_bytes())? {
            if let Some(row) = self.close_intent(&intent_id(outcome.change, &worker))?
                && first.as_ref().is_none_or(|known| row.offset < known.offset)
            {
                first = Some(row);
            }
        }
        Ok(first)
    }

    fn close_intent(&mut self, id: &str) -> Result<Option<IntentRow>, StoreError> {
        let row = self.batch.row::<IntentRow>(table::INTENT, id)?;
        if let Some(row) = &row {
            for subject in claimed_subjects(&row.intent) {
                self.batch.unindex(index::CLAIM, &subject, id);
            }
        }
        self.batch.delete(table::INTENT, id);
        Ok(row)
    }

    /// Whether the outcome is that of a replay of a change that had failed for good: then, and only then,
    /// a change is answered a second time.
    fn is_retry(&self, key: &str, outcome: &Outcome) -> Result<bool, StoreError> {
        let Some(replay) = outcome.replay else { return Ok(false) };
        let failed = self.memory(key)?.failed.remove(&outcome.kind);
        Ok(failed.is_some_and(|failed| failed.may_be_retried(outcome.change, replay)))
    }

    pub(super) fn ended(&mut self, outcome: &Outcome) -> Result<Verdict, StoreError> {
        if self.is_of_no_run(outcome.sequence.run) {
            return Ok(Verdict::Rejected("its change is of a run that nobody has started".into()));
        }
        let first_attempt = self.close_intents(outcome)?;
        let key = outcome.key.to_string();
        let mut answered: Answered = self.batch.row(table::ANSWERED, &key)?.unwrap_or_default();
        if answered.covers(outcome.sequence, outcome.change) {
            // A retry may be older than what was answered since: the order of the others stays as it is.
            if !self.is_retry(&key, outcome)? {
                return Ok(Verdict::Rejected("the change has been answered already".into()));
            }
        } else {
            if outcome.sequence > answered.sequence {
                answered = Answered { sequence: outcome.sequence, ..Answered::default() };
            }
            answered.changes.push(outcome.change);
        }
        answered.at = Some(self.event.time);
        if let Some(kind) = outcome.accepted() {
            self.meta.accepted.insert(kind.to_owned(), self.offset);
        }
        self.batch.put(table::ANSWERED, &key, &answered);
        self.learn_records(outcome)?;
        if let (Key::Device(device), Some(link)) = (&outcome.key, &outcome.link) {
            self.settle_pending_link(device, link);
            self.learn_link(device, link, outcome.sequence.run)?;
        }
        if let Some(link) = &outcome.user_link {
            self.learn_user_link(link)?;
        }
        self.remember(&key, outcome, first_attempt)?;
        Ok(Verdict::Accepted)
    }

    fn learn_records(&mut self, outcome: &Outcome) -> Result<(), StoreError> {
        let age = Age { offset: self.offset, written: Some(self.event.time) };
        if let Some(asset) = &outcome.asset_deleted {
            self.doubt_asset(asset)?;
        }
        if let Some(asset) = &outcome.asset {
            let holds = |field: &str| held_by_asset(asset, field);
            let old = self.asset(&asset.id)?;
            let mut row = AssetRow::new(asset.clone(), age);
            // New to everybody, unless it was known before.
            row.found = old.as_ref().map_or(Some(self.offset), |old| old.found);
            let known = old.map(|old| (old.claims, old.age));
            row.claims = self.claims_after(outcome, known, &holds);
            self.put_asset(&row)?;
        }
        if let Some(record) = &outcome.record {
            let holds = |field: &str| Some(Outcome::shown_by_record(record, field));
            let old = self.record(&record.id)?;
            let created = outcome.user_link.as_ref().is_some_and(|link| link.rule == Rule::Created);
            let mut row = RecordRow::new(record.clone(), age);
            row.ours = created || old.as_ref().is_some_and(|row| row.ours);
            // New to everybody, unless it was known before.
            row.found = old.as_ref().map_or(Some(self.offset), |old| old.found);
            let known = old.map(|old| (old.claims, old.age));
            row.claims = self.claims_after(outcome, known, &holds);
            self.put_record(&row)?;
        }
        Ok(())
    }

    /// AMFJ said of an asset that it is not there. Only an inventory proves that (P8): the asset stays, and so do its links.
    pub(super) fn doubt_asset(&mut self, id: &AssetId) -> Result<(), StoreError> {
        let Some(row) = self.asset(id)? else { return Ok(()) };
        let since = row.doubt.map_or(self.event.time, |doubt| doubt.since);
        self.put_asset(&AssetRow { doubt: Some(Doubt { since, offset: self.offset }), ..row })
    }

    fn claims_after(
        &self,
        outcome: &Outcome,
        known: Option<(Claims, Age)>,
        holds: &dyn Fn(&str) -> Option<Value>,
    ) -> Claims {
        let (claims, confirmed) = known.map_or_else(Default::default, |(claims, age)| {
            (claims, age.was_shown_by(self.meta.in_force.as_ref()))
        });
        claims
            .answered(confirmed, &Answer { outcome, offset: self.offset, rematch: self.meta.rematch, holds })
    }

    /// No asset is ever linked to two devices: the first link in the stream stands (P4).
    fn learn_link(&mut self, device: &DeviceId, link: &LinkOutcome, run: u64) -> Result<(), StoreError> {
        match link {
            LinkOutcome::Linked { asset, rule, takes_over } => {
                let others = self.devices_linked_to(asset)?;
                let allowed = |other: &String| {
                    other == device.as_str() || takes_over.as_ref().is_some_and(|old| other == old.as_str())
                };
                if !others.iter().all(allowed) {
                    return Ok(());
                }
                if let Some(old) = takes_over {
                    self.delete_link(old)?;
                    self.move_settled(old, device)?;
                }
                let (since, run) = (self.event.time, Some(run));
                let row = LinkRow { asset: asset.clone(), rule: *rule, since, run };
                self.put_link(device, &row)
            }
            LinkOutcome::Broken { asset } => {
                if self.link(device)?.is_some_and(|row| row.asset == *asset) {
                    self.delete_link(device)?;
                    let key = Key::Device(device.clone()).to_string();
                    let mut memory = self.memory(&key)?;
                    memory = Memory {
                        lost_link: true,
                        refused: std::mem::take(&mut memory.refused),
                        ..Memory::default()
                    };
                    self.batch.put(table::MEMORY, &key, &memory);
                }
                Ok(())
            }
        }
    }

    /// A re-enrolled device goes on where the old one was, its settled user included (P9).
    fn move_settled(&mut self, old: &DeviceId, new: &DeviceId) -> Result<(), StoreError> {
        let memory = self.memory(&Key::Device(old.clone()).to_string())?;
        let key = Key::Device(new.clone()).to_string();
        let mut newer = self.memory(&key)?;
        newer.settled = memory.settled;
        self.batch.put(table::MEMORY, &key, &newer);
        Ok(())
    }

    fn learn_user_link(&mut self, link: &UserLinkOutcome) -> Result<(), StoreError> {
        let row = UserLinkRow { record: link.record.clone(), rule: link.rule, since: self.event.time };
        for id in &link.ids {
            self.put_user_link(id, &row)?;
        }
        Ok(())
    }

    pub(super) fn memory(&self, key: &str) -> Result<Memory, StoreError> {
        Ok(self.batch.row(table::MEMORY, key)?.unwrap_or_default())
    }

    fn remember(
        &mut self,
        key: &str,
        outcome: &Outcome,
        first_attempt: Option<IntentRow>,
    ) -> Result<(), StoreError> {
        let known = self.memory(key)?;
        let mut memory = known.clone();
        memory.handed_back.take_if(|before| before.change == outcome.change);
        let before = memory.failed.get(&outcome.kind).filter(|failed| failed.change == Some(outcome.change));
        let first_attempt = before.and_then(|failed| failed.first_attempt.clone()).or(first_attempt);
        if matches!(outcome.link, Some(LinkOutcome::Linked { takes_over: None, .. })) {
            // Another asset: what the old one refused or who had it says nothing about this one.
            memory = Memory::default();
        }
        let refuse = |refusal: &Refusal| {
            let mut refusal = refusal.clone();
            refusal.fingerprint.get_or_insert_with(|| until_rematch(self.meta.rematch));
            refusal
        };
        for (field, edit) in &outcome.edits {
            memory.refused.remove(field);
            memory.stored.remove(field);
            match held_value(outcome, field) {
                Some(held) if held == edit.new => {}
                // The answer shows what was there before.
                Some(held) if held == edit.old => {
                    let reason = Refusal::NOT_TAKEN.to_owned();
                    let refusal = Refusal { value: edit.new.clone(), reason, fingerprint: None };
                    memory.refused.insert(field.clone(), refuse(&refusal));
                }
                Some(stored) => {
                    let stored = super::super::rows::Stored { sent: edit.new.clone(), stored };
                    memory.stored.insert(field.clone(), stored);
                }
                None => {}
            }
        }
        memory
            .refused
            .extend(outcome.refused.iter().map(|(field, refusal)| (field.clone(), refuse(refusal))));
        remember_what_is_left(&mut memory, outcome);
        match (&outcome.ending, &outcome.action) {
            (Ending::Failed { reason }, Some(action)) => {
                let same = memory.failure_before(outcome, self.meta.rematch);
                let repeated = memory.failure_repeated_by(outcome, self.meta.rematch);
                let (change, replay) = repeated
                    .map_or((Some(outcome.change), outcome.replay), |known| (known.change, known.replay));
                let failed = FailedAction {
                    runs: self.meta.runs,
                    times: same.map_or(1, |known| known.times.max(1).saturating_add(1)),
                    action: action.clone(),
                    reason: reason.clone(),
                    at: self.event.time,
                    change,
                    replay,
                    first_attempt: first_attempt.filter(|_| outcome.uncertain),
                    rematch: self.meta.rematch,
                };
                memory.failed.insert(outcome.kind.clone(), failed);
            }
            (Ending::Failed { .. }, None) => {}
            _ => {
                memory.failed.remove(&outcome.kind);
            }
        }
        if let Some(settled) = &outcome.settled {
            memory.settled = Some(SettledRow { primary: settled.primary.clone(), offset: self.offset });
        }
        if memory != known {
            self.batch.put(table::MEMORY, key, &memory);
        }
        Ok(())
    }
}

/// The location that a link left out, and the record that an interrupted creation may have made.
fn remember_what_is_left(memory: &mut Memory, outcome: &Outcome) {
    let is_set = outcome.edits.contains_key(Outcome::LOCATION);
    memory.location_due = outcome.location_due || (memory.location_due && !is_set);
    let made = outcome.asset.as_ref().map(|asset| asset.id.to_string());
    let made = made.or_else(|| outcome.record.as_ref().map(|record| record.id.to_string()));
    if outcome.doubtful {
        memory.doubt = made;
    } else if outcome.link.is_some() || outcome.user_link.is_some() {
        memory.doubt = None;
    }
}

/// What AMFJ holds in a field after the outcome.
fn held_value(outcome: &Outcome, field: &str) -> Option<Value> {
    match (&outcome.asset, &outcome.record) {
        (Some(asset), _) => held_by_asset(asset, field),
        (None, Some(record)) => Some(Outcome::shown_by_record(record, field)),
        (None, None) => None,
    }
}

/// What an asset holds in a field that is compared by value; none for its location and its holder.
pub(super) fn held_by_asset(asset: &Asset, field: &str) -> Option<Value> {
    match field {
        Outcome::LOCATION | Outcome::HOLDER => None,
        field => Some(Outcome::shown_by_asset(asset, field)),
    }
}
