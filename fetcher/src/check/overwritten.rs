//! What a first sync would overwrite: values that are not blank, which people may have written.

use std::collections::BTreeMap;

use amfj_sync_shared::amfj::client::AmfjClient;
use amfj_sync_shared::amfj::{Asset, Field, FieldType};
use amfj_sync_shared::config::Integration;
use amfj_sync_shared::convert::{convert, is_same};
use amfj_sync_shared::http::Limiter;
use amfj_sync_shared::mapping::{Evaluated, Known, is_blank};
use amfj_sync_shared::messages::{Catalogue, Outcome};
use amfj_sync_shared::names::{NameKey, serial_in, serial_key};
use amfj_sync_shared::retry::retry;
use amfj_sync_shared::worker::Exit;
use serde_json::Value;

use super::Asking;
use super::kandji::Sample;
use super::report::{Report, counted};

/// A device as far as this needs it.
#[derive(Debug)]
struct Row<'a> {
    name: NameKey,
    serial: Option<String>,
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
    asking: &Asking,
    report: &mut Report,
) -> Result<(), Exit> {
    if integration.fields.is_empty() || sample.rows.is_empty() {
        return Ok(());
    }
    let limiter = Limiter::new(f64::from(integration.amfj.requests_per_second));
    let client = AmfjClient::from_config(&integration.amfj, limiter)
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    let Asking { reads, stop, .. } = asking;
    let listed = retry(&asking.first, stop, || client.asset_types());
    let Ok(Ok(types)) = asking.first(client.api(), listed).await else { return Ok(()) };
    let catalogue = Catalogue { asset_types: types.results, ..Catalogue::default() };
    let mut assets = Vec::new();
    if client.all_assets(reads, stop, &mut |page| assets.extend(page)).await.is_err() {
        return Ok(());
    }
    say(integration, sample.rows.len(), &count(integration, &catalogue, &sample.rows, &assets), report);
    Ok(())
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
        "people may have written them: `reconciler plan --field FIELD` shows old and new values before anything is \
         written; a field that people fill by hand is not to be mapped",
    );
}

/// Matches by name as a first sync does (P5, P6), and compares (P15).
fn count(integration: &Integration, catalogue: &Catalogue, rows: &[Value], assets: &[Asset]) -> Counted {
    let serial_field = integration.fields.field_of("serial_number");
    let devices: Vec<Row<'_>> = rows.iter().filter_map(|raw| Row::of(integration, raw)).collect();
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
        let Some(asset) = device.only(candidates, serial_field) else { continue };
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
        let field =
            Field { name: name.to_owned(), field_type: FieldType::Text, required: true, options: Vec::new() };
        (Some(field), Value::from(asset.name.as_str()))
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
        Some(Self { name, serial: serial_key(text("serial_number")), raw })
    }

    /// The asset that it would be linked to; none where none fits, or several do (P6).
    fn only<'b>(&self, candidates: &[&'b Asset], serial_field: Option<&str>) -> Option<&'b Asset> {
        let held = |asset: &Asset| serial_in(asset.fields.get(serial_field?)?);
        let same = |asset: &&&Asset| self.serial.is_some() && held(asset) == self.serial;
        let other =
            |asset: &Asset| self.serial.is_some() && held(asset).is_some() && held(asset) != self.serial;
        let own: Vec<&&Asset> = candidates.iter().filter(same).collect();
        let left: Vec<&&Asset> = candidates.iter().filter(|asset| !other(asset)).collect();
        match (own.as_slice(), left.as_slice()) {
            ([asset], _) | ([], [asset]) => Some(asset),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use amfj_sync_shared::amfj::{AssetType, Named};
    use amfj_sync_shared::config::{self, Tokens};
    use amfj_sync_shared::ids::AssetId;
    use serde_json::json;

    use super::*;

    fn integration() -> Integration {
        let text = r#"
[[integration]]
id = "acme"
mode = "plan"
[integration.kandji]
api_url = "https://acme.api.kandji.io"
token = { env = "PATH" }
[integration.amfj]
api_url = "https://api.example.com/v1"
token = { env = "PATH" }
[integration.sync]
default_asset_type = "Laptop"
[integration.scope]
exclude = { platform = ["iPad"] }
[integration.fields]
"Serial Number" = "serial_number"
"Model" = "model"
"Memory" = "asset_tag"
"Notes" = "{{ model }}, {{ os_version }}"
"#;
        let path = Path::new("amfj-sync.toml");
        let loaded = config::parse(path, text.to_owned(), &BTreeMap::new(), Tokens::None).unwrap();
        loaded.config.integrations[0].clone()
    }

    fn asset(id: &str, name: &str, fields: &Value) -> Asset {
        let fields = fields.as_object().cloned().unwrap_or_default().into_iter().collect();
        Asset {
            id: AssetId::new(id).unwrap(),
            name: name.into(),
            asset_type: Named { id: "t".into(), name: "Laptop".into() },
            location: None,
            fields,
            checked_out_to: None,
            created_at: None,
        }
    }

    #[test]
    fn values_that_a_first_sync_would_overwrite_are_counted_by_field() {
        let field = |name: &str, field_type| Field {
            name: name.into(),
            field_type,
            required: false,
            options: Vec::new(),
        };
        let fields = vec![
            field("Serial Number", FieldType::Text),
            field("Model", FieldType::Text),
            field("Memory", FieldType::Number),
            field("Notes", FieldType::Text),
        ];
        let laptop = AssetType { id: "t".into(), name: "Laptop".into(), fields };
        let catalogue = Catalogue { asset_types: vec![laptop], ..Catalogue::default() };
        let device = |name: &str, serial: &str, platform: &str| {
            json!({"device_name": name, "serial_number": serial, "platform": platform, "model": "Air",
                   "asset_tag": "8", "os_version": "15"})
        };
        let rows = [
            device("Imani’s Mac", "S1", "Mac"),
            device("Lobby", "S2", "Mac"),
            device("Lobby", "S3", "Mac"),
            device("Kiosk", "S4", "iPad"),
            device("Desk", "S5", "Mac"),
            device("Twin", "S6", "Mac"),
        ];
        let by_hand = json!({"Notes": "keyboard replaced", "Model": "Pro", "Memory": 8.0});
        let assets = [
            asset("a1", "Imani's Mac", &by_hand),
            asset("a2", "Lobby", &by_hand),
            asset("a3", "Kiosk", &by_hand),
            asset("a4", "Desk", &json!({"Serial Number": "OTHER", "Notes": "mine"})),
            asset("a5", "Twin", &json!({"Serial Number": "s6", "Notes": " ", "Model": "Air"})),
            asset("a6", "Twin", &by_hand),
        ];
        let counted = count(&integration(), &catalogue, &rows, &assets);
        // The one of the same name, and the one of several that has the serial; its spelling differs.
        let fields = [("Model", 1), ("Notes", 1), ("Serial Number", 1)];
        let fields = fields.into_iter().map(|(field, count)| (field.to_owned(), count)).collect();
        assert_eq!(counted, Counted { matched: 2, fields });
    }
}
