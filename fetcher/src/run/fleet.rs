//! What one row of Kandji's device list says about a device and its person: pure.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_config::{Integration, Scope};
use amfj_sync_http::json;
use amfj_sync_kandji::{Device, KandjiUser};
use amfj_sync_model::ids::{DeviceId, KandjiUserId, UserKey};
use amfj_sync_model::mapping::{Mapping, PropertyPath, sorted};
use amfj_sync_model::messages::{Details, DeviceEntry, PrimaryUser, UserEntry};
use amfj_sync_model::names::email_key;
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[cfg(test)]
mod tests;

/// The properties that the mapping needs, by where they are.
#[derive(Debug, Clone, Default)]
pub struct Mapped {
    /// Of the device list, for assets.
    list: Vec<(String, PropertyPath)>,
    /// Of the details, for assets.
    details: Vec<(String, PropertyPath)>,
    /// Of the device list, for user records.
    user: Vec<(String, PropertyPath)>,
}

impl Mapped {
    /// What the mapping of an integration needs.
    #[must_use]
    pub fn of(config: &Integration) -> Self {
        let named = |mapping: &Mapping, details: bool| {
            let paths = mapping.properties().into_iter().filter(|path| path.is_details() == details);
            paths.map(|path| (path.to_string(), path)).collect()
        };
        Self {
            list: named(&config.fields, false),
            details: named(&config.fields, true),
            user: named(&config.user_fields, false),
        }
    }

    /// The mapped values of a device's details, read at this check-in.
    #[must_use]
    pub fn details_of(&self, details: &Value, check_in: &str) -> Details {
        Details { check_in: check_in.to_owned(), values: values(&self.details, details) }
    }

    /// Whether details that are known hold everything that is mapped today, and on some device.
    #[must_use]
    pub fn is_covered_by(&self, known: &Details, left_out: &BTreeSet<String>) -> bool {
        self.details.iter().all(|(name, _)| known.values.contains_key(name) || left_out.contains(name))
    }
}

/// Several values in sorted order: another one in Kandji's list is no change, and no news either (P16).
fn values(paths: &[(String, PropertyPath)], object: &Value) -> BTreeMap<String, Value> {
    let value = |path: &PropertyPath| {
        let mut value = sorted(path.lookup(object).cloned().unwrap_or_default());
        // Of the list it was cut before, and said; details are too large for that.
        json::cut_value(&mut value);
        value
    };
    let mut values: BTreeMap<_, _> = paths.iter().map(|(name, path)| (name.clone(), value(path))).collect();
    json::cut_record(values.iter_mut());
    values
}

/// A device of the walk, as it is kept until the end of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListedDevice {
    /// What the run says about it.
    pub entry: DeviceEntry,
    /// Its `last_check_in` as Kandji wrote it: details read at one are good until the next.
    pub check_in: String,
}

/// What one row says.
#[derive(Debug)]
pub struct Row {
    /// The device, as the run says it.
    pub listed: ListedDevice,
    /// The person whom a device that counts names: in scope, not removed (P10).
    pub person: Option<Named>,
    /// The row as it came.
    pub raw: Value,
}

/// A person as one device names them.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// By which they are one person.
    pub key: UserKey,
    /// Their id in Kandji.
    pub id: KandjiUserId,
    /// The device that names them.
    pub by: DeviceId,
    /// What it says of them.
    pub user: KandjiUser,
    /// Their mapped values.
    pub values: BTreeMap<String, Value>,
}

/// Reads one row of the list.
#[must_use]
pub fn read_row(device: Device, scope: &Scope, mapped: &Mapped) -> Row {
    let Device { device_id, name, serial, platform, blueprint_id, blueprint_name, tags, user, .. } = device;
    let (check_in, removed) = (device.last_check_in.unwrap_or_default(), device.is_removed);
    let raw = Value::Object(device.raw);
    let platform = platform.unwrap_or_default();
    let blueprint = blueprint_name.unwrap_or_default();
    let in_scope = scope.admits(&platform, &blueprint, &blueprint_id.unwrap_or_default(), &tags);
    let (primary, id) = primary_user(user.as_ref());
    let person = match (&primary, id, user) {
        (PrimaryUser::Person { key }, Some(id), Some(user)) if in_scope && !removed => {
            let values = values(&mapped.user, &raw);
            Some(Named { key: key.clone(), id, by: device_id.clone(), user, values })
        }
        _ => None,
    };
    let entry = DeviceEntry {
        device_id,
        name: name.unwrap_or_default(),
        serial: serial.unwrap_or_default(),
        platform,
        user: primary,
        in_scope,
        removed,
        values: values(&mapped.list, &raw),
        details: None,
    };
    Row { listed: ListedDevice { entry, check_in }, person, raw }
}

/// The primary user and their Kandji id. The key is the email, so that two Kandji users of one email
/// are one person; else the id (P10).
fn primary_user(user: Option<&KandjiUser>) -> (PrimaryUser, Option<KandjiUserId>) {
    let Some(user) = user else { return (PrimaryUser::Nobody, None) };
    let Some(id) = &user.id else {
        let name = user.name.as_deref().or(user.email.as_deref()).unwrap_or("somebody");
        let reason = format!(
            "Kandji names {name} as the primary user without a user id, so nothing can be linked to them; \
             assign the device to its user anew in Kandji"
        );
        return (PrimaryUser::Unusable { reason }, None);
    };
    let email = user.email.as_deref().and_then(email_key).and_then(|email| UserKey::new(email).ok());
    match email.or_else(|| UserKey::new(id.as_str()).ok()) {
        Some(key) => (PrimaryUser::Person { key }, Some(id.clone())),
        None => (PrimaryUser::Nobody, None),
    }
}

/// The Kandji users who are one person, sorted by their ids: nearly always one.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Person(Vec<Account>);

/// One Kandji user, as the device with the smallest id names them: whatever order the devices come in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Account {
    id: KandjiUserId,
    by: DeviceId,
    user: KandjiUser,
    values: BTreeMap<String, Value>,
}

impl Person {
    /// Takes note of whom a device names.
    pub fn meet(&mut self, named: Named) {
        let Named { key: _, id, by, user, values } = named;
        let account = Account { id, by, user, values };
        let accounts = &mut self.0;
        match accounts.binary_search_by(|known| known.id.cmp(&account.id)) {
            Ok(at) if account.by < accounts[at].by => accounts[at] = account,
            Ok(_) => {}
            Err(at) => accounts.insert(at, account),
        }
    }

    /// One person of several Kandji users: the one with the smallest id speaks, blanks are filled by the next.
    #[must_use]
    pub fn entry(&self, key: &UserKey) -> UserEntry {
        let accounts = &self.0;
        let first = |text: fn(&KandjiUser) -> Option<&String>| {
            accounts.iter().find_map(|account| text(&account.user)).cloned()
        };
        UserEntry {
            key: key.clone(),
            ids: accounts.iter().map(|account| account.id.clone()).collect(),
            email: first(|user| user.email.as_ref()),
            name: first(|user| user.name.as_ref()).unwrap_or_default(),
            archived: accounts.iter().all(|account| account.user.archived),
            values: accounts.first().map(|account| account.values.clone()).unwrap_or_default(),
        }
    }
}
