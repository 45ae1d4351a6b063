//! Named places between the durable steps of the workers, where a test makes a process die or wait.
//!
//! Nothing happens at any of them unless the environment variable [`VARIABLE`] names it; then the
//! worker says so with a warning at its start. The format is `NAME=ACTION`, several joined by `;`:
//!
//! - `writer.answered=kill`: the process kills itself there, as `kill -9` does: no destructor runs,
//!   nothing is flushed, the broker sees a broken connection.
//! - `writer.answered=kill@3`: the third time that it gets there.
//! - `writer.answered=panic`: the task that gets there panics.
//! - `writer.answered=wait@1:2s`: the first time, it waits two seconds; the rest of the process goes on.
//!
//! The crate `fail` has a grammar of its own for this, but blocks the thread, which here drives
//! hundreds of other tasks.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write what they made up"))]

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::Duration;

use amfj_sync_security::screen::say_error;
use jiff::SignedDuration;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;

/// The environment variable that arms failpoints.
pub const VARIABLE: &str = "AMFJ_SYNC_FAILPOINTS";

macro_rules! failpoints {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// A place where a worker can be made to die or wait.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Failpoint {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Failpoint {
            /// Every failpoint there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// `role.place`; `state.…` are in every role.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name),+
                }
            }
        }
    };
}

failpoints! {
    /// A fact is in the stream, but has not been read back.
    StatePublished = "state.published",
    /// Facts were delivered, but are not in the view.
    StateReceived = "state.received",
    /// Facts are in the view (and on the way to disk), but not acknowledged.
    StateStored = "state.stored",
    /// The *started* fact of a run was accepted.
    FetcherRunStarted = "fetcher.run-started",
    /// AMFJ has been read to its end, and what differs is kept aside.
    FetcherAmfjRead = "fetcher.amfj-read",
    /// Kandji has been read to its end.
    FetcherWalked = "fetcher.walked",
    /// A window of facts of the inventory is staged, the next is to come.
    FetcherSaying = "fetcher.saying",
    /// All facts of the inventory are staged.
    FetcherSaid = "fetcher.said",
    /// The inventory is in force, no snapshot is published.
    FetcherInventoryComplete = "fetcher.inventory-complete",
    /// A window of snapshots is published, the next is to come.
    FetcherHandingOver = "fetcher.handing-over",
    /// All snapshots and end-of-run markers are published.
    FetcherHandedOver = "fetcher.handed-over",
    /// The run is published and said to be.
    FetcherRunPublished = "fetcher.run-published",
    /// Part of a checkpoint is written.
    FetcherCheckpointing = "fetcher.checkpointing",
    /// Snapshots were taken from the queue, nothing is decided.
    ReconcilerTaken = "reconciler.taken",
    /// Snapshots are decided, none of the changes is published.
    ReconcilerConcluded = "reconciler.concluded",
    /// Changes are published, their decisions are not.
    ReconcilerChangesPublished = "reconciler.changes-published",
    /// Decisions are read back, snapshots are not acknowledged.
    ReconcilerDecided = "reconciler.decided",
    /// Snapshots are acknowledged.
    ReconcilerAcknowledged = "reconciler.acknowledged",
    /// A partition is decided for a run, its end-of-run marker is not acknowledged.
    ReconcilerPartitionDecided = "reconciler.partition-decided",
    /// All partitions are decided, the count of mass changes is not published.
    ReconcilerCounted = "reconciler.counted",
    /// A change was taken from the queue, nothing is done.
    WriterTaken = "writer.taken",
    /// A change needs a request, its intent is not published.
    WriterBeforeIntent = "writer.before-intent",
    /// The intent is read back.
    WriterIntentReadBack = "writer.intent-read-back",
    /// The change has its turn, no request is sent.
    WriterTurn = "writer.turn",
    /// A change goes back to the queue, its intent is not withdrawn.
    WriterHandingBack = "writer.handing-back",
    /// AMFJ has answered, no outcome is published.
    WriterAnswered = "writer.answered",
    /// A failed change is among the dead letters, no outcome is published.
    WriterBuried = "writer.buried",
    /// The change is in the history, its outcome is not published.
    WriterHistoryPublished = "writer.history-published",
    /// The outcome is read back, the change is not acknowledged.
    WriterOutcomeReadBack = "writer.outcome-read-back",
    /// The change is acknowledged.
    WriterAcknowledged = "writer.acknowledged",
    /// Dead letters are in their queues again, and still among the dead letters.
    DeadLettersReplayed = "command.dead-letters-replayed",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Kill,
    Panic,
    Wait(Duration),
}

/// What happens at one failpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arming {
    action: Action,
    /// Only at this passing, counted from one; at every one if unset.
    at: Option<u32>,
}

/// Why [`VARIABLE`] cannot be understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "{VARIABLE}: `{part}` is not NAME=kill[@N], NAME=panic[@N] or NAME=wait[@N]:DURATION; the names are {}",
    names()
)]
pub struct InvalidFailpoint {
    part: String,
}

fn names() -> String {
    Failpoint::ALL.iter().map(|point| point.name()).collect::<Vec<_>>().join(", ")
}

#[derive(Debug, Default)]
struct Armed {
    armings: HashMap<Failpoint, Arming>,
    passed: Mutex<HashMap<Failpoint, u32>>,
}

static ARMED: OnceLock<Armed> = OnceLock::new();

impl FromStr for Armed {
    type Err = InvalidFailpoint;

    fn from_str(text: &str) -> Result<Self, InvalidFailpoint> {
        let mut armed = Self::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (point, arming) = parse(part).ok_or_else(|| InvalidFailpoint { part: part.to_owned() })?;
            armed.armings.insert(point, arming);
        }
        Ok(armed)
    }
}

fn parse(part: &str) -> Option<(Failpoint, Arming)> {
    let (name, spec) = part.split_once('=')?;
    let point = *Failpoint::ALL.iter().find(|point| point.name() == name.trim())?;
    let (spec, pause) = match spec.trim().split_once(':') {
        Some((spec, pause)) => (spec, Some(pause)),
        None => (spec, None),
    };
    let (action, at) = match spec.split_once('@') {
        Some((action, at)) => (action, Some(at.parse().ok().filter(|at| *at > 0)?)),
        None => (spec, None),
    };
    let action = match (action, pause) {
        ("kill", None) => Action::Kill,
        ("panic", None) => Action::Panic,
        ("wait", Some(pause)) => {
            Action::Wait(pause.parse::<SignedDuration>().ok().and_then(|pause| pause.try_into().ok())?)
        }
        _ => return None,
    };
    Some((point, Arming { action, at }))
}

/// Arms what the environment names. Answers the names, for a warning.
///
/// # Errors
/// If the variable cannot be understood.
pub fn arm_from_environment() -> Result<Option<String>, InvalidFailpoint> {
    let Ok(text) = std::env::var(VARIABLE) else { return Ok(None) };
    let armed: Armed = text.parse()?;
    // A second call in one process keeps what the first one armed, which is the same.
    let armed = ARMED.get_or_init(|| armed);
    Ok((!armed.armings.is_empty()).then_some(text))
}

/// Dies, panics or waits here if the failpoint is armed; otherwise returns at once.
///
/// # Panics
/// Where it is told to.
pub async fn reach(point: Failpoint) {
    let Some(armed) = ARMED.get() else { return };
    match armed.pass(point) {
        None => {}
        Some(Action::Kill) => die(point),
        Some(Action::Panic) => panic!("told to, at the failpoint {}", point.name()),
        Some(Action::Wait(pause)) => {
            tracing::warn!(failpoint = point.name(), ?pause, "waiting at a failpoint");
            tokio::time::sleep(pause).await;
        }
    }
}

impl Armed {
    fn pass(&self, point: Failpoint) -> Option<Action> {
        let arming = self.armings.get(&point)?;
        let mut passed = self.passed.lock();
        let count = passed.entry(point).or_default();
        *count += 1;
        arming.at.is_none_or(|at| at == *count).then_some(arming.action)
    }
}

/// `kill -9` of this very process.
fn die(point: Failpoint) {
    // Written at once and unbuffered, unlike a log line: tests count these.
    say_error(&format!("killed at the failpoint {}", point.name()));
    if let Err(error) = kill(Pid::this(), Signal::SIGKILL) {
        say_error(&format!("SIGKILL failed: {error}"));
        std::process::abort();
    }
    // The signal may take a moment; nothing may happen meanwhile.
    loop {
        std::thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_acts_at_the_passing_that_was_named() {
        let armed: Armed = "writer.answered=kill@2; state.stored = wait:1s".parse().unwrap_or_default();
        assert_eq!(armed.pass(Failpoint::WriterAnswered), None);
        assert_eq!(armed.pass(Failpoint::WriterAnswered), Some(Action::Kill));
        assert_eq!(armed.pass(Failpoint::WriterAnswered), None);
        assert_eq!(armed.pass(Failpoint::WriterTaken), None);
        assert_eq!(
            "writer.turn=wait@1:20ms".parse::<Armed>().map(|armed| armed.pass(Failpoint::WriterTurn)),
            Ok(Some(Action::Wait(Duration::from_millis(20))))
        );
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_the_names() {
        for bad in [
            "writer.answered",
            "nowhere=kill",
            "writer.turn=kill@0",
            "writer.turn=wait",
            "writer.turn=kill:1s",
        ] {
            let Err(error) = bad.parse::<Armed>() else { panic!("{bad} was understood") };
            assert!(error.to_string().contains("writer.intent-read-back"), "{error}");
        }
    }

    #[test]
    fn names_are_unique_and_begin_with_a_role() {
        let mut names: Vec<_> = Failpoint::ALL.iter().map(|point| point.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Failpoint::ALL.len());
        let roles = ["command", "state", "fetcher", "reconciler", "writer"];
        assert!(names.iter().all(|name| name.split_once('.').is_some_and(|(role, _)| roles.contains(&role))));
    }
}
