//! What the reconciler found out about a device or person: the state an operator sees (P24).

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Change, Rule, Sequence};
use crate::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId, UserKey};

/// The state of a device; exactly one at any time (P24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeviceStatus {
    /// AMFJ is as it should be.
    InSync,
    /// A change is on its way, or waits for another.
    Pending,
    /// A change is known, but the mode or `apply_only` keeps it from being made (P25).
    PlanOnly,
    /// No asset, and none may be created (P7).
    Unmatched,
    /// More than one possibility (P6).
    Ambiguous,
    /// A value could not be written (P15).
    FieldProblem,
    /// The user is missing, ambiguous, or may not be checked out to.
    UserProblem,
    /// A change failed for good.
    Failed,
    /// No longer in Kandji (P22).
    Gone,
    /// Its run is held (P23).
    Held,
    /// Not in the integration's scope (P19).
    OutOfScope,
}

impl DeviceStatus {
    /// All states, in the order in which reports list them.
    pub const ALL: [Self; 11] = [
        Self::InSync,
        Self::Pending,
        Self::PlanOnly,
        Self::Unmatched,
        Self::Ambiguous,
        Self::FieldProblem,
        Self::UserProblem,
        Self::Failed,
        Self::Gone,
        Self::Held,
        Self::OutOfScope,
    ];

    /// The word for people and for metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Pending => "pending",
            Self::PlanOnly => "plan only",
            Self::Unmatched => "unmatched",
            Self::Ambiguous => "ambiguous",
            Self::FieldProblem => "field problem",
            Self::UserProblem => "user problem",
            Self::Failed => "failed",
            Self::Gone => "gone",
            Self::Held => "held",
            Self::OutOfScope => "out of scope",
        }
    }
}

/// An asset, record or device that was considered and not chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What speaks for or against it.
    pub note: String,
}

/// A change as it was decided, whether or not it was published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedChange {
    /// Id of the change's event.
    pub id: Uuid,
    /// Its place in the key's order.
    pub sequence: Sequence,
    /// When it was published; none in plan mode.
    #[schemars(with = "Option<String>")]
    pub published: Option<Timestamp>,
    /// Whether it is kept until all partitions of the run have spoken, and the run is not held (P23).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub staged: bool,
    /// What is to be done.
    pub change: Change,
}

/// Everything that was found out about one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    /// The device or person.
    pub key: Key,
    /// Sequence of the snapshot that it answers.
    pub snapshot: Sequence,
    /// Up to this place in the key's order it says what is wanted: its own changes, and nothing else.
    #[serde(default)]
    pub place: Sequence,
    /// The state an operator sees.
    pub state: DeviceStatus,
    /// Why, in one plain sentence that also says what to do.
    pub reason: String,
    /// The asset that the device is or will be linked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetId>,
    /// The record that the person, or the device's user, is or will be linked to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The rule that makes a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// What was considered and refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// Values that are left out, by AMFJ field, and why (P15).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field_problems: BTreeMap<String, String>,
    /// What an operator should know although nothing is wrong (P10: emails that differ).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Kinds of actions that are wanted and not asked for, because the very same one failed for good:
    /// a replay may try them again (P15).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<String>,
    /// The person whose record the device waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<UserKey>,
    /// Whether the first sync lasts for this device: a link or a creation was decided in it, and the device has no link
    /// yet (P5).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub first_sync: bool,
    /// Whether the asset leaves somebody once all that is decided is carried out (P23).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub takes: bool,
    /// Whether something is wanted that is for the next run to decide, for it counts towards that run's limits (P23).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_run: bool,
    /// What is to be done, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PlannedChange>,
}

impl Decision {
    /// Whether it was made after this change, whose place in the key's order is `place`, and does not ask for it any
    /// more. A release that did not say up to which place it decides said at least which snapshot it answers.
    #[must_use]
    pub fn supersedes(&self, change: Uuid, place: Sequence) -> bool {
        let asks = self.changes.iter().any(|decided| decided.id == change);
        !asks && (self.place >= place || self.snapshot > place)
    }

    /// The last place in the key's order that it knows of.
    #[must_use]
    pub fn last_place(&self) -> Sequence {
        let changes = self.changes.iter().map(|decided| decided.sequence);
        changes.fold(self.place, Sequence::max)
    }
}

/// What a person decided, and who typed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperatorDecision {
    /// Login name and host of who typed it.
    pub by: String,
    /// What was decided.
    pub order: OperatorOrder,
}

/// Who typed it: `login@host`, as far as the machine tells.
#[must_use]
pub fn author() -> String {
    let login = ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let known = |text: Option<String>, otherwise: &str| {
        text.map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .unwrap_or(otherwise.to_owned())
    };
    format!("{}@{}", known(login, "unknown"), known(host, "unknown"))
}

/// The decisions a person can make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum OperatorOrder {
    /// This device is this asset.
    Link {
        /// The device.
        device: DeviceId,
        /// The asset.
        asset: AssetId,
    },
    /// This device is no asset; no rule links it again.
    Unlink {
        /// The device.
        device: DeviceId,
    },
    /// These Kandji users are this record.
    LinkUser {
        /// The Kandji users.
        ids: Vec<KandjiUserId>,
        /// The record.
        record: RecordId,
    },
    /// These Kandji users are no record; no rule links them again.
    UnlinkUser {
        /// The Kandji users.
        ids: Vec<KandjiUserId>,
    },
    /// Let the held run go on.
    Release,
    /// The next run is a first sync again (P5).
    Rematch,
    /// Nothing is read, decided or written for the integration until it is resumed (P33).
    Pause {
        /// Why, in the person's words.
        reason: String,
        /// When it ends by itself; never, where none is said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<String>")]
        until: Option<Timestamp>,
    },
    /// The integration goes on (P33).
    Resume,
    /// Try the change now that AMFJ refused and that stepped aside; without a key, all of the integration.
    TryStopped {
        /// The device or person that the change is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
    /// Give up the change that AMFJ refused and that stepped aside: it becomes a dead letter.
    DropStopped {
        /// The device or person that the change is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        key: Option<Key>,
    },
}
