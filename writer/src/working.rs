//! How many changes of a partition are worked on at a time.
//!
//! Many more may be taken: a change that waits for better times keeps its place in the window and holds up nobody
//! behind it.

use std::sync::Arc;

use tokio::sync::watch;

/// Changes of a partition that are worked on at a time.
const MOST: usize = 64;

/// The count of the changes that are worked on.
#[derive(Debug)]
pub(crate) struct Working(watch::Sender<usize>);

impl Default for Working {
    fn default() -> Self {
        Self(watch::channel(0).0)
    }
}

/// One change that is worked on, for as long as this lives.
#[derive(Debug)]
pub(crate) struct AtWork(Arc<Working>);

/// One change that waits, and is not worked on as long as this lives.
#[derive(Debug)]
pub(crate) struct Aside<'a>(&'a Working);

impl Working {
    /// Waits until one more may be worked on.
    pub(crate) async fn has_room(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.0.subscribe().wait_for(|changes| *changes < MOST).await);
    }

    /// One more is worked on.
    pub(crate) fn begin(self: &Arc<Self>) -> AtWork {
        self.add();
        AtWork(self.clone())
    }

    /// One that is worked on waits. Whoever has waited goes on, however many are worked on by then: they may be waiting
    /// for it.
    pub(crate) fn step_aside(&self) -> Aside<'_> {
        self.remove();
        Aside(self)
    }

    fn add(&self) {
        self.0.send_modify(|changes| *changes = changes.saturating_add(1));
    }

    fn remove(&self) {
        self.0.send_modify(|changes| *changes = changes.saturating_sub(1));
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.remove();
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        self.0.add();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn who_waits_makes_room_and_takes_it_back() {
        let working = Arc::new(Working::default());
        let has_room = || working.has_room().now_or_never().is_some();
        let mut all: Vec<AtWork> = (0..MOST).map(|_| working.begin()).collect();
        assert!(!has_room());
        let aside = working.step_aside();
        assert!(has_room());
        all.push(working.begin());
        drop(aside);
        assert!(!has_room(), "one too many, for it may be waited for");
        all.truncate(MOST);
        assert!(!has_room());
        all.pop();
        assert!(has_room());
        all.clear();
        assert_eq!(*working.0.borrow(), 0);
    }
}
