//! Batches whose decisions are being published while the next are decided.

use std::collections::{BTreeSet, VecDeque};

use amfj_sync_broker::Received;
use amfj_sync_model::ids::Key;
use amfj_sync_service::backlog::counting::InflightGuard;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use jiff::Timestamp;

use super::LeaseLost;

/// Batches under way at once: publishing waits for the broker's disk, and deciding need not.
const BATCHES: usize = 8;

/// Messages that are decided and published together, at most.
pub(super) const BATCH_SIZE: usize = 64;

/// Messages that are taken before the first is acknowledged: all batches under way.
pub(super) const PREFETCH: u16 = 512;
const _: () = assert!(BATCHES * BATCH_SIZE == PREFETCH as usize);

/// A batch whose changes and decisions are published.
#[derive(Debug)]
pub(super) struct Decided {
    /// Its last message, to be acknowledged with all before it.
    pub(super) last: Received,
    pub(super) in_flight: InflightGuard,
}

/// What is known of a batch under way.
struct Known {
    /// When its oldest message was made.
    oldest: Option<Timestamp>,
    keys: BTreeSet<Key>,
}

/// Batches under way, in the order of their messages. One is acknowledged with all before it, so none may be done
/// before those are.
pub(super) struct InFlightBatches<'a, D = Decided> {
    deciding: FuturesOrdered<BoxFuture<'a, Result<D, LeaseLost>>>,
    known: VecDeque<Known>,
}

impl<D> Default for InFlightBatches<'_, D> {
    fn default() -> Self {
        Self { deciding: FuturesOrdered::new(), known: VecDeque::new() }
    }
}

impl<'a, D> InFlightBatches<'a, D> {
    pub(super) fn has_room(&self) -> bool {
        self.known.len() < BATCHES
    }

    pub(super) fn push(
        &mut self,
        oldest: Option<Timestamp>,
        keys: BTreeSet<Key>,
        deciding: BoxFuture<'a, Result<D, LeaseLost>>,
    ) {
        self.known.push_back(Known { oldest, keys });
        self.deciding.push_back(deciding);
    }

    /// The first of them once it is published, while all go on; none where nothing is under way. Nothing is lost where
    /// this is cancelled.
    pub(super) async fn next(&mut self) -> Option<Result<D, LeaseLost>> {
        let decided = self.deciding.next().await?;
        self.known.pop_front();
        Some(decided)
    }

    /// Whether a decision about this key is being published, so that the view does not have it.
    pub(super) fn is_about(&self, key: &Key) -> bool {
        self.known.iter().any(|batch| batch.keys.contains(key))
    }

    /// When the oldest message in hand was made.
    pub(super) fn oldest(&self) -> Option<Timestamp> {
        self.known.iter().filter_map(|batch| batch.oldest).min()
    }
}

#[cfg(test)]
mod tests {
    use amfj_sync_model::ids::DeviceId;
    use futures::FutureExt as _;
    use tokio::sync::oneshot;

    use super::*;

    fn key(id: &str) -> Key {
        Key::Device(DeviceId::new(id).unwrap_or_else(|error| panic!("{error}")))
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[tokio::test]
    async fn a_batch_that_is_published_first_waits_for_those_before_it() {
        let mut under_way: InFlightBatches<'_, u8> = InFlightBatches::default();
        let (first, first_done) = oneshot::channel::<()>();
        let waiting = async move { first_done.await.map(|()| 1).map_err(|_| LeaseLost) };
        under_way.push(at(10), BTreeSet::from([key("a")]), waiting.boxed());
        under_way.push(at(20), BTreeSet::from([key("b")]), async { Ok(2) }.boxed());
        assert!(under_way.next().now_or_never().is_none(), "the second was done before the first");
        assert!(under_way.is_about(&key("a")) && under_way.is_about(&key("b")));
        assert_eq!(under_way.oldest(), at(10));

        first.send(()).unwrap_or_else(|()| panic!("nobody waits"));
        assert!(matches!(under_way.next().await, Some(Ok(1))));
        assert!(!under_way.is_about(&key("a")) && under_way.is_about(&key("b")));
        assert_eq!(under_way.oldest(), at(20));
        assert!(matches!(under_way.next().await, Some(Ok(2))));
        assert!(under_way.next().await.is_none());
    }

    #[tokio::test]
    async fn no_more_batches_are_taken_than_may_be_under_way() {
        let mut under_way: InFlightBatches<'_, usize> = InFlightBatches::default();
        for number in 0..BATCHES {
            assert!(under_way.has_room(), "{number}");
            under_way.push(None, BTreeSet::new(), async move { Ok(number) }.boxed());
        }
        assert!(!under_way.has_room());
        assert!(under_way.next().await.is_some());
        assert!(under_way.has_room());
    }
}
