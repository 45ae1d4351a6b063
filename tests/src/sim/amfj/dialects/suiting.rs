//! What a fleet is like whose AMFJ is spoken to in a dialect: an interface shows and takes no more than it has words for.

use std::collections::BTreeSet;

use super::Dialect;
use crate::sim::fleet::{FieldKind, FieldSpec, Fleet, Owner, Person, SiteUser, email_of};

impl Dialect {
    /// Makes a fleet one that this dialect has words for.
    pub fn suit(self, fleet: &mut Fleet) {
        match self {
            Self::AssumedV1 | Self::OffsetPut => {}
            Self::EnvelopeJobs => tell_people_by_email(fleet),
            Self::PrefixMembers => be_a_spreadsheet(fleet),
        }
    }
}

/// Who has an asset is told by email: every record has one of its own, and so has whoever may get a record.
fn tell_people_by_email(fleet: &mut Fleet) {
    let mut taken = BTreeSet::new();
    for user in &mut fleet.site.users {
        let key = user.email.as_deref().unwrap_or_default().trim().to_lowercase();
        if key.is_empty() || !taken.insert(key) {
            user.email = Some(own_email(user));
        }
    }
    fleet.people.iter_mut().for_each(give_email);
    for device in &mut fleet.devices {
        if let Owner::Person(person) = &mut device.user {
            give_email(person);
        }
    }
}

fn own_email(user: &SiteUser) -> String {
    format!("{}@records.example.com", user.id)
}

fn give_email(person: &mut Person) {
    let is_blank = person.email.as_deref().is_none_or(|email| email.trim().is_empty());
    if is_blank {
        let id = person.id_text().unwrap_or_default();
        let name = person.name.clone().unwrap_or_default();
        person.email = Some(format!("{id}{}", email_of(&name)));
    }
}

/// Every field is a text, none is required, and nothing is said of where a record comes from.
fn be_a_spreadsheet(fleet: &mut Fleet) {
    let site = &mut fleet.site;
    let of_types = site.asset_types.iter_mut().flat_map(|kind| &mut kind.fields);
    for field in of_types.chain(&mut site.user_fields) {
        *field = FieldSpec::new(&field.name, FieldKind::Text);
    }
    site.users.iter_mut().for_each(|user| user.is_jira = false);
}
