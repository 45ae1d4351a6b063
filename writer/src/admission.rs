//! Admission: the right to announce one request to AMFJ, and to send it.
//!
//! It is had before a change is announced. Whoever takes a partition over waits for what is announced there and not
//! answered, so no more wait to be sent than are under way: the next is announced while the last ones are answered, and a
//! free place is never kept for an announcement that is still on its way to the broker.

use std::time::Duration;

use amfj_sync_http::Limiter;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::blame::Turn;
use crate::context::IntegrationContext;
use crate::slots::Slot;

/// How long a place in the rate is worth something. Where the broker keeps many changes waiting between their places and
/// their requests, these would all be sent at the same moment.
const GOOD_FOR: Duration = Duration::from_secs(1);

/// The right to announce one request and to be among the next to send one, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    turn: Option<Turn<'a>>,
    /// None once a request was sent with it, as the next one.
    waiting: Option<Slot>,
    /// When the place in the rate was had.
    place: Option<Instant>,
}

/// One of the requests that the integration and the worker may have under way, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct UnderWay<'a> {
    _own: Slot,
    _all: SemaphorePermit<'a>,
}

impl<'a> Admission<'a> {
    /// Waits for the circuit, for a place among those that wait to be sent, and for one in the rate. None where the circuit is
    /// open. One that has not failed goes before one that has, where the circuit is half-open; `again` as in [`Slots::have`].
    pub(crate) async fn to(context: &'a IntegrationContext, failed: bool, again: bool) -> Option<Self> {
        let turn = context.circuit.turn(failed).await?;
        Self { turn, waiting: None, place: None }.renewed(context, again).await
    }

    /// Waits for what a request was sent with, and for a place in the rate that is worth something.
    pub(crate) async fn renewed(mut self, context: &'a IntegrationContext, again: bool) -> Option<Self> {
        if self.waiting.is_none() {
            self.waiting = Some(context.own_announcements.have(again).await?);
        }
        self.have_place(context.client.limiter()).await;
        Some(self)
    }

    /// Waits for one of the requests that may be under way, and sends with it. None only where the writer ends.
    pub(crate) async fn send(
        &mut self,
        context: &'a IntegrationContext,
        again: bool,
    ) -> Option<UnderWay<'a>> {
        let own = context.own_requests.have(again).await?;
        let all = context.requests.acquire().await.ok()?;
        // AMFJ may have been slow for so long that the place in the rate is worth nothing any more.
        self.have_place(context.client.limiter()).await;
        (self.place, self.waiting) = (None, None);
        Some(UnderWay { _own: own, _all: all })
    }

    async fn have_place(&mut self, limiter: &Limiter) {
        if self.place.is_none_or(|since| since.elapsed() >= GOOD_FOR) {
            limiter.acquire().await;
            self.place = Some(Instant::now());
        }
    }

    /// Lets others send, but keeps the turn of a half-open circuit until the answer is judged.
    pub(crate) fn into_turn(self) -> Option<Turn<'a>> {
        self.turn
    }
}
