//! Spacing of calls: so many a second, and a pause when a service asks for one.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The slowest rate that makes sense: one call in an hour.
const SLOWEST: f64 = 1.0 / 3600.0;
/// The fastest rate that is still limited.
const FASTEST: f64 = 1_000_000.0;

/// Lets callers through at a rate that can be changed while they wait. Clones share the rate.
///
/// A tenth of a second's worth of calls may pass at once, so that no second carries more than 1.1
/// times the rate. Callers pass in the order in which they came.
#[derive(Clone)]
pub struct Limiter(Arc<Inner>);

struct Inner {
    clock: DefaultClock,
    state: Mutex<State>,
    /// Only the caller at the head of the line waits for the clock; the others wait for their turn.
    turn: tokio::sync::Mutex<()>,
    changed: Notify,
}

struct State {
    rate: f64,
    gate: Arc<DefaultDirectRateLimiter>,
    paused_until: Option<Instant>,
}

impl Limiter {
    /// A limiter of `rate` calls a second; rates below one call in an hour are taken as that.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let rate = sane(rate);
        Self(Arc::new(Inner {
            clock: DefaultClock::default(),
            state: Mutex::new(State { rate, gate: gate(rate), paused_until: None }),
            turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
        }))
    }

    /// Waits until one more call may be made. Nothing is used up if the future is dropped.
    pub async fn acquire(&self) {
        let _turn = self.0.turn.lock().await;
        while let Some(until) = self.0.wait_until() {
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = self.0.changed.notified() => {}
            }
        }
    }

    /// Changes the rate, in calls a second, also for those who wait already.
    pub fn set_rate(&self, rate: f64) {
        let rate = sane(rate);
        let mut state = self.0.state.lock();
        if (state.rate - rate).abs() > f64::EPSILON {
            state.rate = rate;
            state.gate = gate(rate);
            self.0.changed.notify_one();
        }
    }

    /// The rate, in calls a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        self.0.state.lock().rate
    }

    /// Lets nobody through for `pause` from now on. A longer pause already asked for stays.
    pub fn pause_for(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.0.state.lock();
        if state.paused_until.is_none_or(|earlier| earlier < until) {
            state.paused_until = Some(until);
            self.0.changed.notify_one();
        }
    }

    /// How long the pause still lasts, if there is one.
    #[must_use]
    pub fn paused_for(&self) -> Option<Duration> {
        let until = self.0.state.lock().paused_until?;
        let left = until.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }
}

impl Inner {
    /// Takes a place, or says until when to wait. Its own function, so that the lock is not held while
    /// waiting.
    fn wait_until(&self) -> Option<Instant> {
        self.state.lock().pass(&self.clock)
    }
}

impl State {
    /// Takes a place, or says until when to wait for one.
    fn pass(&mut self, clock: &DefaultClock) -> Option<Instant> {
        let now = Instant::now();
        if let Some(until) = self.paused_until {
            if until > now {
                return Some(until);
            }
            self.paused_until = None;
        }
        self.gate.check().err().map(|early| now + early.wait_time_from(clock.now()))
    }
}

fn sane(rate: f64) -> f64 {
    if rate.is_nan() { SLOWEST } else { rate.clamp(SLOWEST, FASTEST) }
}

fn gate(rate: f64) -> Arc<DefaultDirectRateLimiter> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the rate is between 0 and a million"
    )]
    let burst = NonZeroU32::new((rate / 10.0) as u32).unwrap_or(NonZeroU32::MIN);
    let spacing = Duration::from_secs_f64(1.0 / rate);
    let quota = Quota::with_period(spacing).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    Arc::new(RateLimiter::direct(quota.allow_burst(burst)))
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("rate", &self.rate()).field("paused_for", &self.paused_for()).finish()
    }
}
