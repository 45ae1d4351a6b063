//! The mapped fields of one device side by side, for a person who asks (P13 … P16).

use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::Key;
use amfj_sync_model::mapping::Evaluated;
use amfj_sync_model::messages::{DeviceEntry, Outcome};
use serde::Serialize;
use serde_json::Value;

use super::updating::{Comparison, evaluate, name_field};
use super::{Site, values};

/// One mapped field of one device.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MappedValue {
    /// The AMFJ field.
    pub field: String,
    /// The property or template that fills it.
    pub source: String,
    /// What Kandji says.
    pub kandji: Option<Value>,
    /// The same, converted to the field's type.
    pub wanted: Option<Value>,
    /// What AMFJ holds.
    pub amfj: Option<Value>,
    /// How the two sides compare.
    pub finding: Finding,
}

/// How the two sides of a mapped field compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "is", content = "reason", rename_all = "snake_case")]
pub enum Finding {
    /// AMFJ holds it already.
    Same,
    /// It is to be written.
    Differs,
    /// Kandji has no value, so AMFJ's is left alone (P14).
    Empty,
    /// Kandji's value has not been read yet.
    Unread,
    /// The asset's type does not have the field (P15).
    NotOfType,
    /// There is no asset to compare with.
    NoAsset,
    /// The value is left out, for this reason (P15).
    LeftOut(String),
}

/// All mapped fields of a device, beside those of its asset, if it has one.
#[must_use]
pub fn mapped_values(site: &Site<'_>, device: &DeviceEntry, asset: Option<&Asset>) -> Vec<MappedValue> {
    let fields = site.config.fields.iter();
    fields
        .map(|(name, mapped)| {
            let evaluated = evaluate(&mapped.source, device);
            let mut shown = MappedValue {
                field: name.to_owned(),
                source: mapped.source.to_string(),
                kandji: match &evaluated {
                    Evaluated::Value(value) => Some(value.clone()),
                    Evaluated::Blank => Some(Value::Null),
                    Evaluated::Unknown | Evaluated::Failed(_) => None,
                },
                wanted: None,
                amfj: None,
                finding: Finding::NoAsset,
            };
            if let Some(asset) = asset {
                compare(site, device, asset, &evaluated, &mut shown);
            }
            shown
        })
        .collect()
}

fn compare(
    site: &Site<'_>,
    device: &DeviceEntry,
    asset: &Asset,
    evaluated: &Evaluated,
    shown: &mut MappedValue,
) {
    let name = &shown.field;
    let asset_type = site.view.catalogue().asset_type(&asset.asset_type.id);
    let (field, current) = if name == Outcome::NAME {
        (Some(name_field(name)), Value::from(asset.name.as_str()))
    } else {
        let field = asset_type.and_then(|asset_type| asset_type.field(name)).cloned();
        (field, asset.fields.get(name).cloned().unwrap_or(Value::Null))
    };
    let Some(field) = field else {
        shown.finding = Finding::NotOfType;
        return;
    };
    let memory = site.memory(&Key::Device(device.device_id.clone()));
    let claims = site.view.asset(&asset.id).map(|row| row.claims);
    let comparison = Comparison {
        memory: &memory,
        claims: claims.as_ref(),
        on_empty: site.config.sync.on_empty,
        rematch: site.view.meta().rematch,
    };
    let source = site.config.fields.get(name).map(|mapped| &mapped.source);
    let edit = comparison.edit(&field, source, &current, &|| evaluated.clone());
    if let Evaluated::Value(value) = evaluated {
        shown.wanted = values::convert(&field, value).ok();
    }
    shown.amfj = Some(current);
    shown.finding = match (edit, evaluated) {
        (Err(reason), _) => Finding::LeftOut(reason),
        (Ok(Some(_)), _) => Finding::Differs,
        (Ok(None), Evaluated::Unknown) => Finding::Unread,
        (Ok(None), Evaluated::Blank) => Finding::Empty,
        (Ok(None), Evaluated::Value(_) | Evaluated::Failed(_)) => Finding::Same,
    };
}
