//! Directories, and what is too much for one step.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_directory_in_use_is_left_alone_and_a_broken_one_moved_aside() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("state");
    let first = DataDir::open(OnDisk::at(&path)).expect("an empty directory");
    let second = DataDir::open(OnDisk::at(&path)).expect("a directory beside it");
    assert_eq!(first.path(), path);
    assert_eq!(second.path(), folder.path().join("state.2"));
    drop((first, second));
    std::fs::write(path.join("conf"), "this is not sled's").expect("the file is written");
    // As an earlier release left it.
    std::fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("its rights are changed");
    let rebuilt = DataDir::open(OnDisk::at(&path)).expect("an empty directory in place of the broken one");
    assert_eq!(rebuilt.path(), path);
    let mut aside = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let aside = aside.find(|entry| entry.file_name().to_string_lossy().contains(".broken-"));
    let about = aside.expect("what was broken").metadata().expect("it is there");
    assert_eq!(about.permissions().mode() & 0o777, 0o700, "others could look into it");
}

/// A large inventory and a large copy go in steps; every one of them counts.
#[test]
fn an_inventory_of_many_steps_takes_effect_whole() {
    const DEVICES: usize = 1_500;
    let mut stream = Stream::new();
    stream.start(1);
    for number in 0..DEVICES {
        let device = device(&format!("device-{number:04}"), &format!("Mac {number}"));
        stream.say(Fact::DeviceListed { number: 1, device });
    }
    let count = |view: &Projection| {
        let mut devices = 0;
        view.each_device_id(&mut |_| {
            devices += 1;
            true
        });
        devices
    };
    assert_eq!(count(&stream.view), 0, "staged");
    stream.complete(1);
    assert_eq!(count(&stream.view), DEVICES);
    let copy = copy_of(&stream.view);
    assert!(copy.len() > DEVICES / 200, "in {} facts", copy.len());
    let found = find(&copy).expect("a complete checkpoint");
    let mut short = copy.clone();
    short.remove(3);
    assert!(find(&short).is_none(), "without one part it is none");
    assert!(find_from(0, &copy).is_none(), "nor where it says that it copies what comes after it");
    assert!(
        find(&[copy[0].clone(), Fact::CheckpointEnded { checkpoint: found.checkpoint, parts: 0 }]).is_none()
    );
    assert!(load(found, short).is_none());
    assert_eq!(rows(&load(found, copy.clone()).expect("all parts")), rows(&stream.view));
    stream.say(wrote(9, "Mac 9"));
    let newer = copy_of(&stream.view);
    let again = [newer.clone(), copy.clone()].concat();
    assert_eq!(
        find(&again).map(|found| found.checkpoint),
        find(&newer).map(|found| found.checkpoint),
        "an old one that is said again stands for nothing"
    );
    // What a run that nobody completed had staged is forgotten, however much it is.
    stream.start(2);
    for number in 0..DEVICES {
        let device = device_id(&format!("device-{number:04}"));
        stream.say(Fact::DeviceMissing { number: 2, device, absence: Absence::Unknown });
    }
    stream.start(3);
    stream.complete(3);
    assert!(stream.view.missing_devices().is_empty());
}

/// A row costs the store the same whatever is in it, so what comes together is kept together until it takes effect.
#[test]
fn facts_that_are_staged_at_the_same_time_share_rows() {
    const DEVICES: usize = 256;
    let mut stream = Stream::new();
    stream.start(1);
    let number = |at: usize| device(&format!("device-{at:04}"), &format!("Mac {at}"));
    let listed = |at| Fact::DeviceListed { number: 1, device: number(at) };
    let first = stream.facts.last().map_or(0, |(offset, _)| offset + 1);
    let facts: Vec<_> = (0..DEVICES).map(|at| (first + at as u64, stream.event(listed(at)))).collect();
    stream.view.apply(&facts).expect("memory does not fail");
    let mut staged = 0;
    let prefix = row_key(table::STAGED, "");
    let mut count = |_: &[u8], value: &[u8]| {
        assert!(value.len() < 8_192, "{} bytes in one row", value.len());
        staged += 1;
        true
    };
    stream.view.store.scan(&prefix, &mut count).expect("memory does not fail");
    assert!((2..=DEVICES / 4).contains(&staged), "{DEVICES} facts in {staged} rows");
    let end = first + DEVICES as u64;
    let counts = InventoryCounts::default();
    let complete = stream.event(Fact::InventoryComplete { number: 1, counts, report: Box::default() });
    stream.view.apply(&[(end, complete)]).expect("memory does not fail");
    let known = |at| stream.view.device(&number(at).device_id).is_some();
    assert!((0..DEVICES).all(known), "every device of every row");
    assert!(!rows(&stream.view).keys().any(|key| key.starts_with(&prefix)), "nothing is left");
}

/// Who has read the facts needs no copy of them, and a copy is large.
#[test]
fn a_copy_is_passed_over_without_its_rows() {
    let mut stream = Stream::new();
    stream.start(1);
    let outlined = |json: &[u8]| outline(&EventHeader::of(json).expect("an envelope"));
    for fact in copy_of(&stream.view) {
        let json = stream.event(fact.clone()).encode();
        let without = match fact {
            Fact::CheckpointRows { checkpoint, part, rows } => {
                assert!(!rows.is_empty());
                Fact::CheckpointRows { checkpoint, part, rows: BTreeMap::new() }
            }
            other => other,
        };
        assert_eq!(outlined(&json), Some(without));
        let later = String::from_utf8(json).expect("JSON").replace(".fact.v1", ".fact.v2");
        assert_eq!(outlined(later.as_bytes()), None, "another version is refused by its name");
    }
    let other = stream.event(Fact::MassChangesAllowed { number: 1 });
    assert_eq!(outlined(&other.encode()), None);
}

/// A broker may take small messages only, and a row may be larger than one, by what came to it over time.
#[test]
fn a_copy_for_small_messages_lacks_only_what_no_message_can_carry() {
    const LARGEST: usize = 16 << 10;
    let mut stream = Stream::new();
    stream.start(1);
    for number in 0..40 {
        let name = if number == 20 { "x".repeat(LARGEST) } else { format!("Mac {number}") };
        stream.say(Fact::DeviceListed { number: 1, device: device(&format!("device-{number:02}"), &name) });
    }
    stream.complete(1);
    let copy = copy_for(&stream.view, LARGEST);
    for fact in &copy {
        let bytes = stream.event(fact.clone()).encode().len();
        assert!(bytes <= LARGEST, "{bytes} bytes in one message");
    }
    let found = find(&copy).expect("a complete checkpoint");
    let loaded = load(found, copy).expect("all parts");
    let lacks: Vec<_> = (0..40)
        .filter(|number| loaded.device(&device_id(&format!("device-{number:02}"))).is_none())
        .collect();
    assert_eq!(lacks, [20]);
}
