//! `amfj-sync plan`: what the next run would change, and what it would not, and why (P25).

mod change;
mod csv;
mod edits;
mod filter;
mod hold;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use amfj_sync_config::mode::withheld;
use amfj_sync_config::{Integration, Mode};
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Candidate, Change, Decision, DeviceStatus, PlannedChange};
use amfj_sync_projection::{Projection, StoreError};
use amfj_sync_security::private_files;
use amfj_sync_security::screen::{Pager, Screen, escaped_json, say, say_json};
use amfj_sync_service::status::devices_by_state;
use amfj_sync_service::worker::{CommonArgs, Exit};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use self::filter::Filter;
use super::CommandContext;
use super::dry_run::DryRun;
use super::{format, pausing};

pub(super) use change::{ChangeRow, Target};
use filter::Only;
pub(super) use hold::{Hold, Vanished, fate};
pub(super) use text::{candidates, line, values};

/// What of the plan is wanted, and how.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print a table for spreadsheets: one row for each value that is written
    #[arg(long)]
    pub csv: bool,
    /// Keep the plan in this file
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print all of it at once, however long; else a terminal gets it through $PAGER, or less
    #[arg(long)]
    pub no_pager: bool,
    /// What is shown.
    #[command(flatten)]
    pub only: Only,
}

/// Shows the plan, or keeps it in a file. Writes nothing else.
pub(crate) async fn plan(common: &CommonArgs, asked: &PlanArgs) -> Result<(), Exit> {
    let context = CommandContext::read("plan", common).await?;
    let plans = plans(&context, &asked.only);
    let plans = context.done(plans).await?;
    match &asked.out {
        Some(file) => keep(&plans, asked, file),
        None if asked.json => {
            say_json(&plans);
            Ok(())
        }
        None if asked.csv => {
            say(&csv::show(&plans));
            Ok(())
        }
        None => {
            let pager = if asked.no_pager { Pager::Off } else { Pager::OnTerminal };
            pager.say(&text::show(&Screen::stdout(), &plans));
            Ok(())
        }
    }
}

fn plans(context: &CommandContext, only: &Only) -> Result<Vec<SitePlan>, Exit> {
    let filter = Filter::of(context, only)?;
    let plans = context.integrations().map(|(integration, state)| {
        context.with_siblings(integration, &mut |siblings| {
            let mut plan = state.read(|view| SitePlan::of(integration, view, siblings, &filter))?;
            plan.notes.extend(pausing::note(integration, state));
            Ok(plan)
        })
    });
    plans.collect()
}

fn keep(plans: &[SitePlan], asked: &PlanArgs, file: &Path) -> Result<(), Exit> {
    let content = if asked.json {
        // Our own types with text keys: they always serialise.
        escaped_json(&serde_json::to_string_pretty(plans).unwrap_or_default()) + "\n"
    } else if asked.csv {
        csv::show(plans)
    } else {
        text::show(&Screen::plain(), plans)
    };
    private_files::write_where_told(file, content).map_err(|error| {
        Exit::Failed(format!("the plan cannot be written to {}: {error}", file.display()))
    })?;
    say(&format!("The plan is kept in {}.", file.display()));
    for plan in plans {
        say(&format!("{}: {}", plan.integration, text::totals(plan)));
    }
    Ok(())
}

/// What is planned for one integration.
#[derive(Debug, Serialize)]
pub(super) struct SitePlan {
    integration: String,
    mode: &'static str,
    /// The run that was decided; none before the first.
    run: Option<PlannedRun>,
    /// What keeps the next run from going on.
    obstacles: Vec<String>,
    /// Why it is held (P23); none where it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    hold: Option<Hold>,
    /// Linked devices that the held run does not see, and that nothing is decided of until it is released (P23).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vanished: Vec<Vanished>,
    /// What happens to them then.
    #[serde(skip)]
    fate: &'static str,
    /// The filters; none where everything is in here.
    #[serde(skip_serializing_if = "Option::is_none")]
    only: Option<String>,
    /// What an operator may expect, and does not happen.
    notes: Vec<String>,
    changes: Vec<ChangeRow>,
    not_done: Vec<NotDone>,
    /// Changes by kind, without those that are kept back or withheld by `apply_only`.
    totals: BTreeMap<&'static str, usize>,
    /// Changes by kind that are kept back with their run (P23).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    kept_back: BTreeMap<&'static str, usize>,
    /// Values that are not blank and would be overwritten, by field; what is kept back included.
    overwritten: BTreeMap<String, usize>,
    /// Devices by state.
    devices: BTreeMap<&'static str, u32>,
}

#[derive(Debug, Serialize)]
struct PlannedRun {
    id: String,
    started: Timestamp,
    first_sync: bool,
    partitions_decided: usize,
    partitions: u16,
}

/// A device or person about which nothing, or not everything, is done.
#[derive(Debug, Serialize)]
struct NotDone {
    key: String,
    /// What people call the device or person.
    label: String,
    /// None of a person.
    #[serde(skip_serializing_if = "String::is_empty")]
    serial: String,
    state: DeviceStatus,
    reason: String,
    candidates: Vec<Candidate>,
    field_problems: BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl SitePlan {
    fn of(
        config: &Integration,
        view: &Projection,
        siblings: &[&Projection],
        filter: &Filter,
    ) -> Result<Self, Exit> {
        let meta = view.meta();
        let run = meta.in_force.as_ref().map(|run| PlannedRun {
            id: run.run_id(&config.id).to_string(),
            started: run.started.at,
            first_sync: run.started.first_sync,
            partitions_decided: run.decided.len(),
            partitions: meta.partitions,
        });
        let decisions = current_decisions(view);
        let (hold, vanished) = (Hold::of(config, view), Vanished::all(view));
        let mut plan = Self {
            integration: config.id.to_string(),
            mode: config.mode.as_str(),
            run,
            obstacles: obstacles(config, view, hold.as_ref(), vanished.len()),
            hold,
            vanished,
            fate: fate(config),
            notes: without_location(config, view).into_iter().collect(),
            only: None,
            changes: changes(config, view, siblings, &decisions)?,
            not_done: decisions.iter().filter_map(|one| NotDone::of(view, one)).collect(),
            totals: BTreeMap::new(),
            kept_back: BTreeMap::new(),
            overwritten: BTreeMap::new(),
            devices: devices_by_state(view),
        };
        filter.narrow(&config.id, &mut plan);
        plan.count();
        Ok(plan)
    }

    fn count(&mut self) {
        for change in &self.changes {
            let counted = match change {
                change if change.staged => &mut self.kept_back,
                change if change.withheld.is_some() => continue,
                _ => &mut self.totals,
            };
            *counted.entry(change.kind).or_default() += 1;
            for edit in change.edits.iter().filter(|edit| edit.overwrites) {
                *self.overwritten.entry(edit.field.clone()).or_default() += 1;
            }
        }
    }
}

/// What went wrong since, or keeps changes back.
fn obstacles(config: &Integration, view: &Projection, hold: Option<&Hold>, vanished: usize) -> Vec<String> {
    let meta = view.meta();
    let id = &config.id;
    let failed = meta.latest.as_ref().and_then(|run| run.failed.as_ref());
    let failed = failed.map(|reason| format!("The last run failed, and nothing of it was decided: {reason}"));
    let release = format!("amfj-sync release {id}");
    let why_held = hold.map(|Hold { started, reason, .. }| {
        let reason = format::with_command(reason, &release, "lets it go on");
        format!("The run is held, that of {}: {reason}", format::time(*started))
    });
    let again = (hold.is_none() && vanished > 0).then(|| {
        let next = if meta.released.is_some() {
            "it was released, so the next run passes".to_owned()
        } else {
            format!("the next run is held again unless they are back; if it is right, `{release}`")
        };
        format!("{vanished} linked devices vanished from Kandji, for which a run was held; {next}.")
    });
    failed.into_iter().chain(why_held).chain(again).collect()
}

/// The default location is set where a link is made (P13): set later, it does nothing to assets that are linked already.
fn without_location(config: &Integration, view: &Projection) -> Option<String> {
    let location = config.sync.default_location.as_deref()?;
    let mut without = 0_usize;
    view.each_link(&mut |device, link| {
        let due = view.memory(&Key::Device(device)).location_due;
        without +=
            usize::from(!due && view.asset(&link.asset).is_some_and(|row| row.asset.location.is_none()));
        true
    });
    (without > 0).then(|| {
        format!(
            "{without} linked assets have no location. default_location (\"{location}\") is set where a link is made and changes \
             nothing later: set theirs in AMFJ."
        )
    })
}

/// Decisions about devices and people that are still there.
fn current_decisions(view: &Projection) -> Vec<Decision> {
    let mut decisions = Vec::new();
    view.each_decision(&mut |decision| {
        let is_there = match &decision.key {
            Key::Device(id) => view.device(id).is_some(),
            Key::User(key) => view.user(key).is_some_and(|row| !row.missing),
        };
        if is_there {
            decisions.push(decision);
        }
        true
    });
    decisions
}

/// The state of a device or person: of one that vanished nothing else is known (P23, P24).
pub(super) fn state_of(view: &Projection, decision: &Decision) -> DeviceStatus {
    let vanished = matches!(&decision.key, Key::Device(id) if view.has_vanished(id));
    if vanished { DeviceStatus::Held } else { decision.state }
}

/// The changes of one decision that are not answered.
pub(super) fn open_changes(view: &Projection, decision: &Decision) -> Vec<PlannedChange> {
    let answered = view.answered(&decision.key);
    let open = decision.changes.iter().filter(|decided| {
        // A planned change has no place of its own yet, so no answer can be about it.
        decided.published.is_none() || !answered.covers(decided.sequence, decided.id)
    });
    open.cloned().collect()
}

fn changes(
    config: &Integration,
    view: &Projection,
    siblings: &[&Projection],
    decisions: &[Decision],
) -> Result<Vec<ChangeRow>, StoreError> {
    let open: Vec<PlannedChange> =
        decisions.iter().flat_map(|decision| open_changes(view, decision)).collect();
    // What follows from what is kept back is kept back with it (P23).
    let run = view.meta().in_force.as_ref();
    let is_held = run.is_some_and(|run| run.held.is_some() && !run.allowed);
    let states: BTreeMap<String, DeviceStatus> =
        decisions.iter().map(|decision| (decision.key.to_string(), state_of(view, decision))).collect();
    let first: Vec<Change> = open.iter().map(|decided| decided.change.clone()).collect();
    let dry_run = DryRun::of(config, view, siblings, &first)?;
    let show = |change: &Change| {
        let mut shown = ChangeRow::of(view, &dry_run.after, change);
        if config.mode == Mode::Apply {
            shown.withheld = withheld(config, change);
        }
        shown.state = states.get(&shown.key).copied();
        shown
    };
    let known = open.iter().map(|decided| ChangeRow {
        published: decided.published,
        staged: decided.staged,
        ..show(&decided.change)
    });
    let following =
        dry_run.following.iter().map(|change| ChangeRow { follows: true, staged: is_held, ..show(change) });
    Ok(known.chain(following).collect())
}

/// What is kept back with its run until a person releases it (P23), each in one line: its kind, and what it is.
pub(super) fn kept_back(
    config: &Integration,
    view: &Projection,
    siblings: &[&Projection],
) -> Result<Vec<String>, StoreError> {
    let changes = changes(config, view, siblings, &current_decisions(view))?;
    let staged = changes.iter().filter(|change| change.staged);
    let mut lines: Vec<String> = staged.map(|change| format!("{} {}", change.kind, line(change))).collect();
    lines.sort();
    Ok(lines)
}

/// `"Ana's MacBook" (C02XK1)`.
fn label(view: &Projection, key: &Key) -> String {
    match key {
        Key::Device(id) => view.device(id).map_or_else(|| id.to_string(), |row| format::device(&row.entry)),
        Key::User(key) => {
            let name = view.user(key).map(|row| row.entry.name).unwrap_or_default();
            if name.trim().is_empty() { key.to_string() } else { format::quoted(&name) }
        }
    }
}

fn serial(view: &Projection, key: &Key) -> String {
    let Key::Device(id) = key else { return String::new() };
    view.device(id).map(|row| row.entry.serial.trim().to_owned()).unwrap_or_default()
}

impl NotDone {
    /// The part of the label that a reason may have in it.
    fn name(&self) -> &str {
        self.label.rsplit_once(" (").map_or(self.label.as_str(), |(name, _)| name)
    }

    fn is_person(&self) -> bool {
        self.key.starts_with("user/")
    }

    fn of(view: &Projection, decision: &Decision) -> Option<Self> {
        use DeviceStatus::{InSync, Pending, PlanOnly};
        let is_well = matches!(decision.state, InSync | Pending | PlanOnly);
        if is_well && decision.field_problems.is_empty() && decision.warnings.is_empty() {
            return None;
        }
        Some(Self {
            key: decision.key.to_string(),
            label: label(view, &decision.key),
            serial: serial(view, &decision.key),
            state: decision.state,
            reason: decision.reason.clone(),
            candidates: decision.candidates.clone(),
            field_problems: decision.field_problems.clone(),
            warnings: decision.warnings.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
