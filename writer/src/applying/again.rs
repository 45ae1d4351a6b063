//! Past changes that are made again (P29): read first, then written as every other change is.

use std::collections::BTreeMap;

use amfj_sync_shared::amfj::{Asset, Holder};
use amfj_sync_shared::ids::{AssetId, RecordId};
use amfj_sync_shared::messages::{Ending, Outcome, Past};

use super::Applying;
use crate::outcomes::{With, ended, stale};
use crate::requests::{Kind, Trouble};
use crate::restoring::{HolderAgain, asset_again, barred, holder_again, read_record, record_again};

impl Applying<'_> {
    /// The asset as it is now.
    pub(super) async fn read_asset(&mut self, id: &AssetId) -> Result<Asset, Trouble> {
        let client = &self.site.client;
        let read = self.requests.send(Kind::Read, || client.asset(id)).await?;
        read.ok_or_else(|| Trouble::AssetDeleted(id.clone()))
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
        let again = self.site.state.read(|view| asset_again(&asset, fields, view.catalogue()));
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
        let site = self.site;
        let read = self.requests.send(Kind::Read, || read_record(site, &id)).await?;
        let Some(record) = read else {
            return Ok(stale(self.event, self.change, "the user record was deleted in AMFJ"));
        };
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
                let site = self.site;
                let why = site.state.read(|view| wanted.and_then(|to| barred(site, view, &to.id)));
                if why.is_some() {
                    return Ok(self.nothing_again(why).with_asset(asset));
                }
                self.assign(id, found, wanted, primary, tried_before).await
            }
        }
    }
}
