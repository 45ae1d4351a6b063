//! Trying again: pauses that grow.
//!
//! The only module that knows the `backoff` crate, which is unmaintained (RUSTSEC-2025-0012), so
//! that replacing it is a small matter.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

use std::sync::Arc;
use std::time::Duration;

use ::backoff::backoff::Backoff as _;
use ::backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use amfj_sync_config::RetryConfig;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// Pauses that make no sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackoff {
    /// A first pause of nothing never grows.
    #[error("the first pause must be longer than nothing")]
    Zero,
    /// The longest pause is shorter than the first.
    #[error("the longest pause ({max:?}) must not be shorter than the first ({initial:?})")]
    Shrinking {
        /// The first pause.
        initial: Duration,
        /// The longest.
        max: Duration,
    },
}

/// Pauses that double from the first to the longest, each spread at random by a half, so that many
/// workers that failed together do not come back together.
#[derive(Debug)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    pauses: ExponentialBackoff,
}

impl Backoff {
    /// Pauses from `initial` to `max`; they go on for ever.
    #[expect(clippy::disallowed_methods, reason = "this crate stands before it")]
    pub fn try_new(initial: Duration, max: Duration) -> Result<Self, InvalidBackoff> {
        if initial.is_zero() {
            return Err(InvalidBackoff::Zero);
        }
        if max < initial {
            return Err(InvalidBackoff::Shrinking { initial, max });
        }
        let mut pauses = ExponentialBackoffBuilder::new()
            .with_initial_interval(initial)
            .with_multiplier(2.0)
            .with_randomization_factor(0.5)
            .with_max_interval(max)
            // Said explicitly: the crate would stop after 15 minutes.
            .with_max_elapsed_time(None)
            .build();
        pauses.reset();
        Ok(Self { initial, max, pauses })
    }

    /// The next pause: never longer than the longest.
    #[expect(clippy::should_implement_trait, reason = "it never ends, so there is no Option to return")]
    pub fn next(&mut self) -> Duration {
        self.pauses.next_backoff().unwrap_or(self.max).min(self.max)
    }

    /// Starts again at the first pause, after a success.
    pub fn reset(&mut self) {
        self.pauses.reset();
    }
}

impl Clone for Backoff {
    /// A fresh one with the same limits.
    fn clone(&self) -> Self {
        let mut pauses = self.pauses.clone();
        pauses.reset();
        Self { initial: self.initial, max: self.max, pauses }
    }
}

/// How one operation is tried again. Clones share what is known of the next try.
#[derive(Debug, Clone)]
pub struct Policy {
    backoff: Backoff,
    give_up_after: Duration,
    next: Arc<Mutex<Option<Instant>>>,
}

impl Policy {
    /// Pauses from `initial` to `max`, given up `give_up_after` the first attempt began.
    pub fn try_new(
        initial: Duration,
        max: Duration,
        give_up_after: Duration,
    ) -> Result<Self, InvalidBackoff> {
        Ok(Self { backoff: Backoff::try_new(initial, max)?, give_up_after, next: Arc::default() })
    }

    /// The policy that the configuration describes.
    pub fn from_config(config: &RetryConfig) -> Result<Self, InvalidBackoff> {
        Self::try_new(config.initial, config.max, config.give_up_after)
    }

    /// Fresh pauses of this policy.
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        self.backoff.clone()
    }

    /// When that which failed last is tried again; none where nothing waits.
    #[must_use]
    pub fn next_try(&self) -> Option<Instant> {
        *self.next.lock()
    }

    /// After how long an operation is given up.
    #[must_use]
    pub fn give_up_after(&self) -> Duration {
        self.give_up_after
    }
}

/// What to do after an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Try again, no sooner than this.
    Again(Option<Duration>),
    /// It will not get better.
    Stop,
}

/// An error that knows whether another attempt may help.
pub trait Retryable {
    /// Whether, and how soon.
    fn verdict(&self) -> Verdict;
}

/// Why [`retry`] came back without a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Stopped<E> {
    /// The worker is shutting down.
    #[error("stopped because the worker is shutting down")]
    Cancelled,
    /// An error that another attempt would not cure.
    #[error("{0}")]
    Failed(E),
    /// The time was up, or would have been before the next attempt.
    #[error("given up after {attempts} attempts in {elapsed:.1?}: {error}")]
    GaveUp {
        /// The last error.
        error: E,
        /// How often it was tried.
        attempts: u32,
        /// Since the first attempt began.
        elapsed: Duration,
    },
}

/// Tries `attempt` until it succeeds, fails for good, the policy's time is up, or `cancel` is set.
///
/// Cancelling interrupts pauses, at once, and prevents further attempts. It never interrupts an
/// attempt, which may be a write; an attempt that may be dropped can watch the token itself.
pub async fn retry<T, E, F>(
    policy: &Policy,
    cancel: &CancellationToken,
    mut attempt: impl FnMut() -> F,
) -> Result<T, Stopped<E>>
where
    E: Retryable + std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut pauses = policy.backoff();
    let started = Instant::now();
    let mut attempts = 0_u32;
    loop {
        if cancel.is_cancelled() {
            return Err(Stopped::Cancelled);
        }
        attempts = attempts.saturating_add(1);
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let Verdict::Again(asked) = error.verdict() else {
            return Err(Stopped::Failed(error));
        };
        // Never sooner than the service asks for, and never all at the same moment.
        let pause = pauses.next().max(asked.unwrap_or_default());
        let elapsed = started.elapsed();
        if elapsed + pause > policy.give_up_after {
            return Err(Stopped::GaveUp { error, attempts, elapsed });
        }
        tracing::debug!(attempts, pause_ms = pause.as_secs_f64() * 1e3, %error, "trying again after a pause");
        *policy.next.lock() = Some(Instant::now() + pause);
        let waited = cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
        *policy.next.lock() = None;
        if waited.is_none() {
            return Err(Stopped::Cancelled);
        }
    }
}
