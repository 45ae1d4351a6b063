//! What a request to the site is for, and which records it is about.

use serde_json::{Value, json};

use super::store::Store;
use crate::sim::{
    personality::{Kind, Subject},
    wire::Ask,
};

/// What a request is about; `None` for what the contract does not have.
pub(crate) fn subject(store: &Store, ask: &Ask) -> Option<Subject> {
    let path = ask.path.strip_prefix("/v1/")?;
    let parts: Vec<&str> = path.split('/').collect();
    let kind = kind_of(&ask.method, &parts, ask)?;
    let body: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let mut names = Vec::new();
    if let ["assets", id, ..] = parts.as_slice() {
        names.push((*id).to_owned());
        names.extend(store.assets.get(id).map(|asset| asset.name.clone()));
    }
    if let ["users", id] = parts.as_slice() {
        add_user(store, id, &mut names);
    }
    if kind == Kind::CheckOut
        && let Some(id) = body["user_id"].as_str()
    {
        add_user(store, id, &mut names);
    }
    let sent = ["name", "email"].into_iter().filter_map(|member| body[member].as_str());
    let asked = ["name", "email"].into_iter().filter_map(|parameter| ask.param(parameter));
    names.extend(sent.chain(asked).map(str::to_owned));
    Some(Subject { kind, names, body })
}

fn add_user(store: &Store, id: &str, names: &mut Vec<String>) {
    names.push(id.to_owned());
    if let Some(user) = store.users.get(id) {
        names.push(user.name.clone());
        names.extend(user.email.clone());
    }
}

fn kind_of(method: &str, parts: &[&str], ask: &Ask) -> Option<Kind> {
    Some(match (method, parts) {
        ("GET", ["assets"]) if ask.param("name").is_some() => Kind::SearchAssets,
        ("GET", ["assets"]) => Kind::ListAssets,
        ("GET", ["users"]) if ask.param("email").is_some() => Kind::SearchUsers,
        ("GET", ["users"]) => Kind::ListUsers,
        ("GET", ["assets", _]) => Kind::ReadAsset,
        ("GET", ["asset-types"]) => Kind::ReadTypes,
        ("GET", ["locations"]) => Kind::ReadLocations,
        ("GET", ["user-fields"]) => Kind::ReadUserFields,
        ("POST", ["assets"]) => Kind::CreateAsset,
        ("PATCH", ["assets", _]) => Kind::UpdateAsset,
        ("POST", ["assets", _, "check-out"]) => Kind::CheckOut,
        ("POST", ["assets", _, "check-in"]) => Kind::CheckIn,
        ("POST", ["users"]) => Kind::CreateUser,
        ("PATCH", ["users", _]) => Kind::UpdateUser,
        _ => return None,
    })
}

/// The same request where it names a record by a number, as a client does that was shown numbers for ids.
pub(crate) fn by_own_id(store: &Store, ask: &Ask) -> Option<Ask> {
    let mut own = ask.clone();
    let parts: Vec<&str> = ask.path.split('/').collect();
    if let ["", "v1", list, id, ..] = parts.as_slice()
        && let Some(found) = numbered(store, list, id)
    {
        own.path = ask.path.replacen(&format!("/{id}"), &format!("/{found}"), 1);
    }
    if let Ok(mut body) = serde_json::from_slice::<Value>(&ask.body) {
        let mut renamed = false;
        for (member, list) in
            [("user_id", "users"), ("asset_type_id", "asset-types"), ("location_id", "locations")]
        {
            if let Some(found) = body[member].as_str().and_then(|id| numbered(store, list, id)) {
                body[member] = json!(found);
                renamed = true;
            }
        }
        if renamed {
            own.body = body.to_string().into();
        }
    }
    (own.path != ask.path || own.body != ask.body).then_some(own)
}

fn numbered(store: &Store, list: &str, id: &str) -> Option<String> {
    let number: u64 = id.parse().ok()?;
    match list {
        "assets" => store.assets.live().keys().find(|own| ends_with(own, number)).cloned(),
        "users" => store.users.live().keys().find(|own| ends_with(own, number)).cloned(),
        "asset-types" => {
            store.asset_types.iter().map(|kind| &kind.id).find(|own| ends_with(own, number)).cloned()
        }
        "locations" => {
            store.locations.iter().map(|place| &place.id).find(|own| ends_with(own, number)).cloned()
        }
        _ => None,
    }
}

fn ends_with(id: &str, number: u64) -> bool {
    id.rsplit('-').next().and_then(|digits| digits.parse().ok()) == Some(number)
}
