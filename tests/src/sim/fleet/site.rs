//! The AMFJ side of a fleet.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rand::{Rng, rngs::StdRng};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Device, Person, Trap};

/// The type of a custom field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FieldKind {
    Text,
    Number,
    Boolean,
    Date,
    Select,
    Url,
    Email,
}

/// A custom field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSpec {
    /// Its name, which is also its key.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: FieldKind,
    /// Whether it must have a value.
    #[serde(default)]
    pub required: bool,
    /// What a select allows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl FieldSpec {
    /// An optional field.
    #[must_use]
    pub fn new(name: &str, kind: FieldKind) -> Self {
        Self { name: name.to_owned(), kind, required: false, options: Vec::new() }
    }

    /// A select with these options.
    #[must_use]
    pub fn select(name: &str, options: &[&str]) -> Self {
        let options = options.iter().map(|&option| option.to_owned()).collect();
        Self { options, ..Self::new(name, FieldKind::Select) }
    }

    /// The same field, required.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }
}

/// An asset type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssetKind {
    /// Opaque id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its custom fields.
    pub fields: Vec<FieldSpec>,
}

/// A location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedRecord {
    /// Opaque id.
    pub id: String,
    /// Its name.
    pub name: String,
}

/// An asset as AMFJ stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteAsset {
    /// Opaque id.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// Id of the asset type.
    pub asset_type_id: String,
    /// Id of the location.
    pub location_id: Option<String>,
    /// Custom fields; a field without value is not there.
    pub fields: BTreeMap<String, Value>,
    /// Id of the user record that has it.
    pub holder: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A user record as AMFJ stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SiteUser {
    /// Opaque id.
    pub id: String,
    /// Not unique.
    pub name: String,
    /// Not unique, may be missing.
    pub email: Option<String>,
    /// Synced from Jira, and so closed to everybody else.
    pub is_jira: bool,
    /// Custom fields; a field without value is not there.
    pub fields: BTreeMap<String, Value>,
}

/// An AMFJ site.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Site {
    /// Asset types with their fields.
    pub asset_types: Vec<AssetKind>,
    /// Locations.
    pub locations: Vec<NamedRecord>,
    /// Custom fields of user records.
    pub user_fields: Vec<FieldSpec>,
    /// Assets, oldest first.
    pub assets: Vec<SiteAsset>,
    /// User records, oldest first.
    pub users: Vec<SiteUser>,
}

/// When the assets of a generated site were entered.
const ENTERED: &str = "2025-01-15T09:00:00Z";

impl Site {
    /// A site with types, locations and fields, and nothing in it. Types: Laptop, Phone, Tablet,
    /// Media Player, Kiosk (which has a required field) and Monitor.
    #[must_use]
    pub fn empty() -> Self {
        use FieldKind::{Boolean, Date, Email, Number, Text, Url};
        let kind = |n: usize, name: &str, fields: Vec<FieldSpec>| AssetKind {
            id: format!("type-{n}"),
            name: name.to_owned(),
            fields,
        };
        let base = || {
            ["Serial Number", "Model", "OS Version", "Asset Tag", "Notes"]
                .map(|name| FieldSpec::new(name, Text))
                .to_vec()
        };
        let with = |more: Vec<FieldSpec>| [base(), more].concat();
        let laptop = vec![
            FieldSpec::new("Memory", Text),
            FieldSpec::new("Storage", Text),
            FieldSpec::new("Cores", Number),
            FieldSpec::new("Managed", Boolean),
            FieldSpec::new("Enrolled On", Date),
            FieldSpec::select("Platform", &["Mac", "iPhone", "iPad", "AppleTV"]),
            FieldSpec::new("Warranty", Url),
            FieldSpec::new("Owner Email", Email),
        ];
        let mobile = || {
            vec![
                FieldSpec::new("Storage", Text),
                FieldSpec::select("Platform", &["iPhone", "iPad", "Android"]),
                FieldSpec::new("IMEI", Text),
            ]
        };
        let named =
            |(n, name): (usize, &&str)| NamedRecord { id: format!("loc-{n}"), name: (*name).to_owned() };
        Self {
            asset_types: vec![
                kind(1, "Laptop", with(laptop)),
                kind(2, "Phone", with(mobile())),
                kind(3, "Tablet", with(mobile())),
                kind(4, "Media Player", base()),
                kind(5, "Kiosk", with(vec![FieldSpec::new("Cost Centre", Text).required()])),
                kind(6, "Monitor", vec![FieldSpec::new("Diagonal", Number)]),
            ],
            locations: ["HQ", "Büro Berlin", "Remote", "Storage Room"]
                .iter()
                .enumerate()
                .map(named)
                .collect(),
            user_fields: vec![
                FieldSpec::new("Kandji User", Text),
                FieldSpec::new("Employee Number", Number),
                FieldSpec::select("Department", &["Engineering", "Sales", "People"]),
            ],
            assets: Vec::new(),
            users: Vec::new(),
        }
    }

    /// The id of the asset type with this name.
    #[must_use]
    pub fn type_id(&self, name: &str) -> Option<&str> {
        self.asset_types.iter().find(|kind| kind.name == name).map(|kind| kind.id.as_str())
    }

    /// The id of the location with this name.
    #[must_use]
    pub fn location_id(&self, name: &str) -> Option<&str> {
        self.locations.iter().find(|location| location.name == name).map(|location| location.id.as_str())
    }

    /// Enters an asset; a type that is not there is the first one. Returns its position.
    pub fn add_asset(&mut self, name: &str, type_name: &str) -> usize {
        let type_id = self.type_id(type_name).unwrap_or("type-1").to_owned();
        let position = self.assets.len();
        self.assets.push(SiteAsset {
            id: format!("asset-{:07}", number_after(self.assets.last().map(|asset| asset.id.as_str()))),
            name: name.to_owned(),
            asset_type_id: type_id,
            location_id: None,
            fields: BTreeMap::new(),
            holder: None,
            created_at: ENTERED.to_owned(),
            updated_at: ENTERED.to_owned(),
        });
        position
    }

    /// Enters a user record. Returns its position.
    pub fn add_user(&mut self, name: &str, email: Option<&str>, is_jira: bool) -> usize {
        let position = self.users.len();
        self.users.push(SiteUser {
            id: format!("user-{:07}", number_after(self.users.last().map(|user| user.id.as_str()))),
            name: name.to_owned(),
            email: email.map(str::to_owned),
            is_jira,
            fields: BTreeMap::new(),
        });
        position
    }

    /// Enters the asset of a device: half of them with the serial, a third with a location.
    pub(crate) fn add_asset_of(&mut self, device: &Device, rng: &mut StdRng) -> usize {
        let position = self.add_asset(&device.device_name, type_for(&device.platform));
        let asset = &mut self.assets[position];
        if rng.random_bool(0.5) {
            asset.fields.insert("Serial Number".to_owned(), json!(device.serial_number));
        }
        if rng.random_bool(0.3) {
            asset.fields.insert("Notes".to_owned(), json!("Bought second hand; keyboard replaced."));
        }
        if rng.random_bool(0.35) {
            let location = rng.random_range(0..self.locations.len());
            asset.location_id = Some(self.locations[location].id.clone());
        }
        position
    }

    /// Enters records of the people: without traps for three in four; with traps as the traps say,
    /// and for six in ten of the others.
    pub(crate) fn add_records_of(
        &mut self,
        people: &[Person],
        trapped: &BTreeMap<Trap, Vec<usize>>,
        rng: &mut StdRng,
    ) {
        let caught = |trap| trapped.get(&trap).map_or(&[][..], Vec::as_slice);
        // People without a plain record: their trap decides what they get.
        let special: BTreeSet<usize> =
            [Trap::RecordEmailCase, Trap::RecordWithoutEmail, Trap::TwoRecords, Trap::RecordOtherEmail]
                .into_iter()
                .flat_map(|trap| caught(trap).iter().copied())
                .collect();
        let share = if trapped.is_empty() { 0.75 } else { 0.6 };
        let mut known = HashSet::new();
        for (position, person) in people.iter().enumerate() {
            let (name, email) = (person.name.as_deref().unwrap_or_default(), person.email.as_deref());
            if special.contains(&position) || !rng.random_bool(share) || name.is_empty() {
                continue;
            }
            if let Some(email) = email.filter(|email| !email.is_empty()) {
                let is_jira = rng.random_bool(0.6);
                // Two Kandji users of one email are one person and have one record.
                if known.insert(email.to_lowercase()) {
                    self.add_user(name, Some(email), is_jira);
                }
            }
        }
        for &position in caught(Trap::RecordEmailCase) {
            let email = format!(" {}", people[position].email.clone().unwrap_or_default().to_uppercase());
            self.add_user(people[position].name.as_deref().unwrap_or_default(), Some(&email), true);
        }
        for &position in caught(Trap::RecordWithoutEmail) {
            self.add_user(people[position].name.as_deref().unwrap_or_default(), None, false);
        }
        for &position in caught(Trap::RecordOtherEmail) {
            let email = format!("before.{}", people[position].email.as_deref().unwrap_or_default());
            self.add_user(people[position].name.as_deref().unwrap_or_default(), Some(&email), true);
        }
        for &position in caught(Trap::TwoRecords) {
            let email = people[position].email.as_deref();
            self.add_user(people[position].name.as_deref().unwrap_or_default(), email, true);
            self.add_user("Duplicate by import", email, false);
        }
    }
}

/// The number of the record after the one with this id; gaps that deletions left stay gaps.
fn number_after(id: Option<&str>) -> usize {
    id.and_then(|id| id.rsplit('-').next()).and_then(|digits| digits.parse().ok()).unwrap_or(0) + 1
}

/// The asset type that people would choose for a platform.
pub(crate) fn type_for(platform: &str) -> &'static str {
    match platform {
        "iPhone" | "Android" => "Phone",
        "iPad" => "Tablet",
        "AppleTV" => "Media Player",
        _ => "Laptop",
    }
}
