//! What a change still needs, given what is known now: nothing, or which request. Pure.

use std::collections::BTreeMap;

use amfj_sync_amfj::client::{AssetPatch, NewAsset, NewUser, UserPatch};
use amfj_sync_model::amfj::Holder;
use amfj_sync_model::ids::{AssetId, DeviceId, Key, RecordId};
use amfj_sync_model::messages::{
    Action, AssetWrite, Change, Edit, Ending, Event, LinkOutcome, Outcome, Restored, Rule, UserLinkOutcome,
    UserWrite,
};
use amfj_sync_projection::Projection;
use serde_json::Value;

use crate::outcomes::{With, assigned, ended, stale, unneeded};

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// No request is needed; this is the outcome.
    Done(Box<Outcome>),
    /// A request is needed.
    Request(Request),
}

/// A request that changes AMFJ.
#[derive(Debug)]
pub(crate) enum Request {
    CreateAsset(NewAsset),
    PatchAsset {
        asset: AssetId,
        patch: AssetPatch,
        edits: BTreeMap<String, Edit>,
        link: Option<LinkOutcome>,
    },
    Assign {
        asset: AssetId,
        expected: Option<Holder>,
        to: Option<Holder>,
        primary: Option<RecordId>,
    },
    CreateUser(NewUser),
    PatchUser {
        record: RecordId,
        patch: UserPatch,
        edits: BTreeMap<String, Edit>,
    },
    /// What of it is left to write depends on what is read then.
    Restore(Restored),
}

/// A change with everything that is known about it.
pub(crate) struct Known<'a> {
    pub(crate) event: &'a Event,
    pub(crate) change: &'a Change,
    pub(crate) view: &'a Projection,
    /// Whether an attempt was announced before. What AMFJ holds already, it holds because of that: it
    /// is as much part of the history as what has an answer.
    pub(crate) begun: bool,
    /// Whether another integration of the same AMFJ site has a link to the asset.
    pub(crate) linked_elsewhere: &'a dyn Fn(&AssetId) -> bool,
}

impl Known<'_> {
    fn stale(&self, reason: impl Into<String>) -> Step {
        Step::Done(Box::new(stale(self.event, self.change, reason)))
    }

    fn unneeded(&self, fill: impl FnOnce(Outcome) -> Outcome) -> Step {
        Step::Done(Box::new(fill(unneeded(self.event, self.change))))
    }

    /// A change that costs no request but alters links is applied all the same.
    fn applied(&self, fill: impl FnOnce(Outcome) -> Outcome) -> Step {
        let outcome = ended(self.event, self.change, Ending::Applied);
        Step::Done(Box::new(fill(outcome)))
    }

    pub(crate) fn step(&self) -> Step {
        match (&self.change.key, &self.change.action) {
            (Key::Device(device), Action::LinkAsset { asset, rule, takes_over, write }) => {
                self.link_asset(device, asset, *rule, takes_over.as_ref(), write)
            }
            (Key::Device(device), Action::CreateAsset { name, asset_type, location, fields }) => {
                if let Some(linked) = self.effective_link(device) {
                    return self.stale(format!("the device has been linked to asset {linked} meanwhile"));
                }
                if self.view.is_unlinked_by_person(device) {
                    return self.stale("a person unlinked this device");
                }
                Step::Request(Request::CreateAsset(NewAsset {
                    name: name.clone(),
                    asset_type_id: asset_type.id.clone(),
                    location_id: location.as_ref().map(|location| location.id.clone()),
                    fields: fields.clone(),
                }))
            }
            (Key::Device(device), Action::UpdateAsset { asset, write }) => {
                match self.effective_link(device) {
                    Some(linked) if linked == *asset => self.write_asset(asset, write, None),
                    _ => self.stale("the device is no longer linked to this asset"),
                }
            }
            (Key::Device(device), Action::BreakLink { asset }) => self.break_link(device, asset),
            (Key::Device(device), Action::Assign { asset, expected, to, primary }) => {
                self.assign(device, asset, expected.as_ref(), to.as_ref(), primary.as_ref())
            }
            (Key::User(_), Action::LinkUser { record, rule, ids }) => {
                if self.view.record(record).is_none() {
                    return self.stale("the user record no longer exists");
                }
                if ids.iter().any(|id| self.view.is_user_unlinked_by_person(id)) {
                    return self.stale("a person unlinked this Kandji user");
                }
                let link = UserLinkOutcome { record: record.clone(), rule: *rule, ids: ids.clone() };
                self.applied(|outcome| outcome.with_user_link(link))
            }
            (Key::User(_), Action::CreateUser { name, email, fields, ids }) => {
                let linked = ids.iter().filter_map(|id| self.view.user_link(id));
                if linked.into_iter().any(|link| self.view.record(&link.record).is_some()) {
                    return self.stale("the person has been linked to a user record meanwhile");
                }
                let user = NewUser { name: name.clone(), email: email.clone(), fields: fields.clone() };
                Step::Request(Request::CreateUser(user))
            }
            (Key::User(_), Action::UpdateUser { record, write }) => self.write_user(record, write),
            (_, Action::Restore { again }) => self.restore(again),
            _ => self.stale("the action does not fit what it is about"),
        }
    }

    fn restore(&self, again: &Restored) -> Step {
        match (&self.change.key, again) {
            (Key::Device(device), Restored::Asset { asset, .. } | Restored::Holder { asset, .. }) => {
                if self.effective_link(device).as_ref() != Some(asset) {
                    return self.stale("the device is no longer linked to this asset");
                }
            }
            (Key::User(_), Restored::Record { record, .. }) => match self.view.record(record) {
                None => return self.stale("the user record no longer exists"),
                Some(row) if !row.ours => {
                    return self.stale("this product changes only user records that it created");
                }
                Some(_) => {}
            },
            _ => return self.stale("the action does not fit what it is about"),
        }
        Step::Request(Request::Restore(again.clone()))
    }

    fn effective_link(&self, device: &DeviceId) -> Option<AssetId> {
        let link = self.view.link(device)?;
        self.view.asset(&link.asset).is_some().then_some(link.asset)
    }

    fn link_asset(
        &self,
        device: &DeviceId,
        asset: &AssetId,
        rule: Rule,
        takes_over: Option<&DeviceId>,
        write: &AssetWrite,
    ) -> Step {
        if self.view.asset(asset).is_none() {
            return self.stale("the asset no longer exists");
        }
        if self.effective_link(device).is_some_and(|linked| linked != *asset) {
            return self.stale("the device has been linked to another asset meanwhile");
        }
        if rule != Rule::Person && self.view.is_unlinked_by_person(device) {
            return self.stale("a person unlinked this device");
        }
        let other = self.view.linked_device(asset).filter(|other| other != device);
        if other.is_some_and(|other| Some(&other) != takes_over) || (self.linked_elsewhere)(asset) {
            return self.stale("the asset has been linked to another device meanwhile");
        }
        let link = LinkOutcome::Linked { asset: asset.clone(), rule, takes_over: takes_over.cloned() };
        self.write_asset(asset, write, Some(link))
    }

    /// The request for what still differs; without a difference, the outcome.
    fn write_asset(&self, asset: &AssetId, write: &AssetWrite, link: Option<LinkOutcome>) -> Step {
        let Some(row) = self.view.asset(asset) else {
            return self.stale("the asset no longer exists");
        };
        let mut patch = AssetPatch::default();
        let mut edits = BTreeMap::new();
        if let Some(edit) = &write.name
            && edit.new != *row.asset.name
        {
            patch.name = edit.new.as_str().map(str::to_owned);
            edits.insert(
                Outcome::NAME.to_owned(),
                Edit { old: row.asset.name.clone().into(), ..edit.clone() },
            );
        }
        if let (Some(location), None) = (&write.location, &row.asset.location) {
            patch.location_id = Some(location.id.clone());
            let new = Value::from(location.name.clone());
            edits.insert(Outcome::LOCATION.to_owned(), Edit { old: Value::Null, new });
        }
        for (field, edit) in &write.fields {
            let held = row.asset.fields.get(field).cloned().unwrap_or(Value::Null);
            if held != edit.new {
                patch.fields.insert(field.clone(), edit.new.clone());
                edits.insert(field.clone(), Edit { old: held, new: edit.new.clone() });
            }
        }
        if !edits.is_empty() {
            return Step::Request(Request::PatchAsset { asset: asset.clone(), patch, edits, link });
        }
        let mut outcome = match link {
            Some(link) => ended(self.event, self.change, Ending::Applied).with_link(link),
            None => unneeded(self.event, self.change),
        };
        if self.begun {
            let location = write
                .location
                .as_ref()
                .filter(|location| row.asset.location.as_ref().is_some_and(|held| held.id == location.id));
            let location =
                location.map(|location| Edit { old: Value::Null, new: location.name.clone().into() });
            let own = [(Outcome::NAME, write.name.clone()), (Outcome::LOCATION, location)];
            if found_carried_out(&mut outcome, own, &write.fields) {
                outcome.asset = Some(row.asset);
            }
        }
        Step::Done(Box::new(outcome))
    }

    fn break_link(&self, device: &DeviceId, asset: &AssetId) -> Step {
        if self.view.asset(asset).is_some() {
            return self.stale("the asset exists again");
        }
        match self.view.link(device) {
            Some(link) if link.asset == *asset => {
                self.applied(|outcome| outcome.with_link(LinkOutcome::Broken { asset: asset.clone() }))
            }
            _ => self.unneeded(|outcome| outcome),
        }
    }

    fn assign(
        &self,
        device: &DeviceId,
        asset: &AssetId,
        expected: Option<&Holder>,
        to: Option<&Holder>,
        primary: Option<&RecordId>,
    ) -> Step {
        if self.effective_link(device).as_ref() != Some(asset) {
            return self.stale("the device is no longer linked to this asset");
        }
        let Some(row) = self.view.asset(asset) else {
            return self.stale("the asset no longer exists");
        };
        let id = |holder: Option<&Holder>| holder.map(|holder| holder.id.clone());
        let held = id(row.asset.checked_out_to.as_ref());
        if held == id(to) && id(expected) != id(to) && self.begun {
            let outcome = assigned(self.event, self.change, expected, to, primary.cloned());
            return Step::Done(Box::new(outcome.with_asset(row.asset)));
        }
        if held == id(to) || id(expected) == id(to) {
            return self.unneeded(|outcome| outcome.with_settled(primary.cloned()));
        }
        if held != id(expected) {
            return self.stale("somebody else has the asset by now");
        }
        Step::Request(Request::Assign {
            asset: asset.clone(),
            expected: expected.cloned(),
            to: to.cloned(),
            primary: primary.cloned(),
        })
    }

    fn write_user(&self, record: &RecordId, write: &UserWrite) -> Step {
        let Some(row) = self.view.record(record) else {
            return self.stale("the user record no longer exists");
        };
        if !row.ours {
            return self.stale("this product changes only user records that it created");
        }
        let mut patch = UserPatch::default();
        let mut edits = BTreeMap::new();
        if let Some(edit) = &write.name
            && edit.new != *row.record.name
        {
            patch.name = edit.new.as_str().map(str::to_owned);
            edits.insert(
                Outcome::NAME.to_owned(),
                Edit { old: row.record.name.clone().into(), ..edit.clone() },
            );
        }
        if let Some(edit) = &write.email
            && edit.new != Value::from(row.record.email.clone())
        {
            patch.email = edit.new.as_str().map(str::to_owned);
            edits.insert(
                Outcome::EMAIL.to_owned(),
                Edit { old: row.record.email.clone().into(), ..edit.clone() },
            );
        }
        for (field, edit) in &write.fields {
            let held = row.record.fields.get(field).cloned().unwrap_or(Value::Null);
            if held != edit.new {
                patch.fields.insert(field.clone(), edit.new.clone());
                edits.insert(field.clone(), Edit { old: held, new: edit.new.clone() });
            }
        }
        if edits.is_empty() {
            let mut outcome = unneeded(self.event, self.change);
            if self.begun {
                let own = [(Outcome::NAME, write.name.clone()), (Outcome::EMAIL, write.email.clone())];
                if found_carried_out(&mut outcome, own, &write.fields) {
                    outcome.record = Some(row.record);
                }
            }
            return Step::Done(Box::new(outcome));
        }
        Step::Request(Request::PatchUser { record: record.clone(), patch, edits })
    }
}

/// Puts what was decided and is there now into the outcome of a change that had begun; whether that is
/// anything.
fn found_carried_out(
    outcome: &mut Outcome,
    own: [(&str, Option<Edit>); 2],
    fields: &BTreeMap<String, Edit>,
) -> bool {
    outcome.edits.clone_from(fields);
    outcome.edits.extend(own.into_iter().filter_map(|(name, edit)| Some((name.to_owned(), edit?))));
    let found = !outcome.edits.is_empty();
    if found {
        outcome.ending = Ending::Applied;
    }
    found
}

#[cfg(test)]
mod tests;
