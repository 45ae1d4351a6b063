//! The status as people read it.

mod people;
mod trouble;

use std::fmt::Write as _;

use amfj_sync_broker::Stage;
use amfj_sync_model::messages::DeviceStatus;
use amfj_sync_security::screen::{Screen, Style, StyledText, sanitize};
use amfj_sync_service::backlog::Waiting;
use amfj_sync_service::status::{EventsTaken, RunStatus, Wrong};
use jiff::{SignedDuration, Timestamp};

use super::{IntegrationStatus, Status};
use crate::format::{self, span};
use crate::pausing::phrase;

/// Where the second column begins.
const INDENT: usize = 16;

/// Things that could not be used, in the status; the rest is counted.
const SHOWN_UNUSABLE: usize = 5;

/// Below this share of the hour's requests, details will have to wait.
const FEW_REQUESTS: u32 = 50;

pub(super) fn show(screen: &Screen, status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    for site in &status.integrations {
        show_site(screen, site, status, now, &mut out);
        out.push('\n');
    }
    people::show(screen, status, now, &mut out);
    let mut lines = Lines { screen, out: &mut out };
    if status.triggers > 0 {
        let text = format!("{} wait for a fetcher", status.triggers);
        lines.add(Style::Yellow, "run requests", &text);
    }
    let of_known: u32 = status.integrations.iter().filter_map(|site| site.dead_letters).sum();
    if status.dead_letters > of_known {
        let others = status.dead_letters - of_known;
        lines.add(
            Style::Red,
            "dead letters",
            &format!("{others} of others on this broker; `amfj-sync dead list`"),
        );
    }
    if !status.wrong.is_empty() {
        let each: Vec<String> = status.wrong.iter().map(Wrong::in_short).collect();
        lines.add(Style::Red, "wrong now", &each.join("; "));
    }
    out
}

/// Rows of two columns, the second folded.
struct Lines<'a> {
    screen: &'a Screen,
    out: &'a mut String,
}

impl Lines<'_> {
    fn add(&mut self, style: Style, name: &str, text: &str) {
        let name = self.screen.ink(Style::Faint, &format!("{name:<INDENT$}"));
        let text = self.screen.inked(style, INDENT, &sanitize(text));
        let _ = writeln!(self.out, "{name}{text}");
    }

    fn add_pieces(&mut self, name: &str, pieces: &[StyledText]) {
        let name = self.screen.ink(Style::Faint, &format!("{name:<INDENT$}"));
        let _ = writeln!(self.out, "{name}{}", self.screen.flow(INDENT, pieces));
    }
}

fn show_site(screen: &Screen, site: &IntegrationStatus, status: &Status, now: Timestamp, out: &mut String) {
    let facts = &site.site;
    let sync = if facts.first_sync_over { "first sync over" } else { "first sync not over" };
    let seconds = i64::try_from(facts.interval_seconds).unwrap_or(i64::MAX);
    let every = span(SignedDuration::from_secs(seconds));
    let title = screen.ink(Style::Bold, site.id());
    let _ = writeln!(out, "{title}: mode \"{}\", a run every {every}, {sync}", facts.mode);
    let mut lines = Lines { screen, out };
    if let Some(pause) = &facts.paused {
        let text = format!("it {} `amfj-sync resume {}` ends that", phrase(pause), site.id());
        lines.add(Style::Yellow, "  paused", &text);
    }
    match &facts.last_run {
        None => {
            lines.add(
                Style::Yellow,
                "  last run",
                "none yet; `fetcher run` or `fetcher run --once` starts one",
            );
        }
        Some(run) => show_run(run, site, status, now, &mut lines),
    }
    let (style, next) = next_run(site, status, now);
    lines.add(style, "  next run", &next);
    lines.add_pieces("  devices", &devices(site));
    for (name, stage) in [("  to decide", Stage::Reconcile), ("  to apply", Stage::Apply)] {
        let (style, text) = waiting(facts.queues.get(stage.as_str()), facts.paused.is_some(), now);
        lines.add(style, name, &text);
    }
    trouble::show(site, status, now, &mut lines);
    let unusable = &facts.unusable;
    for (at, one) in unusable.first.iter().take(SHOWN_UNUSABLE).enumerate() {
        lines.add(Style::Yellow, if at == 0 { "  left out" } else { "" }, &one.to_string());
    }
    let more = unusable.count.saturating_sub(SHOWN_UNUSABLE as u64);
    if more > 0 {
        lines.add(
            Style::Yellow,
            "",
            &format!("and {more} more; `amfj-sync status --json` names the first fifty"),
        );
    }
    let (left, share) = (facts.kandji_requests_left, facts.kandji_requests_per_hour);
    let style = if left < FEW_REQUESTS.min(share / 10) { Style::Yellow } else { Style::Plain };
    lines.add(style, "  Kandji", &format!("{left} of {share} requests left in this hour"));
    if let Some(wrong) = status.wrong(site, "kandji") {
        lines.add(Style::Red, "", &trouble::failing(wrong, now));
    }
    if let Some(events) = &facts.events {
        lines.add(Style::Plain, "  events", &taken_events(events, now));
    }
    match site.dead_letters {
        Some(0) => lines.add(Style::Plain, "  dead letters", "none"),
        Some(count) => {
            let text = format!("{count}; `amfj-sync dead list` says which and why");
            lines.add(Style::Red, "  dead letters", &text);
        }
        None => lines.add(Style::Yellow, "  dead letters", "somebody else is looking at them; try again"),
    }
}

/// When AMFJ's last event came, and what waits (P34).
fn taken_events(events: &EventsTaken, now: Timestamp) -> String {
    let last = match events.last {
        Some(last) => format!("the last one came {} ago", span(now.duration_since(last))),
        None => "none has come since this fetcher leads".to_owned(),
    };
    match events.waiting {
        0 => last,
        1 => format!("{last}; one asset waits to be looked up"),
        count => format!("{last}; {count} wait to be looked into"),
    }
}

fn show_run(
    run: &RunStatus,
    site: &IntegrationStatus,
    status: &Status,
    now: Timestamp,
    lines: &mut Lines<'_>,
) {
    let integration = site.id();
    let ago = span(now.duration_since(run.started));
    let first = if run.first_sync { ", a first sync" } else { "" };
    let (style, how) = match (run.took_ms, &run.failed, &run.held) {
        (_, Some(_), _) => (Style::Red, ", failed".to_owned()),
        (_, None, Some(_)) => (Style::Red, ", held".to_owned()),
        (Some(took), ..) => (Style::Plain, format!(", read in {}.{} s", took / 1000, took % 1000 / 100)),
        (None, None, None) => going_on(site, status, now),
    };
    lines.add(style, "  last run", &format!("{ago} ago ({}){how}{first}", format::time(run.started)));
    if let Some(counts) = run.counts {
        let scope = match counts.in_scope {
            all if all == counts.devices => String::new(),
            some => format!(" ({some} in scope)"),
        };
        let text = format!(
            "{} devices{scope}, {} people, {} assets, {} user records",
            counts.devices, counts.users, counts.assets, counts.records
        );
        lines.add(Style::Plain, "", &text);
        let (decided, partitions) = (run.partitions_decided, usize::from(run.partitions));
        if decided < partitions {
            lines.add(Style::Yellow, "", &format!("decided in {decided} of {partitions} partitions so far"));
        }
    }
    if let Some(reason) = &run.failed {
        let command = format!("amfj-sync check {integration}");
        lines.add(Style::Red, "", &format::with_command(reason, &command, "names the cure"));
    }
    if let Some(reason) = &run.held {
        let command = format!("amfj-sync release {integration}");
        lines.add(Style::Red, "", &format::with_command(reason, &command, "lets it go on"));
    }
}

/// A run that is not over: it may be at work, wait for a service that fails, or have nobody who leads it any more.
fn going_on(site: &IntegrationStatus, status: &Status, now: Timestamp) -> (Style, String) {
    let service = ["kandji", "amfj"].into_iter().find(|service| status.wrong(site, service).is_some());
    let earlier = status.duties(site).find_map(|duty| duty.runs.as_ref());
    if let Some(service) = service {
        let service = if service == "amfj" { "AMFJ" } else { "Kandji" };
        return (Style::Red, format!(", held up because {service} fails"));
    }
    if site.site.paused.is_some() {
        return (Style::Yellow, ", not finished, for it was paused; it is read anew".to_owned());
    }
    if !status.duties(site).any(|duty| duty.running) {
        return (Style::Yellow, ", not finished; the next fetcher that leads begins anew".to_owned());
    }
    match earlier {
        Some(failed) => {
            let ago = span(now.duration_since(failed.since));
            (Style::Red, format!(", another try; those since {ago} ago failed: {}", failed.reason))
        }
        None => (Style::Yellow, ", going on".to_owned()),
    }
}

fn next_run(site: &IntegrationStatus, status: &Status, now: Timestamp) -> (Style, String) {
    let duties = || status.reports.iter().filter_map(|report| report.integrations.get(site.id()));
    let fetchers = status.workers.get("fetcher").copied().unwrap_or(0);
    let wait = site.site.next_run.duration_since(now);
    if let Some(pause) = &site.site.paused {
        let until = pause.until.map(|until| format!(", at {} at the latest", format::time(until)));
        (Style::Yellow, format!("when it is resumed{}", until.unwrap_or_default()))
    } else if fetchers == 0 {
        (Style::Yellow, "as soon as a fetcher runs".to_owned())
    } else if duties().any(|duty| duty.running) {
        let fails = ["kandji", "amfj"].into_iter().find_map(|service| status.wrong(site, service));
        match fails.and_then(|fails| fails.next) {
            Some(next) => {
                (Style::Yellow, format!("one waits to read on in {}", span(next.duration_since(now))))
            }
            None if fails.is_some() => (Style::Yellow, "one waits for an answer".to_owned()),
            None => (Style::Plain, "one is going on".to_owned()),
        }
    } else if site.site.last_run.as_ref().is_some_and(|run| run.failed.is_some()) {
        let when = if wait.as_secs() > 0 { format!(" in {}", span(wait)) } else { String::new() };
        (Style::Yellow, format!("it is tried again by itself{when}, with growing pauses"))
    } else if wait.as_secs() > 0 {
        (Style::Plain, format!("in {} ({})", span(wait), format::time(site.site.next_run)))
    } else {
        (Style::Plain, "now".to_owned())
    }
}

/// The style of a state: well, on its way, or for a person to look at.
pub(crate) fn style_of(state: DeviceStatus) -> Style {
    match state {
        DeviceStatus::InSync => Style::Green,
        DeviceStatus::Pending | DeviceStatus::PlanOnly => Style::Blue,
        DeviceStatus::Gone | DeviceStatus::OutOfScope => Style::Faint,
        DeviceStatus::Unmatched
        | DeviceStatus::Ambiguous
        | DeviceStatus::FieldProblem
        | DeviceStatus::UserProblem => Style::Yellow,
        DeviceStatus::Failed | DeviceStatus::Held => Style::Red,
    }
}

fn devices(site: &IntegrationStatus) -> Vec<StyledText> {
    let counted = DeviceStatus::ALL.into_iter().filter_map(|state| {
        let count = site.site.devices.get(state.as_str()).filter(|count| **count > 0)?;
        Some(StyledText::new(style_of(state), format!("{count} {}", state.as_str())))
    });
    let mut counted: Vec<StyledText> = counted.collect();
    if counted.is_empty() {
        counted.push(StyledText::new(Style::Plain, "none decided yet".to_owned()));
    }
    counted
}

fn waiting(waiting: Option<&Waiting>, is_paused: bool, now: Timestamp) -> (Style, String) {
    let Some(waiting) = waiting else { return (Style::Plain, "nothing".to_owned()) };
    let since = waiting.oldest.map(|oldest| span(now.duration_since(oldest)));
    let (messages, them) =
        if waiting.messages == 1 { ("message waits", "it") } else { ("messages wait", "them") };
    let unserved =
        if waiting.served == 0 && !is_paused { format!("; nobody takes {them}") } else { String::new() };
    match (waiting.messages, since) {
        (0, None) => (Style::Plain, "nothing".to_owned()),
        (0, Some(since)) => (Style::Blue, format!("in hand, the oldest for {since}")),
        (count, None) => (Style::Yellow, format!("{count} {messages}{unserved}")),
        (count, Some(since)) => {
            (Style::Yellow, format!("{count} {messages}, the oldest for {since}{unserved}"))
        }
    }
}
