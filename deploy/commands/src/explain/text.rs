//! The explanation as people read it.

pub(super) mod others;

use std::fmt::Write as _;

use amfj_sync_model::messages::DeviceStatus;
use amfj_sync_rules::{Finding, MappedValue};
use amfj_sync_security::screen::{Screen, Style, sanitize, value};
use amfj_sync_service::status::StoppedRecord;
use serde_json::Value;

use super::{Applied, Decided, Explained, Failed, Linked, User};
use crate::format::{self, quoted};
use crate::plan::{self, ChangeRow};
use crate::status::style_of;

/// Where the second column begins.
const INDENT: usize = 12;

pub(super) fn show(screen: &Screen, explained: &Explained) -> String {
    let mut out = String::new();
    let name = if explained.device.name.trim().is_empty() { "no name" } else { &explained.device.name };
    let _ = writeln!(out, "{} in {}", screen.ink(Style::Bold, &quoted(name)), explained.integration);
    let (style, state) = match explained.state {
        Some(state) => (style_of(state), state.as_str()),
        None => (Style::Plain, "not decided yet"),
    };
    let label = |name: &str| screen.ink(Style::Faint, &format!("{name:<INDENT$}"));
    let _ = writeln!(out, "{}{}", label("state"), screen.ink(style, state));
    let mut row = |name: &str, text: &str| {
        let _ = writeln!(out, "{}{}", label(name), screen.sentence(INDENT, &sanitize(text)));
    };
    if !explained.reason.is_empty() {
        row("why", &explained.reason);
    }
    row("to do", &explained.what_to_do);
    explained.trouble.iter().for_each(|record| row("refused", &refused(record)));
    explained.warnings.iter().for_each(|warning| row("note", warning));
    row("Kandji", &device(explained));
    row("asset", &asset(explained));
    by_hand("linked", explained.linked_by.as_ref(), &mut row);
    by_hand("unlinked", explained.unlinked_by.as_ref(), &mut row);
    user(explained.user.as_ref(), &mut row);
    if !explained.candidates.is_empty() {
        let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "Considered and not chosen"));
        out.push_str(&plan::candidates(screen, 2, &explained.candidates));
    }
    users_candidates(screen, explained, &mut out);
    fields(screen, &explained.fields, &mut out);
    pending(screen, &explained.pending, &mut out);
    failed(screen, &explained.failed, &mut out);
    last(screen, &explained.last, &mut out);
    out
}

/// What AMFJ refuses now, and what happens next.
fn refused(record: &StoppedRecord) -> String {
    let next = match (record.waits_with_kind, record.next) {
        (true, _) => "it waits until AMFJ takes changes of this kind again".to_owned(),
        (false, Some(next)) => format!("it is tried again at {}", format::time(next)),
        (false, None) => "it is being tried".to_owned(),
    };
    format!(
        "{} since {}, {} times: {}; {next} (`amfj-sync stopped retry` and `amfj-sync stopped drop` end that)",
        record.change,
        format::time(record.since),
        record.attempts,
        record.reason
    )
}

fn device(explained: &Explained) -> String {
    let device = &explained.device;
    let serial = if device.serial.trim().is_empty() { "unknown" } else { device.serial.trim() };
    let mut text = format!("{}, serial {serial}, id {}", device.platform, device.id);
    if !device.in_scope {
        text.push_str(", out of scope");
    }
    if device.removed {
        text.push_str(", listed as removed");
    }
    match device.missing_in_runs {
        0 => {}
        1 => text.push_str(", missing from the last run"),
        runs => {
            let _ = write!(text, ", missing from the last {runs} runs");
        }
    }
    text
}

fn asset(explained: &Explained) -> String {
    let Some(asset) = &explained.asset else { return "none".to_owned() };
    let Linked { id, name: Some(name), .. } = asset else {
        return format!("{} was deleted in AMFJ; the link counts as none (P8)", asset.id);
    };
    let mut text = format!("{} ({id})", quoted(name));
    let details = [
        asset.asset_type.clone(),
        asset.location.as_ref().map(|location| format!("at {location}")),
        Some(match &asset.checked_out_to {
            Some(holder) => format!("checked out to {}", quoted(holder)),
            None => "not checked out".to_owned(),
        }),
    ];
    details.into_iter().flatten().for_each(|detail| {
        let _ = write!(text, ", {detail}");
    });
    if let Some(since) = asset.doubtful_since {
        let _ =
            write!(text, ", which AMFJ says is not there since {} (the next run looks)", format::time(since));
    }
    let rule = asset.rule.map_or("", format::rule);
    let serials = asset.serials.map_or("", format::Serials::words);
    match asset.since {
        Some(since) => format!("{text}. Linked since {}: {rule}; {serials}", format::time(since)),
        None => format!("{text}. Not linked yet: {rule}; {serials}"),
    }
}

fn user(user: Option<&User>, row: &mut impl FnMut(&str, &str)) {
    let Some(user) = user else { return row("user", "none in Kandji") };
    let Some(key) = &user.key else { return row("user", &user.reason) };
    let archived = if user.archived { ", archived in Kandji" } else { "" };
    let email = user.email.as_ref().map(|email| format!(" <{email}>")).unwrap_or_default();
    let name = if user.name.trim().is_empty() { key } else { &user.name };
    let ids = match user.kandji_ids.as_slice() {
        [] => String::new(),
        ids => format!(", Kandji user {}", ids.join(", ")),
    };
    row("user", &format!("{}{email}{archived}{ids}", quoted(name)));
    match &user.record {
        Some(record) => {
            let name = record.name.as_ref().map_or("deleted in AMFJ".to_owned(), |name| quoted(name));
            let email = record.email.as_ref().map(|email| format!(" <{email}>")).unwrap_or_default();
            let rule = record.rule.map_or("", format::rule);
            let since = match record.since {
                Some(since) => format!("linked since {}", format::time(since)),
                None => "not linked yet".to_owned(),
            };
            row("record", &format!("{name}{email} ({}), {since}: {rule}", record.id));
        }
        None => row("record", "none"),
    }
    if !matches!(user.state, None | Some(DeviceStatus::InSync)) {
        row("", &user.reason);
    }
    user.warnings.iter().for_each(|warning| row("note", warning));
    by_hand("linked", user.linked_by.as_ref(), row);
    by_hand("unlinked", user.unlinked_by.as_ref(), row);
}

fn by_hand(what: &str, person: Option<&Decided>, row: &mut impl FnMut(&str, &str)) {
    if let Some(person) = person {
        row("", &format!("{what} by hand: {}, {}", person.by, format::time(person.at)));
    }
}

fn users_candidates(screen: &Screen, explained: &Explained, out: &mut String) {
    let candidates = explained.user.as_ref().map(|user| user.candidates.as_slice()).unwrap_or_default();
    if !candidates.is_empty() {
        let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "User records considered and not chosen"));
        out.push_str(&plan::candidates(screen, 2, candidates));
    }
}

fn fields(screen: &Screen, fields: &[MappedValue], out: &mut String) {
    if fields.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "Mapped fields"));
    let mut rows = vec![["field", "Kandji", "wanted", "AMFJ", ""].map(str::to_owned).to_vec()];
    rows.extend(fields.iter().map(field));
    out.push_str(&screen.columns(2, &rows));
}

fn field(mapped: &MappedValue) -> Vec<String> {
    let shown = |held: Option<&Value>| held.map_or("-".to_owned(), value);
    let finding = match &mapped.finding {
        Finding::Same => "same",
        Finding::Differs => "to be written",
        Finding::Empty => "empty in Kandji: left alone",
        Finding::Unread => "not read yet",
        Finding::NotOfType => "not a field of this asset type",
        Finding::NoAsset => "",
        Finding::LeftOut(reason) => reason,
    };
    // The converted value is news only where it is not what Kandji says.
    let wanted = match (&mapped.wanted, &mapped.kandji) {
        (Some(wanted), Some(kandji)) if wanted == kandji => "=".to_owned(),
        (wanted, _) => shown(wanted.as_ref()),
    };
    let amfj = match (&mapped.finding, &mapped.amfj) {
        (Finding::Same, Some(amfj)) if Some(amfj) == mapped.wanted.as_ref() => "=".to_owned(),
        (_, amfj) => shown(amfj.as_ref()),
    };
    vec![mapped.field.clone(), shown(mapped.kandji.as_ref()), wanted, amfj, finding.to_owned()]
}

fn pending(screen: &Screen, pending: &[ChangeRow], out: &mut String) {
    if pending.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "To be changed"));
    for change in pending {
        let _ = writeln!(
            out,
            "  {} {}",
            change.kind,
            screen.sentence(change.kind.len() + 3, &plan::line(change))
        );
        out.push_str(&plan::values(screen, 6, change));
    }
}

fn failed(screen: &Screen, failed: &[Failed], out: &mut String) {
    if failed.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", screen.ink(Style::Red, "Failed"));
    for failed in failed {
        let text = format!("{} at {}: {}", failed.kind, format::time(failed.at), sanitize(&failed.reason));
        let _ = writeln!(out, "  {}", screen.sentence(2, &text));
    }
}

fn last(screen: &Screen, last: &[Applied], out: &mut String) {
    if last.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "Last applied"));
    for applied in last {
        let _ = writeln!(out, "  {}  {}", format::time(applied.at), applied.kind);
        out.push_str(&format::edits(screen, 6, &applied.edits));
    }
}
