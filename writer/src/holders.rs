//! Assignments: check-in and check-out with the holder that is expected (P20, P21).
//!
//! AMFJ checks in from whoever has the asset, so before a check-in it is read: nobody loses an asset to
//! a decision that was made when somebody else had it.

use amfj_sync_shared::amfj::client::Assigned;
use amfj_sync_shared::amfj::{Asset, Holder};
use amfj_sync_shared::ids::{AssetId, RecordId};

use crate::requests::{Kind, Requests, Trouble};
use crate::site::Site;

/// How an assignment ended.
#[derive(Debug)]
pub(crate) enum Held {
    /// The wanted holder has it; whether that took a write.
    AsWanted { asset: Box<Asset>, wrote: bool },
    /// Somebody has it who was not expected.
    SomebodyElse(Box<Asset>),
}

/// One assignment.
pub(crate) struct Assignment<'a> {
    pub(crate) site: &'a Site,
    pub(crate) asset: &'a AssetId,
    pub(crate) expected: Option<&'a Holder>,
    pub(crate) to: Option<&'a Holder>,
}

/// More rounds than an undisturbed assignment needs; after that the next run decides again.
const ROUNDS: u32 = 6;

impl Assignment<'_> {
    /// Makes the holder the wanted one. `read_first` where an earlier attempt may have done part of it.
    pub(crate) async fn make(&self, requests: &mut Requests<'_>, read_first: bool) -> Result<Held, Trouble> {
        let wanted = self.to.map(|holder| &holder.id);
        let expected = self.expected.map(|holder| &holder.id);
        let mut wrote = false;
        let mut known: Option<Option<RecordId>> = (!read_first && expected.is_none()).then_some(None);
        let mut rounds = 0;
        while rounds < ROUNDS {
            rounds += 1;
            let holder = if let Some(holder) = known.take() {
                holder
            } else {
                let read = requests.send(Kind::Read, || self.site.client.asset(self.asset)).await?;
                let asset = read.ok_or_else(|| Trouble::AssetDeleted(self.asset.clone()))?;
                let holder = asset.checked_out_to.as_ref().map(|holder| holder.id.clone());
                if holder.as_ref() == wanted {
                    return Ok(Held::AsWanted { asset: Box::new(asset), wrote });
                }
                // Nobody has it: our own check-in, or somebody's; either way nobody loses it.
                if holder.is_some() && holder.as_ref() != expected {
                    return Ok(Held::SomebodyElse(Box::new(asset)));
                }
                requests.halfway |= holder.is_none() && expected.is_some();
                holder
            };
            match self.move_one_step(requests, holder.as_ref(), wanted).await {
                Ok(Assigned::Done(asset)) => {
                    wrote = true;
                    let unreadable =
                        asset.checked_out_to.as_ref().is_some_and(|holder| !holder.is_readable());
                    let now = asset.checked_out_to.as_ref().map(|holder| holder.id.clone());
                    if now.as_ref() == wanted {
                        return Ok(Held::AsWanted { asset, wrote });
                    }
                    requests.halfway = true;
                    // Not known: it is read, and left alone where that does not tell either (P30).
                    known = (!unreadable).then_some(now);
                }
                // Not as it was known: read it.
                Ok(Assigned::Conflict { .. }) => {}
                // In the pause somebody may have given it to somebody else: read it. How often that goes
                // on is not for the rounds to say, but for `give_up_after`.
                Err(Trouble::Unknown) => rounds -= 1,
                Err(Trouble::NotFound) => return Err(Trouble::AssetDeleted(self.asset.clone())),
                Err(trouble) => return Err(trouble),
            }
        }
        let reason = "the asset kept changing hands while it was assigned".to_owned();
        Err(Trouble::Fail { reason, field: None })
    }

    async fn move_one_step(
        &self,
        requests: &mut Requests<'_>,
        holder: Option<&RecordId>,
        wanted: Option<&RecordId>,
    ) -> Result<Assigned, Trouble> {
        let client = &self.site.client;
        match (holder, wanted) {
            (None, Some(wanted)) => {
                requests.send(Kind::Repeatable, || client.check_out(self.asset, wanted, None)).await
            }
            // A check-in takes the asset from whoever has it.
            _ => requests.send(Kind::Guarded, || client.check_in(self.asset, None)).await,
        }
    }
}
