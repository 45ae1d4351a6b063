//! Writing values to what exists already. What counts is what AMFJ holds afterwards, as its answer shows it
//! or as it is read (P15, P26); a link beside it stands whatever became of the values (P4).

use std::collections::BTreeMap;

use amfj_sync_amfj::client::{AmfjClient, AssetPatch, UserPatch};
use amfj_sync_http::CallError;
use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::{Edit, LinkOutcome, Outcome};
use serde_json::Value;

use super::Applying;
use crate::answers::is_kept;
use crate::outcomes::{With, stale};
use crate::requests::{Idempotency, Trouble, nothing_to_see};
use crate::updating::{Fields, Refused};

/// Why a write is refused although the record is there.
const THERE_ALL_THE_SAME: &str = "AMFJ answered 404 to a write, although the record is there";

type Edits = BTreeMap<String, Edit>;

/// Whether all these values are shown as they were sent, or as AMFJ keeps them.
fn all_kept(edits: &Edits, shown: impl Fn(&str) -> Value) -> bool {
    edits.iter().all(|(field, edit)| is_kept(edit, &shown(field)))
}

/// New values for an asset or a user record.
trait Patch: Fields + Send + Sync {
    type Id: Sync;
    type Record: Send + Sync;

    fn is_empty(&self) -> bool;

    fn send(
        &self,
        client: &AmfjClient,
        id: &Self::Id,
    ) -> impl Future<Output = Result<Self::Record, CallError>> + Send;

    /// The record as AMFJ shows it now.
    fn read(
        applying: &mut Applying<'_>,
        id: &Self::Id,
    ) -> impl Future<Output = Result<Self::Record, Trouble>> + Send;

    fn shown(record: &Self::Record, field: &str) -> Value;
}

impl Patch for AssetPatch {
    type Id = AssetId;
    type Record = Asset;

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    async fn send(&self, client: &AmfjClient, id: &AssetId) -> Result<Asset, CallError> {
        client.update_asset(id, self).await
    }

    /// Not there where AMFJ says so of its id.
    async fn read(applying: &mut Applying<'_>, id: &AssetId) -> Result<Asset, Trouble> {
        applying.read_asset(id).await
    }

    fn shown(asset: &Asset, field: &str) -> Value {
        Outcome::shown_by_asset(asset, field)
    }
}

impl Patch for UserPatch {
    type Id = RecordId;
    type Record = UserRecord;

    fn is_empty(&self) -> bool {
        self.is_empty()
    }

    async fn send(&self, client: &AmfjClient, id: &RecordId) -> Result<UserRecord, CallError> {
        client.update_user(id, self).await
    }

    /// Not found where AMFJ shows no such record any more.
    async fn read(applying: &mut Applying<'_>, id: &RecordId) -> Result<UserRecord, Trouble> {
        applying.read_record(id).await?.ok_or(Trouble::NotFound)
    }

    fn shown(record: &UserRecord, field: &str) -> Value {
        Outcome::shown_by_record(record, field)
    }
}

impl Applying<'_> {
    /// Sends the patch until it is answered, without the fields that AMFJ refuses. The record as it is then;
    /// none where nothing was left to send.
    async fn write<P: Patch>(
        &mut self,
        id: &P::Id,
        patch: &mut P,
        edits: &Edits,
        refused: &mut Refused,
    ) -> Result<Option<P::Record>, Trouble> {
        let client = &self.context.client;
        while !patch.is_empty() {
            match self.requests.send(Idempotency::Idempotent, || patch.send(client, id)).await {
                Ok(written) => return Ok(Some(written)),
                Err(Trouble::Unshown) => {
                    let edits = refused.written(edits.clone());
                    return self.read_back::<P>(id, &edits).await.map(Some);
                }
                Err(Trouble::NotFound) => {
                    P::read(self, id).await?;
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

    /// AMFJ said that it was done and did not show it. What it shows late is waited for once.
    async fn read_back<P: Patch>(&mut self, id: &P::Id, edits: &Edits) -> Result<P::Record, Trouble> {
        match P::read(self, id).await {
            Ok(record) if all_kept(edits, |field| P::shown(&record, field)) => return Ok(record),
            Ok(_) | Err(Trouble::NotFound) => {}
            Err(trouble) => return Err(trouble),
        }
        self.requests.wait(self.context.integration.amfj.list_delay).await?;
        P::read(self, id).await
    }

    /// An update that was refused in the end, after an attempt whose answer was lost: what it wrote all the
    /// same is part of the history (P26).
    async fn carried_out<P: Patch>(
        &mut self,
        id: &P::Id,
        edits: &Edits,
        refused: &Refused,
    ) -> Result<Option<(P::Record, Edits)>, Trouble> {
        let edits = refused.written(edits.clone());
        if edits.is_empty() || !self.may_be_carried_out() {
            return Ok(None);
        }
        let Some(record) = P::read(self, id).await.map(Some).or_else(nothing_to_see)? else {
            return Ok(None);
        };
        let done = all_kept(&edits, |field| P::shown(&record, field));
        Ok(done.then_some((record, edits)))
    }

    pub(super) async fn patch_asset(
        &mut self,
        id: AssetId,
        mut patch: AssetPatch,
        edits: Edits,
        link: Option<LinkOutcome>,
    ) -> Result<Outcome, Trouble> {
        let mut refused = Refused::default();
        let written = self.write(&id, &mut patch, &edits, &mut refused).await;
        match (written, link) {
            (Ok(written), link) => Ok(self.wrote_asset(written, edits, link, refused)),
            (Err(Trouble::Superseded(why)), _) if self.may_have_written() => {
                self.superseded_patch_of_asset(&id, edits, refused, why).await
            }
            (Err(Trouble::Fail { reason, field }), link) => {
                let found = self.carried_out::<AssetPatch>(&id, &edits, &refused).await?;
                match (found, link) {
                    (Some((asset, edits)), link) => Ok(self.wrote_asset(Some(asset), edits, link, refused)),
                    // What is left to write is decided anew, and fails alone if it must.
                    (None, Some(link)) => Ok(self.wrote_asset(None, edits, Some(link), refused)),
                    (None, None) => Err(Trouble::Fail { reason, field }),
                }
            }
            (Err(trouble), _) => Err(trouble),
        }
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
            outcome.edits = refused.taken(edits, |field| Outcome::shown_by_asset(&asset, field));
            outcome.asset = Some(asset);
        }
        outcome.location_due =
            link.is_some() && sets_location && !outcome.edits.contains_key(Outcome::LOCATION);
        outcome.link = link;
        outcome.refused = refused.fields;
        outcome
    }

    pub(super) async fn patch_user(
        &mut self,
        id: RecordId,
        mut patch: UserPatch,
        edits: Edits,
    ) -> Result<Outcome, Trouble> {
        let mut refused = Refused::default();
        match self.write(&id, &mut patch, &edits, &mut refused).await {
            Ok(Some(written)) => Ok(self.wrote_record(written, edits, refused)),
            Ok(None) => {
                let mut outcome = self.applied();
                outcome.refused = refused.fields;
                Ok(outcome)
            }
            Err(Trouble::NotFound) => Ok(self.record_not_there()),
            Err(Trouble::Superseded(why)) if self.may_have_written() => {
                self.superseded_patch_of_record(&id, edits, refused, why).await
            }
            Err(Trouble::Fail { reason, field }) => {
                let found = self.carried_out::<UserPatch>(&id, &edits, &refused).await?;
                let (record, edits) = found.ok_or(Trouble::Fail { reason, field })?;
                Ok(self.wrote_record(record, edits, refused))
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn wrote_record(&self, written: UserRecord, edits: Edits, mut refused: Refused) -> Outcome {
        let mut outcome = self.applied();
        outcome.edits = refused.taken(edits, |field| Outcome::shown_by_record(&written, field));
        outcome.refused = refused.fields;
        outcome.record = Some(written);
        outcome
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
