//! The circuit of one integration: while AMFJ is out of order, its changes stay in the queue (P28).
//!
//! Open: nothing is sent but a cheap read now and then. Half-open: one change at a time, those first that have not
//! failed yet, until a write succeeds. It opens on a refused token, a wrong address, a pause that AMFJ asked for, and
//! where a probe fails. Failures alone do not open it: they are about records or kinds of request
//! ([`crate::blame`]) as long as AMFJ answers a probe.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_http::{Answered, CallError};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_service::status;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::blame::{Blame, Line, Turn};
use crate::events;

/// How often the pause before a probe is doubled at most: from 15 seconds to eight minutes.
const MOST_DOUBLINGS: u32 = 5;

/// A longer pause that AMFJ asks for opens the circuit: nothing is kept in hand meanwhile, for the broker takes away
/// what is not acknowledged in time.
const LONG: Duration = Duration::from_secs(30);

/// The pause after a 429 that does not say how long.
const UNSTATED: Duration = Duration::from_secs(1);

/// Whether changes may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// All is well.
    Closed,
    /// AMFJ is out of order or refuses the token.
    Open,
    /// A probe succeeded; one change at a time.
    HalfOpen,
}

impl Position {
    /// The word for people and in `/status`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        }
    }
}

/// Why and since when it is not closed.
#[derive(Debug, Default)]
struct Story {
    reason: Option<String>,
    since: Option<Timestamp>,
    /// When the next probe is due.
    probe_at: Option<Instant>,
    /// Times in a row that it was opened again after a good probe.
    relapses: u32,
    /// Times that it was opened.
    openings: u64,
}

/// What one asked for in a pause means for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The limiter lets nobody through for so long.
    Slower(Duration),
    /// The circuit is open until then.
    Opened,
}

/// One integration's circuit.
#[derive(Debug)]
pub struct Circuit {
    integration: IntegrationId,
    position: watch::Sender<Position>,
    story: Mutex<Story>,
    suspicious: Notify,
    line: Line,
    /// Between two probes.
    every: Duration,
}

impl Circuit {
    /// A closed circuit that is probed every so often once it is open.
    #[must_use]
    pub fn new(integration: IntegrationId, every: Duration) -> Arc<Self> {
        events::circuit(&integration, false);
        Arc::new(Self {
            integration,
            position: watch::channel(Position::Closed).0,
            story: Mutex::default(),
            suspicious: Notify::new(),
            line: Line::default(),
            every,
        })
    }

    /// Where it stands.
    #[must_use]
    pub fn position(&self) -> Position {
        *self.position.borrow()
    }

    /// Why it is not closed.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.story.lock().reason.clone()
    }

    /// How it stands, for whoever asks this worker.
    #[must_use]
    pub fn report(&self) -> status::Circuit {
        let position = self.position();
        let story = self.story.lock();
        let now = (Instant::now(), Timestamp::now());
        let next = story.probe_at.filter(|_| position == Position::Open);
        status::Circuit {
            position: position.as_str().to_owned(),
            reason: story.reason.clone(),
            since: story.since,
            next: next.and_then(|next| crate::blame::moment(next, now)),
        }
    }

    /// How often it was opened.
    pub(crate) fn openings(&self) -> u64 {
        self.story.lock().openings
    }

    /// Waits until it stands elsewhere than at `here`.
    pub async fn moved_from(&self, here: Position) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.position.subscribe().wait_for(|position| *position != here).await);
    }

    /// Waits until it is open.
    pub async fn opened(&self) {
        drop(self.position.subscribe().wait_for(|position| *position == Position::Open).await);
    }

    /// Waits until changes may be sent.
    pub async fn passable(&self) {
        self.moved_from(Position::Open).await;
    }

    /// In half-open position, waits for the turn; none where it is or becomes open. One that has not failed goes
    /// before one that has.
    pub(crate) async fn turn(&self, failed: bool) -> Option<Option<Turn<'_>>> {
        let mut place = None;
        loop {
            let moved = self.line.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            match self.position() {
                Position::Closed => return Some(None),
                Position::Open => return None,
                Position::HalfOpen => {
                    let place = place.get_or_insert_with(|| self.line.join(failed));
                    if let Some(turn) = place.turn() {
                        return Some(Some(turn));
                    }
                }
            }
            tokio::select! {
                () = moved => {}
                () = self.moved_from(Position::HalfOpen) => {}
            }
        }
    }

    /// AMFJ carried out a write.
    pub fn wrote(&self) {
        if self.position() == Position::HalfOpen {
            tracing::info!(integration = %self.integration, "AMFJ takes changes again");
            self.story.lock().relapses = 0;
            self.move_to(Position::Closed, None);
        }
    }

    /// Something failed in a way that raises the question whether AMFJ is well: it is probed.
    pub fn suspect(&self) {
        self.suspicious.notify_one();
    }

    /// A person wants it to be tried now.
    pub fn try_now(&self) {
        self.story.lock().probe_at = Some(Instant::now());
        self.suspicious.notify_one();
    }

    /// Nothing is sent any more until a probe succeeds.
    pub fn open(&self, reason: &str) {
        let pause = {
            let mut story = self.story.lock();
            story.relapses += u32::from(self.position() == Position::HalfOpen);
            self.pause(story.relapses)
        };
        self.open_until(reason, Instant::now() + pause);
    }

    fn open_until(&self, reason: &str, probe_at: Instant) {
        if self.position() != Position::Open {
            tracing::error!(integration = %self.integration, reason,
                "AMFJ is paused for this integration; its changes stay in the queue until it answers again");
            self.story.lock().openings += 1;
        }
        self.story.lock().probe_at = Some(probe_at);
        self.move_to(Position::Open, Some(reason.to_owned()));
    }

    /// AMFJ asked to be left alone. A long pause, or one because it is out of order, opens the circuit until then;
    /// otherwise it is asked more slowly.
    pub(crate) fn asked_to_wait(&self, pause: Option<Duration>, out_of_order: bool, reason: &str) -> Asked {
        let pause = pause.unwrap_or(UNSTATED);
        if out_of_order || pause > LONG {
            self.open_until(reason, Instant::now() + pause);
            Asked::Opened
        } else {
            Asked::Slower(pause)
        }
    }

    fn move_to(&self, position: Position, reason: Option<String>) {
        events::circuit(&self.integration, position == Position::Open);
        {
            let mut story = self.story.lock();
            story.since = reason.as_ref().map(|_| story.since.unwrap_or_else(Timestamp::now));
            story.reason = reason;
        }
        self.position.send_replace(position);
        self.line.moved.notify_waiters();
    }

    /// Before the next probe. Where reads go well and writes do not, each try charges the changes at the
    /// head of the queues one delivery of the thousand they have: so the pauses grow.
    fn pause(&self, relapses: u32) -> Duration {
        self.every * 2_u32.pow(relapses.min(MOST_DOUBLINGS))
    }

    /// The longest pause between two probes, and between two trials of a kind.
    #[must_use]
    pub fn longest_pause(every: Duration) -> Duration {
        every * 2_u32.pow(MOST_DOUBLINGS)
    }

    /// What a probe said; `began` is when it was sent.
    fn probed(&self, answer: Result<(), CallError>, began: Instant, blame: &Blame, client: &AmfjClient) {
        let error = match answer {
            Ok(()) => return self.is_well(began, blame),
            Err(error) => error,
        };
        let reason = error.to_string();
        match Answered::of(&error) {
            answered if answered.is_alive() => self.is_well(began, blame),
            Answered::AskedToWait { pause, out_of_order } => {
                if let Asked::Slower(pause) = self.asked_to_wait(pause, out_of_order, &reason) {
                    client.limiter().pause_for(pause);
                    self.suspect();
                }
            }
            _ => self.open(&reason),
        }
    }

    /// AMFJ is well; what is refused all the same is about records or kinds of request.
    fn is_well(&self, began: Instant, blame: &Blame) {
        blame.shows_life(began);
        if self.position() == Position::Open {
            self.move_to(Position::HalfOpen, self.reason());
        } else {
            blame.convict();
        }
    }

    /// When the next probe is due; never, while nothing is suspected.
    async fn due(&self) {
        if self.position() != Position::Open {
            tokio::select! {
                () = self.suspicious.notified() => return,
                () = self.opened() => {}
            }
        }
        while self.position() == Position::Open {
            let at = self.story.lock().probe_at.unwrap_or_else(Instant::now);
            tokio::select! {
                () = tokio::time::sleep_until(at) => {
                    let mut story = self.story.lock();
                    // It may have been put off meanwhile.
                    if story.probe_at.is_none_or(|at| at <= Instant::now()) {
                        story.probe_at = Some(Instant::now() + self.pause(story.relapses));
                        return;
                    }
                }
                () = self.suspicious.notified() => {}
            }
        }
    }

    /// Probes while it is open, and whenever failures raise a suspicion; it waits for `resumed` before each probe.
    pub async fn watch(
        self: Arc<Self>,
        client: AmfjClient,
        blame: Arc<Blame>,
        resumed: impl AsyncFn(),
        stop: CancellationToken,
    ) {
        let due = async || {
            self.due().await;
            resumed().await;
        };
        while stop.run_until_cancelled(due()).await.is_some() {
            let probe = async {
                client.limiter().acquire().await;
                let began = Instant::now();
                (client.probe().await, began)
            };
            let Some((answer, began)) = stop.run_until_cancelled(probe).await else { return };
            self.probed(answer, began, &blame, &client);
        }
    }
}

#[cfg(test)]
mod tests;
