//! `[[integration]]` and the tables below it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::mapping::{FieldSource, MappedField, Mapping};

use super::addresses;
use super::enums::{
    Assignment, Bulk, CreateDevices, CreateUsers, FirstAssignment, NameMatching, OnEmpty, WhenGone,
};
use super::events;
use super::problem::{At, nearest};
use super::profile;
use super::reader::{Found, Reading, Section, shown};
use super::settings::{boolean, duration, integer, name, names, percent, text, word};
use super::tokens;
use super::tree::{Kind, Node, NodeValue};
use super::types::{AmfjConfig, Integration, KandjiConfig, Scope, ScopeRule, SyncConfig};
use super::values::Percent;

/// Rows that any list may have, however short it was last time: people import whole fleets. `sync.longest_list` says
/// another number.
pub const FLOOR: u64 = 250_000;

const NAME: &str = "integration";
/// Shorter ones serve only tests; the request budget still holds.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);
/// The largest fleets are read within the hour; services that are slow, or ask for pauses, take longer.
const LONGEST_RUN: Duration = Duration::from_hours(6);

/// Platforms that Kandji is known to report. Another one is a warning: it may be newer than this list.
const PLATFORMS: [&str; 6] = ["Mac", "iPhone", "iPad", "AppleTV", "Windows", "Android"];

/// Reads every integration; `None` if one of them is wrong or there is none.
pub(super) fn read_all(root: &mut Section, reading: &mut Reading<'_>) -> Option<Vec<Integration>> {
    let Some(node) = root.take(NAME) else {
        if reading.may_be_empty {
            return Some(Vec::new());
        }
        let write = "[[integration]], as in amfj-sync.example.toml";
        return Found::Absent.required(root, NAME, write);
    };
    let NodeValue::List(list) = node.as_kind(Kind::List) else {
        reading.problem(
            &node.key_at,
            "integrations are a list; write [[integration]] in two brackets".to_owned(),
        );
        return None;
    };
    let read: Vec<Option<Integration>> = list.iter().map(|node| read_one(node, reading)).collect();
    report_repeated_ids(&list, reading);
    if list.is_empty() && !reading.may_be_empty {
        reading.problem(&node.key_at, "there is no integration; add [[integration]]".to_owned());
        return None;
    }
    read.into_iter().collect()
}

fn report_repeated_ids(list: &[Node], reading: &mut Reading<'_>) {
    let mut seen = BTreeSet::new();
    for node in list {
        let NodeValue::Table(entries) = &node.value else { continue };
        let Some(id) = entries.get("id") else { continue };
        if let Ok(text) = text(id)
            && !seen.insert(text.clone())
        {
            reading.problem(
                &id.at,
                format!("[{NAME}] \"id\" {} is taken by an integration above", shown(&text)),
            );
        }
    }
}

fn read_one(node: &Node, reading: &mut Reading<'_>) -> Option<Integration> {
    reading.places.clear();
    let mut section = Section::of_node(reading, NAME.to_owned(), node);
    let id =
        section.read(reading, "id", id).required(&mut section, "id", "id = \"acme\", in a-z, 0-9 and '-'");
    let mode = section.read(reading, "mode", word).required(
        &mut section,
        "mode",
        "mode = \"plan\" to see what would change, or mode = \"apply\" to change it",
    );
    let apply_only = section.read(reading, "apply_only", names).or(Vec::new());
    let interval = section
        .read(reading, "interval", |node| duration(node, SHORTEST_INTERVAL..=30 * DAY))
        .or(Duration::from_hours(1));
    let below = section.section(reading, "kandji");
    let kandji = kandji(below, reading);
    let below = section.section(reading, "amfj");
    let amfj = amfj(below, reading);
    let below = section.section(reading, "scope");
    let scope = scope(below, reading);
    let below = section.section(reading, "asset_types");
    let asset_types = asset_types(below, reading);
    let below = section.section(reading, "sync");
    let sync = sync(below, reading);
    let below = section.section(reading, "fields");
    let fields = mapping(below, reading, &|_| Ok(()));
    let below = section.section(reading, "user_fields");
    let user_fields = mapping(below, reading, &of_people);
    section.finish(reading);
    Some(Integration {
        id: id?,
        mode: mode?,
        apply_only: apply_only?.into_iter().collect(),
        interval: interval?,
        kandji: kandji?,
        amfj: amfj?,
        scope: scope?,
        asset_types: asset_types?,
        sync: sync?,
        fields: fields?,
        user_fields: user_fields?,
        places: std::mem::take(&mut reading.places),
    })
}

/// Part of the names of queues and metrics.
fn id(node: &Node) -> Result<IntegrationId, String> {
    let id = text(node)?;
    if !IntegrationId::is_one(&id) {
        return Err(format!("must be 1 to 63 of a-z, 0-9 and '-', not \"{}\"", shown(&id)));
    }
    IntegrationId::new(id).map_err(|error| format!("is wrong: {error}"))
}

fn kandji(mut section: Section, reading: &mut Reading<'_>) -> Option<KandjiConfig> {
    let api_url = section.read(reading, "api_url", |node| addresses::kandji(&text(node)?)).required(
        &mut section,
        "api_url",
        "api_url = \"https://SUBDOMAIN.api.kandji.io\" (US) or \"https://SUBDOMAIN.api.eu.kandji.io\" (EU)",
    );
    let token = tokens::read(&mut section, reading, "KANDJI_TOKEN");
    let requests_per_hour =
        section.read(reading, "requests_per_hour", |node| integer(node, 1..=10_000_000)).or(6_000);
    let bulk = section.read(reading, "bulk", word).or(Bulk::Off);
    let request_timeout = request_timeout(&mut section, reading);
    section.finish(reading);
    Some(KandjiConfig {
        api_url: api_url?,
        token: token?,
        requests_per_hour: requests_per_hour?,
        bulk: bulk?,
        request_timeout: request_timeout?,
    })
}

fn request_timeout(section: &mut Section, reading: &mut Reading<'_>) -> Option<Duration> {
    let bounds = Duration::from_millis(1)..=Duration::from_mins(10);
    section.read(reading, "request_timeout", |node| duration(node, bounds)).or(Duration::from_secs(30))
}

fn amfj(mut section: Section, reading: &mut Reading<'_>) -> Option<AmfjConfig> {
    let api_url = section.read(reading, "api_url", |node| addresses::service(&text(node)?)).required(
        &mut section,
        "api_url",
        "api_url = \"https://api.assetmanagementforjira.com/v1\", as AMFJ shows it",
    );
    let token = tokens::read(&mut section, reading, "AMFJ_TOKEN");
    let requests_per_second =
        section.read(reading, "requests_per_second", |node| integer(node, 1..=10_000)).or(20);
    let list_delay = list_delay(&mut section, reading);
    let request_timeout = request_timeout(&mut section, reading);
    let profile = profile::read(&mut section, reading);
    let client_id = section.read(reading, "client_id", |node| client_id(node).map(Some)).or(None);
    let token_url =
        section.read(reading, "token_url", |node| addresses::service(&text(node)?).map(Some)).or(None);
    profile::refuse_what_is_part_of_it(&mut section, reading);
    let events = events::read(&mut section, reading);
    section.finish(reading);
    Some(AmfjConfig {
        api_url: api_url?,
        token: token?,
        requests_per_second: requests_per_second?,
        list_delay: list_delay?,
        request_timeout: request_timeout?,
        profile: profile?,
        client_id: client_id?,
        token_url: token_url?,
        events: events?,
    })
}

/// A write that nobody answered is tried again only after this long, and so before it is given up.
fn list_delay(section: &mut Section, reading: &mut Reading<'_>) -> Option<Duration> {
    let mut at = None;
    let found = section.read(reading, "list_delay", |node| {
        at = Some(node.at.clone());
        duration(node, Duration::ZERO..=Duration::from_hours(1))
    });
    let list_delay = found.or(Duration::from_mins(1))?;
    let Some(give_up_after) = reading.give_up_after.filter(|after| list_delay >= *after) else {
        return Some(list_delay);
    };
    let given = if at.is_some() { "" } else { " unless it is set" };
    let message = format!(
        "\"list_delay\" is {list_delay:?}{given} and must be shorter than retry.give_up_after ({give_up_after:?}), or a \
         write that nobody answered would be given up before it may be tried again"
    );
    let at = at.unwrap_or_else(|| section.at.clone());
    section.complain(reading, &at, &message);
    None
}

/// The name that a client has at the service; it is no secret, and the token in its place would be shown.
fn client_id(node: &Node) -> Result<String, String> {
    let id = name(node)?;
    if id.chars().all(|c| c.is_ascii_graphic()) {
        Ok(id)
    } else {
        Err("must be one word: the id that the service gave to this program, not its secret".to_owned())
    }
}

fn scope(mut section: Section, reading: &mut Reading<'_>) -> Option<Scope> {
    let below = section.section(reading, "include");
    let include = scope_rule(below, reading);
    let below = section.section(reading, "exclude");
    let exclude = scope_rule(below, reading);
    section.finish(reading);
    Some(Scope { include: include?, exclude: exclude? })
}

fn scope_rule(mut section: Section, reading: &mut Reading<'_>) -> Option<ScopeRule> {
    let mut at = None;
    let platform = section
        .read(reading, "platform", |node| {
            at = Some(node.at.clone());
            names(node)
        })
        .or(Vec::new());
    if let (Some(at), Some(platforms)) = (at, &platform) {
        for platform in platforms {
            warn_of_unknown_platform(reading, &at, platform);
        }
    }
    let blueprint = section.read(reading, "blueprint", names).or(Vec::new());
    let tag = section.read(reading, "tag", names).or(Vec::new());
    section.finish(reading);
    Some(ScopeRule { platform: platform?, blueprint: blueprint?, tag: tag? })
}

fn warn_of_unknown_platform(reading: &mut Reading<'_>, at: &At, platform: &str) {
    if !PLATFORMS.iter().any(|known| known.eq_ignore_ascii_case(platform)) {
        let meant = nearest(platform, PLATFORMS).map_or_else(
            || format!("known are {}", PLATFORMS.join(", ")),
            |known| format!("did you mean \"{known}\"?"),
        );
        reading.warn(at, format!("Kandji is not known to have a platform \"{}\"; {meant}", shown(platform)));
    }
}

fn asset_types(mut section: Section, reading: &mut Reading<'_>) -> Option<BTreeMap<String, String>> {
    let mut complete = true;
    let mut types = BTreeMap::new();
    for (platform, node) in section.take_all() {
        reading.places.insert(section.place_key(platform.trim()), node.at.place(reading.source));
        warn_of_unknown_platform(reading, &node.key_at, &platform);
        match name(&node) {
            Ok(asset_type) => {
                types.insert(platform.trim().to_owned(), asset_type);
            }
            Err(message) => {
                section.complain(reading, &node.at, &format!("\"{}\" {message}", shown(&platform)));
                complete = false;
            }
        }
    }
    complete.then_some(types)
}

fn sync(mut section: Section, reading: &mut Reading<'_>) -> Option<SyncConfig> {
    let default_asset_type = section.read(reading, "default_asset_type", name).required(
        &mut section,
        "default_asset_type",
        "default_asset_type = \"Laptop\", the name of an asset type in AMFJ",
    );
    let default_location = section.read(reading, "default_location", |node| name(node).map(Some)).or(None);
    let create_devices = section.read(reading, "create_devices", word).or(CreateDevices::Never);
    let name_matching = section.read(reading, "name_matching", word).or(NameMatching::FirstSync);
    let create_users = section.read(reading, "create_users", word).or(CreateUsers::Linked);
    let auto_checkout = section.read(reading, "auto_checkout", boolean).or(false);
    let first_assignment = section.read(reading, "first_assignment", word).or(FirstAssignment::TakeOver);
    let assignment = section.read(reading, "assignment", word).or(Assignment::OnChange);
    let no_checkout_users = section.read(reading, "no_checkout_users", names).or(Vec::new());
    let on_empty = section.read(reading, "on_empty", word).or(OnEmpty::Keep);
    let when_gone = section.read(reading, "when_gone", word).or(WhenGone::Report);
    let tenth = Percent::new(10)?;
    let gone_limit = section.read(reading, "gone_limit", percent).or(tenth);
    let change_limit = section.read(reading, "change_limit", percent).or(tenth);
    let first_take_over_limit =
        section.read(reading, "first_take_over_limit", percent).or(change_limit.unwrap_or(tenth));
    let name_beats_email = section.read(reading, "name_beats_email", boolean).or(false);
    let allow_empty = section.read(reading, "allow_empty", boolean).or(false);
    let longest_list = section.read(reading, "longest_list", |node| integer(node, 1..=u64::from(u32::MAX)));
    let longest_list = longest_list.or(FLOOR);
    let bounds = Duration::from_secs(1)..=Duration::from_hours(24);
    let longest_run = section.read(reading, "longest_run", |node| duration(node, bounds));
    let longest_run = longest_run.or(LONGEST_RUN);
    let history_keep =
        section.read(reading, "history_keep", |node| duration(node, SECOND..=36_500 * DAY)).or(400 * DAY);
    section.finish(reading);
    Some(SyncConfig {
        default_asset_type: default_asset_type?,
        default_location: default_location?,
        create_devices: create_devices?,
        name_matching: name_matching?,
        create_users: create_users?,
        auto_checkout: auto_checkout?,
        first_assignment: first_assignment?,
        assignment: assignment?,
        no_checkout_users: no_checkout_users?.iter().map(|email| email.to_lowercase()).collect(),
        on_empty: on_empty?,
        when_gone: when_gone?,
        gone_limit: gone_limit?,
        change_limit: change_limit?,
        first_take_over_limit: first_take_over_limit?,
        name_beats_email: name_beats_email?,
        allow_empty: allow_empty?,
        longest_list: longest_list?,
        longest_run: longest_run?,
        history_keep: history_keep?,
    })
}

/// A person has devices, but no details of one: whose would be written (P16)?
fn of_people(source: &FieldSource) -> Result<(), String> {
    match source.properties().iter().find(|path| path.is_details()) {
        Some(path) => Err(format!(
            "is wrong: {path} is a detail of a device, and user records are filled from the device list only; map user.name, \
             user.email or another property of the list"
        )),
        None => Ok(()),
    }
}

fn mapping(
    mut section: Section,
    reading: &mut Reading<'_>,
    check: &dyn Fn(&FieldSource) -> Result<(), String>,
) -> Option<Mapping> {
    let mut complete = true;
    let mut mapping = Mapping::new();
    for (field, node) in section.take_all() {
        let place = node.at.place(reading.source);
        reading.places.insert(section.place_key(field.trim()), place.clone());
        let source = if field.trim().is_empty() {
            Err("is no field name: it is blank".to_owned())
        } else {
            text(&node)
                .and_then(|text| FieldSource::parse(&text).map_err(|error| format!("is wrong: {error}")))
                .and_then(|source| check(&source).map(|()| source))
        };
        match source {
            Ok(source) => mapping.insert(field.trim(), MappedField { source, place }),
            Err(message) => {
                section.complain(reading, &node.at, &format!("\"{}\" {message}", shown(&field)));
                complete = false;
            }
        }
    }
    complete.then_some(mapping)
}
