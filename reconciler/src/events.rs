//! What the reconciler counts and logs.

use amfj_sync_shared::ids::{IntegrationId, RunId};
use amfj_sync_shared::messages::Decision;

/// Counters that an alert compares exist before the first message.
pub(crate) fn begin(integration: &IntegrationId) {
    let integration = integration.to_string();
    metrics::counter!("amfj_sync_dead_lettered_total", "integration" => integration.clone()).increment(0);
    metrics::counter!("amfj_sync_redeliveries_total", "stage" => "reconcile").increment(0);
    metrics::counter!("amfj_sync_repeats_total", "stage" => "reconcile").increment(0);
    metrics::counter!("amfj_sync_messages_done_total", "integration" => integration.clone(), "stage" => "reconcile")
        .increment(0);
    metrics::gauge!("amfj_sync_in_flight", "integration" => integration, "stage" => "reconcile").set(0.0);
}

/// So many messages were acknowledged.
pub(crate) fn done(integration: &IntegrationId, count: usize) {
    metrics::counter!("amfj_sync_messages_done_total",
        "integration" => integration.to_string(), "stage" => "reconcile")
    .increment(count as u64);
}

/// A message was delivered that had been delivered before.
pub(crate) fn redelivered() {
    metrics::counter!("amfj_sync_redeliveries_total", "stage" => "reconcile").increment(1);
}

/// A snapshot was met that is older than what is known, or was decided before.
pub(crate) fn repeat_met() {
    metrics::counter!("amfj_sync_repeats_total", "stage" => "reconcile").increment(1);
}

/// A device or person was decided about.
pub(crate) fn decided(integration: &IntegrationId, run: Option<&RunId>, decision: &Decision) {
    let run = run.map(tracing::field::display);
    let (device, user) = decision.key.parts();
    tracing::debug!(%integration, run, device, user, state = decision.state.as_str(), reason = decision.reason,
        changes = decision.changes.len(), "decided");
}

/// Every partition of a run is decided.
pub(crate) fn run_decided(integration: &IntegrationId, run: &RunId) {
    tracing::info!(%integration, %run, "run decided");
}

/// A message became a dead letter.
pub(crate) fn dead_letter(integration: &IntegrationId, reason: &str) {
    metrics::counter!("amfj_sync_dead_lettered_total", "integration" => integration.to_string()).increment(1);
    tracing::warn!(%integration, reason, "a message that cannot be read became a dead letter");
}

/// Devices of an integration in one state.
pub(crate) fn devices(integration: &IntegrationId, state: &'static str, count: u32) {
    metrics::gauge!("amfj_sync_devices", "integration" => integration.to_string(), "state" => state)
        .set(f64::from(count));
}

/// Messages taken from the queue and not finished, as a difference.
pub(crate) fn in_flight(integration: &IntegrationId, difference: f64) {
    metrics::gauge!("amfj_sync_in_flight", "integration" => integration.to_string(), "stage" => "reconcile")
        .increment(difference);
}
