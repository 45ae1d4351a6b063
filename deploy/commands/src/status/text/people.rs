//! The workers: which run, where, and what each does.

use amfj_sync_security::screen::{Screen, Style};
use amfj_sync_service::status::{Duty, WorkerReport};
use amfj_sync_service::worker::ROLES;
use jiff::Timestamp;

use super::{Lines, span};
use crate::status::{IntegrationStatus, Status};

/// Integrations that are named one by one.
const NAMED: usize = 6;

pub(super) fn show(screen: &Screen, status: &Status, now: Timestamp, out: &mut String) {
    out.push_str(&screen.ink(Style::Bold, "workers"));
    out.push('\n');
    let mut lines = Lines { screen, out };
    for role in ROLES {
        let reports: Vec<&WorkerReport> = status.reports.iter().filter(|one| one.role == role).collect();
        let live = status.workers.get(role).copied().unwrap_or(0);
        let silent = usize::try_from(live).unwrap_or(usize::MAX).saturating_sub(reports.len());
        let name = format!("  {role}");
        if reports.is_empty() && silent == 0 {
            lines.add(Style::Red, &name, &absent(role));
        }
        for (at, report) in reports.iter().enumerate() {
            let name = if at == 0 { name.as_str() } else { "" };
            let style = if report.not_ready.is_empty() { Style::Plain } else { Style::Yellow };
            lines.add(style, name, &describe(report, status, now));
        }
        if silent > 0 {
            let name = if reports.is_empty() { name.as_str() } else { "" };
            lines.add(Style::Yellow, name, &unheard(silent, !reports.is_empty()));
        }
    }
}

/// Workers that the broker counts and that did not answer.
fn unheard(count: usize, beside_others: bool) -> String {
    let more = if beside_others { " more" } else { "" };
    if count == 1 {
        format!("1{more} does not answer; it may hang, be busy, or be of an older version")
    } else {
        format!("{count}{more} do not answer; they may hang, be busy, or be of an older version")
    }
}

fn absent(role: &str) -> String {
    let effect = match role {
        "fetcher" => "nothing is read",
        "reconciler" => "nothing is decided",
        _ => "nothing is written to AMFJ",
    };
    format!("none, so {effect}; start `{role} run`")
}

fn describe(report: &WorkerReport, status: &Status, now: Timestamp) -> String {
    let place = format!("on {} for {}", report.host, span(now.duration_since(report.since)));
    if !report.not_ready.is_empty() {
        return format!("{place}: not ready: {}", report.not_ready.join("; "));
    }
    let shown = status.integrations.iter().map(IntegrationStatus::id);
    let duties: Vec<(&str, &Duty)> =
        shown.filter_map(|id| Some((id, report.integrations.get(id)?))).collect();
    format!("{place}: {}", if report.role == "fetcher" { leading(&duties) } else { serving(&duties) })
}

fn leading(duties: &[(&str, &Duty)]) -> String {
    let led: Vec<&str> = duties.iter().filter(|(_, duty)| duty.leads).map(|(id, _)| *id).collect();
    match led.len() {
        0 => "stands by".to_owned(),
        few if few <= NAMED => format!("leads {}", led.join(", ")),
        many => format!("leads {many} integrations"),
    }
}

fn serving(duties: &[(&str, &Duty)]) -> String {
    let served: Vec<(&str, Vec<u16>)> = duties
        .iter()
        .map(|(id, duty)| (*id, duty.partitions.iter().map(|one| one.partition).collect::<Vec<u16>>()))
        .filter(|(_, partitions)| !partitions.is_empty())
        .collect();
    let all: usize = served.iter().map(|(_, partitions)| partitions.len()).sum();
    match served.len() {
        0 => "stands by".to_owned(),
        few if few <= NAMED => {
            let one = |(id, partitions): &(&str, Vec<u16>)| {
                let plural = if partitions.len() == 1 { "" } else { "s" };
                format!("partition{plural} {} of {id}", ranges(partitions))
            };
            served.iter().map(one).collect::<Vec<_>>().join(", ")
        }
        many => format!("{all} partitions of {many} integrations"),
    }
}

/// `0-2, 5`.
fn ranges(numbers: &[u16]) -> String {
    let mut sorted = numbers.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for number in sorted {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => runs.push((number, number)),
        }
    }
    let shown = runs.iter().map(
        |(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        },
    );
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_that_follow_each_other_are_a_range() {
        assert_eq!(ranges(&[5, 0, 2, 1]), "0-2, 5");
        assert_eq!(ranges(&[3]), "3");
        assert_eq!(ranges(&[]), "");
    }
}
