//! What the reconciler asks the writer to do, and what became of it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::Sequence;
use crate::amfj::{Asset, Holder, Named, UserRecord};
use crate::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId};

/// The rule that made a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// The device name is the asset name (P5).
    Name,
    /// Several of that name, one with the device's serial (P6).
    Serial,
    /// The asset was created for the device (P7); the user record for the person (P11).
    Created,
    /// A re-enrolled device took over the link of its serial (P9).
    Reenrolled,
    /// The person's email (P10).
    Email,
    /// The person's name (P10).
    UserName,
    /// A Kandji user of a person whose other Kandji user is linked already (P10).
    SamePerson,
    /// Somebody typed `amfj-sync link` or `link-user`.
    Person,
}

/// One value that changes: what AMFJ holds now and what it shall hold. `null` is empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Edit {
    /// What AMFJ held when this was decided.
    pub old: Value,
    /// What it shall hold.
    pub new: Value,
}

/// What is written to an asset in one request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AssetWrite {
    /// A new asset name; only if `Name` is mapped (P13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Edit>,
    /// The default location, where the asset has none (P13).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Named>,
    /// Custom fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Edit>,
}

impl AssetWrite {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.location.is_none() && self.fields.is_empty()
    }
}

/// What is written to a user record in one request.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserWrite {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Edit>,
    /// A new email.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<Edit>,
    /// Custom fields.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Edit>,
}

impl UserWrite {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.email.is_none() && self.fields.is_empty()
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Action {
    /// Link the device to an asset that exists, and write what differs.
    LinkAsset {
        /// The asset.
        asset: AssetId,
        /// Why this one.
        rule: Rule,
        /// The gone device whose link is taken over (P9).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        takes_over: Option<DeviceId>,
        /// What differs.
        write: AssetWrite,
    },
    /// Create an asset and link the device to it (P12).
    CreateAsset {
        /// Asset name.
        name: String,
        /// Its type.
        asset_type: Named,
        /// The default location, if set.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<Named>,
        /// Mapped fields with a value.
        fields: BTreeMap<String, Value>,
    },
    /// Write what differs to the linked asset (P13).
    UpdateAsset {
        /// The asset.
        asset: AssetId,
        /// What differs; never empty.
        write: AssetWrite,
    },
    /// Give up the link to an asset that was deleted (P8).
    BreakLink {
        /// The asset that was deleted.
        asset: AssetId,
    },
    /// Make the asset's holder what it should be (P20, P21).
    Assign {
        /// The asset.
        asset: AssetId,
        /// Who has it, as far as was known; anybody else found there makes this stale.
        expected: Option<Holder>,
        /// Who shall have it; `expected` again where nothing is to be written.
        to: Option<Holder>,
        /// The record of Kandji's primary user that this settles; none for *no user*.
        primary: Option<RecordId>,
    },
    /// Link Kandji users to a record that exists (P10). Writes nothing to AMFJ.
    LinkUser {
        /// The record.
        record: RecordId,
        /// Why this one.
        rule: Rule,
        /// The Kandji users to link.
        ids: Vec<KandjiUserId>,
    },
    /// Create a local user record and link the person to it (P11).
    CreateUser {
        /// Its name.
        name: String,
        /// Its email.
        email: Option<String>,
        /// Mapped user fields with a value.
        fields: BTreeMap<String, Value>,
        /// The Kandji users to link.
        ids: Vec<KandjiUserId>,
    },
    /// Keep a record that this product created in step (P11).
    UpdateUser {
        /// The record.
        record: RecordId,
        /// What differs; never empty.
        write: UserWrite,
    },
    /// Make a past change again, where AMFJ still holds what that one found or wrote (P29).
    Restore {
        /// What.
        again: Restored,
    },
}

/// One value of the past.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Past {
    /// What AMFJ held before the change.
    pub found: Value,
    /// What the change wrote.
    pub written: Value,
    /// What AMFJ made of that, where it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored: Option<Value>,
}

/// A part of the past that is to be made again (P29).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Restored {
    /// Values of an asset, its name and location among them.
    Asset {
        /// The asset.
        asset: AssetId,
        /// By field name.
        fields: BTreeMap<String, Past>,
    },
    /// The holder of an asset.
    Holder {
        /// The asset.
        asset: AssetId,
        /// Who had it before the change.
        found: Option<Holder>,
        /// Who had it afterwards.
        holder: Option<Holder>,
        /// The record of Kandji's primary user that this settled; none for *no user*.
        primary: Option<RecordId>,
    },
    /// Values of a user record that this product created, its name and email among them.
    Record {
        /// The record.
        record: RecordId,
        /// By field name.
        fields: BTreeMap<String, Past>,
    },
}

impl Action {
    /// Every name that [`Action::kind`] gives.
    pub const KINDS: [&'static str; 11] = [
        "link-asset",
        "create-asset",
        "update-asset",
        "break-link",
        "assign",
        "link-user",
        "create-user",
        "update-user",
        "restore-asset",
        "restore-holder",
        "restore-user",
    ];

    /// The name of the action in metrics, logs and commands.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::LinkAsset { .. } => "link-asset",
            Self::CreateAsset { .. } => "create-asset",
            Self::UpdateAsset { .. } => "update-asset",
            Self::BreakLink { .. } => "break-link",
            Self::Assign { .. } => "assign",
            Self::LinkUser { .. } => "link-user",
            Self::CreateUser { .. } => "create-user",
            Self::UpdateUser { .. } => "update-user",
            Self::Restore { again: Restored::Asset { .. } } => "restore-asset",
            Self::Restore { again: Restored::Holder { .. } } => "restore-holder",
            Self::Restore { again: Restored::Record { .. } } => "restore-user",
        }
    }

    /// Whether it gives the device or person a link that they do not have.
    #[must_use]
    pub fn makes_a_link(&self) -> bool {
        matches!(
            self,
            Self::LinkAsset { .. }
                | Self::CreateAsset { .. }
                | Self::LinkUser { .. }
                | Self::CreateUser { .. }
        )
    }

    /// The asset that it touches, if that exists already.
    #[must_use]
    pub fn asset(&self) -> Option<&AssetId> {
        match self {
            Self::LinkAsset { asset, .. }
            | Self::UpdateAsset { asset, .. }
            | Self::BreakLink { asset }
            | Self::Assign { asset, .. }
            | Self::Restore { again: Restored::Asset { asset, .. } | Restored::Holder { asset, .. } } => {
                Some(asset)
            }
            _ => None,
        }
    }

    /// The Kandji users that get a record by it.
    #[must_use]
    pub fn users(&self) -> &[KandjiUserId] {
        match self {
            Self::LinkUser { ids, .. } | Self::CreateUser { ids, .. } => ids,
            _ => &[],
        }
    }

    /// The user record that it changes or links, if that exists already.
    #[must_use]
    pub fn record(&self) -> Option<&RecordId> {
        match self {
            Self::LinkUser { record, .. }
            | Self::UpdateUser { record, .. }
            | Self::Restore { again: Restored::Record { record, .. } } => Some(record),
            _ => None,
        }
    }
}

/// One change of one key. Its place in the key's order is the event's sequence, its identity the
/// event's id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// The device or person.
    pub key: Key,
    /// The device's name or the person's, for people who read reports.
    pub label: String,
    /// The device's serial, which `apply_only` names (P25); blank for a person.
    #[serde(default)]
    pub serial: String,
    /// For a person: the serials of their devices in scope, since `apply_only` names devices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub serials: Vec<String>,
    /// What is to be done.
    pub action: Action,
}

/// How a change ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Ending {
    /// Written to AMFJ, or only to the links.
    Applied,
    /// AMFJ was as wanted already.
    Unneeded,
    /// Found out of date before anything was written; the next run decides again.
    Stale {
        /// One sentence.
        reason: String,
    },
    /// Refused for good, or given up.
    Failed {
        /// One sentence.
        reason: String,
    },
}

/// A value that AMFJ refused (P15).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// The value that was sent.
    pub value: Value,
    /// What AMFJ said.
    pub reason: String,
    /// Of the field's definition and its mapping then: it is tried again once they change (P15). None where an earlier
    /// release was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl Refusal {
    /// Why a value is left out that AMFJ answered without a word, and did not keep (P15).
    pub const NOT_TAKEN: &'static str = "AMFJ did not take it: its answer shows what was there before";
}

/// The device's link after an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum LinkOutcome {
    /// The device is linked to the asset.
    Linked {
        /// The asset.
        asset: AssetId,
        /// Why.
        rule: Rule,
        /// The device that lost it (P9).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        takes_over: Option<DeviceId>,
    },
    /// The device is no longer linked to this asset.
    Broken {
        /// The asset.
        asset: AssetId,
    },
}

/// The Kandji users that an outcome ties to a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UserLinkOutcome {
    /// The record.
    pub record: RecordId,
    /// Why.
    pub rule: Rule,
    /// The Kandji users.
    pub ids: Vec<KandjiUserId>,
}

/// The primary user that an assignment settled (P21).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settled {
    /// The record; none for *no user*.
    pub primary: Option<RecordId>,
}

/// What became of a change: everything that it taught, in one message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// Id of the change.
    pub change: Uuid,
    /// Place of the change in the key's order.
    pub sequence: Sequence,
    /// The device or person.
    pub key: Key,
    /// Its name, for people.
    pub label: String,
    /// `Action::kind` of the change.
    pub kind: String,
    /// How it ended.
    pub ending: Ending,
    /// The action, where it failed for good: the same one is not tried again (P15).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Action>,
    /// Requests that changed something or tried to.
    pub attempts: u32,
    /// The replay that this answers, where the change had failed for good before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Uuid>,
    /// Whether a creation that failed for good may have been carried out all the same: a replay has to
    /// look for it first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncertain: bool,
    /// The asset afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<Asset>,
    /// An asset that AMFJ did not show when it was asked for by its id: doubtful until a run decides (P8). The name is of
    /// earlier releases, which took that for a deletion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_deleted: Option<AssetId>,
    /// The user record afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<UserRecord>,
    /// The link of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<LinkOutcome>,
    /// The links of the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_link: Option<UserLinkOutcome>,
    /// The primary user that is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
    /// Old and new values, by field name; `Name`, `Location` and `Checked out to` included.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub edits: BTreeMap<String, Edit>,
    /// Who had the asset before an assignment that was made; `edits` has only the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_holder: Option<Holder>,
    /// Values that AMFJ refused, by field name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refused: BTreeMap<String, Refusal>,
    /// Of the definition and mapping of fields that were written although a list had contradicted them before (P15).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fingerprints: BTreeMap<String, String>,
    /// Whether the link was made without the default location that it was to set (P4, P13).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub location_due: bool,
    /// Whether the asset or record may be what this creation made, although it does not say so: nothing
    /// is created beside it before it is linked or gone (P7).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubtful: bool,
}

impl Outcome {
    /// The name of an asset or user record, as a field of `edits`.
    pub const NAME: &'static str = "Name";
    /// The email of a user record, as a field of `edits`.
    pub const EMAIL: &'static str = "Email";
    /// The location of an asset, as a field of `edits`.
    pub const LOCATION: &'static str = "Location";
    /// The holder of an asset, as a field of `edits`.
    pub const HOLDER: &'static str = "Checked out to";

    /// The asset that it is about. A link that was made without a write taught nothing else about it.
    #[must_use]
    pub fn asset_id(&self) -> Option<&AssetId> {
        let linked = self.link.as_ref().map(|link| match link {
            LinkOutcome::Linked { asset, .. } | LinkOutcome::Broken { asset } => asset,
        });
        self.asset.as_ref().map(|asset| &asset.id).or(linked)
    }

    /// The kind of request that AMFJ carried out last for it, in the words of the writers' reports; none where nothing was
    /// sent, or where that does not say.
    #[must_use]
    pub fn accepted(&self) -> Option<&'static str> {
        if self.ending != Ending::Applied {
            return None;
        }
        let edited = !self.edits.is_empty();
        match self.kind.as_str() {
            "create-asset" => Some("create asset"),
            "create-user" => Some("create user"),
            "update-asset" | "link-asset" if edited => Some("update asset"),
            "update-user" if edited => Some("update user"),
            "assign" => self.edits.get(Self::HOLDER).map(|edit| match edit.new {
                Value::Null => "check in",
                _ => "check out",
            }),
            _ => None,
        }
    }

    /// The user record that it is about.
    #[must_use]
    pub fn record_id(&self) -> Option<&RecordId> {
        let linked = self.user_link.as_ref().map(|link| &link.record);
        self.record.as_ref().map(|record| &record.id).or(linked)
    }

    /// What an asset shows of a field of `edits`: null for what it does not have.
    #[must_use]
    pub fn shown_by_asset(asset: &Asset, field: &str) -> Value {
        let name_of = |name: Option<&String>| name.map_or(Value::Null, |name| name.clone().into());
        match field {
            Self::NAME => asset.name.clone().into(),
            Self::LOCATION => name_of(asset.location.as_ref().map(|at| &at.name)),
            Self::HOLDER => name_of(asset.checked_out_to.as_ref().map(|holder| &holder.name)),
            field => asset.fields.get(field).cloned().unwrap_or_default(),
        }
    }

    /// What a user record shows of a field of `edits`: null for what it does not have.
    #[must_use]
    pub fn shown_by_record(record: &UserRecord, field: &str) -> Value {
        match field {
            Self::NAME => record.name.clone().into(),
            Self::EMAIL => record.email.clone().into(),
            field => record.fields.get(field).cloned().unwrap_or_default(),
        }
    }

    /// An outcome of the change with this id and place that says nothing but how it ended. The action is
    /// kept where it failed for good, so that the same one is not tried again (P15).
    #[must_use]
    pub fn of(id: Uuid, sequence: Sequence, change: &Change, ending: Ending) -> Self {
        let action = matches!(ending, Ending::Failed { .. }).then(|| change.action.clone());
        Self {
            change: id,
            sequence,
            key: change.key.clone(),
            label: change.label.clone(),
            kind: change.action.kind().to_owned(),
            ending,
            action,
            attempts: 0,
            replay: None,
            uncertain: false,
            asset: None,
            asset_deleted: None,
            record: None,
            link: None,
            user_link: None,
            settled: None,
            edits: BTreeMap::new(),
            found_holder: None,
            refused: BTreeMap::new(),
            fingerprints: BTreeMap::new(),
            location_due: false,
            doubtful: false,
        }
    }
}

/// A claim, published and read back before a request that changes something is sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Intent {
    /// Id of the change.
    pub change: Uuid,
    /// The device or person.
    pub key: Key,
    /// The asset that is claimed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<AssetId>,
    /// The user record that is claimed with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The Kandji users that get a record with it, whatever key the change goes by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<KandjiUserId>,
    /// What integrations of one AMFJ site exclude each other by: the email or name of a person, the serial
    /// of a device that gets an asset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<String>,
    /// Whether it lets another integration of the site go first: nothing is sent for it until it is made
    /// again without this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits: bool,
    /// The writer that will send the request.
    pub worker: String,
    /// When it was made, by that writer's clock; requests end within the time-out after it.
    #[schemars(with = "String")]
    pub at: Timestamp,
}
