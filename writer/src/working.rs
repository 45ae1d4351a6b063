//! How many changes of a partition are worked on at a time, and which of them hold others up.
//!
//! Many more may be taken: a change that waits for better times keeps its place in the window and holds up nobody
//! behind it, but for changes of its own key. One that waits with its kind lets those go first.

use std::collections::HashSet;
use std::sync::Arc;

use amfj_sync_model::ids::Key;
use tokio::sync::watch;

/// Changes of a partition that are worked on at a time.
const MOST: usize = 64;

/// The changes that are worked on.
#[derive(Debug, Default)]
pub(crate) struct Working {
    changes: watch::Sender<usize>,
    /// Keys that have another change behind the one that is worked on.
    held_up: watch::Sender<HashSet<Key>>,
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
        drop(self.changes.subscribe().wait_for(|changes| *changes < MOST).await);
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

    /// A change of this key has come behind the one that is worked on.
    pub(crate) fn holds_up(&self, key: &Key) {
        self.held_up.send_if_modified(|keys| keys.insert(key.clone()));
    }

    /// None of this key is behind another any more.
    pub(crate) fn holds_up_none(&self, key: &Key) {
        self.held_up.send_if_modified(|keys| keys.remove(key));
    }

    /// Waits until the change of this key that is worked on holds up another one.
    pub(crate) async fn until_it_holds_up(&self, key: &Key) {
        // The sender lives as long as `self`, so waiting cannot fail.
        drop(self.held_up.subscribe().wait_for(|keys| keys.contains(key)).await);
    }

    fn add(&self) {
        self.changes.send_modify(|changes| *changes = changes.saturating_add(1));
    }

    fn remove(&self) {
        self.changes.send_modify(|changes| *changes = changes.saturating_sub(1));
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
    use amfj_sync_model::ids::DeviceId;
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn who_holds_up_another_of_its_key_hears_of_it() {
        let key = |id| Key::Device(DeviceId::new(id).unwrap());
        let (one, other) = (key("d1"), key("d2"));
        let working = Working::default();
        let told = |key| working.until_it_holds_up(key).now_or_never().is_some();
        working.holds_up(&one);
        assert!(told(&one) && !told(&other));
        working.holds_up_none(&one);
        assert!(!told(&one));
    }

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
        assert_eq!(*working.changes.borrow(), 0);
    }
}
