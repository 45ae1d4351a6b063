//! Stockroom, as `tests/fixtures/interfaces/stockroom/openapi.json` describes it: resources in envelopes of their own names,
//! snake case, page numbers. As such documents are, it is a release behind: the definitions of fields come as `fields` by now.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Answered, Asked, Service, next};

const ROOT: &str = "/api/v1/";
const TOKEN_HEADER: &str = "x-stockroom-token";
const LARGEST_PAGE: usize = 50;
const MOMENT: &str = "2026-06-01T08:00:00Z";

/// A Stockroom with its records, and what was asked of it.
#[derive(Debug)]
pub struct Stockroom {
    token: String,
    /// By id, as they are shown.
    pub hardware: BTreeMap<u64, Value>,
    /// By id, as they are shown.
    pub people: BTreeMap<u64, Value>,
    categories: Vec<Value>,
    sites: Vec<Value>,
    fields: Vec<Value>,
    /// Writes that were carried out.
    pub writes: usize,
    /// Requests that the description does not allow, one sentence each.
    pub complaints: Vec<String>,
}

impl Stockroom {
    /// One without hardware and people.
    #[must_use]
    pub fn new(token: &str) -> Self {
        let field = |key: &str, label: &str, data_type: &str, choices: Value, of: Value| json!({"key": key, "label": label, "data_type": data_type, "required": false, "choices": choices, "category_ids": of});
        Self {
            token: token.to_owned(),
            hardware: BTreeMap::new(),
            people: BTreeMap::new(),
            categories: vec![json!({"id": 1, "name": "Notebooks"}), json!({"id": 2, "name": "Tablets"})],
            sites: vec![json!({"id": 7, "name": "Head office"}), json!({"id": 8, "name": "Annex"})],
            fields: vec![
                field("serial_no", "Serial no.", "string", json!([]), json!([])),
                field("asset_tag", "Asset tag", "decimal", json!([]), json!([])),
                field("enrolled_on", "Enrolled on", "date", json!([]), json!([1, 2])),
                field("managed", "Managed", "boolean", json!([]), json!([])),
                field("platform", "Platform", "list", json!(["Mac", "iPad"]), json!([])),
                field("remarks", "Remarks", "string", json!([]), json!([])),
                field("lid_colour", "Lid colour", "string", json!([]), json!([1])),
            ],
            writes: 0,
            complaints: Vec::new(),
        }
    }

    /// Adds hardware of the first category.
    pub fn add_hardware(&mut self, name: &str, custom_values: &Value) -> u64 {
        self.insert(&json!({"name": name, "category_id": 1, "custom_values": custom_values}))
    }

    /// Adds a person; one of the directory comes from Jira.
    pub fn add_person(&mut self, full_name: &str, email_address: Option<&str>, origin: &str) -> u64 {
        let id = next(&self.people);
        let person =
            json!({"id": id, "full_name": full_name, "email_address": email_address, "origin": origin});
        self.people.insert(id, person);
        id
    }

    /// Hands hardware to a person.
    pub fn hand_out(&mut self, hardware: u64, person: u64) {
        let holder = self.holder(person);
        if let Some(item) = self.hardware.get_mut(&hardware) {
            item["checked_out_to"] = holder;
        }
    }

    /// The hardware of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Value> {
        self.hardware.values().filter(|item| item["name"] == name).collect()
    }

    fn insert(&mut self, form: &Value) -> u64 {
        let id = next(&self.hardware);
        let custom_values = form.get("custom_values").cloned().unwrap_or_else(|| json!({}));
        let item = json!({
            "id": id, "name": form["name"], "category": by_id(&self.categories, &form["category_id"]),
            "site": by_id(&self.sites, &form["site_id"]), "checked_out_to": null, "custom_values": custom_values,
            "created_at": MOMENT, "updated_at": MOMENT,
        });
        self.hardware.insert(id, item);
        id
    }

    fn holder(&self, person: u64) -> Value {
        let Some(person) = self.people.get(&person) else { return Value::Null };
        json!({"id": person["id"], "full_name": person["full_name"], "email_address": person["email_address"]})
    }

    fn complain(&mut self, asked: &Asked, why: &str) {
        self.complaints.push(format!("{} {} {}: {why}", asked.method, asked.path, asked.text));
    }

    /// The form of a resource, without members that it does not have.
    fn form(
        &mut self,
        asked: &Asked,
        resource: &str,
        known: &[&str],
    ) -> Result<Map<String, Value>, Answered> {
        let body = asked.body();
        let Some(form) = body[resource].as_object() else {
            let message = format!("param is missing or the value is empty: {resource}");
            return Err(Answered::new(400, json!({"code": "bad_request", "message": message})));
        };
        if let Some(unknown) = form.keys().find(|name| !known.contains(&name.as_str())) {
            self.complain(asked, &format!("a {resource} has no {unknown}"));
        }
        Ok(form.clone())
    }

    /// Custom values over those that are there.
    fn custom(&self, old: &Value, form: &Map<String, Value>, category: &Value) -> Result<Value, Answered> {
        let mut values = old.as_object().cloned().unwrap_or_default();
        for (key, value) in form.get("custom_values").and_then(Value::as_object).into_iter().flatten() {
            let wrong = |why: &str| {
                let errors = json!({format!("custom_values.{key}"): [why]});
                Err(Answered::new(422, json!({"code": "invalid", "errors": errors})))
            };
            let Some(field) = self.fields.iter().find(|field| field["key"] == *key) else {
                return wrong("is unknown");
            };
            let of = field["category_ids"].as_array().cloned().unwrap_or_default();
            if !of.is_empty() && !of.contains(category) {
                return wrong("is not a field of this category");
            }
            if value.is_null() {
                values.remove(key);
                continue;
            }
            let fits = match field["data_type"].as_str().unwrap_or_default() {
                "integer" | "decimal" => value.is_number(),
                "boolean" => value.is_boolean(),
                "date" => value.as_str().is_some_and(|text| text.parse::<jiff::civil::Date>().is_ok()),
                "list" => field["choices"].as_array().is_some_and(|choices| choices.contains(value)),
                _ => value.is_string(),
            };
            if !fits {
                return wrong("is not valid");
            }
            values.insert(key.clone(), value.clone());
        }
        Ok(values.into())
    }

    fn hardware_form(&mut self, asked: &Asked, id: Option<u64>) -> Result<Answered, Answered> {
        let form = self.form(asked, "hardware_item", &["name", "category_id", "site_id", "custom_values"])?;
        let old = id.and_then(|id| self.hardware.get(&id).cloned());
        let category = form.get("category_id").or_else(|| old.as_ref()?.pointer("/category/id")).cloned();
        let category = category.unwrap_or_default();
        if by_id(&self.categories, &category).is_null() {
            let errors = json!({"category": ["must exist"]});
            return Err(Answered::new(422, json!({"code": "invalid", "errors": errors})));
        }
        let before = old.as_ref().map_or_else(|| json!({}), |old| old["custom_values"].clone());
        let custom_values = self.custom(&before, &form, &category)?;
        self.writes += 1;
        let (status, id) = match id {
            Some(id) => (200, id),
            None => (201, self.insert(&json!({"name": form.get("name"), "category_id": category}))),
        };
        let site = form.get("site_id").map(|site| by_id(&self.sites, site));
        let Some(item) = self.hardware.get_mut(&id) else { return Err(not_found()) };
        if let Some(name) = form.get("name") {
            item["name"] = name.clone();
        }
        if let Some(site) = site {
            item["site"] = site;
        }
        item["custom_values"] = custom_values;
        Ok(Answered::new(status, json!({"hardware_item": item})))
    }

    fn person_form(&mut self, asked: &Asked, id: Option<u64>) -> Result<Answered, Answered> {
        let form = self.form(asked, "person", &["full_name", "email_address"])?;
        self.writes += 1;
        let (status, id) = match id {
            Some(id) => (200, id),
            None => (201, self.add_person("", None, "manual")),
        };
        let Some(person) = self.people.get_mut(&id) else { return Err(not_found()) };
        if person["origin"] == "directory" {
            let message = "this person is kept by the directory";
            return Err(Answered::new(403, json!({"code": "forbidden", "message": message})));
        }
        for (name, value) in form {
            person[name] = value;
        }
        Ok(Answered::new(status, json!({"person": person})))
    }

    fn check_out(&mut self, asked: &Asked, id: u64) -> Result<Answered, Answered> {
        let form = self.form(asked, "checkout", &["person_id", "remark"])?;
        let holder = form.get("person_id").and_then(Value::as_u64).map(|person| self.holder(person));
        let Some(holder) = holder.filter(|holder| !holder.is_null()) else {
            return Err(Answered::new(422, json!({"code": "invalid", "errors": {"person": ["must exist"]}})));
        };
        let Some(item) = self.hardware.get_mut(&id) else { return Err(not_found()) };
        if !item["checked_out_to"].is_null() {
            return Err(Answered::new(422, json!({"code": "already_out", "message": "somebody has it"})));
        }
        item["checked_out_to"] = holder;
        self.writes += 1;
        Ok(Answered::new(201, json!({"checkout": {"receipt": format!("R-{}", self.writes)}})))
    }

    fn check_in(&mut self, id: u64) -> Result<Answered, Answered> {
        let Some(item) = self.hardware.get_mut(&id) else { return Err(not_found()) };
        if item["checked_out_to"].is_null() {
            return Err(Answered::new(422, json!({"code": "not_out", "message": "nobody has it"})));
        }
        item["checked_out_to"] = Value::Null;
        self.writes += 1;
        Ok(Answered::new(200, json!({"hardware_item": item})))
    }

    fn answer(&mut self, asked: &Asked) -> Result<Answered, Answered> {
        let path = asked.path.strip_prefix(ROOT).unwrap_or_default().to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let id = parts.get(1).and_then(|id| id.parse::<u64>().ok());
        let of = |name: &str| asked.query(name).map(str::to_owned);
        match (asked.method.as_str(), parts.as_slice(), id) {
            ("GET", ["hardware_items"], _) => {
                let (name, serial) = (of("q[name_eq]"), of("q[serial_cont]"));
                let fits = |item: &&Value| {
                    name.as_ref().is_none_or(|name| item["name"] == *name)
                        && serial.as_ref().is_none_or(|serial| {
                            item["custom_values"]["serial_no"]
                                .as_str()
                                .is_some_and(|own| own.contains(serial))
                        })
                };
                Ok(page(asked, "hardware_items", self.hardware.values().filter(fits)))
            }
            ("POST", ["hardware_items"], _) => self.hardware_form(asked, None),
            ("GET", ["hardware_items", _], Some(id)) => {
                let item = self.hardware.get(&id).ok_or_else(not_found)?;
                Ok(Answered::new(200, json!({"hardware_item": item})))
            }
            ("PATCH", ["hardware_items", _], Some(id)) if self.hardware.contains_key(&id) => {
                self.hardware_form(asked, Some(id))
            }
            ("POST", ["hardware_items", _, "checkout"], Some(id)) => self.check_out(asked, id),
            ("POST", ["hardware_items", _, "checkin"], Some(id)) => self.check_in(id),
            ("GET", ["people"], _) => {
                let email = of("q[email_address_eq]");
                let fits =
                    |person: &&Value| email.as_ref().is_none_or(|email| person["email_address"] == *email);
                Ok(page(asked, "people", self.people.values().filter(fits)))
            }
            ("POST", ["people"], _) => self.person_form(asked, None),
            ("GET", ["people", _], Some(id)) => {
                let person = self.people.get(&id).ok_or_else(not_found)?;
                Ok(Answered::new(200, json!({"person": person})))
            }
            ("PATCH", ["people", _], Some(id)) if self.people.contains_key(&id) => {
                self.person_form(asked, Some(id))
            }
            ("GET", ["categories"], _) => Ok(page(asked, "categories", self.categories.iter())),
            ("GET", ["sites"], _) => Ok(page(asked, "sites", self.sites.iter())),
            ("GET", ["custom_fields"], _) => Ok(Answered::new(200, json!({"fields": self.fields}))),
            ("GET" | "PATCH" | "POST", ["hardware_items" | "people", ..], _) => Err(not_found()),
            _ => {
                self.complain(asked, "there is no such thing");
                Err(not_found())
            }
        }
    }
}

impl Service for Stockroom {
    fn hear(&mut self, asked: &Asked) -> Answered {
        if asked.header(TOKEN_HEADER) != Some(self.token.as_str()) {
            return Answered::new(401, json!({"code": "unauthorized", "message": "the token is not known"}));
        }
        self.answer(asked).unwrap_or_else(|refused| refused)
    }
}

fn not_found() -> Answered {
    Answered::new(404, json!({"code": "not_found", "message": "there is no such record"}))
}

fn by_id(records: &[Value], id: &Value) -> Value {
    records.iter().find(|record| record["id"] == *id).cloned().unwrap_or_default()
}

fn page<'a>(asked: &Asked, resource: &str, rows: impl Iterator<Item = &'a Value>) -> Answered {
    let number =
        |name: &str, default| asked.query(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let (page, per_page) = (number("page", 1).max(1), number("per_page", 25).clamp(1, LARGEST_PAGE));
    let rows: Vec<&Value> = rows.collect();
    let shown: Vec<&&Value> = rows.iter().skip((page - 1) * per_page).take(per_page).collect();
    let meta = json!({
        "current_page": page, "total_pages": rows.len().div_ceil(per_page), "total_count": rows.len(),
    });
    Answered::new(200, json!({resource: shown, "meta": meta}))
}
