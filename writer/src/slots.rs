//! The requests of one integration that may be under way at a time, and who gets the next one.
//!
//! Changes that were refused before get one in eight while others wait: those that are refused for ever are ever more of
//! all that can be sent, and would delay the healthy ones (P28).

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;

/// So many others go before the next change that was refused before.
const BEFORE_AGAIN: u32 = 7;

/// The requests that may be under way.
#[derive(Debug)]
pub struct Slots(Arc<Mutex<Queues>>);

#[derive(Debug)]
struct Queues {
    free: usize,
    fresh: VecDeque<oneshot::Sender<Slot>>,
    again: VecDeque<oneshot::Sender<Slot>>,
    /// How many in a row were not refused before.
    in_a_row: u32,
}

impl Queues {
    /// Who gets what is free now.
    fn next(&mut self) -> Option<oneshot::Sender<Slot>> {
        if self.in_a_row < BEFORE_AGAIN
            && let Some(next) = self.fresh.pop_front()
        {
            self.in_a_row += 1;
            return Some(next);
        }
        self.in_a_row = 0;
        self.again.pop_front().or_else(|| self.fresh.pop_front())
    }
}

/// The right to have one request under way, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot(Option<Arc<Mutex<Queues>>>);

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(queues) = self.0.take() else { return };
        loop {
            let next = {
                let mut queues = queues.lock();
                let next = queues.next();
                queues.free += usize::from(next.is_none());
                next
            };
            let Some(next) = next else { return };
            match next.send(Slot(Some(queues.clone()))) {
                Ok(()) => return,
                // Nobody waits there any more.
                Err(mut slot) => slot.0 = None,
            }
        }
    }
}

impl Slots {
    /// So many at a time.
    #[must_use]
    pub fn new(at_a_time: usize) -> Self {
        let (fresh, again) = (VecDeque::new(), VecDeque::new());
        Self(Arc::new(Mutex::new(Queues { free: at_a_time, fresh, again, in_a_row: 0 })))
    }

    /// Waits for the right to have one request under way; `again` for a change that was refused before. Never none: a slot
    /// is handed on whenever one is given back.
    pub(crate) async fn have(&self, again: bool) -> Option<Slot> {
        let handed = {
            let mut queues = self.0.lock();
            // Nobody waits while one is free.
            if let Some(left) = queues.free.checked_sub(1) {
                queues.free = left;
                return Some(Slot(Some(self.0.clone())));
            }
            let (hand, handed) = oneshot::channel();
            if again {
                queues.again.push_back(hand);
            } else {
                queues.fresh.push_back(hand);
            }
            handed
        };
        handed.await.ok()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Which were refused before, in the order in which they were served.
    async fn served(fresh: usize, again: usize) -> Vec<bool> {
        let (slots, served) = (Arc::new(Slots::new(16)), Arc::new(Mutex::new(Vec::new())));
        let mut tasks = JoinSet::new();
        for is_again in (0..again).map(|_| true).chain((0..fresh).map(|_| false)) {
            let (slots, served) = (slots.clone(), served.clone());
            tasks.spawn(async move {
                let slot = slots.have(is_again).await.expect("never closed");
                served.lock().push(is_again);
                for _ in 0..10 {
                    yield_now().await;
                }
                drop(slot);
            });
        }
        while tasks.join_next().await.is_some() {}
        Arc::try_unwrap(served).expect("all have ended").into_inner()
    }

    #[tokio::test]
    async fn what_was_refused_before_has_one_place_in_eight_of_others() {
        let served = served(160, 160).await;
        assert_eq!(served.len(), 320);
        // The first came when nobody else waited.
        let among = served[16..176].iter().filter(|again| **again).count();
        assert_eq!(among, 160 / 8);
    }

    #[tokio::test]
    async fn where_nobody_else_waits_all_places_are_theirs() {
        let slots = Slots::new(16);
        let have = || slots.have(true).now_or_never().flatten();
        let under_way: Vec<Slot> = (0..17).map_while(|_| have()).collect();
        assert_eq!(under_way.len(), 16);
        drop(under_way);
        assert!(have().is_some());
        assert_eq!(served(0, 100).await.len(), 100);
    }

    #[tokio::test]
    async fn whoever_stops_waiting_keeps_no_place() {
        let slots = Slots::new(1);
        let under_way = slots.have(false).await.expect("free");
        let mut waiting: Vec<_> = (0..1_000).map(|number| Box::pin(slots.have(number % 2 == 0))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none());
        }
        let last = waiting.pop().expect("a thousand");
        // Handed over to one that does not look, and to those that are gone.
        drop(under_way);
        drop(waiting);
        assert!(last.now_or_never().flatten().is_some());
        assert!(slots.have(true).now_or_never().flatten().is_some());
    }
}
