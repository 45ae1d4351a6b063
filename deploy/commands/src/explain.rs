//! `amfj-sync explain DEVICE|ASSET|USER`: why something is in its state, and what to do (P24).

mod advice;
mod others;
mod past;
mod text;

use std::collections::BTreeMap;

use amfj_sync_config::Integration;
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{
    Candidate, Decision, DeviceEntry, DeviceStatus, PrimaryUser, Rule, Sequence,
};
use amfj_sync_projection::Projection;
use amfj_sync_projection::lookup::Hit;
use amfj_sync_projection::rows::{DeviceRow, FailedAction, PersonRow};
use amfj_sync_rules::{self as rules, MappedValue, Site, mapped_values};
use amfj_sync_security::screen::{Screen, say, say_json};
use amfj_sync_service::status::StoppedRecord;
use amfj_sync_service::worker::{CommonArgs, Exit};
use amfj_sync_stream::StateHandle;
use jiff::Timestamp;
use serde::Serialize;

use self::others::{LoneAsset, Person};
use self::past::{About, Applied, last_applied};
use super::format::Serials;
use super::plan::{ChangeRow, Hold, open_changes, state_of};
use super::{CommandContext, lookup, pausing};

/// Explains one device, asset or person.
pub(crate) async fn explain(common: &CommonArgs, what: &str, json: bool) -> Result<(), Exit> {
    let context = CommandContext::read("explain", common).await?;
    let answer = look(&context, what).await;
    let answer = context.done(answer).await?;
    if json {
        say_json(&answer);
    } else {
        let screen = Screen::stdout();
        say(&match &answer {
            Answer::Device(explained) => text::show(&screen, explained),
            Answer::Asset(asset) => text::others::asset(&screen, asset),
            Answer::Person(person) => text::others::person(&screen, person),
        });
    }
    Ok(())
}

/// What was asked about. An asset that is linked is told with its device.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer {
    Device(Box<Explained>),
    Asset(Box<LoneAsset>),
    Person(Box<Person>),
}

async fn look(context: &CommandContext, what: &str) -> Result<Answer, Exit> {
    let found = lookup::anything(context, what)?;
    let (config, state) = context.integration(&found.integration)?;
    let linked = |view: &Projection, asset: &AssetId| {
        view.linked_device(asset).or_else(|| others::intended_for(view, asset))
    };
    match found.what {
        Hit::Device(id) => device(context, config, state, &id).await,
        Hit::Asset(asset) => match state.read(|view| linked(view, &asset)) {
            Some(id) => device(context, config, state, &id).await,
            None => lone_asset(context, config, state, &asset).await,
        },
        Hit::Person(key) => person(context, config, state, &others::Who::Person(key)).await,
        Hit::Record(id) => {
            let who = state.read(|view| others::Who::of_record(view, id));
            person(context, config, state, &who).await
        }
    }
}

async fn device(
    context: &CommandContext,
    config: &Integration,
    state: &StateHandle,
    id: &DeviceId,
) -> Result<Answer, Exit> {
    let explained = context.with_siblings(config, &mut |siblings| {
        state.read(|view| Some(Explained::of(config, view, siblings, &view.device(id)?)))
    });
    let mut explained =
        explained.ok_or_else(|| Exit::Failed(format!("Kandji's device {id} is not known")))?;
    let key = Key::Device(id.clone());
    explained.last = last_applied(context, &config.id, &About::Key(&key)).await?;
    let user = explained.user.as_ref().and_then(|user| user.key.clone()).map(|key| format!("user/{key}"));
    explained.trouble = trouble(context, &config.id, &key.to_string(), user.as_deref()).await?;
    explained.warnings.extend(pausing::note(config, state));
    Ok(Answer::Device(Box::new(explained)))
}

async fn lone_asset(
    context: &CommandContext,
    config: &Integration,
    state: &StateHandle,
    id: &AssetId,
) -> Result<Answer, Exit> {
    let asset = context
        .with_siblings(config, &mut |siblings| state.read(|view| LoneAsset::of(config, view, siblings, id)));
    let mut asset = asset.ok_or_else(|| Exit::Failed(format!("AMFJ's asset {id} is not known")))?;
    asset.paused = pausing::note(config, state);
    asset.last = last_applied(context, &config.id, &About::Asset(id)).await?;
    Ok(Answer::Asset(Box::new(asset)))
}

async fn person(
    context: &CommandContext,
    config: &Integration,
    state: &StateHandle,
    who: &others::Who,
) -> Result<Answer, Exit> {
    let mut person = state.read(|view| Person::of(config, view, who));
    person.paused = pausing::note(config, state);
    let key = person.key();
    if let Some(key) = &key {
        person.trouble = trouble(context, &config.id, &key.to_string(), None).await?;
    }
    let record = person.record_id();
    let about = match (&key, &record) {
        (Some(key), _) => Some(About::Key(key)),
        (None, Some(record)) => Some(About::Record(record)),
        (None, None) => None,
    };
    if let Some(about) = about {
        person.last = last_applied(context, &config.id, &about).await?;
    }
    Ok(Answer::Person(Box::new(person)))
}

/// What AMFJ refuses now about the device or its user, as the writers that have it in hand say.
async fn trouble(
    context: &CommandContext,
    integration: &IntegrationId,
    device: &str,
    user: Option<&str>,
) -> Result<Vec<StoppedRecord>, Exit> {
    let session = context.worker.broker.session().await?;
    let (_, reports) = super::status::reports(context, &session).await?;
    let duties =
        reports.into_iter().filter_map(|mut report| report.integrations.remove(integration.as_str()));
    let records = duties.filter_map(|duty| duty.trouble).flat_map(|trouble| trouble.records);
    Ok(records.filter(|record| record.key == device || Some(record.key.as_str()) == user).collect())
}

/// Everything that is known about one device.
#[derive(Debug, Serialize)]
struct Explained {
    integration: String,
    device: Identity,
    /// None before it was decided for the first time.
    state: Option<DeviceStatus>,
    reason: String,
    /// One sentence.
    what_to_do: String,
    asset: Option<Linked>,
    /// Who linked it by hand to the asset that it has.
    linked_by: Option<Decided>,
    /// Who unlinked it, so that no rule links it again.
    unlinked_by: Option<Decided>,
    candidates: Vec<Candidate>,
    user: Option<User>,
    fields: Vec<MappedValue>,
    pending: Vec<ChangeRow>,
    failed: Vec<Failed>,
    /// What AMFJ refuses now, and is tried again by itself.
    trouble: Vec<StoppedRecord>,
    warnings: Vec<String>,
    last: Vec<Applied>,
}

#[derive(Debug, Serialize)]
struct Identity {
    id: String,
    name: String,
    serial: String,
    platform: String,
    in_scope: bool,
    removed: bool,
    /// In how many complete runs in a row it was missing.
    missing_in_runs: u32,
}

#[derive(Debug, Serialize)]
struct Linked {
    id: String,
    /// None where AMFJ has deleted it.
    name: Option<String>,
    asset_type: Option<String>,
    location: Option<String>,
    checked_out_to: Option<String>,
    serials: Option<Serials>,
    /// None while the link is only planned or on its way.
    since: Option<Timestamp>,
    rule: Option<Rule>,
    /// Since when AMFJ says that it is not there, which the next run looks into (P8).
    doubtful_since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Decided {
    by: String,
    at: Timestamp,
}

#[derive(Debug, Serialize)]
struct User {
    key: Option<String>,
    name: String,
    email: Option<String>,
    archived: bool,
    kandji_ids: Vec<String>,
    state: Option<DeviceStatus>,
    reason: String,
    record: Option<UserRecordShown>,
    candidates: Vec<Candidate>,
    warnings: Vec<String>,
    linked_by: Option<Decided>,
    unlinked_by: Option<Decided>,
}

#[derive(Debug, Serialize)]
struct UserRecordShown {
    id: String,
    name: Option<String>,
    email: Option<String>,
    rule: Option<Rule>,
    since: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct Failed {
    kind: String,
    reason: String,
    at: Timestamp,
}

impl Failed {
    fn all(failed: BTreeMap<String, FailedAction>) -> Vec<Self> {
        let one =
            |(kind, failed): (String, FailedAction)| Self { kind, reason: failed.reason, at: failed.at };
        failed.into_iter().map(one).collect()
    }
}

impl Explained {
    fn of(config: &Integration, view: &Projection, siblings: &[&Projection], row: &DeviceRow) -> Self {
        let device = &row.entry;
        let key = Key::Device(device.device_id.clone());
        let decision = view.decision(&key);
        let site = Site { view, siblings, config, now: Timestamp::now() };
        let now = as_of_now(&site, row);
        let asset = linked(view, device, &now);
        let known_asset = asset.as_ref().and_then(|asset| asset_of(view, &asset.id));
        let held = view.has_vanished(&device.device_id).then(|| vanished(config, view, device));
        let memory = view.memory(&key);
        let user = User::of(view, device);
        let person = view.person(&key.to_string());
        Self {
            integration: config.id.to_string(),
            device: Identity::of(row),
            state: held
                .as_ref()
                .map(|_| DeviceStatus::Held)
                .or(decision.as_ref().map(|decision| decision.state)),
            reason: held.unwrap_or_else(|| {
                decision.as_ref().map(|decision| decision.reason.clone()).unwrap_or_default()
            }),
            what_to_do: advice::what_to_do(config, view, device, decision.as_ref(), user.as_ref()),
            asset,
            linked_by: link_rule(view, device).and_then(|rule| Decided::linked(person.as_ref()?, rule)),
            unlinked_by: person.as_ref().and_then(Decided::unlinked),
            candidates: decision.as_ref().map(|decision| decision.candidates.clone()).unwrap_or_default(),
            user,
            fields: mapped_values(&site, device, known_asset.as_ref()),
            pending: decision.as_ref().map(|decision| pending(view, decision)).unwrap_or_default(),
            failed: Failed::all(memory.failed),
            trouble: Vec::new(),
            warnings: [warnings(decision, &now), unusable(view, device, &now)].concat(),
            last: Vec::new(),
        }
    }
}

/// Why a device that a held run does not see is held (P23).
fn vanished(config: &Integration, view: &Projection, device: &DeviceEntry) -> String {
    let others = view.vanished_devices().len().saturating_sub(1);
    let name = super::format::quoted(rules::label(device));
    let with = match others {
        0 => String::new(),
        1 => " together with 1 other linked device".to_owned(),
        others => format!(" together with {others} other linked devices"),
    };
    let run = match Hold::of(config, view) {
        Some(hold) => {
            format!(
                "the run of {} is held, and nothing is decided of it: {}",
                super::format::time(hold.started),
                hold.reason
            )
        }
        None => "nothing is decided of it before a run has looked again".to_owned(),
    };
    format!("{name} vanished from Kandji, or is listed as removed,{with}, so {run}")
}

/// What the rules say of what is known now; the decision that stands may be older.
fn as_of_now(site: &Site<'_>, row: &DeviceRow) -> Decision {
    let draft = if row.is_listed() {
        rules::decide_device(site, &row.entry, Sequence::default())
    } else {
        rules::decide_missing(site, row)
    };
    draft.decision
}

/// What the last complete run could not use of the device, its asset or its user record (P30).
fn unusable(view: &Projection, device: &DeviceEntry, now: &Decision) -> Vec<String> {
    let report = view.reading_report().unusable;
    let asset = view.link(&device.device_id).map(|link| link.asset).or_else(|| now.asset.clone());
    let ids = [
        Some(device.device_id.as_str()),
        asset.as_ref().map(AssetId::as_str),
        now.record.as_ref().map(RecordId::as_str),
    ];
    ids.into_iter()
        .flatten()
        .flat_map(|id| report.about(id).map(ToString::to_string).collect::<Vec<_>>())
        .collect()
}

fn warnings(decision: Option<Decision>, now: &Decision) -> Vec<String> {
    let Some(decision) = decision else { return Vec::new() };
    let outdated = (decision.asset != now.asset).then(|| {
        "Something was learnt or decided by a person since; a running reconciler decides this again."
            .to_owned()
    });
    outdated.into_iter().chain(decision.warnings).collect()
}

impl Identity {
    fn of(row: &DeviceRow) -> Self {
        let device = &row.entry;
        Self {
            id: device.device_id.to_string(),
            name: device.name.clone(),
            serial: device.serial.clone(),
            platform: device.platform.clone(),
            in_scope: device.in_scope,
            removed: device.removed,
            missing_in_runs: row.missing.map_or(0, |missing| missing.runs),
        }
    }
}

impl Decided {
    fn of(row: &PersonRow) -> Self {
        Self { by: row.decision.by.clone(), at: row.at }
    }

    fn unlinked(row: &PersonRow) -> Option<Self> {
        row.forbids().then(|| Self::of(row))
    }

    /// Who made the link, where that was a person.
    fn linked(row: &PersonRow, rule: Rule) -> Option<Self> {
        (rule == Rule::Person && !row.forbids()).then(|| Self::of(row))
    }
}

fn link_rule(view: &Projection, device: &DeviceEntry) -> Option<Rule> {
    view.link(&device.device_id).map(|link| link.rule)
}

fn asset_of(view: &Projection, id: &str) -> Option<Asset> {
    view.asset(&AssetId::new(id).ok()?).map(|row| row.asset)
}

/// The asset that the device has, or is to have.
fn linked(view: &Projection, device: &DeviceEntry, now: &Decision) -> Option<Linked> {
    let link = view.link(&device.device_id);
    let id = link.as_ref().map(|link| link.asset.clone()).or_else(|| now.asset.clone())?;
    let row = view.asset(&id);
    let doubtful_since = row.as_ref().and_then(|row| row.doubt).map(|doubt| doubt.since);
    let asset = row.map(|row| row.asset);
    Some(Linked {
        doubtful_since,
        id: id.to_string(),
        serials: asset.as_ref().map(|asset| Serials::of(view, device, asset)),
        name: asset.as_ref().map(|asset| asset.name.clone()),
        asset_type: asset.as_ref().map(|asset| asset.asset_type.name.clone()),
        location: asset.as_ref().and_then(|asset| Some(asset.location.as_ref()?.name.clone())),
        checked_out_to: asset.and_then(|asset| Some(asset.checked_out_to?.name)),
        since: link.as_ref().map(|link| link.since),
        rule: link.map(|link| link.rule).or(now.rule),
    })
}

fn pending(view: &Projection, decision: &Decision) -> Vec<ChangeRow> {
    open_changes(view, decision).iter().map(|decided| ChangeRow::decided(view, decided)).collect()
}

impl User {
    fn of(view: &Projection, device: &DeviceEntry) -> Option<Self> {
        match &device.user {
            PrimaryUser::Nobody => None,
            PrimaryUser::Unusable { reason } => Some(Self::unusable(reason)),
            PrimaryUser::Person { key } => Some(Self::person(view, key)),
        }
    }

    fn unusable(reason: &str) -> Self {
        Self {
            key: None,
            name: String::new(),
            email: None,
            archived: false,
            kandji_ids: Vec::new(),
            state: Some(DeviceStatus::UserProblem),
            reason: reason.to_owned(),
            record: None,
            candidates: Vec::new(),
            warnings: Vec::new(),
            linked_by: None,
            unlinked_by: None,
        }
    }

    fn person(view: &Projection, key: &UserKey) -> Self {
        let entry = view.user(key).map(|row| row.entry);
        let decision = view.decision(&Key::User(key.clone()));
        let ids = entry.as_ref().map(|user| user.ids.clone()).unwrap_or_default();
        let person = ids.iter().find_map(|id| view.person(&format!("kandji-user/{id}")));
        let link = ids.iter().find_map(|id| view.user_link(id));
        let record = link.as_ref().map(|link| link.record.clone());
        let record = record.or_else(|| decision.as_ref()?.record.clone());
        let rule = link.as_ref().map(|link| link.rule).or_else(|| decision.as_ref()?.rule);
        let since = link.map(|link| link.since);
        Self {
            key: Some(key.to_string()),
            name: entry.as_ref().map(|user| user.name.clone()).unwrap_or_default(),
            email: entry.as_ref().and_then(|user| user.email.clone()),
            archived: entry.is_some_and(|user| user.archived),
            kandji_ids: ids.iter().map(ToString::to_string).collect(),
            state: decision.as_ref().map(|decision| decision.state),
            reason: decision.as_ref().map(|decision| decision.reason.clone()).unwrap_or_default(),
            record: record.map(|id| UserRecordShown::of(view, &id, rule, since)),
            candidates: decision.as_ref().map(|decision| decision.candidates.clone()).unwrap_or_default(),
            warnings: decision.map(|decision| decision.warnings).unwrap_or_default(),
            linked_by: person.as_ref().zip(rule).and_then(|(row, rule)| Decided::linked(row, rule)),
            unlinked_by: person.as_ref().and_then(Decided::unlinked),
        }
    }
}

impl UserRecordShown {
    fn of(view: &Projection, id: &RecordId, rule: Option<Rule>, since: Option<Timestamp>) -> Self {
        let record = view.record(id).map(|row| row.record);
        Self {
            id: id.to_string(),
            name: record.as_ref().map(|record| record.name.clone()),
            email: record.and_then(|record| record.email),
            rule,
            since,
        }
    }
}
