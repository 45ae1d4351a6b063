//! Events that go to the same stream at the same moment share messages: one costs the broker and its readers about the same
//! whether it carries one event or twenty.

use std::borrow::Cow;
use std::collections::HashMap;

use amfj_sync_model::messages::EventBatch;

use super::publisher::Outgoing;

/// Puts events that go to the same stream into messages together. What goes to one place stays in order.
pub(super) fn packed<'a>(
    limit: usize,
    messages: impl Iterator<Item = &'a Outgoing>,
) -> Vec<Cow<'a, Outgoing>> {
    let mut packed: Vec<(Cow<'a, Outgoing>, Option<EventBatch>)> = Vec::new();
    // The message to each stream that still takes events.
    let mut open: HashMap<&str, usize> = HashMap::new();
    for message in messages {
        if !message.packable {
            open.remove(message.routing_key.as_str());
            packed.push((Cow::Borrowed(message), None));
            continue;
        }
        if let Some((whole, pack)) = open.get(message.routing_key.as_str()).and_then(|at| packed.get_mut(*at))
            && pack.as_ref().map_or(whole.body.len(), EventBatch::len) + message.body.len() + 2 < limit
            && pack.as_ref().map_or_else(
                || EventBatch::fit(&whole.body, &message.body),
                |pack| pack.has_room_for(&message.body),
            )
        {
            pack.get_or_insert_with(|| EventBatch::of(&whole.body)).add(&message.body);
            // A message is known by the last of its events: that is how far its reader has read then.
            whole.to_mut().id = message.id;
        } else {
            open.insert(&message.routing_key, packed.len());
            packed.push((Cow::Borrowed(message), None));
        }
    }
    let whole = |(mut message, pack): (Cow<'a, Outgoing>, Option<EventBatch>)| {
        if let Some(pack) = pack {
            message.to_mut().body = pack.into_body();
        }
        message
    };
    packed.into_iter().map(whole).collect()
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldTable;
    use uuid::Uuid;

    use super::super::largest::MAX_BYTES;
    use super::*;

    fn outgoing(number: u128, to: &str, packable: bool) -> Outgoing {
        Outgoing {
            exchange: String::new(),
            routing_key: to.to_owned(),
            id: Uuid::from_u128(number),
            body: format!("{{\"number\":{number}}}").into_bytes(),
            headers: FieldTable::default(),
            packable,
        }
    }

    #[test]
    fn events_to_one_stream_share_messages_and_stay_in_order() {
        let messages = [
            outgoing(1, "state", true),
            outgoing(2, "queue", false),
            outgoing(3, "state", true),
            outgoing(4, "history", true),
            outgoing(5, "state", false),
            outgoing(6, "state", true),
            outgoing(7, "history", true),
        ];
        let packed = packed(MAX_BYTES, messages.iter());
        let shown: Vec<(u128, String)> = packed
            .iter()
            .map(|message| (message.id.as_u128(), String::from_utf8_lossy(&message.body).into_owned()))
            .collect();
        let array = |numbers: &[u128]| {
            let events: Vec<String> =
                numbers.iter().map(|number| format!("{{\"number\":{number}}}")).collect();
            format!("[{}]", events.join(","))
        };
        let single = |number: u128| (number, format!("{{\"number\":{number}}}"));
        // 5 stands alone: nothing that came after it may overtake it.
        assert_eq!(shown, [(3, array(&[1, 3])), single(2), (7, array(&[4, 7])), single(5), single(6)]);
    }

    #[test]
    fn what_is_packed_stays_below_what_the_broker_takes() {
        let messages: Vec<Outgoing> = (1..=6).map(|number| outgoing(number, "state", true)).collect();
        let packed = packed(32, messages.iter());
        assert_eq!(packed.len(), 3);
        assert!(packed.iter().all(|message| message.body.len() <= 32), "{packed:?}");
    }
}
