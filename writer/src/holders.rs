//! Assignments: check-in and check-out with the holder that is expected (P20, P21).
//!
//! AMFJ checks in from whoever has the asset, so before a check-in it is read: nobody loses an asset to
//! a decision that was made when somebody else had it. And nobody loses it to a check-out that AMFJ
//! refuses: it goes back to whom it was taken from.

use std::time::Duration;

use amfj_sync_amfj::client::Assigned;
use amfj_sync_model::amfj::{Asset, Holder};
use amfj_sync_model::ids::{AssetId, RecordId};
use tokio::time::Instant;

use crate::context::IntegrationContext;
use crate::requests::{Idempotency, OnRefusal, Requests, Trouble};

/// How an assignment ended.
#[derive(Debug)]
pub(crate) enum Held {
    /// The wanted holder has it; whether that took a write.
    AsWanted { asset: Box<Asset>, wrote: bool },
    /// Somebody has it who was not expected.
    SomebodyElse(Box<Asset>),
    /// AMFJ refused the check-out after our check-in; why, and the asset as it was left.
    Refused { asset: Box<Asset>, reason: String },
}

/// One assignment.
pub(crate) struct Assignment<'a> {
    pub(crate) context: &'a IntegrationContext,
    pub(crate) asset: &'a AssetId,
    pub(crate) expected: Option<&'a Holder>,
    pub(crate) to: Option<&'a Holder>,
}

/// For how long a hand-over waits, with nobody having the asset, while its check-out is refused in a way that may pass: one
/// that may be about all check-outs (403), or one that contradicts what AMFJ shows (404 or 409, and the asset is there with
/// nobody). The asset does not go to and fro for a moment's trouble. Any other refusal is about this one, and the asset goes
/// back at once.
const WAITS_HALFWAY: Duration = Duration::from_mins(1);

/// More rounds than an undisturbed assignment needs; after that the next run decides again.
const ROUNDS: u32 = 6;

/// Who has an asset, if anybody.
type Has = Option<RecordId>;

/// What is known of an assignment while it is made.
struct Course {
    /// Who has the asset, where an answer said so; it is read otherwise.
    known: Option<Has>,
    /// Whether something was written.
    wrote: bool,
    /// Whether nobody has it because we, or an earlier attempt of ours, checked it in.
    taken: bool,
    /// The holder that the last request met, where AMFJ said that it could not be.
    conflict: Option<Has>,
    /// The holder that the last request met, where AMFJ said that it was done and did not show it.
    said_done: Option<Has>,
    /// When the check-out of a hand-over was refused first.
    refused: Option<Instant>,
    /// Whether the last refusal contradicts what AMFJ shows.
    contradicted: bool,
}

fn holder_of(asset: &Asset) -> Has {
    asset.checked_out_to.as_ref().map(|holder| holder.id.clone())
}

impl Assignment<'_> {
    /// Makes the holder the wanted one. `tried_before` where an earlier attempt may have done part of it.
    pub(crate) async fn make(
        &self,
        requests: &mut Requests<'_>,
        tried_before: bool,
    ) -> Result<Held, Trouble> {
        let wanted = self.to.map(|holder| &holder.id);
        let known = (!tried_before && self.expected.is_none()).then_some(None);
        let mut course = Course {
            known,
            wrote: false,
            taken: false,
            conflict: None,
            said_done: None,
            refused: None,
            contradicted: false,
        };
        let mut rounds = 0;
        while rounds < ROUNDS {
            rounds += 1;
            let holder = match course.known.take() {
                Some(holder) => holder,
                None => match self.look(requests, &mut course, tried_before).await? {
                    Ok(holder) => holder,
                    Err(held) => return Ok(held),
                },
            };
            let hands_over = course.taken && holder.is_none() && wanted.is_some();
            if holder.is_some()
                && let Some(wanted) = wanted.filter(|_| requests.check_outs_wait())
            {
                if let Some(held) = self.ask_first(requests, &mut course, wanted).await? {
                    return Ok(held);
                }
                rounds = rounds.saturating_sub(1);
                continue;
            }
            requests.refusal = if hands_over { OnRefusal::Ends } else { OnRefusal::TriesAgain };
            let answer = match self.after_conflict(requests, &mut course, holder.as_ref()).await {
                Ok(refused) => {
                    rounds = rounds.saturating_sub(u32::from(refused));
                    self.move_one_step(requests, holder.as_ref(), wanted).await
                }
                Err(trouble) => Err(trouble),
            };
            match answer {
                Ok(Assigned::Done(asset)) => {
                    course.wrote = true;
                    let unreadable =
                        asset.checked_out_to.as_ref().is_some_and(|holder| !holder.is_readable());
                    let now = holder_of(&asset);
                    if now.as_ref() == wanted {
                        return Ok(Held::AsWanted { asset, wrote: true });
                    }
                    if now == holder {
                        // Said to be done, and nothing is.
                        course.conflict = Some(holder);
                        continue;
                    }
                    course.taken |= now.is_none();
                    requests.halfway = true;
                    // Not known: it is read, and left alone where that does not tell either (P30).
                    course.known = (!unreadable).then_some(now);
                }
                Err(Trouble::NextWaits) => rounds = rounds.saturating_sub(1),
                // Not as it was known: read it.
                Ok(Assigned::Conflict { .. }) => course.conflict = Some(holder),
                Err(Trouble::Unshown) => {
                    course.wrote = true;
                    course.taken |= holder.is_some();
                    course.said_done = Some(holder);
                }
                // In the pause somebody may have given it to somebody else: read it. How often that goes
                // on is not for the rounds to say, but for `give_up_after`.
                Err(Trouble::Unknown) => {
                    course.taken |= holder.is_some();
                    rounds = rounds.saturating_sub(1);
                }
                Err(Trouble::NotFound) => {
                    // Of the asset, or of whom it is to go to: it is looked at before it is tried again.
                    course.conflict = Some(holder);
                    rounds = rounds.saturating_sub(1);
                }
                Err(Trouble::Fail { reason, .. }) if hands_over => {
                    let since = *course.refused.get_or_insert_with(Instant::now);
                    let may_pass = course.contradicted || requests.may_lack_permission();
                    if !may_pass || since.elapsed() >= WAITS_HALFWAY {
                        return self.give_back(requests, reason).await;
                    }
                    requests.refusal = OnRefusal::TriesAgain;
                    match requests.refused(&reason).await {
                        Ok(()) => rounds = rounds.saturating_sub(1),
                        Err(Trouble::Fail { .. }) => return self.give_back(requests, reason).await,
                        Err(trouble) => return Err(trouble),
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let reason = "the asset kept changing hands while it was assigned".to_owned();
        Err(Trouble::Fail { reason, field: None })
    }

    /// Where nothing can be checked out, that is asked for before the asset is checked in: while somebody has it AMFJ answers
    /// that this is so, if it may be done at all, and nobody loses it to find out (P21). None where it can be by now.
    async fn ask_first(
        &self,
        requests: &mut Requests<'_>,
        course: &mut Course,
        wanted: &RecordId,
    ) -> Result<Option<Held>, Trouble> {
        requests.refusal = OnRefusal::TriesAgain;
        requests.asks_first = true;
        let client = &self.context.client;
        let answer =
            requests.send(Idempotency::Idempotent, || client.check_out(self.asset, wanted, None)).await;
        requests.asks_first = false;
        match answer {
            Ok(Assigned::Done(asset)) if holder_of(&asset).as_ref() == Some(wanted) => {
                Ok(Some(Held::AsWanted { asset, wrote: true }))
            }
            Ok(_) | Err(Trouble::RefusedOtherwise) => Ok(None),
            Err(Trouble::Unshown) => {
                course.wrote = true;
                Ok(None)
            }
            Err(trouble) => Err(trouble),
        }
    }

    /// Reads who has the asset: whom the next step is to find, or how it ended.
    async fn look(
        &self,
        requests: &mut Requests<'_>,
        course: &mut Course,
        tried_before: bool,
    ) -> Result<Result<Has, Held>, Trouble> {
        let mut asset = self.read(requests).await?;
        if course.said_done.take().is_some_and(|before| before == holder_of(&asset)) {
            // What AMFJ shows late is waited for once; what it does not do is a refusal.
            requests.wait(self.context.integration.amfj.list_delay).await?;
            asset = self.read(requests).await?;
            course.conflict = Some(holder_of(&asset));
        }
        let holder = holder_of(&asset);
        let expected = self.expected.map(|holder| &holder.id);
        if holder.as_ref() == self.to.map(|holder| &holder.id) {
            return Ok(Err(Held::AsWanted { asset: Box::new(asset), wrote: course.wrote }));
        }
        // Nobody has it: our own check-in, or somebody's; either way nobody loses it.
        if holder.is_some() && holder.as_ref() != expected {
            return Ok(Err(Held::SomebodyElse(Box::new(asset))));
        }
        requests.halfway |= holder.is_none() && expected.is_some();
        course.taken |= tried_before && holder.is_none() && expected.is_some();
        Ok(Ok(holder))
    }

    async fn read(&self, requests: &mut Requests<'_>) -> Result<Asset, Trouble> {
        let read = requests.send(Idempotency::Read, || self.context.client.asset(self.asset)).await?;
        read.ok_or_else(|| Trouble::NotThere(self.asset.clone()))
    }

    /// Whether AMFJ refused the very same step, and the asset is still as it was: a refusal like any other,
    /// which is tried again after a pause.
    async fn after_conflict(
        &self,
        requests: &mut Requests<'_>,
        course: &mut Course,
        holder: Option<&RecordId>,
    ) -> Result<bool, Trouble> {
        let same = course.conflict.take().is_some_and(|met| met.as_ref() == holder);
        course.contradicted = same;
        if same {
            let reason = "AMFJ does not do it, although the asset is there and nobody else has it";
            requests.refused(reason).await?;
        }
        Ok(same)
    }

    async fn move_one_step(
        &self,
        requests: &mut Requests<'_>,
        holder: Option<&RecordId>,
        wanted: Option<&RecordId>,
    ) -> Result<Assigned, Trouble> {
        let client = &self.context.client;
        match (holder, wanted) {
            (None, Some(wanted)) => {
                requests.send(Idempotency::Idempotent, || client.check_out(self.asset, wanted, None)).await
            }
            // A check-in takes the asset from whoever has it.
            _ => requests.send(Idempotency::Conditional, || client.check_in(self.asset, None)).await,
        }
    }

    /// AMFJ refused the check-out after our check-in: the asset goes back to whom it was taken from (P21).
    async fn give_back(&self, requests: &mut Requests<'_>, why: String) -> Result<Held, Trouble> {
        let Some(from) = self.expected else { return Err(Trouble::Fail { reason: why, field: None }) };
        requests.refusal = OnRefusal::TriesAgain;
        let client = &self.context.client;
        let to = self.to.map_or("the user", |to| to.name.as_str());
        let refused = loop {
            match requests
                .send(Idempotency::Idempotent, || client.check_out(self.asset, &from.id, None))
                .await
            {
                Ok(_) | Err(Trouble::Unshown | Trouble::NotFound) => {
                    let asset = self.read(requests).await?;
                    let holder = holder_of(&asset);
                    if holder.as_ref() == self.to.map(|to| &to.id) {
                        return Ok(Held::AsWanted { asset: Box::new(asset), wrote: true });
                    }
                    if let Some(holder) = &asset.checked_out_to {
                        let reason = if holder.id == from.id {
                            format!("{why}; the asset was given back to {}", from.name)
                        } else {
                            format!("{why}; {} took the asset meanwhile and keeps it", holder.name)
                        };
                        return Ok(Held::Refused { asset: Box::new(asset), reason });
                    }
                    let again = "AMFJ does not give the asset back, although nobody has it";
                    if let Err(trouble) = requests.refused(again).await {
                        break trouble;
                    }
                }
                Err(trouble) => break trouble,
            }
        };
        let Trouble::Fail { reason, .. } = refused else { return Err(refused) };
        let left = self.read(requests).await.map_err(|trouble| match trouble {
            Trouble::Fail { .. } => Trouble::Fail { reason: why.clone(), field: None },
            other => other,
        })?;
        let nobody = format!(
            "{why}; nor did AMFJ take the asset back for {} ({reason}): nobody has it, check it out to {to} or \
             {} by hand",
            from.name, from.name
        );
        Ok(Held::Refused { asset: Box::new(left), reason: nobody })
    }
}
