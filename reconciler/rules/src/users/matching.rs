//! The rungs of P10: the link, the email, the name.

use amfj_sync_model::amfj::UserRecord;
use amfj_sync_model::ids::{KandjiUserId, RecordId, UserKey};
use amfj_sync_model::messages::{Candidate, Outcome, Rule, UserEntry};
use amfj_sync_model::names::{NameKey, email_key};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::RecordRow;

use super::super::{Site, doubt};
use super::{candidate, label, linked_record};

/// What a person is to AMFJ.
#[derive(Debug, Clone, PartialEq)]
pub enum UserResolution {
    /// They have a record.
    Linked {
        /// The record.
        record: Box<RecordRow>,
        /// The rule that made the link.
        rule: Rule,
        /// Their other Kandji users, which are to be tied to the same record.
        unlinked: Vec<KandjiUserId>,
    },
    /// They are this record, and the link is to be made.
    Link {
        /// The record.
        record: Box<RecordRow>,
        /// Why this one.
        rule: Rule,
    },
    /// No record is theirs.
    Unmatched,
    /// A person unlinked them: no rule links or creates.
    Closed {
        /// One sentence, with what to do.
        reason: String,
    },
    /// There is more than one possibility.
    Ambiguous {
        /// One sentence, with what to do.
        reason: String,
        /// The possibilities.
        candidates: Vec<Candidate>,
    },
}

/// Resolves a person whom the devices of the inventory in force name (P10).
#[must_use]
pub fn resolve_user(site: &Site<'_>, user: &UserEntry) -> UserResolution {
    let view = site.view;
    if let Some(resolution) = by_link(view, user) {
        return resolution;
    }
    if user.ids.iter().any(|id| view.is_user_unlinked_by_person(id)) {
        let reason = format!(
            "A person unlinked \"{}\", so no rule gives them a record; `amfj-sync link-user {} RECORD` does.",
            label(user),
            user.key
        );
        return UserResolution::Closed { reason };
    }
    by_email(view, user)
        .or_else(|| {
            site.config.user_fields.maps(Outcome::NAME, "user.name").then(|| by_name(site, user)).flatten()
        })
        .or_else(|| in_doubt(site, user))
        .unwrap_or(UserResolution::Unmatched)
}

/// Nothing is created beside what an interrupted creation may have made.
fn in_doubt(site: &Site<'_>, user: &UserEntry) -> Option<UserResolution> {
    let record = doubt::of_person(site, &user.key)?.record;
    let reason = format!(
        "An interrupted creation may have made user record \"{}\" of \"{}\"; if it did: `amfj-sync link-user {} \
         {}`; if not, delete that record in AMFJ.",
        record.name,
        label(user),
        user.key,
        record.id
    );
    let candidates = vec![candidate(&record, "may have come of an interrupted creation")];
    Some(UserResolution::Ambiguous { reason, candidates })
}

/// The first rung: the record that one of the person's Kandji users is linked to.
fn by_link(view: &Projection, user: &UserEntry) -> Option<UserResolution> {
    let mut unlinked = Vec::new();
    let mut found: Option<(RecordRow, Rule)> = None;
    let mut others: Vec<RecordRow> = Vec::new();
    for id in &user.ids {
        match (linked_record(view, id), &found) {
            (Some(linked), None) => found = Some(linked),
            (Some((row, _)), Some((first, _))) if row.record.id != first.record.id => others.push(row),
            (Some(_), Some(_)) => {}
            (None, _) if view.is_user_unlinked_by_person(id) => {}
            (None, _) => unlinked.push(id.clone()),
        }
    }
    let (record, rule) = found?;
    if others.is_empty() {
        return Some(UserResolution::Linked { record: Box::new(record), rule, unlinked });
    }
    let records = std::iter::once(&record).chain(&others);
    let candidates = records.map(|row| candidate(&row.record, "linked to a Kandji user of this person"));
    let candidates = candidates.collect();
    Some(ambiguous(user, "their Kandji users are linked to different records", candidates))
}

/// The second rung.
fn by_email(view: &Projection, user: &UserEntry) -> Option<UserResolution> {
    let ids = view.records_with_email(user.email.as_deref()?);
    let records: Vec<RecordRow> = ids.iter().filter_map(|id| view.record(id)).collect();
    match records.as_slice() {
        [] => None,
        [row] => Some(match linked_to_another(view, user, &row.record.id) {
            None => UserResolution::Link { record: Box::new(row.clone()), rule: Rule::Email },
            Some(other) => {
                let note = format!("has this email, and is linked to {other}");
                ambiguous(
                    user,
                    "the record with their email is linked to somebody else",
                    vec![candidate(&row.record, &note)],
                )
            }
        }),
        several => {
            let candidates = several.iter().map(|row| candidate(&row.record, "has this email")).collect();
            Some(ambiguous(user, "several records have their email", candidates))
        }
    }
}

/// Another person whom the devices name, and who has this record.
fn linked_to_another(view: &Projection, user: &UserEntry, record: &RecordId) -> Option<UserKey> {
    let ids = view.linked_users(record).into_iter();
    ids.filter_map(|id| view.user_of(&id)).find(|key| *key != user.key)
}

/// The third rung. A record whose Kandji users all left is free: somebody without email comes back under a new id.
fn by_name(site: &Site<'_>, user: &UserEntry) -> Option<UserResolution> {
    let view = site.view;
    let name = NameKey::of(&user.name)?;
    let ids = view.records_named(&name).into_iter();
    let ids = ids.filter(|id| linked_to_another(view, user, id).is_none());
    let rows = ids.filter_map(|id| view.record(&id));
    let records: Vec<RecordRow> = rows.filter(|row| !belongs_by_email(view, user, row)).collect();
    let (first, more) = records.split_first()?;
    let shown = || records.iter().map(|row| candidate(&row.record, "has this name")).collect();
    if !more.is_empty() {
        return Some(ambiguous(user, "several records have their name, and none their email", shown()));
    }
    if let Some(other) =
        view.users_named(&name).into_iter().find(|key| *key != user.key && needs_name(view, key))
    {
        let why = format!("{other} has the same name, and one record may be either's");
        return Some(ambiguous(user, &why, shown()));
    }
    if let Some((kandji, amfj)) =
        other_email(user, &first.record).filter(|_| !site.config.sync.name_beats_email)
    {
        let why = format!(
            "the record of their name has {amfj}, and Kandji says {kandji}, which may be two people (or set \
             name_beats_email = true)"
        );
        return Some(ambiguous(user, &why, shown()));
    }
    Some(UserResolution::Link { record: Box::new(first.clone()), rule: Rule::UserName })
}

/// The emails of Kandji and of AMFJ, where both are there and differ.
pub(super) fn other_email(user: &UserEntry, record: &UserRecord) -> Option<(String, String)> {
    let kandji = user.email.as_deref().and_then(email_key)?;
    let amfj = record.email.as_deref().and_then(email_key)?;
    (kandji != amfj).then_some((kandji, amfj))
}

/// A record that shows no email, has this person's name and may be theirs (P10): nothing matches it, and that is said.
pub(super) fn namesake_without_email(view: &Projection, user: &UserEntry) -> Option<UserRecord> {
    let records = view.records_named(&NameKey::of(&user.name)?).into_iter();
    let free = records.filter(|id| linked_to_another(view, user, id).is_none());
    free.filter_map(|id| view.record(&id))
        .map(|row| row.record)
        .find(|record| record.email.as_deref().and_then(email_key).is_none())
}

/// Another record with this person's email (P10).
pub(super) fn other_record_of_email(
    view: &Projection,
    user: &UserEntry,
    record: &RecordId,
) -> Option<UserRecord> {
    let records = view.records_with_email(user.email.as_deref()?).into_iter();
    records.filter(|id| id != record).find_map(|id| view.record(&id)).map(|row| row.record)
}

/// Whether this person speaks for a record of ours that several people share: the one with the smallest id does, or
/// their names would be written in turn (P11).
pub(super) fn speaks_for(view: &Projection, user: &UserEntry, record: &RecordId) -> bool {
    let smallest = view.linked_users(record).into_iter().filter(|id| view.user_of(id).is_some()).min();
    smallest.is_none_or(|id| view.user_of(&id).as_ref() == Some(&user.key))
}

/// Whether a record has the email of another person whom the devices name.
fn belongs_by_email(view: &Projection, user: &UserEntry, row: &RecordRow) -> bool {
    let key = row.record.email.as_deref().and_then(email_key).and_then(|email| UserKey::new(email).ok());
    key.filter(|key| *key != user.key).and_then(|key| view.user(&key)).is_some_and(|row| !row.missing)
}

/// Whether a person gets as far as the third rung.
fn needs_name(view: &Projection, key: &UserKey) -> bool {
    view.user(key).is_some_and(|row| {
        let user = &row.entry;
        let is_open = |id| linked_record(view, id).is_none() && !view.is_user_unlinked_by_person(id);
        user.ids.iter().all(is_open) && by_email(view, user).is_none()
    })
}

fn ambiguous(user: &UserEntry, why: &str, candidates: Vec<Candidate>) -> UserResolution {
    let first = candidates.first().map_or("RECORD", |candidate| candidate.id.as_str());
    let reason = format!(
        "\"{}\" gets no user record: {why}; choose one with `amfj-sync link-user {} {first}`.",
        label(user),
        user.key
    );
    UserResolution::Ambiguous { reason, candidates }
}
