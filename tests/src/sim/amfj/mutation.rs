//! Changes that people make in AMFJ by hand.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{fields, store::Store};
use crate::sim::fleet::{AssetKind, FieldSpec, NamedRecord, SiteAsset, SiteUser};

/// One change. An asset is named by id or name, a user record by id, email or name, a type and a
/// location by name.
///
/// As JSON for `POST /_sim/mutate`: `{"op":"check_in","asset":"Reception iMac"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
#[expect(missing_docs, reason = "the members are named after AMFJ's own")]
pub enum Mutation {
    /// Enters an asset; of the first type if none is given.
    AddAsset {
        name: String,
        #[serde(default)]
        asset_type: Option<String>,
        #[serde(default)]
        location: Option<String>,
        #[serde(default)]
        fields: BTreeMap<String, Value>,
    },
    /// Deletes an asset.
    DeleteAsset { asset: String },
    /// Gives an asset another name.
    RenameAsset { asset: String, name: String },
    /// Moves an asset to another type; fields that it does not have are lost.
    SetAssetType { asset: String, asset_type: String },
    /// Sets a field of an asset; null clears it.
    SetField { asset: String, field: String, value: Value },
    /// Checks an asset out, from whoever has it.
    CheckOut { asset: String, user: String },
    /// Checks an asset in.
    CheckIn { asset: String },
    /// Enters a user record.
    AddUser {
        name: String,
        #[serde(default)]
        email: Option<String>,
        #[serde(default)]
        is_jira: bool,
    },
    /// Changes the name or email of a user record, of a Jira user too.
    SetUser {
        user: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        email: Option<String>,
    },
    /// Deletes a user record; what the user had is checked in.
    DeleteUser { user: String },
    /// Adds an asset type, or replaces the fields of the one of that name.
    SetAssetTypeFields { name: String, fields: Vec<FieldSpec> },
    /// Removes an asset type; its assets keep it, nameless.
    RemoveAssetType { name: String },
    /// Adds a location.
    AddLocation { name: String },
    /// Removes a location.
    RemoveLocation { name: String },
    /// Changes how late writes show in lists.
    SetListLag { ms: u64 },
}

impl Store {
    /// Makes a change by hand and returns the record as it is now, or null.
    pub(crate) fn apply(&mut self, mutation: Mutation) -> Result<Value, String> {
        match mutation {
            Mutation::AddAsset { name, asset_type, location, fields } => {
                self.enter_asset(name, asset_type, location, fields)
            }
            Mutation::DeleteAsset { asset } => {
                let asset = self.find_asset(&asset)?;
                self.assets.delete(&asset.id);
                self.happened("asset.delete", &asset);
                Ok(Value::Null)
            }
            Mutation::RenameAsset { asset, name } => {
                let asset = self.find_asset(&asset)?;
                Ok(self.keep_asset(SiteAsset { name, ..asset }))
            }
            Mutation::SetAssetType { asset, asset_type } => {
                let mut asset = self.find_asset(&asset)?;
                let kind = self.find_type(&asset_type)?;
                asset.fields.retain(|name, _| kind.fields.iter().any(|field| field.name == *name));
                asset.asset_type_id = kind.id;
                Ok(self.keep_asset(asset))
            }
            Mutation::SetField { asset, field, value } => self.set_field(&asset, &field, value),
            Mutation::CheckOut { asset, user } => {
                let (asset, user) = (self.find_asset(&asset)?, self.find_user(&user)?);
                Ok(self.hand_over(asset, Some(user.id), true))
            }
            Mutation::CheckIn { asset } => {
                let asset = self.find_asset(&asset)?;
                Ok(self.hand_over(asset, None, true))
            }
            Mutation::AddUser { name, email, is_jira } => {
                let id = self.next_id("user");
                Ok(self.keep_user(SiteUser { id, name, email, is_jira, fields: BTreeMap::new() }))
            }
            Mutation::SetUser { user, name, email } => {
                let mut user = self.find_user(&user)?;
                user.name = name.unwrap_or(user.name);
                user.email = email.or(user.email);
                Ok(self.keep_user(user))
            }
            Mutation::DeleteUser { user } => self.delete_user(&user),
            other => self.apply_to_settings(other),
        }
    }

    fn apply_to_settings(&mut self, mutation: Mutation) -> Result<Value, String> {
        match mutation {
            Mutation::SetAssetTypeFields { name, fields } => {
                if let Some(kind) = self.asset_types.iter_mut().find(|kind| kind.name == name) {
                    kind.fields = fields;
                } else {
                    let id = self.next_id("type");
                    self.asset_types.push(AssetKind { id, name, fields });
                }
            }
            Mutation::RemoveAssetType { name } => {
                let id = self.find_type(&name)?.id;
                self.asset_types.retain(|kind| kind.id != id);
            }
            Mutation::AddLocation { name } => {
                let id = self.next_id("loc");
                self.locations.push(NamedRecord { id, name });
            }
            Mutation::RemoveLocation { name } => {
                let id = self.find_location(&name)?.id;
                self.locations.retain(|location| location.id != id);
            }
            Mutation::SetListLag { ms } => self.set_lag(std::time::Duration::from_millis(ms)),
            // `apply` has dealt with the others.
            other => return Err(format!("not a change of the settings: {other:?}")),
        }
        Ok(Value::Null)
    }

    fn enter_asset(
        &mut self,
        name: String,
        asset_type: Option<String>,
        location: Option<String>,
        fields: BTreeMap<String, Value>,
    ) -> Result<Value, String> {
        let kind = match asset_type {
            Some(asset_type) => self.find_type(&asset_type)?,
            None => self.asset_types.first().cloned().ok_or("the site has no asset type")?,
        };
        let location = location.map(|location| self.find_location(&location)).transpose()?;
        let asset = SiteAsset {
            id: self.next_id("asset"),
            name,
            asset_type_id: kind.id,
            location_id: location.map(|location| location.id),
            fields,
            holder: None,
            created_at: Timestamp::now().to_string(),
            updated_at: String::new(),
        };
        Ok(self.keep_asset(asset))
    }

    fn set_field(&mut self, asset: &str, field: &str, value: Value) -> Result<Value, String> {
        let mut asset = self.find_asset(asset)?;
        let kind = self.asset_types.iter().find(|kind| kind.id == asset.asset_type_id);
        let specs = kind.map(|kind| kind.fields.clone()).unwrap_or_default();
        let sent = serde_json::Map::from_iter([(field.to_owned(), value)]);
        fields::merge(&mut asset.fields, &sent, &specs).map_err(|refusal| format!("{refusal:?}"))?;
        Ok(self.keep_asset(asset))
    }

    fn delete_user(&mut self, user: &str) -> Result<Value, String> {
        let id = self.find_user(user)?.id;
        let held: Vec<SiteAsset> =
            self.assets.live().values().filter(|asset| asset.holder.as_ref() == Some(&id)).cloned().collect();
        for asset in held {
            self.hand_over(asset, None, true);
        }
        self.users.delete(&id);
        Ok(Value::Null)
    }

    fn keep_user(&mut self, user: SiteUser) -> Value {
        let shown = Self::show_user(&user);
        self.users.put(&user.id.clone(), user);
        shown
    }

    fn find_asset(&self, name: &str) -> Result<SiteAsset, String> {
        let named = || self.assets.live().values().find(|asset| asset.name == name);
        let asset = self.assets.get(name).or_else(named);
        asset.cloned().ok_or_else(|| format!("no asset has the id or name {name:?}"))
    }

    fn find_user(&self, name: &str) -> Result<SiteUser, String> {
        let all = || self.users.live().values();
        let user = self
            .users
            .get(name)
            .or_else(|| all().find(|user| user.email.as_deref() == Some(name)))
            .or_else(|| all().find(|user| user.name == name));
        user.cloned().ok_or_else(|| format!("no user record has the id, email or name {name:?}"))
    }

    fn find_type(&self, name: &str) -> Result<AssetKind, String> {
        let kind = self.asset_types.iter().find(|kind| kind.name == name);
        kind.cloned().ok_or_else(|| format!("no asset type is called {name:?}: {}", json!(self.asset_types)))
    }

    fn find_location(&self, name: &str) -> Result<NamedRecord, String> {
        let location = self.locations.iter().find(|location| location.name == name);
        location.cloned().ok_or_else(|| format!("no location is called {name:?}"))
    }
}
