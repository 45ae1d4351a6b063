//! What counts as wrong, in one place: for `status` and its exit code, for `/status`, `/health` and `/readyz`. Somebody should look,
//! or something fails at this moment and comes right by itself. What is merely unusual (a record that was left out, devices
//! without an asset, a first sync that is not over) is shown, and is not wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use amfj_sync_model::failing::Failing;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::report::{Duty, WorkerReport};
use super::site::SiteStatus;
use crate::worker::ROLES;

/// Intervals without a complete run after which runs are missing.
const MISSED: u32 = 2;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Of which integration; none for what all share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub integration: Option<String>,
    /// What it is about: `amfj`, `kandji`, `run`, `held`, `overdue`, `kind`, `records`, `dead-letters`, `queue`, `worker`, `configuration`
    /// or `broker`.
    pub what: &'static str,
    /// What fails and why, with the cure where one is known.
    pub says: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When it is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

impl Wrong {
    pub(super) fn about(what: &'static str) -> Self {
        Self { integration: None, what, says: String::new(), since: None, next: None }
    }

    fn failing(what: &'static str, failing: Failing) -> Self {
        Self { says: failing.reason, since: Some(failing.since), next: failing.next, ..Self::about(what) }
    }

    /// Changes that could not be done.
    #[must_use]
    pub(super) fn dead_letters(integration: Option<String>, count: u32) -> Self {
        let says = format!("{count} dead letter{}; `amfj-sync dead list` says which and why", plural(count));
        Self { integration, says, ..Self::about("dead-letters") }
    }

    /// In a few words, for a list of all.
    #[must_use]
    pub fn in_short(&self) -> String {
        let what = match self.what {
            "amfj" => "AMFJ fails",
            "kandji" => "Kandji fails",
            "run" => "the run failed",
            "held" => "the run is held",
            "overdue" => "runs are overdue",
            "kind" => "a kind of change waits",
            "records" => "changes are refused",
            "dead-letters" => "dead letters",
            "broker" => "the broker",
            "configuration" => "a file of the configuration",
            // Those say it themselves.
            _ => self.says.as_str(),
        };
        match &self.integration {
            Some(integration) => format!("{integration}: {what}"),
            None => what.to_owned(),
        }
    }

    /// All of it in one line, as the pages of a worker have it.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.integration.as_ref().map_or_else(String::new, |id| format!("{id}: "));
        match self.what {
            "amfj" => line.push_str("AMFJ fails: "),
            "kandji" => line.push_str("Kandji fails: "),
            "run" => line.push_str("the run failed: "),
            "held" => line.push_str("the run is held: "),
            "broker" => line.push_str("broker: "),
            _ => {}
        }
        line.push_str(&self.says);
        if let Some(since) = self.since {
            let _ = write!(line, "; since {}", in_seconds(since));
        }
        if let Some(next) = self.next {
            let _ = write!(line, "; tried again at {}", in_seconds(next));
        }
        line
    }
}

fn in_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

fn plural(count: u32) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// What is wrong with an integration. `dead` are its dead letters, where somebody counted them.
#[must_use]
pub fn wrong_of_site(
    site: &SiteStatus,
    reports: &[WorkerReport],
    dead: Option<u32>,
    now: Timestamp,
) -> Vec<Wrong> {
    let duties: Vec<&Duty> =
        reports.iter().filter_map(|report| report.integrations.get(&site.integration)).collect();
    let mut wrong: Vec<Wrong> = Vec::new();
    wrong.extend(amfj_of(&duties));
    wrong.extend(
        first_failing(duties.iter().filter_map(|duty| duty.kandji.clone()))
            .map(|failing| Wrong::failing("kandji", failing)),
    );
    wrong.extend(run_of(site, &duties));
    if site.paused.is_none() {
        wrong.extend(overdue(site, now));
    }
    for trouble in duties.iter().filter_map(|duty| duty.trouble.as_ref()) {
        for kind in &trouble.kinds {
            let says = format!("\"{}\" waits: {}", kind.kind, kind.reason);
            wrong.push(Wrong { says, since: Some(kind.since), next: kind.next, ..Wrong::about("kind") });
        }
        if trouble.stopped > 0 {
            let (count, since) = (trouble.stopped, trouble.records.iter().map(|record| record.since).min());
            let says = format!(
                "AMFJ refuses {count} change{} and takes others; `amfj-sync stopped list` names them",
                plural(count)
            );
            wrong.push(Wrong { says, since, ..Wrong::about("records") });
        }
    }
    wrong.extend(dead.filter(|count| *count > 0).map(|count| Wrong::dead_letters(None, count)));
    for (stage, waiting) in &site.queues {
        // During a pause the workers let go of what waits, and take it again by themselves.
        let is_paused = site.paused.is_some()
            || *stage == "apply"
                && duties
                    .iter()
                    .any(|duty| duty.circuit.as_ref().is_some_and(|circuit| circuit.position != "closed"));
        if waiting.messages > 0 && waiting.served == 0 && !is_paused {
            let (role, to) = if *stage == "apply" { ("writer", "apply") } else { ("reconciler", "decide") };
            let says = format!(
                "{} messages to {to} wait, and nobody takes them; start `{role} run`",
                waiting.messages
            );
            wrong.push(Wrong { says, since: waiting.oldest, ..Wrong::about("queue") });
        }
    }
    for one in &mut wrong {
        one.integration = Some(site.integration.clone());
    }
    wrong
}

/// What failed for the longest.
fn first_failing(failing: impl Iterator<Item = Failing>) -> Option<Failing> {
    failing.min_by_key(|failing| failing.since)
}

/// A circuit that is open, or calls that fail before it opens.
fn amfj_of(duties: &[&Duty]) -> Option<Wrong> {
    let open = duties.iter().filter_map(|duty| duty.circuit.as_ref()).find(|one| one.position == "open");
    if let Some(circuit) = open {
        let says = circuit.reason.clone().unwrap_or_else(|| "nothing is sent to it".to_owned());
        return Some(Wrong { says, since: circuit.since, next: circuit.next, ..Wrong::about("amfj") });
    }
    first_failing(duties.iter().filter_map(|duty| duty.amfj.clone()))
        .map(|failing| Wrong::failing("amfj", failing))
}

/// Runs that failed stay wrong while the next one goes on.
fn run_of(site: &SiteStatus, duties: &[&Duty]) -> Option<Wrong> {
    let run = site.last_run.as_ref();
    if let Some(reason) = run.and_then(|run| run.held.clone()) {
        let since = run.map(|run| run.started);
        return Some(Wrong { says: reason, since, ..Wrong::about("held") });
    }
    let next = duties.iter().find_map(|duty| duty.next_run);
    if let Some(failing) = first_failing(duties.iter().filter_map(|duty| duty.runs.clone())) {
        let next = failing.next.or(next);
        return Some(Wrong { next, ..Wrong::failing("run", failing) });
    }
    let failed = run.and_then(|run| run.failed.clone().map(|reason| (reason, run.started)));
    failed.map(|(says, since)| Wrong { says, since: Some(since), next, ..Wrong::about("run") })
}

fn overdue(site: &SiteStatus, now: Timestamp) -> Option<Wrong> {
    let last = site.last_success?;
    let seconds = i64::try_from(site.interval_seconds).unwrap_or(i64::MAX).saturating_mul(i64::from(MISSED));
    let is_overdue = now.duration_since(last) > SignedDuration::from_secs(seconds);
    is_overdue.then(|| {
        let says = "no run was complete for more than twice the interval".to_owned();
        Wrong { says, since: Some(last), ..Wrong::about("overdue") }
    })
}

/// What is wrong with the workers: none of a kind, not ready, silent, or refusing what others say.
#[must_use]
pub fn wrong_of_workers(live: &BTreeMap<&'static str, u32>, reports: &[WorkerReport]) -> Vec<Wrong> {
    let (mut wrong, mut files) = (Vec::new(), BTreeSet::new());
    let mut says = |says: String| wrong.push(Wrong { says, ..Wrong::about("worker") });
    for role in ROLES {
        let of_role: Vec<&WorkerReport> = reports.iter().filter(|report| report.role == role).collect();
        let live = usize::try_from(live.get(role).copied().unwrap_or(0)).unwrap_or(usize::MAX);
        if live == 0 && of_role.is_empty() {
            says(format!("no {role} runs"));
        }
        let silent = live.saturating_sub(of_role.len());
        if silent > 0 {
            says(format!("{silent} {role}{} not answer", if silent == 1 { " does" } else { "s do" }));
        }
        for report in of_role.iter().filter(|report| !report.not_ready.is_empty()) {
            says(format!("a {role} on {} is not ready: {}", report.host, report.not_ready.join("; ")));
        }
        for line in of_role.iter().flat_map(|report| &report.configuration) {
            files.insert(line.clone());
        }
        for report in of_role.iter().filter(|report| report.refused_messages > 0) {
            says(format!(
                "a {role} on {} refused {} messages that bear no right signature: give everybody the same \
                 broker.signing_key, or somebody forges messages (docs/security.md)",
                report.host, report.refused_messages
            ));
        }
    }
    // Most often all workers read the same files.
    wrong.extend(files.into_iter().map(|says| Wrong { says, ..Wrong::about("configuration") }));
    wrong
}

#[cfg(test)]
mod tests;
