//! Kandji's limits: 10,000 requests an hour for the whole tenant, whoever makes them, and 50 a second.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_http::{Answer, Limiter, StatusCode};
use amfj_sync_model::ids::IntegrationId;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

#[cfg(test)]
mod tests;

/// Requests a second: below the 50 that Kandji allows, since other tools share them.
const PER_SECOND: f64 = 45.0;
/// The pause after a 429 that does not say how long.
const UNSTATED_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause that the second's window can ask for; anything longer is not about a second.
const LONGEST_SECOND: f64 = 2.0;
/// How long Kandji's own count is believed. Afterwards one request is let through to learn it anew.
const REPORT_HOLDS: SignedDuration = SignedDuration::from_secs(60);
/// The minutes of an hour, and the one that has begun.
const WINDOW: i64 = 60;

/// How many requests may still be made in this hour. Pure: the time comes from outside.
///
/// A sliding window over minutes: a request counts for the rest of its minute and sixty more, so
/// that no hour ever holds more than the share. Kandji's own count is respected where it is lower,
/// because other tools of the same tenant use the same hour.
#[derive(Debug, Clone)]
pub struct Budget {
    per_hour: u32,
    /// Minute since 1970 and requests made in it, ascending.
    minutes: VecDeque<(i64, u32)>,
    reported: Option<Reported>,
}

#[derive(Debug, Clone, Copy)]
struct Reported {
    at: Timestamp,
    remaining: u32,
}

impl Budget {
    /// A budget nothing of which is used.
    #[must_use]
    pub fn new(per_hour: u32) -> Self {
        Self { per_hour, minutes: VecDeque::new(), reported: None }
    }

    /// A budget with the requests made before a restart: minute since 1970, count.
    #[must_use]
    pub fn restore(per_hour: u32, mut minutes: Vec<(i64, u32)>) -> Self {
        minutes.sort_unstable();
        Self { minutes: minutes.into(), ..Self::new(per_hour) }
    }

    /// The requests of the last hour, by minute since 1970, to be kept for [`restore`](Self::restore).
    #[must_use]
    pub fn minutes(&self) -> Vec<(i64, u32)> {
        self.minutes.iter().copied().collect()
    }

    /// Counts one request.
    pub fn record(&mut self, now: Timestamp) {
        let minute = minute_of(now);
        // Also drops what lies in the future, after a clock was set back.
        self.minutes.retain(|&(counted, _)| counts(counted, minute));
        match self.minutes.iter_mut().find(|(counted, _)| *counted == minute) {
            Some((_, count)) => *count = count.saturating_add(1),
            None => self.minutes.push_back((minute, 1)),
        }
        if let Some(reported) = &mut self.reported {
            reported.remaining = reported.remaining.saturating_sub(1);
        }
    }

    /// Takes note of what Kandji says is left of the tenant's hour.
    pub fn report(&mut self, now: Timestamp, remaining: u32) {
        self.reported = Some(Reported { at: now, remaining });
    }

    /// How many requests may be made now.
    #[must_use]
    pub fn available(&self, now: Timestamp) -> u32 {
        let own = self.per_hour.saturating_sub(self.used(now));
        self.reported_left(now).map_or(own, |left| own.min(left))
    }

    /// When the next request may be made: `now` if there is room.
    #[must_use]
    pub fn next_free(&self, now: Timestamp) -> Timestamp {
        let minute = minute_of(now);
        let mut free = now;
        // Enough minutes have to leave the window to be below the share again.
        let mut excess = (self.used(now) + 1).saturating_sub(self.per_hour);
        for &(counted, count) in self.minutes.iter().filter(|(counted, _)| counts(*counted, minute)) {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(count);
            let leaves = (counted + WINDOW + 1) * 60;
            free = free.max(Timestamp::from_second(leaves).unwrap_or(free));
        }
        match (&self.reported, self.reported_left(now)) {
            (Some(reported), Some(0)) => free.max(reported.at + REPORT_HOLDS),
            _ => free,
        }
    }

    fn used(&self, now: Timestamp) -> u32 {
        let minute = minute_of(now);
        let counted = self.minutes.iter().filter(|(counted, _)| counts(*counted, minute));
        counted.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    fn reported_left(&self, now: Timestamp) -> Option<u32> {
        let reported = self.reported?;
        let age = now.duration_since(reported.at);
        (age >= SignedDuration::ZERO && age < REPORT_HOLDS).then_some(reported.remaining)
    }
}

fn minute_of(time: Timestamp) -> i64 {
    time.as_second().div_euclid(60)
}

fn counts(counted: i64, now: i64) -> bool {
    // A minute ahead is a clock that was set back a little; further ahead is nonsense.
    (now - WINDOW..=now + 1).contains(&counted)
}

/// All limits of one tenant. Clones share them; the list and the details draw on the same.
#[derive(Clone)]
pub struct Limits(Arc<Inner>);

struct Inner {
    integration: String,
    limiter: Limiter,
    budget: Mutex<Budget>,
    now: fn() -> Timestamp,
}

impl Limits {
    /// The limits for an integration: its share of the hour, and what it used of it before a restart
    /// ([`ledger`](Self::ledger)).
    #[must_use]
    pub fn new(integration: &IntegrationId, per_hour: u32, ledger: Vec<(i64, u32)>) -> Self {
        Self::with_clock(integration, per_hour, ledger, Timestamp::now)
    }

    /// The same with a clock from outside.
    #[must_use]
    pub fn with_clock(
        integration: &IntegrationId,
        per_hour: u32,
        ledger: Vec<(i64, u32)>,
        now: fn() -> Timestamp,
    ) -> Self {
        let limits = Self(Arc::new(Inner {
            integration: integration.to_string(),
            limiter: Limiter::new(PER_SECOND),
            budget: Mutex::new(Budget::restore(per_hour, ledger)),
            now,
        }));
        limits.show();
        limits
    }

    /// How many requests are left of this hour.
    #[must_use]
    pub fn available(&self) -> u32 {
        self.0.budget.lock().available((self.0.now)())
    }

    /// When the next request may be made, as far as the hour is concerned.
    #[must_use]
    pub fn next_free(&self) -> Timestamp {
        self.0.budget.lock().next_free((self.0.now)())
    }

    /// How long Kandji has asked to be left alone, if it has.
    #[must_use]
    pub fn paused_for(&self) -> Option<Duration> {
        self.0.limiter.paused_for()
    }

    /// The requests of the last hour by minute since 1970.
    #[must_use]
    pub fn ledger(&self) -> Vec<(i64, u32)> {
        self.0.budget.lock().minutes()
    }

    /// Takes one request from the hour, or says when there will be one.
    pub(super) fn take(&self) -> Result<(), Timestamp> {
        let now = (self.0.now)();
        {
            let mut budget = self.0.budget.lock();
            if budget.available(now) == 0 {
                return Err(budget.next_free(now));
            }
            budget.record(now);
        }
        self.show();
        Ok(())
    }

    /// Waits for a pause to end and for the second's limit.
    pub(super) async fn space(&self) {
        self.0.limiter.acquire().await;
    }

    /// Learns from an answer: its limits and how long to wait.
    pub fn learn(&self, answer: &Answer) {
        self.learn_from(answer.status(), answer.retry_after(), |name| answer.header(name));
    }

    fn learn_from<'a>(
        &self,
        status: StatusCode,
        retry_after: Option<Duration>,
        header: impl Fn(&str) -> Option<&'a str>,
    ) {
        let number = |name: &str| header(name)?.trim().parse::<u32>().ok();
        if let Some(remaining) = number("x-ratelimit-remaining-hour") {
            self.0.budget.lock().report((self.0.now)(), remaining);
        }
        if let Some(limit) = number("x-ratelimit-limit-second").filter(|limit| *limit > 0) {
            // A tenth below, as 45 is below 50.
            self.0.limiter.set_rate((f64::from(limit) * 0.9).min(PER_SECOND));
        }
        if number("ratelimit-remaining") == Some(0)
            && let Some(reset) = header("ratelimit-reset").and_then(|text| text.trim().parse::<f64>().ok())
            && (0.0..=LONGEST_SECOND).contains(&reset)
        {
            self.0.limiter.pause_for(Duration::from_secs_f64(reset));
        }
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.0.limiter.pause_for(retry_after.unwrap_or(UNSTATED_PAUSE));
        }
        self.show();
    }

    /// Shows how many are left as a metric; their number grows with time alone.
    #[expect(clippy::disallowed_macros, reason = "the one place that names it")]
    pub fn show(&self) {
        metrics::gauge!("amfj_sync_kandji_requests_remaining_hour", "integration" => self.0.integration.clone())
            .set(self.available());
    }
}

impl std::fmt::Debug for Limits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits")
            .field("available", &self.available())
            .field("limiter", &self.0.limiter)
            .finish()
    }
}
