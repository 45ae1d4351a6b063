//! One integration: what facts do to the view of it, what is decided on that, and what a person means by a text.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use amfj_sync_commands::time_args;
use amfj_sync_config::{Config, Integration, Tokens, parse};
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Event, Payload, Sequence, unpack};
use amfj_sync_projection::Projection;
use amfj_sync_projection::lookup;
use amfj_sync_projection::rows::{DeviceRow, UserRow};
use amfj_sync_rules::{self as rules, Site};
use amfj_sync_security::screen::passed;
use amfj_sync_service::status::SiteStatus;
use jiff::Timestamp;

use crate::screen::is_on_one_line;
use crate::secrets::SECRET;
use crate::{inputs, separated};

/// The AMFJ field that is mapped from `serial_number` in [`CONFIG`].
const SERIAL: Option<&str> = Some("Serial Number");

/// Every setting, each with a value that is not its default.
pub(crate) const SETTINGS: &str =
    include_str!("../../../shared/config/tests/fixtures/config/good/everything.toml");

pub(crate) fn environment() -> BTreeMap<String, String> {
    let token = |name: &str| (name.to_owned(), SECRET.to_owned());
    BTreeMap::from([token("KANDJI_TOKEN"), token("AMFJ_TOKEN")])
}

static CONFIG: LazyLock<Config> =
    LazyLock::new(|| match parse(Path::new("amfj-sync.toml"), SETTINGS, &environment(), Tokens::Both) {
        Ok(loaded) => loaded.config,
        Err(errors) => panic!("{errors}"),
    });

pub(crate) fn config() -> &'static Integration {
    match CONFIG.integrations.first() {
        Some(integration) => integration,
        None => panic!("the configuration has no integration"),
    }
}

/// The most facts that are applied: the view is made anew for every input.
const MOST_FACTS: usize = 64;

/// Each line is a message of the stream, at the next offset.
pub(crate) fn facts(stream: &[u8]) {
    let mut view = Projection::in_memory(SERIAL);
    let mut snapshots = Vec::new();
    let messages = stream.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    for (offset, message) in (1..).zip(messages.take(MOST_FACTS)) {
        let events = unpack(message).unwrap_or_default();
        let events: Vec<Event> = events.into_iter().filter_map(|event| Event::decode(event).ok()).collect();
        let facts: Vec<(u64, &Event)> = events.iter().map(|event| (offset, event)).collect();
        match view.apply(&facts) {
            Ok(verdicts) => assert_eq!(verdicts.len(), facts.len()),
            Err(error) => panic!("the view is broken: {error}"),
        }
        snapshots.extend(events.into_iter().filter(|event| !matches!(event.payload, Payload::Fact(_))));
    }
    decide(&view, &snapshots);
    let status = SiteStatus::of(config(), &view, Timestamp::UNIX_EPOCH);
    assert!(serde_json::to_vec(&status).is_ok());
    tell(&view, "Sam’s MacBook Air");
}

/// Whatever the view holds, everything in it can be decided, twice with the same result.
fn decide(view: &Projection, snapshots: &[Event]) {
    let site = Site { view, siblings: &[view], config: config(), now: Timestamp::UNIX_EPOCH };
    let mut devices: Vec<DeviceRow> = Vec::new();
    view.each_device(&mut |row| {
        devices.push(row);
        true
    });
    let mut people: Vec<UserRow> = Vec::new();
    view.each_user(&mut |row| {
        people.push(row);
        true
    });
    let place = Sequence::first(1);
    for row in &devices {
        drop(rules::decide_missing(&site, row));
        let (one, again) =
            (rules::decide_device(&site, &row.entry, place), rules::decide_device(&site, &row.entry, place));
        assert_eq!(one.decision, again.decision);
    }
    for row in &people {
        drop(rules::decide_user(&site, &row.entry, place));
    }
    for event in snapshots {
        match &event.payload {
            Payload::DeviceSnapshot(snapshot) => drop(rules::decide_device(&site, &snapshot.device, place)),
            Payload::UserSnapshot(snapshot) => drop(rules::decide_user(&site, &snapshot.user, place)),
            _ => {}
        }
    }
}

/// What a text stands for is told on one line each.
fn tell(view: &Projection, text: &str) {
    let hits = lookup::find(view, text);
    for hit in &hits {
        drop(lookup::belongings(view, hit));
        is_on_one_line(&amfj_sync_security::screen::sanitize(&lookup::describe(view, hit)));
    }
    let near = lookup::near_lines(view, text, &|_| true);
    for line in &near {
        is_on_one_line(line);
    }
    is_on_one_line(&passed(&lookup::near_it(near)).replace('\n', " "));
}

/// The integration as the samples of all facts leave it.
static VIEW: LazyLock<Projection> = LazyLock::new(|| {
    let mut view = Projection::in_memory(SERIAL);
    for (offset, event) in (1..).zip(inputs::history()) {
        if let Err(error) = view.apply(&[(offset, event)]) {
            panic!("the view is broken: {error}");
        }
    }
    view
});

pub(crate) fn standing(now: Timestamp) -> SiteStatus {
    SiteStatus::of(config(), &VIEW, now)
}

/// A name, serial, email or id; a moment; a span.
pub(crate) fn selected(input: &[u8]) {
    for part in separated(input) {
        let text = String::from_utf8_lossy(part);
        tell(&VIEW, &text);
        drop(Key::parse(&text));
        let now = Timestamp::UNIX_EPOCH;
        if let Ok(moment) = time_args::ago(&text, now) {
            assert!(moment <= now);
            is_on_one_line(&amfj_sync_commands::time(moment));
        }
        if let Ok(moment) = time_args::until(&text, now) {
            assert!(moment > now);
            is_on_one_line(&amfj_sync_commands::time(moment));
        }
        if let Ok(moment) = time_args::since(&text, now) {
            is_on_one_line(&amfj_sync_commands::time(moment));
        }
    }
}
