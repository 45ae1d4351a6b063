//! Which user record a person is, and who gets a new one (P10, P11).

use std::collections::{BTreeMap, BTreeSet};

use super::{CreateUsers, Model, Run, kandji::Person, matching::Resolution, values, words};
use crate::sim::fleet::SiteUser;

/// What becomes of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PersonIs {
    Record(String),
    Created,
    /// Ambiguous, or nobody may create a record.
    Nobody,
}

/// A rung of the ladder of P10.
enum Rung {
    Found(String),
    Refused,
    Next,
}

impl Model {
    /// Matches all people with the records there were when the run began.
    pub(super) fn match_people(
        &self,
        run: &Run,
        resolutions: &BTreeMap<String, Resolution>,
    ) -> BTreeMap<String, PersonIs> {
        run.people
            .iter()
            .map(|person| (person.key.clone(), self.match_one(run, resolutions, person)))
            .collect()
    }

    fn match_one(&self, run: &Run, resolutions: &BTreeMap<String, Resolution>, person: &Person) -> PersonIs {
        for rung in [self.by_link(person), self.by_email(run, person), self.by_user_name(run, person)] {
            match rung {
                Rung::Found(record) => return PersonIs::Record(record),
                Rung::Refused => return PersonIs::Nobody,
                Rung::Next => {}
            }
        }
        let has_asset = |device: &String| {
            let gets_one =
                matches!(resolutions.get(device), Some(Resolution::Link { .. } | Resolution::Create));
            gets_one || self.links.contains_key(device)
        };
        let is_wanted = match run.settings.create_users {
            CreateUsers::Never => false,
            CreateUsers::All => true,
            CreateUsers::Linked => person.devices.iter().any(has_asset),
        };
        let is_lost = person.ids.iter().any(|id| self.lost_user_links.contains(id));
        let is_nameless = words::is_blank(&person.name) && words::is_blank(&person.email);
        if is_wanted && !is_lost && !is_nameless && !person.archived {
            PersonIs::Created
        } else {
            PersonIs::Nobody
        }
    }

    fn by_link(&self, person: &Person) -> Rung {
        let linked: BTreeSet<&String> = person.ids.iter().filter_map(|id| self.user_links.get(id)).collect();
        match linked.into_iter().collect::<Vec<_>>().as_slice() {
            [] => Rung::Next,
            [record] => Rung::Found((*record).clone()),
            _ => Rung::Refused,
        }
    }

    fn by_email(&self, run: &Run, person: &Person) -> Rung {
        match self.records_with_email(person).as_slice() {
            [] => Rung::Next,
            [record] if !self.belongs_to_another(run, &record.id, person) => Rung::Found(record.id.clone()),
            _ => Rung::Refused,
        }
    }

    fn by_user_name(&self, run: &Run, person: &Person) -> Rung {
        let records = self.records_with_name(run, person);
        let is_contested = || {
            run.people.iter().any(|other| {
                other.key != person.key
                    && words::name(&other.name) == words::name(&person.name)
                    && self.reaches_the_name(run, other)
            })
        };
        match records.as_slice() {
            [] => Rung::Next,
            [record]
                if !is_contested()
                    && (run.settings.name_beats_email || !has_another_email(person, record)) =>
            {
                Rung::Found(record.id.clone())
            }
            _ => Rung::Refused,
        }
    }

    /// Whether neither a link nor an email decides.
    fn reaches_the_name(&self, run: &Run, person: &Person) -> bool {
        matches!(self.by_link(person), Rung::Next) && matches!(self.by_email(run, person), Rung::Next)
    }

    fn records_with_email(&self, person: &Person) -> Vec<&SiteUser> {
        let email = words::email(&person.email);
        let fits = |record: &&SiteUser| {
            !email.is_empty() && record.email.as_deref().is_some_and(|other| words::email(other) == email)
        };
        self.records.values().map(|(record, _)| record).filter(fits).collect()
    }

    /// Records of the person's name that nobody else is linked to or matches by email.
    fn records_with_name(&self, run: &Run, person: &Person) -> Vec<&SiteUser> {
        let name = words::name(&person.name);
        if name.is_empty() || !run.settings.matches_people_by_name() {
            return Vec::new();
        }
        let is_free = |record: &SiteUser| {
            let is_linked = self
                .user_links
                .iter()
                .any(|(user, linked)| *linked == record.id && run.is_somebody_else(person, user));
            let is_matched = run.people.iter().any(|other| {
                other.key != person.key
                    && self.records_with_email(other).iter().any(|found| found.id == record.id)
            });
            !is_linked && !is_matched
        };
        let records = self.records.values().map(|(record, _)| record);
        records.filter(|record| words::name(&record.name) == name && is_free(record)).collect()
    }

    /// Whether another person of this run is linked to a record.
    fn belongs_to_another(&self, run: &Run, record: &str, person: &Person) -> bool {
        run.people.iter().any(|other| {
            other.key != person.key
                && other.ids.iter().any(|id| self.user_links.get(id).is_some_and(|linked| linked == record))
        })
    }

    /// Links people, creates records and keeps our own in step; returns the record of each person.
    pub(super) fn make_records(
        &mut self,
        run: &mut Run,
        matched: &BTreeMap<String, PersonIs>,
    ) -> BTreeMap<String, String> {
        let mut records = BTreeMap::new();
        for person in run.people.clone() {
            let record = match matched.get(&person.key) {
                Some(PersonIs::Record(record)) => record.clone(),
                Some(PersonIs::Created) => {
                    let id = format!("new record of {}", person.key);
                    run.site.users.push(SiteUser {
                        id: id.clone(),
                        name: String::new(),
                        email: None,
                        is_jira: false,
                        fields: BTreeMap::new(),
                    });
                    self.ours.insert(id.clone());
                    id
                }
                _ => continue,
            };
            for id in &person.ids {
                self.user_links.insert(id.clone(), record.clone());
                self.lost_user_links.remove(id);
            }
            records.insert(person.key, record);
        }
        // Of several people of one record, one speaks (P11).
        for person in run.people.clone() {
            let Some(record) = records.get(&person.key).filter(|record| self.ours.contains(*record)) else {
                continue;
            };
            let is_there = |user: &&String| run.people.iter().any(|other| other.ids.contains(*user));
            let of_record =
                self.user_links.iter().filter(|(_, linked)| *linked == record).map(|(user, _)| user);
            if of_record.filter(is_there).min().is_some_and(|user| person.ids.contains(user)) {
                keep_in_step(run, &person, record);
            }
        }
        records
    }
}

/// Whether both sides show an email, and another one (P10).
fn has_another_email(person: &Person, record: &SiteUser) -> bool {
    let (kandji, amfj) =
        (words::email(&person.email), words::email(record.email.as_deref().unwrap_or_default()));
    !kandji.is_empty() && !amfj.is_empty() && kandji != amfj
}

impl Run<'_> {
    /// Whether a Kandji user is somebody else who is still there.
    fn is_somebody_else(&self, person: &Person, user: &String) -> bool {
        self.people.iter().any(|other| other.key != person.key && other.ids.contains(user))
    }
}

/// Records that the product created follow Kandji (P11).
fn keep_in_step(run: &mut Run, person: &Person, record: &str) {
    let fields = values::wanted_of_person(run.settings, &person.name, &person.email, &run.site.user_fields);
    let Some(user) = run.site.users.iter_mut().find(|user| user.id == record) else { return };
    let name = if words::is_blank(&person.name) { &person.email } else { &person.name };
    if !words::is_blank(&person.name) || words::is_blank(&user.name) {
        user.name.clone_from(name);
    }
    if !words::is_blank(&person.email) {
        user.email = Some(person.email.trim().to_owned());
    }
    user.fields.extend(fields);
}
