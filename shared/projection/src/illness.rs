//! A worker that is ill: it cannot go on where it is, says so, and makes room for the others.
//!
//! sled keeps the first failure of its file and answers everything with it from then on, also when the disk has room
//! again; and the view of a worker whose store fails stands still, so that it does nothing with the partitions it has.
//! So the first failure of the store makes the worker ill for good: it is not ready, lets go of the broker within
//! seconds, and the process starts itself anew and waits until the folder can be written to.

use std::sync::Arc;

use tokio::sync::watch;

/// What ails a worker, for whoever asks and whoever waits. Clones share it.
#[derive(Debug, Clone)]
pub struct Illness(Arc<watch::Sender<Option<String>>>);

impl Default for Illness {
    fn default() -> Self {
        Self(Arc::new(watch::channel(None).0))
    }
}

impl Illness {
    /// The worker is ill because of this. What was said first stays: the rest follows from it.
    pub fn strike(&self, reason: impl FnOnce() -> String) {
        self.0.send_if_modified(|known| {
            if known.is_some() {
                return false;
            }
            let reason = reason();
            tracing::error!(reason, "this worker is ill; it makes room for the others");
            *known = Some(reason);
            true
        });
    }

    /// What ails it.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        self.0.borrow().clone()
    }

    /// Waits until it is ill.
    pub async fn struck(&self) -> String {
        let mut ailing = self.0.subscribe();
        loop {
            if let Some(reason) = ailing.borrow_and_update().clone() {
                return reason;
            }
            if ailing.changed().await.is_err() {
                // The sender lives as long as this.
                std::future::pending::<()>().await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_said_first_stays_and_is_told_to_whoever_waits() {
        let illness = Illness::default();
        assert_eq!(illness.reason(), None);
        let waiting = tokio::spawn({
            let illness = illness.clone();
            async move { illness.struck().await }
        });
        illness.strike(|| "the disk is full".into());
        illness.strike(|| "and something that follows from it".into());
        assert_eq!(waiting.await.unwrap(), "the disk is full");
        assert_eq!(
            (illness.reason(), illness.struck().await),
            (Some("the disk is full".into()), "the disk is full".into())
        );
    }
}
