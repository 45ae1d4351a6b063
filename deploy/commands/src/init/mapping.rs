//! Which Kandji property fills which AMFJ field: a proposal by name and type, to be taken, changed or skipped.

use std::collections::BTreeMap;

use amfj_sync_model::amfj::{Field, FieldType};
use amfj_sync_model::convert::convert;
use amfj_sync_model::mapping::known::{PROPERTIES, is_documented};
use amfj_sync_model::mapping::{Evaluated, FieldSource, Known, PropertyPath};
use amfj_sync_model::messages::Catalogue;
use amfj_sync_security::screen;
use serde_json::Value;

use crate::check::kandji::Sample;
use crate::check::mapping::{is_restless, short};

pub(crate) mod dialogue;
pub(crate) mod properties;
#[cfg(test)]
mod tests;

/// How AMFJ fields are often called, in small letters and digits alone, and what fills them.
const OFTEN: &[(&str, &[&str])] = &[
    ("serial_number", &["serial", "serialnumber", "serialno", "sn", "serialnr", "deviceserial"]),
    ("model", &["model", "devicemodel", "modelname", "hardwaremodel"]),
    (
        "os_version",
        &["osversion", "operatingsystemversion", "systemversion", "softwareversion", "macosversion"],
    ),
    ("platform", &["platform", "deviceplatform", "devicetype", "operatingsystem", "os"]),
    ("asset_tag", &["assettag", "tagnumber", "inventorynumber", "assetnumber"]),
    ("blueprint_name", &["blueprint", "blueprintname"]),
    (
        "user.email",
        &["owneremail", "useremail", "email", "assignedemail", "primaryuseremail", "assigneduseremail"],
    ),
    ("user.name", &["owner", "ownername", "user", "username", "primaryuser", "assigneduser", "assignedto"]),
    (
        "first_enrollment",
        &["firstenrollment", "firstenrolled", "enrollmentdate", "enrolmentdate", "enrolled", "enrolledon"],
    ),
    ("device_id", &["kandjiid", "kandjideviceid", "deviceid", "iruid", "mdmid"]),
    ("tags", &["tags", "kandjitags"]),
    ("details.hardware_overview.memory", &["memory", "ram", "totalram"]),
    ("details.hardware_overview.processor_name", &["processor", "cpu", "processorname", "chip"]),
    ("details.hardware_overview.model_identifier", &["modelidentifier", "modelid"]),
    ("details.hardware_overview.udid", &["udid", "hardwareuuid", "uuid"]),
    (
        "details.volumes[0].capacity",
        &["storage", "capacity", "disk", "disksize", "harddrive", "storagecapacity", "ssd"],
    ),
    ("details.network.mac_address", &["macaddress", "wifimac", "wifimacaddress", "wifiaddress"]),
    ("details.network.local_hostname", &["hostname", "localhostname", "computername"]),
    ("details.cellular.imei", &["imei"]),
    (
        "details.filevault.filevault_enabled",
        &["filevault", "filevaultenabled", "encrypted", "diskencryption"],
    ),
    ("details.mdm.supervised", &["supervised", "issupervised"]),
];

/// Characters of an example.
const EXAMPLE: usize = 32;

/// One AMFJ field, and what may fill it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Line {
    pub(crate) field: Field,
    /// The asset type that has it, if that is not the default one.
    pub(crate) only_of: Option<String>,
    /// What fills it.
    pub(crate) source: Option<String>,
    /// What would fill it by its name, and does not fit.
    pub(crate) misfit: Option<String>,
}

/// The fields that may be mapped: of the default asset type, then those that only others have, each name once.
pub(crate) fn fields(catalogue: &Catalogue, default_type: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let own = catalogue.asset_type_named(default_type);
    let others = catalogue.asset_types.iter().filter(|other| own.is_none_or(|own| own.id != other.id));
    for (asset_type, only_of) in
        own.map(|own| (own, None)).into_iter().chain(others.map(|one| (one, Some(&one.name))))
    {
        for field in &asset_type.fields {
            if !lines.iter().any(|line| line.field.name == field.name) {
                let field = field.clone();
                lines.push(Line { field, only_of: only_of.cloned(), source: None, misfit: None });
            }
        }
    }
    lines
}

/// Fills the lines: from what is mapped already, else by the names of the fields where the values of this fleet fit.
pub(crate) fn propose(lines: &mut [Line], mapped: Option<&BTreeMap<String, String>>, fleet: &Fleet) {
    for line in lines {
        if let Some(mapped) = mapped {
            line.source = mapped.get(line.field.name.trim()).cloned();
            continue;
        }
        let Some(property) = property_named(&line.field.name) else { continue };
        match fleet.fit(&line.field, &property) {
            Fit::Fits => line.source = Some(property),
            Fit::Unseen if line.field.field_type == FieldType::Text => line.source = Some(property),
            Fit::Unseen => {}
            Fit::Not(value) => {
                line.misfit = Some(format!("{property} is {value}, not {}", takes(line.field.field_type)));
            }
        }
    }
}

/// The property that a field of this name is most likely meant for.
fn property_named(field: &str) -> Option<String> {
    let wanted = bare(field);
    let often = OFTEN.iter().find(|(_, names)| names.contains(&wanted.as_str()));
    if let Some((property, _)) = often {
        return Some((*property).to_owned());
    }
    let known = PROPERTIES.iter().filter(|known| !known.contains("[N]") && bare(last(known)) == wanted);
    // What the device list has costs no further request.
    let known = known.min_by_key(|known| known.starts_with("details.")).map(|known| (*known).to_owned())?;
    let path = PropertyPath::parse(&known).ok()?;
    (!wanted.is_empty() && !is_restless(&path)).then_some(known)
}

fn last(property: &str) -> &str {
    property.rsplit('.').next().unwrap_or(property)
}

/// Letters and digits, in small.
fn bare(name: &str) -> String {
    name.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How the values of a property go into a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fit {
    /// Each that was seen does.
    Fits,
    /// None was seen.
    Unseen,
    /// This one does not.
    Not(String),
}

/// The devices that were looked at.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Rows of the device list, each with its details where they were read.
    devices: Vec<(Value, Option<Value>)>,
}

impl Fleet {
    pub(crate) fn of(sample: Sample) -> Self {
        let id_of = |details: &Value| details.get("general")?.get("device_id")?.as_str().map(str::to_owned);
        let mut details: BTreeMap<String, Value> =
            sample.details.into_iter().filter_map(|details| Some((id_of(&details)?, details))).collect();
        let devices = sample.rows.into_iter().map(|row| {
            let own = row.get("device_id").and_then(Value::as_str).and_then(|id| details.remove(id));
            (row, own)
        });
        Self { devices: devices.collect() }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether this name is one of Kandji's: documented, or seen here.
    pub(crate) fn knows(&self, path: &PropertyPath) -> bool {
        let is_in = |object: &Value| path.lookup(object).is_some();
        is_documented(path) || self.devices.iter().any(|device| object_of(device, path).is_some_and(is_in))
    }

    /// The values that a source has here, without blank ones.
    fn values<'f>(&'f self, source: &'f FieldSource) -> impl Iterator<Item = Value> + 'f {
        self.devices.iter().filter_map(move |device| {
            let of = |path: &PropertyPath| {
                object_of(device, path).map_or(Known::Unknown, |object| {
                    Known::Known(path.lookup(object).unwrap_or(&Value::Null))
                })
            };
            match source.evaluate(&of) {
                Evaluated::Value(value) => Some(value),
                _ => None,
            }
        })
    }

    /// How what is written fits a field.
    pub(crate) fn fit(&self, field: &Field, source: &str) -> Fit {
        let Ok(source) = FieldSource::parse(source) else { return Fit::Not(source.to_owned()) };
        let mut fit = Fit::Unseen;
        for value in self.values(&source) {
            if convert(field, &value).is_err() {
                return Fit::Not(shown(&value));
            }
            fit = Fit::Fits;
        }
        fit
    }

    /// A value as people read it; none where no device that was looked at has one.
    pub(crate) fn example(&self, source: &str) -> Option<String> {
        let source = FieldSource::parse(source).ok()?;
        self.values(&source).next().map(|value| shown(&value))
    }

    /// The rows and the details that were read.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&Value, Option<&Value>)> {
        self.devices.iter().map(|(row, details)| (row, details.as_ref()))
    }
}

/// Where a device has such a property: in its row, or in its details; none where those were not read.
fn object_of<'d>((row, details): &'d (Value, Option<Value>), path: &PropertyPath) -> Option<&'d Value> {
    if path.is_details() { details.as_ref() } else { Some(row) }
}

/// A value as an example.
fn shown(value: &Value) -> String {
    short(&screen::value(value), EXAMPLE)
}

/// The type of a field, in the words of a person.
pub(crate) fn kind(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::Number => "a number",
        FieldType::Boolean => "a yes or no",
        FieldType::Date => "a date",
        FieldType::Select => "a choice",
        FieldType::Url => "a link",
        FieldType::Email => "an email",
        FieldType::Text => "a text",
    }
}

/// What a field of a type takes, in the words of a person.
pub(crate) fn takes(field_type: FieldType) -> &'static str {
    if field_type == FieldType::Select { "one of its choices" } else { kind(field_type) }
}
