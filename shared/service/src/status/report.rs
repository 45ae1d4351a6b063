//! What a worker says about itself, and asking all of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{BrokerError, Names, Session, answer_roll_calls, call_roll, refused_lately};
use amfj_sync_model::failing::Failing;
use amfj_sync_model::ids::IntegrationId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::backlog::STAGES;
use crate::endpoints::Health;
use crate::reload::Reloaded;
use crate::worker::{Worker, host};

/// For the answers of all workers; they take milliseconds each, unless a worker hangs.
const PATIENCE: Duration = Duration::from_secs(2);

/// The question that has workers read their configuration again; any other has them say how they are.
const RELOAD: &[u8] = b"{\"reload\":true}";

/// The question how they are.
const REPORT: &[u8] = b"{}";

/// Before a worker that could not listen tries again.
const AGAIN: Duration = Duration::from_secs(5);

/// What a worker says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerReport {
    /// `fetcher`, `reconciler` or `writer`.
    pub role: String,
    /// `role/UUID`, as in the messages it publishes.
    pub worker: String,
    /// The machine it runs on, as that calls itself.
    #[serde(default)]
    pub host: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// What keeps it from working, one sentence each; empty when it is ready.
    #[serde(default)]
    pub not_ready: Vec<String>,
    /// Messages that it refused unread for their signature, where it refused one lately.
    #[serde(default, skip_serializing_if = "is_none")]
    pub refused_messages: u64,
    /// What is wrong with the files of its configuration, a line for each; what they said before is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub configuration: Vec<String>,
    /// What came of reading its configuration again, for whoever asked for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reloaded: Option<Reloaded>,
    /// What it does for each integration of its configuration.
    #[serde(default)]
    pub integrations: BTreeMap<String, Duty>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it asks about by reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What a worker does for one integration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Duty {
    /// The partitions it serves, with what it has in hand.
    #[serde(default)]
    pub partitions: Vec<Serving>,
    /// Whether it knows that a person has paused the integration (P33).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
    /// Whether it leads the runs (a fetcher).
    #[serde(default)]
    pub leads: bool,
    /// Whether a run is going on in it (a fetcher).
    #[serde(default)]
    pub running: bool,
    /// Requests to Kandji that it may still make in this hour (the leading fetcher).
    #[serde(default)]
    pub kandji_requests_left: Option<u32>,
    /// Whether changes are sent to AMFJ (a writer).
    #[serde(default)]
    pub circuit: Option<Circuit>,
    /// What AMFJ does not take at the moment (a writer); none where nothing fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What fails of AMFJ now, as this worker's own calls show (a writer, the leading fetcher).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amfj: Option<Failing>,
    /// When AMFJ last answered this worker as it should.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amfj_answered: Option<Timestamp>,
    /// What fails of Kandji now (the leading fetcher).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kandji: Option<Failing>,
    /// Runs that failed since the last one that did not (the leading fetcher).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs: Option<Failing>,
    /// When the next run is due (the leading fetcher); none while one goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run: Option<Timestamp>,
    /// How it stands with AMFJ's events (the leading fetcher, where they are taken).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<EventsTaken>,
}

/// How it stands with AMFJ's events (P34).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsTaken {
    /// When the last one came, since this fetcher leads.
    #[serde(default)]
    pub last: Option<Timestamp>,
    /// How many wait to be looked into.
    #[serde(default)]
    pub waiting: u32,
}

/// A partition that is served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Which.
    pub partition: u16,
    /// When the oldest message that is being worked on was published.
    #[serde(default)]
    pub oldest: Option<Timestamp>,
}

/// Whether changes of an integration are sent to AMFJ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    /// `closed` (all is well), `open` (paused) or `half-open` (one change at a time).
    pub position: String,
    /// Why it is not closed.
    #[serde(default)]
    pub reason: Option<String>,
    /// Since when it is not closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// When AMFJ is asked next whether it is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// What AMFJ does not take at the moment, by the smallest thing that it can be about (P28).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Kinds of request that wait, while all others go on.
    #[serde(default)]
    pub kinds: Vec<WaitingKind>,
    /// Changes that were refused and stepped aside: those for the longest, at most [`Trouble::SHOWN`].
    #[serde(default)]
    pub records: Vec<StoppedRecord>,
    /// How many there are.
    #[serde(default)]
    pub stopped: u32,
    /// When AMFJ carried out a change last, as far as this worker knows.
    #[serde(default)]
    pub taken: Option<Timestamp>,
}

impl Trouble {
    /// How many records a report names.
    pub const SHOWN: usize = 20;
}

/// A kind of request that waits: several records were refused in the same way and none was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitingKind {
    /// `create asset`, `update asset`, `check out`, `check in`, `create user` or `update user`.
    pub kind: String,
    /// Why, in plain words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// How often one was tried since.
    pub attempts: u32,
    /// How many changes this worker has in hand that wait with it.
    #[serde(default)]
    pub changes: u32,
    /// When one is tried next.
    #[serde(default)]
    pub next: Option<Timestamp>,
}

/// A change that was refused, stepped aside, and is tried again by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoppedRecord {
    /// `device/ID` or `user/KEY`.
    pub key: String,
    /// The name of the device or person.
    pub label: String,
    /// The serials of its devices.
    #[serde(default)]
    pub serials: Vec<String>,
    /// The kind of the change: `update-asset`.
    pub change: String,
    /// What was asked of AMFJ: `check out`.
    #[serde(default)]
    pub request: Option<String>,
    /// How AMFJ refused it last.
    pub reason: String,
    /// Since when it is refused.
    pub since: Timestamp,
    /// How often it was refused.
    pub attempts: u32,
    /// When it is tried next; none while it waits for something else than a pause of its own.
    #[serde(default)]
    pub next: Option<Timestamp>,
    /// Whether it waits with its kind, and so cannot fail.
    #[serde(default)]
    pub waits_with_kind: bool,
}

impl Worker {
    /// What every worker can say about itself; each role adds its own.
    #[must_use]
    pub fn report(&self) -> WorkerReport {
        let duty = |id: &IntegrationId| {
            let served = STAGES.into_iter().flat_map(|stage| self.inflight.of(id, stage));
            let partitions = served.map(|(partition, oldest)| Serving { partition, oldest });
            let paused = self.states.get(id).is_some_and(|state| state.pause().is_some());
            Duty { partitions: partitions.collect(), paused, ..Duty::default() }
        };
        WorkerReport {
            role: self.role.clone(),
            worker: self.id.clone(),
            host: host(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            since: self.since,
            not_ready: self.not_ready(),
            refused_messages: refused_lately(),
            configuration: self.wrong_files(),
            reloaded: None,
            integrations: self.states.keys().map(|id| (id.to_string(), duty(id))).collect(),
        }
    }
}

impl WorkerReport {
    /// As a message of at most so many bytes. What is told of single records goes first, then what it does for each
    /// integration; that it is there is always said.
    fn within(mut self, limit: usize) -> Vec<u8> {
        let without_records = |report: &mut Self| {
            for trouble in report.integrations.values_mut().filter_map(|duty| duty.trouble.as_mut()) {
                trouble.records.clear();
            }
        };
        let without_integrations = |report: &mut Self| report.integrations.clear();
        // It is made of texts and numbers: it always serialises.
        let bytes = |report: &Self| serde_json::to_vec(report).unwrap_or_default();
        let mut whole = bytes(&self);
        for shorten in [without_records, without_integrations] {
            if whole.len() <= limit {
                break;
            }
            shorten(&mut self);
            whole = bytes(&self);
        }
        whole
    }
}

/// Answers whoever asks what this worker does, until it stops.
pub async fn keep_answering(worker: Arc<Worker>, health: Arc<dyn Health>) {
    let stop = worker.shutdown.soft.clone();
    let publisher = worker.publisher.clone();
    let asked = worker.clone();
    let answer = move |question: &[u8]| {
        // Before the report, which tells what is wrong with it.
        let reload = asked.shutdown.reload().filter(|_| question == RELOAD);
        let reloaded = reload.map(|reload| reload.reload());
        WorkerReport { reloaded, ..health.report() }.within(publisher.largest())
    };
    while let Some(Ok(session)) = stop.run_until_cancelled(worker.broker.session()).await {
        if let Err(error) = answer_roll_calls(&session, worker.broker.names(), &stop, &answer).await {
            tracing::debug!(%error, "questions of `amfj-sync status` cannot be answered at the moment");
            stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await;
        }
    }
}

/// Asks all workers what they do. `expected` says how many of each role there are.
pub async fn ask_workers(
    session: &Arc<Session>,
    names: &Names,
    expected: &BTreeMap<&'static str, u32>,
) -> Result<Vec<WorkerReport>, BrokerError> {
    ask(session, names, expected, PATIENCE, REPORT).await
}

/// Has all workers read their configuration again; each says in its report what came of it.
pub async fn have_all_reload(
    session: &Arc<Session>,
    names: &Names,
    expected: &BTreeMap<&'static str, u32>,
) -> Result<Vec<WorkerReport>, BrokerError> {
    ask(session, names, expected, PATIENCE, RELOAD).await
}

/// Asks them, and waits so long for those that do not answer.
pub(crate) async fn ask_within(
    session: &Arc<Session>,
    names: &Names,
    expected: &BTreeMap<&'static str, u32>,
    patience: Duration,
) -> Result<Vec<WorkerReport>, BrokerError> {
    ask(session, names, expected, patience, REPORT).await
}

async fn ask(
    session: &Arc<Session>,
    names: &Names,
    expected: &BTreeMap<&'static str, u32>,
    patience: Duration,
    question: &[u8],
) -> Result<Vec<WorkerReport>, BrokerError> {
    let are_all_there = |answers: &[Vec<u8>]| {
        let reports = read(answers);
        expected.iter().all(|(role, count)| {
            let there = reports.iter().filter(|report| report.role == *role).count();
            u32::try_from(there).is_ok_and(|there| there >= *count)
        })
    };
    let mut reports = read(&call_roll(session, names, question, patience, &are_all_there).await?);
    reports.sort_by(|one, other| (one.since, &one.worker).cmp(&(other.since, &other.worker)));
    Ok(reports)
}

/// What is no report is passed over: another version may say things differently.
fn read(answers: &[Vec<u8>]) -> Vec<WorkerReport> {
    answers.iter().filter_map(|answer| serde_json::from_slice(answer).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_of_another_version_is_read_as_far_as_it_goes() {
        let older = br#"{"role":"writer","worker":"writer/1","since":"2026-06-01T00:00:00Z","mood":"good"}"#;
        let reports = read(&[older.to_vec(), b"{}".to_vec()]);
        assert_eq!(reports.len(), 1, "{reports:?}");
        assert_eq!((reports[0].role.as_str(), reports[0].integrations.len()), ("writer", 0));
    }

    #[test]
    fn a_report_that_is_too_large_for_a_message_says_the_more_important() {
        let record = StoppedRecord {
            key: "device/1".to_owned(),
            label: "Mac".to_owned(),
            serials: Vec::new(),
            change: "update-asset".to_owned(),
            request: None,
            reason: "r".repeat(2_000),
            since: Timestamp::UNIX_EPOCH,
            attempts: 1,
            next: None,
            waits_with_kind: false,
        };
        let trouble = Trouble { records: vec![record; 20], stopped: 20, ..Trouble::default() };
        let duty = Duty { leads: true, trouble: Some(trouble), ..Duty::default() };
        let report = WorkerReport {
            role: "writer".to_owned(),
            worker: "writer/1".to_owned(),
            host: String::new(),
            version: String::new(),
            since: Timestamp::UNIX_EPOCH,
            not_ready: Vec::new(),
            configuration: Vec::new(),
            reloaded: None,
            refused_messages: 0,
            integrations: (0..10).map(|number| (format!("tenant-{number}"), duty.clone())).collect(),
        };
        let within = |limit| {
            let message = report.clone().within(limit);
            assert!(message.len() <= limit, "{} bytes", message.len());
            read(&[message]).remove(0)
        };
        assert_eq!(within(1 << 20), report);
        let shorter = within(64 << 10);
        let stopped = |report: &WorkerReport| {
            report.integrations["tenant-3"].trouble.clone().map(|t| (t.stopped, t.records.len()))
        };
        assert_eq!(stopped(&shorter), Some((20, 0)), "how many there are is said all the same");
        assert_eq!((within(1 << 10).role.as_str(), within(1 << 10).integrations.len()), ("writer", 0));
    }
}
