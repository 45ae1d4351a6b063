//! Pauses that a person orders (P33): known to everybody who follows the stream, and obeyed by waiting here.

use std::time::Duration;

use amfj_sync_projection::rows::Pause;
use jiff::Timestamp;
use tokio::sync::watch;

use super::{Shared, StateHandle};

/// The longest wait for the end of a pause at a time: the clock may be set meanwhile.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The pause that was read last from a view that was read to its end.
#[derive(Debug, Default)]
pub(super) struct Pauses(watch::Sender<Option<Pause>>);

impl Shared {
    /// The view has changed. While it is built anew, what was known before goes on: a worker that forgot a pause meanwhile
    /// would go on with what somebody stopped.
    pub(super) fn look_for_a_pause(&self) {
        if *self.caught_up.borrow() {
            self.take_over_the_pause();
        }
    }

    /// The same for a view that has just been read to its end.
    pub(super) fn take_over_the_pause(&self) {
        let view = self.view.read_recursive();
        let pause = &view.meta().pause;
        self.pauses.0.send_if_modified(|known| {
            let changes = known != pause;
            if changes {
                known.clone_from(pause);
            }
            changes
        });
    }
}

impl StateHandle {
    /// The pause that holds at this moment.
    #[must_use]
    pub fn pause(&self) -> Option<Pause> {
        let now = Timestamp::now();
        self.shared.pauses.0.borrow().clone().filter(|pause| pause.holds(now))
    }

    /// Returns while the integration is paused.
    pub async fn paused(&self) {
        let mut pauses = self.shared.pauses.0.subscribe();
        let holds = |pause: &Option<Pause>| pause.as_ref().is_some_and(|one| one.holds(Timestamp::now()));
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(pauses.wait_for(holds).await);
    }

    /// Returns while the integration is not paused.
    pub async fn resumed(&self) {
        let mut pauses = self.shared.pauses.0.subscribe();
        loop {
            let Some(pause) = self.pause() else { return };
            let Some(until) = pause.until else {
                drop(pauses.changed().await);
                continue;
            };
            let left = Duration::try_from(until.duration_since(Timestamp::now())).unwrap_or_default();
            // Whichever comes first, it is looked again.
            drop(tokio::time::timeout(left.min(LOOK_EVERY), pauses.changed()).await);
        }
    }
}
