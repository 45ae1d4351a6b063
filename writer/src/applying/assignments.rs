//! Giving an asset to whom Kandji names (P20, P21).

use amfj_sync_model::amfj::Holder;
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::{Ending, Outcome};

use super::Applying;
use crate::holders::{Assignment, Held};
use crate::outcomes::{With, assigned, ended, stale};
use crate::requests::{Trouble, nothing_to_see};

impl Applying<'_> {
    pub(super) async fn assign(
        &mut self,
        asset: &AssetId,
        expected: Option<&Holder>,
        to: Option<&Holder>,
        primary: Option<RecordId>,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let assignment = Assignment { context: self.context, asset, expected, to };
        match assignment.make(&mut self.requests, tried_before).await {
            Err(Trouble::Superseded(why)) if self.may_have_written() => {
                self.superseded_assignment(asset, expected, to, primary, why).await
            }
            Err(Trouble::Fail { reason, field }) if self.may_be_carried_out() => {
                // Refused in the end, after an attempt whose answer was lost (P26).
                let read = self.read_asset(asset).await.map(Some).or_else(nothing_to_see)?;
                let wanted = to.map(|holder| &holder.id);
                let read = read.filter(|asset| asset.checked_out_to.as_ref().map(|is| &is.id) == wanted);
                let asset = read.ok_or(Trouble::Fail { reason, field })?;
                let held = Held::AsWanted { asset: Box::new(asset), wrote: true };
                Ok(self.assigned(held, expected, to, primary))
            }
            held => Ok(self.assigned(held?, expected, to, primary)),
        }
    }

    pub(super) fn assigned(
        &self,
        held: Held,
        expected: Option<&Holder>,
        to: Option<&Holder>,
        primary: Option<RecordId>,
    ) -> Outcome {
        match held {
            Held::AsWanted { asset, wrote } if wrote || self.begun || self.requests.unanswered => {
                assigned(self.event, self.change, expected, to, primary).with_asset(*asset)
            }
            Held::AsWanted { asset, .. } => {
                ended(self.event, self.change, Ending::Unneeded).with_settled(primary).with_asset(*asset)
            }
            Held::SomebodyElse(asset) => {
                stale(self.event, self.change, "somebody else has the asset by now").with_asset(*asset)
            }
            // With the asset as it is now, so that the next decision asks for the very same, which failed.
            Held::Refused { asset, reason } => self.failed(reason).with_asset(*asset),
        }
    }
}
