//! What a site holds, and how clients change it.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{
    Forms, Handover, KeptOtherwise, Write,
    dialects::{Dialect, Memory},
    events::Outbox,
    fields,
    listing::Records,
    requests::{AssetPatch, Change, NewAsset, NewUser, Refusal, UserPatch},
};
use crate::sim::fleet::{AssetKind, FieldSpec, NamedRecord, Site, SiteAsset, SiteUser};

/// The records of one site.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) asset_types: Vec<AssetKind>,
    pub(crate) locations: Vec<NamedRecord>,
    pub(crate) user_fields: Vec<FieldSpec>,
    pub(crate) assets: Records<SiteAsset>,
    pub(crate) users: Records<SiteUser>,
    pub(crate) writes: Vec<Write>,
    /// Assets that clients made equal to what they were.
    pub(crate) idle_patches: Vec<String>,
    pub(crate) handovers: Vec<Handover>,
    pub(crate) forms: Forms,
    pub(crate) otherwise: Vec<KeptOtherwise>,
    /// Who is told of what happens to assets.
    pub(crate) outbox: std::sync::Arc<Outbox>,
    /// How the site is spoken to, and what that has to remember.
    pub(crate) dialect: Dialect,
    pub(crate) spoken: Memory,
    /// Whether it is a client that writes now, and not a person.
    pub(crate) by_client: bool,
    /// Numbers the records that are still to come.
    next: usize,
}

impl Store {
    pub(crate) fn new(site: &Site, lag: Duration) -> Self {
        let number =
            |id: &str| id.rsplit('-').next().and_then(|digits| digits.parse::<usize>().ok()).unwrap_or(0);
        let ids = site.assets.iter().map(|a| &a.id).chain(site.users.iter().map(|u| &u.id));
        let next = ids.map(|id| number(id)).max().unwrap_or(0) + 1;
        Self {
            asset_types: site.asset_types.clone(),
            locations: site.locations.clone(),
            user_fields: site.user_fields.clone(),
            assets: Records::new(site.assets.iter().map(|a| (a.id.clone(), a.clone())), lag),
            users: Records::new(site.users.iter().map(|u| (u.id.clone(), u.clone())), lag),
            writes: Vec::new(),
            idle_patches: Vec::new(),
            handovers: Vec::new(),
            forms: Forms::default(),
            otherwise: Vec::new(),
            outbox: std::sync::Arc::default(),
            dialect: Dialect::default(),
            spoken: Memory::default(),
            by_client: false,
            next,
        }
    }

    /// The site as it is.
    pub(crate) fn site(&self) -> Site {
        Site {
            asset_types: self.asset_types.clone(),
            locations: self.locations.clone(),
            user_fields: self.user_fields.clone(),
            assets: self.assets.live().values().cloned().collect(),
            users: self.users.live().values().cloned().collect(),
        }
    }

    pub(crate) fn set_lag(&mut self, lag: Duration) {
        self.assets.lag = lag;
        self.users.lag = lag;
    }

    pub(crate) fn log(&mut self, method: &str, path: &str, body: Value, result: Value) {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.writes.push(Write { time: Timestamp::now(), method, path, body, result });
    }

    /// An asset as the contract shows it.
    pub(crate) fn show_asset(&self, asset: &SiteAsset) -> Value {
        let kind = self.asset_types.iter().find(|kind| kind.id == asset.asset_type_id);
        let location = asset.location_id.as_ref().and_then(|id| self.locations.iter().find(|l| l.id == *id));
        let holder = asset.holder.as_ref().and_then(|id| self.users.get(id));
        json!({
            "id": asset.id,
            "name": asset.name,
            "asset_type": { "id": asset.asset_type_id, "name": kind.map_or("", |kind| kind.name.as_str()) },
            "location": location,
            "fields": asset.fields,
            "checked_out_to": holder.map(|user| json!({ "id": user.id, "name": user.name })),
            "created_at": asset.created_at,
            "updated_at": asset.updated_at,
        })
    }

    /// A user record as the contract shows it.
    pub(crate) fn show_user(user: &SiteUser) -> Value {
        json!({
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "source": if user.is_jira { "jira" } else { "local" },
            "fields": user.fields,
        })
    }

    /// An id for a new record; the order of ids is the order of creation.
    pub(crate) fn next_id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}-{:07}", self.next - 1)
    }

    fn specs(&self, asset_type_id: &str) -> Vec<FieldSpec> {
        let kind = self.asset_types.iter().find(|kind| kind.id == asset_type_id);
        kind.map(|kind| kind.fields.clone()).unwrap_or_default()
    }

    fn asset_to_change(&self, id: &str) -> Result<SiteAsset, Refusal> {
        self.assets.get(id).cloned().ok_or_else(|| Refusal::not_found("asset"))
    }

    /// Stores a changed asset and shows it.
    pub(crate) fn keep_asset(&mut self, mut asset: SiteAsset) -> Value {
        asset.updated_at = Timestamp::now().to_string();
        let shown = self.show_asset(&asset);
        let is_known = self.assets.get(&asset.id).is_some();
        self.happened(if is_known { "asset.update" } else { "asset.create" }, &asset);
        self.assets.put(&asset.id.clone(), asset);
        shown
    }

    pub(crate) fn create_asset(&mut self, mut new: NewAsset) -> Result<Value, Refusal> {
        new.name = self.forms.name(new.name);
        new.fields = self.forms.fields(new.fields);
        check_name(&new.name)?;
        if !self.asset_types.iter().any(|kind| kind.id == new.asset_type_id) {
            return Err(Refusal::field("asset_type_id", "is not the id of an asset type"));
        }
        self.check_location(new.location_id.as_deref())?;
        let mut values = BTreeMap::new();
        fields::merge(&mut values, &new.fields, &self.specs(&new.asset_type_id))?;
        let asset = SiteAsset {
            id: self.next_id("asset"),
            name: new.name,
            asset_type_id: new.asset_type_id,
            location_id: new.location_id,
            fields: values,
            holder: None,
            created_at: Timestamp::now().to_string(),
            updated_at: String::new(),
        };
        Ok(self.keep_asset(asset))
    }

    pub(crate) fn update_asset(&mut self, id: &str, patch: AssetPatch) -> Result<Value, Refusal> {
        let mut asset = self.asset_to_change(id)?;
        let before = asset.clone();
        let sent = self.forms.fields(patch.fields);
        if let Some(name) = patch.name {
            check_name(&name)?;
            asset.name = self.forms.name(name);
        }
        if let Change::Set(location) = patch.location_id {
            self.check_location(location.as_deref())?;
            asset.location_id = location;
        }
        fields::merge(&mut asset.fields, &sent, &self.specs(&asset.asset_type_id))?;
        if asset == before {
            self.idle_patches.push(asset.id.clone());
        }
        Ok(self.keep_asset(asset))
    }

    /// The code of the refusal to check out what somebody has.
    pub(crate) const CHECKED_OUT: &str = "checked_out";

    pub(crate) fn check_out(&mut self, id: &str, user_id: &str) -> Result<Value, Refusal> {
        let asset = self.asset_to_change(id)?;
        if self.users.get(user_id).is_none() {
            return Err(Refusal::not_found("user"));
        }
        if asset.holder.is_some() && !self.dialect.takes_over() {
            return Err(Refusal::new(409, Self::CHECKED_OUT, "the asset is checked out"));
        }
        Ok(self.hand_over(asset, Some(user_id.to_owned()), false))
    }

    pub(crate) fn check_in(&mut self, id: &str) -> Result<Value, Refusal> {
        let asset = self.asset_to_change(id)?;
        if asset.holder.is_none() && self.dialect.takes_back_from_nobody() {
            return Ok(self.keep_asset(asset));
        }
        if asset.holder.is_none() {
            return Err(Refusal::new(409, "not_checked_out", "the asset is not checked out"));
        }
        Ok(self.hand_over(asset, None, false))
    }

    /// Changes who has an asset, whoever had it.
    pub(crate) fn hand_over(&mut self, mut asset: SiteAsset, to: Option<String>, by_hand: bool) -> Value {
        let from = std::mem::replace(&mut asset.holder, to.clone());
        let (time, asset_id) = (Timestamp::now(), asset.id.clone());
        self.handovers.push(Handover { time, asset_id, from, to, by_hand });
        self.keep_asset(asset)
    }

    pub(crate) fn create_user(&mut self, mut new: NewUser) -> Result<Value, Refusal> {
        new.name = self.forms.name(new.name);
        new.fields = self.forms.fields(new.fields);
        check_name(&new.name)?;
        check_email(new.email.as_deref())?;
        let values = self.merged_user_fields(BTreeMap::new(), &new.fields)?;
        let id = self.next_id("user");
        let user =
            SiteUser { id: id.clone(), name: new.name, email: new.email, is_jira: false, fields: values };
        let shown = Self::show_user(&user);
        self.users.put(&id, user);
        Ok(shown)
    }

    pub(crate) fn update_user(&mut self, id: &str, patch: UserPatch) -> Result<Value, Refusal> {
        let mut user = self.users.get(id).cloned().ok_or_else(|| Refusal::not_found("user"))?;
        if user.is_jira {
            return Err(Refusal::new(403, "jira_user", "users that come from Jira cannot be changed here"));
        }
        if let Some(name) = patch.name {
            check_name(&name)?;
            user.name = name;
        }
        if let Change::Set(email) = patch.email {
            check_email(email.as_deref())?;
            user.email = email;
        }
        user.fields = self.merged_user_fields(user.fields, &patch.fields)?;
        let shown = Self::show_user(&user);
        self.users.put(id, user);
        Ok(shown)
    }

    fn merged_user_fields(
        &self,
        mut values: BTreeMap<String, Value>,
        sent: &Map<String, Value>,
    ) -> Result<BTreeMap<String, Value>, Refusal> {
        fields::merge(&mut values, sent, &self.user_fields)?;
        Ok(values)
    }

    fn check_location(&self, id: Option<&str>) -> Result<(), Refusal> {
        match id {
            Some(id) if !self.locations.iter().any(|location| location.id == id) => {
                Err(Refusal::field("location_id", "is not the id of a location"))
            }
            _ => Ok(()),
        }
    }
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.trim().is_empty() { Err(Refusal::field("name", "must not be blank")) } else { Ok(()) }
}

fn check_email(email: Option<&str>) -> Result<(), Refusal> {
    match email {
        Some(email) if !fields::is_email(email) => Err(Refusal::field("email", "must be an email address")),
        _ => Ok(()),
    }
}
