//! The messages of amfj-sync: CloudEvents in JSON.
//!
//! Three families share the envelope: **snapshots** (how things are in Kandji), **changes** (what
//! AMFJ shall hold) and **facts** (what the workers have learnt, on the state stream). The Rust types
//! are the source of the JSON Schemas in `shared/schemas`.

mod change;
mod decision;
mod event;
mod fact;
mod pack;
mod schemas;
mod sequence;
mod snapshot;

pub use change::{
    Action, AssetWrite, Change, Edit, Ending, Intent, LinkOutcome, Outcome, Past, Refusal, Restored, Rule,
    Settled, UserLinkOutcome, UserWrite,
};
pub use decision::{Candidate, Decided, Decision, Order, PersonDecision, State};
pub use event::{DecodeError, Event, Glance, Origin};
pub use fact::{Absence, Catalogue, Fact, InventoryCounts, RunStarted};
pub(crate) use pack::Pack;
pub use pack::unpack;
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
}

impl Payload {
    /// The CloudEvents type, which carries the version.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::DeviceSnapshot(_) => "dev.amfj-sync.device-snapshot.v1",
            Self::UserSnapshot(_) => "dev.amfj-sync.user-snapshot.v1",
            Self::EndOfRun(_) => "dev.amfj-sync.end-of-run.v1",
            Self::Change(_) => "dev.amfj-sync.change.v1",
            Self::Fact(_) => "dev.amfj-sync.fact.v1",
            Self::RunRequest => "dev.amfj-sync.run-request.v1",
        }
    }

    fn data_json(&self) -> String {
        // Our own types: string keys only, no failing Serialize, so this cannot fail.
        match self {
            Self::DeviceSnapshot(data) => serde_json::to_string(data),
            Self::UserSnapshot(data) => serde_json::to_string(data),
            Self::EndOfRun(data) => serde_json::to_string(data),
            Self::Change(data) => serde_json::to_string(data),
            Self::Fact(data) => serde_json::to_string(data),
            Self::RunRequest => Ok("{}".to_owned()),
        }
        .unwrap_or_else(|_| "null".to_owned())
    }

    fn decode(kind: &str, data: &str) -> Result<Self, DecodeError> {
        let read = match kind {
            "dev.amfj-sync.device-snapshot.v1" => serde_json::from_str(data).map(Self::DeviceSnapshot),
            "dev.amfj-sync.user-snapshot.v1" => serde_json::from_str(data).map(Self::UserSnapshot),
            "dev.amfj-sync.end-of-run.v1" => serde_json::from_str(data).map(Self::EndOfRun),
            "dev.amfj-sync.change.v1" => serde_json::from_str(data).map(Self::Change),
            "dev.amfj-sync.fact.v1" => serde_json::from_str(data).map(Self::Fact),
            "dev.amfj-sync.run-request.v1" => Ok(Self::RunRequest),
            other => return Err(DecodeError::UnknownType(other.to_owned())),
        };
        read.map_err(|error| DecodeError::Data { kind: kind.to_owned(), error })
    }
}

#[cfg(test)]
mod tests;
