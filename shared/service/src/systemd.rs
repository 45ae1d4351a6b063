//! What systemd is told of a worker that it started: that it serves, that it lives, what it waits for, and that it stops.
//! Where nobody asked to be told (`NOTIFY_SOCKET` is not set), nothing happens.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_security::screen::sanitize;
use amfj_sync_security::secrets::scrub;
use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio_util::sync::CancellationToken;

use crate::endpoints::Health;

/// Between two lines about what it waits for, where nobody watches whether it lives.
const USUALLY: Duration = Duration::from_secs(10);

/// Tells that it serves, then how it is, until it stops. A worker that hangs says nothing any more, and is started anew.
pub(crate) async fn keep_told(health: Arc<dyn Health>, stop: CancellationToken) {
    if std::env::var_os("NOTIFY_SOCKET").is_none() {
        return;
    }
    tell(&[NotifyState::Ready, NotifyState::Status(&how_it_is(&*health))]);
    let watched = watchdog_enabled();
    let every = watched.map_or(USUALLY, |limit| (limit / 3).min(USUALLY));
    let soft = health.worker().shutdown.soft.clone();
    while soft.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        tell(&[NotifyState::Watchdog, NotifyState::Status(&how_it_is(&*health))]);
    }
    // Where it takes its own place, it does not stop.
    if !health.worker().shutdown.is_reload() {
        tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is in flight")]);
    }
    // What is in flight may take longer than the watchdog waits.
    while stop.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
        tell(&[NotifyState::Watchdog]);
    }
}

/// Tells that the configuration is being read again; [`ready`], or the program that takes the place of this one, tells the end of it.
pub(crate) fn reloading() {
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(&[NotifyState::Reloading, now]);
    }
}

/// Tells that it serves, as before.
pub(crate) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// One line: the first thing that keeps it from working.
fn how_it_is(health: &dyn Health) -> String {
    let reasons = health.not_ready();
    let first = reasons.first().map_or("ready", String::as_str);
    scrub(&sanitize(first)).into_owned()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = notify(state) {
        tracing::debug!(%error, "systemd cannot be told");
    }
}
