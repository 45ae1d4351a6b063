//! Messages: whoever can write to the broker can write any bytes.

use std::collections::BTreeMap;

use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{DecodeError, Event, EventHeader, Payload, unpack};
use amfj_sync_security::screen::sanitize;
use amfj_sync_service::status::{WorkerReport, wrong_of_site, wrong_of_workers};
use amfj_sync_telemetry::{Span, SpanKind};

use crate::screen::is_on_one_line;
use crate::site;

/// Characters of the longest sentence about a message that cannot be read: the parser's words are cut.
const LONGEST_REASON: usize = 800;

/// What a message carries is read, and says the same when it is written and read again.
pub(crate) fn events(body: &[u8]) {
    let events = match unpack(body) {
        Ok(events) => events,
        Err(error) => return is_short(&error),
    };
    let carried: usize = events.iter().map(|event| event.len()).sum();
    assert!(carried <= body.len(), "{carried} bytes out of {}", body.len());
    for bytes in events {
        match Event::decode(bytes) {
            Ok(event) => is_the_same_again(&event),
            Err(error) => is_short(&error),
        }
        header_alone(bytes);
    }
}

fn is_the_same_again(event: &Event) {
    let written = event.encode();
    match Event::decode(&written) {
        Ok(again) => assert_eq!(&again, event),
        Err(error) => panic!("what was written cannot be read: {error}"),
    }
    if let Payload::Fact(fact) = &event.payload {
        assert!(!fact.subject().is_empty());
    }
    if let Some(key) = Key::parse(&event.subject) {
        for partitions in [0, 1, 4, 256, u16::MAX] {
            assert!(key.partition(partitions) < partitions.max(1));
        }
    }
    drop(Span::on(event.traceparent.as_deref(), SpanKind::Consumer, "fuzzed"));
}

/// Who only looks at the envelope sees what who reads everything does.
fn header_alone(bytes: &[u8]) {
    let Ok(header) = EventHeader::of(bytes) else {
        assert!(Event::decode(bytes).is_err());
        return;
    };
    let (id, subject) = (header.id(), header.subject().to_owned());
    if header.is_fact()
        && let Ok(fact) = header.fact()
    {
        let event = EventHeader::of(bytes).map(|header| header.saying(Payload::Fact(fact)));
        assert_eq!(event.ok(), Event::decode(bytes).ok());
    }
    if let Ok(event) = header.event() {
        assert_eq!((event.id, event.subject), (id, subject));
    }
}

fn is_short(error: &DecodeError) {
    let said = error.to_string();
    assert!(said.chars().count() <= LONGEST_REASON, "{} characters: {said}", said.chars().count());
}

/// What a worker says of itself, or somebody who passes for one.
pub(crate) fn reports(body: &[u8]) {
    let Ok(report) = serde_json::from_slice::<WorkerReport>(body) else { return };
    let written = serde_json::to_vec(&report).unwrap_or_default();
    assert_eq!(serde_json::from_slice::<WorkerReport>(&written).ok().as_ref(), Some(&report));
    let now = jiff::Timestamp::UNIX_EPOCH;
    let workers = BTreeMap::from([("fetcher", 1), ("writer", 2)]);
    for wrong in wrong_of_workers(&workers, std::slice::from_ref(&report)) {
        drop(serde_json::to_vec(&wrong));
    }
    for wrong in wrong_of_site(&site::standing(now), std::slice::from_ref(&report), None, now) {
        is_on_one_line(&sanitize(&wrong.says));
    }
}
