//! What a first sync would overwrite: values that are not blank, which people may have written.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_config::Integration;
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::convert::{convert, is_same};
use amfj_sync_model::mapping::fingerprint::built_in;
use amfj_sync_model::mapping::{Evaluated, Known, is_blank};
use amfj_sync_model::messages::{Catalogue, Outcome};
use amfj_sync_model::names::{NameKey, serial_key};
use amfj_sync_projection::serials::{HeldSerial, TELLING_AT_MOST};
use serde_json::Value;

use super::Asking;
use super::amfj::Seen;
use super::kandji::Sample;
use super::report::{Report, counted};

#[cfg(test)]
mod tests;

/// A device as far as this needs it.
#[derive(Debug)]
struct Row<'a> {
    name: NameKey,
    /// Blank where it says nothing.
    serial: &'a str,
    raw: &'a Value,
}

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    /// Assets that a device would be linked to.
    matched: usize,
    /// Values that are not blank and would be others, by field.
    fields: BTreeMap<String, usize>,
}

/// Says how many values of people a first sync would overwrite, by field. What AMFJ refuses to show is said elsewhere.
pub(super) async fn check(
    integration: &Integration,
    sample: &Sample,
    Seen { client, catalogue, .. }: &Seen,
    Asking { reads, stop, .. }: &Asking,
    report: &mut Report,
) {
    if integration.fields.is_empty() || sample.rows.is_empty() {
        return;
    }
    let mut assets = Vec::new();
    if client.all_assets(reads, stop, &mut |page| assets.extend(page)).await.is_ok() {
        say(integration, sample.rows.len(), &count(integration, catalogue, &sample.rows, &assets), report);
    }
}

fn say(integration: &Integration, devices: usize, counted_up: &Counted, report: &mut Report) {
    let Counted { matched, fields } = counted_up;
    let of = format!(
        "the {} that would be linked by name to one of the {devices} devices looked at",
        counted(*matched, "", "asset", "assets")
    );
    // Details are read in the run, one request a device.
    let unseen =
        if integration.fields.needs_details() { "; fields from details are not counted" } else { "" };
    if fields.is_empty() {
        report
            .ok(format!("mapping: a first sync would overwrite no value that is not blank in {of}{unseen}"));
        return;
    }
    let sum: usize = fields.values().sum();
    let by_field: Vec<String> =
        fields.iter().map(|(field, count)| format!("{count} in \"{field}\"")).collect();
    report.warning(
        format!(
            "mapping: a first sync would overwrite {} not blank in {of}: {}{unseen}",
            counted(sum, "", "value that is", "values that are"),
            by_field.join(", ")
        ),
        "people may have written them: `amfj-sync plan --field FIELD` shows old and new values before anything is \
         written; a field that people fill by hand is not to be mapped",
    );
}

/// Matches by name as a first sync does (P5, P6), and compares (P15).
fn count(integration: &Integration, catalogue: &Catalogue, rows: &[Value], assets: &[Asset]) -> Counted {
    let serials = Serials::of(integration, catalogue, rows);
    let devices: Vec<Row<'_>> =
        rows.iter().filter_map(|raw| Row::of(integration, raw)).map(|row| serials.hush(row)).collect();
    let mut named: BTreeMap<&NameKey, usize> = BTreeMap::new();
    for device in &devices {
        *named.entry(&device.name).or_default() += 1;
    }
    let mut free: BTreeMap<NameKey, Vec<&Asset>> = BTreeMap::new();
    for asset in assets {
        if let Some(name) = NameKey::of(&asset.name) {
            free.entry(name).or_default().push(asset);
        }
    }
    let mut counted = Counted::default();
    for device in devices.iter().filter(|device| named.get(&device.name) == Some(&1)) {
        let candidates = free.get(&device.name).map(Vec::as_slice).unwrap_or_default();
        let Some(asset) = device.only(candidates, &serials) else { continue };
        counted.matched += 1;
        for (field, mapped) in integration.fields.iter() {
            let wanted = mapped.source.evaluate(&|path| {
                if path.is_details() {
                    Known::Unknown
                } else {
                    Known::Known(path.lookup(device.raw).unwrap_or(&Value::Null))
                }
            });
            if overwrites(catalogue, asset, field, &wanted) {
                *counted.fields.entry(field.to_owned()).or_default() += 1;
            }
        }
    }
    counted
}

/// Whether a value that is not blank becomes another one.
fn overwrites(catalogue: &Catalogue, asset: &Asset, name: &str, wanted: &Evaluated) -> bool {
    let Evaluated::Value(wanted) = wanted else { return false };
    let (field, current) = if name == Outcome::NAME {
        (Some(built_in(name)), Value::from(asset.name.as_str()))
    } else {
        let field = catalogue.asset_type(&asset.asset_type.id).and_then(|kind| kind.field(name)).cloned();
        (field, asset.fields.get(name).cloned().unwrap_or_default())
    };
    let Some(field) = field.filter(|_| !is_blank(&current)) else { return false };
    convert(&field, wanted).is_ok_and(|wanted| !is_same(&field, &wanted, &current))
}

impl<'a> Row<'a> {
    /// None of what is matched by no name: without one, out of scope, removed.
    fn of(integration: &Integration, raw: &'a Value) -> Option<Self> {
        let text = |key: &str| raw.get(key).and_then(Value::as_str).unwrap_or_default();
        let tags: Vec<String> = raw
            .get("tags")
            .and_then(Value::as_array)
            .map(|tags| tags.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            .unwrap_or_default();
        let scope = &integration.scope;
        let in_scope = scope.admits(text("platform"), text("blueprint_name"), text("blueprint_id"), &tags);
        let removed = raw.get("is_removed").and_then(Value::as_bool).unwrap_or_default();
        let name = NameKey::of(text("device_name")).filter(|_| in_scope && !removed)?;
        Some(Self { name, serial: text("serial_number"), raw })
    }

    /// The asset that it would be linked to; none where none fits, or several do (P6).
    fn only<'b>(&self, candidates: &[&'b Asset], serials: &Serials<'_>) -> Option<&'b Asset> {
        let is_telling = serial_key(self.serial).is_some();
        let held = |asset: &Asset| serials.held(asset).filter(|_| is_telling);
        let same = |asset: &&&Asset| held(asset).is_some_and(|held| held.is(self.serial));
        let other = |asset: &Asset| held(asset).is_some_and(|held| !held.is(self.serial));
        let own: Vec<&&Asset> = candidates.iter().filter(same).collect();
        let left: Vec<&&Asset> = candidates.iter().filter(|asset| !other(asset)).collect();
        match (own.as_slice(), left.as_slice()) {
            ([asset], _) | ([], [asset]) => Some(asset),
            _ => None,
        }
    }
}

/// What the serials of assets say (P6).
#[derive(Debug)]
struct Serials<'a> {
    catalogue: &'a Catalogue,
    field: Option<&'a str>,
    /// Those of more devices than say something.
    silent: BTreeSet<String>,
}

impl<'a> Serials<'a> {
    fn of(integration: &'a Integration, catalogue: &'a Catalogue, rows: &[Value]) -> Self {
        let mut devices: BTreeMap<String, usize> = BTreeMap::new();
        let listed = rows.iter().filter_map(|row| row.get("serial_number")?.as_str());
        for serial in listed.filter_map(serial_key) {
            *devices.entry(serial).or_default() += 1;
        }
        let silent = devices.into_iter().filter(|(_, devices)| *devices > TELLING_AT_MOST);
        Self {
            catalogue,
            field: integration.fields.field_of("serial_number"),
            silent: silent.map(|(serial, _)| serial).collect(),
        }
    }

    fn hush<'b>(&self, row: Row<'b>) -> Row<'b> {
        let is_silent = serial_key(row.serial).is_some_and(|serial| self.silent.contains(&serial));
        if is_silent { Row { serial: "", ..row } } else { row }
    }

    fn held(&self, asset: &Asset) -> Option<HeldSerial> {
        let held = HeldSerial::of(self.catalogue, asset, self.field?)?;
        (!self.silent.iter().any(|serial| held.is(serial))).then_some(held)
    }
}
