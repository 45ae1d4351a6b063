//! An AMFJ site that keeps the assumed REST contract, version 1, to the letter.
//!
//! Whatever a client sends beyond the contract (a member, a query parameter, a method, a limit above
//! 100) is refused with 400 and kept as a violation, so that a test can say that there was none. A
//! request without `Authorization` is a violation as well, and answered 401.

mod dialects;
mod events;
mod fields;
mod forms;
mod keeping;
mod listing;
mod mutation;
mod noted;
mod requests;
mod routes;
mod store;
mod subjects;

use std::{io, ops::Deref, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde_json::{Value, json};

use super::{
    core::{Controls, Core, Heard, Service, Verdict},
    fleet::{Site, SiteAsset, SiteUser},
    personality::{Oddity, Subject},
    wire::{self, Ask, Reply, Serving},
};

pub use dialects::Dialect;
pub use events::{EventIds, EventOptions, Events};
pub use forms::Forms;
pub use mutation::Mutation;
pub use noted::{Handover, KeptOtherwise, Write};

use store::Store;

/// How the site behaves.
#[derive(Debug, Clone)]
pub struct AmfjOptions {
    /// Port on loopback; 0 picks a free one.
    pub port: u16,
    /// The accepted token.
    pub token: String,
    /// Decides what faults with a probability hit.
    pub seed: u64,
    /// How late a write shows in lists (reading by id is never late).
    pub list_lag: Duration,
    /// How long every request takes, at least.
    pub latency: Duration,
    /// How it is spoken to.
    pub dialect: Dialect,
}

impl Default for AmfjOptions {
    fn default() -> Self {
        Self {
            port: 0,
            token: "amfj-51a71c70ce11-token".to_owned(),
            seed: 1,
            list_lag: Duration::ZERO,
            latency: Duration::ZERO,
            dialect: Dialect::default(),
        }
    }
}

/// A running site; also its [`Controls`].
#[derive(Debug, Clone)]
pub struct AmfjSim {
    site: Arc<SiteService>,
    controls: Arc<Controls>,
    _serving: Arc<Serving>,
}

/// The site as the server sees it.
#[derive(Debug)]
pub(crate) struct SiteService {
    store: Mutex<Store>,
}

impl AmfjSim {
    /// Starts to serve a site.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn start(site: &Site, options: AmfjOptions) -> io::Result<Self> {
        let AmfjOptions { port, token, seed, list_lag, latency, dialect } = options;
        let mut store = Store::new(site, list_lag);
        store.dialect = dialect;
        let service = Arc::new(SiteService { store: Mutex::new(store) });
        let (listener, address) = wire::bind(port).await?;
        let controls = Arc::new(Controls::new(address, routes::BASE, token, seed, latency));
        let core = Core { service: Arc::clone(&service), controls: Arc::clone(&controls) };
        Ok(Self { site: service, controls, _serving: Arc::new(wire::serve(listener, Arc::new(core))) })
    }

    /// All assets, oldest first.
    #[must_use]
    pub fn assets(&self) -> Vec<SiteAsset> {
        self.site.store.lock().assets.live().values().cloned().collect()
    }

    /// An asset by id.
    #[must_use]
    pub fn asset(&self, id: &str) -> Option<SiteAsset> {
        self.site.store.lock().assets.get(id).cloned()
    }

    /// All assets of exactly this name, oldest first.
    #[must_use]
    pub fn assets_named(&self, name: &str) -> Vec<SiteAsset> {
        self.site.store.lock().assets.live().values().filter(|asset| asset.name == name).cloned().collect()
    }

    /// All user records, oldest first.
    #[must_use]
    pub fn users(&self) -> Vec<SiteUser> {
        self.site.store.lock().users.live().values().cloned().collect()
    }

    /// A user record by id.
    #[must_use]
    pub fn user(&self, id: &str) -> Option<SiteUser> {
        self.site.store.lock().users.get(id).cloned()
    }

    /// All user records with this email, compared without case and surrounding white space.
    #[must_use]
    pub fn users_with_email(&self, email: &str) -> Vec<SiteUser> {
        let wanted = email.trim().to_lowercase();
        let has =
            |user: &&SiteUser| user.email.as_ref().is_some_and(|email| email.trim().to_lowercase() == wanted);
        self.site.store.lock().users.live().values().filter(has).cloned().collect()
    }

    /// The site as it is, for instance to start another with.
    #[must_use]
    pub fn site(&self) -> Site {
        self.site.store.lock().site()
    }

    /// The writes that were carried out for clients, in order.
    #[must_use]
    pub fn writes(&self) -> Vec<Write> {
        self.site.store.lock().writes.clone()
    }

    /// How many there were.
    #[must_use]
    pub fn write_count(&self) -> usize {
        self.site.store.lock().writes.len()
    }

    /// The assets whose writes changed nothing: they were as they should be already.
    #[must_use]
    pub fn idle_patches(&self) -> Vec<String> {
        self.site.store.lock().idle_patches.clone()
    }

    /// Forgets the writes, for instance before a run that must not write.
    pub fn clear_writes(&self) {
        let mut store = self.site.store.lock();
        store.writes.clear();
        store.idle_patches.clear();
    }

    /// The values of fields that were sent and are kept otherwise, in order of the writes.
    #[must_use]
    pub fn kept_otherwise(&self) -> Vec<KeptOtherwise> {
        self.site.store.lock().otherwise.clone()
    }

    /// Every change of who has an asset, by clients and by hand, in order.
    #[must_use]
    pub fn handovers(&self) -> Vec<Handover> {
        self.site.store.lock().handovers.clone()
    }

    /// Makes a change by hand; the answer is the record as it is now, or null.
    ///
    /// # Errors
    /// When a record is not there, or AMFJ could not hold the value.
    pub fn apply(&self, mutation: Mutation) -> anyhow::Result<Value> {
        self.site.store.lock().apply(mutation).map_err(anyhow::Error::msg)
    }

    /// Enters an asset of a type by name; returns its id.
    ///
    /// # Errors
    /// When there is no such type.
    pub fn add_asset(&self, name: &str, asset_type: &str) -> anyhow::Result<String> {
        self.id_of(Mutation::AddAsset {
            name: name.to_owned(),
            asset_type: Some(asset_type.to_owned()),
            location: None,
            fields: std::collections::BTreeMap::new(),
        })
    }

    /// Deletes an asset (by id or name).
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete_asset(&self, asset: &str) -> anyhow::Result<()> {
        self.apply(Mutation::DeleteAsset { asset: asset.to_owned() }).map(|_| ())
    }

    /// Gives an asset another name.
    ///
    /// # Errors
    /// When it is not there.
    pub fn rename_asset(&self, asset: &str, name: &str) -> anyhow::Result<()> {
        self.apply(Mutation::RenameAsset { asset: asset.to_owned(), name: name.to_owned() }).map(|_| ())
    }

    /// Sets a field of an asset; null clears it.
    ///
    /// # Errors
    /// When the asset is not there or its type has no such field.
    pub fn set_field(&self, asset: &str, field: &str, value: Value) -> anyhow::Result<()> {
        let (asset, field) = (asset.to_owned(), field.to_owned());
        self.apply(Mutation::SetField { asset, field, value }).map(|_| ())
    }

    /// Checks an asset out by hand, from whoever has it.
    ///
    /// # Errors
    /// When the asset or the user (by id, email or name) is not there.
    pub fn check_out(&self, asset: &str, user: &str) -> anyhow::Result<()> {
        self.apply(Mutation::CheckOut { asset: asset.to_owned(), user: user.to_owned() }).map(|_| ())
    }

    /// Checks an asset in by hand.
    ///
    /// # Errors
    /// When it is not there.
    pub fn check_in(&self, asset: &str) -> anyhow::Result<()> {
        self.apply(Mutation::CheckIn { asset: asset.to_owned() }).map(|_| ())
    }

    /// Enters a user record; returns its id.
    ///
    /// # Errors
    /// Never, today.
    pub fn add_user(&self, name: &str, email: Option<&str>, is_jira: bool) -> anyhow::Result<String> {
        let (name, email) = (name.to_owned(), email.map(str::to_owned));
        self.id_of(Mutation::AddUser { name, email, is_jira })
    }

    /// Deletes a user record (by id, email or name); what the user had is checked in.
    ///
    /// # Errors
    /// When it is not there.
    pub fn delete_user(&self, user: &str) -> anyhow::Result<()> {
        self.apply(Mutation::DeleteUser { user: user.to_owned() }).map(|_| ())
    }

    /// Changes how late writes show in lists.
    pub fn set_list_lag(&self, lag: Duration) {
        self.site.store.lock().set_lag(lag);
    }

    /// Changes how what is written is kept and listed.
    pub fn set_forms(&self, forms: Forms) {
        self.site.store.lock().forms = forms;
    }

    /// From now on the site is spoken to in another way; what it holds stays.
    pub fn speak(&self, dialect: Dialect) {
        self.site.store.lock().dialect = dialect;
    }

    /// How the site is spoken to.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.site.store.lock().dialect
    }

    /// From now on what happens to assets is told to somebody, as long as the answer lives.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn send_events(&self, options: EventOptions) -> anyhow::Result<Events> {
        let outbox = self.site.store.lock().outbox.clone();
        events::start(&outbox, options, 1)
    }

    fn id_of(&self, mutation: Mutation) -> anyhow::Result<String> {
        let record = self.apply(mutation)?;
        Ok(record["id"].as_str().unwrap_or_default().to_owned())
    }
}

impl Deref for AmfjSim {
    type Target = Controls;

    fn deref(&self) -> &Controls {
        &self.controls
    }
}

impl SiteService {
    /// What a list of numbered pages begins with. One that does not end shows it again and again, as if the number were not read: with
    /// rows that are made up it would not end with an error but with a lie, as soon as it is asked for a page behind the last one.
    fn first_page(&self, ask: &Ask) -> Vec<Value> {
        let mut first = ask.clone();
        first.query.retain(|(name, _)| name != "cursor");
        let page = routes::answer(&mut self.store.lock(), &first, &[]).reply;
        let page: Value = serde_json::from_slice(&page.body).unwrap_or_default();
        page["results"].as_array().cloned().unwrap_or_default()
    }
}

impl Service for SiteService {
    fn subject(&self, ask: &Ask) -> Option<Subject> {
        let store = self.store.lock();
        let own = subjects::by_own_id(&store, ask);
        subjects::subject(&store, own.as_ref().unwrap_or(ask))
    }

    fn hear(&self, ask: &Ask) -> Heard {
        dialects::hear(&mut self.store.lock(), ask)
    }

    fn say(&self, asked: &Ask, meant: &Ask, met: &[Oddity], reply: Reply) -> Reply {
        dialects::say(&mut self.store.lock(), (asked, meant, met), reply)
    }

    fn carry_out(&self, ask: &Ask, met: &[Oddity]) -> Verdict {
        let mut store = self.store.lock();
        let own = subjects::by_own_id(&store, ask);
        routes::answer(&mut store, own.as_ref().unwrap_or(ask), met)
    }

    fn error(&self, status: u16, message: &str) -> Reply {
        let (code, message) = match status {
            403 => ("forbidden", "the token may not do this"),
            404 | 410 => ("not_found", "there is no such record"),
            _ => ("error", message),
        };
        requests::Refusal::new(status, code, message).reply()
    }

    fn empty_list(&self, _: &Ask) -> Reply {
        Reply::json(200, &json!({ "results": [], "next_cursor": null }))
    }

    fn list_of(&self, ask: &Ask, rows: Vec<Value>) -> Reply {
        let more = format!("{}{}", super::core::MADE_UP, uuid::Uuid::new_v4());
        let is_numbered = self.store.lock().dialect.numbers_pages();
        let rows = if is_numbered && rows.len() > 1 { self.first_page(ask) } else { rows };
        Reply::json(200, &json!({ "results": rows, "next_cursor": more }))
    }

    fn move_rows(&self, _: usize, _: usize) {}

    fn state(&self) -> Value {
        let store = self.store.lock();
        let assets: Vec<Value> = store.assets.live().values().map(|asset| store.show_asset(asset)).collect();
        json!({
            "assets": assets,
            "users": store.users.live().values().map(Store::show_user).collect::<Vec<_>>(),
            "asset_types": store.asset_types,
            "locations": store.locations,
            "user_fields": store.user_fields,
            "handovers": store.handovers,
        })
    }

    fn writes(&self) -> Value {
        json!(self.store.lock().writes)
    }

    fn mutate(&self, mutation: Value) -> Result<Value, String> {
        let mutation = serde_json::from_value(mutation).map_err(|error| error.to_string())?;
        self.store.lock().apply(mutation)
    }
}
