//! Random histories: the age rule, copies, indexes and links hold in all of them.

use super::*;

/// One step of a random history of one asset and a few devices.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Pass(i64),
    Start,
    List(u8),
    Absent,
    Complete,
    Write(u8),
    Link(u8),
    Person(u8),
    /// A device is listed, or missing.
    Device(u8, bool),
    /// What a decision waits for.
    Decide(u8, u8),
    Checkpoint,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => (0_i64..120).prop_map(Step::Pass),
        3 => Just(Step::Start),
        3 => any::<u8>().prop_map(Step::List),
        1 => Just(Step::Absent),
        3 => Just(Step::Complete),
        3 => any::<u8>().prop_map(Step::Write),
        1 => (0_u8..3).prop_map(Step::Link),
        1 => (0_u8..3).prop_map(Step::Person),
        2 => (0_u8..3, any::<bool>()).prop_map(|(device, listed)| Step::Device(device, listed)),
        2 => (0_u8..3, 0_u8..8).prop_map(|(device, waits)| Step::Decide(device, waits)),
        1 => Just(Step::Checkpoint),
    ];
    prop::collection::vec(step, 0..40)
}

/// The age rule once more, in the plainest words: what the asset is called after a history.
#[derive(Default)]
pub(super) struct Oracle {
    name: Option<String>,
    written: Option<(usize, Timestamp)>,
    run: Option<(usize, Timestamp)>,
    staged: Vec<Option<String>>,
}

impl Oracle {
    fn complete(&mut self) {
        let Some((started, at)) = self.run else { return };
        for read in std::mem::take(&mut self.staged) {
            let later = self
                .written
                .is_some_and(|(place, time)| place > started || at.duration_since(time) < LIST_DELAY);
            if !(later && self.name.is_some()) {
                self.name = read;
                self.written = None;
            }
        }
    }
}

pub(super) fn play(steps: &[Step]) -> (Stream, Oracle, Vec<Fact>) {
    let mut stream = Stream::new();
    let mut oracle = Oracle::default();
    let mut checkpoints = Vec::new();
    let mut number = 0;
    for (place, step) in steps.iter().enumerate() {
        let sequence = u32::try_from(place).expect("few steps");
        match step {
            Step::Pass(seconds) => stream.pass(*seconds),
            Step::Start => {
                number += 1;
                stream.start(number);
                oracle.run = Some((place, stream.now));
                oracle.staged.clear();
            }
            Step::List(name) => {
                stream.say(listed(number, &name.to_string()));
                if number > 0 {
                    oracle.staged.push(Some(name.to_string()));
                }
            }
            Step::Absent => {
                stream.say(Fact::AssetAbsent { number, asset: asset_id() });
                if number > 0 {
                    oracle.staged.push(None);
                }
            }
            Step::Complete => {
                stream.complete(number);
                oracle.complete();
            }
            Step::Write(name) => {
                stream.say(wrote(sequence, &name.to_string()));
                oracle.name = Some(name.to_string());
                oracle.written = Some((place, stream.now));
            }
            Step::Link(device) => {
                stream.say(link(&format!("device-{device}"), sequence, &asset_id()));
            }
            Step::Person(device) => {
                let order = OperatorOrder::Unlink { device: device_id(&format!("device-{device}")) };
                let decision = OperatorDecision { by: "sam".into(), order };
                stream.say(Fact::OperatorDecided { token: Uuid::from_u128(place as u128), decision });
            }
            Step::Device(id, true) => {
                let device = device(&format!("device-{id}"), &format!("Mac {id}"));
                stream.say(Fact::DeviceListed { number, device });
            }
            Step::Device(id, false) => {
                let device = device_id(&format!("device-{id}"));
                stream.say(Fact::DeviceMissing { number, device, absence: Absence::Unknown });
            }
            Step::Decide(id, waits) => {
                let decision = decision(&format!("device-{id}"), number, *waits);
                stream.say(Fact::DecisionMade(Box::new(decision)));
            }
            Step::Checkpoint => {
                checkpoints = copy_of(&stream.view);
                for fact in checkpoints.clone() {
                    stream.say(fact);
                }
            }
        }
    }
    (stream, oracle, checkpoints)
}

proptest! {
    /// Any interleaving of lists, outcomes and checkpoints gives what the age rule says.
    #[test]
    fn the_view_is_what_the_age_rule_says(steps in steps()) {
        let (stream, oracle, _) = play(&steps);
        prop_assert_eq!(stream.name(), oracle.name);
    }

    /// A reader that starts from a checkpoint ends where a reader of everything does.
    #[test]
    fn a_checkpoint_and_the_rest_give_the_same_view(steps in steps()) {
        let (stream, _, checkpoints) = play(&steps);
        if let Some(found) = find(&checkpoints) {
            let from = found.as_of;
            let mut late = load(found, checkpoints).expect("the checkpoint is complete");
            let rest: Vec<_> = stream.facts.iter().filter(|(offset, _)| *offset > from).cloned().collect();
            late.apply(&rest).expect("memory does not fail");
            prop_assert_eq!(rows(&late), rows(&stream.view));
        }
    }

    /// What is looked up is what going through everything finds.
    #[test]
    fn indexes_and_counts_are_those_of_the_rows(steps in steps()) {
        let (stream, _, _) = play(&steps);
        let view = &stream.view;
        let (mut missing, mut devices) = (Vec::new(), BTreeMap::new());
        view.each_device(&mut |row| {
            missing.extend((!row.is_listed()).then(|| row.entry.device_id.clone()));
            true
        });
        prop_assert_eq!(view.missing_devices(), missing);
        let mut open: BTreeMap<&str, Vec<Key>> = BTreeMap::new();
        let mut note = |of: Open, is: bool, key: &Key| {
            open.entry(of.as_str()).or_default().extend(is.then(|| key.clone()));
        };
        view.each_decision(&mut |decision| {
            *devices.entry(decision.state).or_insert(0) += 1;
            note(Open::Awaiting, decision.awaits.is_some(), &decision.key);
            note(Open::WithChanges, !decision.changes.is_empty(), &decision.key);
            note(Open::Staged, decision.changes.iter().any(|change| change.staged), &decision.key);
            true
        });
        for of in [Open::Awaiting, Open::WithChanges, Open::Staged] {
            prop_assert_eq!(view.open_decisions(of), open.get(of.as_str()).cloned().unwrap_or_default());
        }
        prop_assert_eq!(&view.meta().devices, &devices);
    }

    /// However many facts are applied at once, and in whichever store, the view is the same.
    #[test]
    fn chunks_and_stores_do_not_matter(steps in steps(), chunk in 1_usize..20) {
        let (stream, _, _) = play(&steps);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let dir = DataDir::open(OnDisk::at(&folder.path().join("view"))).expect("an empty directory");
        let store = Box::new(dir.store("acme").expect("a tree"));
        let mut view = Projection::open(store, BY_SERIAL).expect("an empty view");
        for facts in stream.facts.chunks(chunk) {
            view.apply(facts).expect("sled does not fail");
        }
        prop_assert_eq!(rows(&view), rows(&stream.view));
    }

    /// No asset is ever linked to two devices (P4).
    #[test]
    fn p4_no_asset_is_linked_twice(steps in steps()) {
        let (stream, _, _) = play(&steps);
        let mut linked = Vec::new();
        stream.view.each_link(&mut |_, row| {
            linked.push(row.asset);
            true
        });
        prop_assert!(linked.len() <= 1, "{linked:?}");
    }
}
