//! What the writer counts and logs: one function for each thing worth it.
#![expect(clippy::disallowed_macros, reason = "what is worth counting is counted here")]

use amfj_sync_broker::Stage;
use amfj_sync_model::ids::{IntegrationId, RunId};
use amfj_sync_model::messages::{Action, Ending, Outcome};
use amfj_sync_service::backlog::counting;

use crate::blame::kinds::RequestKind;

/// The circuit of an integration moved.
pub(crate) fn circuit(integration: &IntegrationId, open: bool) {
    metrics::gauge!("amfj_sync_circuit_open", "integration" => integration.to_string(), "api" => "amfj")
        .set(f64::from(u8::from(open)));
}

/// A kind of request waits, or goes on.
pub(crate) fn kind_waits(integration: &IntegrationId, kind: RequestKind, waits: bool) {
    metrics::gauge!("amfj_sync_kind_waiting", "integration" => integration.to_string(), "operation" => kind.as_str())
        .set(f64::from(u8::from(waits)));
}

/// So many changes in hand were refused and stepped aside.
pub(crate) fn stopped(integration: &IntegrationId, count: usize) {
    metrics::gauge!("amfj_sync_stopped_changes", "integration" => integration.to_string())
        .set(u32::try_from(count).unwrap_or(u32::MAX));
}

/// Counters that an alert compares exist before the first change.
pub(crate) fn begin(integration: &IntegrationId) {
    counting::begin(integration, Stage::Apply);
    let integration = integration.to_string();
    for kind in Action::KINDS {
        for result in RESULTS {
            metrics::counter!("amfj_sync_changes_total", "integration" => integration.clone(),
                "kind" => kind, "result" => result)
            .increment(0);
        }
    }
    for what in ["asset", "user"] {
        metrics::counter!("amfj_sync_adopted_total", "integration" => integration.clone(), "what" => what)
            .increment(0);
    }
}

/// How a change can end.
const RESULTS: [&str; 4] = ["applied", "unneeded", "stale", "failed"];

/// A change ended.
pub(crate) fn ended(integration: &IntegrationId, run: Option<&RunId>, outcome: &Outcome) {
    let result = result(&outcome.ending);
    metrics::counter!("amfj_sync_changes_total", "integration" => integration.to_string(),
        "kind" => outcome.kind.clone(), "result" => result)
    .increment(1);
    let run = run.map(tracing::field::display);
    let (device, user) = outcome.key.parts();
    if let Ending::Failed { reason } = &outcome.ending {
        tracing::warn!(%integration, run, device, user, label = outcome.label, kind = outcome.kind, reason,
            "a change failed for good; it is a dead letter now");
    } else {
        tracing::debug!(%integration, run, device, user, label = outcome.label, kind = outcome.kind, result,
            "a change ended");
    }
}

/// The word for how a change ended.
pub(crate) fn result(ending: &Ending) -> &'static str {
    match ending {
        Ending::Applied => "applied",
        Ending::Unneeded => "unneeded",
        Ending::Stale { .. } => "stale",
        Ending::Failed { .. } => "failed",
    }
}

/// A creation whose answer was lost was found in AMFJ instead of sent again.
pub(crate) fn adopted(integration: &IntegrationId, what: &'static str) {
    metrics::counter!("amfj_sync_adopted_total", "integration" => integration.to_string(), "what" => what)
        .increment(1);
    tracing::info!(%integration, what, "an interrupted creation was found in AMFJ and adopted");
}
