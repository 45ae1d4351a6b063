//! Looking before something is created (P7): by its name or email, or, where more is to be created than the
//! list has pages, by one walk through that list which is good for ten minutes. And the walk for young
//! records, after an answer was lost.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_projection::rows::IntentRow;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Creatable;
use super::walking::walk;
use crate::context::IntegrationContext;
use crate::requests::{Idempotency, Requests, Trouble};

/// How long one more walk of the list is good for.
const GOOD_FOR: Duration = Duration::from_mins(10);

/// For how long it is settled that few are to be created, and each is looked for by itself.
const FEW_FOR: Duration = Duration::from_mins(1);

/// Records of a page of a list.
pub(super) const PAGE: u64 = 100;

/// Whether and how AMFJ is still to be asked before the first creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked {
    /// In whichever way costs less.
    NotYet,
    /// By name or email: what others did a moment ago counts.
    NotYetAndNow,
    /// It was.
    Already,
}

/// What the walks of one list left behind, for all changes of this process.
#[derive(Debug)]
pub(crate) struct Walks<R> {
    before: Mutex<Before<R>>,
    young: Mutex<Option<Arc<Young<R>>>>,
}

impl<R> Default for Walks<R> {
    fn default() -> Self {
        Self { before: Mutex::new(Before { walked: None, few_until: None }), young: Mutex::default() }
    }
}

#[derive(Debug)]
struct Before<R> {
    /// When the walk began, and the rows that the view did not know then.
    walked: Option<(Instant, Vec<R>)>,
    /// Until when few are to be created.
    few_until: Option<Instant>,
}

/// A walk for what may have come of interrupted creations.
#[derive(Debug)]
struct Young<R> {
    begun: Instant,
    /// Everything from this place in the stream on counts as young.
    since: u64,
    rows: Vec<R>,
}

/// The records of the list that `keep` wants.
pub(super) async fn walked<C: Creatable>(
    context: &IntegrationContext,
    requests: &mut Requests<'_>,
    keep: impl Fn(&C::Record) -> bool + Send + Sync,
) -> Result<Vec<C::Record>, Trouble> {
    let mut rows = Vec::new();
    let wanted = &mut |found: C::Record| {
        if keep(&found) {
            rows.push(found);
        }
        true
    };
    walk::<C>(context, requests, wanted).await?;
    Ok(rows)
}

/// Of these, one that bears the name, email or serial of what is to be created, and that this worker does not
/// know although it has read everything that was said.
pub(super) async fn news<C: Creatable>(
    context: &IntegrationContext,
    wanted: &C,
    found: Vec<C::Record>,
) -> Result<Option<C::Record>, Trouble> {
    let is_news = |found: &C::Record| {
        wanted.is_namesake(context, found) && context.state.read(|view| C::is_unknown(context, view, found))
    };
    if !found.iter().any(is_news) {
        return Ok(None);
    }
    context.state.read_to_end().await.map_err(|_| Trouble::Requeue)?;
    Ok(found.into_iter().find(is_news))
}

/// Asks AMFJ before the first creation. What it has and the view does not know is in the way.
pub(crate) async fn look<C: Creatable>(
    looked: &mut Looked,
    context: &IntegrationContext,
    requests: &mut Requests<'_>,
    wanted: &C,
) -> Result<Option<C::Record>, Trouble> {
    let found = match looked {
        Looked::Already => return Ok(None),
        Looked::NotYetAndNow => match requests.send(Idempotency::Read, || wanted.search(context)).await? {
            Some(found) => found,
            None => walked::<C>(context, requests, |found| wanted.is_namesake(context, found)).await?,
        },
        Looked::NotYet => cheapest(context, requests, wanted).await?,
    };
    *looked = Looked::Already;
    news(context, wanted, found).await
}

async fn cheapest<C: Creatable>(
    context: &IntegrationContext,
    requests: &mut Requests<'_>,
    wanted: &C,
) -> Result<Vec<C::Record>, Trouble> {
    let namesakes = |rows: &[C::Record]| {
        rows.iter().filter(|found| wanted.is_namesake(context, found)).cloned().collect::<Vec<_>>()
    };
    let mut before = requests.wait_for(C::walks(context).before.lock()).await?;
    let now = Instant::now();
    if let Some((begun, rows)) = &before.walked
        && now.duration_since(*begun) < GOOD_FOR
    {
        let found = namesakes(rows);
        drop(before);
        return still_there::<C>(context, requests, found).await;
    }
    before.walked = None;
    if before.few_until.is_none_or(|until| until <= now) {
        let (expected, known) = context.state.read(C::expected);
        let few = expected <= known.div_ceil(PAGE).max(1);
        before.few_until = few.then(|| now + FEW_FOR);
    }
    if before.few_until.is_some() {
        // The others need not wait for this one.
        drop(before);
        if let Some(found) = requests.send(Idempotency::Read, || wanted.search(context)).await? {
            return Ok(found);
        }
        before = requests.wait_for(C::walks(context).before.lock()).await?;
    }
    let unknown = |found: &C::Record| context.state.read(|view| C::is_unknown(context, view, found));
    let rows = walked::<C>(context, requests, unknown).await?;
    let found = namesakes(&rows);
    before.walked = Some((now, rows));
    Ok(found)
}

/// What a walk showed some minutes ago may be deleted by now: it is read before it is in anybody's way, and what the view knows by
/// now is in nobody's.
async fn still_there<C: Creatable>(
    context: &IntegrationContext,
    requests: &mut Requests<'_>,
    found: Vec<C::Record>,
) -> Result<Vec<C::Record>, Trouble> {
    let mut there = Vec::new();
    for record in found {
        if context.state.read(|view| C::is_unknown(context, view, &record)) {
            there.extend(requests.send(Idempotency::Read, || C::again(context, &record)).await?);
        }
    }
    Ok(there)
}

/// The records that came after the first attempt and that nothing claims. One walk serves all that wait for it.
pub(super) async fn young<C: Creatable>(
    context: &IntegrationContext,
    requests: &mut Requests<'_>,
    first: &IntentRow,
) -> Result<Vec<C::Record>, Trouble> {
    let asked = Instant::now();
    let mut shared = requests.wait_for(C::walks(context).young.lock()).await?;
    if let Some(young) = &*shared
        && young.begun >= asked
        && young.since <= first.offset
    {
        return Ok(young.rows.clone());
    }
    let begun = Instant::now();
    let mut rows = Vec::new();
    let keep = &mut |found: C::Record| {
        if C::is_young_and_free(context, &found, first) {
            rows.push(found);
        }
        true
    };
    walk::<C>(context, requests, keep).await?;
    *shared = Some(Arc::new(Young { begun, since: first.offset, rows: rows.clone() }));
    Ok(rows)
}
