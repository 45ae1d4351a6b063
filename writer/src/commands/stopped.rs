//! `writer stopped`: changes that AMFJ refuses and that stepped aside, as the writers that have them in hand say; and
//! what a person wants of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amfj_sync_config::Tokens;
use amfj_sync_model::ids::{DeviceId, IntegrationId, KandjiUserId, Key, UserKey};
use amfj_sync_model::messages::{Event, Fact, Order, PersonDecision, author};
use amfj_sync_model::names::{NameKey, email_key, serial_key};
use amfj_sync_projection::{Verdict, View};
use amfj_sync_security::screen::{Ink, Screen, legible, say, say_json, say_line};
use amfj_sync_service::command;
use amfj_sync_service::status::{StoppedRecord, Trouble, WaitingKind, ask_workers};
use amfj_sync_service::worker::{CommonArgs, Exit, ROLES, Worker};
use amfj_sync_stream::State;
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::moments;

/// Which stopped changes somebody means.
#[derive(Debug, Clone, Default, Args)]
pub struct Meant {
    /// Devices (id, serial or name in Kandji) and people (email or Kandji user id)
    #[arg(value_name = "KEY", required_unless_present = "all")]
    pub keys: Vec<String>,
    /// All of them
    #[arg(long, conflicts_with = "keys")]
    pub all: bool,
}

/// What is wanted of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Retry,
    Drop,
}

/// What the writers of one integration say.
#[derive(Debug, Default, Serialize)]
struct Stopped {
    integration: String,
    kinds: Vec<WaitingKind>,
    records: Vec<StoppedRecord>,
    /// How many there are in all.
    in_all: u32,
}

/// Shows them.
pub async fn list(common: &CommonArgs, json: bool) -> Result<(), Exit> {
    let config = common.load(Tokens::None)?;
    let worker = command::follow("writer-stopped", config).await?;
    let found = look(&worker).await;
    worker.finish().await;
    let (writers, found) = found?;
    if json {
        say_json(&found);
    } else {
        say(show(&Screen::stdout(), writers, &found).trim_end());
    }
    Ok(())
}

/// Tries them now.
pub async fn retry(common: &CommonArgs, meant: &Meant) -> Result<(), Exit> {
    order(common, meant, Wanted::Retry).await
}

/// Gives them up now.
pub async fn drop_stopped(common: &CommonArgs, meant: &Meant) -> Result<(), Exit> {
    order(common, meant, Wanted::Drop).await
}

async fn order(common: &CommonArgs, meant: &Meant, wanted: Wanted) -> Result<(), Exit> {
    let config = common.load(Tokens::None)?;
    let worker = command::follow("writer-stopped", config).await?;
    let done = order_all(&worker, meant, wanted).await;
    worker.finish().await;
    done
}

async fn order_all(worker: &Worker, meant: &Meant, wanted: Wanted) -> Result<(), Exit> {
    let (writers, found) = look(worker).await?;
    let known: BTreeMap<&str, &Stopped> = found.iter().map(|one| (one.integration.as_str(), one)).collect();
    let mut orders: Vec<(&State, Option<Key>)> = Vec::new();
    if meant.all {
        orders.extend(worker.states.values().map(|state| (state, None)));
    }
    for text in &meant.keys {
        orders.push(find(worker, &known, text).map(|(state, key)| (state, Some(key)))?);
    }
    for (state, key) in orders {
        let order = match wanted {
            Wanted::Retry => Order::TryStopped { key: key.clone() },
            Wanted::Drop => Order::DropStopped { key: key.clone() },
        };
        decide(state, order).await?;
        let id = state.integration();
        let what = key.map_or_else(|| format!("Every stopped change of {id}"), |key| format!("{id}: {key}"));
        say_line(&match wanted {
            Wanted::Retry => format!("{what} is tried now."),
            Wanted::Drop => {
                format!("{what} is given up now, and becomes a dead letter (`writer dead list`).")
            }
        });
    }
    if writers == 0 {
        say("No writer runs, so nothing is in hand; changes wait in their queues.");
    }
    Ok(())
}

/// How many writers run, and what they say.
async fn look(worker: &Worker) -> Result<(u32, Vec<Stopped>), Exit> {
    let names = worker.broker.names();
    let session = worker.broker.session().await?;
    let mut expected = BTreeMap::new();
    for role in ROLES {
        let depth = session.inspect(&names.workers(role)).await?;
        expected.insert(role, depth.map_or(0, |depth| depth.consumers));
    }
    let reports = ask_workers(&session, names, &expected).await?;
    let of = |id: &IntegrationId| {
        let troubles =
            reports.iter().filter_map(|report| report.integrations.get(id.as_str())?.trouble.as_ref());
        let mut stopped = Stopped { integration: id.to_string(), ..Stopped::default() };
        for Trouble { kinds, records, stopped: count, .. } in troubles {
            stopped.kinds.extend(kinds.iter().cloned());
            stopped.records.extend(records.iter().cloned());
            stopped.in_all += count;
        }
        stopped.records.sort_by(|one, other| (one.since, &one.label).cmp(&(other.since, &other.label)));
        stopped
    };
    let found = worker.config.integrations.iter().map(|integration| of(&integration.id)).collect();
    Ok((expected.get("writer").copied().unwrap_or(0), found))
}

/// What a person means: among what is stopped first, else among what is known. Never a guess.
fn find<'a>(
    worker: &'a Worker,
    stopped: &BTreeMap<&str, &Stopped>,
    text: &str,
) -> Result<(&'a State, Key), Exit> {
    let mut found: Vec<(&State, Key)> = Vec::new();
    for (id, state) in &worker.states {
        let records = stopped.get(id.as_str()).map(|stopped| stopped.records.as_slice()).unwrap_or_default();
        let mut keys: Vec<Key> = records
            .iter()
            .filter(|record| is_meant(record, text))
            .filter_map(|record| key(&record.key))
            .collect();
        keys.sort();
        keys.dedup();
        found.extend(keys.into_iter().map(|key| (state, key)));
    }
    if found.is_empty() {
        for state in worker.states.values() {
            found.extend(state.read(|view| known(view, text)).into_iter().map(|key| (state, key)));
        }
    }
    match found.len() {
        0 => Err(Exit::Failed(format!(
            "nothing \"{text}\" is known; give a device's id, serial or name in Kandji, or a person's email or Kandji \
             user id (`writer stopped list` shows what is stopped)"
        ))),
        1 => Ok(found.remove(0)),
        _ => {
            let lines = found.iter().map(|(state, key)| format!("{}: {key}", state.integration()));
            let lines = lines.collect::<Vec<_>>().join("\n  ");
            Err(Exit::Failed(format!(
                "several fit \"{text}\"; give the id, or `--integration ID`:\n  {lines}"
            )))
        }
    }
}

fn key(subject: &str) -> Option<Key> {
    match subject.split_once('/')? {
        ("device", id) => DeviceId::new(id).ok().map(Key::Device),
        ("user", key) => UserKey::new(key).ok().map(Key::User),
        _ => None,
    }
}

fn is_meant(record: &StoppedRecord, text: &str) -> bool {
    let id = record.key.split_once('/').map_or("", |(_, id)| id);
    let serial = serial_key(text);
    let is_email = record.key.starts_with("user/") && email_key(text).is_some_and(|email| email == id);
    record.key == text.trim()
        || id == text.trim()
        || is_email
        || (record.key.starts_with("device/")
            && serial.is_some()
            && record.serials.iter().any(|own| serial_key(own) == serial))
        || NameKey::of(text).is_some_and(|name| NameKey::of(&record.label) == Some(name))
}

fn known(view: &View, text: &str) -> Vec<Key> {
    let by_id = DeviceId::new(text.trim()).ok().filter(|id| view.device(id).is_some());
    let mut keys: Vec<Key> = match by_id {
        Some(id) => vec![Key::Device(id)],
        None => view.devices_with_serial(text).into_iter().map(Key::Device).collect(),
    };
    if keys.is_empty()
        && let Some(name) = NameKey::of(text)
    {
        view.each_device(&mut |row| {
            if NameKey::of(&row.entry.name).as_ref() == Some(&name) {
                keys.push(Key::Device(row.entry.device_id));
            }
            true
        });
    }
    let of_id = KandjiUserId::new(text.trim()).ok().and_then(|id| view.user_of(&id));
    let by_email = email_key(text).and_then(|email| UserKey::new(email).ok());
    let by_email = by_email.filter(|key| view.user(key).is_some());
    keys.extend(of_id.or(by_email).map(Key::User));
    keys
}

/// Publishes the decision; the writer that has the change in hand reads it as every other fact.
async fn decide(state: &State, order: Order) -> Result<(), Exit> {
    let decision = PersonDecision { by: author(), order };
    let fact = Fact::PersonDecided { token: Uuid::new_v4(), decision };
    match state.publish_and_read_back(Event::fact(&state.origin(), Timestamp::now(), fact)).await? {
        Verdict::Accepted => Ok(()),
        Verdict::Rejected(reason) => Err(Exit::Failed(legible(&reason))),
    }
}

fn show(screen: &Screen, writers: u32, all: &[Stopped]) -> String {
    let mut out = String::new();
    for one in all.iter().filter(|one| one.in_all > 0 || !one.kinds.is_empty()) {
        let _ = writeln!(out, "{}", screen.ink(Ink::Bold, &one.integration));
        for kind in &one.kinds {
            let text = format!(
                "{} waits since {}, tried {} times: {}",
                kind.kind,
                moments::shown(kind.since),
                kind.attempts,
                legible(&kind.reason)
            );
            let _ = writeln!(out, "  {}", screen.inked(Ink::Yellow, 2, &text));
        }
        for record in &one.records {
            let _ = writeln!(out, "  {}", screen.sentence(2, &describe(record)));
        }
        let more = usize::try_from(one.in_all).unwrap_or(0).saturating_sub(one.records.len());
        if more > 0 {
            let _ = writeln!(out, "  and {more} more");
        }
    }
    if out.is_empty() {
        out.push_str(if writers == 0 {
            "No writer runs, so nothing is in hand."
        } else {
            "Nothing is stopped."
        });
    }
    out
}

fn describe(record: &StoppedRecord) -> String {
    let next = match (record.waits_with_kind, record.next) {
        (true, _) => "waits with its kind".to_owned(),
        (false, Some(next)) => format!("next try {}", moments::shown(next)),
        (false, None) => "being tried".to_owned(),
    };
    format!(
        "{} \"{}\" {}: refused {} times since {}, {next}: {}",
        record.key,
        legible(&record.label),
        record.change,
        record.attempts,
        moments::shown(record.since),
        legible(&record.reason)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, label: &str, serial: &str) -> StoppedRecord {
        StoppedRecord {
            key: key.into(),
            label: label.into(),
            serials: vec![serial.into()],
            change: "update-asset".into(),
            request: None,
            reason: "403".into(),
            since: Timestamp::UNIX_EPOCH,
            attempts: 3,
            next: None,
            waits_with_kind: false,
        }
    }

    #[test]
    fn a_stopped_change_is_named_as_people_name_things() {
        let device = record("device/d-1", "Ana's MacBook", "C02XYZ");
        for text in ["d-1", "device/d-1", "c02xyz", "ana's macbook", " C02XYZ "] {
            assert!(is_meant(&device, text), "{text}");
        }
        let person = record("user/ana@example.com", "Ana", "C02XYZ");
        assert!(is_meant(&person, "Ana@Example.com") && is_meant(&person, "ana"));
        assert!(!is_meant(&person, "C02XYZ"), "that is the device's");
        assert!(!is_meant(&device, "d-2") && !is_meant(&device, ""));
    }
}
