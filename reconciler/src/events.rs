//! What the reconciler counts and logs.
#![expect(clippy::disallowed_macros, reason = "what is worth counting is counted here")]

use amfj_sync_model::ids::{IntegrationId, RunId};
use amfj_sync_model::messages::Decision;

/// A device or person was decided about.
pub(crate) fn decided(integration: &IntegrationId, run: Option<&RunId>, decision: &Decision) {
    let run = run.map(tracing::field::display);
    let (device, user) = decision.key.parts();
    tracing::debug!(%integration, run, device, user, state = decision.state.as_str(), reason = decision.reason,
        changes = decision.changes.len(), "decided");
    // Only what is new is decided anew, so this is said once; and once for all of one person, whose values may be odd by
    // the thousand. `explain` shows each.
    if user.is_some()
        && let Some(warning) = decision.warnings.first()
    {
        tracing::warn!(%integration, run, user, count = decision.warnings.len(), warning, "about a person");
    }
}

/// Every partition of a run is decided.
pub(crate) fn run_decided(integration: &IntegrationId, run: &RunId) {
    tracing::info!(%integration, %run, "run decided");
}

/// Devices of an integration in one state.
pub(crate) fn devices(integration: &IntegrationId, state: &'static str, count: u32) {
    metrics::gauge!("amfj_sync_devices", "integration" => integration.to_string(), "state" => state)
        .set(f64::from(count));
}
