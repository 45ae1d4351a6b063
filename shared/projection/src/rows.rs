//! The rows of a view: what is known about each asset, record, device, person and run.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, DeviceId, IntegrationId, Key, RecordId, RunId};
use amfj_sync_model::messages::{
    Absence, Action, Decision, DeviceEntry, DeviceStatus, Intent, InventoryCounts, MassCounts,
    OperatorDecision, OperatorOrder, Outcome, Refusal, Rule, RunStarted, Sequence, UserEntry,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::claims::Claims;
use super::keys::index;

/// As of when a record of AMFJ is true: offsets order facts, the time guards against late lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Age {
    /// Offset of the run's *started* fact for a listed record, of the outcome for a written one; for one that was looked up
    /// between runs, the one after what was known when the look-up began.
    pub offset: u64,
    /// When it was written, for a record that an outcome carried.
    pub written: Option<Timestamp>,
}

/// Since when a record is doubtful: AMFJ said that it is not there when it was to be written. No answer to a write proves
/// that; the next run decides (P8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// When that was said.
    pub since: Timestamp,
    /// Offset of the outcome that said it: a list that began later decides.
    pub offset: u64,
}

/// An asset of AMFJ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssetRow {
    /// The asset.
    pub asset: Asset,
    /// As of when.
    pub age: Age,
    /// Set while it is not known whether it is still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubt: Option<Doubt>,
    /// Offset of the outcome that brought it, where no list has shown it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// What outcomes claim about its fields, and lists do not show (P15).
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
}

impl AssetRow {
    /// An asset of which nothing else is known.
    #[must_use]
    pub fn new(asset: Asset, age: Age) -> Self {
        Self { asset, age, doubt: None, found: None, claims: Claims::default() }
    }
}

/// A user record of AMFJ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordRow {
    /// The record.
    pub record: UserRecord,
    /// As of when.
    pub age: Age,
    /// Whether this product created it (P11).
    pub ours: bool,
    /// The first complete run that did not list it.
    pub absent_since: Option<u64>,
    /// Offset of the outcome that brought it, where no list has shown it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<u64>,
    /// What outcomes claim about its fields, and lists do not show (P15).
    #[serde(default, skip_serializing_if = "Claims::is_empty")]
    pub claims: Claims,
}

impl RecordRow {
    /// A user record of which nothing else is known.
    #[must_use]
    pub fn new(record: UserRecord, age: Age) -> Self {
        Self { record, age, ours: false, absent_since: None, found: None, claims: Claims::default() }
    }
}

/// In how many complete runs in a row a device was missing, and what its details said last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// Complete runs in a row.
    pub runs: u32,
    /// The latest of these runs.
    pub latest: u64,
    /// What its details said in the latest.
    pub absence: Absence,
}

/// A device of Kandji.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceRow {
    /// As listed last.
    pub entry: DeviceEntry,
    /// Set while complete runs do not list it.
    pub missing: Option<Missing>,
}

impl DeviceRow {
    /// Whether the inventory in force lists it.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        self.missing.is_none()
    }
}

/// A person as the devices name them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserRow {
    /// As named last.
    pub entry: UserEntry,
    /// Whether no device of the inventory in force names them.
    pub missing: bool,
}

/// The link of a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinkRow {
    /// The asset.
    pub asset: AssetId,
    /// Why.
    pub rule: Rule,
    /// Since when.
    pub since: Timestamp,
    /// The run that decided it; none where a person did, or an earlier release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<u64>,
}

/// The link of a Kandji user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserLinkRow {
    /// The record.
    pub record: RecordId,
    /// Why.
    pub rule: Rule,
    /// Since when.
    pub since: Timestamp,
}

/// How AMFJ stored a value that it was sent, where that differs (a trimmed text): not a difference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stored {
    /// What was sent.
    pub sent: Value,
    /// What AMFJ holds for it.
    pub stored: Value,
}

/// An action that failed for good, so that the same one is not tried again (P15).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FailedAction {
    /// What was tried.
    pub action: Action,
    /// Why it failed.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Id of the change that asked for it.
    #[serde(default)]
    pub change: Option<Uuid>,
    /// The replay of that change that failed last.
    #[serde(default)]
    pub replay: Option<Uuid>,
    /// For a creation that may have been carried out all the same: its first attempt.
    #[serde(default)]
    pub first_attempt: Option<IntentRow>,
    /// Offset of the latest `rematch` at that time: a later one has it tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rematch: Option<u64>,
    /// How many inventories had taken effect by then ([`Meta::runs`]).
    #[serde(default)]
    pub runs: u64,
    /// How often the same one was asked for and failed.
    #[serde(default)]
    pub times: u32,
}

/// The most runs that pass until what failed is asked for again.
const RUNS_AT_MOST: u64 = 24;

impl FailedAction {
    /// After how many runs it is asked for again: a link or a creation that failed is decided again in the next run as in
    /// the first (P5), and then ever more seldom, so that what AMFJ never takes is one request a day. A creation that may
    /// have been carried out is never repeated (P2), and an update waits until its values differ (P15).
    #[must_use]
    pub fn asked_again_after(&self) -> Option<u64> {
        let again = self.action.makes_a_link() && self.first_attempt.is_none();
        let runs = 1u64.checked_shl(self.times.saturating_sub(1)).unwrap_or(RUNS_AT_MOST).min(RUNS_AT_MOST);
        again.then_some(runs)
    }

    /// Whether the same action is still not to be asked for: no `rematch` has come since (P15), and not as many runs as
    /// it waits for.
    #[must_use]
    pub fn stands(&self, meta: &Meta) -> bool {
        let is_due = self.asked_again_after().is_some_and(|runs| meta.runs >= self.runs.saturating_add(runs));
        self.rematch == meta.rematch && !is_due
    }

    /// Whether this is the failure of that change, and this replay has not been tried.
    #[must_use]
    pub fn may_be_retried(&self, change: Uuid, replay: Uuid) -> bool {
        self.change == Some(change) && self.replay != Some(replay)
    }
}

/// The primary user that the last successful assignment settled (P21).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledRow {
    /// The record; none for *no user*.
    pub primary: Option<RecordId>,
    /// Offset of the outcome that settled it.
    pub offset: u64,
}

/// What outcomes taught about one key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Values that AMFJ refused, by field.
    pub refused: BTreeMap<String, Refusal>,
    /// Values that AMFJ stores in another form, by field.
    pub stored: BTreeMap<String, Stored>,
    /// Actions that failed for good, by `Action::kind`.
    pub failed: BTreeMap<String, FailedAction>,
    /// The primary user that is settled.
    pub settled: Option<SettledRow>,
    /// Whether it had a link that broke (P8, P11).
    pub lost_link: bool,
    /// Whether the first sync lasts for a device that left Kandji before what it decided was carried out (P5); while the
    /// device is listed, its decision says so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_sync: bool,
    /// Whether the default location, which only a link sets, is still to be set (P4, P13).
    #[serde(default)]
    pub location_due: bool,
    /// The asset or user record that an interrupted creation may have made: nothing is created beside it.
    #[serde(default)]
    pub doubt: Option<String>,
    /// The change that AMFJ refused and that went back to the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed_back: Option<HandedBack>,
}

/// A change that was refused, and not given up, by a worker that handed it back in good order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandedBack {
    /// Id of the change.
    pub change: Uuid,
    /// Offset at which the first such attempt was announced.
    pub announced: u64,
}

impl Memory {
    /// The failure of the same action, since the same `rematch`, before the one that this is the end of.
    #[must_use]
    pub fn failure_before(&self, outcome: &Outcome, rematch: Option<u64>) -> Option<&FailedAction> {
        let failed = self.failed.get(&outcome.kind)?;
        let is_same = Some(&failed.action) == outcome.action.as_ref() && failed.rematch == rematch;
        is_same.then_some(failed)
    }

    /// That failure, where its dead letter stands for this one too: unless a replay has one of its own, or this time it
    /// may have been carried out.
    #[must_use]
    pub fn failure_repeated_by(&self, outcome: &Outcome, rematch: Option<u64>) -> Option<&FailedAction> {
        let failed = self.failure_before(outcome, rematch)?;
        let has_its_own =
            outcome.replay.is_some() || outcome.uncertain || failed.change == Some(outcome.change);
        (!has_its_own).then_some(failed)
    }
}

/// How far the changes of a key have been answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// The latest sequence with an outcome.
    pub sequence: Sequence,
    /// Ids of the changes answered at that sequence.
    pub changes: Vec<Uuid>,
    /// When.
    pub at: Option<Timestamp>,
}

impl Answered {
    /// Whether the change of this sequence and id needs no answer any more.
    #[must_use]
    pub fn covers(&self, sequence: Sequence, change: Uuid) -> bool {
        sequence < self.sequence || (sequence == self.sequence && self.changes.contains(&change))
    }
}

/// A claim that has not been answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IntentRow {
    /// The claim.
    pub intent: Intent,
    /// Its place in the stream.
    pub offset: u64,
}

/// The last decision of a person about a device or Kandji user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonRow {
    /// What was decided.
    pub decision: OperatorDecision,
    /// When.
    pub at: Timestamp,
}

impl PersonRow {
    /// Whether it stands against every rule that would make a link.
    #[must_use]
    pub fn forbids(&self) -> bool {
        matches!(self.decision.order, OperatorOrder::Unlink { .. } | OperatorOrder::UnlinkUser { .. })
    }
}

/// A run, as far as the stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRow {
    /// As announced.
    pub started: RunStarted,
    /// Offset of the announcement.
    pub offset: u64,
    /// How many of what, once the inventory took effect.
    pub counts: Option<InventoryCounts>,
    /// When the inventory took effect: its snapshots went into the queues after that.
    #[serde(default)]
    pub inventory_at: Option<Timestamp>,
    /// Milliseconds until everything was published.
    pub published_ms: Option<u64>,
    /// Partition to whether it decided everything.
    pub decided: BTreeMap<u16, bool>,
    /// Partition to changes staged there that count towards `change_limit` (P23).
    #[serde(default)]
    pub staged: BTreeMap<u16, u32>,
    /// Partition to what else its staged changes amount to (P23).
    #[serde(default)]
    pub amounts: BTreeMap<u16, MassCounts>,
    /// Whether staged changes may be published: within the limit, or released by a person (P23).
    #[serde(default)]
    pub allowed: bool,
    /// Why it failed.
    pub failed: Option<String>,
    /// Whether the configuration was at fault.
    pub configuration: bool,
    /// Why it is held.
    pub held: Option<String>,
}

impl Meta {
    /// The pause that holds at this moment (P33).
    #[must_use]
    pub fn paused(&self, now: Timestamp) -> Option<&Pause> {
        self.pause.as_ref().filter(|pause| pause.holds(now))
    }
}

impl RunRow {
    /// The id of the run in messages and commands: the same for everybody who knows its number.
    #[must_use]
    pub fn run_id(&self, integration: &IntegrationId) -> RunId {
        RunId::of(integration, self.started.number)
    }
}

/// A person's order that nothing is read, decided or written for the integration (P33).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who gave it.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself; never, where none is said.
    #[serde(default)]
    pub until: Option<Timestamp>,
}

impl Pause {
    /// Whether it still holds.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// What is known of the integration as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    /// Identity of the stream.
    pub stream: Option<Uuid>,
    /// When it was opened; unknown to a view of an earlier release.
    #[serde(default)]
    pub opened: Option<Timestamp>,
    /// Partitions of its queues.
    pub partitions: u16,
    /// The AMFJ field that the serial index was made for.
    pub serial_field: Option<String>,
    /// The edition of the comparison of names and serials that the indexes were made with.
    #[serde(default)]
    pub comparison: u32,
    /// Whether rows are not indexed by what matching looks for ([`Indexes::Links`](super::Indexes)).
    #[serde(default)]
    pub links_only: bool,
    /// Whether the indexes are being made: who finds it so, after a crash, makes them anew.
    #[serde(default)]
    pub indexing: bool,
    /// Everything up to and including this offset is in the view.
    pub offset: Option<u64>,
    /// Id of the fact at that offset.
    pub last_fact: Option<Uuid>,
    /// The newest run that was announced.
    pub latest: Option<RunRow>,
    /// The run whose inventory is in force.
    pub in_force: Option<RunRow>,
    /// How many inventories have taken effect. The numbers of runs only grow: they are moments, and count nothing.
    #[serde(default)]
    pub runs: u64,
    /// Whether a complete run in apply mode has been decided for every device (P5).
    pub first_sync_over: bool,
    /// Settled users older than this offset are forgotten: auto-checkout was off (P20).
    pub forgotten_until: u64,
    /// Offset of the latest `rematch`: what was refused or failed before is tried again (P15).
    #[serde(default)]
    pub rematch: Option<u64>,
    /// Offset of the newest request for a run.
    pub requested: Option<u64>,
    /// Offset of a person's release of a run that was held before anything of it was published: the
    /// next run passes (P23).
    #[serde(default)]
    pub released: Option<u64>,
    /// The pause that a person ordered last, unless they ended it; one whose end has come is over ([`Pause::holds`]).
    #[serde(default)]
    pub pause: Option<Pause>,
    /// Where in the stream AMFJ was said last to have carried out a request of each kind, whichever worker sent it
    /// ([`Outcome::accepted`]).
    #[serde(default)]
    pub accepted: BTreeMap<String, u64>,
    /// What filled each field of assets when a run was applied last, as a short hash (P23); none of an earlier release.
    #[serde(default)]
    pub applied_mapping: Option<BTreeMap<String, String>>,
    /// When the last run that was published completely was started.
    pub last_success: Option<Timestamp>,
    /// The last complete checkpoint: when it was begun, and its offset.
    pub last_checkpoint: Option<(Timestamp, u64)>,
    /// The import that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub importing: Option<Importing>,
    /// Devices by what was found out about them last (P24).
    #[serde(default)]
    pub devices: BTreeMap<DeviceStatus, u32>,
}

/// How far an import has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Importing {
    /// Which one.
    pub import: Uuid,
    /// The parts that were read, from the first.
    pub parts: u32,
    /// Whether it is taking effect: after a crash in between, what is left of it does so.
    pub ending: bool,
}

/// What a decision may be looked at again for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// It waits for a user record.
    Awaiting,
    /// It asks for changes.
    WithChanges,
    /// Changes of it wait until all partitions have spoken (P23).
    Staged,
}

impl Open {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Awaiting => "awaiting",
            Self::WithChanges => "changes",
            Self::Staged => "staged",
        }
    }
}

impl Meta {
    /// A device is in the state of its latest decision and in no other.
    pub(super) fn count_decision(&mut self, old: Option<&Decision>, new: Option<&Decision>) {
        let of_device = |decision: &&Decision| matches!(decision.key, Key::Device(_));
        if let Some(old) = old.filter(of_device)
            && let Some(count) = self.devices.get_mut(&old.state)
        {
            *count = count.saturating_sub(1);
            self.devices.retain(|_, count| *count > 0);
        }
        if let Some(new) = new.filter(of_device) {
            *self.devices.entry(new.state).or_default() += 1;
        }
    }

    /// Whether rows are indexed by this.
    pub(super) fn has_index(&self, index: &str) -> bool {
        !self.links_only || !index::FOR_MATCHING.contains(&index)
    }

    /// The same, with the indexes of another view.
    pub(super) fn indexed_as(self, other: &Self) -> Self {
        Self {
            serial_field: other.serial_field.clone(),
            comparison: other.comparison,
            links_only: other.links_only,
            ..self
        }
    }

    /// The number of the run whose inventory is in force.
    #[must_use]
    pub fn number_in_force(&self) -> Option<u64> {
        self.in_force.as_ref().map(|run| run.started.number)
    }
}

/// Whose link was asked for by a person and cannot be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The device that has the asset.
    pub device: DeviceId,
}
