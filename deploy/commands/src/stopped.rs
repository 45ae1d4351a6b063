//! `amfj-sync stopped`: changes that AMFJ refuses and that stepped aside, as the writers that have them in hand say; and
//! what a person wants of them.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use amfj_sync_model::ids::{IntegrationId, Key};
use amfj_sync_model::messages::OperatorOrder;
use amfj_sync_model::names::{NameKey, email_key, serial_key};
use amfj_sync_security::screen::{Screen, Style, sanitize, say, say_json, say_line};
use amfj_sync_service::status::{StoppedRecord, Trouble, WaitingKind};
use amfj_sync_service::worker::{CommonArgs, Exit};
use amfj_sync_stream::StateHandle;
use clap::Args;
use serde::Serialize;

use super::lookup::{self, Found};
use super::operator_decisions::decide;
use super::status::reports;
use super::{CommandContext, format};

/// Which stopped changes somebody means.
#[derive(Debug, Clone, Default, Args)]
pub struct StoppedSelection {
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
pub(crate) async fn list(common: &CommonArgs, json: bool) -> Result<(), Exit> {
    let context = CommandContext::read("stopped", common).await?;
    let found = look(&context).await;
    let (writers, found) = context.done(found).await?;
    if json {
        say_json(&found);
    } else {
        say(show(&Screen::stdout(), writers, &found).trim_end());
    }
    Ok(())
}

/// Tries them now.
pub(crate) async fn retry(common: &CommonArgs, meant: &StoppedSelection) -> Result<(), Exit> {
    order(common, meant, Wanted::Retry).await
}

/// Gives them up now.
pub(crate) async fn drop_stopped(common: &CommonArgs, meant: &StoppedSelection) -> Result<(), Exit> {
    order(common, meant, Wanted::Drop).await
}

async fn order(common: &CommonArgs, meant: &StoppedSelection, wanted: Wanted) -> Result<(), Exit> {
    let context = CommandContext::read("stopped", common).await?;
    let done = order_all(&context, meant, wanted).await;
    context.done(done).await
}

async fn order_all(context: &CommandContext, meant: &StoppedSelection, wanted: Wanted) -> Result<(), Exit> {
    let (writers, stopped) = look(context).await?;
    let mut orders: Vec<(&StateHandle, Option<Key>)> = Vec::new();
    if meant.all {
        orders.extend(context.integrations().map(|(_, state)| (state, None)));
    }
    for text in &meant.keys {
        let Found { integration, what } = find(context, &stopped, text)?;
        orders.push((context.integration(&integration)?.1, Some(what)));
    }
    for (state, key) in orders {
        let order = match wanted {
            Wanted::Retry => OperatorOrder::TryStopped { key: key.clone() },
            Wanted::Drop => OperatorOrder::DropStopped { key: key.clone() },
        };
        decide(state, order).await?;
        let id = state.integration();
        let what = key.map_or_else(|| format!("Every stopped change of {id}"), |key| format!("{id}: {key}"));
        say_line(&match wanted {
            Wanted::Retry => format!("{what} is tried now."),
            Wanted::Drop => {
                format!("{what} is given up now, and becomes a dead letter (`amfj-sync dead list`).")
            }
        });
    }
    if writers == 0 {
        say("No writer runs, so nothing is in hand; changes wait in their queues.");
    }
    Ok(())
}

/// How many writers run, and what they say.
async fn look(context: &CommandContext) -> Result<(u32, Vec<Stopped>), Exit> {
    let session = context.worker.broker.session().await?;
    let (live, reports) = reports(context, &session).await?;
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
    let found = context.integrations().map(|(integration, _)| of(&integration.id)).collect();
    Ok((live.get("writer").copied().unwrap_or(0), found))
}

/// What a person means: among what is stopped first, else among what is known. Never a guess.
fn find(context: &CommandContext, stopped: &[Stopped], text: &str) -> Result<Found<Key>, Exit> {
    let mut found: BTreeSet<(&IntegrationId, Key)> = BTreeSet::new();
    for (integration, _) in context.integrations() {
        let of_it = stopped.iter().filter(|one| one.integration == integration.id.as_str());
        let meant = of_it.flat_map(|one| &one.records).filter(|record| is_meant(record, text));
        found.extend(meant.filter_map(|record| Some((&integration.id, Key::parse(&record.key)?))));
    }
    let Some((id, key)) = found.first() else { return lookup::device_or_person(context, text) };
    if found.len() == 1 {
        return Ok(Found { integration: (*id).clone(), what: key.clone() });
    }
    let lines = found.iter().map(|(id, key)| sanitize(&format!("{id}: {key}")));
    let lines = lines.collect::<Vec<_>>().join("\n  ");
    Err(Exit::Failed(format!(
        "several fit \"{}\"; give the id, or `--integration ID`:\n  {lines}",
        sanitize(text)
    )))
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

fn show(screen: &Screen, writers: u32, all: &[Stopped]) -> String {
    let mut out = String::new();
    for one in all.iter().filter(|one| one.in_all > 0 || !one.kinds.is_empty()) {
        let _ = writeln!(out, "{}", screen.ink(Style::Bold, &one.integration));
        for kind in &one.kinds {
            let text = format!(
                "{} waits since {}, tried {} times: {}",
                kind.kind,
                format::time(kind.since),
                kind.attempts,
                sanitize(&kind.reason)
            );
            let _ = writeln!(out, "  {}", screen.inked(Style::Yellow, 2, &text));
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
        (false, Some(next)) => format!("next try {}", format::time(next)),
        (false, None) => "being tried".to_owned(),
    };
    format!(
        "{} \"{}\" {}: refused {} times since {}, {next}: {}",
        record.key,
        sanitize(&record.label),
        record.change,
        record.attempts,
        format::time(record.since),
        sanitize(&record.reason)
    )
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

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
