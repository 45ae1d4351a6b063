//! Changes that stepped aside, and what a person wants of them: to be tried now, or to be given up now.

use amfj_sync_model::ids::Key;
use tokio::time::Instant;
use uuid::Uuid;

use super::Blame;
use super::kinds::RequestKind;

/// What a person wants of a change that stepped aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ordered {
    /// An attempt now.
    TryNow,
    /// No further attempt.
    GiveUp {
        /// Who typed it.
        by: String,
    },
}

/// One that waits to be sent.
#[derive(Debug)]
pub(super) struct Waiting {
    key: Key,
    queue: String,
    order: Option<Ordered>,
}

/// As long as it is there, a change stands aside: in a pause of its own, or with its kind.
#[derive(Debug)]
pub(crate) struct Aside<'a> {
    blame: &'a Blame,
    change: Uuid,
}

impl Aside<'_> {
    /// Waits until a person wants something of it.
    pub(crate) async fn ordered(&self) -> Ordered {
        loop {
            let ordered = self.blame.ordered.notified();
            tokio::pin!(ordered);
            ordered.as_mut().enable();
            let order = self.blame.inner.lock().aside.get_mut(&self.change).and_then(|own| own.order.take());
            if let Some(order) = order {
                return order;
            }
            ordered.await;
        }
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let mut inner = self.blame.inner.lock();
        if let Some(own) = inner.aside.remove(&self.change)
            && let Some(count) = inner.aside_in.get_mut(&own.queue)
        {
            *count = count.saturating_sub(1);
        }
    }
}

impl Blame {
    /// The change steps aside; `queue` is where it came from.
    pub(crate) fn aside(&self, change: Uuid, key: &Key, queue: &str) -> Aside<'_> {
        let mut inner = self.inner.lock();
        let waiting = Waiting { key: key.clone(), queue: queue.to_owned(), order: None };
        inner.aside.insert(change, waiting);
        *inner.aside_in.entry(queue.to_owned()).or_default() += 1;
        Aside { blame: self, change }
    }

    /// How many changes of a queue stand aside.
    pub(crate) fn aside_in(&self, queue: &str) -> usize {
        self.inner.lock().aside_in.get(queue).copied().unwrap_or(0)
    }

    /// A person wants this of the change about that key, or of all; what does not stand aside here is not meant.
    pub(crate) fn order(&self, key: Option<&Key>, order: &Ordered) {
        {
            let mut inner = self.inner.lock();
            for own in inner.aside.values_mut() {
                if key.is_none_or(|key| own.key == *key) {
                    own.order = Some(order.clone());
                }
            }
            if *order == Ordered::TryNow && key.is_none() {
                for kind in RequestKind::ALL {
                    inner.kinds[kind.index()].try_now(Instant::now());
                }
            }
        }
        self.ordered.notify_waiters();
        if key.is_none() {
            self.lines.iter().for_each(|line| line.moved.notify_waiters());
        }
    }
}
