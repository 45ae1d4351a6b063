//! What is asked about and is no device: an asset that no device has, a person, a user record.

use std::collections::BTreeMap;

use amfj_sync_config::Integration;
use amfj_sync_model::amfj::{Asset, Source};
use amfj_sync_model::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{Candidate, DeviceStatus};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::Projection;
use amfj_sync_rules as rules;
use amfj_sync_service::status::StoppedRecord;
use serde::Serialize;
use serde_json::Value;

use super::{Applied, Failed, User, pending};
use crate::format;
use crate::plan::ChangeRow;

/// The device that an asset was decided for, where the link is not made yet.
pub(super) fn intended_for(view: &Projection, asset: &AssetId) -> Option<DeviceId> {
    let mut found = None;
    view.each_decision(&mut |decision| {
        if let (Key::Device(id), true) = (&decision.key, decision.asset.as_ref() == Some(asset)) {
            found = view.device(id).map(|row| row.entry.device_id);
        }
        found.is_none()
    });
    found
}

/// An asset that no device has.
#[derive(Debug, Serialize)]
pub(super) struct LoneAsset {
    pub(super) integration: String,
    pub(super) asset: AssetShown,
    pub(super) reason: String,
    pub(super) what_to_do: String,
    /// Devices that it was considered for, and not given to.
    pub(super) considered_for: Vec<Considered>,
    /// That the integration is paused, and what that means (P33).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paused: Option<String>,
    pub(super) last: Vec<Applied>,
}

/// An asset as AMFJ lists it.
#[derive(Debug, Serialize)]
pub(super) struct AssetShown {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) asset_type: String,
    pub(super) location: Option<String>,
    pub(super) checked_out_to: Option<String>,
    pub(super) fields: BTreeMap<String, Value>,
}

/// A device that might have been it.
#[derive(Debug, Serialize)]
pub(super) struct Considered {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) state: DeviceStatus,
    pub(super) note: String,
}

impl AssetShown {
    fn of(asset: Asset) -> Self {
        Self {
            id: asset.id.to_string(),
            name: asset.name,
            asset_type: asset.asset_type.name,
            location: asset.location.map(|location| location.name),
            checked_out_to: asset.checked_out_to.map(|holder| holder.name),
            fields: asset.fields,
        }
    }
}

impl LoneAsset {
    pub(super) fn of(
        config: &Integration,
        view: &Projection,
        siblings: &[&Projection],
        id: &AssetId,
    ) -> Option<Self> {
        let asset = view.asset(id)?.asset;
        let considered_for = considered(view, id);
        let elsewhere = siblings.iter().find_map(|sibling| {
            let device = sibling.linked_device(id)?;
            Some(sibling.device(&device).map_or_else(|| device.to_string(), |row| format::device(&row.entry)))
        });
        let named = NameKey::of(&asset.name).map(|name| view.devices_named(&name)).unwrap_or_default();
        let named: Vec<String> =
            named.iter().filter_map(|id| view.device(id)).map(|row| format::device(&row.entry)).collect();
        let (reason, what_to_do) = match (&elsewhere, considered_for.first(), named.first()) {
            (Some(device), ..) => (
                format!("It is linked to device {device} of another integration of this AMFJ site (P4)."),
                "Nothing.".to_owned(),
            ),
            (None, Some(first), _) => (
                "No device is linked to it: it was considered, and not chosen by guessing (P6).".to_owned(),
                format!("Choose: `amfj-sync link {} {id}`, if that is its device.", first.id),
            ),
            (None, None, Some(device)) => (
                format!("No device is linked to it, although {device} has its name."),
                format!(
                    "`amfj-sync explain` of that device says why; `amfj-sync link DEVICE {id}` links one."
                ),
            ),
            (None, None, None) => (
                format!("No device is linked to it, and none that {} lists has its name.", config.id),
                format!("Nothing, if it is in no Kandji; else `amfj-sync link DEVICE {id}`."),
            ),
        };
        Some(Self {
            integration: config.id.to_string(),
            asset: AssetShown::of(asset),
            reason,
            what_to_do,
            considered_for,
            paused: None,
            last: Vec::new(),
        })
    }
}

fn considered(view: &Projection, asset: &AssetId) -> Vec<Considered> {
    let mut found = Vec::new();
    view.each_decision(&mut |decision| {
        let Key::Device(id) = &decision.key else { return true };
        let candidate = decision.candidates.iter().find(|one| one.id == asset.as_str());
        if let (Some(Candidate { note, .. }), Some(row)) = (candidate, view.device(id)) {
            found.push(Considered {
                id: id.to_string(),
                label: format::device(&row.entry),
                state: decision.state,
                note: note.clone(),
            });
        }
        true
    });
    found
}

/// Whom a text stands for.
#[derive(Debug)]
pub(super) enum Who {
    /// A person whom devices name, or named.
    Person(UserKey),
    /// A record that belongs to nobody in Kandji, or to a Kandji user whom no device names any more.
    Record(RecordId, Option<KandjiUserId>),
}

impl Who {
    /// The person that a record belongs to, if that is known.
    pub(super) fn of_record(view: &Projection, id: RecordId) -> Self {
        let users = view.linked_users(&id);
        let person = users.iter().find_map(|user| view.user_of(user));
        let person = person.or_else(|| intended_person(view, &id));
        person.map_or_else(|| Self::Record(id, users.into_iter().next()), Self::Person)
    }
}

fn intended_person(view: &Projection, record: &RecordId) -> Option<UserKey> {
    let mut found = None;
    view.each_decision(&mut |decision| {
        if let (Key::User(key), true) = (&decision.key, decision.record.as_ref() == Some(record)) {
            found = view.user(key).map(|row| row.entry.key);
        }
        found.is_none()
    });
    found
}

/// A person, or a user record that belongs to nobody in Kandji.
#[derive(Debug, Serialize)]
pub(super) struct Person {
    pub(super) integration: String,
    /// None of a record alone.
    pub(super) user: Option<User>,
    /// Of a record alone.
    pub(super) record: Option<Lone>,
    /// Devices whose primary user they are.
    pub(super) devices: Vec<TheirDevice>,
    /// Assets that are checked out to them in AMFJ, as of the last list.
    pub(super) holds: Vec<HeldAsset>,
    pub(super) pending: Vec<ChangeRow>,
    pub(super) failed: Vec<Failed>,
    pub(super) trouble: Vec<StoppedRecord>,
    /// That the integration is paused, and what that means (P33).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paused: Option<String>,
    pub(super) last: Vec<Applied>,
}

/// A record that belongs to nobody in Kandji.
#[derive(Debug, Serialize)]
pub(super) struct Lone {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) email: Option<String>,
    pub(super) source: &'static str,
    /// The Kandji user that it is linked to, whom no device names any more.
    pub(super) kandji_user: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct TheirDevice {
    pub(super) id: String,
    pub(super) label: String,
    pub(super) state: Option<DeviceStatus>,
    pub(super) asset: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct HeldAsset {
    pub(super) id: String,
    pub(super) name: String,
}

impl Person {
    pub(super) fn of(config: &Integration, view: &Projection, who: &Who) -> Self {
        let (key, user, record, record_id) = match who {
            Who::Person(key) => {
                let user = User::person(view, key);
                let record = user.record.as_ref().and_then(|record| RecordId::new(&record.id).ok());
                (Some(key), Some(user), None, record)
            }
            Who::Record(id, user) => (None, None, Lone::of(view, id, user.as_ref()), Some(id.clone())),
        };
        let decision = key.and_then(|key| view.decision(&Key::User(key.clone())));
        let failed = key.map(|key| view.memory(&Key::User(key.clone())).failed).unwrap_or_default();
        Self {
            integration: config.id.to_string(),
            user,
            record,
            devices: key.map(|key| devices(view, key)).unwrap_or_default(),
            holds: record_id.map(|id| holds(view, &id)).unwrap_or_default(),
            pending: decision.as_ref().map(|decision| pending(view, decision)).unwrap_or_default(),
            failed: Failed::all(failed),
            trouble: Vec::new(),
            paused: None,
            last: Vec::new(),
        }
    }

    /// The person; none of a record alone.
    pub(super) fn key(&self) -> Option<Key> {
        let key = self.user.as_ref()?.key.as_ref()?;
        Some(Key::User(UserKey::new(key).ok()?))
    }

    /// The record alone.
    pub(super) fn record_id(&self) -> Option<RecordId> {
        RecordId::new(&self.record.as_ref()?.id).ok()
    }
}

impl Lone {
    fn of(view: &Projection, id: &RecordId, user: Option<&KandjiUserId>) -> Option<Self> {
        let record = view.record(id)?.record;
        Some(Self {
            id: record.id.to_string(),
            name: record.name,
            email: record.email,
            source: match record.source {
                Source::Local => "local",
                Source::Jira => "Jira",
            },
            kandji_user: user.map(ToString::to_string),
        })
    }
}

fn devices(view: &Projection, key: &UserKey) -> Vec<TheirDevice> {
    let rows = view.devices_of(key).into_iter().filter_map(|id| view.device(&id));
    let mut devices: Vec<TheirDevice> = rows
        .map(|row| {
            let device = row.entry;
            let key = Key::Device(device.device_id.clone());
            let decision = view.decision(&key);
            let link = view.link(&device.device_id).map(|link| link.asset);
            let asset = link.or_else(|| decision.as_ref()?.asset.clone());
            TheirDevice {
                id: device.device_id.to_string(),
                label: rules::label(&device).to_owned(),
                state: decision.as_ref().map(|decision| super::state_of(view, decision)),
                asset: asset.map(|id| id.to_string()),
            }
        })
        .collect();
    devices.sort_by(|one, other| (&one.label, &one.id).cmp(&(&other.label, &other.id)));
    devices
}

fn holds(view: &Projection, record: &RecordId) -> Vec<HeldAsset> {
    let mut found = Vec::new();
    view.each_asset(&mut |row| {
        let Asset { id, name, checked_out_to, .. } = row.asset;
        if checked_out_to.is_some_and(|holder| holder.id == *record) {
            found.push(HeldAsset { id: id.to_string(), name });
        }
        true
    });
    found.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    found
}
