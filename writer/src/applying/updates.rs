//! Writing values to what exists already. What counts is what AMFJ holds afterwards, as its answer shows it
//! or as it is read (P15, P26); a link beside it stands whatever became of the values (P4).

use std::collections::BTreeMap;

use amfj_sync_shared::amfj::client::{AssetPatch, UserPatch};
use amfj_sync_shared::amfj::{Asset, UserRecord};
use amfj_sync_shared::ids::{AssetId, RecordId};
use amfj_sync_shared::messages::{Edit, LinkOutcome, Outcome};
use serde_json::Value;

use super::Applying;
use crate::answers::{is_kept, shown_by_asset, shown_by_record};
use crate::outcomes::{With, stale};
use crate::requests::{Kind, Trouble};
use crate::updating::Refused;

/// Why a write is refused although the record is there.
const THERE_ALL_THE_SAME: &str = "AMFJ answered 404 to a write, although the record is there";

type Edits = BTreeMap<String, Edit>;

/// Whether all these values are shown as they were sent, or as AMFJ keeps them.
fn all_kept(edits: &Edits, shown: impl Fn(&str) -> Value) -> bool {
    edits.iter().all(|(field, edit)| is_kept(edit, &shown(field)))
}

impl Applying<'_> {
    pub(super) async fn patch_asset(
        &mut self,
        id: AssetId,
        mut patch: AssetPatch,
        edits: Edits,
        link: Option<LinkOutcome>,
    ) -> Result<Outcome, Trouble> {
        let mut refused = Refused::default();
        let written = self.write_asset(&id, &mut patch, &edits, &mut refused).await;
        match (written, link) {
            (Ok(written), link) => Ok(self.wrote_asset(written, edits, link, refused)),
            (Err(Trouble::Overtaken(why)), _) if self.may_have_written() => {
                self.overtaken_patch_of_asset(&id, edits, refused, why).await
            }
            // What is left to write is decided anew, and fails alone if it must.
            (Err(Trouble::Fail { .. }), Some(link)) => Ok(self.wrote_asset(None, edits, Some(link), refused)),
            (Err(Trouble::Fail { reason, field }), None) if self.requests.unanswered => {
                let found = self.carried_out_on_asset(&id, edits, refused).await;
                found.ok_or(Trouble::Fail { reason, field })
            }
            (Err(trouble), _) => Err(trouble),
        }
    }

    /// Sends the patch until it is answered, without the fields that AMFJ refuses. The asset as it is then;
    /// none where nothing was left to send.
    async fn write_asset(
        &mut self,
        id: &AssetId,
        patch: &mut AssetPatch,
        edits: &Edits,
        refused: &mut Refused,
    ) -> Result<Option<Asset>, Trouble> {
        let client = &self.site.client;
        while !patch.is_empty() {
            match self.requests.send(Kind::Repeatable, || client.update_asset(id, patch)).await {
                Ok(written) => return Ok(Some(written)),
                Err(Trouble::Unshown) => {
                    let edits = refused.written(edits.clone());
                    return self.read_asset_back(id, &edits).await.map(Some);
                }
                Err(Trouble::NotFound) => {
                    self.read_asset(id).await?;
                    self.requests.refused(THERE_ALL_THE_SAME).await?;
                }
                Err(Trouble::Fail { reason, field: Some(field) }) => {
                    if !refused.leave_out(patch, &field, &reason) {
                        self.requests.refused(&reason).await?;
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    /// What became of the edits, and of the link beside them.
    fn wrote_asset(
        &self,
        written: Option<Asset>,
        edits: Edits,
        link: Option<LinkOutcome>,
        mut refused: Refused,
    ) -> Outcome {
        let sets_location = edits.contains_key(Outcome::LOCATION);
        let mut outcome = self.applied();
        if let Some(asset) = written {
            outcome.edits = refused.taken(edits, |field| shown_by_asset(&asset, field));
            outcome.asset = Some(asset);
        }
        outcome.location_due =
            link.is_some() && sets_location && !outcome.edits.contains_key(Outcome::LOCATION);
        outcome.link = link;
        outcome.refused = refused.fields;
        outcome
    }

    /// AMFJ said that it was done and did not show it. What it shows late is waited for once.
    async fn read_asset_back(&mut self, id: &AssetId, edits: &Edits) -> Result<Asset, Trouble> {
        let asset = self.read_asset(id).await?;
        if all_kept(edits, |field| shown_by_asset(&asset, field)) {
            return Ok(asset);
        }
        self.requests.wait(self.site.integration.amfj.list_delay).await?;
        self.read_asset(id).await
    }

    /// An update that was refused in the end, after an attempt whose answer was lost: what it wrote all the
    /// same is part of the history (P26).
    async fn carried_out_on_asset(
        &mut self,
        id: &AssetId,
        edits: Edits,
        refused: Refused,
    ) -> Option<Outcome> {
        let asset = self.read_asset(id).await.ok()?;
        let edits = refused.written(edits);
        let done = !edits.is_empty() && all_kept(&edits, |field| shown_by_asset(&asset, field));
        done.then(|| self.wrote_asset(Some(asset), edits, None, refused))
    }

    pub(super) async fn patch_user(
        &mut self,
        id: RecordId,
        mut patch: UserPatch,
        edits: Edits,
    ) -> Result<Outcome, Trouble> {
        let mut refused = Refused::default();
        match self.write_record(&id, &mut patch, &edits, &mut refused).await {
            Ok(Some(written)) => Ok(self.wrote_record(written, edits, refused)),
            Ok(None) => {
                let mut outcome = self.applied();
                outcome.refused = refused.fields;
                Ok(outcome)
            }
            Err(Trouble::NotFound) => Ok(self.record_not_there()),
            Err(Trouble::Overtaken(why)) if self.may_have_written() => {
                self.overtaken_patch_of_record(&id, edits, refused, why).await
            }
            Err(Trouble::Fail { reason, field }) if self.requests.unanswered => {
                let found = self.carried_out_on_record(&id, edits, refused).await;
                found.ok_or(Trouble::Fail { reason, field })
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// As [`Applying::write_asset`]; not found where AMFJ shows no such record any more.
    async fn write_record(
        &mut self,
        id: &RecordId,
        patch: &mut UserPatch,
        edits: &Edits,
        refused: &mut Refused,
    ) -> Result<Option<UserRecord>, Trouble> {
        let client = &self.site.client;
        while !patch.is_empty() {
            match self.requests.send(Kind::Repeatable, || client.update_user(id, patch)).await {
                Ok(written) => return Ok(Some(written)),
                Err(Trouble::Unshown) => {
                    let edits = refused.written(edits.clone());
                    return self.read_record_back(id, &edits).await.map(Some);
                }
                Err(Trouble::NotFound) => {
                    self.read_record(id).await?.ok_or(Trouble::NotFound)?;
                    self.requests.refused(THERE_ALL_THE_SAME).await?;
                }
                Err(Trouble::Fail { reason, field: Some(field) }) => {
                    if !refused.leave_out(patch, &field, &reason) {
                        self.requests.refused(&reason).await?;
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        Ok(None)
    }

    fn wrote_record(&self, written: UserRecord, edits: Edits, mut refused: Refused) -> Outcome {
        let mut outcome = self.applied();
        outcome.edits = refused.taken(edits, |field| shown_by_record(&written, field));
        outcome.refused = refused.fields;
        outcome.record = Some(written);
        outcome
    }

    async fn read_record_back(&mut self, id: &RecordId, edits: &Edits) -> Result<UserRecord, Trouble> {
        let record = self.read_record(id).await?;
        if let Some(record) = record.filter(|record| all_kept(edits, |field| shown_by_record(record, field)))
        {
            return Ok(record);
        }
        self.requests.wait(self.site.integration.amfj.list_delay).await?;
        self.read_record(id).await?.ok_or(Trouble::NotFound)
    }

    async fn carried_out_on_record(
        &mut self,
        id: &RecordId,
        edits: Edits,
        refused: Refused,
    ) -> Option<Outcome> {
        let record = self.read_record(id).await.ok()??;
        let edits = refused.written(edits);
        let done = !edits.is_empty() && all_kept(&edits, |field| shown_by_record(&record, field));
        done.then(|| self.wrote_record(record, edits, refused))
    }

    /// AMFJ showed the record neither by its email nor in its list: that is for a run to judge (P11).
    pub(super) fn record_not_there(&self) -> Outcome {
        let why = "AMFJ did not show the user record when it was looked for; the next run decides";
        stale(self.event, self.change, why)
    }

    /// What a creation wrote, as the record shows that came of it.
    pub(super) fn created_with(
        &self,
        sent: Edits,
        refused: &mut Refused,
        shown: impl Fn(&str) -> Value,
    ) -> Outcome {
        let mut outcome = self.applied();
        for (field, edit) in refused.taken(sent, shown) {
            outcome = outcome.with_edit(&field, edit.old, edit.new);
        }
        outcome
    }
}
