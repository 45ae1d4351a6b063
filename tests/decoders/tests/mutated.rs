//! Valid messages with one member that is odd: where structure helps, so that more than the envelope is reached in daily runs.

use amfj_sync_decoders::Target;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

/// What a member may be instead of what it should be.
fn odd(number: u8) -> Value {
    let deep = (0..100).fold(Value::Null, |within, _| json!([within]));
    let all = [
        Value::Null,
        json!(true),
        json!(-1),
        json!(0),
        json!(u64::MAX),
        json!(1e300),
        json!(""),
        json!(" \u{0}\u{202e}\n"),
        json!("9999-12-31T23:59:59.999999999Z"),
        json!("-009999-01-02T01:59:59Z"),
        json!("18446744073709551615.4294967295"),
        json!("x".repeat(70_000)),
        json!([]),
        json!({}),
        deep,
    ];
    all[usize::from(number) % all.len()].clone()
}

/// The places of all members and elements.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    let members: Vec<(String, &Value)> = match value {
        Value::Object(members) => {
            members.iter().map(|(name, value)| (name.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(values) => {
            values.iter().enumerate().map(|(at, value)| (at.to_string(), value)).collect()
        }
        _ => Vec::new(),
    };
    for (name, value) in members {
        let place = format!("{at}/{name}");
        places(value, &place, found);
        found.push(place);
    }
}

/// A message with one member that is odd.
fn mutated(message: &[u8], member: Index, number: u8) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(message).ok()?;
    let mut found = Vec::new();
    places(&value, "", &mut found);
    if found.is_empty() {
        return None;
    }
    *value.pointer_mut(&found[member.index(found.len())])? = odd(number);
    serde_json::to_vec(&value).ok()
}

fn target(name: &str) -> &'static Target {
    Target::named(name).unwrap_or_else(|| panic!("no decoder is called {name}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_message_with_one_odd_member_is_read_or_refused(message: Index, member: Index, number: u8) {
        let messages = target("events").seeds();
        if let Some(message) = mutated(&messages[message.index(messages.len())], member, number) {
            target("events").read(&message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whoever can write to the stream can put one such message into it: everybody who reads it goes on.
    #[test]
    fn a_stream_with_one_odd_member_breaks_nothing(line: Index, member: Index, number: u8) {
        let streams = target("facts").seeds();
        let whole = streams.iter().max_by_key(|stream| stream.len()).cloned().unwrap_or_default();
        let mut lines: Vec<Vec<u8>> = whole.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let at = line.index(lines.len());
        if let Some(message) = mutated(&lines[at], member, number) {
            lines[at] = message;
            target("facts").read(&lines.join(&b'\n'));
        }
    }
}
