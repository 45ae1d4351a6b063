//! The plan as people read it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use amfj_sync_model::messages::{Candidate, DeviceStatus};
use amfj_sync_security::screen::{Screen, Style, StyledText, sanitize, value};

use super::{ChangeRow, NotDone, SitePlan, Target};
use crate::format::{self, Serials, quoted};

/// The kinds of changes in the order of the plan: heading, the words for totals, mark, style.
pub(super) const KINDS: [(&str, &str, &str, char, Style); 11] = [
    ("create-asset", "Assets to be created", "created", '+', Style::Green),
    ("link-asset", "Links to be made", "linked", '=', Style::Green),
    ("update-asset", "Assets to be updated", "updated", '~', Style::Yellow),
    (
        "break-link",
        "Links to be given up, because the asset was deleted in AMFJ",
        "links given up",
        '-',
        Style::Red,
    ),
    ("check-out", "Check-outs", "check-outs", '>', Style::Blue),
    ("hand-over", "Assets to be taken from one person and given to another", "hand-overs", '>', Style::Red),
    ("check-in", "Check-ins", "check-ins", '<', Style::Red),
    ("note-holder", "Holders to be noted; nothing is written", "holders noted", '·', Style::Faint),
    ("create-user", "User records to be created", "user records created", '+', Style::Green),
    ("link-user", "People to be linked to their user records", "user records linked", '=', Style::Green),
    ("update-user", "User records to be updated", "user records updated", '~', Style::Yellow),
];

/// States in the order in which the plan says what is not done: of devices, of people. What is held is
/// shown as changes.
const NOT_DONE: [(DeviceStatus, &str, &str); 10] = [
    (DeviceStatus::Failed, "Devices whose change failed", "People whose change failed"),
    (
        DeviceStatus::Ambiguous,
        "Ambiguous devices: a person must choose",
        "Ambiguous people: a person must choose",
    ),
    (DeviceStatus::Unmatched, "Devices without asset", "People without user record"),
    (
        DeviceStatus::FieldProblem,
        "Values of devices that cannot be written",
        "Values of people that cannot be written",
    ),
    (DeviceStatus::UserProblem, "Devices whose user stands in the way", "People who stand in the way"),
    (DeviceStatus::Gone, "Gone from Kandji", "People gone from Kandji"),
    (DeviceStatus::OutOfScope, "Out of scope, left alone", "People out of scope, left alone"),
    (DeviceStatus::InSync, "To be known of devices", "To be known of people"),
    (DeviceStatus::Pending, "To be known of what is on its way", "To be known of people"),
    (DeviceStatus::PlanOnly, "To be known of what is planned", "To be known of people"),
];

/// All plans, one after the other.
pub(super) fn show(screen: &Screen, plans: &[SitePlan]) -> String {
    plans.iter().map(|plan| show_one(screen, plan)).collect::<Vec<_>>().join("\n")
}

fn show_one(screen: &Screen, plan: &SitePlan) -> String {
    let mut out = screen.ink(Style::Bold, &plan.integration);
    let Some(run) = &plan.run else {
        let id = &plan.integration;
        let text = format!(
            "nothing has been decided yet. Start `reconciler run`, then type `fetcher run --once {id}`."
        );
        let _ = writeln!(out, ": {}", screen.sentence(id.len() + 2, &text));
        obstacles(screen, plan, &mut out);
        return out;
    };
    let first = if run.first_sync { ", a first sync" } else { "" };
    let _ = writeln!(out, ": what follows from the run of {}{first}", format::time(run.started));
    let how = match plan.mode {
        "plan" => {
            "Mode \"plan\": none of this is written. mode = \"apply\" does exactly this, if nothing changes before."
        }
        _ => "Mode \"apply\": this is written as soon as a writer runs.",
    };
    let _ = writeln!(out, "  {}", screen.sentence(2, how));
    if run.partitions_decided < usize::from(run.partitions) {
        let text = format!(
            "The run is still being decided ({} of {} partitions): this plan is not complete. It goes on while a \
             reconciler runs.",
            run.partitions_decided, run.partitions
        );
        let _ = writeln!(out, "  {}", screen.ink(Style::Yellow, &screen.sentence(2, &text)));
    }
    obstacles(screen, plan, &mut out);
    head(screen, plan, &mut out);
    vanished(screen, plan, &mut out);
    for note in &plan.notes {
        let _ = writeln!(out, "  {}", screen.sentence(2, &sanitize(note)));
    }
    for (kind, heading, _, mark, style) in KINDS {
        let made = plan.changes.iter().filter(|change| change.kind == kind && change.is_to_be_made());
        section(screen, heading, &made.collect::<Vec<_>>(), mark, style, &mut out);
    }
    kept_back(screen, plan, &mut out);
    not_done(screen, plan, &mut out);
    out
}

/// The totals come first: a plan may be long.
fn head(screen: &Screen, plan: &SitePlan, out: &mut String) {
    let mut say = |style: Style, text: &str| {
        let _ = writeln!(out, "  {}", screen.inked(style, 2, text));
    };
    if let Some(only) = &plan.only {
        say(Style::Bold, &format!("Only {}; the rest of the plan is left out.", sanitize(only)));
    }
    say(Style::Bold, &format!("In total: {}", totals(plan)));
    if !plan.overwritten.is_empty() {
        say(Style::Yellow, &overwritten(plan));
    }
    if plan.only.is_none() {
        say(Style::Plain, &devices(plan));
    }
}

/// How many values that somebody may have written are lost, by field.
fn overwritten(plan: &SitePlan) -> String {
    let count: usize = plan.overwritten.values().sum();
    let fields: Vec<String> =
        plan.overwritten.iter().map(|(field, count)| format!("{count} in {}", quoted(field))).collect();
    let fields = fields.join(", ");
    match count {
        1 => format!("1 value that is not blank is overwritten: {fields}."),
        _ => format!("{count} values that are not blank are overwritten: {fields}."),
    }
}

/// Devices that a held run does not see (P23).
fn vanished(screen: &Screen, plan: &SitePlan, out: &mut String) {
    if plan.vanished.is_empty() {
        return;
    }
    let heading = "Vanished from Kandji, or listed as removed; held with their run (P23)";
    let _ = writeln!(out, "\n{} ({})", screen.ink(Style::Bold, heading), plan.vanished.len());
    for one in &plan.vanished {
        let _ = writeln!(out, "  {} {}", screen.ink(Style::Red, "‖"), screen.sentence(4, &one.line()));
    }
    let _ = writeln!(out, "  {}", screen.sentence(2, plan.fate));
}

fn obstacles(screen: &Screen, plan: &SitePlan, out: &mut String) {
    for obstacle in &plan.obstacles {
        let _ = writeln!(out, "  {}", screen.ink(Style::Red, &screen.sentence(2, &sanitize(obstacle))));
    }
}

fn section(
    screen: &Screen,
    heading: &str,
    changes: &[&ChangeRow],
    mark: char,
    style: Style,
    out: &mut String,
) {
    if changes.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{} ({})", screen.ink(Style::Bold, heading), changes.len());
    for change in changes {
        let mark = screen.ink(style, &mark.to_string());
        // The one thing that nobody must overlook.
        let style = if change.serials == Some(Serials::Differ) { Style::Red } else { Style::Plain };
        let _ = writeln!(out, "  {mark} {}", screen.inked(style, 4, &line(change)));
        out.push_str(&values(screen, 6, change));
    }
}

/// One change in one line, without its values.
pub(crate) fn line(change: &ChangeRow) -> String {
    let record = target(change.record.as_ref(), "user record");
    let why = change.rule.map(|rule| format!(": {}", format::rule(rule))).unwrap_or_default();
    let who = |holder: &Option<String>| holder.as_deref().map_or_else(|| "nobody".to_owned(), quoted);
    let (from, to) = (who(&change.from), who(&change.to));
    let text = match change.kind {
        "create-asset" | "create-user" => name(change),
        "link-asset" => {
            let serials = change.serials.unwrap_or(Serials::Unknown).words();
            let over = change.takes_over.as_ref().map(|old| format!("; taken over from device {old}"));
            format!("{}{why}; {serials}{}", device_and_asset(change), over.unwrap_or_default())
        }
        "update-asset" | "break-link" => device_and_asset(change),
        "check-out" => format!("{} to {to}", device_and_asset(change)),
        "hand-over" => format!("{} from {from} to {to}", device_and_asset(change)),
        "check-in" => format!("{} from {from}", device_and_asset(change)),
        "note-holder" => format!("{} stays with {to}", device_and_asset(change)),
        "link-user" => format!("{} → {record}{why}", name(change)),
        _ => record,
    };
    let published = change.published.map(|at| format!("; on its way since {}", format::time(at)));
    text + &published.unwrap_or_default()
}

/// Both sides of a link; a name that they share is said once.
fn device_and_asset(change: &ChangeRow) -> String {
    let name = name(change);
    match &change.asset {
        Some(Target { id: Some(id), name: asset }) if asset.trim() == change.label.trim() => {
            format!("{name} → {id}")
        }
        asset => format!("{name} → {}", target(asset.as_ref(), "asset")),
    }
}

fn name(change: &ChangeRow) -> String {
    let key = change.key.split_once('/').map_or("", |(_, key)| key);
    let handle = match (change.serial.trim(), change.key.starts_with("device/")) {
        ("", _) | (_, false) => key,
        (serial, true) => serial,
    };
    let handle = sanitize(handle);
    if handle == change.label.trim() {
        quoted(&handle)
    } else {
        format!("{} ({handle})", quoted(&change.label))
    }
}

fn target(target: Option<&Target>, what: &str) -> String {
    match target {
        Some(Target { id: Some(id), name }) => format!("{what} {} ({id})", quoted(name)),
        Some(Target { id: None, name }) => format!("new {what} {}", quoted(name)),
        None => format!("its {what}"),
    }
}

/// Field by field, old and new.
pub(crate) fn values(screen: &Screen, indent: usize, change: &ChangeRow) -> String {
    let is_new = change.kind.starts_with("create");
    let rows = change.edits.iter().map(|edit| {
        let field = StyledText::new(Style::Faint, edit.field.clone());
        let new = value(&edit.new);
        if is_new {
            return vec![field, StyledText::new(Style::Plain, new)];
        }
        let (style, note) =
            if edit.overwrites { (Style::Yellow, "(overwritten)") } else { (Style::Faint, "") };
        let old = StyledText::new(style, value(&edit.old));
        vec![
            field,
            old,
            StyledText::new(Style::Plain, format!("→ {new}")),
            StyledText::new(style, note.to_owned()),
        ]
    });
    screen.table(indent, &rows.collect::<Vec<_>>())
}

fn kept_back(screen: &Screen, plan: &SitePlan, out: &mut String) {
    let staged: Vec<_> = plan.changes.iter().filter(|change| change.staged).collect();
    section(screen, "Kept back until all are counted, or released (P23)", &staged, '‖', Style::Red, out);
    let planned = plan.changes.iter().filter(|change| change.withheld.is_some() && !change.staged);
    let planned: Vec<_> = planned.collect();
    section(screen, "Planned only: apply_only does not name these devices", &planned, '·', Style::Faint, out);
}

fn not_done(screen: &Screen, plan: &SitePlan, out: &mut String) {
    for is_person in [false, true] {
        for (state, of_devices, of_people) in NOT_DONE {
            let heading = if is_person { of_people } else { of_devices };
            let fits = |one: &&NotDone| one.state == state && one.is_person() == is_person;
            let of_state: Vec<&NotDone> = plan.not_done.iter().filter(fits).collect();
            if of_state.is_empty() {
                continue;
            }
            let _ = writeln!(out, "\n{} ({})", screen.ink(Style::Bold, heading), of_state.len());
            // One line is enough for what nobody asked to be synced.
            if state == DeviceStatus::OutOfScope {
                let _ = writeln!(out, "  see [integration.scope]");
                continue;
            }
            for one in of_state {
                explain(screen, one, out);
            }
        }
    }
}

fn explain(screen: &Screen, one: &NotDone, out: &mut String) {
    let is_well = matches!(one.state, DeviceStatus::InSync | DeviceStatus::Pending | DeviceStatus::PlanOnly);
    let mut lines = one.warnings.clone();
    if !is_well {
        lines.insert(0, one.reason.clone());
    }
    if one.field_problems.len() > 1 {
        lines.extend(one.field_problems.iter().map(|(field, why)| format!("\"{field}\": {why}")));
    }
    if let Some(first) = lines.first_mut().filter(|first| !first.contains(one.name())) {
        *first = format!("{}: {first}", one.label);
    }
    for (at, text) in lines.iter().enumerate() {
        let mark = if at == 0 { screen.ink(Style::Yellow, "!") } else { " ".to_owned() };
        let _ = writeln!(out, "  {mark} {}", screen.sentence(4, &sanitize(text)));
    }
    out.push_str(&candidates(screen, 6, &one.candidates));
}

/// Who was considered and refused.
pub(crate) fn candidates(screen: &Screen, indent: usize, candidates: &[Candidate]) -> String {
    let mut out = String::new();
    for Candidate { id, name, note } in candidates {
        let text = sanitize(&format!("{id}  {}: {note}", quoted(name)));
        let _ = writeln!(out, "{}{}", " ".repeat(indent), screen.sentence(indent + 2, &text));
    }
    out
}

/// What is done, in one line.
pub(super) fn totals(plan: &SitePlan) -> String {
    let counted = counted(&plan.totals);
    let mut text = match (counted.is_empty(), plan.kept_back.is_empty()) {
        (true, true) => "nothing to change".to_owned(),
        (true, false) => "nothing to change before the run is released".to_owned(),
        (false, _) => counted.join(", "),
    };
    let made = plan.changes.iter().filter(|change| change.is_to_be_made());
    let existing = made.filter(|change| !change.kind.starts_with("create"));
    match existing.map(|change| change.edits.len()).sum::<usize>() {
        0 => {}
        1 => text.push_str("; 1 value of existing records written"),
        values => {
            let _ = write!(text, "; {values} values of existing records written");
        }
    }
    let kept = self::counted(&plan.kept_back);
    if !kept.is_empty() {
        let _ = write!(text, "; kept back: {}", kept.join(", "));
    }
    match plan.vanished.len() {
        0 => {}
        1 => text.push_str("; held: 1 device that vanished"),
        count => {
            let _ = write!(text, "; held: {count} devices that vanished");
        }
    }
    text + "."
}

fn counted(totals: &BTreeMap<&'static str, usize>) -> Vec<String> {
    let counted = KINDS.iter().filter_map(|(kind, _, words, ..)| Some(count_of(*totals.get(kind)?, words)));
    counted.collect()
}

/// A count with its words, which are said of several.
fn count_of(count: usize, words: &str) -> String {
    match (count, words.contains("s ")) {
        (1, true) => format!("1 {}", words.replacen("s ", " ", 1)),
        (1, false) => format!("1 {}", words.trim_end_matches('s')),
        _ => format!("{count} {words}"),
    }
}

fn devices(plan: &SitePlan) -> String {
    let states = DeviceStatus::ALL.iter().filter_map(|state| {
        let count = plan.devices.get(state.as_str()).filter(|count| **count > 0)?;
        Some(format!("{count} {}", state.as_str()))
    });
    let states: Vec<String> = states.collect();
    if states.is_empty() { "No devices.".to_owned() } else { format!("Devices: {}.", states.join(", ")) }
}
