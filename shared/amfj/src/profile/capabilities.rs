//! What an interface cannot do, known at start: a setting that needs it is refused with its name, and everything else does without.

use std::sync::Arc;

use amfj_sync_config::catalogue::maps_user_fields;
use amfj_sync_config::{Config, CreateDevices, CreateUsers, Integration, WhenGone};
use amfj_sync_model::messages::Outcome;

use super::operation::Op;
use super::types::Profile;

/// Reads the profile of every integration, and looks whether their settings can be kept with it. The error is a text for people, with
/// everything that is wrong; the program ends with status 2.
pub fn check(config: &Config) -> Result<Vec<Arc<Profile>>, String> {
    let (mut profiles, mut wrong) = (Vec::new(), Vec::new());
    for integration in &config.integrations {
        match super::load(&integration.amfj.profile) {
            Ok(profile) => {
                wrong.extend(refusals(integration, &profile));
                profiles.push(profile);
            }
            Err(errors) => wrong.push(errors.to_string()),
        }
    }
    wrong.dedup();
    if wrong.is_empty() { Ok(profiles) } else { Err(wrong.join("\n\n")) }
}

/// What the settings of an integration need and the interface does not have: one sentence each.
#[must_use]
pub fn refusals(config: &Integration, profile: &Profile) -> Vec<String> {
    let mut refusals = Vec::new();
    let mut refuse = |key: &str, is_set: bool, lacks: &str, write: &str| {
        if is_set {
            let place = config
                .place_of(key)
                .map_or_else(|| format!("integration {}: ", config.id), |place| format!("{place}: "));
            let short = key.split_once('.').map_or(key, |(_, name)| name);
            refusals.push(format!(
                "{place}\"{short}\" cannot be kept: the profile {} has no {lacks}; {write}",
                profile.name
            ));
        }
    };
    let sync = &config.sync;
    let lacks = |ops: &[Op]| ops.iter().find(|op| !profile.has(**op)).map(|op| op.key());
    if let Some(op) = lacks(&[Op::CreateAsset]) {
        let creates = sync.create_devices != CreateDevices::Never;
        refuse("sync.create_devices", creates, op, "write create_devices = \"never\"");
    }
    if let Some(op) = lacks(&[Op::ListUsers, Op::CreateUser, Op::UpdateUser]) {
        let creates = sync.create_users != CreateUsers::Never;
        refuse("sync.create_users", creates, op, "write create_users = \"never\"");
    }
    if let Some(op) = lacks(&[Op::ListUsers, Op::UpdateUser]) {
        for (name, _) in config.user_fields.iter() {
            refuse(&format!("user_fields.{name}"), true, op, "remove the line");
        }
    }
    if let Some(op) = lacks(&[Op::ListUserFields]).filter(|_| profile.has(Op::UpdateUser)) {
        for name in maps_user_fields(config) {
            refuse(&format!("user_fields.{name}"), true, op, "remove the line, or describe it");
        }
    }
    let holder = profile.asset.holder.is_none().then_some("holder in [asset]");
    if let Some(what) = lacks(&[Op::ListUsers, Op::CheckOut, Op::CheckIn]).or(holder) {
        refuse("sync.auto_checkout", sync.auto_checkout, what, "write auto_checkout = false");
    }
    if let Some(what) = lacks(&[Op::CheckIn]).or(holder) {
        let checks_in = sync.when_gone == WhenGone::CheckIn;
        refuse("sync.when_gone", checks_in, what, "write when_gone = \"report\"");
    }
    if let Some(what) = lacks(&[Op::ListLocations]).or_else(|| {
        let knows = profile.asset.location.is_some() && profile.asset.write.location.is_some();
        (!knows).then_some("location in [asset] and [asset.write]")
    }) {
        refuse("sync.default_location", sync.default_location.is_some(), what, "remove the line");
    }
    let has_fields = profile.asset.fields.is_some()
        && (profile.has(Op::ListAssetFields) || profile.asset_type.fields.is_some());
    if !has_fields {
        for (name, _) in config.fields.iter().filter(|(name, _)| *name != Outcome::NAME) {
            let what = "fields in [asset], or nothing that lists them";
            refuse(&format!("fields.{name}"), true, what, "remove the line, or describe them");
        }
    }
    if config.fields.get(Outcome::NAME).is_some() && profile.asset.write.name.is_none() {
        refuse("fields.Name", true, "name in [asset.write]", "remove the line, or describe it");
    }
    refusals
}
