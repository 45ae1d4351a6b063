//! What stands on a message beside its body: whoever can write to the broker can write any headers.

use std::sync::LazyLock;

use amfj_sync_broker::dead_letter::{DeadLetterReason, Replay, dead_letter, header};
use amfj_sync_broker::{FrameFilter, Names, Received, SIGNATURE, Signing, Stage};
use amfj_sync_commands::as_text;
use amfj_sync_config::{Secret, SigningConfig};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_security::screen::{Screen, passed};
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

use crate::frames;
use crate::screen::steers;

static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new("amfj-sync"));

static SIGNING: LazyLock<Option<Signing>> = LazyLock::new(|| {
    let keys = vec![Secret::new("a signing key that nobody can guess")];
    Signing::of(&SigningConfig { keys, accept_unsigned: false })
});

const PLACE: &str = "amfj-sync.acme.apply.00";

/// Bytes of a frame, as RabbitMQ agrees to.
const FRAME_MAX: u32 = 128 << 10;

/// A table of headers as AMQP has it, and a body behind it.
pub(crate) fn dead_letters(input: &[u8]) {
    let (headers, body) = headers_of(input).unwrap_or((FieldTable::default(), input));
    let received = received(headers, body);
    if let Some(offset) = received.offset {
        assert!(i64::try_from(offset).is_ok());
    }
    drop((received.reply_to(), received.died_at()));
    if let Some(death) = received.broker_death() {
        assert!(death.queue.len() + death.reason.len() <= input.len());
    }
    is_told(&received);
    is_sent_on(&received);
    is_not_believed(&received);
}

/// The headers as a worker gets to see them, and what stands behind them.
fn headers_of(input: &[u8]) -> Option<(FieldTable, &[u8])> {
    let length = usize::try_from(u32::from_be_bytes(*input.first_chunk()?)).ok()?;
    let (table, body) = input.split_at_checked(length.checked_add(4)?)?;
    let mut ready = Vec::new();
    FrameFilter::new(FRAME_MAX).filter(&frames::header(&[&[0x20, 0], table].concat()), &mut ready).ok()?;
    Some((frames::properties(&ready).headers().clone()?, body))
}

fn received(headers: FieldTable, body: &[u8]) -> Received {
    // No property but the headers is made of the input, so these say the others, too.
    let id = headers.inner().get(header::QUEUE).and_then(|id| match id {
        AMQPValue::LongString(id) => Some(String::from_utf8_lossy(id.as_bytes()).into_owned()),
        _ => None,
    });
    let mut delivery = Delivery::mock(
        1,
        "".into(),
        PLACE.into(),
        headers.inner().contains_key(header::SINCE),
        body.to_vec(),
    );
    delivery.properties = delivery.properties.with_headers(headers);
    if let Some(id) = id.filter(|id| id.len() < 256) {
        delivery.properties = delivery.properties.with_message_id(id.into());
    }
    Received::of(delivery)
}

fn acme() -> Option<IntegrationId> {
    IntegrationId::new("acme").ok()
}

/// Shown to a person, it steers no terminal.
fn is_told(received: &Received) {
    let known: Vec<IntegrationId> = acme().into_iter().collect();
    let shown = passed(&as_text(received, &NAMES, &known, &Screen::plain()));
    assert!(!shown.chars().any(steers), "{shown:?}");
}

/// As a dead letter, and replayed, it keeps what it was.
fn is_sent_on(received: &Received) {
    let Some(acme) = acme() else { return };
    let reason = DeadLetterReason {
        integration: &acme,
        stage: Stage::Apply,
        queue: PLACE,
        key: "device/d1",
        reason: "it was refused",
        attempts: u32::MAX,
    };
    let letter = dead_letter(&NAMES, received, &reason);
    assert_eq!(letter.body, received.body);
    let Some(replay) = Replay::of(received) else { return };
    let letter = replay.put_on(letter);
    let again = Replay::of(&self::received(letter.headers.clone(), &letter.body));
    let same = again.map(|again| (again.token, again.attempts, replay.since.and(again.since)));
    // Where nothing says since when, the letter itself does.
    assert_eq!(same, Some((replay.token, replay.attempts, replay.since)));
}

/// Nobody without the key signs it, and whoever has it does.
fn is_not_believed(received: &Received) {
    let Some(signing) = &*SIGNING else { return };
    assert!(!received.is_trusted_at(PLACE, Some(signing)), "it was forged");
    let mut headers = received.headers.clone();
    let signature = signing.sign(PLACE, received.id.as_deref().unwrap_or_default(), &headers, &received.body);
    headers.insert(SIGNATURE.into(), AMQPValue::LongString(signature.into()));
    headers.insert("x-death".into(), AMQPValue::Void);
    let signed = self::received(headers.clone(), &received.body);
    assert!(signed.is_trusted_at(PLACE, Some(signing)));
    assert!(!signed.is_trusted_at("amfj-sync.acme.apply.01", Some(signing)));
    headers.insert(header::ATTEMPTS.into(), AMQPValue::LongString("99".into()));
    let altered = self::received(headers, &received.body);
    let is_the_same = altered.header(header::ATTEMPTS) == received.header(header::ATTEMPTS);
    assert_eq!(altered.is_trusted_at(PLACE, Some(signing)), is_the_same);
}
