//! Past changes that are made again (P29): read first, then written as every other change is.

use std::collections::BTreeMap;

use amfj_sync_amfj::client::NewUser;
use amfj_sync_amfj::profile::Op;
use amfj_sync_model::amfj::{Asset, Holder, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::{Ending, Outcome, Past};

use super::Applying;
use crate::creating::walk;
use crate::outcomes::{With, ended, stale};
use crate::requests::{Idempotency, Trouble};
use crate::restoring::{HolderAgain, asset_again, barred, holder_again, record_again};

impl Applying<'_> {
    /// The asset as it is now; not there where AMFJ says so of its id.
    pub(super) async fn read_asset(&mut self, id: &AssetId) -> Result<Asset, Trouble> {
        let client = &self.context.client;
        let read = self.requests.send(Idempotency::Read, || client.asset(id)).await?;
        read.ok_or_else(|| Trouble::NotThere(id.clone()))
    }

    /// A user record as it is now: by its id where the interface has such a read, else by email where there is one, else
    /// through the whole list.
    pub(super) async fn read_record(&mut self, id: &RecordId) -> Result<Option<UserRecord>, Trouble> {
        let client = &self.context.client;
        if client.can(Op::ReadUser) {
            return self.requests.send(Idempotency::Read, || client.user(id)).await;
        }
        let email = self.context.state.read(|view| view.record(id)).and_then(|row| row.record.email);
        if let Some(email) = email.filter(|_| client.can(Op::FindUsersByEmail)) {
            let found = self.requests.send(Idempotency::Read, || client.find_users_by_email(&email)).await?;
            if let Some(record) = found.into_iter().find(|record| record.id == *id) {
                return Ok(Some(record));
            }
        }
        let mut found = None;
        let keep = &mut |record: UserRecord| {
            if record.id == *id {
                found = Some(record);
            }
            found.is_none()
        };
        walk::<NewUser>(self.context, &mut self.requests, keep).await?;
        Ok(found)
    }

    /// Nothing is left to write.
    fn nothing_again(&self, why_not: Option<String>) -> Outcome {
        match why_not {
            None => ended(self.event, self.change, Ending::Unneeded),
            Some(reason) => stale(self.event, self.change, reason),
        }
    }

    pub(super) async fn restore_asset(
        &mut self,
        id: AssetId,
        fields: &BTreeMap<String, Past>,
    ) -> Result<Outcome, Trouble> {
        let asset = self.read_asset(&id).await?;
        let again = self.context.state.read(|view| asset_again(&asset, fields, view.catalogue()));
        if again.edits.is_empty() {
            return Ok(self.nothing_again(again.why_not()).with_asset(asset));
        }
        self.patch_asset(id, again.patch, again.edits, None).await
    }

    pub(super) async fn restore_record(
        &mut self,
        id: RecordId,
        fields: &BTreeMap<String, Past>,
    ) -> Result<Outcome, Trouble> {
        let Some(record) = self.read_record(&id).await? else { return Ok(self.record_not_there()) };
        let again = record_again(&record, fields);
        if again.edits.is_empty() {
            let mut outcome = self.nothing_again(again.why_not());
            outcome.record = Some(record);
            return Ok(outcome);
        }
        self.patch_user(id, again.patch, again.edits).await
    }

    pub(super) async fn restore_holder(
        &mut self,
        id: &AssetId,
        found: Option<&Holder>,
        wanted: Option<&Holder>,
        primary: Option<RecordId>,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let asset = self.read_asset(id).await?;
        match holder_again(asset.checked_out_to.as_ref(), found, wanted, tried_before) {
            HolderAgain::Done => Ok(self.nothing_again(None).with_settled(primary).with_asset(asset)),
            HolderAgain::Changed => {
                let why = "somebody else has the asset by now, or nobody";
                Ok(self.nothing_again(Some(why.to_owned())).with_asset(asset))
            }
            HolderAgain::Reverted => {
                let context = self.context;
                let why = context.state.read(|view| wanted.and_then(|to| barred(context, view, &to.id)));
                if why.is_some() {
                    return Ok(self.nothing_again(why).with_asset(asset));
                }
                self.assign(id, found, wanted, primary, tried_before).await
            }
        }
    }
}
