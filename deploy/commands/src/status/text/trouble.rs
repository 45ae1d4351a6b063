//! How AMFJ takes changes: what fails now, since when, what that means, and what happens next.

use amfj_sync_security::screen::Style;
use amfj_sync_service::status::{Circuit, StoppedRecord, WaitingKind, Wrong};
use jiff::Timestamp;

use super::{Lines, span};
use crate::status::{IntegrationStatus, Status};

/// Seconds for which an answer counts as one of now.
const FRESH: i64 = 60;

/// Records that are named one by one; the command for them names more.
const NAMED: usize = 5;

pub(super) fn show(site: &IntegrationStatus, status: &Status, now: Timestamp, lines: &mut Lines<'_>) {
    let (style, text) = in_all(site, status, now);
    lines.add(style, "  AMFJ", &text);
    for kind in site.troubles.iter().flat_map(|trouble| &trouble.kinds) {
        lines.add(Style::Red, "", &waiting(kind, now));
    }
    let records: Vec<&StoppedRecord> = site.troubles.iter().flat_map(|trouble| &trouble.records).collect();
    for record in records.iter().filter(|record| !record.waits_with_kind).take(NAMED) {
        lines.add(Style::Yellow, "", &stopped(record, now));
    }
    let count: u32 = site.troubles.iter().map(|trouble| trouble.stopped).sum();
    if count > 0 {
        let text = format!(
            "{count} refused in all; `amfj-sync stopped list` names them, `amfj-sync stopped retry` and `drop` end it"
        );
        lines.add(Style::Yellow, "", &text);
    }
}

fn in_all(site: &IntegrationStatus, status: &Status, now: Timestamp) -> (Style, String) {
    if let Some(circuit) = site.circuits.iter().find(|circuit| circuit.position == "open") {
        return (Style::Red, paused(circuit, now));
    }
    if let Some(wrong) = status.wrong(site, "amfj") {
        return (Style::Red, failing(wrong, now));
    }
    if let Some(circuit) = site.circuits.iter().find(|circuit| circuit.position != "closed") {
        return (Style::Yellow, answering(circuit));
    }
    if site.circuits.is_empty() {
        let none = status.workers.get("writer").is_none_or(|count| *count == 0);
        let why = if none { "no writer runs" } else { "no writer says that it serves this integration" };
        return (Style::Yellow, format!("not known: {why}"));
    }
    if site.site.mode == "plan" {
        return (Style::Plain, "nothing is sent with mode \"plan\"".to_owned());
    }
    let since =
        site.troubles.iter().flat_map(|trouble| trouble.records.iter().map(|record| record.since)).min();
    let taken = site.troubles.iter().filter_map(|trouble| trouble.taken).max();
    match (site.troubles.is_empty(), since) {
        (true, _) => taking(site, status, now),
        (false, Some(since)) if taken.is_none_or(|taken| taken < since) => {
            let ago = span(now.duration_since(since));
            (Style::Red, format!("answers, and has refused every change for {ago}"))
        }
        (false, _) => (Style::Yellow, "takes changes, but not these".to_owned()),
    }
}

/// When something is to be done that may be due already.
fn soon(next: Timestamp, now: Timestamp) -> String {
    let left = next.duration_since(now);
    if left.as_secs() < 1 { "at once".to_owned() } else { format!("in {}", span(left)) }
}

fn paused(circuit: &Circuit, now: Timestamp) -> String {
    let reason = circuit.reason.as_deref().unwrap_or("no reason is known");
    let since = circuit.since.map(|since| format!(" for {}", span(now.duration_since(since))));
    let next = circuit.next.map(|next| format!("; it is asked again {}", soon(next, now)));
    format!(
        "PAUSED{}, nothing is sent and nothing is lost: {reason}{}",
        since.unwrap_or_default(),
        next.unwrap_or_default()
    )
}

/// A probe went well; whether changes are taken is not known before the next one.
fn answering(circuit: &Circuit) -> String {
    let reason = circuit.reason.as_deref().unwrap_or("no reason is known");
    format!("answers again; one change at a time until one succeeds. It was paused because of this: {reason}")
}

/// What fails now, before or without a pause of the changes.
pub(super) fn failing(wrong: &Wrong, now: Timestamp) -> String {
    let since = wrong.since.map(|since| format!(" for {}", span(now.duration_since(since))));
    let next = wrong.next.map(|next| format!("; it is tried again {}", soon(next, now)));
    format!(
        "FAILS{}: {}{}",
        since.unwrap_or_default(),
        wrong.says,
        next.unwrap_or_else(|| "; it is tried again by itself".to_owned())
    )
}

/// Said only of what a writer has heard; a service that nobody has asked is not known to take anything.
fn taking(site: &IntegrationStatus, status: &Status, now: Timestamp) -> (Style, String) {
    let of_writers = status.duties(site).filter(|duty| duty.circuit.is_some());
    let Some(last) = of_writers.filter_map(|duty| duty.amfj_answered).max() else {
        return (Style::Plain, "nothing was to be sent to it since the writers started".to_owned());
    };
    let ago = now.duration_since(last);
    let heard =
        if ago.as_secs() < FRESH { String::new() } else { format!("; it answered last {} ago", span(ago)) };
    (Style::Plain, format!("takes changes{heard}"))
}

fn waiting(kind: &WaitingKind, now: Timestamp) -> String {
    let ago = span(now.duration_since(kind.since));
    let next = kind.next.map_or_else(String::new, |next| {
        format!("; the next one is tried in {}", span(next.duration_since(now)))
    });
    let changes = if kind.changes == 1 { "change waits" } else { "changes wait" };
    format!(
        "\"{}\" WAITS for {ago}, all others go on: {}; {} {changes}, none is lost{next}",
        kind.kind, kind.reason, kind.changes
    )
}

fn stopped(record: &StoppedRecord, now: Timestamp) -> String {
    let ago = span(now.duration_since(record.since));
    let next = record.next.map_or_else(
        || "is being tried".to_owned(),
        |next| format!("next try in {}", span(next.duration_since(now))),
    );
    format!(
        "\"{}\" is refused for {ago}, {} times ({}), {next}: {}",
        record.label, record.attempts, record.change, record.reason
    )
}
