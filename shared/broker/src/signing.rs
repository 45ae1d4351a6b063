//! Signatures: whether a message is of somebody who has the key, told before anything of it is read.
//!
//! What is signed: where the message goes, its id, the headers that its reader believes, and the exact bytes of its body. So
//! none of it can be altered, and no message be moved to another queue, partition or integration. A signed message that is
//! put into its own queue once more is what a redelivery is: its place says that it has been answered, or overtaken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use amfj_sync_config::SigningConfig;
use lapin::types::{AMQPValue, FieldTable};
use parking_lot::Mutex;
use ring::hmac;
use tokio::time::Instant;

use super::dead_letter::header;
use super::publisher::Outgoing;

/// The header that holds the signature.
pub const SIGNATURE: &str = "x-signature";

/// How a signature begins: the form of what is signed.
const FORM: &str = "v1:";

/// The headers that are part of what is signed. Others are the broker's.
pub(super) const SIGNED: [&str; 10] = [
    Outgoing::DECIDED_ON,
    header::REPLAY,
    header::ATTEMPTS,
    header::SINCE,
    header::REASON,
    header::STAGE,
    header::INTEGRATION,
    header::KEY,
    header::TIME,
    header::QUEUE,
];

/// For how long a refused message is something that is wrong now.
const LATELY: Duration = Duration::from_mins(10);

/// When a message was refused last, and how many were since nothing was wrong.
static REFUSED: Mutex<Option<(Instant, u64)>> = Mutex::new(None);

/// Between two lines about refused messages.
const SAID_EVERY: Duration = Duration::from_mins(1);

/// What a signature says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signed {
    /// The message is of somebody who has the key, and for this place.
    Rightly,
    /// There is a signature, and it is not of this message, this place or a key that is accepted.
    Wrongly,
    /// There is none.
    Not,
}

/// The keys that workers share.
pub struct Signing {
    own: hmac::Key,
    accepted: Vec<hmac::Key>,
    accept_unsigned: bool,
}

impl std::fmt::Debug for Signing {
    /// Without the keys (P27).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing").field("keys", &self.accepted.len()).finish_non_exhaustive()
    }
}

impl Signing {
    /// Signs with the first key, and accepts all; none without a key.
    #[must_use]
    pub fn of(config: &SigningConfig) -> Option<Self> {
        let key = |text: &str| hmac::Key::new(hmac::HMAC_SHA256, text.as_bytes());
        let accepted: Vec<hmac::Key> = config.keys.iter().map(|secret| key(secret.expose())).collect();
        let own = accepted.first()?.clone();
        Some(Self { own, accepted, accept_unsigned: config.accept_unsigned })
    }

    /// Whether messages without a signature are taken.
    pub(super) fn accepts_unsigned(&self) -> bool {
        self.accept_unsigned
    }

    /// The signature of a message to that place, a queue, stream or exchange.
    #[must_use]
    pub fn sign(&self, place: &str, id: &str, headers: &FieldTable, body: &[u8]) -> String {
        let tag = hmac::sign(&self.own, &signed_bytes(place, id, headers, body));
        let mut text = String::from(FORM);
        for byte in tag.as_ref() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from_digit(digit.into(), 16).unwrap_or('0'));
            }
        }
        text
    }

    /// Looks at the signature of a message that came from that place.
    pub(crate) fn judge(&self, place: &str, id: &str, headers: &FieldTable, body: &[u8]) -> Signed {
        let Some(signature) = text(headers, SIGNATURE) else { return Signed::Not };
        let Some(tag) = signature.strip_prefix(FORM).and_then(bytes_of) else { return Signed::Wrongly };
        let bytes = signed_bytes(place, id, headers, body);
        let is_of = |key: &hmac::Key| hmac::verify(key, &bytes, &tag).is_ok();
        if self.accepted.iter().any(is_of) { Signed::Rightly } else { Signed::Wrongly }
    }
}

/// Each part with its length before it, so that no two messages have the same bytes.
fn signed_bytes(place: &str, id: &str, headers: &FieldTable, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len() + 512);
    bytes.extend_from_slice(b"amfj-sync message\n");
    let mut part = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    };
    part(place.as_bytes());
    part(id.as_bytes());
    for name in SIGNED {
        match text(headers, name) {
            Some(value) => {
                part(name.as_bytes());
                part(value.as_bytes());
            }
            None => part(b""),
        }
    }
    part(body);
    bytes
}

/// A header that is a text.
pub(super) fn text<'a>(headers: &'a FieldTable, name: &str) -> Option<&'a str> {
    let bytes = match headers.inner().get(name)? {
        AMQPValue::LongString(text) => text.as_bytes(),
        AMQPValue::ShortString(text) => return Some(text.as_str()),
        _ => return None,
    };
    std::str::from_utf8(bytes).ok()
}

/// The bytes of hexadecimal digits.
fn bytes_of(digits: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits?;
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.chunks_exact(2).map(|pair| u8::try_from((pair[0] << 4) | pair[1]).ok()).collect()
}

/// How many messages this process refused unread, where it refused one lately.
#[must_use]
pub fn refused_lately() -> u64 {
    let refused = *REFUSED.lock();
    refused.filter(|(last, _)| last.elapsed() < LATELY).map_or(0, |(_, count)| count)
}

/// Counts a message that was refused unread, and says so at most once a minute.
#[expect(clippy::disallowed_macros, reason = "the one place where a message is refused")]
pub(super) fn refused(place: &str, signed: Signed) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    static UNSAID: AtomicU64 = AtomicU64::new(0);
    let lately = refused_lately();
    *REFUSED.lock() = Some((Instant::now(), lately.saturating_add(1)));
    let reason = if signed == Signed::Not { "unsigned" } else { "wrong" };
    metrics::counter!("amfj_sync_refused_messages_total", "reason" => reason).increment(1);
    let count = UNSAID.fetch_add(1, Ordering::Relaxed) + 1;
    let mut said = SAID.lock();
    if said.is_some_and(|at| at.elapsed() < SAID_EVERY) {
        return;
    }
    *said = Some(Instant::now());
    UNSAID.store(0, Ordering::Relaxed);
    tracing::error!(
        queue = place,
        count,
        reason,
        "messages without a right signature are refused unread: somebody who has not broker.signing_key writes to the broker, \
         or a worker has another key (docs/security.md)"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use amfj_sync_config::Secret;

    fn signing(keys: &[&str]) -> Signing {
        let keys = keys.iter().map(|key| Secret::new(*key)).collect();
        Signing::of(&SigningConfig { keys, accept_unsigned: false }).unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in pairs {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        table
    }

    #[test]
    fn a_signature_holds_for_its_message_at_its_place_alone() {
        let signing = signing(&["first key, and long enough for it"]);
        let on = |offset: &'static str| headers(&[(Outgoing::DECIDED_ON, offset)]);
        let signature = signing.sign("q.apply.00", "id", &on("7"), b"body");
        let judge = |place: &str, id: &str, mut table: FieldTable, body: &[u8]| {
            table.insert(SIGNATURE.into(), AMQPValue::LongString(signature.as_str().into()));
            signing.judge(place, id, &table, body)
        };
        assert_eq!(judge("q.apply.00", "id", on("7"), b"body"), Signed::Rightly);
        let mut of_the_broker = on("7");
        of_the_broker.insert("x-delivery-count".into(), AMQPValue::LongLongInt(3));
        assert_eq!(judge("q.apply.00", "id", of_the_broker, b"body"), Signed::Rightly);
        for (place, id, table, body) in [
            ("q.apply.01", "id", on("7"), &b"body"[..]),
            ("q.apply.00", "ie", on("7"), b"body"),
            ("q.apply.00", "id", on("8"), b"body"),
            ("q.apply.00", "id", headers(&[]), b"body"),
            ("q.apply.00", "id", headers(&[(Outgoing::DECIDED_ON, "7"), (header::REPLAY, "x")]), b"body"),
            ("q.apply.00", "id", on("7"), b"Body"),
            ("q.apply.0", "0id", on("7"), b"body"),
        ] {
            assert_eq!(judge(place, id, table, body), Signed::Wrongly, "{place} {id}");
        }
        assert_eq!(signing.judge("q.apply.00", "id", &on("7"), b"body"), Signed::Not);
        for other in ["", "v1:", "v1:zz", "v1:abc", "v2:00", "v1:00"] {
            let table = headers(&[(SIGNATURE, other)]);
            assert_eq!(signing.judge("q", "id", &table, b""), Signed::Wrongly, "{other:?}");
        }
    }

    #[test]
    fn a_key_is_replaced_while_both_are_accepted() {
        let (old, new) = ("the old key, which is to be replaced", "the new key, which shall be used then");
        let [before, both, turned, after] = [&[old][..], &[old, new], &[new, old], &[new]].map(signing);
        let takes = |reader: &Signing, writer: &Signing| {
            let signature = writer.sign("q", "id", &FieldTable::default(), b"x");
            reader.judge("q", "id", &headers(&[(SIGNATURE, &signature)]), b"x") == Signed::Rightly
        };
        for (one, other) in [(&before, &both), (&both, &turned), (&turned, &after)] {
            assert!(takes(one, other) && takes(other, one));
        }
        assert!(!takes(&after, &before) && !takes(&before, &after));
    }

    #[test]
    fn p27_a_key_is_not_shown() {
        assert!(!format!("{:?}", signing(&["a key that must never be shown anywhere"])).contains("never"));
    }
}
