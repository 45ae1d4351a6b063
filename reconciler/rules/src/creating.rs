//! What an asset is created with (P7, P12).

use std::collections::BTreeMap;

use amfj_sync_config::{Integration, OnEmpty};
use amfj_sync_model::amfj::{AssetType, Field, Named};
use amfj_sync_model::ids::Key;
use amfj_sync_model::mapping::Evaluated;
use amfj_sync_model::messages::{Action, DeviceEntry, DeviceStatus, Outcome, Rule};
use amfj_sync_projection::rows::Memory;
use serde_json::Value;

use super::draft::Findings;
use super::updating::{Comparison, Problems, evaluate};
use super::{Site, label, values};

/// An asset that can be created, with the values that are left out; or why it cannot.
struct Plan {
    action: Action,
    problems: Problems,
}

/// Why an asset cannot be created.
struct Obstacle {
    state: DeviceStatus,
    reason: String,
    problems: Problems,
}

/// A device that [`super::matching::resolve`] found may get an asset.
pub(super) fn decide(site: &Site<'_>, device: &DeviceEntry) -> Findings {
    let memory = site.memory(&Key::Device(device.device_id.clone()));
    match plan(site, device, &memory) {
        Ok(Plan { action, problems }) => {
            let mut findings = Findings::new(DeviceStatus::InSync, String::new());
            findings.rule = Some(Rule::Created);
            let why = format!("\"{}\" has no asset; one is created for it (P7).", label(device));
            findings.act(&memory, action, &why);
            findings.find_field_problems(problems);
            findings
        }
        Err(obstacle) => {
            let mut findings = super::unlinked(site, device, obstacle.state, obstacle.reason, Vec::new());
            findings.field_problems = obstacle.problems;
            findings
        }
    }
}

/// Whether nothing stands in the way of creating the asset (P11).
pub(super) fn is_possible(site: &Site<'_>, device: &DeviceEntry) -> bool {
    plan(site, device, &site.memory(&Key::Device(device.device_id.clone()))).is_ok()
}

fn plan(site: &Site<'_>, device: &DeviceEntry, memory: &Memory) -> Result<Plan, Obstacle> {
    let catalogue = site.view.catalogue();
    let type_name = type_name(site.config, &device.platform);
    let asset_type = catalogue.asset_type_named(type_name).ok_or_else(|| Obstacle {
        state: DeviceStatus::FieldProblem,
        reason: format!(
            "No asset is created for \"{}\": AMFJ has no asset type \"{type_name}\"; correct \
             default_asset_type or [integration.asset_types].",
            label(device)
        ),
        problems: Problems::new(),
    })?;
    let location = site.config.sync.default_location.as_deref();
    let (fields, problems) = fields(site, device, asset_type, memory)?;
    let action = Action::CreateAsset {
        name: name(site.config, device),
        asset_type: Named { id: asset_type.id.clone(), name: asset_type.name.clone() },
        location: location.and_then(|name| catalogue.location_named(name)).cloned(),
        fields,
    };
    Ok(Plan { action, problems })
}

/// The type for the device's platform, else the default one (P12).
fn type_name<'a>(config: &'a Integration, platform: &str) -> &'a str {
    let platform = platform.trim();
    let by_platform = config.asset_types.get(platform).or_else(|| {
        let same = |(key, _): &(&String, _)| key.trim().eq_ignore_ascii_case(platform);
        config.asset_types.iter().find(same).map(|(_, name)| name)
    });
    by_platform.unwrap_or(&config.sync.default_asset_type)
}

/// The mapped name, else the device's name, else its serial (P12).
fn name(config: &Integration, device: &DeviceEntry) -> String {
    let mapped = config.fields.get(Outcome::NAME).and_then(|mapped| {
        let Evaluated::Value(value) = evaluate(&mapped.source, device) else { return None };
        values::plain(&value).ok().filter(|name| !name.is_empty())
    });
    mapped.unwrap_or_else(|| label(device).to_owned())
}

fn fields(
    site: &Site<'_>,
    device: &DeviceEntry,
    asset_type: &AssetType,
    memory: &Memory,
) -> Result<(BTreeMap<String, Value>, Problems), Obstacle> {
    let rematch = site.view.meta().rematch;
    let comparison = Comparison { memory, claims: None, on_empty: OnEmpty::Keep, rematch };
    let (mut fields, mut problems) = (BTreeMap::new(), Problems::new());
    let (mut missing, mut unread) = (Vec::new(), true);
    for field in &asset_type.fields {
        let source = site.config.fields.get(&field.name).map(|mapped| &mapped.source);
        let value = source.map(|source| evaluate(source, device));
        let is_unread = value == Some(Evaluated::Unknown);
        match value.map_or(Ok(None), |value| comparison.edit(field, source, &Value::Null, &|| value.clone()))
        {
            Ok(Some(edit)) => {
                fields.insert(field.name.clone(), edit.new);
                continue;
            }
            Ok(None) => {}
            Err(problem) => drop(problems.insert(field.name.clone(), problem)),
        }
        if field.required {
            missing.push(field);
            unread &= is_unread;
        }
    }
    if missing.is_empty() {
        Ok((fields, problems))
    } else {
        Err(obstacle(device, &missing, unread, problems))
    }
}

fn obstacle(device: &DeviceEntry, missing: &[&Field], unread: bool, mut problems: Problems) -> Obstacle {
    let names: Vec<_> = missing.iter().map(|field| format!("\"{}\"", field.name)).collect();
    let names = names.join(", ");
    if unread {
        let reason = format!(
            "The asset for \"{}\" is created once the device's details are read: it must have {names}.",
            label(device)
        );
        return Obstacle { state: DeviceStatus::Pending, reason, problems };
    }
    for field in missing {
        let why = || "an asset must have it, and Kandji has no value".to_owned();
        problems.entry(field.name.clone()).or_insert_with(why);
    }
    let why = missing.first().and_then(|field| problems.get(&field.name)).cloned().unwrap_or_default();
    let reason = format!(
        "No asset is created for \"{}\": it must have a value in {names}, and has none ({why}); fill it in \
         Kandji, or create the asset by hand and link it.",
        label(device)
    );
    Obstacle { state: DeviceStatus::FieldProblem, reason, problems }
}
