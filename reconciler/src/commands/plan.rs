//! `reconciler plan`: what the next run would change, and what it would not, and why (P25).

mod edits;
mod text;

use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_shared::amfj::Holder;
use amfj_sync_shared::config::{Integration, Mode};
use amfj_sync_shared::ids::{AssetId, Key, RecordId};
use amfj_sync_shared::messages::{Action, Candidate, Change, Decided, Decision, Rule, State as DeviceState};
use amfj_sync_shared::mode::withheld;
use amfj_sync_shared::screen::{Pager, Screen, say, say_json};
use amfj_sync_shared::state::View;
use amfj_sync_shared::status::devices_by_state;
use amfj_sync_shared::worker::{CommonArgs, Exit};
use jiff::Timestamp;
use serde::Serialize;

use self::edits::{PlannedEdit, edits_of};
use super::Known;
use super::foresight::{Foresight, is_new};
use super::words::{self, Serials};

pub(super) use text::{candidates, line, values};

/// Shows the plan, or keeps it in a file. Writes nothing else.
pub async fn plan(common: &CommonArgs, json: bool, out: Option<&Path>, pager: Pager) -> Result<(), Exit> {
    let known = Known::read("plan", common).await?;
    let plans: Result<Vec<SitePlan>, Exit> = known
        .integrations()
        .map(|(integration, state)| {
            known.with_siblings(integration, &mut |siblings| {
                state.read(|view| SitePlan::of(integration, view, siblings))
            })
        })
        .collect();
    let plans = known.done(plans).await?;
    match out {
        Some(file) => keep(&plans, json, file),
        None if json => {
            say_json(&plans);
            Ok(())
        }
        None => {
            pager.say(&text::show(&Screen::stdout(), &plans));
            Ok(())
        }
    }
}

fn keep(plans: &[SitePlan], json: bool, file: &Path) -> Result<(), Exit> {
    let content = if json {
        // Our own types with text keys: they always serialise.
        serde_json::to_string_pretty(plans).unwrap_or_default() + "\n"
    } else {
        text::show(&Screen::plain(), plans)
    };
    std::fs::write(file, content).map_err(|error| {
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
    /// What an operator may expect, and does not happen.
    notes: Vec<String>,
    changes: Vec<PlannedChange>,
    not_done: Vec<NotDone>,
    /// Changes by kind, without those that are kept back or withheld by `apply_only`.
    totals: BTreeMap<&'static str, usize>,
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

/// One change that is to come.
#[derive(Debug, Serialize)]
pub(super) struct PlannedChange {
    pub(super) kind: &'static str,
    /// `device/ID` or `user/KEY`.
    key: String,
    label: String,
    serial: String,
    asset: Option<Target>,
    record: Option<Target>,
    rule: Option<Rule>,
    serials: Option<Serials>,
    takes_over: Option<String>,
    /// Values, by field; `Name`, `Location` and `Checked out to` included.
    edits: Vec<PlannedEdit>,
    /// Who has the asset now, for an assignment.
    from: Option<String>,
    /// Who gets it, for an assignment.
    to: Option<String>,
    /// Whether it is decided only after another change of this plan.
    follows: bool,
    /// When it was handed to the writers; none where it was not.
    published: Option<Timestamp>,
    /// Whether it is kept back with others of its run, until they are counted or released (P23).
    staged: bool,
    /// Why it is planned only, with `mode = "apply"`.
    withheld: Option<String>,
}

#[derive(Debug, Serialize)]
struct Target {
    /// None where it does not exist yet.
    id: Option<String>,
    name: String,
}

/// A device or person about which nothing, or not everything, is done.
#[derive(Debug, Serialize)]
struct NotDone {
    key: String,
    /// What people call the device or person.
    label: String,
    state: DeviceState,
    reason: String,
    candidates: Vec<Candidate>,
    field_problems: BTreeMap<String, String>,
    warnings: Vec<String>,
}

impl SitePlan {
    fn of(config: &Integration, view: &View, siblings: &[&View]) -> Result<Self, Exit> {
        let meta = view.meta();
        let run = meta.in_force.as_ref().map(|run| PlannedRun {
            id: run.run_id(&config.id).to_string(),
            started: run.started.at,
            first_sync: run.started.first_sync,
            partitions_decided: run.decided.len(),
            partitions: meta.partitions,
        });
        let decisions = current_decisions(view);
        let changes = changes(config, view, siblings, &decisions)?;
        let mut totals = BTreeMap::new();
        for change in changes.iter().filter(|change| change.is_to_be_made()) {
            *totals.entry(change.kind).or_default() += 1;
        }
        Ok(Self {
            integration: config.id.to_string(),
            mode: config.mode.as_str(),
            run,
            obstacles: obstacles(config, view),
            notes: without_location(config, view).into_iter().collect(),
            changes,
            not_done: decisions.iter().filter_map(|one| NotDone::of(view, one)).collect(),
            totals,
            devices: devices_by_state(view),
        })
    }
}

/// What went wrong since, or keeps changes back.
fn obstacles(config: &Integration, view: &View) -> Vec<String> {
    let meta = view.meta();
    let failed = meta.latest.as_ref().and_then(|run| run.failed.as_ref());
    let failed = failed.map(|reason| format!("The last run failed, and nothing of it was decided: {reason}"));
    let held = [meta.latest.as_ref(), meta.in_force.as_ref()].into_iter().flatten();
    let held = held.into_iter().find_map(|run| run.held.as_ref());
    let id = &config.id;
    let release = format!("reconciler release {id}");
    let held = held
        .map(|reason| format!("The run is held: {}", words::with_command(reason, &release, "lets it go on")));
    failed.into_iter().chain(held).collect()
}

/// The default location is set where a link is made (P13): set later, it does nothing to assets that are linked already.
fn without_location(config: &Integration, view: &View) -> Option<String> {
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
fn current_decisions(view: &View) -> Vec<Decision> {
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

/// The changes of one decision that are not answered.
pub(super) fn open_changes(view: &View, decision: &Decision) -> Vec<Decided> {
    let answered = view.answered(&decision.key);
    let open = decision.changes.iter().filter(|decided| {
        // A planned change has no place of its own yet, so no answer can be about it.
        decided.published.is_none() || !answered.covers(decided.sequence, decided.id)
    });
    open.cloned().collect()
}

fn changes(
    config: &Integration,
    view: &View,
    siblings: &[&View],
    decisions: &[Decision],
) -> Result<Vec<PlannedChange>, Exit> {
    let open: Vec<Decided> = decisions.iter().flat_map(|decision| open_changes(view, decision)).collect();
    let first: Vec<Change> = open.iter().map(|decided| decided.change.clone()).collect();
    let foresight = Foresight::of(config, view, siblings, &first)?;
    let show = |change: &Change| {
        let mut shown = PlannedChange::of(view, &foresight.after, change);
        if config.mode == Mode::Apply {
            shown.withheld = withheld(config, change);
        }
        shown
    };
    let known = open.iter().map(|decided| PlannedChange {
        published: decided.published,
        staged: decided.staged,
        ..show(&decided.change)
    });
    let following = foresight.following.iter().map(|change| PlannedChange { follows: true, ..show(change) });
    Ok(known.chain(following).collect())
}

impl PlannedChange {
    /// A change that was decided.
    pub(super) fn decided(view: &View, decided: &Decided) -> Self {
        let Decided { published, staged, .. } = *decided;
        Self { published, staged, ..Self::of(view, view, &decided.change) }
    }

    /// `view` is how things are, `after` how they are once everything is done: names are looked up there.
    fn of(view: &View, after: &View, change: &Change) -> Self {
        let mut shown = Self {
            kind: change.action.kind(),
            key: change.key.to_string(),
            label: change.label.clone(),
            serial: change.serial.clone(),
            asset: change.action.asset().map(|id| asset_target(view, after, id)),
            record: change.action.record().map(|id| record_target(after, id)),
            rule: None,
            serials: None,
            takes_over: None,
            edits: edits_of(&change.action),
            from: None,
            to: None,
            follows: false,
            published: None,
            staged: false,
            withheld: None,
        };
        shown.describe(view, change);
        shown
    }

    fn is_to_be_made(&self) -> bool {
        self.withheld.is_none() && !self.staged
    }

    fn describe(&mut self, view: &View, change: &Change) {
        match &change.action {
            Action::LinkAsset { asset, rule, takes_over, .. } => {
                self.rule = Some(*rule);
                self.takes_over = takes_over.as_ref().map(ToString::to_string);
                self.serials = serials(view, change, asset);
            }
            Action::CreateAsset { name, .. } => {
                self.rule = Some(Rule::Created);
                self.asset = Some(Target { id: None, name: name.clone() });
            }
            Action::Assign { expected, to, .. } => {
                let name = |holder: &Option<Holder>| holder.as_ref().map(|holder| holder.name.clone());
                (self.from, self.to) = (name(expected), name(to));
                self.kind = assignment(expected.as_ref(), to.as_ref());
            }
            Action::LinkUser { rule, .. } => self.rule = Some(*rule),
            Action::CreateUser { name, .. } => {
                self.rule = Some(Rule::Created);
                self.record = Some(Target { id: None, name: name.clone() });
            }
            Action::UpdateAsset { .. }
            | Action::BreakLink { .. }
            | Action::UpdateUser { .. }
            | Action::Restore { .. } => {}
        }
    }
}

/// The kind of an assignment, as people call it.
fn assignment(from: Option<&Holder>, to: Option<&Holder>) -> &'static str {
    match (from, to) {
        (from, to) if from.map(|holder| &holder.id) == to.map(|holder| &holder.id) => "note-holder",
        (None, _) => "check-out",
        (Some(_), Some(_)) => "hand-over",
        (Some(_), None) => "check-in",
    }
}

fn asset_target(view: &View, after: &View, id: &AssetId) -> Target {
    let row = view.asset(id).or_else(|| after.asset(id));
    let name = row.map(|row| row.asset.name).unwrap_or_default();
    Target { id: (!is_new(id.as_str())).then(|| id.to_string()), name }
}

fn record_target(after: &View, id: &RecordId) -> Target {
    let name = after.record(id).map(|row| row.record.name).unwrap_or_default();
    Target { id: (!is_new(id.as_str())).then(|| id.to_string()), name }
}

fn serials(view: &View, change: &Change, asset: &AssetId) -> Option<Serials> {
    let Key::Device(device) = &change.key else { return None };
    Some(Serials::of(view, &view.device(device)?.entry, &view.asset(asset)?.asset))
}

/// `"Ana's MacBook" (C02XK1)`.
fn label(view: &View, key: &Key) -> String {
    match key {
        Key::Device(id) => view.device(id).map_or_else(|| id.to_string(), |row| words::device(&row.entry)),
        Key::User(key) => {
            let name = view.user(key).map(|row| row.entry.name).unwrap_or_default();
            if name.trim().is_empty() { key.to_string() } else { words::quoted(&name) }
        }
    }
}

impl NotDone {
    /// The part of the label that a reason may have in it.
    fn name(&self) -> &str {
        self.label.rsplit_once(" (").map_or(self.label.as_str(), |(name, _)| name)
    }

    fn is_person(&self) -> bool {
        self.key.starts_with("user/")
    }

    fn of(view: &View, decision: &Decision) -> Option<Self> {
        use DeviceState::{InSync, Pending, PlanOnly};
        let is_well = matches!(decision.state, InSync | Pending | PlanOnly);
        if is_well && decision.field_problems.is_empty() && decision.warnings.is_empty() {
            return None;
        }
        Some(Self {
            key: decision.key.to_string(),
            label: label(view, &decision.key),
            state: decision.state,
            reason: decision.reason.clone(),
            candidates: decision.candidates.clone(),
            field_problems: decision.field_problems.clone(),
            warnings: decision.warnings.clone(),
        })
    }
}
