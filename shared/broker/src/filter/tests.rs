//! Whatever a publisher writes on a message, the library reads what comes out, and it is no more than what it should be.

use lapin::BasicProperties;
use lapin::protocol::basic::{gen_properties, parse_properties};
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};

use super::super::signing::SIGNED;
use super::*;

/// What RabbitMQ agrees to.
const FRAME: u32 = 128 << 10;

/// Levels that fit into a frame of that size, as lists in lists; tables take one byte more for each.
const DEEP: usize = (128 << 10) / 5 - 20;

fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap();
    [&[kind, 0, 1], size.to_be_bytes().as_slice(), payload, &[0xce]].concat()
}

fn header_frame(properties: &[u8]) -> Vec<u8> {
    frame(HEADER, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], properties].concat())
}

fn encoded(properties: &BasicProperties) -> Vec<u8> {
    gen_properties(properties)(Vec::new().into()).unwrap().into_inner().0
}

fn long(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

fn entry(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[u8::try_from(name.len()).unwrap()], name, value].concat()
}

fn text(name: &str, value: &str) -> Vec<u8> {
    entry(name.as_bytes(), &[b"S", long(value.as_bytes()).as_slice()].concat())
}

/// Lists in lists, or tables in tables, that many levels deep; made from the inside, in linear time.
fn nested(kind: u8, levels: usize) -> Vec<u8> {
    let step = if kind == b'A' { 5 } else { 6 };
    let mut bytes = Vec::with_capacity(levels * step);
    for level in 0..levels {
        if level > 0 && kind == b'F' {
            bytes.push(0);
        }
        bytes.push(kind);
        let within = (levels - level - 1) * step;
        bytes.extend_from_slice(&u32::try_from(within).unwrap().to_be_bytes());
    }
    bytes
}

/// The properties of which only the table of headers is given, and what the filter makes of them, in pieces of that size.
fn with_headers(entries: &[Vec<u8>]) -> Vec<u8> {
    header_frame(&[&[0x20, 0], long(&entries.concat()).as_slice()].concat())
}

fn filtered_by(filter: &mut FrameFilter, bytes: &[u8], pieces: usize) -> Vec<u8> {
    let mut ready = Vec::new();
    for piece in bytes.chunks(pieces) {
        filter.filter(piece, &mut ready).unwrap();
    }
    ready
}

fn filtered(bytes: &[u8]) -> Vec<u8> {
    filtered_by(&mut FrameFilter::new(FRAME), bytes, 1_000)
}

/// What the library reads of a header frame, on a thread with little room.
fn read(frame: &[u8]) -> BasicProperties {
    let payload = frame[HEAD + 12..frame.len() - 1].to_vec();
    let reading = move || {
        let (rest, properties) = parse_properties(payload.as_slice()).expect("the library reads it");
        assert!(rest.is_empty());
        properties
    };
    std::thread::Builder::new().stack_size(256 << 10).spawn(reading).unwrap().join().unwrap()
}

fn headers(frame: &[u8]) -> FieldTable {
    read(frame).headers().clone().unwrap_or_default()
}

#[test]
fn headers_nested_as_deep_as_a_frame_holds_do_not_reach_the_library() {
    let own = text("x-key", "device/d1");
    for (name, value) in [
        ("n", nested(b'A', DEEP)),
        ("n", nested(b'F', DEEP * 5 / 6)),
        ("x-death", nested(b'A', DEEP)),
        ("x-death", nested(b'A', 1_500)),
        ("x-death", nested(b'F', 1_300)),
        ("x-key", nested(b'F', 1_300)),
        ("x-death", nested(b'A', LEVELS_OF_A_DEATH + 2)),
    ] {
        let sent = with_headers(&[own.clone(), entry(name.as_bytes(), &value)]);
        assert!(sent.len() <= FRAME as usize, "{}", sent.len());
        let headers = headers(&filtered(&sent));
        let expected = usize::from(name != "x-key");
        assert_eq!(headers.inner().len(), expected, "{name}, {} bytes", value.len());
    }
}

/// `x-death`: a list of tables with a list of routing keys.
const LEVELS_OF_A_DEATH: usize = 3;

fn of_rabbitmq() -> FieldTable {
    let mut death = FieldTable::default();
    death.insert("queue".into(), AMQPValue::LongString("amfj-sync.acme.apply.00".into()));
    death.insert("count".into(), AMQPValue::LongLongInt(1));
    death.insert("time".into(), AMQPValue::Timestamp(1_795_000_000));
    let keys: FieldArray = vec![AMQPValue::LongString("x".into())].into();
    death.insert("routing-keys".into(), AMQPValue::FieldArray(keys));
    let mut table = FieldTable::default();
    let deaths: FieldArray = vec![AMQPValue::FieldTable(death)].into();
    table.insert("x-death".into(), AMQPValue::FieldArray(deaths));
    table.insert("x-stream-offset".into(), AMQPValue::LongLongInt(17));
    for name in SIGNED {
        table.insert(name.into(), AMQPValue::LongString("é".repeat(2_048).into()));
    }
    table
}

#[test]
fn what_workers_and_the_broker_write_arrives_as_it_was() {
    for name in SIGNED.iter().chain(&[crate::SIGNATURE]) {
        assert!(properties::READ.contains(name), "{name}");
    }
    let sent = BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(2)
        .with_priority(3)
        .with_reply_to("amq.gen-1".into())
        .with_message_id("é1".into())
        .with_timestamp(1_795_000_000)
        .with_app_id("x".into())
        .with_headers(of_rabbitmq());
    let frames = [header_frame(&encoded(&sent)), frame(BODY, b"seven!!"), frame(HEARTBEAT, b"")].concat();
    for pieces in [1, 2, 7, 8, 9, 100, 1 << 20] {
        let arrived = filtered_by(&mut FrameFilter::new(FRAME), &frames, pieces);
        let (header, rest) = arrived.split_at(arrived.len() - 8 - 15);
        assert_eq!(read(header), sent, "in pieces of {pieces}");
        assert_eq!(rest, [frame(BODY, b"seven!!"), frame(HEARTBEAT, b"")].concat());
    }
}

/// RabbitMQ puts a death before those that somebody wrote there, whatever those are.
#[test]
fn the_latest_death_is_read_whatever_stands_behind_it() {
    let latest = [b"F".as_slice(), &long(&text("queue", "amfj-sync.acme.apply.00"))].concat();
    let deaths = [latest.as_slice(), &nested(b'A', 1_500), &text("x", &"x".repeat(20_000))].concat();
    let sent = with_headers(&[entry(b"x-death", &[b"A".as_slice(), &long(&deaths)].concat())]);
    let headers = headers(&filtered(&sent));
    let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get("x-death") else { panic!("{headers:?}") };
    let [AMQPValue::FieldTable(death)] = deaths.as_slice() else { panic!("{deaths:?}") };
    assert!(death.inner().contains_key("queue"));
}

/// RabbitMQ adds the offset to headers that fill a frame, and sends a frame that is larger than it agreed to.
#[test]
fn a_frame_is_never_larger_than_was_agreed_and_its_offset_stays() {
    let much: Vec<Vec<u8>> = properties::READ.iter().map(|name| text(name, &"x".repeat(8_000))).collect();
    let twice = text("x-reason", "the second counts");
    let offset = entry(b"x-stream-offset", &[b"l".as_slice(), &17_u64.to_be_bytes()].concat());
    let huge = text("x-other", &"x".repeat(300_000));
    let mut all = [much, vec![huge, twice, offset]].concat();
    for (agreed, least) in [(128 << 10, 14), (32 << 10, 4), (8 << 10, 1), (0, 1)] {
        let arrived = filtered_by(&mut FrameFilter::new(agreed), &with_headers(&all), 4_096);
        assert!(arrived.len() <= usize::try_from(agreed).unwrap().max(LEAST), "{}", arrived.len());
        let headers = headers(&arrived);
        assert!(headers.inner().len() >= least, "{agreed}: {}", headers.inner().len());
        assert_eq!(headers.inner().get("x-stream-offset"), Some(&AMQPValue::LongLongInt(17)));
    }
    all.truncate(13);
    let mut filter = FrameFilter::new(128 << 10);
    let tune = frame(METHOD, &[TUNE.as_slice(), &[7, 255], &8_192_u32.to_be_bytes(), &[0, 60]].concat());
    assert_eq!(filtered_by(&mut filter, &tune, 3), tune);
    assert!(
        filtered_by(&mut filter, &with_headers(&all), 4_096).len() <= 8_192,
        "the broker wants it smaller"
    );
}

#[test]
fn no_text_is_left_that_the_library_cannot_read() {
    let deliver = |exchange: &[u8], key: &[u8]| {
        let parts =
            [&[0, 60, 0, 60, 1, b't', 0, 0, 0, 0, 0, 0, 0, 9, 0][..], &entry(exchange, &entry(key, b""))];
        frame(METHOD, &parts.concat())
    };
    assert_eq!(filtered(&deliver(b"\xffx", b"a\xc3\x28")), deliver(b"?x", b"a?("));
    let closed =
        |text: &[u8]| frame(METHOD, &[&[0, 20, 0, 40, 1, 148][..], &entry(text, &[0, 60, 0, 40])].concat());
    assert_eq!(filtered(&closed(b"no queue 'q\xc3")), closed(b"no queue 'q?"));
    // Methods that are shorter than they should be, and others, stay as they are.
    for payload in [&[0, 60, 0, 60, 9, 1][..], &[0, 60, 0, 60], &[0, 60], &[], &[0, 60, 0, 11, 255]] {
        assert_eq!(filtered(&frame(METHOD, payload)), frame(METHOD, payload));
    }
    let sent = [
        &[0b1010_0000, 0b1000_0000][..],
        &entry(b"\xfe\xffplain", b""),
        &long(&[entry(b"\xff", b"t\x01"), text("x-key", "k")].concat()),
        &entry(b"id\xff", b""),
    ];
    let read = read(&filtered(&header_frame(&sent.concat())));
    assert_eq!(read.content_type().as_ref().map(ShortString::as_str), Some("??plain"));
    assert_eq!(read.message_id().as_ref().map(ShortString::as_str), Some("id?"));
    assert_eq!(read.headers().as_ref().map(|headers| headers.inner().len()), Some(1));
    let long_one = text("x-reason", &"x".repeat(9_000));
    assert!(headers(&filtered(&with_headers(&[long_one]))).inner().is_empty(), "larger than any of ours");
    let names = entry(b"x-death", &[b"F".as_slice(), &long(&entry(b"\xff", b"t\x01"))].concat());
    assert!(headers(&filtered(&with_headers(&[names]))).inner().is_empty());
}

#[test]
fn what_cannot_be_read_has_no_properties() {
    for properties in [
        &b""[..],
        b"\x20",
        b"\x20\0\0\0\0\x09\x01",
        b"\x80\0\x09short",
        b"\0\0and more",
        b"\x10\0",
        b"\0\x40\0\0",
    ] {
        assert_eq!(read(&filtered(&header_frame(properties))), BasicProperties::default(), "{properties:?}");
    }
    // A value of a kind that is none ends the table, as far as it is read.
    let strange = with_headers(&[text("x-key", "k"), entry(b"x-time", b"?\0\0\0\0"), text("x-reason", "r")]);
    assert_eq!(headers(&filtered(&strange)).inner().len(), 1);
    let without_class = frame(HEADER, &[0; 14]);
    assert_eq!(read(&filtered(&without_class)), BasicProperties::default());
}

#[test]
fn what_is_no_amqp_is_left_to_the_library() {
    for greeting in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"AMQP\0\0\x09\x01",
        b"220\r\n",
        b"\x15\x03\x01\0\x02\x02\x46",
    ] {
        assert_eq!(filtered(greeting), greeting);
    }
    let mut filter = FrameFilter::new(FRAME);
    let endless = filter.filter(&[HEADER, 0, 1, 255, 255, 255, 255], &mut Vec::new());
    assert!(endless.is_err_and(|error| error.to_string().contains("larger than any message")));
}
