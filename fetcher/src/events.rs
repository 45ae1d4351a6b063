//! What is worth counting: each thing that happens to a run is logged and counted in one place.
#![expect(clippy::disallowed_macros, reason = "what is worth counting is counted here")]

use std::time::Duration;

use amfj_sync_model::ids::{IntegrationId, RunId};
use amfj_sync_service::endpoints::Receipt;

/// A run ended.
#[derive(Debug)]
pub(crate) struct RunEnded<'a> {
    pub(crate) integration: &'a IntegrationId,
    pub(crate) number: u64,
    pub(crate) took: Duration,
    pub(crate) result: RunResult<'a>,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum RunResult<'a> {
    /// Everything is in the queues.
    Published { devices: u64, users: u64, assets: u64 },
    /// Nothing of it was decided (P2).
    Failed { reason: &'a str },
    /// Nothing of it was published (P23).
    Held { reason: &'a str },
    /// A newer run has taken its place.
    Superseded,
    /// The worker is stopping.
    Stopped,
}

impl RunResult<'_> {
    fn label(&self) -> &'static str {
        match self {
            Self::Published { .. } => "published",
            Self::Failed { .. } => "failed",
            Self::Held { .. } => "held",
            Self::Superseded => "superseded",
            Self::Stopped => "stopped",
        }
    }
}

impl RunEnded<'_> {
    /// Logs and counts.
    pub(crate) fn emit(&self) {
        let Self { integration, number, took, ref result } = *self;
        let run = RunId::of(integration, number);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        match result {
            RunResult::Published { devices, users, assets } => {
                tracing::info!(%integration, %run, devices, users, assets, took_ms, "run published");
            }
            RunResult::Failed { reason } => {
                tracing::error!(%integration, %run, reason, took_ms, "run failed; nothing was decided");
            }
            RunResult::Held { reason } => {
                tracing::warn!(%integration, %run, reason, took_ms, "run held; nothing was published");
            }
            RunResult::Superseded => {
                tracing::info!(%integration, %run, "a newer run has taken its place; stopped quietly");
            }
            RunResult::Stopped => {
                tracing::info!(%integration, %run, "run stopped with the worker; the next one reads anew");
            }
        }
        let integration = integration.to_string();
        metrics::counter!("amfj_sync_runs_total",
            "integration" => integration, "result" => result.label())
        .increment(1);
        metrics::histogram!("amfj_sync_run_duration_seconds").record(took.as_secs_f64());
    }
}

/// Counters that an alert compares exist before the first run ends.
pub(crate) fn begin(integration: &IntegrationId) {
    for result in ["published", "failed", "held"] {
        metrics::counter!("amfj_sync_runs_total",
            "integration" => integration.to_string(), "result" => result)
        .increment(0);
    }
    kandji(integration, false);
}

/// Whether Kandji is out of order: the last walk over the devices failed.
pub(crate) fn kandji(integration: &IntegrationId, is_out_of_order: bool) {
    metrics::gauge!("amfj_sync_circuit_open", "integration" => integration.to_string(), "api" => "kandji")
        .set(f64::from(u8::from(is_out_of_order)));
}

/// This fetcher no longer leads: how many requests are left is known to whoever does.
pub(crate) fn requests_left_unknown(integration: &IntegrationId) {
    metrics::gauge!("amfj_sync_kandji_requests_remaining_hour", "integration" => integration.to_string())
        .set(f64::NAN);
}

/// A request to where events are taken was answered. What bears no right key is of no integration.
pub(crate) fn event_received(integration: Option<&IntegrationId>, receipt: Receipt) {
    let result = match receipt {
        Receipt::Taken => "taken",
        Receipt::NotJson => "not_json",
        Receipt::NotKnown(_) => "not_known",
        Receipt::Unavailable => "unavailable",
        Receipt::NoSuchAddress => "no_such_address",
        Receipt::WrongMethod => "wrong_method",
        Receipt::TooLarge => "too_large",
        Receipt::TooSlow => "too_slow",
    };
    let of = integration.map(ToString::to_string).unwrap_or_default();
    tracing::debug!(integration = of, result, "a request to where events are taken");
    metrics::counter!("amfj_sync_events_total", "integration" => of, "result" => result).increment(1);
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LookUp {
    /// AMFJ shows what is known.
    Unchanged,
    /// It shows something else, or something new, which is a fact now.
    Changed,
    /// It says that there is no such asset.
    NotFound,
    /// A look-up that began after the event, or a run, has shown it.
    Covered,
    /// It was not clear, or AMFJ did not answer: it is looked up again.
    Again,
    /// It cannot be looked up; the next run reads it.
    Failed,
}

/// An event was looked into.
pub(crate) fn looked_up(integration: &IntegrationId, came_of_it: LookUp) {
    let result = match came_of_it {
        LookUp::Unchanged => "unchanged",
        LookUp::Changed => "changed",
        LookUp::NotFound => "not_found",
        LookUp::Covered => "covered",
        LookUp::Again => "again",
        LookUp::Failed => "failed",
    };
    let integration = integration.to_string();
    metrics::counter!("amfj_sync_event_look_ups_total", "integration" => integration, "result" => result)
        .increment(1);
}

/// How many events of an integration wait to be looked into, and when the last one came.
pub(crate) fn events_waiting(integration: &IntegrationId, waiting: u32) {
    metrics::gauge!("amfj_sync_events_waiting", "integration" => integration.to_string())
        .set(f64::from(waiting));
}
