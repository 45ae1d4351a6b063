//! Which indexes a view has: as many as its worker looks rows up by.

use std::sync::Arc;

use parking_lot::Mutex;

use super::super::keys::index;
use super::super::rows::Meta;
use super::histories::{play, steps};
use super::*;

fn is_in(index: &str, key: &[u8]) -> bool {
    key.starts_with(&row_key(table::INDEX, &format!("{index}/")))
}

/// How many of the indexes have rows that only matching looks at.
fn indexed_for_matching(rows: &BTreeMap<Vec<u8>, Vec<u8>>) -> usize {
    index::FOR_MATCHING.iter().filter(|index| rows.keys().any(|key| is_in(index, key))).count()
}

/// The rows but for what says which indexes there are.
fn rows_but_for_meta(view: &Projection) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = rows(view);
    rows.remove(&row_key(table::META, ""));
    rows
}

/// The rows that do not depend on which indexes there are.
fn rows_but_for_matching(view: &Projection) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = rows_but_for_meta(view);
    rows.retain(|key, _| !index::FOR_MATCHING.iter().any(|index| is_in(index, key)));
    rows
}

fn for_links() -> Projection {
    Projection::open(Box::<MemoryStore>::default(), Indexes::Links).expect("an empty view")
}

proptest! {
    /// Whoever follows what others decide has what they have, but for what only matching looks for; and a copy of either
    /// serves the other.
    #[test]
    fn fewer_indexes_leave_the_rest_as_it_is(steps in steps()) {
        let (stream, _, _) = play(&steps);
        let mut followed = for_links();
        followed.apply(&stream.facts).expect("memory does not fail");
        let copy = copy_of(&stream.view);
        let copied = load_into(for_links(), find(&copy).expect("a checkpoint"), copy).expect("all parts");
        for view in [&followed, &copied] {
            prop_assert_eq!(rows_but_for_matching(view), rows_but_for_matching(&stream.view));
            prop_assert_eq!(indexed_for_matching(&rows(view)), 0);
        }
        let copy = copy_of(&followed);
        let whole = load(find(&copy).expect("a checkpoint"), copy).expect("all parts");
        prop_assert_eq!(whole.meta(), &Meta { last_fact: whole.meta().last_fact, ..stream.view.meta().clone() });
        prop_assert_eq!(rows_but_for_meta(&whole), rows_but_for_meta(&stream.view));
    }
}

/// With an asset, a record, a device and its user.
fn fill(view: Projection) -> Projection {
    let key = UserKey::new("sam@example.com").expect("not blank");
    let user = UserEntry {
        key: key.clone(),
        ids: vec![KandjiUserId::new("u1").expect("not blank")],
        email: Some("sam@example.com".into()),
        name: "Sam Doe".into(),
        archived: false,
        values: BTreeMap::new(),
    };
    let device = DeviceEntry { user: PrimaryUser::Person { key }, ..device("d", "Mac") };
    let mut stream = Stream::into(view);
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.say(Fact::RecordListed { number: 1, record: record() });
    stream.say(Fact::DeviceListed { number: 1, device });
    stream.say(Fact::UserListed { number: 1, user });
    stream.complete(1);
    stream.view
}

#[test]
fn fewer_indexes_have_nothing_that_only_matching_looks_at() {
    assert_eq!(indexed_for_matching(&rows(&fill(for_links()))), 0);
}

#[test]
fn other_indexes_are_made_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = DataDir::open(OnDisk::at(&folder.path().join("view"))).expect("an empty directory");
    let open =
        |indexes| Projection::open(Box::new(dir.store("acme").expect("a tree")), indexes).expect("a view");
    let all = rows(&fill(open(BY_SERIAL)));
    assert_eq!(indexed_for_matching(&all), index::FOR_MATCHING.len(), "something in each");
    assert!(open(Indexes::All { serial_field: None }).assets_with_serial("C02X").is_empty());
    assert_eq!(indexed_for_matching(&rows(&open(Indexes::Links))), 0);
    let again = open(BY_SERIAL);
    assert_eq!(again.assets_with_serial("C02X")[0].asset.id, asset_id());
    assert_eq!(rows(&again), all);
}

#[test]
fn indexes_of_an_older_comparison_are_made_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = DataDir::open(OnDisk::at(&folder.path().join("view"))).expect("an empty directory");
    let open = || Projection::open(Box::new(dir.store("acme").expect("a tree")), BY_SERIAL).expect("a view");
    let mut view = fill(open());
    let all = rows(&view);
    // As a release left them that compared otherwise.
    let mut writes: Vec<_> =
        all.keys().filter(|key| is_in(index::ASSET_NAME, key)).cloned().map(|key| (key, None)).collect();
    let meta = Meta { comparison: 0, ..view.meta().clone() };
    writes.push((row_key(table::META, ""), Some(super::super::coding::encode(&meta))));
    view.store.apply(writes).expect("the disk works");
    drop(view);
    assert_eq!(rows(&open()), all);
}

/// Rows that outlive who writes them, and a disk that is pulled after so many writes.
struct Pulled {
    rows: Arc<Mutex<MemoryStore>>,
    writes_left: usize,
}

impl Store for Pulled {
    fn look(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.rows.lock().look(key, look)
    }

    fn scan_after(
        &self,
        prefix: &[u8],
        after: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        self.rows.lock().scan_after(prefix, after, visit)
    }

    fn apply(&mut self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError> {
        let left = self.writes_left.checked_sub(1);
        self.writes_left = left.ok_or_else(|| sled::Error::Io(std::io::ErrorKind::BrokenPipe.into()))?;
        self.rows.lock().apply(writes)
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.rows.lock().clear()
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn indexes_that_a_crash_left_half_made_are_made_anew() {
    let rows_kept = Arc::new(Mutex::new(MemoryStore::default()));
    let open = |indexes, writes_left| {
        Projection::open(Box::new(Pulled { rows: rows_kept.clone(), writes_left }), indexes)
    };
    let all = rows(&fill(open(BY_SERIAL, usize::MAX).expect("an empty view")));
    let rows_with = |indexes| rows(&open(indexes, usize::MAX).expect("a view"));
    let few = rows_with(Indexes::Links);
    let mut crashes = 0;
    while rows_with(BY_SERIAL) == all && open(Indexes::Links, crashes).is_err() {
        assert_eq!(rows_with(Indexes::Links), few, "after {crashes} writes");
        assert_eq!(rows_with(BY_SERIAL), all, "after {crashes} writes");
        drop(open(Indexes::Links, crashes));
        assert_eq!(rows_with(BY_SERIAL), all, "after {crashes} writes");
        crashes += 1;
    }
    assert!(crashes > 3, "cut in the middle too, not {crashes} times");
}
