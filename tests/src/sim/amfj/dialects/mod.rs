//! Other interfaces that an AMFJ could have: what is asked in a dialect is made a request of the contract, and what the
//! contract answers is said in the dialect. So the ledger, faults and oddities are the same under every dialect.
//!
//! Each has a profile in `tests/profiles`, by which the product speaks it. Between them they differ from the contract in every
//! row of what a profile can say.

mod envelope_jobs;
mod jobs;
mod offset_put;
mod prefix_members;
mod suiting;
mod words;

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use jobs::Jobs;

use super::store::Store;
use crate::sim::core::{Heard, MADE_UP};
use crate::sim::personality::Oddity;
use crate::sim::wire::{Ask, Reply};

/// Names the dialect that every simulated AMFJ of a test speaks.
const CHOSEN: &str = "AMFJ_SYNC_DIALECT";

/// How a site is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Dialect {
    /// The assumed contract, version 1.
    #[default]
    AssumedV1,
    /// An inventory of the older kind: two headers, offset and limit, numbers for ids, lists of pairs, whole records put back.
    OffsetPut,
    /// A young, asynchronous one: OAuth, records by id, addresses of next pages, JSON Patch, jobs, actions.
    EnvelopeJobs,
    /// A spreadsheet with an address: the token in the query, bare arrays, page numbers, one request a field.
    PrefixMembers,
}

impl Dialect {
    /// All but the contract itself.
    pub const OTHERS: [Self; 3] = [Self::OffsetPut, Self::EnvelopeJobs, Self::PrefixMembers];

    /// The one that the environment names for the whole run of a test; the contract itself where it names none.
    ///
    /// # Errors
    /// When there is no such dialect.
    pub fn chosen() -> Result<Self> {
        let name = std::env::var(CHOSEN).unwrap_or_default();
        if name.is_empty() {
            return Ok(Self::default());
        }
        Self::from_str(&name, false).map_err(|_| anyhow!("{CHOSEN}: there is no dialect {name:?}"))
    }

    /// Where its profile is; none where that is built in.
    #[must_use]
    pub fn profile(self) -> Option<String> {
        let is_built_in = self == Self::AssumedV1;
        (!is_built_in).then(|| format!("{}/profiles/{}.toml", env!("CARGO_MANIFEST_DIR"), self.name()))
    }

    /// Whether pages are asked for by a number, and the list says how many records it has.
    pub(crate) fn numbers_pages(self) -> bool {
        matches!(self, Self::OffsetPut | Self::PrefixMembers)
    }

    /// Whether a check-out takes an asset from whoever has it.
    pub(crate) fn takes_over(self) -> bool {
        matches!(self, Self::EnvelopeJobs | Self::PrefixMembers)
    }

    /// Whether an asset that nobody has can be taken back: its holder is a member like any other.
    pub(crate) fn takes_back_from_nobody(self) -> bool {
        self == Self::PrefixMembers
    }

    /// The name of its profile.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AssumedV1 => "assumed-v1",
            Self::OffsetPut => "offset-put",
            Self::EnvelopeJobs => "envelope-jobs",
            Self::PrefixMembers => "prefix-members",
        }
    }
}

/// What a dialect remembers between two requests.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// What comes of each write that is answered with a job.
    jobs: Jobs,
    /// Access tokens that were given out, and the secret for each.
    access: BTreeMap<String, String>,
    next: u64,
}

impl Memory {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// The request of the contract that is meant.
pub(crate) fn hear(store: &mut Store, ask: &Ask) -> Heard {
    match store.dialect {
        Dialect::AssumedV1 => Heard::Ask(ask.clone()),
        Dialect::OffsetPut => offset_put::hear(store, ask),
        Dialect::EnvelopeJobs => envelope_jobs::hear(store, ask),
        Dialect::PrefixMembers => prefix_members::hear(store, ask),
    }
}

/// The answer as it is said.
pub(crate) fn say(store: &mut Store, (wire, own, met): (&Ask, &Ask, &[Oddity]), reply: Reply) -> Reply {
    if is_of_others(&reply) {
        return reply;
    }
    match store.dialect {
        Dialect::AssumedV1 => reply,
        Dialect::OffsetPut => offset_put::say(store, wire, own, reply),
        Dialect::EnvelopeJobs => envelope_jobs::say(store, (wire, own, met), reply),
        Dialect::PrefixMembers => prefix_members::say(store, wire, own, reply),
    }
}

/// A request of the contract, in place of this one.
fn asked(ask: &Ask, method: &str, path: &str, query: &[(&str, String)], body: Option<&Value>) -> Ask {
    let query: Vec<(String, String)> =
        query.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let text: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    Ask {
        method: method.to_owned(),
        path: format!("{}/{path}", super::routes::BASE),
        query_text: text.join("&"),
        query,
        content_type: body.map(|_| "application/json".to_owned()),
        body: body.map(ToString::to_string).unwrap_or_default().into(),
        ..ask.clone()
    }
}

/// The JSON of an answer; none for what the contract never says, as something in between does.
fn said(reply: &Reply) -> Option<Value> {
    let is_json = reply
        .headers
        .iter()
        .any(|(name, value)| *name == "content-type" && value.starts_with("application/json"));
    is_json.then(|| serde_json::from_slice(&reply.body).ok()).flatten()
}

/// Whether a refusal is not the contract's own: something in between says it, in its own words.
fn is_of_others(reply: &Reply) -> bool {
    let is_own = || said(reply).is_some_and(|body| body.get("error").is_some_and(Value::is_object));
    reply.status >= 400 && !is_own()
}

/// How many records a numbered list says that it has: more than anybody reads where it does not end.
fn total(body: &Value, records: usize) -> usize {
    let is_endless = body["next_cursor"].as_str().is_some_and(|next| next.starts_with(MADE_UP));
    if is_endless { records + 1_000_000 } else { records }
}

/// The same answer with another body.
fn with_body(reply: Reply, body: &Value) -> Reply {
    Reply { body: body.to_string().into_bytes(), ..reply }
}

/// What the contract's refusal says: code, message and field.
fn refusal(body: &Value) -> Option<(String, String, Option<String>)> {
    let error = body.get("error")?;
    let text = |name: &str| error[name].as_str().map(str::to_owned);
    Some((text("code").unwrap_or_default(), text("message").unwrap_or_default(), text("field")))
}

/// The members of an object; none where it is no object.
fn members(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

/// The members that say something.
fn without_nulls(value: &Value) -> Value {
    Value::Object(members(value).into_iter().filter(|(_, value)| !value.is_null()).collect())
}

/// The id of the asset type of that name; what is no name of one stays, for the contract to refuse.
fn type_id(store: &Store, name: &Value) -> Value {
    let own = store.asset_types.iter().find(|kind| Some(kind.name.as_str()) == name.as_str());
    own.map_or_else(|| name.clone(), |own| json!(own.id))
}

/// The id of the location of that name, if there is one.
fn place_id(store: &Store, name: &Value) -> Value {
    let own = store.locations.iter().find(|place| Some(place.name.as_str()) == name.as_str());
    own.map_or(Value::Null, |own| json!(own.id))
}

/// When an asset of the contract was made.
fn created(asset: &Value) -> Option<Timestamp> {
    asset["created_at"].as_str().and_then(|at| at.parse().ok())
}

/// The answer with another status and body, and without the header that says in how many seconds to come again; beside it that
/// number, for the dialect to say in its own way.
fn refused_with(reply: Reply, status: u16, body: &Value) -> (Reply, Option<u64>) {
    let header = reply.headers.iter().find(|(name, _)| *name == "retry-after");
    let wait = header.and_then(|(_, text)| text.parse().ok());
    let mut said = with_body(Reply { status, ..reply }, body);
    said.headers.retain(|(name, _)| *name != "retry-after");
    (said, wait)
}

/// The record that a request of the contract is about, as the contract shows it.
fn shown(store: &Store, own: &Ask) -> Option<Value> {
    let parts: Vec<&str> = own.path.split('/').collect();
    match parts.as_slice() {
        ["", "v1", "assets", id, ..] => store.assets.get(id).map(|asset| store.show_asset(asset)),
        ["", "v1", "users", id] => store.users.get(id).map(Store::show_user),
        _ => None,
    }
}

/// A PATCH of the contract that makes what is shown into what is wanted; fields that are not wanted are cleared.
fn difference(shown: &Value, wanted: &Map<String, Value>, fields: &Map<String, Value>) -> Value {
    let mut patch = Map::new();
    for (member, value) in wanted {
        let now = match member.as_str() {
            "location_id" => &shown["location"]["id"],
            other => &shown[other],
        };
        if now != value {
            patch.insert(member.clone(), value.clone());
        }
    }
    let now = members(&shown["fields"]);
    let mut changed: Map<String, Value> = fields
        .iter()
        .filter(|(name, value)| now.get(*name) != Some(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for name in now.keys().filter(|name| !fields.contains_key(*name)) {
        changed.insert(name.clone(), Value::Null);
    }
    if !changed.is_empty() {
        patch.insert("fields".to_owned(), json!(changed));
    }
    Value::Object(patch)
}
