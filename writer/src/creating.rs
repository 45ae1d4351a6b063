//! Creating assets and user records exactly once, although AMFJ promises nothing about repeats.
//!
//! Before the first creation AMFJ is asked whether it has the record by now ([`looking`]). A creation whose
//! outcome is unknown is never sent again blindly: AMFJ is searched for a record with the values that were
//! sent, younger than the first attempt and claimed by nothing else. One hit is adopted. None: the list delay
//! is waited out and it is searched again, and the whole list is gone through for a young record that only
//! resembles what was sent ([`resembling`]). Only if there is none either it is sent again. What resembles it
//! is a doubt: for a person or for the next run, and never a reason to send again.

use std::collections::HashSet;

use amfj_sync_amfj::client::Page;
use amfj_sync_http::CallError;
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::IntentRow;

use crate::context::IntegrationContext;
use crate::events;
use crate::requests::{Idempotency, Requests, Trouble, nothing_to_see};

mod assets;
pub(crate) mod looking;
mod resembling;
mod users;
mod walking;

pub(crate) use looking::{Looked, Walks};
pub(crate) use walking::walk;

/// A record that can be created and looked for.
pub(crate) trait Creatable: Sync + Sized {
    type Record: Clone + Send + Sync + 'static;

    const WHAT: &'static str;
    const LIST: &'static str;

    fn create(
        &self,
        context: &IntegrationContext,
    ) -> impl Future<Output = Result<Self::Record, CallError>> + Send;

    /// The id of a record.
    fn id(found: &Self::Record) -> &str;

    /// Asks AMFJ for records of exactly this name or email; none where the contract has no such search.
    fn search(
        &self,
        context: &IntegrationContext,
    ) -> impl Future<Output = Result<Option<Vec<Self::Record>>, CallError>> + Send;

    /// The record as it is now; none where it is not there any more.
    fn again(
        context: &IntegrationContext,
        found: &Self::Record,
    ) -> impl Future<Output = Result<Option<Self::Record>, CallError>> + Send;

    /// A page of the list of all such records.
    fn page(
        context: &IntegrationContext,
        cursor: Option<String>,
    ) -> impl Future<Output = Result<Page<Self::Record>, CallError>> + Send;

    /// The walks through that list that are shared.
    fn walks(context: &IntegrationContext) -> &Walks<Self::Record>;

    /// How many more may be created, and how many there are already, as far as is known.
    fn expected(view: &Projection) -> (u64, u64);

    /// Whether the view does not know it, or knows it under another name, email or serial.
    fn is_unknown(context: &IntegrationContext, view: &Projection, found: &Self::Record) -> bool;

    /// Whether it has the name, email or serial of what is to be created.
    fn is_namesake(&self, context: &IntegrationContext, found: &Self::Record) -> bool;

    /// Whether it came after the first attempt, and nothing claims it.
    fn is_young_and_free(context: &IntegrationContext, found: &Self::Record, first: &IntentRow) -> bool;

    /// Whether it holds all that was sent.
    fn holds_what_was_sent(&self, found: &Self::Record) -> bool;

    /// Whether AMFJ may have made it of what was sent, by storing that in forms of its own.
    fn resembles(&self, context: &IntegrationContext, found: &Self::Record) -> bool;
}

/// What came of a creation.
#[derive(Debug)]
pub(crate) enum Created<R> {
    /// The record, made now or by an earlier attempt.
    Made(R),
    /// Nothing is created, for AMFJ has this.
    Found {
        record: Box<R>,
        /// Whether an interrupted attempt may have made it.
        doubtful: bool,
    },
    /// AMFJ said that it was created, and does not show it.
    NotShown,
}

/// The course of one creation, over all values that are left out on the way.
#[derive(Debug)]
pub(crate) struct Creation<'a> {
    /// When the first attempt was announced.
    pub(crate) first: &'a IntentRow,
    /// Whether an attempt may have been carried out that nobody has looked for.
    pub(crate) unknown: bool,
    /// Whether AMFJ was asked before the first attempt.
    pub(crate) looked: Looked,
    /// Whether AMFJ said that it was done.
    said_done: bool,
}

impl<'a> Creation<'a> {
    pub(crate) fn new(first: &'a IntentRow, tried_before: bool, looked: Looked) -> Self {
        Self { first, unknown: tried_before, looked, said_done: false }
    }

    /// Creates a record, or finds the one that an earlier attempt created.
    pub(crate) async fn make<C: Creatable>(
        &mut self,
        context: &IntegrationContext,
        requests: &mut Requests<'_>,
        wanted: &C,
    ) -> Result<Created<C::Record>, Trouble> {
        loop {
            if self.unknown {
                if let Some(found) = self.search(context, requests, wanted).await? {
                    return Ok(found);
                }
                if self.said_done {
                    return Ok(Created::NotShown);
                }
                self.unknown = false;
                self.looked = Looked::Already;
            }
            if let Some(record) = looking::look(&mut self.looked, context, requests, wanted).await? {
                return Ok(Created::Found { record: Box::new(record), doubtful: false });
            }
            let answer = requests.send(Idempotency::NonIdempotent, || wanted.create(context)).await;
            match answer {
                Ok(record) => return Ok(Created::Made(record)),
                Err(Trouble::Unknown) => self.is_unknown_now(context),
                Err(Trouble::Unshown) => {
                    self.said_done = true;
                    self.is_unknown_now(context);
                }
                Err(Trouble::NotFound) => requests.refused("AMFJ answered 404 to a creation").await?,
                Err(Trouble::Fail { reason, field }) if requests.uncertain => {
                    // Given up after an attempt whose answer was lost: a last look (P26). It is unknown until then.
                    self.is_unknown_now(context);
                    let found =
                        self.exact(context, requests, wanted).await.map(Some).or_else(nothing_to_see)?;
                    return match found.and_then(|(ours, _)| only(ours)) {
                        Some(record) => Ok(adopted::<C>(context, record)),
                        None => Err(Trouble::Fail { reason, field }),
                    };
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }

    /// Whoever has the change next, should it go back to the queue, looks first.
    fn is_unknown_now(&mut self, context: &IntegrationContext) {
        self.unknown = true;
        context.unknown.lock().insert(self.first.intent.change);
    }

    /// What an earlier attempt created, or may have created.
    async fn search<C: Creatable>(
        &self,
        context: &IntegrationContext,
        requests: &mut Requests<'_>,
        wanted: &C,
    ) -> Result<Option<Created<C::Record>>, Trouble> {
        for round in 0..2 {
            if round == 1 {
                requests.wait(context.integration.amfj.list_delay).await?;
            }
            let (ours, others) = self.exact(context, requests, wanted).await?;
            if let Some(record) = one_of::<C>(ours)? {
                return Ok(Some(adopted::<C>(context, record)));
            }
            if let Some(other) = looking::news(context, wanted, others).await? {
                let doubtful =
                    C::is_young_and_free(context, &other, self.first) && wanted.resembles(context, &other);
                return Ok(Some(Created::Found { record: Box::new(other), doubtful }));
            }
        }
        let young = looking::young::<C>(context, requests, self.first).await?;
        let (ours, others): (Vec<_>, Vec<_>) = each_once::<C>(young)
            .into_iter()
            .filter(|found| {
                C::is_young_and_free(context, found, self.first) && wanted.resembles(context, found)
            })
            .partition(|found| wanted.is_namesake(context, found) && wanted.holds_what_was_sent(found));
        if let Some(record) = one_of::<C>(ours)? {
            return Ok(Some(adopted::<C>(context, record)));
        }
        Ok(others.into_iter().next().map(|other| Created::Found { record: Box::new(other), doubtful: true }))
    }

    /// What AMFJ has by exactly this name or email: what can only be ours, and the rest.
    async fn exact<C: Creatable>(
        &self,
        context: &IntegrationContext,
        requests: &mut Requests<'_>,
        wanted: &C,
    ) -> Result<(Vec<C::Record>, Vec<C::Record>), Trouble> {
        let found = match requests.send(Idempotency::Read, || wanted.search(context)).await? {
            Some(found) => found,
            None => {
                looking::walked::<C>(context, requests, |found| wanted.is_namesake(context, found)).await?
            }
        };
        let is_ours = |found: &C::Record| {
            wanted.is_namesake(context, found)
                && wanted.holds_what_was_sent(found)
                && C::is_young_and_free(context, found, self.first)
        };
        Ok(each_once::<C>(found).into_iter().partition(is_ours))
    }
}

/// Each record once: a row that moved while a list was read is on two pages, and a list that is begun anew shows its first
/// pages again. That is no second record.
fn each_once<C: Creatable>(mut found: Vec<C::Record>) -> Vec<C::Record> {
    let mut seen = HashSet::new();
    found.retain(|record| seen.insert(C::id(record).to_owned()));
    found
}

fn only<T>(mut found: Vec<T>) -> Option<T> {
    if found.len() == 1 { found.pop() } else { None }
}

fn adopted<C: Creatable>(context: &IntegrationContext, record: C::Record) -> Created<C::Record> {
    events::adopted(&context.integration.id, C::WHAT);
    Created::Made(record)
}

/// The one record that an interrupted attempt made; several are left to a person.
fn one_of<C: Creatable>(ours: Vec<C::Record>) -> Result<Option<C::Record>, Trouble> {
    if ours.len() > 1 {
        let reason = format!(
            "a creation was interrupted, and {} new {}s look like it; keep one, link it by hand, and delete the \
             others",
            ours.len(),
            C::WHAT
        );
        return Err(Trouble::Fail { reason, field: None });
    }
    Ok(only(ours))
}

#[cfg(test)]
mod tests;
