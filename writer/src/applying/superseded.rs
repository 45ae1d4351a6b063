//! Changes that were overtaken by a newer decision after an attempt had begun: AMFJ is asked what became
//! of it, and nothing more is written. The newer decision was made without knowing it, so the outcome
//! says what AMFJ holds.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::Holder;
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::{Edit, Outcome, Past};

use super::Applying;
use crate::holders::Held;
use crate::outcomes::{With, stale};
use crate::requests::Trouble;
use crate::restoring::{asset_again, record_again};
use crate::updating::Refused;

impl Applying<'_> {
    /// Whether an attempt at this change may have reached AMFJ.
    pub(super) fn may_have_written(&self) -> bool {
        self.begun || self.requests.attempts > 0
    }

    pub(super) async fn superseded_patch_of_asset(
        &mut self,
        id: &AssetId,
        edits: BTreeMap<String, Edit>,
        refused: Refused,
        why: &str,
    ) -> Result<Outcome, Trouble> {
        let asset = self.read_asset(id).await?;
        let edits = refused.written(edits);
        let left = self.context.state.read(|view| asset_again(&asset, &past(&edits), view.catalogue()));
        let outcome = self.found_out(left.is_done(), edits, refused, why);
        Ok(outcome.with_asset(asset))
    }

    pub(super) async fn superseded_patch_of_record(
        &mut self,
        id: &RecordId,
        edits: BTreeMap<String, Edit>,
        refused: Refused,
        why: &str,
    ) -> Result<Outcome, Trouble> {
        let Some(record) = self.read_record(id).await? else { return Ok(self.record_not_there()) };
        let edits = refused.written(edits);
        let done = record_again(&record, &past(&edits)).is_done();
        let mut outcome = self.found_out(done, edits, refused, why);
        outcome.record = Some(record);
        Ok(outcome)
    }

    /// Nothing of the assignment was done when this attempt began to wait, but an answer may have been lost.
    pub(super) async fn superseded_assignment(
        &mut self,
        id: &AssetId,
        expected: Option<&Holder>,
        to: Option<&Holder>,
        primary: Option<RecordId>,
        why: &str,
    ) -> Result<Outcome, Trouble> {
        let asset = self.read_asset(id).await?;
        let holder = asset.checked_out_to.as_ref().map(|holder| &holder.id);
        if holder != to.map(|holder| &holder.id) {
            return Ok(stale(self.event, self.change, why).with_asset(asset));
        }
        let held = Held::AsWanted { asset: Box::new(asset), wrote: self.requests.attempts > 0 };
        Ok(self.assigned(held, expected, to, primary))
    }

    /// Carried out: it belongs into the history, but no link is made of it any more.
    fn found_out(&self, done: bool, edits: BTreeMap<String, Edit>, refused: Refused, why: &str) -> Outcome {
        if !done || edits.is_empty() {
            return stale(self.event, self.change, why);
        }
        let mut outcome = self.applied();
        outcome.edits = edits;
        outcome.refused = refused.fields;
        outcome
    }
}

fn past(edits: &BTreeMap<String, Edit>) -> BTreeMap<String, Past> {
    let past = |edit: &Edit| Past { found: edit.old.clone(), written: edit.new.clone(), stored: None };
    edits.iter().map(|(field, edit)| (field.clone(), past(edit))).collect()
}
