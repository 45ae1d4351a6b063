//! What may be done about a person and their record (P10, P11).

use amfj_sync_config::CreateUsers;
use amfj_sync_model::ids::{KandjiUserId, UserKey};
use amfj_sync_model::messages::{Action, OperatorOrder, Outcome, PrimaryUser, Restored, Rule, UserEntry};
use serde_json::Value;

use super::{Asked, Judged, NotAllowed, fits, restorable};

impl Asked<'_> {
    pub(super) fn about_person(&self, user: &UserKey) -> Judged {
        self.values_of_record()?;
        match &self.change.action {
            Action::LinkUser { rule, ids, record } => match rule {
                Rule::Email | Rule::UserName | Rule::SamePerson => {}
                Rule::Person => {
                    let order = |id: &KandjiUserId| {
                        self.view.person(&format!("kandji-user/{id}")).map(|row| row.decision.order)
                    };
                    let said = |id: &KandjiUserId| {
                        matches!(order(id), Some(OperatorOrder::LinkUser { ids, record: said })
                            if ids.contains(id) && said == *record)
                    };
                    if !ids.iter().all(said) {
                        return Err(NotAllowed::NoPersonDecided);
                    }
                }
                Rule::Name | Rule::Serial | Rule::Created | Rule::Reenrolled => {
                    return Err(NotAllowed::NoSuchRule);
                }
            },
            Action::CreateUser { .. } if self.config.sync.create_users == CreateUsers::Never => {
                return Err(NotAllowed::NoUsersCreated);
            }
            Action::CreateUser { .. }
            | Action::UpdateUser { .. }
            | Action::Restore { again: Restored::Record { .. } } => {}
            other => return Err(NotAllowed::OtherKind(other.kind())),
        }
        if self.knows_nothing() {
            return Ok(());
        }
        let row = self.view.user(user).ok_or(NotAllowed::NoSuchPerson)?;
        self.of_this_person(&row.entry)?;
        self.devices_of_apply_only(user)
    }

    /// A record of ours has Kandji's name and email, mapped or not; all else is mapped.
    fn values_of_record(&self) -> Judged {
        let mapped = |field: &str, value: &Value| match self.config.user_fields.get(field) {
            None => Err(NotAllowed::NotMapped(field.to_owned())),
            // What is blank for a person is never written (P11).
            Some(_) if amfj_sync_model::mapping::is_blank(value) => Err(NotAllowed::Clears(field.to_owned())),
            Some(_) => fits(field, value),
        };
        match &self.change.action {
            Action::CreateUser { name, email, fields, .. } => {
                fits(Outcome::NAME, &name.as_str().into())?;
                fits(Outcome::EMAIL, &email.as_deref().into())?;
                fields.iter().try_for_each(|(field, value)| mapped(field, value))
            }
            Action::UpdateUser { write, .. } => {
                let own = [(Outcome::NAME, &write.name), (Outcome::EMAIL, &write.email)];
                for (field, edit) in own.into_iter().filter_map(|(field, edit)| Some((field, edit.as_ref()?)))
                {
                    if amfj_sync_model::mapping::is_blank(&edit.new) {
                        return Err(NotAllowed::Clears(field.to_owned()));
                    }
                    fits(field, &edit.new)?;
                }
                write.fields.iter().try_for_each(|(field, edit)| mapped(field, &edit.new))
            }
            Action::Restore { again: Restored::Record { fields, .. } } => fields
                .iter()
                .try_for_each(|(field, past)| restorable(self.config, &self.change.key, field, past)),
            _ => Ok(()),
        }
    }

    fn of_this_person(&self, user: &UserEntry) -> Judged {
        if !self.change.action.users().iter().all(|id| user.ids.contains(id)) {
            return Err(NotAllowed::OtherUsers);
        }
        match &self.change.action {
            Action::CreateUser { .. } if user.archived => Err(NotAllowed::Archived),
            Action::UpdateUser { record, .. }
            | Action::Restore { again: Restored::Record { record, .. } } => {
                let linked =
                    |id: &KandjiUserId| self.view.user_link(id).is_some_and(|link| link.record == *record);
                let ours = self.view.record(record).is_none_or(|row| row.ours);
                if ours && user.ids.iter().any(linked) { Ok(()) } else { Err(NotAllowed::OthersRecord) }
            }
            _ => Ok(()),
        }
    }

    /// With `apply_only`: a device that lets the change pass is one of this person (P25).
    fn devices_of_apply_only(&self, user: &UserKey) -> Judged {
        let only = &self.config.apply_only;
        let named: Vec<&String> =
            self.change.serials.iter().filter(|serial| only.contains(*serial)).collect();
        if named.is_empty() {
            return Ok(());
        }
        let person = PrimaryUser::Person { key: user.clone() };
        let mut theirs = false;
        self.view.each_device(&mut |row| {
            let serial = row.entry.serial.trim();
            theirs |= row.entry.user == person && named.iter().any(|named| *named == serial);
            !theirs
        });
        if theirs { Ok(()) } else { Err(NotAllowed::OtherDevices) }
    }
}
