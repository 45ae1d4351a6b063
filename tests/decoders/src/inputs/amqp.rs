//! Frames and headers of AMQP.

use super::messages;
use crate::frames::{frame, header as content_header};

/// A header of a kind that AMQP has: its letter, and its bytes.
fn header(name: &str, kind: u8, value: &[u8]) -> Vec<u8> {
    let name_length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    [&[name_length], name.as_bytes(), &[kind], value].concat()
}

fn long(value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), value].concat()
}

fn text(name: &str, value: &str) -> Vec<u8> {
    header(name, b'S', &long(value.as_bytes()))
}

/// What a worker writes on a dead letter, what the broker does, and what a replay carries.
pub(crate) fn letters() -> Vec<Vec<u8>> {
    let worker = [
        text("x-reason", "AMFJ answered 500"),
        text("x-stage", "apply"),
        text("x-integration", "acme"),
        text("x-key", "device/d1"),
        text("x-attempts", "3"),
        text("x-time", "2026-11-30T12:00:00Z"),
        text("x-since", "2026-11-29T12:00:00Z"),
        text("x-queue", "3f2a9c1e-0000-5000-8000-000000000000"),
        text("x-replay", "3f2a9c1e-0000-4000-8000-000000000001"),
        text("x-decided-on", "17"),
        header("x-stream-offset", b'l', &17_u64.to_be_bytes()),
        header("x-delivery-count", b'l', &3_u64.to_be_bytes()),
        text("x-signature", &format!("v1:{}", "0".repeat(64))),
    ]
    .concat();
    let death = long(
        &[
            text("queue", "amfj-sync.acme.apply.00"),
            text("reason", "delivery_limit"),
            header("count", b'l', &1_u64.to_be_bytes()),
            header("time", b'T', &1_795_000_000_u64.to_be_bytes()),
            header("routing-keys", b'A', &long(&[b"S".as_slice(), &long(b"x")].concat())),
        ]
        .concat(),
    );
    let deaths = long(&[b"F".as_slice(), &death].concat());
    let broker = header("x-death", b'A', &deaths);
    let nested = (0..64).fold(Vec::new(), |within, _| [b"A".as_slice(), &long(&within)].concat());
    let nested = [b"\x01n".as_slice(), &nested].concat();
    let body = messages().into_iter().find(|message| message.windows(9).any(|found| found == b"change.v1"));
    let body = body.unwrap_or_default();
    [worker, broker, nested, Vec::new()].iter().map(|table| [long(table), body.clone()].concat()).collect()
}

/// Frames that a broker sends, and properties alone.
pub(crate) fn frames() -> Vec<Vec<u8>> {
    let tables = letters().into_iter().filter_map(|letter| {
        let length = usize::try_from(u32::from_be_bytes(*letter.first_chunk()?)).ok()?;
        letter.get(..length + 4).map(<[u8]>::to_vec)
    });
    let all: &[u8] = b"\x04type\x04gzip";
    let behind: &[u8] = b"\x02\x03\x01c\x01r\x01e\x04id\xff\xfe\0\0\0\0\x6a\xfd\0\0\x01t\x01u\x01a\x01l";
    let full = tables.map(|table| [&[0xff, 0xfc], all, &table, behind].concat());
    let mut inputs: Vec<Vec<u8>> = full.map(|properties| [&[6, 3], properties.as_slice()].concat()).collect();
    let deliver = [0, 60, 0, 60, 1, b't', 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0xff, 2, 0xc3, 0x28];
    let sent = [
        frame(1, &[0, 10, 0, 30, 7, 255, 0, 2, 0, 0, 0, 60]),
        frame(1, &deliver),
        content_header(&inputs[0][2..]),
        frame(3, b"seven!!"),
        frame(8, b""),
        frame(1, b"\0\x14\0\x28\x01\x94\x09no queue\xc3\0\x3c\0\x28"),
    ];
    inputs.push([&[0, 1], sent.concat().as_slice()].concat());
    inputs
}
