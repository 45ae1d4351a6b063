//! A store that fails, or holds what nobody can read: a row that cannot be read is not one that is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;

/// Rows in memory that cannot be read while it is said so.
#[derive(Default)]
struct Failing {
    rows: MemoryStore,
    fails: Arc<AtomicBool>,
}

impl Failing {
    fn check(&self) -> Result<(), StoreError> {
        if self.fails.load(Ordering::Relaxed) { Err(StoreError::on_purpose()) } else { Ok(()) }
    }
}

impl Store for Failing {
    fn look(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.check()?;
        self.rows.look(key, look)
    }

    fn scan_after(
        &self,
        prefix: &[u8],
        after: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.check()?;
        self.rows.scan_after(prefix, after, visit)
    }

    fn apply(&mut self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        self.rows.apply(writes)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.rows.clear()
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A linked asset, and what makes the store fail.
fn linked() -> (Stream, Arc<AtomicBool>) {
    let fails = Arc::new(AtomicBool::new(false));
    let store = Failing { fails: fails.clone(), ..Failing::default() };
    let mut stream = Stream::into(Projection::open(Box::new(store), BY_SERIAL).expect("an empty store"));
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    stream.say(link("d", 1, &asset_id()));
    (stream, fails)
}

fn garble(view: &mut Projection, table: &str, id: &str) {
    view.store.apply(vec![(row_key(table, id), Some(vec![0xc1]))]).expect("memory does not fail");
}

#[test]
fn a_read_that_fails_is_told_and_later_ones_are_not_to_blame() {
    let (stream, fails) = linked();
    let has_link = |view: &Projection| view.link(&device_id("d")).is_some();
    assert_eq!(stream.view.whole(has_link), Ok(true));
    fails.store(true, Ordering::Relaxed);
    assert_eq!(stream.view.whole(has_link), Err(Unreadable), "not: no link");
    assert_eq!(stream.view.whole(Projection::count_links), Err(Unreadable), "nor none at all");
    assert_eq!(stream.view.whole(|view| view.linked_device(&asset_id())), Err(Unreadable));
    fails.store(false, Ordering::Relaxed);
    assert_eq!(stream.view.whole(has_link), Ok(true));
}

#[test]
fn a_row_that_nobody_can_read_is_told_wherever_it_is_met() {
    let (mut stream, _) = linked();
    garble(&mut stream.view, table::LINK, "d");
    assert_eq!(stream.view.whole(|view| view.link(&device_id("d")).is_some()), Err(Unreadable));
    let walked = stream.view.whole(|view| view.each_link(&mut |_, _| true));
    assert_eq!(walked, Err(Unreadable));
    let (mut stream, _) = linked();
    garble(&mut stream.view, table::ASSET, asset_id().as_str());
    assert_eq!(stream.view.whole(|view| view.asset(&asset_id()).is_some()), Err(Unreadable));
}

#[test]
fn facts_are_not_applied_over_a_row_that_nobody_can_read() {
    let (mut stream, _) = linked();
    garble(&mut stream.view, table::ASSET, asset_id().as_str());
    let event = stream.event(wrote(2, "Mac 2"));
    assert!(stream.view.apply(&[(99, event)]).is_err(), "the view is to be built anew");
}

#[test]
fn no_checkpoint_is_written_without_a_row() {
    let (mut stream, _) = linked();
    garble(&mut stream.view, table::LINK, "d");
    let mut copying = Copying::of(&stream.view, LARGEST).expect("a view that has read something");
    copying.begin(&stream.view);
    let before = stream.view.failed_reads();
    let copied = std::iter::repeat_with(|| copying.step(&stream.view));
    let ended = copied.map_while(|step| match step {
        Ok(facts) if facts.is_empty() => None,
        other => Some(other),
    });
    assert!(ended.into_iter().any(|step| step.is_err()), "a copy would make the loss good for everybody");
    assert!(stream.view.failed_reads() > before, "and the view is built anew");
}

#[test]
fn a_directory_with_a_row_that_nobody_can_read_is_emptied_when_its_indexes_are_made() {
    let mut store = MemoryStore::default();
    store.apply(vec![(row_key(table::ASSET, "A1"), Some(vec![0xc1]))]).expect("memory does not fail");
    let view = Projection::open(Box::new(store), BY_SERIAL).expect("it is built anew from the stream");
    assert_eq!((view.meta().offset, rows(&view).len()), (None, 0));
}

#[test]
fn a_checkpoint_whose_whole_cannot_be_read_is_not_loaded() {
    let (stream, _) = linked();
    let mut copy = copy_of(&stream.view);
    let found = find(&copy).expect("a complete checkpoint");
    for fact in &mut copy {
        if let Fact::CheckpointRows { rows, .. } = fact
            && let Some(meta) = rows.get_mut("meta/")
        {
            *meta = json!({ "partitions": "many" });
        }
    }
    let mut view = Projection::in_memory(Some("Serial Number"));
    let mut loading = Loading::begin(&mut view, found).expect("memory does not fail");
    let taken = copy.into_iter().map(|fact| loading.take(&mut view, fact));
    assert!(taken.into_iter().any(|taken| taken.is_err()), "else it would be another first sync");
}
