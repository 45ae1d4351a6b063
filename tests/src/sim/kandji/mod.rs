//! A Kandji tenant: `GET /api/v1/devices`, `/devices/{id}`, `/devices/{id}/details`, `/users`,
//! `/users/{id}` and `/prism/device_information`, each also with a slash at its end.

mod filters;
mod limits;
mod mutation;
mod routes;
mod tenant;
mod users;

use std::{io, ops::Deref, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    core::{Controls, Core, Service, Verdict},
    fleet::{Device, Fleet, Person},
    personality::{Kind, Oddity, Subject},
    wire::{self, Ask, Reply, Serving},
};

pub use filters::tag_id;
pub use mutation::{Mutation, NewDevice, NewOwner};

use limits::Limits;
use tenant::Tenant;

/// How the tenant behaves.
#[derive(Debug, Clone)]
pub struct KandjiOptions {
    /// Port on loopback; 0 picks a free one.
    pub port: u16,
    /// The accepted token.
    pub token: String,
    /// Decides the ids of new devices and what faults with a probability hit.
    pub seed: u64,
    /// Requests a second before 429; `None` for no limit.
    pub per_second: Option<u32>,
    /// Requests an hour before 429; `None` for no limit.
    pub per_hour: Option<u32>,
    /// Rows that a page has at most, whatever `limit` asks for.
    pub page_limit: usize,
    /// Whether the token may read users; without it 403.
    pub permit_users: bool,
    /// Whether the token may read details; without it 403.
    pub permit_details: bool,
    /// Whether the token may read Prism's device information; without it 403.
    pub permit_prism: bool,
    /// How long every request takes, at least.
    pub latency: Duration,
}

impl Default for KandjiOptions {
    fn default() -> Self {
        Self {
            port: 0,
            token: "7d2c1b9e-0000-4000-8000-51a71c70ce11".to_owned(),
            seed: 1,
            per_second: Some(50),
            per_hour: Some(10_000),
            page_limit: 300,
            permit_users: false,
            permit_details: true,
            permit_prism: false,
            latency: Duration::ZERO,
        }
    }
}

/// A running tenant; also its [`Controls`].
#[derive(Debug, Clone)]
pub struct KandjiSim {
    tenant: Arc<TenantService>,
    controls: Arc<Controls>,
    _serving: Arc<Serving>,
}

/// The tenant as the server sees it.
#[derive(Debug)]
pub(crate) struct TenantService {
    tenant: Mutex<Tenant>,
    limits: Mutex<Limits>,
}

impl KandjiSim {
    /// Starts to serve the devices of a fleet.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(fleet: &Fleet, options: KandjiOptions) -> io::Result<Self> {
        let KandjiOptions { port, token, seed, per_second, per_hour, latency, .. } = options.clone();
        let tenant = Arc::new(TenantService {
            tenant: Mutex::new(Tenant::new(fleet, &options)),
            limits: Mutex::new(Limits::new(per_second, per_hour)),
        });
        let (listener, address) = wire::bind(port).await?;
        let controls = Arc::new(Controls::new(address, "", token, seed, latency));
        let core = Core { service: Arc::clone(&tenant), controls: Arc::clone(&controls) };
        Ok(Self { tenant, controls, _serving: Arc::new(wire::serve(listener, Arc::new(core))) })
    }

    /// All devices, in the order of their ids.
    #[must_use]
    pub fn devices(&self) -> Vec<Device> {
        self.tenant.tenant.lock().devices.clone()
    }

    /// A device by id, serial or name.
    #[must_use]
    pub fn device(&self, id_serial_or_name: &str) -> Option<Device> {
        let tenant = self.tenant.tenant.lock();
        tenant.find(id_serial_or_name).ok().map(|position| tenant.devices[position].clone())
    }

    /// What the details endpoint says of a device.
    #[must_use]
    pub fn details(&self, id_serial_or_name: &str) -> Option<Value> {
        let tenant = self.tenant.tenant.lock();
        tenant.find(id_serial_or_name).ok().map(|position| tenant.details(position))
    }

    /// Kandji users, with or without devices.
    #[must_use]
    pub fn people(&self) -> Vec<Person> {
        self.tenant.tenant.lock().people.clone()
    }

    /// Makes a change in the tenant; the answer is the device as it is now, or null.
    ///
    /// # Errors
    /// When the device is not there, or Kandji could not hold the value.
    pub fn apply(&self, mutation: Mutation) -> anyhow::Result<Value> {
        self.tenant.tenant.lock().apply(mutation).map_err(anyhow::Error::msg)
    }

    /// Renames a device (by id, serial or old name).
    ///
    /// # Errors
    /// When the device is not there.
    pub fn rename(&self, device: &str, name: &str) -> anyhow::Result<()> {
        self.set(device, "device_name", json!(name))
    }

    /// Sets a property of the list to any value that Kandji could answer with.
    ///
    /// # Errors
    /// When the device is not there, or Kandji could not hold the value.
    pub fn set(&self, device: &str, property: &str, value: Value) -> anyhow::Result<()> {
        let (device, property) = (device.to_owned(), property.to_owned());
        self.apply(Mutation::SetProperty { device, property, value }).map(|_| ())
    }

    /// Sets a value in the details, by a path such as `hardware_overview.memory` or
    /// `volumes.0.capacity`. It also counts as a check-in.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn set_detail(&self, device: &str, path: &str, value: Value) -> anyhow::Result<()> {
        let (device, path) = (device.to_owned(), path.to_owned());
        self.apply(Mutation::SetDetail { device, path, value }).map(|_| ())
    }

    /// Gives a device to a person; `None` is `"user": ""`.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn set_user(&self, device: &str, person: Option<Person>) -> anyhow::Result<()> {
        let user = person.map_or(json!(""), |person| json!(person));
        self.set(device, "user", user)
    }

    /// Gives a device to the Kandji user with this email, who comes into being if need be.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn give_to(&self, device: &str, name: &str, email: &str) -> anyhow::Result<()> {
        let owner = NewOwner { name: name.to_owned(), email: Some(email.to_owned()), ..NewOwner::default() };
        self.apply(Mutation::SetOwner { device: device.to_owned(), owner: Some(owner) }).map(|_| ())
    }

    /// Enrols a device and returns it with its id.
    ///
    /// # Errors
    /// When its id is taken.
    pub fn add_device(&self, device: NewDevice) -> anyhow::Result<Device> {
        Ok(serde_json::from_value(self.apply(Mutation::AddDevice(device))?)?)
    }

    /// Enrols a device as it is.
    ///
    /// # Errors
    /// When its id is taken.
    pub fn insert_device(&self, device: Device) -> anyhow::Result<()> {
        self.tenant.tenant.lock().insert(device).map_err(anyhow::Error::msg)
    }

    /// Unenrols a device: it is missing from the list and 404 by id.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn remove_device(&self, device: &str) -> anyhow::Result<()> {
        self.apply(Mutation::RemoveDevice { device: device.to_owned() }).map(|_| ())
    }

    /// Wipes a device and enrols it again: a new id, the old serial. Returns the new device.
    ///
    /// # Errors
    /// When the device is not there.
    pub fn reenroll(&self, device: &str) -> anyhow::Result<Device> {
        Ok(serde_json::from_value(self.apply(Mutation::Reenroll { device: device.to_owned() })?)?)
    }

    /// Lets the token read details, or no longer.
    ///
    /// # Errors
    /// Never; the other mutations have some.
    pub fn permit_details(&self, permitted: bool) -> anyhow::Result<()> {
        self.apply(Mutation::Permit { users: None, details: Some(permitted), prism: None }).map(|_| ())
    }

    /// Lets the token read Prism's device information, or no longer.
    ///
    /// # Errors
    /// Never; the other mutations have some.
    pub fn permit_prism(&self, permitted: bool) -> anyhow::Result<()> {
        self.apply(Mutation::Permit { users: None, details: None, prism: Some(permitted) }).map(|_| ())
    }

    /// Changes the limits of requests.
    pub fn set_limits(&self, per_second: Option<u32>, per_hour: Option<u32>) {
        *self.tenant.limits.lock() = Limits::new(per_second, per_hour);
    }
}

impl Deref for KandjiSim {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}

impl Service for TenantService {
    fn subject(&self, ask: &Ask) -> Option<Subject> {
        let parts: Vec<&str> = ask.path.strip_prefix("/api/v1/")?.split('/').collect();
        let kind = match parts.as_slice() {
            ["devices"] => Kind::ListDevices,
            ["devices", _] => Kind::ReadDevice,
            ["devices", _, "details"] => Kind::ReadDetails,
            ["users", ..] => Kind::ListKandjiUsers,
            ["prism", _] => Kind::ReadPrism,
            _ => return None,
        };
        let mut names = Vec::new();
        if let ["devices", id, ..] = parts.as_slice() {
            names.push((*id).to_owned());
            let tenant = self.tenant.lock();
            if let Ok(position) = tenant.position(id) {
                let device = &tenant.devices[position];
                names.extend([device.device_name.clone(), device.serial_number.clone()]);
            }
        }
        Some(Subject { kind, names, body: Value::Null })
    }

    fn tidy(&self, path: &mut String) {
        if path.ends_with('/') {
            path.pop();
        }
    }

    fn carry_out(&self, ask: &Ask, _: &[Oddity]) -> Verdict {
        if let Err(refusal) = self.limits.lock().count() {
            return refusal.into();
        }
        let mut verdict = routes::answer(&self.tenant.lock(), ask);
        verdict.reply = self.limits.lock().dress(verdict.reply);
        verdict
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        Reply::json(status, &json!({ "detail": message }))
    }

    fn empty_list(&self, ask: &Ask) -> Reply {
        let body = if ask.path.ends_with("/users") {
            json!({ "next": null, "previous": null, "results": [] })
        } else {
            json!([])
        };
        Reply::json(200, &body)
    }

    fn list_of(&self, ask: &Ask, rows: Vec<Value>) -> Reply {
        let (more, count) = (format!("{}{}", super::core::MADE_UP, uuid::Uuid::new_v4()), rows.len());
        let body = if ask.path.contains("/prism/") {
            json!({ "offset": 0, "limit": count, "total": count, "data": rows, "cursor": more })
        } else if ask.path.ends_with("/users") {
            json!({ "next": more, "previous": null, "results": rows })
        } else {
            Value::Array(rows)
        };
        Reply::json(200, &body)
    }

    fn move_rows(&self, enroll: usize, unenroll: usize) {
        self.tenant.lock().move_rows(enroll, unenroll);
    }

    fn state(&self) -> Value {
        let tenant = self.tenant.lock();
        json!({ "devices": tenant.devices, "people": tenant.people })
    }

    fn writes(&self) -> Value {
        json!([])
    }

    fn mutate(&self, mutation: Value) -> Result<Value, String> {
        let mutation = serde_json::from_value(mutation).map_err(|error| error.to_string())?;
        self.tenant.lock().apply(mutation)
    }
}
