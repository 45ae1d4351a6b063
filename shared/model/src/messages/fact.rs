//! Facts: what the workers of an integration tell each other through its state stream.
//!
//! The order of facts in the stream decides whatever two workers could disagree about.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Catalogue, Decision, Details, DeviceEntry, Intent, OperatorDecision, Outcome, ReadingReport, Standing,
    UserEntry,
};
use crate::amfj::{Asset, UserRecord};
use crate::ids::{AssetId, DeviceId, Key, RecordId, UserKey};

/// What a run is, as its leader announces it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "each says something that the others do not")]
pub struct RunStarted {
    /// The run's number: larger than any before, and at least the milliseconds since 1970.
    pub number: u64,
    /// The fetcher that leads it.
    pub leader: String,
    /// When it started.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whether names are matched and assets created as in a first sync (P5, P7).
    pub first_sync: bool,
    /// Whether the mode is `apply`; with `apply_only`, whether it applies to every device.
    pub applies_to_all: bool,
    /// Whether auto-checkout is on; while it is off, settled users are forgotten (P20).
    pub auto_checkout: bool,
    /// How late a write may show in a list of AMFJ, in milliseconds.
    pub list_delay_ms: u64,
    /// Whether a first sync is judged before anything of it is written: it may take assets from people (P23).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub judged: bool,
    /// What fills each field of assets, as a short hash: what a changed mapping overwrites is counted (P23).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<String, String>,
}

/// What the staged changes of one partition amount to, beside those that take something from somebody (P23).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MassCounts {
    /// Assets that lose a value which is not blank, to a mapping that was added or changed.
    #[serde(default)]
    pub overwritten: u32,
    /// People who get a new user record.
    #[serde(default)]
    pub recorded: u32,
    /// Devices that are linked with an asset that exists.
    #[serde(default)]
    pub linked: u32,
}

impl MassCounts {
    /// Whether there is nothing to judge.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// What became of a linked device that a complete run did not list (P9, P22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// Its details answered 404.
    NotFound,
    /// Its details were answered: it is there after all.
    Found,
    /// Its details could not be had: 401, 403, no budget, or the device is linked to nothing.
    Unknown,
}

/// How many there were of what in a complete inventory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InventoryCounts {
    /// Devices in Kandji.
    pub devices: u64,
    /// Of these, in scope.
    pub in_scope: u64,
    /// People.
    pub users: u64,
    /// Assets in AMFJ.
    pub assets: u64,
    /// User records in AMFJ.
    pub records: u64,
}

/// A fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// The first record of every stream: which one this is.
    StreamOpened {
        /// Random.
        stream: Uuid,
        /// Format of the facts.
        format: u32,
        /// Partitions of the integration's queues; never changes.
        partitions: u16,
    },
    /// Says nothing; whoever wrote it has read to the end when reading it back.
    ReadMarker {
        /// Random.
        token: Uuid,
    },
    /// Somebody asked for a run now.
    RunRequested {
        /// Random.
        token: Uuid,
    },
    /// A leader starts a run. The first such fact of a number wins.
    RunStarted(RunStarted),
    /// The run failed; nothing of it was decided (P2).
    RunFailed {
        /// The run.
        number: u64,
        /// One sentence with the cure.
        reason: String,
        /// Whether the configuration is at fault (P18).
        configuration: bool,
    },
    /// Staged: the catalogue, when it changed.
    CatalogueListed {
        /// The run.
        number: u64,
        /// What there is.
        catalogue: Catalogue,
    },
    /// Staged: an asset as listed, when it differs from what was known.
    AssetListed {
        /// The run.
        number: u64,
        /// The asset.
        asset: Asset,
    },
    /// Staged: an asset missing from the complete list and answered with 404 by id (P8).
    AssetAbsent {
        /// The run.
        number: u64,
        /// The asset.
        asset: AssetId,
    },
    /// Staged: a user record as listed, when it differs from what was known.
    RecordListed {
        /// The run.
        number: u64,
        /// The record.
        record: UserRecord,
    },
    /// Staged: a user record missing from a complete list; the second time it is deleted (P11).
    RecordAbsent {
        /// The run.
        number: u64,
        /// The record.
        record: RecordId,
    },
    /// Staged: a device as listed, when it differs from what was known.
    DeviceListed {
        /// The run.
        number: u64,
        /// How it is.
        device: DeviceEntry,
    },
    /// Staged: a known device that the complete walk did not show.
    DeviceMissing {
        /// The run.
        number: u64,
        /// The device.
        device: DeviceId,
        /// What its details said.
        absence: Absence,
    },
    /// Staged: a person as the devices name them, when that differs from what was known.
    UserListed {
        /// The run.
        number: u64,
        /// How they are.
        user: UserEntry,
    },
    /// Staged: a known person whom no device names any more.
    UserMissing {
        /// The run.
        number: u64,
        /// The person.
        user: UserKey,
    },
    /// The staged facts of this run take effect, all at once.
    InventoryComplete {
        /// The run.
        number: u64,
        /// How many of what.
        counts: InventoryCounts,
        /// What the run went on without, and what its settings named (P18, P30).
        #[serde(default, skip_serializing_if = "ReadingReport::is_empty")]
        report: Box<ReadingReport>,
    },
    /// All snapshots of the run and its end markers are in the queues.
    RunPublished {
        /// The run.
        number: u64,
        /// Milliseconds since it started.
        took_ms: u64,
    },
    /// Details of a device, read after the inventory took effect.
    DetailsRead {
        /// The device.
        device: DeviceId,
        /// Mapped values.
        details: Details,
    },
    /// An asset as AMFJ showed it between two runs, because an event said that something had happened to it (P34). Takes
    /// effect at once, unless something later is known of the asset. A release that does not know this fact passes over it
    /// and has the asset from the next run.
    AssetRead {
        /// The asset.
        asset: Asset,
        /// The look-up began when everything up to this offset was known: what it shows is no older.
        as_of: u64,
        /// What it was known to be called before, where that is something else.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renamed_from: Option<String>,
    },
    /// AMFJ said between two runs that there is no asset of this id. That alone proves nothing: it is doubtful until a run
    /// has looked (P8, P34).
    AssetNotFound {
        /// The asset.
        asset: AssetId,
        /// The look-up began when everything up to this offset was known.
        as_of: u64,
    },
    /// Requests to Kandji in one minute since 1970, by one fetcher, added to what was counted before.
    KandjiRequests {
        /// Minutes since 1970.
        minute: u64,
        /// How many more.
        count: u32,
        /// Makes two equal counts two facts.
        token: Uuid,
    },
    /// A partition has decided everything of a run.
    PartitionDecided {
        /// The run.
        number: u64,
        /// The partition.
        partition: u16,
        /// Whether every snapshot was decided, and not overtaken by a newer run.
        complete: bool,
        /// Staged changes that count towards `change_limit` (P23); all others of the run are staged beside them.
        staged: u32,
        /// What else is counted.
        #[serde(default, skip_serializing_if = "MassCounts::is_none")]
        counts: MassCounts,
    },
    /// The check-ins, hand-overs and broken links of the run are within the limit; they may be
    /// published (P23).
    MassChangesAllowed {
        /// The run.
        number: u64,
    },
    /// The run is held until a person releases it (P23).
    RunHeld {
        /// The run.
        number: u64,
        /// One sentence.
        reason: String,
    },
    /// Which linked devices the run does not see, so that it is held before anything of it takes effect (P23): what differs
    /// from what held runs said before it. An inventory that takes effect ends it. A release that does not know this fact
    /// passes over it, and shows nothing but the reason.
    DevicesVanished {
        /// The run.
        number: u64,
        /// Not there any more, or listed as removed.
        vanished: BTreeSet<DeviceId>,
        /// There again.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        back: BTreeSet<DeviceId>,
    },
    /// What was found out about a key.
    #[serde(rename = "decided")]
    DecisionMade(Box<Decision>),
    /// A writer is about to send a request.
    #[serde(rename = "intended")]
    ChangeIntended(Intent),
    /// A writer takes its intent back: it sent nothing for it, or only what AMFJ refused for certain, and sends nothing
    /// more. A release that does not know this fact passes over it and waits the intent out.
    IntentWithdrawn {
        /// The change.
        change: Uuid,
        /// The device or person.
        key: Key,
        /// The writer whose intent it was.
        worker: String,
        /// Whether AMFJ refused what was sent for it: whoever takes the change up next knows that it was refused before
        /// others were accepted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        refused: bool,
        /// When, by that writer's clock: the same intent can be published and withdrawn again.
        #[schemars(with = "String")]
        at: Timestamp,
    },
    /// A change ended.
    #[serde(rename = "ended")]
    ChangeEnded(Box<Outcome>),
    /// A person decided.
    #[serde(rename = "person_decided")]
    OperatorDecided {
        /// Random: the same decision twice is two facts.
        token: Uuid,
        /// What.
        decision: OperatorDecision,
    },
    /// A copy of the view as of an offset follows.
    CheckpointBegun {
        /// Random.
        checkpoint: Uuid,
        /// The view holds everything up to and including this offset.
        as_of: u64,
        /// Format of the rows.
        format: u32,
    },
    /// Rows of the copy.
    CheckpointRows {
        /// Which checkpoint.
        checkpoint: Uuid,
        /// Place of these rows.
        part: u32,
        /// Key to value.
        rows: BTreeMap<String, Value>,
    },
    /// The copy is complete.
    CheckpointEnded {
        /// Which checkpoint.
        checkpoint: Uuid,
        /// How many parts it has.
        parts: u32,
    },
    /// What was known of the integration in another stream follows, as rows (`amfj-sync import`). None of it takes effect
    /// before its end. A release that does not know these facts passes over them.
    ImportBegun {
        /// The same for the same file and integration.
        import: Uuid,
        /// Format of the rows.
        format: u32,
    },
    /// Rows of the import.
    ImportRows {
        /// Which import.
        import: Uuid,
        /// Place of these rows: each comes once, in order.
        part: u32,
        /// Key to value. Where a value tells a place in a stream, it is 0.
        rows: BTreeMap<String, Value>,
    },
    /// All rows of the import take effect at once, unless the integration has links of its own.
    ImportEnded {
        /// Which import.
        import: Uuid,
        /// How many parts it has.
        parts: u32,
        /// How far the integration was.
        standing: Standing,
    },
}

impl Fact {
    /// The subject of the facts that make up checkpoints.
    pub const CHECKPOINT: &'static str = "checkpoint";
    /// The subject of the facts that make up imports.
    const IMPORT: &'static str = "import";

    /// What the fact is about, as the subject of its event.
    #[must_use]
    pub fn subject(&self) -> String {
        match self {
            Self::StreamOpened { .. } | Self::ReadMarker { .. } => "stream".into(),
            Self::RunRequested { .. } => "run".into(),
            Self::RunStarted(run) => format!("run/{}", run.number),
            Self::RunFailed { number, .. }
            | Self::InventoryComplete { number, .. }
            | Self::RunPublished { number, .. }
            | Self::PartitionDecided { number, .. }
            | Self::MassChangesAllowed { number }
            | Self::DevicesVanished { number, .. }
            | Self::RunHeld { number, .. } => format!("run/{number}"),
            Self::CatalogueListed { .. } => "catalogue".into(),
            Self::AssetListed { asset, .. } | Self::AssetRead { asset, .. } => format!("asset/{}", asset.id),
            Self::AssetAbsent { asset, .. } | Self::AssetNotFound { asset, .. } => format!("asset/{asset}"),
            Self::RecordListed { record, .. } => format!("record/{}", record.id),
            Self::RecordAbsent { record, .. } => format!("record/{record}"),
            Self::DeviceListed { device, .. } => format!("device/{}", device.device_id),
            Self::DeviceMissing { device, .. } | Self::DetailsRead { device, .. } => {
                format!("device/{device}")
            }
            Self::UserListed { user, .. } => format!("user/{}", user.key),
            Self::UserMissing { user, .. } => format!("user/{user}"),
            Self::KandjiRequests { .. } => "kandji".into(),
            Self::DecisionMade(decision) => decision.key.to_string(),
            Self::ChangeIntended(intent) => intent.key.to_string(),
            Self::IntentWithdrawn { key, .. } => key.to_string(),
            Self::ChangeEnded(outcome) => outcome.key.to_string(),
            Self::OperatorDecided { .. } => "person".into(),
            Self::CheckpointBegun { .. } | Self::CheckpointRows { .. } | Self::CheckpointEnded { .. } => {
                Self::CHECKPOINT.into()
            }
            Self::ImportBegun { .. } | Self::ImportRows { .. } | Self::ImportEnded { .. } => {
                Self::IMPORT.into()
            }
        }
    }

    /// Whether it may share a message, and with it its offset, with others: facts about one thing, which
    /// take effect in one step, and whose place in the stream is compared with that of no other fact of the
    /// same worker. A withdrawn intent stands alone, for a message is known by the last of its facts, and an earlier
    /// release cannot read this one.
    #[must_use]
    pub fn batchable(&self) -> bool {
        matches!(
            self,
            Self::AssetListed { .. }
                | Self::AssetAbsent { .. }
                | Self::RecordListed { .. }
                | Self::RecordAbsent { .. }
                | Self::DeviceListed { .. }
                | Self::DeviceMissing { .. }
                | Self::UserListed { .. }
                | Self::UserMissing { .. }
                | Self::DetailsRead { .. }
                | Self::DecisionMade(_)
                | Self::ChangeIntended(_)
                | Self::ChangeEnded(_)
        )
    }

    /// The run whose inventory a staged fact belongs to; none for facts that take effect at once.
    #[must_use]
    pub fn staged_for(&self) -> Option<u64> {
        match self {
            Self::CatalogueListed { number, .. }
            | Self::AssetListed { number, .. }
            | Self::AssetAbsent { number, .. }
            | Self::RecordListed { number, .. }
            | Self::RecordAbsent { number, .. }
            | Self::DeviceListed { number, .. }
            | Self::DeviceMissing { number, .. }
            | Self::UserListed { number, .. }
            | Self::UserMissing { number, .. } => Some(*number),
            _ => None,
        }
    }
}
