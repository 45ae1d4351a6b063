//! What a tenant holds, and how it changes.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use super::{
    KandjiOptions,
    mutation::{Mutation, NewDevice, NewOwner},
};
use crate::sim::fleet::{Device, Fleet, Form, Owner, Person, details_of, uuid_of, written_at};

/// Devices and people of one tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// In the order of ids.
    pub(crate) devices: Vec<Device>,
    pub(crate) people: Vec<Person>,
    pub(crate) page_limit: usize,
    pub(crate) permit_users: bool,
    pub(crate) permit_details: bool,
    pub(crate) permit_prism: bool,
    /// Details that are served as they are.
    recorded: BTreeMap<String, Value>,
    /// Values set in details, by device id and path.
    set: BTreeMap<String, BTreeMap<String, Value>>,
    rng: StdRng,
    /// Counts the devices that enrolled ahead of all others.
    ahead: u64,
}

impl Tenant {
    pub(crate) fn new(fleet: &Fleet, options: &KandjiOptions) -> Self {
        let mut devices = fleet.devices.clone();
        devices.sort_by(|a, b| a.device_id.cmp(&b.device_id));
        Self {
            devices,
            people: fleet.people.clone(),
            page_limit: options.page_limit,
            permit_users: options.permit_users,
            permit_details: options.permit_details,
            permit_prism: options.permit_prism,
            recorded: fleet.details.clone(),
            set: BTreeMap::new(),
            rng: StdRng::seed_from_u64(options.seed),
            ahead: 0,
        }
    }

    /// Where the device with this id is; else where it would be.
    pub(crate) fn position(&self, id: &str) -> Result<usize, usize> {
        self.devices.binary_search_by(|device| device.device_id.as_str().cmp(id))
    }

    /// Where the device with this id, serial or name is.
    pub(crate) fn find(&self, name: &str) -> Result<usize, String> {
        if let Ok(position) = self.position(name) {
            return Ok(position);
        }
        let by = |read: fn(&Device) -> &str| self.devices.iter().position(|device| read(device) == name);
        by(|device| &device.serial_number)
            .or_else(|| by(|device| &device.device_name))
            .ok_or_else(|| format!("no device has the id, serial or name {name:?}"))
    }

    /// What the details endpoint says of the device there.
    pub(crate) fn details(&self, position: usize) -> Value {
        let device = &self.devices[position];
        let mut details = self.recorded.get(&device.device_id).cloned().unwrap_or_else(|| details_of(device));
        for (path, value) in self.set.get(&device.device_id).into_iter().flatten() {
            set_at(&mut details, path, value.clone());
        }
        details
    }

    /// Enrols a device.
    pub(crate) fn insert(&mut self, device: Device) -> Result<(), String> {
        match self.position(&device.device_id) {
            Ok(_) => Err(format!("there is a device with the id {}", device.device_id)),
            Err(position) => {
                self.devices.insert(position, device);
                Ok(())
            }
        }
    }

    /// Devices come in ahead of all others, and the first ones leave.
    pub(crate) fn move_rows(&mut self, enroll: usize, unenroll: usize) {
        self.devices.drain(..unenroll.min(self.devices.len()));
        for _ in 0..enroll {
            self.ahead += 1;
            let device = self.new_device(NewDevice {
                id: Some(format!("00000000-0000-4000-8000-{:012x}", self.ahead)),
                name: format!("Enrolled while paged {}", self.ahead),
                ..NewDevice::default()
            });
            if let Err(position) = self.position(&device.device_id) {
                self.devices.insert(position, device);
            }
        }
    }

    /// Makes a change and returns the device concerned as it is now, or null.
    pub(crate) fn apply(&mut self, mutation: Mutation) -> Result<Value, String> {
        let position = match mutation {
            Mutation::RenameDevice { device, name } => self.set(&device, "device_name", json!(name))?,
            Mutation::SetProperty { device, property, value } => self.set(&device, &property, value)?,
            Mutation::SetOwner { device, owner } => {
                let user = owner.map_or(json!(""), |owner| json!(self.person(owner)));
                self.set(&device, "user", user)?
            }
            Mutation::SetDetail { device, path, value } => {
                let position = self.find(&device)?;
                let id = self.devices[position].device_id.clone();
                self.set.entry(id).or_default().insert(path, value);
                self.devices[position].last_check_in = Some(written_at(Timestamp::now(), Form::Zulu));
                position
            }
            Mutation::AddDevice(new) => {
                let device = self.new_device(new);
                let id = device.device_id.clone();
                self.insert(device)?;
                self.find(&id)?
            }
            Mutation::RemoveDevice { device } => {
                let position = self.find(&device)?;
                self.devices.remove(position);
                return Ok(Value::Null);
            }
            Mutation::Reenroll { device } => {
                let position = self.find(&device)?;
                let mut again = self.devices.remove(position);
                again.device_id = uuid_of(&mut self.rng).to_string();
                let id = again.device_id.clone();
                self.insert(again)?;
                self.find(&id)?
            }
            Mutation::Permit { users, details, prism } => {
                self.permit_users = users.unwrap_or(self.permit_users);
                self.permit_details = details.unwrap_or(self.permit_details);
                self.permit_prism = prism.unwrap_or(self.permit_prism);
                return Ok(Value::Null);
            }
            Mutation::SetPageLimit { limit } => {
                self.page_limit = limit.max(1);
                return Ok(Value::Null);
            }
        };
        Ok(self.devices[position].to_json())
    }

    fn set(&mut self, device: &str, property: &str, value: Value) -> Result<usize, String> {
        let position = self.find(device)?;
        if property == "device_id" {
            return Err("the id of a device never changes; use reenroll".to_owned());
        }
        self.devices[position] = self.devices[position].with_property(property, value)?;
        Ok(position)
    }

    /// The Kandji user meant: the one of that id or email, else a new one.
    fn person(&mut self, owner: NewOwner) -> Person {
        let known = self.people.iter_mut().find(|person| match &owner.id {
            Some(id) => person.id == *id,
            None => owner.email.is_some() && person.email == owner.email,
        });
        if let Some(person) = known {
            if !owner.name.is_empty() {
                person.name = Some(owner.name);
            }
            if owner.email.is_some() {
                person.email = owner.email;
            }
            person.is_archived = owner.is_archived;
            let person = person.clone();
            self.show_on_devices(&person);
            return person;
        }
        let person = Person {
            email: owner.email.or_else(|| Some(crate::sim::fleet::email_of(&owner.name))),
            id: owner.id.unwrap_or_else(|| json!(uuid_of(&mut self.rng).to_string())),
            name: Some(owner.name),
            is_archived: owner.is_archived,
        };
        self.people.push(person.clone());
        person
    }

    /// A user who changes changes on all devices.
    fn show_on_devices(&mut self, person: &Person) {
        for device in &mut self.devices {
            if device.user.person().is_some_and(|owner| owner.id == person.id && !owner.id.is_null()) {
                device.user = Owner::Person(person.clone());
            }
        }
    }

    fn new_device(&mut self, new: NewDevice) -> Device {
        let id = new.id.unwrap_or_else(|| uuid_of(&mut self.rng).to_string());
        let now = Timestamp::now();
        let enrolled = written_at(now, Form::Spaced);
        let user = match new.owner {
            Some(owner) => Owner::Person(self.person(owner)),
            None => Owner::Empty,
        };
        Device {
            serial_number: new.serial.unwrap_or_else(|| id.replace('-', "").to_uppercase()[20..].to_owned()),
            device_id: id,
            device_name: new.name,
            model: new.model.unwrap_or_else(|| "MacBook Air (M2, 2022)".to_owned()),
            platform: new.platform.unwrap_or_else(|| "Mac".to_owned()),
            os_version: "15.4".to_owned(),
            supplemental_build_version: Some("24E248".to_owned()),
            supplemental_os_version_extra: Some(String::new()),
            last_check_in: Some(written_at(now, Form::Zulu)),
            user,
            asset_tag: String::new(),
            blueprint_id: "0e4b1c2f-7a8d-4e23-9c5f-2a6d92f4d1b7".to_owned(),
            mdm_enabled: true,
            agent_installed: true,
            is_missing: false,
            is_removed: false,
            agent_version: "4.7.3 (5374)".to_owned(),
            first_enrollment: enrolled.clone(),
            last_enrollment: enrolled,
            blueprint_name: new.blueprint.unwrap_or_else(|| "Default Blueprint".to_owned()),
            lost_mode_status: Some(String::new()),
            tags: Some(new.tags),
            more: serde_json::Map::new(),
        }
    }
}

/// Sets a value deep inside, by a path of member names and array positions with dots. Members that
/// are not there come into being; a position outside the array is ignored.
fn set_at(whole: &mut Value, path: &str, value: Value) {
    let mut place = whole;
    for step in path.split('.') {
        place = match step.parse::<usize>() {
            Ok(position) if place.is_array() => match place.get_mut(position) {
                Some(next) => next,
                None => return,
            },
            _ => {
                if !place.is_object() {
                    *place = json!({});
                }
                &mut place[step]
            }
        };
    }
    *place = value;
}
