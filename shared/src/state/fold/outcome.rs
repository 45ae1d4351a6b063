//! Claims and what became of them.

use super::super::keys::{index, table};
use super::super::rows::{Age, Answered, AssetRow, FailedAction, IntentRow, LinkRow, Memory, RecordRow};
use super::super::rows::{SettledRow, UserLinkRow};
use super::super::store::StoreError;
use super::{Folding, Verdict};
use crate::ids::{DeviceId, Key};
use crate::messages::{Ending, Intent, LinkOutcome, Outcome, Rule, UserLinkOutcome};

/// What an intent claims: the key, the asset and record if they exist already, and whom it gives a record.
pub(in crate::state) fn claimed_subjects(intent: &Intent) -> Vec<String> {
    let mut subjects = vec![intent.key.to_string()];
    subjects.extend(intent.asset.iter().map(|id| format!("asset/{id}")));
    subjects.extend(intent.record.iter().map(|id| format!("record/{id}")));
    subjects.extend(intent.users.iter().map(|id| format!("kandji-user/{id}")));
    subjects.extend(intent.subjects.iter().cloned());
    subjects
}

fn intent_id(intent: &Intent) -> String {
    format!("{}/{}", intent.change, intent.worker)
}

impl Folding<'_, '_> {
    pub(super) fn intended(&mut self, intent: &Intent) -> Result<Verdict, StoreError> {
        let id = intent_id(intent);
        // A claim that is published again keeps its place.
        let offset = self.batch.row::<IntentRow>(table::INTENT, &id)?.map_or(self.offset, |row| row.offset);
        self.batch.put(table::INTENT, &id, &IntentRow { intent: intent.clone(), offset });
        for subject in claimed_subjects(intent) {
            self.batch.index(index::CLAIM, &subject, &id);
        }
        Ok(Verdict::Accepted)
    }

    /// Closes the claims of the change that ended. Answers the first of them.
    fn close_intents(&mut self, outcome: &Outcome) -> Result<Option<IntentRow>, StoreError> {
        let mut first: Option<IntentRow> = None;
        let prefix = format!("{}/{}/", table::INTENT, outcome.change);
        for worker in self.batch.keys(prefix.as_bytes())? {
            let id = format!("{}/{worker}", outcome.change);
            if let Some(row) = self.batch.row::<IntentRow>(table::INTENT, &id)? {
                for subject in claimed_subjects(&row.intent) {
                    self.batch.unindex(index::CLAIM, &subject, &id);
                }
                if first.as_ref().is_none_or(|known| row.offset < known.offset) {
                    first = Some(row);
                }
            }
            self.batch.delete(table::INTENT, &id);
        }
        Ok(first)
    }

    /// Whether the outcome is that of a replay of a change that had failed for good: then, and only then,
    /// a change is answered a second time.
    fn is_retry(&self, key: &str, outcome: &Outcome) -> Result<bool, StoreError> {
        let Some(replay) = outcome.replay else { return Ok(false) };
        let failed = self.memory(key)?.failed.remove(&outcome.kind);
        Ok(failed.is_some_and(|failed| failed.may_be_retried(outcome.change, replay)))
    }

    pub(super) fn ended(&mut self, outcome: &Outcome) -> Result<Verdict, StoreError> {
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
        self.batch.put(table::ANSWERED, &key, &answered);
        self.learn_records(outcome)?;
        if let (Key::Device(device), Some(link)) = (&outcome.key, &outcome.link) {
            self.keep_promise(device, link);
            self.learn_link(device, link)?;
        }
        if let Some(link) = &outcome.user_link {
            self.learn_user_link(link)?;
        }
        self.remember(&key, outcome, first_attempt)?;
        Ok(Verdict::Accepted)
    }

    fn learn_records(&mut self, outcome: &Outcome) -> Result<(), StoreError> {
        let age = Age { offset: self.offset, written: Some(self.event.time) };
        if let Some(asset) = &outcome.asset {
            self.put_asset(&AssetRow { asset: asset.clone(), age })?;
        }
        if let Some(asset) = &outcome.asset_deleted {
            self.delete_asset(asset)?;
        }
        if let Some(record) = &outcome.record {
            let created = outcome.user_link.as_ref().is_some_and(|link| link.rule == Rule::Created);
            let ours = created || self.record(&record.id)?.is_some_and(|row| row.ours);
            self.put_record(&RecordRow { record: record.clone(), age, ours, absent_since: None })?;
        }
        Ok(())
    }

    /// No asset is ever linked to two devices: the first link in the stream stands (P4).
    fn learn_link(&mut self, device: &DeviceId, link: &LinkOutcome) -> Result<(), StoreError> {
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
                let row = LinkRow { asset: asset.clone(), rule: *rule, since: self.event.time };
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
        let before = memory.failed.get(&outcome.kind).filter(|failed| failed.change == Some(outcome.change));
        let first_attempt = before.and_then(|failed| failed.first_attempt.clone()).or(first_attempt);
        if matches!(outcome.link, Some(LinkOutcome::Linked { takes_over: None, .. })) {
            // Another asset: what the old one refused or who had it says nothing about this one.
            memory = Memory::default();
        }
        for (field, edit) in &outcome.edits {
            memory.refused.remove(field);
            let held = held_value(outcome, field);
            match held {
                Some(stored) if stored != edit.new => {
                    let stored = super::super::rows::Stored { sent: edit.new.clone(), stored };
                    memory.stored.insert(field.clone(), stored);
                }
                _ => {
                    memory.stored.remove(field);
                }
            }
        }
        memory.refused.extend(outcome.refused.clone());
        remember_what_is_left(&mut memory, outcome);
        match (&outcome.ending, &outcome.action) {
            (Ending::Failed { reason }, Some(action)) => {
                let failed = FailedAction {
                    action: action.clone(),
                    reason: reason.clone(),
                    at: self.event.time,
                    change: Some(outcome.change),
                    replay: outcome.replay,
                    first_attempt: first_attempt.filter(|_| outcome.uncertain),
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
fn held_value(outcome: &Outcome, field: &str) -> Option<serde_json::Value> {
    let null = serde_json::Value::Null;
    if let Some(asset) = &outcome.asset {
        return match field {
            Outcome::NAME => Some(asset.name.clone().into()),
            Outcome::LOCATION | Outcome::HOLDER => None,
            _ => Some(asset.fields.get(field).cloned().unwrap_or(null)),
        };
    }
    let record = outcome.record.as_ref()?;
    match field {
        Outcome::NAME => Some(record.name.clone().into()),
        Outcome::EMAIL => Some(record.email.clone().into()),
        _ => Some(record.fields.get(field).cloned().unwrap_or(null)),
    }
}
