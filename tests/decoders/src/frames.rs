//! Frames as the broker sends them: whoever can publish writes what stands in their properties.

use amfj_sync_broker::FrameFilter;
use lapin::BasicProperties;
use lapin::protocol::basic::parse_properties;

/// Type, channel and size of a frame, and the byte that ends it.
const HEAD: usize = 7;
const FRAME_END: u8 = 0xce;

const HEADER: u8 = 2;

/// What every broker and client takes, and what RabbitMQ agrees to.
const FRAME_MAX: [u32; 2] = [4 << 10, 128 << 10];

/// A frame with that payload.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&[kind, 0, 1], size.as_slice(), payload, &[FRAME_END]].concat()
}

/// The content header of a message of so many bytes with these properties.
pub(crate) fn header(properties: &[u8]) -> Vec<u8> {
    frame(HEADER, &[&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7], properties].concat())
}

/// What the library reads of a content header that was filtered.
pub(crate) fn properties(header: &[u8]) -> BasicProperties {
    match parse_properties(&header[HEAD + 12..header.len() - 1]) {
        Ok(([], properties)) => properties,
        other => panic!("the library cannot read what is left of a header: {other:?}"),
    }
}

/// Two bytes say in which pieces they arrive, how large frames may be, and whether these are frames or properties alone.
pub(crate) fn frames(input: &[u8]) {
    let Some(([pieces, how], rest)) = input.split_first_chunk() else { return };
    let frame_max = FRAME_MAX[usize::from(how & 1)];
    let arrived = if how & 2 == 0 { rest.to_vec() } else { header(rest) };
    let Some(ready) = filtered(frame_max, &arrived, usize::from(*pieces) + 1) else { return };
    assert_eq!(filtered(frame_max, &arrived, arrived.len().max(1)).as_ref(), Some(&ready), "pieces matter");
    // A header without properties says so, in two bytes.
    assert!(
        ready.len() <= arrived.len() + arrived.len() / 4,
        "{} bytes became {}",
        arrived.len(),
        ready.len()
    );
    if how & 2 != 0 {
        assert!(u32::try_from(ready.len()).is_ok_and(|size| size <= frame_max), "{} bytes", ready.len());
        drop(properties(&ready));
        // What was filtered stays as it is.
        assert_eq!(filtered(frame_max, &ready, 1).as_ref(), Some(&ready));
    }
}

fn filtered(frame_max: u32, arrived: &[u8], pieces: usize) -> Option<Vec<u8>> {
    let (mut filter, mut ready) = (FrameFilter::new(frame_max), Vec::new());
    arrived.chunks(pieces).try_for_each(|piece| filter.filter(piece, &mut ready)).ok()?;
    Some(ready)
}
