//! The status as people read it.

use std::fmt::Write as _;

use amfj_sync_shared::messages::State as DeviceState;
use amfj_sync_shared::screen::{Ink, Screen, legible};
use jiff::{SignedDuration, Timestamp};

use super::{ROLES, Run, SiteStatus, Status};
use crate::commands::words;

/// Where the second column begins.
const INDENT: usize = 15;

pub(super) fn show(screen: &Screen, status: &Status, now: Timestamp) -> String {
    let mut out = String::new();
    for site in &status.integrations {
        show_site(screen, site, status, now, &mut out);
        out.push('\n');
    }
    let mut lines = Lines { screen, out: &mut out };
    lines.add(Ink::Plain, "workers", &workers(status));
    for role in ROLES.iter().filter(|role| status.workers.get(*role).is_none_or(|count| *count == 0)) {
        lines.add(Ink::Red, "", &absent(role));
    }
    match status.dead_letters {
        0 => lines.add(Ink::Plain, "dead letters", "none"),
        count => {
            lines.add(Ink::Red, "dead letters", &format!("{count}; `writer dead list` says which and why"));
        }
    }
    if status.triggers > 0 {
        let text = format!("{} wait for a fetcher", status.triggers);
        lines.add(Ink::Yellow, "run requests", &text);
    }
    out
}

struct Lines<'a> {
    screen: &'a Screen,
    out: &'a mut String,
}

impl Lines<'_> {
    fn add(&mut self, ink: Ink, name: &str, text: &str) {
        let text = self.screen.ink(ink, &self.screen.sentence(INDENT, &legible(text)));
        let _ = writeln!(self.out, "{name:<INDENT$}{text}");
    }
}

fn show_site(screen: &Screen, site: &SiteStatus, status: &Status, now: Timestamp, out: &mut String) {
    let sync = if site.first_sync_over { "first sync over" } else { "first sync not over" };
    let every = span(SignedDuration::from_secs(i64::try_from(site.interval_seconds).unwrap_or(i64::MAX)));
    let title = screen.ink(Ink::Bold, &site.integration);
    let _ = writeln!(out, "{title}: mode \"{}\", a run every {every}, {sync}", site.mode);
    let mut lines = Lines { screen, out };
    match &site.last_run {
        None => {
            lines.add(
                Ink::Yellow,
                "  last run",
                "none yet; `fetcher run` or `fetcher run --once` starts one",
            );
        }
        Some(run) => show_run(run, &site.integration, now, &mut lines),
    }
    let fetchers = status.workers.get("fetcher").copied().unwrap_or(0);
    lines.add(Ink::Plain, "  next run", &next_run(site, fetchers, now));
    lines.add(Ink::Plain, "  devices", &devices(site));
    let queue = |stage: &str| site.queues.get(stage).copied().unwrap_or(0);
    let queues = format!("{} to reconcile, {} to apply", queue("reconcile"), queue("apply"));
    lines.add(Ink::Plain, "  queues", &queues);
    let kandji =
        format!("{} of {} requests in the last hour", site.kandji_requests, site.kandji_requests_per_hour);
    lines.add(Ink::Plain, "  Kandji", &kandji);
}

fn show_run(run: &Run, integration: &str, now: Timestamp, lines: &mut Lines<'_>) {
    let ago = span(now.duration_since(run.started));
    let first = if run.first_sync { ", first sync" } else { "" };
    let took = match (run.took_ms, &run.failed, &run.held) {
        (Some(took), ..) => format!(", read in {}.{} s", took / 1000, took % 1000 / 100),
        (None, Some(_), _) => ", failed".to_owned(),
        (None, None, Some(_)) => ", held".to_owned(),
        (None, None, None) => ", going on".to_owned(),
    };
    lines.add(Ink::Plain, "  last run", &format!("{} ({ago} ago{took}{first})", words::time(run.started)));
    if let Some(counts) = run.counts {
        let text = format!(
            "{} devices ({} in scope), {} people, {} assets, {} user records",
            counts.devices, counts.in_scope, counts.users, counts.assets, counts.records
        );
        lines.add(Ink::Plain, "", &text);
        let (decided, partitions) = (run.partitions_decided, usize::from(run.partitions));
        if decided < partitions {
            lines.add(Ink::Yellow, "", &format!("decided in {decided} of {partitions} partitions so far"));
        }
    }
    if let Some(reason) = &run.failed {
        lines.add(Ink::Red, "", &format!("failed: {reason}"));
    }
    if let Some(reason) = &run.held {
        lines.add(Ink::Red, "", &format!("held: {reason} `reconciler release {integration}` lets it go on."));
    }
}

fn next_run(site: &SiteStatus, fetchers: u32, now: Timestamp) -> String {
    let wait = site.next_run.duration_since(now);
    if fetchers == 0 {
        "as soon as a fetcher runs".to_owned()
    } else if wait.as_secs() <= 0 {
        "now".to_owned()
    } else {
        format!("{} (in {})", words::time(site.next_run), span(wait))
    }
}

fn devices(site: &SiteStatus) -> String {
    let counted = DeviceState::ALL.iter().filter_map(|state| {
        let count = site.devices.get(state.as_str()).filter(|count| **count > 0)?;
        Some(format!("{count} {}", state.as_str()))
    });
    let counted: Vec<String> = counted.collect();
    if counted.is_empty() { "none decided yet".to_owned() } else { counted.join(", ") }
}

fn workers(status: &Status) -> String {
    let counted =
        ROLES.iter().map(|role| format!("{role} {}", status.workers.get(role).copied().unwrap_or(0)));
    counted.collect::<Vec<_>>().join(", ")
}

fn absent(role: &str) -> String {
    let effect = match role {
        "fetcher" => "nothing is read",
        "reconciler" => "nothing is decided",
        _ => "nothing is written to AMFJ",
    };
    format!("no {role} runs, so {effect}; start `{role} run`")
}

/// A duration in its two largest units.
fn span(duration: SignedDuration) -> String {
    let seconds = duration.as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| {
        if small == 0 { format!("{large} {unit}") } else { format!("{large} {unit} {small} {small_unit}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => two(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "min"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_its_two_largest_units() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_600, "1 h"),
            (3_661, "1 h 1 min"),
            (90_000, "1 d 1 h"),
        ];
        for (seconds, text) in table {
            assert_eq!(span(SignedDuration::from_secs(seconds)), text);
        }
    }
}
