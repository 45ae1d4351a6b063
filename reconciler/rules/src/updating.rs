//! What is written to an asset that a device has or gets (P13, P14, P15).

use std::collections::BTreeMap;

use amfj_sync_config::OnEmpty;
use amfj_sync_model::amfj::{Asset, Field, Named};
use amfj_sync_model::ids::{DeviceId, Key};
pub(super) use amfj_sync_model::mapping::fingerprint::built_in as name_field;
use amfj_sync_model::mapping::fingerprint::fingerprint;
use amfj_sync_model::mapping::{Evaluated, FieldSource, Known, PropertyPath, is_blank};
use amfj_sync_model::messages::{Action, AssetWrite, DeviceEntry, DeviceStatus, Edit, Outcome, Rule};
use amfj_sync_model::names::is_placeholder_serial;
use amfj_sync_projection::claims::{Claims, Kept};
use amfj_sync_projection::rows::{AssetRow, Memory};
use serde_json::Value;

use super::draft::{Findings, sentence};
use super::{Site, because, label, values};

/// Field to why its value is left out.
pub(super) type Problems = BTreeMap<String, String>;

static NOTHING: Value = Value::Null;

/// The value of a mapped property; what has not been read is unknown, not blank. What makers write where there is no serial
/// number is no value (P6, P14).
pub(super) fn property<'d>(device: &'d DeviceEntry, path: &PropertyPath) -> Known<&'d Value> {
    let values = match (path.is_details(), &device.details) {
        (false, _) => &device.values,
        (true, Some(details)) => &details.values,
        (true, None) => return Known::Unknown,
    };
    // Not among them: the mapping is newer than what was read.
    let value = values.get(path.as_str()).map_or(Known::Unknown, Known::Known);
    match value {
        Known::Known(Value::String(serial)) if is_serial(path) && is_placeholder_serial(serial) => {
            Known::Known(&NOTHING)
        }
        value => value,
    }
}

fn is_serial(path: &PropertyPath) -> bool {
    let last = path.as_str().rsplit('.').next();
    last == Some("serial_number")
}

/// What a mapped field of a device should hold.
pub(super) fn evaluate(source: &FieldSource, device: &DeviceEntry) -> Evaluated {
    source.evaluate(&|path| property(device, path))
}

/// A device whose asset is linked: mapped values that differ are written (P13).
pub(super) fn in_step(site: &Site<'_>, device: &DeviceEntry, row: &AssetRow, memory: &Memory) -> Findings {
    let asset = &row.asset;
    let (mut write, problems) = difference(site, device, asset, &row.claims, memory);
    if memory.location_due {
        write.location = default_location(site, asset).filter(|location| !is_refused(memory, location));
    }
    let reason = format!("\"{}\" is in step with asset \"{}\".", label(device), asset.name);
    let mut findings = Findings::new(DeviceStatus::InSync, reason);
    findings.asset = Some(asset.id.clone());
    if !write.is_empty() {
        let why = format!("Asset \"{}\" gets {}.", asset.name, summary(&write));
        findings.act(memory, Action::UpdateAsset { asset: asset.id.clone(), write }, &why);
    }
    findings.find_field_problems(problems);
    findings
}

/// A device that is to be linked: the link, what differs, and the default location (P13).
pub(super) fn link(
    site: &Site<'_>,
    device: &DeviceEntry,
    asset: &Asset,
    rule: Rule,
    takes_over: Option<DeviceId>,
) -> Findings {
    let row = site.view.asset(&asset.id);
    if row.as_ref().is_some_and(|row| row.doubt.is_some()) {
        return doubtful(device, asset, rule);
    }
    let claims = row.map(|row| row.claims).unwrap_or_default();
    let memory = site.memory(&Key::Device(device.device_id.clone()));
    let (mut write, problems) = difference(site, device, asset, &claims, &memory);
    write.location = default_location(site, asset);
    let mut why = format!("\"{}\" is linked to asset \"{}\": {}", label(device), asset.name, because(rule));
    if !write.is_empty() {
        why = format!("{why}; the asset gets {}", summary(&write));
    }
    let mut findings = Findings::new(DeviceStatus::InSync, String::new());
    findings.asset = Some(asset.id.clone());
    findings.rule = Some(rule);
    // Whom the old device was last given to stays known (P9).
    let before = takes_over.as_ref().map(|old| site.memory(&Key::Device(old.clone()))).unwrap_or_default();
    findings.takes = super::checkout::will_take(site, device, asset, &before);
    let action = Action::LinkAsset { asset: asset.id.clone(), rule, takes_over, write };
    findings.act(&memory, action, &sentence(&why));
    findings.find_field_problems(problems);
    findings
}

/// A device whose asset-to-be AMFJ said is not there: the next run looks (P8).
fn doubtful(device: &DeviceEntry, asset: &Asset, rule: Rule) -> Findings {
    let reason = format!(
        "\"{}\" is to be linked to asset \"{}\", but AMFJ said that it is not there; the next run looks (P8).",
        label(device),
        asset.name
    );
    let mut findings = Findings::new(DeviceStatus::Pending, reason);
    findings.asset = Some(asset.id.clone());
    findings.rule = Some(rule);
    findings
}

/// The default location, where the asset has none (P13).
fn default_location(site: &Site<'_>, asset: &Asset) -> Option<Named> {
    let name = site.config.sync.default_location.as_deref().filter(|_| asset.location.is_none())?;
    site.view.catalogue().location_named(name).cloned()
}

/// A location that AMFJ refused is not tried again, whether it was refused by its id or by its name.
fn is_refused(memory: &Memory, location: &Named) -> bool {
    let refused = memory.refused.get(Outcome::LOCATION).and_then(|refusal| refusal.value.as_str());
    refused.is_some_and(|value| value == location.id || value == location.name)
}

fn summary(write: &AssetWrite) -> String {
    let name = write.name.iter().map(|_| Outcome::NAME);
    let location = write.location.iter().map(|_| Outcome::LOCATION);
    let fields: Vec<_> = name.chain(location).chain(write.fields.keys().map(String::as_str)).collect();
    format!("new values in {}", fields.join(", "))
}

/// Mapped fields whose value differs, and those whose value cannot be written.
fn difference(
    site: &Site<'_>,
    device: &DeviceEntry,
    asset: &Asset,
    claims: &Claims,
    memory: &Memory,
) -> (AssetWrite, Problems) {
    let (mut write, mut problems) = (AssetWrite::default(), Problems::new());
    let asset_type = site.view.catalogue().asset_type(&asset.asset_type.id);
    let comparison = Comparison {
        memory,
        claims: Some(claims),
        on_empty: site.config.sync.on_empty,
        rematch: site.view.meta().rematch,
    };
    for (name, mapped) in site.config.fields.iter() {
        let source = Some(&mapped.source);
        if name == Outcome::NAME {
            let current = Value::from(asset.name.as_str());
            match comparison.edit(&name_field(name), source, &current, &|| evaluate(&mapped.source, device)) {
                Ok(edit) => write.name = edit,
                Err(problem) => drop(problems.insert(name.to_owned(), problem)),
            }
        } else if let Some(field) = asset_type.and_then(|asset_type| asset_type.field(name)) {
            // A field that the asset's own type does not have is skipped silently (P15).
            let current = asset.fields.get(name).unwrap_or(&Value::Null);
            match comparison.edit(field, source, current, &|| evaluate(&mapped.source, device)) {
                Ok(Some(edit)) => drop(write.fields.insert(name.to_owned(), edit)),
                Ok(None) => {}
                Err(problem) => drop(problems.insert(name.to_owned(), problem)),
            }
        }
    }
    (write, problems)
}

/// How a wanted value is compared with AMFJ's.
pub(super) struct Comparison<'a> {
    pub(super) memory: &'a Memory,
    /// What lists said against values that were written; none for a record that does not exist yet.
    pub(super) claims: Option<&'a Claims>,
    pub(super) on_empty: OnEmpty,
    /// Offset of the latest `rematch`.
    pub(super) rematch: Option<u64>,
}

impl Comparison<'_> {
    /// The edit that a field needs, if any; an error where its value cannot be written (P15). `source` fills the field.
    pub(super) fn edit(
        &self,
        field: &Field,
        source: Option<&FieldSource>,
        current: &Value,
        evaluate: &dyn Fn() -> Evaluated,
    ) -> Result<Option<Edit>, String> {
        let new = match evaluate() {
            Evaluated::Unknown => return Ok(None),
            // P14; a required field is never cleared.
            Evaluated::Blank if self.on_empty == OnEmpty::Keep || field.required => return Ok(None),
            Evaluated::Blank => Value::Null,
            Evaluated::Value(value) => values::convert(field, &value)?,
            Evaluated::Failed(reason) => return Err(reason),
        };
        if values::is_same(field, &new, current) || self.is_stored_otherwise(field, &new, current) {
            return Ok(None);
        }
        match self.kept(field, source, &new, current) {
            Kept::Otherwise => return Ok(None),
            Kept::Not => return Err(not_taken(&new, current)),
            Kept::Unknown => {}
        }
        self.check_refused(field, source, &new)?;
        Ok(Some(Edit { old: current.clone(), new }))
    }

    /// Whether AMFJ was sent this value before and made the current one of it.
    fn is_stored_otherwise(&self, field: &Field, new: &Value, current: &Value) -> bool {
        let stored = self.memory.stored.get(&field.name);
        stored.is_some_and(|stored| stored.sent == *new && stored.stored == *current)
    }

    /// What AMFJ's lists made of this value, where it was written before (P15).
    fn kept(&self, field: &Field, source: Option<&FieldSource>, new: &Value, current: &Value) -> Kept {
        let Some(claims) = self.claims.filter(|claims| !claims.is_empty()) else { return Kept::Unknown };
        let now = || self.fingerprint(field, source);
        // Costs a hash, and hardly any field needs it.
        let against = claims.against(&field.name, new, self.rematch, None);
        let against = against.and_then(|_| claims.against(&field.name, new, self.rematch, Some(&now())));
        against.map_or(Kept::Unknown, |contradicted| contradicted.kept(current))
    }

    fn fingerprint(&self, field: &Field, source: Option<&FieldSource>) -> String {
        let source = source.map(ToString::to_string).unwrap_or_default();
        fingerprint(field, &source, self.rematch)
    }

    /// A value that AMFJ refused is not tried again, until the field or its mapping changes or a person says so (P15).
    fn check_refused(&self, field: &Field, source: Option<&FieldSource>, new: &Value) -> Result<(), String> {
        let refusal = self.memory.refused.get(&field.name).filter(|refusal| refusal.value == *new);
        match refusal.filter(|refusal| refusal.counts(&self.fingerprint(field, source), self.rematch)) {
            Some(refusal) if is_blank(new) => Err(format!("AMFJ refused to clear it: {}", refusal.reason)),
            Some(refusal) => Err(format!("AMFJ refused {new}: {}", refusal.reason)),
            None => Ok(()),
        }
    }
}

/// Why a value is left out that AMFJ answered for twice, and does not list.
fn not_taken(new: &Value, current: &Value) -> String {
    if is_blank(new) {
        return format!(
            "AMFJ did not take it: it was to be empty, and its lists show {current} although it was cleared twice"
        );
    }
    format!("AMFJ did not take it: {new} was sent twice, and its lists show {current}")
}
