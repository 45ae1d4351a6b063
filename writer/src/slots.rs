//! The requests of one integration that may be under way at a time, and who gets the next one.
//!
//! A change that was refused before is not kept from trying again, but it takes no place of one that has not been
//! tried: records that are refused for ever would take most of them otherwise, and delay the healthy ones (P28).

use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// One in so many is for changes that were refused before, while others wait.
const ONE_AGAIN_IN: usize = 8;

/// The requests that may be under way.
#[derive(Debug)]
pub struct Slots {
    all: Semaphore,
    /// Those that changes which were refused before may have, while others wait.
    again: Semaphore,
    /// Of those changes one at a time asks for a request, so that they never stand in line before others.
    next_again: Semaphore,
    /// How many wait that were not refused before.
    fresh: watch::Sender<usize>,
}

/// The right to have one request under way, given back when this is dropped.
#[derive(Debug)]
pub(crate) struct Slot<'a> {
    _one: SemaphorePermit<'a>,
    _again: Option<SemaphorePermit<'a>>,
}

/// One that waits, for as long as this lives.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting = waiting.saturating_add(1));
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
    }
}

impl Slots {
    /// So many at a time.
    #[must_use]
    pub fn new(at_a_time: usize) -> Self {
        Self {
            all: Semaphore::new(at_a_time),
            again: Semaphore::new((at_a_time / ONE_AGAIN_IN).max(1)),
            next_again: Semaphore::new(1),
            fresh: watch::channel(0).0,
        }
    }

    /// Waits for the right to have one request under way; `again` for a change that was refused before. Never none: the
    /// semaphores are not closed.
    pub(crate) async fn have(&self, again: bool) -> Option<Slot<'_>> {
        if !again {
            let _waiting = Waiting::new(&self.fresh);
            return Some(Slot { _one: self.all.acquire().await.ok()?, _again: None });
        }
        let _next = self.next_again.acquire().await.ok()?;
        let mut fresh = self.fresh.subscribe();
        let again = tokio::select! {
            biased;
            _ = fresh.wait_for(|waiting| *waiting == 0) => None,
            again = self.again.acquire() => Some(again.ok()?),
        };
        Some(Slot { _one: self.all.acquire().await.ok()?, _again: again })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use tokio::task::{JoinSet, yield_now};

    use super::*;

    /// Which of two hundred were served, in order, every other of which was refused before.
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
    async fn what_was_refused_before_takes_few_places_of_others_and_is_served_all_the_same() {
        let served = served(200, 200).await;
        assert_eq!(served.len(), 400);
        let among = served[20..200].iter().filter(|again| **again).count();
        assert!((1..=180 / 4).contains(&among), "{among} of 180 were refused before");
    }

    #[tokio::test]
    async fn where_nobody_else_waits_all_places_are_theirs() {
        assert_eq!(served(0, 100).await.len(), 100);
        let slots = Slots::new(16);
        let mut under_way = Vec::new();
        for _ in 0..16 {
            under_way.push(slots.have(true).await.expect("never closed"));
        }
        assert_eq!(under_way.len(), 16);
    }
}
