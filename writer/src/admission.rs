//! Admission: the right to send one request to AMFJ now.
//!
//! It is had before a change is announced. Whoever takes a partition over waits for what is announced there and not
//! answered, so no more is announced than can be sent at once.

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

/// The right to send one request, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    turn: Option<Turn<'a>>,
    _own: Slot,
    _all: SemaphorePermit<'a>,
    /// When the place in the rate was had; none once a request was sent with it.
    place: Option<Instant>,
}

impl<'a> Admission<'a> {
    /// Waits for the circuit, for one of the requests that the integration and the worker may have under way, and for a
    /// place in the rate. None where the circuit is open. One that has not failed goes before one that has, where the
    /// circuit is half-open; one that is `halfway` waits for nobody else's sake.
    pub(crate) async fn to(context: &'a IntegrationContext, failed: bool, halfway: bool) -> Option<Self> {
        let turn = context.circuit.turn(failed).await?;
        let own = context.own_requests.have(failed && !halfway).await?;
        let all = context.requests.acquire().await.ok()?;
        let mut admission = Self { turn, _own: own, _all: all, place: None };
        admission.have_place(context.client.limiter()).await;
        Some(admission)
    }

    /// Waits for a place in the rate, unless there is one that is worth something.
    pub(crate) async fn have_place(&mut self, limiter: &Limiter) {
        if self.place.is_none_or(|since| since.elapsed() >= GOOD_FOR) {
            limiter.acquire().await;
            self.place = Some(Instant::now());
        }
    }

    /// A request is sent with it; for another one, a place in the rate has to be had.
    pub(crate) fn send(&mut self) {
        self.place = None;
    }

    /// Lets others send, but keeps the turn of a half-open circuit until the answer is judged.
    pub(crate) fn into_turn(self) -> Option<Turn<'a>> {
        self.turn
    }
}
