//! Which user record a person is, and what becomes of people without one (P10, P11).

mod matching;
mod records;

use amfj_sync_model::amfj::{Source, UserRecord};
use amfj_sync_model::ids::{KandjiUserId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{Action, Candidate, DeviceStatus, Rule, Sequence, UserEntry};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::RecordRow;

use super::draft::{Draft, Findings, Subject};
use super::{Site, because};

pub use matching::{UserResolution, resolve_user};

/// What a person is called: the name, else the email, else the key.
fn label(user: &UserEntry) -> &str {
    [user.name.trim(), user.email.as_deref().unwrap_or_default().trim()]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or(user.key.as_str())
}

/// The record of a Kandji user whose link is effective.
fn linked_record(view: &Projection, id: &KandjiUserId) -> Option<(RecordRow, Rule)> {
    let link = view.user_link(id)?;
    Some((view.record(&link.record)?, link.rule))
}

/// How a device's primary user stands with AMFJ.
pub(super) enum Standing {
    /// They have a record.
    Linked {
        /// The record.
        record: Box<UserRecord>,
        /// Whether Kandji lists them as archived.
        archived: bool,
        /// Their email in Kandji.
        email: Option<String>,
    },
    /// They get one.
    Pending {
        /// It, if it exists.
        record: Option<RecordId>,
    },
    /// They have none, for this reason.
    Problem(String),
}

/// How a device's primary user stands with AMFJ.
pub(super) fn standing(site: &Site<'_>, key: &UserKey) -> Standing {
    let Some(row) = site.view.user(key) else {
        return Standing::Problem(format!("User {key} is not known yet; the next run reads them."));
    };
    let user = row.entry;
    let resolution = resolve_user(site, &user);
    if let UserResolution::Linked { record, .. } = resolution {
        if record.absent_since.is_some() {
            // One list without it is no proof (P11), but reason enough to hand it nothing.
            return Standing::Problem(format!(
                "User record \"{}\" was missing from AMFJ's last list; the next run decides.",
                record.record.name
            ));
        }
        let record = Box::new(record.record);
        return Standing::Linked { record, archived: user.archived, email: user.email };
    }
    let findings = decide(site, &user, resolution);
    let draft = findings.into_draft(subject(site, &user), Sequence::default());
    let gets_one = |action: &Action| matches!(action, Action::LinkUser { .. } | Action::CreateUser { .. });
    if draft.changes.iter().any(|change| gets_one(&change.action)) {
        Standing::Pending { record: draft.decision.record }
    } else {
        Standing::Problem(draft.decision.reason)
    }
}

fn subject(site: &Site<'_>, user: &UserEntry) -> Subject {
    let serials = site.view.devices_of(&user.key).into_iter().filter_map(|id| site.view.device(&id));
    let mut serials: Vec<String> = serials.map(|row| row.entry.serial.trim().to_owned()).collect();
    serials.retain(|serial| !serial.is_empty());
    serials.sort_unstable();
    serials.dedup();
    Subject {
        key: Key::User(user.key.clone()),
        label: label(user).to_owned(),
        serial: String::new(),
        serials,
    }
}

/// Decides a person whom the devices of the inventory in force name, as of one snapshot.
///
/// The decision comes without its changes: they are listed beside it, without id and place.
#[must_use]
pub fn decide_user(site: &Site<'_>, user: &UserEntry, snapshot: Sequence) -> Draft {
    decide(site, user, resolve_user(site, user)).into_draft(subject(site, user), snapshot)
}

fn decide(site: &Site<'_>, user: &UserEntry, resolution: UserResolution) -> Findings {
    match resolution {
        UserResolution::Linked { record, rule, unlinked } => linked(site, user, &record, rule, unlinked),
        UserResolution::Link { record, rule } => link(site, user, &record, rule),
        UserResolution::Unmatched => {
            let mut findings = records::without_record(site, user);
            warn_of_namesake(site, user, &mut findings);
            findings
        }
        UserResolution::Closed { reason } => Findings::new(DeviceStatus::Unmatched, reason),
        UserResolution::Ambiguous { reason, candidates } => {
            let mut findings = Findings::new(DeviceStatus::Ambiguous, reason);
            findings.candidates = candidates;
            findings
        }
    }
}

/// The person has a record: new Kandji ids are tied to it, and a record of ours follows Kandji.
fn linked(
    site: &Site<'_>,
    user: &UserEntry,
    row: &RecordRow,
    rule: Rule,
    unlinked: Vec<KandjiUserId>,
) -> Findings {
    let memory = site.memory(&Key::User(user.key.clone()));
    let record = &row.record;
    let reason = format!("\"{}\" is user record \"{}\".", label(user), record.name);
    let mut findings = Findings::new(DeviceStatus::InSync, reason);
    findings.record = Some(record.id.clone());
    findings.rule = Some(rule);
    if rule == Rule::UserName {
        warn_of_emails(user, record, &mut findings);
    }
    if !unlinked.is_empty() {
        let why = format!("Another Kandji user of \"{}\" is tied to the same record.", label(user));
        let (record, rule) = (record.id.clone(), Rule::SamePerson);
        findings.act(&memory, Action::LinkUser { record, rule, ids: unlinked }, &why);
    }
    if row.ours {
        warn_of_twin(site, user, record, &mut findings);
    }
    if row.ours && matching::speaks_for(site.view, user, &record.id) {
        records::keep_in_step(site, user, row, &memory, &mut findings);
    }
    findings
}

/// The person is to be linked to a record that exists. Nothing of it is changed (P11).
fn link(site: &Site<'_>, user: &UserEntry, row: &RecordRow, rule: Rule) -> Findings {
    let record = &row.record;
    let mut findings = Findings::new(DeviceStatus::InSync, String::new());
    findings.record = Some(record.id.clone());
    findings.rule = Some(rule);
    if rule == Rule::UserName {
        warn_of_emails(user, record, &mut findings);
    }
    let why = format!("\"{}\" is linked to user record \"{}\": {}.", label(user), record.name, because(rule));
    let action = Action::LinkUser { record: record.id.clone(), rule, ids: user.ids.clone() };
    findings.act(&site.memory(&Key::User(user.key.clone())), action, &why);
    findings
}

/// A match by name whose emails differ may be two people (P10).
fn warn_of_emails(user: &UserEntry, record: &UserRecord, findings: &mut Findings) {
    if let Some((kandji, amfj)) = matching::other_email(user, record) {
        findings.warn(format!(
            "\"{}\" was matched by name, but has {kandji} in Kandji and {amfj} in AMFJ; if these are two \
             people: `amfj-sync unlink-user {}`.",
            label(user),
            user.key
        ));
    }
}

/// Jira shows not everybody's email: a record that bears the name of somebody without record may be theirs (P10).
fn warn_of_namesake(site: &Site<'_>, user: &UserEntry, findings: &mut Findings) {
    if let Some(record) = matching::namesake_without_email(site.view, user) {
        findings.warn(format!(
            "User record \"{}\" ({}) shows no email and has the name of \"{}\", who has no record; if it is theirs: \
             `amfj-sync link-user {} {}`.",
            record.name,
            record.id,
            label(user),
            user.key,
            record.id
        ));
    }
}

/// A record of ours and another one, perhaps of Jira, of one person (P10).
fn warn_of_twin(site: &Site<'_>, user: &UserEntry, record: &UserRecord, findings: &mut Findings) {
    if let Some(other) = matching::other_record_of_email(site.view, user, &record.id) {
        let of_jira = if other.source == Source::Local { "" } else { " of Jira" };
        findings.warn(format!(
            "User record \"{}\" ({}), which was created for \"{}\", and record \"{}\" ({}){of_jira} bear one email; if the \
             other is to be theirs: `amfj-sync link-user {} {}`.",
            record.name,
            record.id,
            label(user),
            other.name,
            other.id,
            user.key,
            other.id
        ));
    }
}

fn candidate(record: &UserRecord, note: &str) -> Candidate {
    let email = record.email.as_deref().unwrap_or("no email");
    Candidate { id: record.id.to_string(), name: record.name.clone(), note: format!("{note}, {email}") }
}
