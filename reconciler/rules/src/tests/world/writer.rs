//! A writer that always succeeds, unless it is told to fail.

use amfj_sync_model::ids::{AssetId, DeviceId};
use amfj_sync_model::messages::{
    Action, AssetWrite, Change, Edit, Ending, Fact, LinkOutcome, Outcome, Rule, Sequence, Settled,
    UserLinkOutcome,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::World;

impl World {
    /// Makes a change in AMFJ, and tells the outcome.
    pub(crate) fn make(&mut self, change: &Change) {
        let mut outcome = self.outcome(change, Ending::Applied);
        self.perform(change, &mut outcome);
        self.tell(Fact::ChangeEnded(Box::new(outcome)));
    }

    /// Tells that a change failed for good.
    pub(crate) fn fail(&mut self, change: &Change, reason: &str) {
        let mut outcome = self.outcome(change, Ending::Failed { reason: reason.to_owned() });
        outcome.action = Some(change.action.clone());
        self.tell(Fact::ChangeEnded(Box::new(outcome)));
    }

    pub(crate) fn outcome(&mut self, change: &Change, ending: Ending) -> Outcome {
        self.step += 1;
        let sequence = Sequence { run: self.run, step: self.step };
        let outcome = Outcome::of(Uuid::from_u128(u128::from(self.offset)), sequence, change, ending);
        Outcome { attempts: 1, ..outcome }
    }

    fn perform(&mut self, change: &Change, outcome: &mut Outcome) {
        let linked = |asset: &AssetId, rule, takes_over: &Option<DeviceId>| {
            Some(LinkOutcome::Linked { asset: asset.clone(), rule, takes_over: takes_over.clone() })
        };
        match &change.action {
            Action::LinkAsset { asset, rule, takes_over, write } => {
                self.write(asset, write, outcome);
                outcome.link = linked(asset, *rule, takes_over);
            }
            Action::UpdateAsset { asset, write } => self.write(asset, write, outcome),
            Action::CreateAsset { name, asset_type, location, fields } => {
                let id = self.fresh("new-asset", change);
                let asset = self.asset(&id, name);
                asset.asset_type = asset_type.clone();
                asset.location.clone_from(location);
                asset.fields.clone_from(fields);
                outcome.asset = Some(asset.clone());
                outcome.link = linked(&AssetId::new(id).unwrap(), Rule::Created, &None);
            }
            Action::BreakLink { asset } => outcome.link = Some(LinkOutcome::Broken { asset: asset.clone() }),
            Action::Assign { asset, expected, to, primary } => {
                let asset = self.assets.get_mut(asset).unwrap();
                assert_eq!(asset.checked_out_to, *expected, "the writer would call this stale");
                asset.checked_out_to.clone_from(to);
                outcome.asset = Some(asset.clone());
                outcome.settled = Some(Settled { primary: primary.clone() });
            }
            _ => self.perform_on_user(change, outcome),
        }
    }

    fn perform_on_user(&mut self, change: &Change, outcome: &mut Outcome) {
        match &change.action {
            Action::LinkUser { record, rule, ids } => {
                let (record, ids) = (record.clone(), ids.clone());
                outcome.user_link = Some(UserLinkOutcome { record, rule: *rule, ids });
            }
            Action::CreateUser { name, email, fields, ids } => {
                let id = self.fresh("new-record", change);
                self.record(&id, name, email.as_deref());
                let record = self.records.get_mut(id.as_str()).unwrap();
                record.fields.clone_from(fields);
                outcome.record = Some(record.clone());
                let (record, ids) = (record.id.clone(), ids.clone());
                outcome.user_link = Some(UserLinkOutcome { record, rule: Rule::Created, ids });
            }
            Action::UpdateUser { record, write } => {
                let record = self.records.get_mut(record).unwrap();
                if let Some(name) = &write.name {
                    record.name = name.new.as_str().unwrap().to_owned();
                    outcome.edits.insert(Outcome::NAME.to_owned(), name.clone());
                }
                if let Some(email) = &write.email {
                    record.email = email.new.as_str().map(str::to_owned);
                    outcome.edits.insert(Outcome::EMAIL.to_owned(), email.clone());
                }
                for (field, edit) in &write.fields {
                    record.fields.insert(field.clone(), edit.new.clone());
                    outcome.edits.insert(field.clone(), edit.clone());
                }
                outcome.record = Some(record.clone());
            }
            other => panic!("{other:?} is about no user"),
        }
    }

    fn write(&mut self, asset: &AssetId, write: &AssetWrite, outcome: &mut Outcome) {
        let asset = self.assets.get_mut(asset).unwrap();
        if let Some(name) = &write.name {
            asset.name = name.new.as_str().unwrap().to_owned();
            outcome.edits.insert(Outcome::NAME.to_owned(), name.clone());
        }
        if let Some(location) = &write.location {
            let edit = Edit { old: Value::Null, new: json!(location.name) };
            outcome.edits.insert(Outcome::LOCATION.to_owned(), edit);
            asset.location = Some(location.clone());
        }
        for (field, edit) in &write.fields {
            asset.fields.insert(field.clone(), edit.new.clone());
            outcome.edits.insert(field.clone(), edit.clone());
        }
        outcome.asset = Some(asset.clone());
    }

    /// An id that depends on the key alone, so that worlds can be compared.
    fn fresh(&mut self, what: &str, change: &Change) -> String {
        let count = self.created.entry(change.key.clone()).or_default();
        *count += 1;
        format!("{what}-{}-{count}", change.key)
    }
}
