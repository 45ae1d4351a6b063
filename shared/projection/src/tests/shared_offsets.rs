//! Facts that shared a message: they have one offset, and every one of them counts.

use super::*;

impl Stream {
    /// Facts of one message.
    fn say_together(&mut self, facts: Vec<Fact>) -> Vec<Verdict> {
        let offset = self.facts.len() as u64;
        let facts: Vec<(u64, Event)> = facts.into_iter().map(|fact| (offset, self.event(fact))).collect();
        self.facts.extend(facts.last().cloned());
        let verdicts = self.view.apply(&facts).expect("memory does not fail");
        assert_eq!(self.view.meta().last_fact, facts.last().map(|(_, event)| event.id));
        // Read once more, as after a lost connection: nothing of it has an effect any more.
        let again = self.view.apply(&facts).expect("memory does not fail");
        assert!(again.iter().all(|verdict| *verdict == Verdict::Rejected("seen before".into())));
        verdicts
    }
}

#[test]
fn everything_that_one_message_stages_takes_effect_in_its_order() {
    let mut stream = Stream::new();
    stream.start(1);
    let listed = |name: &str| Fact::DeviceListed { number: 1, device: device("d", name) };
    let verdicts = stream.say_together(vec![
        listed("old"),
        Fact::AssetListed { number: 1, asset: asset("Mac") },
        Fact::DeviceListed { number: 1, device: device("e", "other") },
        listed("new"),
    ]);
    assert_eq!(verdicts, vec![Verdict::Accepted; 4]);
    stream.complete(1);
    let name = |id: &str| stream.view.device(&device_id(id)).map(|row| row.entry.name);
    assert_eq!(name("d"), Some("new".to_owned()), "the later one of the same message");
    assert_eq!(name("e"), Some("other".to_owned()));
    assert_eq!(stream.name(), Some("Mac".to_owned()));
}

#[test]
fn claims_of_one_message_stand_one_after_the_other() {
    let mut stream = Stream::new();
    let intent = |step: u32| Intent {
        change: outcome("d", step).change,
        key: Key::Device(device_id(&format!("d{step}"))),
        asset: Some(asset_id()),
        record: None,
        users: Vec::new(),
        subjects: Vec::new(),
        waits: false,
        worker: "w".into(),
        at: Timestamp::UNIX_EPOCH,
    };
    stream.say_together(vec![Fact::ChangeIntended(intent(1)), Fact::ChangeIntended(intent(2))]);
    let claims = stream.view.claims("asset/A1");
    let keys: Vec<String> = claims.iter().map(|row| row.intent.key.to_string()).collect();
    assert_eq!(keys, ["device/d1", "device/d2"], "both, always in the same order");
    assert_eq!(claims[0].offset, claims[1].offset);
    stream.say_together(vec![
        Fact::ChangeEnded(Box::new(outcome("d1", 1))),
        Fact::ChangeEnded(Box::new(outcome("d2", 2))),
    ]);
    assert!(stream.view.claims("asset/A1").is_empty());
}
