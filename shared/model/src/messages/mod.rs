//! The messages of amfj-sync: CloudEvents in JSON.
//!
//! Three families share the envelope: **snapshots** (how things are in Kandji), **changes** (what
//! AMFJ shall hold) and **facts** (what the workers have learnt, on the state stream). The Rust types
//! are the source of the JSON Schemas in `shared/model/schemas`.

mod asset_event;
mod catalogue;
mod change;
mod decision;
mod event;
mod event_batch;
mod fact;
mod import;
mod reading;
mod schemas;
mod sequence;
mod snapshot;

use serde::ser::{Serialize, SerializeMap as _, Serializer};

pub use asset_event::{AssetEvent, AssetEventKind};
pub use catalogue::Catalogue;
pub use change::{
    Action, AssetWrite, Change, Edit, Ending, Intent, LinkOutcome, Outcome, Past, Refusal, Restored, Rule,
    Settled, UserLinkOutcome, UserWrite,
};
pub use decision::{
    Candidate, Decision, DeviceStatus, OperatorDecision, OperatorOrder, PlannedChange, author,
};
pub use event::{DecodeError, Event, EventHeader, Origin};
pub use event_batch::{EventBatch, unpack};
pub use fact::{Absence, Fact, InventoryCounts, MassCounts, RunStarted};
pub use import::Standing;
pub use reading::{ReadingReport, Unusable, Unusables, short};
pub use schemas::schemas;
pub use sequence::Sequence;
pub use snapshot::{Details, DeviceEntry, DeviceSnapshot, EndOfRun, PrimaryUser, UserEntry, UserSnapshot};

/// Format of facts and rows: raised when an old reader would misunderstand a new writer. A reader of 1 does
/// not know that a message may carry several facts.
pub const FORMAT: u32 = 2;

/// The data of an event; the variant is its CloudEvents type.
#[derive(Debug, Clone, PartialEq)]
pub enum Payload {
    /// `dev.amfj-sync.device-snapshot.v1`
    DeviceSnapshot(DeviceSnapshot),
    /// `dev.amfj-sync.user-snapshot.v1`
    UserSnapshot(UserSnapshot),
    /// `dev.amfj-sync.end-of-run.v1`
    EndOfRun(EndOfRun),
    /// `dev.amfj-sync.change.v1`
    Change(Change),
    /// `dev.amfj-sync.fact.v1`
    Fact(Fact),
    /// `dev.amfj-sync.run-request.v1`
    RunRequest,
    /// `dev.amfj-sync.asset-event.v1`
    AssetEvent(AssetEvent),
}

/// The data alone; the type stands in the envelope.
impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::DeviceSnapshot(data) => data.serialize(serializer),
            Self::UserSnapshot(data) => data.serialize(serializer),
            Self::EndOfRun(data) => data.serialize(serializer),
            Self::Change(data) => data.serialize(serializer),
            Self::Fact(data) => data.serialize(serializer),
            Self::RunRequest => serializer.serialize_map(Some(0))?.end(),
            Self::AssetEvent(data) => data.serialize(serializer),
        }
    }
}

impl Payload {
    /// The type of a message that carries a fact.
    const FACT: &'static str = "dev.amfj-sync.fact.v1";

    /// The CloudEvents type, which carries the version.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::DeviceSnapshot(_) => "dev.amfj-sync.device-snapshot.v1",
            Self::UserSnapshot(_) => "dev.amfj-sync.user-snapshot.v1",
            Self::EndOfRun(_) => "dev.amfj-sync.end-of-run.v1",
            Self::Change(_) => "dev.amfj-sync.change.v1",
            Self::Fact(_) => Self::FACT,
            Self::RunRequest => "dev.amfj-sync.run-request.v1",
            Self::AssetEvent(_) => "dev.amfj-sync.asset-event.v1",
        }
    }

    fn decode(kind: &str, data: &str) -> Result<Self, DecodeError> {
        let read = match kind {
            "dev.amfj-sync.device-snapshot.v1" => serde_json::from_str(data).map(Self::DeviceSnapshot),
            "dev.amfj-sync.user-snapshot.v1" => serde_json::from_str(data).map(Self::UserSnapshot),
            "dev.amfj-sync.end-of-run.v1" => serde_json::from_str(data).map(Self::EndOfRun),
            "dev.amfj-sync.change.v1" => serde_json::from_str(data).map(Self::Change),
            Self::FACT => serde_json::from_str(data).map(Self::Fact),
            "dev.amfj-sync.run-request.v1" => Ok(Self::RunRequest),
            "dev.amfj-sync.asset-event.v1" => serde_json::from_str(data).map(Self::AssetEvent),
            other => return Err(DecodeError::UnknownType(other.to_owned())),
        };
        read.map_err(|error| DecodeError::Data { kind: kind.to_owned(), error })
    }
}

#[cfg(test)]
mod tests;
