//! Whether a change is one that this worker may make. Pure.
//!
//! Whoever can write to the broker can write a change into an apply queue. So the writer believes no message: each change
//! is held against its own configuration and its own view before anything is done for it, and again before each request.
//! What may not be made is a dead letter if nobody decided it. What a reconciler did decide, under another configuration or
//! on what is not so any more, is out of date instead: the next run decides it anew (`applying/allowing.rs`).
//!
//! It does not judge values: a value that Kandji does not have is told only by a signature (docs/security.md).

mod hands;
mod people;
#[cfg(test)]
mod tests;

use amfj_sync_config::{CreateDevices, Integration, OnEmpty};
use amfj_sync_http::json::LONGEST_RECORD;
use amfj_sync_model::amfj::Named;
use amfj_sync_model::ids::{AssetId, DeviceId, Key};
use amfj_sync_model::mapping::is_blank;
use amfj_sync_model::messages::{Action, Change, Event, OperatorOrder, Outcome, Past, Restored, Rule};
use amfj_sync_projection::rows::DeviceRow;
use amfj_sync_projection::{FirstSync, Projection};
use serde_json::Value;

/// Why a change may not be made by this worker.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAllowed {
    #[error("the message belongs to integration `{0}`, and came through the queue of another one")]
    OtherIntegration(String),
    #[error("the message is about `{0}`, and its change about another device or person")]
    OtherSubject(String),
    #[error("the device or person belongs into another partition than the one that it came through")]
    OtherPartition,
    #[error("a change of kind `{0}` does not fit what it is about")]
    OtherKind(&'static str),
    #[error("it claims a place in run {0}, and nobody has started that run")]
    NoSuchRun(u64),
    #[error("its run is held, and nobody has released it (P23)")]
    Held,
    #[error("no run has read this device")]
    NoSuchDevice,
    #[error("no run has read this person")]
    NoSuchPerson,
    #[error("the device is not in the scope of this integration (P19)")]
    OutOfScope,
    #[error("its serial number is not the one that this device has")]
    OtherSerial,
    #[error("it names a device of apply_only that is not this person's (P25)")]
    OtherDevices,
    #[error("field \"{0}\" is not mapped")]
    NotMapped(String),
    #[error("it clears field \"{0}\", and on_empty is \"keep\"")]
    Clears(String),
    #[error("the value for \"{0}\" is larger than a value may be")]
    TooLarge(String),
    #[error("create_devices is \"never\"")]
    NoDevicesCreated,
    #[error("assets are created in the first sync only, and that is over for this device (P7)")]
    FirstSyncIsOver,
    #[error("the asset type is not the one that is configured for this device (P12)")]
    OtherAssetType,
    #[error("the location is not the one in default_location (P12)")]
    OtherLocation,
    #[error("no rule links in the way that it says")]
    NoSuchRule,
    #[error("it says that a person decided it, and no person did")]
    NoPersonDecided,
    #[error("the asset is linked in another integration of the AMFJ site (P4)")]
    LinkedElsewhere,
    #[error("create_users is \"never\"")]
    NoUsersCreated,
    #[error("the person is archived in Kandji, and gets no record (P11)")]
    Archived,
    #[error("it names Kandji users that are not this person's")]
    OtherUsers,
    #[error("this product did not create the user record, or it is not this person's (P11)")]
    OthersRecord,
    #[error("auto_checkout is off")]
    NoAutoCheckout,
    #[error("it hands the asset to somebody who is not the primary user of the device (P20, P21)")]
    NotThePrimaryUser,
    #[error("it hands the asset over although the primary user is the same as before (P21)")]
    SamePrimaryUser,
    #[error("somebody has the asset already, and first_assignment is \"keep\" (P20)")]
    KeepsTheHolder,
    #[error("nothing is checked out to an archived user, or to one in no_checkout_users (P20)")]
    BarredUser,
    #[error("nothing in the settings takes the asset from its holder (P21, P22)")]
    NoCheckIn,
}

type Judged = Result<(), NotAllowed>;

/// A change as it came, and what it is judged by.
pub(crate) struct Asked<'a> {
    pub(crate) event: &'a Event,
    pub(crate) change: &'a Change,
    /// The partition that it came through, of so many; none where it has not been sent yet.
    pub(crate) partition: Option<(u16, u16)>,
    pub(crate) config: &'a Integration,
    pub(crate) view: &'a Projection,
    /// Whether another integration of the same AMFJ site has a link to the asset.
    pub(crate) linked_elsewhere: &'a dyn Fn(&AssetId) -> bool,
}

/// Whether this worker may make the change.
pub(crate) fn check(asked: &Asked<'_>) -> Judged {
    asked.belongs()?;
    asked.is_of_a_run()?;
    match &asked.change.key {
        Key::Device(device) => asked.about_device(device),
        Key::User(user) => asked.about_person(user),
    }
}

impl Asked<'_> {
    /// The message is where it belongs.
    fn belongs(&self) -> Judged {
        let (event, key) = (self.event, &self.change.key);
        if event.integration != self.config.id {
            return Err(NotAllowed::OtherIntegration(event.integration.to_string()));
        }
        if event.subject != key.to_string() {
            return Err(NotAllowed::OtherSubject(event.subject.clone()));
        }
        let elsewhere = self.partition.is_some_and(|(came, of)| key.partition(of) != came);
        if elsewhere { Err(NotAllowed::OtherPartition) } else { Ok(()) }
    }

    /// Its place is in a run that was started, and that is not held. A replay bears the place of what it makes again.
    fn is_of_a_run(&self) -> Judged {
        let meta = self.view.meta();
        let place = self.event.sequence.unwrap_or_default();
        if meta.latest.as_ref().is_some_and(|latest| place.run > latest.started.number) {
            return Err(NotAllowed::NoSuchRun(place.run));
        }
        let mut runs = [&meta.latest, &meta.in_force].into_iter().flatten();
        let held = runs.any(|run| run.started.number == place.run && run.held.is_some() && !run.allowed);
        if held && !self.is_replay() { Err(NotAllowed::Held) } else { Ok(()) }
    }

    fn is_replay(&self) -> bool {
        matches!(self.change.action, Action::Restore { .. })
    }

    /// Whether no inventory is known, as after the stream was declared anew: then nothing is known of any key, and what
    /// changes something finds nothing to change. Creations find no reason to be made.
    fn knows_nothing(&self) -> bool {
        self.view.meta().in_force.is_none() && !self.creates_something()
    }

    fn creates_something(&self) -> bool {
        matches!(self.change.action, Action::CreateAsset { .. } | Action::CreateUser { .. })
    }

    fn about_device(&self, device: &DeviceId) -> Judged {
        self.values_of_asset()?;
        match &self.change.action {
            Action::LinkAsset { asset, rule, takes_over, .. } => {
                self.link(device, asset, *rule, takes_over.is_some())?;
            }
            Action::CreateAsset { .. } => self.creates()?,
            Action::UpdateAsset { .. }
            | Action::BreakLink { .. }
            | Action::Assign { .. }
            | Action::Restore { again: Restored::Asset { .. } | Restored::Holder { .. } } => {}
            other => return Err(NotAllowed::OtherKind(other.kind())),
        }
        self.hands_by_setting()?;
        if self.knows_nothing() {
            return Ok(());
        }
        let row = self.view.device(device).ok_or(NotAllowed::NoSuchDevice)?;
        if self.change.serial != row.entry.serial.trim() {
            return Err(NotAllowed::OtherSerial);
        }
        if !row.entry.in_scope && !self.is_replay() {
            return Err(NotAllowed::OutOfScope);
        }
        if let Action::CreateAsset { asset_type, .. } = &self.change.action {
            self.creates_now(device, &row, asset_type)?;
        }
        self.hands(&row)
    }

    /// Every value is of a field that is mapped, or one that the rules set.
    fn values_of_asset(&self) -> Judged {
        match &self.change.action {
            Action::LinkAsset { write, .. } | Action::UpdateAsset { write, .. } => {
                if let Some(edit) = &write.name {
                    self.mapped(Outcome::NAME, &edit.new)?;
                }
                self.location(write.location.as_ref())?;
                write.fields.iter().try_for_each(|(field, edit)| self.mapped(field, &edit.new))
            }
            Action::CreateAsset { name, location, fields, .. } => {
                fits(Outcome::NAME, &Value::from(name.as_str()))?;
                self.location(location.as_ref())?;
                fields.iter().try_for_each(|(field, value)| self.mapped(field, value))
            }
            Action::Restore { again: Restored::Asset { fields, .. } } => fields
                .iter()
                .try_for_each(|(field, past)| restorable(self.config, &self.change.key, field, past)),
            _ => Ok(()),
        }
    }

    fn mapped(&self, field: &str, new: &Value) -> Judged {
        if self.config.fields.get(field).is_none() {
            return Err(NotAllowed::NotMapped(field.to_owned()));
        }
        if is_blank(new) && self.config.sync.on_empty == OnEmpty::Keep {
            return Err(NotAllowed::Clears(field.to_owned()));
        }
        fits(field, new)
    }

    /// The default location, by its name and by the id that AMFJ lists for that.
    fn location(&self, location: Option<&Named>) -> Judged {
        let Some(location) = location else { return Ok(()) };
        let configured = self.config.sync.default_location.as_deref().ok_or(NotAllowed::OtherLocation)?;
        let listed = self.view.catalogue().location_named(configured);
        let is_it = listed.map_or(self.knows_nothing() && location.name == configured, |it| it == location);
        if is_it { Ok(()) } else { Err(NotAllowed::OtherLocation) }
    }

    fn link(&self, device: &DeviceId, asset: &AssetId, rule: Rule, takes_over: bool) -> Judged {
        match rule {
            Rule::Name | Rule::Serial if !takes_over => {}
            Rule::Reenrolled => {}
            Rule::Person => {
                let decided = self.view.person(&format!("device/{device}")).map(|row| row.decision.order);
                let order = OperatorOrder::Link { device: device.clone(), asset: asset.clone() };
                if decided != Some(order) {
                    return Err(NotAllowed::NoPersonDecided);
                }
            }
            _ => return Err(NotAllowed::NoSuchRule),
        }
        if (self.linked_elsewhere)(asset) { Err(NotAllowed::LinkedElsewhere) } else { Ok(()) }
    }

    fn creates(&self) -> Judged {
        match self.config.sync.create_devices {
            CreateDevices::Never => Err(NotAllowed::NoDevicesCreated),
            CreateDevices::FirstSync | CreateDevices::Always => Ok(()),
        }
    }

    /// P7, P12: of the type for its platform, and only as long as assets are created.
    fn creates_now(&self, device: &DeviceId, row: &DeviceRow, asset_type: &Named) -> Judged {
        let configured = self.config.asset_type_for(&row.entry.platform);
        let listed = self.view.catalogue().asset_type_named(configured);
        if listed.is_none_or(|listed| listed.id != asset_type.id) {
            return Err(NotAllowed::OtherAssetType);
        }
        if self.config.sync.create_devices != CreateDevices::FirstSync {
            return Ok(());
        }
        let run_is_first = self.view.meta().in_force.as_ref().is_some_and(|run| run.started.first_sync);
        let had_one = self.view.link(device).is_some() || self.view.memory(&self.change.key).lost_link;
        let lasts = run_is_first || self.view.first_sync_of(device) != FirstSync::Over;
        if lasts && !had_one { Ok(()) } else { Err(NotAllowed::FirstSyncIsOver) }
    }
}

/// Whether a past value may be written again (P29).
pub(crate) fn restorable(config: &Integration, key: &Key, field: &str, past: &Past) -> Judged {
    let mapping = if matches!(key, Key::Device(_)) { &config.fields } else { &config.user_fields };
    let allowed = match (key, field) {
        // Of an asset that was created with it: never blank since, so never written again.
        (Key::Device(_), Outcome::NAME) if is_blank(&past.found) => true,
        (Key::Device(_), Outcome::LOCATION) => {
            past.written.as_str() == config.sync.default_location.as_deref()
        }
        // Records of ours follow Kandji's name and email, mapped or not (P11).
        (Key::User(_), Outcome::NAME | Outcome::EMAIL) => true,
        _ => mapping.get(field).is_some(),
    };
    if allowed { fits(field, &past.written) } else { Err(NotAllowed::NotMapped(field.to_owned())) }
}

/// Whether a value is of a size that a field can have: no record has more in all of its values.
fn fits(field: &str, value: &Value) -> Judged {
    let mut left = LONGEST_RECORD;
    if takes(value, &mut left) { Ok(()) } else { Err(NotAllowed::TooLarge(field.to_owned())) }
}

fn takes(value: &Value, left: &mut usize) -> bool {
    let own = match value {
        Value::String(text) => text.len(),
        _ => size_of::<Value>(),
    };
    let Some(rest) = left.checked_sub(own) else { return false };
    *left = rest;
    match value {
        Value::Array(values) => values.iter().all(|value| takes(value, left)),
        Value::Object(members) => members.values().all(|value| takes(value, left)),
        _ => true,
    }
}
