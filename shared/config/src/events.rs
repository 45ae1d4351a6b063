//! Where AMFJ's events are taken, and by which key they are known (P34).

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};

use super::keys::secret_text;
use super::problem::At;
use super::reader::{Reading, Section};
use super::secret::Secret;
use super::sections::address;
use super::settings::{name, text};
use super::tree::{Node, NodeValue};
use super::types::{EventsConfig, FetcherConfig, Integration};

const LISTEN: &str = "events_listen";
const KEY: &str = "events_key";
const ASSET_ID: &str = "event_asset_id";

/// The port next to those of the workers.
const PORT: u16 = 9467;

/// What a key that holds is made with: 128 bits and more, in letters that an address takes as they are.
const CURE: &str = "make one with `openssl rand -hex 16`";
/// Letters of 128 bits in hexadecimal, and in base64url.
const SHORTEST_HEXADECIMAL: usize = 32;
const SHORTEST: usize = 22;
/// A key with fewer letters that differ was typed, or repeats itself. One in ten million that are drawn has so few.
const FEWEST_LETTERS: usize = 7;
/// The head of a request has room for more.
const LONGEST: usize = 512;

/// Reads `events_listen`; none inside where no events are taken.
#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
pub(super) fn listen(
    section: &mut Section,
    reading: &mut Reading<'_>,
    status: Option<SocketAddr>,
) -> Option<Option<SocketAddr>> {
    let mut at = None;
    let found = section.read(reading, LISTEN, |node| {
        at = Some(node.at.clone());
        address(node, SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))).map(Some)
    });
    let events = found.or(None)?;
    if let (Some(events), Some(status), Some(at)) = (events, status, at)
        && meet(events, status)
    {
        let message = format!(
            "\"{LISTEN}\" is where \"listen\" serves health, metrics and status ({status}), which are for other people than \
             events; give it a port of its own, such as \"{}\"",
            SocketAddr::new(events.ip(), PORT)
        );
        section.complain(reading, &at, &message);
        return None;
    }
    Some(events)
}

/// Whether two addresses cannot both be listened on.
fn meet(one: SocketAddr, other: SocketAddr) -> bool {
    let everywhere = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && (one.ip() == other.ip() || everywhere)
}

/// Reads `events_key` and `event_asset_id`; none inside where there is no key.
#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
pub(super) fn read(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<EventsConfig>> {
    let key = section.take(KEY);
    let asset_id = section.read(reading, ASSET_ID, |node| pointer(node).map(Some)).or(None);
    let Some(key) = key else {
        return asset_id.map(|_| None);
    };
    reading.places.insert(section.place_key(KEY), key.at.place(reading.source));
    note_variable(reading, &key);
    if !reading.tokens.include_events() {
        return Some(Some(EventsConfig { key: None, asset_id: asset_id? }));
    }
    let key = checked(section, reading, &key)?;
    Some(Some(EventsConfig { key: Some(key), asset_id: asset_id? }))
}

/// The variable that the key stands in is for the fetcher alone.
fn note_variable(reading: &mut Reading<'_>, node: &Node) {
    if let At::Variable(name) = &node.at {
        reading.token_variables.add_events(name);
    }
    if let NodeValue::Table(entries) = &node.value
        && let Some(name) = entries.get("env").and_then(|node| name(node).ok())
    {
        reading.token_variables.add_events(&name);
    }
}

fn checked(section: &Section, reading: &mut Reading<'_>, node: &Node) -> Option<Secret> {
    let (text, source) = secret_text(section, reading, node, KEY, ["AMFJ_EVENTS_KEY", "amfj-events-key"])?;
    let key = text.trim();
    if let Some(fault) = fault_of(key) {
        section.complain_hidden(reading, &node.at, &format!("\"{KEY}\": {source} {fault}; {CURE}"));
        return None;
    }
    Some(Secret::new(key))
}

/// What keeps a text from being a key, as the end of a sentence.
fn fault_of(key: &str) -> Option<String> {
    let is_hexadecimal = key.bytes().all(|byte| byte.is_ascii_hexdigit());
    let shortest = if is_hexadecimal { SHORTEST_HEXADECIMAL } else { SHORTEST };
    let letters: BTreeSet<u8> = key.bytes().collect();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if key.is_empty() {
        Some("is empty; it must hold the key".to_owned())
    } else if !key.bytes().all(fits) {
        Some(
            "has something else than letters, digits, '-' and '_', which an address does not take".to_owned(),
        )
    } else if key.len() < shortest {
        let kind = if is_hexadecimal { "hexadecimal " } else { "" };
        Some(format!("can be guessed: it has fewer than {shortest} {kind}characters (128 bits)"))
    } else if letters.len() < FEWEST_LETTERS {
        Some("can be guessed: it repeats the same few characters".to_owned())
    } else if key.len() > LONGEST {
        Some(format!("is longer than {LONGEST} characters"))
    } else {
        None
    }
}

/// A JSON Pointer (RFC 6901) to something within an event.
fn pointer(node: &Node) -> Result<String, String> {
    let text = text(node)?.trim().to_owned();
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if text.starts_with('/') && text.len() > 1 && escapes && text.len() <= LONGEST {
        Ok(text)
    } else {
        Err("must be a JSON Pointer to the asset's id in an event, such as \"/asset/id\"".to_owned())
    }
}

/// Tells of a key without an address, and of an address that no key fits: each is half of what takes events.
pub(super) fn warn_of_halves(
    fetcher: &FetcherConfig,
    integrations: &[Integration],
    at: &At,
    reading: &mut Reading<'_>,
) {
    if !reading.tokens.include_events() {
        return;
    }
    let with_key = integrations.iter().find(|integration| integration.amfj.events.is_some());
    match (fetcher.events_listen, with_key) {
        (Some(_), None) if reading.may_be_empty => {}
        (Some(_), None) => reading.warn(
            at,
            format!("[fetcher] {LISTEN} takes no event, for no integration has a key: set {KEY} in [integration.amfj]"),
        ),
        (None, Some(integration)) => reading.warn(
            at,
            format!(
                "{KEY} of integration \"{}\" is not used, for no events are taken: set {LISTEN} in [fetcher]",
                integration.id
            ),
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
