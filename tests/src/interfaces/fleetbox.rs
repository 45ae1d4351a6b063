//! Fleetbox, as `tests/fixtures/interfaces/fleetbox/openapi.json` describes it: OAuth, cursors, JSON Patch with `If-Match`,
//! problem documents.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Answered, Asked, Service};

const ROOT: &str = "/platform/";
const LARGEST_PAGE: usize = 200;
const MOMENT: u64 = 1_780_300_800_000;

/// A resource with its version.
#[derive(Debug, Clone)]
pub struct Resource {
    /// As it is shown.
    pub shown: Value,
    version: u64,
}

/// A Fleetbox with its resources, and what was asked of it.
#[derive(Debug)]
pub struct Fleetbox {
    client: String,
    issued: usize,
    /// How many requests an access token is good for; then it has expired.
    pub token_lasts: usize,
    left: usize,
    /// By id.
    pub assets: BTreeMap<String, Resource>,
    /// By id.
    pub members: BTreeMap<String, Resource>,
    /// Writes that were carried out.
    pub writes: usize,
    /// Requests that the description does not allow, one sentence each.
    pub complaints: Vec<String>,
}

type Result<T> = std::result::Result<T, Answered>;

impl Fleetbox {
    /// One without assets and members, for a client with this secret.
    #[must_use]
    pub fn new(client_id: &str, secret: &str) -> Self {
        Self {
            client: format!("Basic {}", STANDARD.encode(format!("{client_id}:{secret}"))),
            issued: 0,
            token_lasts: 10_000,
            left: 0,
            assets: BTreeMap::new(),
            members: BTreeMap::new(),
            writes: 0,
            complaints: Vec::new(),
        }
    }

    /// Adds an asset of the first type.
    pub fn add_asset(&mut self, name: &str, custom_fields: &Value) -> String {
        let id = format!("ast_{:04}", self.assets.len() + 1);
        let shown = json!({
            "id": id, "displayName": name, "typeId": "typ_laptop", "placeId": null, "assignment": null,
            "customFields": custom_fields, "createdAt": MOMENT,
        });
        self.assets.insert(id.clone(), Resource { shown, version: 1 });
        id
    }

    /// Adds a member; one that `scim` provisioned comes from Jira.
    pub fn add_member(&mut self, name: &str, email: Option<&str>, provisioned_by: &str) -> String {
        let id = format!("mbr_{:04}", self.members.len() + 1);
        let shown = json!({"id": id, "displayName": name, "email": email, "provisionedBy": provisioned_by});
        self.members.insert(id.clone(), Resource { shown, version: 1 });
        id
    }

    /// Assigns an asset to a member.
    pub fn assign(&mut self, asset: &str, member: &str) {
        let name = self.members.get(member).map(|member| member.shown["displayName"].clone());
        if let Some(asset) = self.assets.get_mut(asset) {
            asset.shown["assignment"] =
                json!({"member": {"id": member, "displayName": name}, "since": MOMENT});
        }
    }

    /// The assets of this name, as they are shown.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Value> {
        self.assets.values().map(|asset| &asset.shown).filter(|asset| asset["displayName"] == name).collect()
    }

    fn complain(&mut self, asked: &Asked, why: &str) {
        self.complaints.push(format!("{} {} {}: {why}", asked.method, asked.path, asked.text));
    }

    fn token(&mut self, asked: &Asked) -> Answered {
        let form: Vec<&str> = asked.text.split('&').collect();
        let is_asked = form.contains(&"grant_type=client_credentials")
            && (form.contains(&"scope=inventory%3Awrite") || form.contains(&"scope=inventory:write"));
        if asked.header("authorization") != Some(self.client.as_str()) || !is_asked {
            return Answered::new(400, json!({"error": "invalid_client"}));
        }
        self.issued += 1;
        self.left = self.token_lasts;
        let token = json!({"access_token": self.access_token(), "token_type": "Bearer", "expires_in": 3600});
        Answered::new(200, token)
    }

    fn access_token(&self) -> String {
        format!("fleetbox-access-{:08}", self.issued)
    }

    fn is_known(&mut self, asked: &Asked) -> bool {
        let bearer = format!("Bearer {}", self.access_token());
        let known =
            self.issued > 0 && self.left > 0 && asked.header("authorization") == Some(bearer.as_str());
        self.left = self.left.saturating_sub(1);
        known
    }

    fn answer(&mut self, asked: &Asked) -> Result<Answered> {
        let path = asked.path.strip_prefix(ROOT).unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["assets"]) => {
                let name = asked.query("displayName");
                let rows = self.assets.values().map(|asset| &asset.shown);
                Ok(page(asked, rows.filter(|asset| name.is_none_or(|name| asset["displayName"] == name))))
            }
            ("POST", ["assets"]) => self.create_asset(asked),
            ("GET", ["assets", id]) => Ok(shown(self.assets.get(*id).ok_or_else(not_found)?, 200)),
            ("PATCH", ["assets", id]) => {
                let old = self.assets.get(*id).cloned().ok_or_else(not_found)?;
                let new = patched(asked, &old, &["displayName", "typeId", "placeId", "customFields"])?;
                let new = Resource { shown: checked(new.shown)?, ..new };
                self.writes += 1;
                let answer = shown(&new, 200);
                self.assets.insert((*id).to_owned(), new);
                Ok(answer)
            }
            ("PUT", ["assets", id, "assignment"]) => self.put_assignment(asked, id),
            ("DELETE", ["assets", id, "assignment"]) => {
                let asset = self.assets.get_mut(*id).ok_or_else(not_found)?;
                if asset.shown["assignment"].is_null() {
                    return Err(problem(409, "not-assigned", "nobody has it", &[]));
                }
                asset.shown["assignment"] = Value::Null;
                asset.version += 1;
                self.writes += 1;
                Ok(Answered::empty(204))
            }
            ("GET", ["members"]) => {
                let email = asked.query("email");
                let rows = self.members.values().map(|member| &member.shown);
                Ok(page(asked, rows.filter(|member| email.is_none_or(|email| member["email"] == email))))
            }
            ("POST", ["members"]) => {
                let body = asked.body();
                let Some(name) = body["displayName"].as_str() else {
                    return Err(problem(422, "validation", "displayName is missing", &[]));
                };
                let id = self.add_member(name, body["email"].as_str(), "invitation");
                self.writes += 1;
                Ok(shown(self.members.get(&id).ok_or_else(not_found)?, 201))
            }
            ("GET", ["members", id]) => Ok(shown(self.members.get(*id).ok_or_else(not_found)?, 200)),
            ("PATCH", ["members", id]) => {
                let old = self.members.get(*id).cloned().ok_or_else(not_found)?;
                if old.shown["provisionedBy"] == "scim" {
                    return Err(problem(403, "forbidden", "the identity provider keeps this member", &[]));
                }
                let new = patched(asked, &old, &["displayName", "email"])?;
                self.writes += 1;
                let answer = shown(&new, 200);
                self.members.insert((*id).to_owned(), new);
                Ok(answer)
            }
            ("GET", ["asset-types"]) => Ok(page(asked, types().iter())),
            ("GET", ["places"]) => Ok(Answered::new(200, json!({"data": places()}))),
            _ => {
                self.complain(asked, "there is no such thing");
                Err(not_found())
            }
        }
    }

    fn create_asset(&mut self, asked: &Asked) -> Result<Answered> {
        let body = asked.body();
        let known = ["displayName", "typeId", "placeId", "customFields"];
        let unknown = body
            .as_object()
            .and_then(|body| body.keys().find(|name| !known.contains(&name.as_str())).cloned());
        if let Some(unknown) = unknown {
            self.complain(asked, &format!("an asset has no {unknown}"));
        }
        let mut draft = json!({"placeId": null, "assignment": null, "customFields": [], "createdAt": MOMENT});
        for name in known {
            if let Some(value) = body.get(name) {
                draft[name] = value.clone();
            }
        }
        let draft = checked(draft)?;
        let id = self.add_asset("", &json!([]));
        let Some(asset) = self.assets.get_mut(&id) else { return Err(not_found()) };
        asset.shown = draft;
        asset.shown["id"] = id.into();
        self.writes += 1;
        Ok(shown(asset, 201))
    }

    fn put_assignment(&mut self, asked: &Asked, id: &str) -> Result<Answered> {
        let body = asked.body();
        let member = body["memberId"].as_str().unwrap_or_default().to_owned();
        if !self.members.contains_key(&member) {
            return Err(problem(422, "validation", "there is no such member", &[]));
        }
        if body["message"].as_str().is_some_and(|message| message.chars().count() > 200) {
            return Err(problem(422, "validation", "the message is too long", &[]));
        }
        let asset = self.assets.get(id).ok_or_else(not_found)?;
        if !asset.shown["assignment"].is_null() {
            return Err(problem(409, "already-assigned", "somebody has it", &[]));
        }
        self.assign(id, &member);
        if let Some(asset) = self.assets.get_mut(id) {
            asset.version += 1;
        }
        self.writes += 1;
        Ok(Answered::empty(204))
    }
}

impl Service for Fleetbox {
    fn hear(&mut self, asked: &Asked) -> Answered {
        if asked.path == "/oauth2/token" {
            return self.token(asked);
        }
        if !self.is_known(asked) {
            return problem(401, "unauthorized", "the access token is not known, or has expired", &[]);
        }
        let answered = self.answer(asked).unwrap_or_else(|refused| refused);
        answered.header("ratelimit-remaining", "900").header("ratelimit-reset", "60")
    }
}

fn problem(status: u16, kind: &str, detail: &str, violations: &[Value]) -> Answered {
    let kind = format!("urn:fleetbox:{kind}");
    let body = json!({"type": kind, "title": "Refused", "detail": detail, "violations": violations});
    Answered::new(status, body)
}

fn not_found() -> Answered {
    problem(404, "not-found", "there is no such resource", &[])
}

fn shown(resource: &Resource, status: u16) -> Answered {
    let etag = format!("\"{}\"", resource.version);
    Answered::new(status, json!({"data": resource.shown})).header("etag", etag)
}

/// A page; the cursor is there even where nothing follows.
fn page<'a>(asked: &Asked, rows: impl Iterator<Item = &'a Value>) -> Answered {
    let first =
        asked.query("first").and_then(|first| first.parse().ok()).unwrap_or(50).clamp(1, LARGEST_PAGE);
    let begin = asked.query("after").and_then(|cursor| cursor.strip_prefix("c-")?.parse::<usize>().ok());
    let begin = begin.unwrap_or(0);
    let rows: Vec<&Value> = rows.collect();
    let shown: Vec<&&Value> = rows.iter().skip(begin).take(first).collect();
    let end = begin + shown.len();
    let page = json!({"endCursor": format!("c-{end}"), "hasMore": end < rows.len()});
    Answered::new(200, json!({"data": shown, "page": page}))
}

fn types() -> Vec<Value> {
    let field = |id: &str, label: &str, kind: &str| json!({"id": id, "label": label, "kind": kind, "mandatory": false});
    let platform = json!({
        "id": "fld_platform", "label": "Platform", "kind": "SELECT", "mandatory": false,
        "options": [{"id": "opt_mac", "label": "Mac"}, {"id": "opt_ipad", "label": "iPad"}],
    });
    let fields = vec![
        field("fld_serial", "Serial", "TEXT"),
        field("fld_tag", "Asset tag", "NUMBER"),
        field("fld_enrolled", "Enrolled", "DATE"),
        field("fld_managed", "Managed", "CHECKBOX"),
        platform,
        field("fld_remarks", "Remarks", "TEXT"),
    ];
    ["Laptop", "Tablet"]
        .iter()
        .map(|name| json!({"id": format!("typ_{}", name.to_lowercase()), "displayName": name, "fields": fields}))
        .collect()
}

fn places() -> Value {
    json!([{"id": "plc_hq", "displayName": "HQ", "children": [
        {"id": "plc_hq1", "displayName": "First floor", "children": []},
    ]}])
}

/// An asset whose members fit, with the labels of its fields.
fn checked(mut asset: Value) -> Result<Value> {
    let types = types();
    let Some(asset_type) = types.iter().find(|one| one["id"] == asset["typeId"]) else {
        return Err(problem(422, "validation", "there is no such type", &[]));
    };
    if !asset["displayName"].is_string() {
        return Err(problem(422, "validation", "displayName is missing", &[]));
    }
    let known = ["plc_hq", "plc_hq1"];
    if !asset["placeId"].is_null() && !asset["placeId"].as_str().is_some_and(|id| known.contains(&id)) {
        return Err(problem(422, "validation", "there is no such place", &[]));
    }
    let rows = asset["customFields"].as_array().cloned().unwrap_or_default();
    let mut kept = Vec::new();
    for row in rows {
        let (id, value) = (&row["field"]["id"], &row["value"]);
        let refused =
            |why: &str| problem(422, "validation", "a field", &[json!({"fieldId": id, "detail": why})]);
        let fields = asset_type["fields"].as_array().cloned().unwrap_or_default();
        let field = fields.iter().find(|field| field["id"] == *id).ok_or_else(|| refused("unknown"))?;
        if value.is_null() {
            continue;
        }
        let fits = match field["kind"].as_str().unwrap_or_default() {
            "NUMBER" => value.is_number(),
            "CHECKBOX" => value.is_boolean(),
            "DATE" => value.as_str().is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok()),
            "SELECT" => {
                field["options"].as_array().into_iter().flatten().any(|option| option["id"] == *value)
            }
            _ => value.is_string(),
        };
        if !fits {
            return Err(refused("does not fit"));
        }
        kept.push(json!({"field": {"id": id, "label": field["label"]}, "value": value}));
    }
    asset["customFields"] = kept.into();
    Ok(asset)
}

/// What a JSON Patch makes of a resource that is still as it was read.
fn patched(asked: &Asked, old: &Resource, members: &[&str]) -> Result<Resource> {
    match asked.header("if-match") {
        None => return Err(problem(428, "precondition-required", "If-Match is missing", &[])),
        Some(etag) if etag != format!("\"{}\"", old.version) => {
            return Err(problem(412, "precondition-failed", "somebody was faster", &[]));
        }
        Some(_) => {}
    }
    if asked.header("content-type") != Some("application/json-patch+json") {
        return Err(problem(415, "media-type", "JSON Patch is expected", &[]));
    }
    let mut shown = old.shown.clone();
    let body = asked.body();
    for operation in body.as_array().into_iter().flatten() {
        let path = operation["path"].as_str().unwrap_or_default();
        let parts: Vec<&str> = path.split('/').skip(1).collect();
        if !parts.first().is_some_and(|member| members.contains(member)) {
            return Err(problem(422, "validation", "this member cannot be changed", &[]));
        }
        let value = operation["value"].clone();
        let done = match (operation["op"].as_str().unwrap_or_default(), parts.as_slice()) {
            ("add" | "replace", [member]) => {
                shown[*member] = value;
                Some(())
            }
            ("add", [list, "-"]) => shown[*list].as_array_mut().map(|list| list.push(value)),
            ("remove", [list, place]) => {
                let place = place.parse::<usize>().ok();
                let list = shown[*list].as_array_mut();
                list.zip(place)
                    .filter(|(list, place)| *place < list.len())
                    .map(|(list, place)| drop(list.remove(place)))
            }
            ("add" | "replace", _) => shown.pointer_mut(path).map(|at| *at = value),
            _ => None,
        };
        if done.is_none() {
            return Err(problem(422, "validation", "the patch does not fit", &[]));
        }
    }
    Ok(Resource { shown, version: old.version + 1 })
}
