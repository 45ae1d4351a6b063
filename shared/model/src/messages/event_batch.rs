//! Several events in one message: a JSON array of CloudEvents, their batched mode.
//!
//! A message costs the broker and both of its clients about the same whether it carries one fact or
//! twenty, so facts that are on their way at the same time share one. All of a message is in a stream or
//! nothing of it, and its facts stand there in their order.

use serde_json::value::RawValue;

use super::DecodeError;

/// Events of one message, at most.
const MOST: usize = 32;
/// Bytes of its body after which a message takes no more events.
const ENOUGH: usize = 32 << 10;

/// The body of a message that is being put together.
#[derive(Debug)]
pub struct EventBatch {
    body: Vec<u8>,
    events: usize,
}

impl EventBatch {
    /// Whether a message that carries one event has room for another.
    #[must_use]
    pub fn fit(one: &[u8], other: &[u8]) -> bool {
        one.len() + other.len() < ENOUGH
    }

    /// Begins with the JSON of one event.
    #[must_use]
    pub fn of(event: &[u8]) -> Self {
        let mut body = Vec::with_capacity(event.len() + 2);
        body.push(b'[');
        body.extend_from_slice(event);
        Self { body, events: 1 }
    }

    /// Bytes that it has so far.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is made of one, and never empty")]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is room for the JSON of another event.
    #[must_use]
    pub fn has_room_for(&self, event: &[u8]) -> bool {
        self.events < MOST && Self::fit(&self.body, event)
    }

    /// Adds the JSON of another event.
    pub fn add(&mut self, event: &[u8]) {
        self.body.push(b',');
        self.body.extend_from_slice(event);
        self.events += 1;
    }

    /// The body: an array, or the event itself where it is the only one.
    #[must_use]
    pub fn into_body(mut self) -> Vec<u8> {
        if self.events == 1 {
            self.body.remove(0);
        } else {
            self.body.push(b']');
        }
        self.body
    }
}

/// The JSON of every event that a message carries, in their order.
pub fn unpack(body: &[u8]) -> Result<Vec<&[u8]>, DecodeError> {
    if body.first() != Some(&b'[') {
        return Ok(vec![body]);
    }
    let events: Vec<&RawValue> = serde_json::from_slice(body).map_err(DecodeError::Envelope)?;
    Ok(events.into_iter().map(|event| event.get().as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(events: &[&str]) -> Vec<u8> {
        let mut pack = EventBatch::of(events[0].as_bytes());
        events[1..].iter().for_each(|event| pack.add(event.as_bytes()));
        pack.into_body()
    }

    #[test]
    fn what_is_packed_comes_out_in_its_order() {
        for events in [vec!["{\"a\":[1,2]}"], vec!["{\"a\":\"]\"}", "{}", "{\"b\":[]}"]] {
            let body = packed(&events);
            let unpacked: Vec<_> = unpack(&body).unwrap();
            assert_eq!(unpacked, events.iter().map(|event| event.as_bytes()).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_single_event_is_not_wrapped() {
        assert_eq!(packed(&["{\"a\":1}"]), b"{\"a\":1}");
    }

    #[test]
    fn a_message_takes_events_until_it_is_large_enough() {
        let (mut pack, large) = (EventBatch::of(b"{}"), vec![b' '; ENOUGH]);
        assert!(!pack.has_room_for(&large) && !EventBatch::fit(b"{}", &large));
        for _ in 1..MOST {
            assert!(pack.has_room_for(b"{}"));
            pack.add(b"{}");
        }
        assert!(!pack.has_room_for(b"{}"), "no more than {MOST}");
    }

    #[test]
    fn a_broken_array_is_an_error_and_no_panic() {
        assert!(unpack(b"[{\"a\":1},").is_err());
        assert!(unpack(b"").is_ok_and(|events| events == [b""]));
    }
}
