//! Which indexes a view has: as many as its worker looks rows up by.

use super::super::rows::Meta;
use super::super::view::{index, index_key};
use super::*;

const BY_SERIAL: Indexes<'_> = Indexes::All { serial_field: Some("Serial Number") };

/// The rows without those that the indexes alone decide.
fn rows_but_for_matching(view: &View) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut rows = rows(view);
    rows.remove(&row_key(table::META, ""));
    rows.retain(|key, _| {
        let at = |index: &&str| key.starts_with(row_key(table::INDEX, index).as_slice());
        !index::FOR_MATCHING.iter().any(|index| at(&index))
    });
    rows
}

fn for_links() -> View {
    View::open(Box::<MemoryStore>::default(), Indexes::Links).expect("an empty view")
}

proptest! {
    /// Whoever follows what others decide has what they have, but for what only matching looks for; and a copy of either
    /// serves the other.
    #[test]
    fn fewer_indexes_leave_the_rest_as_it_is(steps in steps()) {
        let (stream, _, _) = play(&steps);
        let mut followed = for_links();
        for fact in &stream.facts {
            followed.apply(std::slice::from_ref(fact)).expect("memory does not fail");
        }
        let copy = copy_of(&stream.view);
        let copied = load_into(for_links(), find(&copy).expect("a checkpoint"), copy).expect("all parts");
        for view in [&followed, &copied] {
            prop_assert_eq!(rows_but_for_matching(view), rows_but_for_matching(&stream.view));
            for index in index::FOR_MATCHING {
                let prefix = row_key(table::INDEX, index);
                prop_assert!(!rows(view).keys().any(|key| key.starts_with(&prefix)), "{}", index);
            }
        }
        let copy = copy_of(&followed);
        let whole = load(find(&copy).expect("a checkpoint"), copy).expect("all parts");
        prop_assert_eq!(whole.meta(), &Meta { last_fact: whole.meta().last_fact, ..stream.view.meta().clone() });
        let but_for_meta = |view| {
            let mut rows = rows(view);
            rows.remove(&row_key(table::META, ""));
            rows
        };
        prop_assert_eq!(but_for_meta(&whole), but_for_meta(&stream.view));
    }
}

#[test]
fn other_indexes_are_made_anew() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dir = DataDir::open(OnDisk::at(&folder.path().join("view"))).expect("an empty directory");
    let open = |indexes| View::open(Box::new(dir.store("acme").expect("a tree")), indexes).expect("a view");
    let mut stream = Stream::into(open(BY_SERIAL));
    stream.start(1);
    stream.say(listed(1, "Mac"));
    stream.complete(1);
    let all = rows(&stream.view);
    assert_eq!(stream.view.assets_with_serial("C02X"), [asset_id()]);
    drop(stream);
    assert!(open(Indexes::All { serial_field: None }).assets_with_serial("C02X").is_empty());
    let name = index_key(index::ASSET_NAME, "mac", asset_id().as_str());
    assert!(all.contains_key(&name) && !rows(&open(Indexes::Links)).contains_key(&name));
    let again = open(BY_SERIAL);
    assert_eq!(again.assets_with_serial("C02X"), [asset_id()]);
    assert_eq!(rows(&again), all);
}
