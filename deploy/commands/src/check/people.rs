//! People of Kandji beside the user records of AMFJ that show no email (P10).

use std::collections::BTreeSet;

use amfj_sync_model::names::{NameKey, email_key};
use serde_json::Value;

use super::report::{Report, counted};

/// Names that are given as examples.
const SHOWN: usize = 3;

/// What the user records of AMFJ show.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// The names of those that show no email.
    pub(super) without_email: BTreeSet<NameKey>,
    /// The emails of the others.
    pub(super) emails: BTreeSet<String>,
}

/// A record without email that has the name of somebody without record may be theirs: a run says so, and creates another.
pub(super) fn check(rows: &[Value], records: &Records, report: &mut Report) {
    let names = in_doubt(rows, records);
    if names.is_empty() {
        return;
    }
    let shown: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    report.warning(
        format!(
            "people: {} no record of that email, and the name of a record that shows none, such as {}",
            counted(names.len(), "", "person has", "people have"),
            shown.join(", ")
        ),
        "map Name from user.name in user_fields to match them by name, or link them with `amfj-sync link-user`",
    );
}

fn in_doubt(rows: &[Value], records: &Records) -> BTreeSet<String> {
    let users = rows.iter().filter_map(|row| row.get("user")).filter_map(|user| {
        let name = user.get("name")?.as_str()?;
        let email = user.get("email").and_then(Value::as_str).and_then(email_key);
        Some((name, email))
    });
    let doubtful = users.filter(|(name, email)| {
        let is_known = email.as_ref().is_some_and(|email| records.emails.contains(email));
        !is_known && NameKey::of(name).is_some_and(|name| records.without_email.contains(&name))
    });
    doubtful.map(|(name, _)| format!("\"{}\"", name.trim())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn p10_people_whose_name_a_record_without_email_bears_are_named() {
        let records = Records {
            without_email: NameKey::of("Sam Smith").into_iter().collect(),
            emails: BTreeSet::from(["kim@x.com".to_owned()]),
        };
        for (user, doubtful) in [
            (json!({ "name": "SAM  SMITH", "email": "sam@x.com" }), true),
            (json!({ "name": "Sam Smith", "email": null }), true),
            (json!({ "name": "Sam Smith", "email": "KIM@x.com" }), false),
            (json!({ "name": "Kim", "email": "kim@y.com" }), false),
            (json!(""), false),
        ] {
            let found = in_doubt(&[json!({ "user": user })], &records);
            assert_eq!(!found.is_empty(), doubtful, "{user}");
        }
    }
}
