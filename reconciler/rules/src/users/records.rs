//! User records that this product creates and keeps in step (P11).

use std::collections::BTreeMap;

use amfj_sync_config::{CreateUsers, OnEmpty};
use amfj_sync_model::amfj::Source;
use amfj_sync_model::ids::Key;
use amfj_sync_model::mapping::{Evaluated, Known, PropertyPath};
use amfj_sync_model::messages::{Action, DeviceStatus, Edit, Outcome, Rule, UserEntry, UserWrite};
use amfj_sync_model::names::email_key;
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::{Memory, RecordRow};
use serde_json::Value;

use super::super::draft::Findings;
use super::super::matching::{Resolution, resolve};
use super::super::updating::{Comparison, Problems, name_field};
use super::super::{Site, creating, values};
use super::label;

/// A person without record: created, or not, and why not.
pub(super) fn without_record(site: &Site<'_>, user: &UserEntry) -> Findings {
    if let Some((state, reason)) = may_not_create(site, user) {
        return Findings::new(state, reason);
    }
    let Some(name) = name(site, user) else {
        let reason = format!(
            "Kandji user {} has neither name nor email, so no user record is created; add one in Kandji.",
            user.key
        );
        return Findings::new(DeviceStatus::UserProblem, reason);
    };
    let memory = site.memory(&Key::User(user.key.clone()));
    let (mut fields, mut problems) = (BTreeMap::new(), Problems::new());
    for (field, edit) in edits(site, user, None, &memory, &mut problems) {
        fields.insert(field, edit.new);
    }
    if let Some(missing) = missing_field(site, &fields) {
        let reason = format!(
            "No user record is created for \"{}\": it must have a value in \"{missing}\", and has none; map \
             that field in [integration.user_fields], or create the record by hand.",
            label(user)
        );
        let mut findings = Findings::new(DeviceStatus::UserProblem, reason);
        findings.field_problems = problems;
        return findings;
    }
    let mut findings = Findings::new(DeviceStatus::InSync, String::new());
    findings.rule = Some(Rule::Created);
    let why = format!("\"{}\" has no user record; one is created (P11).", label(user));
    let email = email(site, user);
    findings.act(&memory, Action::CreateUser { name, email, fields, ids: user.ids.clone() }, &why);
    findings.find_field_problems(problems);
    findings
}

/// Why no record may be created for this person, if none may.
fn may_not_create(site: &Site<'_>, user: &UserEntry) -> Option<(DeviceStatus, String)> {
    let (view, label) = (site.view, label(user));
    if has_lost_its_record(view, user) {
        let reason = format!(
            "The user record of \"{label}\" was deleted in AMFJ and is not created again; link another with \
             `amfj-sync link-user {} RECORD`.",
            user.key
        );
        return Some((DeviceStatus::UserProblem, reason));
    }
    let unmatched = |why: &str| {
        let reason = format!("\"{label}\" has no user record, and none is created: {why}.");
        Some((DeviceStatus::Unmatched, reason))
    };
    if user.archived {
        return unmatched("Kandji lists them as archived");
    }
    match site.config.sync.create_users {
        CreateUsers::Never => unmatched("create_users is \"never\""),
        CreateUsers::All if view.devices_of(&user.key).is_empty() => {
            unmatched("none of their devices is in scope")
        }
        CreateUsers::Linked if !has_asset(site, user) => {
            unmatched("none of their devices has an asset or gets one")
        }
        CreateUsers::All | CreateUsers::Linked => None,
    }
}

/// Whether a Kandji user of this person was linked to a record that AMFJ no longer has.
fn has_lost_its_record(view: &Projection, user: &UserEntry) -> bool {
    user.ids.iter().any(|id| view.user_link(id).is_some())
        || view.memory(&Key::User(user.key.clone())).lost_link
}

/// Whether one of the person's devices has an asset, or gets one.
fn has_asset(site: &Site<'_>, user: &UserEntry) -> bool {
    let devices = site.view.devices_of(&user.key);
    devices.iter().filter_map(|id| site.view.device(id)).any(|row| match resolve(site, &row.entry) {
        Resolution::Linked { .. } | Resolution::Link { .. } => true,
        Resolution::Create => creating::is_possible(site, &row.entry),
        Resolution::Unmatched { .. } | Resolution::Ambiguous { .. } => false,
    })
}

/// A required field of user records that is not among these.
fn missing_field<'a>(site: &Site<'a>, fields: &BTreeMap<String, Value>) -> Option<&'a str> {
    let mut required = site.view.catalogue().user_fields.iter().filter(|field| field.required);
    let built_in = |name: &str| name == Outcome::NAME || name == Outcome::EMAIL;
    required
        .find(|field| !built_in(&field.name) && !fields.contains_key(&field.name))
        .map(|f| f.name.as_str())
}

/// A record of ours follows Kandji's name, email and mapped fields, as far as they are not blank.
pub(super) fn keep_in_step(
    site: &Site<'_>,
    user: &UserEntry,
    row: &RecordRow,
    memory: &Memory,
    findings: &mut Findings,
) {
    let record = &row.record;
    // AMFJ lets nobody change a record that it syncs from Jira.
    if record.source != Source::Local {
        return;
    }
    let rematch = site.view.meta().rematch;
    let comparison = Comparison { memory, claims: Some(&row.claims), on_empty: OnEmpty::Keep, rematch };
    let mut problems = Problems::new();
    let mut differs = |field: &str, new: Option<String>, old: Value| {
        let evaluated = new.map_or(Evaluated::Blank, |new| Evaluated::Value(new.into()));
        let source = site.config.user_fields.get(field).map(|mapped| &mapped.source);
        comparison.edit(&name_field(field), source, &old, &|| evaluated.clone()).unwrap_or_else(|problem| {
            problems.insert(field.to_owned(), problem);
            None
        })
    };
    let kandji_name = mapped(site, user, Outcome::NAME).or_else(|| not_blank(&user.name));
    let name = differs(Outcome::NAME, kandji_name, record.name.as_str().into());
    // Two Kandji users of one person may spell the email differently: case is no reason to write.
    let kandji_email =
        email(site, user).filter(|new| email_key(new) != record.email.as_deref().and_then(email_key));
    let email = differs(Outcome::EMAIL, kandji_email, record.email.clone().into());
    let fields = edits(site, user, Some(row), memory, &mut problems);
    let write = UserWrite { name, email, fields };
    if !write.is_empty() {
        let why = format!("User record \"{}\" follows Kandji.", record.name);
        findings.act(memory, Action::UpdateUser { record: record.id.clone(), write }, &why);
    }
    findings.find_field_problems(problems);
}

/// The mapped custom fields that differ from what the record holds, if there is one.
fn edits(
    site: &Site<'_>,
    user: &UserEntry,
    row: Option<&RecordRow>,
    memory: &Memory,
    problems: &mut Problems,
) -> BTreeMap<String, Edit> {
    let rematch = site.view.meta().rematch;
    let claims = row.map(|row| &row.claims);
    let comparison = Comparison { memory, claims, on_empty: OnEmpty::Keep, rematch };
    let mut edits = BTreeMap::new();
    for field in &site.view.catalogue().user_fields {
        let Some(mapped) = site.config.user_fields.get(&field.name) else { continue };
        if field.name == Outcome::NAME || field.name == Outcome::EMAIL {
            continue;
        }
        let current = row.and_then(|row| row.record.fields.get(&field.name)).unwrap_or(&Value::Null);
        let evaluate = || mapped.source.evaluate(&|path| property(user, path));
        match comparison.edit(field, Some(&mapped.source), current, &evaluate) {
            Ok(Some(edit)) => drop(edits.insert(field.name.clone(), edit)),
            Ok(None) => {}
            Err(problem) => drop(problems.insert(field.name.clone(), problem)),
        }
    }
    edits
}

fn property<'u>(user: &'u UserEntry, path: &PropertyPath) -> Known<&'u Value> {
    user.values.get(path.as_str()).map_or(Known::Unknown, Known::Known)
}

/// What a mapping of `Name` or `Email` says, if it says anything.
fn mapped(site: &Site<'_>, user: &UserEntry, field: &str) -> Option<String> {
    let mapped = site.config.user_fields.get(field)?;
    match mapped.source.evaluate(&|path| property(user, path)) {
        Evaluated::Value(value) => values::plain(&value).ok().and_then(|text| not_blank(&text)),
        Evaluated::Unknown | Evaluated::Blank | Evaluated::Failed(_) => None,
    }
}

fn name(site: &Site<'_>, user: &UserEntry) -> Option<String> {
    mapped(site, user, Outcome::NAME).or_else(|| not_blank(&user.name)).or_else(|| email(site, user))
}

fn email(site: &Site<'_>, user: &UserEntry) -> Option<String> {
    mapped(site, user, Outcome::EMAIL).or_else(|| user.email.as_deref().and_then(not_blank))
}

fn not_blank(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}
