//! Numbers and times that no clock can have reached, as somebody may write them into the stream.

use super::*;

const FAR: u64 = 100_000_000_000_000;

impl Stream {
    fn now_ms(&self) -> u64 {
        self.now.as_millisecond().unsigned_abs()
    }

    /// Says a run of this number at that time, and lets the clock go on from where it was.
    fn forge(&mut self, number: u64, at: Timestamp) -> Verdict {
        let now = std::mem::replace(&mut self.now, at);
        let verdict = self.start(number);
        self.now = now;
        verdict
    }
}

#[test]
fn a_run_is_numbered_by_a_clock_or_by_the_run_before_it() {
    let mut stream = Stream::new();
    stream.run();
    let hour = 3_600_000;
    let rejected = |verdict: Verdict| matches!(verdict, Verdict::Rejected(why) if why.contains("no clock"));
    for number in [stream.now_ms() + 25 * hour, 99_999_999_999_999, FAR, u64::MAX] {
        assert!(rejected(stream.start(number)), "{number}");
    }
    // A time to come does not help.
    let far = Timestamp::from_millisecond(i64::try_from(FAR).unwrap()).unwrap();
    assert!(rejected(stream.forge(FAR, far)) && rejected(stream.forge(FAR, Timestamp::MAX)));
    assert_eq!(stream.start(stream.now_ms() + 23 * hour), Verdict::Accepted, "clocks differ");
    // The last number that can be had leaves all the others: the next is larger by one.
    let latest = 7_258_118_400_000 + 24 * hour;
    assert_eq!(stream.forge(latest, Timestamp::MAX), Verdict::Accepted);
    assert_eq!(stream.start(latest + 1), Verdict::Accepted);
    assert!(rejected(stream.start(latest + 3)));
}

#[test]
fn nothing_is_of_a_run_that_nobody_has_started() {
    let mut stream = Stream::new();
    stream.run();
    let sample = Change {
        key: Key::Device(device_id("d1")),
        label: "Mac".into(),
        serial: String::new(),
        serials: Vec::new(),
        action: Action::BreakLink { asset: asset_id() },
    };
    let run = stream.view.meta().latest.as_ref().unwrap().started.number;
    let answered = |run: u64| {
        let place = Sequence { run, step: 1 };
        Fact::ChangeEnded(Box::new(Outcome::of(
            Uuid::from_u128(run.into()),
            place,
            &sample,
            Ending::Unneeded,
        )))
    };
    assert!(matches!(stream.say(answered(FAR)), Verdict::Rejected(_)));
    assert!(matches!(stream.say(answered(run + 1)), Verdict::Rejected(_)));
    assert_eq!(stream.say(answered(run)), Verdict::Accepted);
    assert_eq!(stream.view.answered(&sample.key).sequence.run, run);
}

#[test]
fn what_was_written_in_a_time_to_come_gives_way_to_the_next_list() {
    let mut stream = Stream::new();
    stream.run();
    let now = stream.now;
    stream.now = Timestamp::MAX;
    let change = Change {
        key: Key::Device(device_id("d1")),
        label: "Mac".into(),
        serial: String::new(),
        serials: Vec::new(),
        action: Action::BreakLink { asset: asset_id() },
    };
    let mut outcome = Outcome::of(Uuid::nil(), Sequence::first(1), &change, Ending::Applied);
    outcome.asset = Some(asset("forged"));
    assert_eq!(stream.say(Fact::ChangeEnded(Box::new(outcome))), Verdict::Accepted);
    stream.now = now;
    stream.pass(3_600);
    let number = stream.now_ms();
    stream.start(number);
    stream.say(Fact::AssetListed { number, asset: asset("listed") });
    stream.complete(number);
    assert_eq!(stream.name().as_deref(), Some("listed"));
}
