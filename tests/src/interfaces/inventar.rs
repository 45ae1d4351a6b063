//! Inventar, as `tests/fixtures/interfaces/inventar/interface.md` describes it: one script, everything a text, whole entries in
//! every PUT, and refusals with status 200.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{Answered, Asked, Service, next};

const PAGE: usize = 25;
const NO_ENTRY: u16 = 10;
const NO_FIT: u16 = 20;
const MISSING: u16 = 21;

/// An item as it is kept, in plain text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Item {
    pub name: String,
    pub kind: String,
    pub room: String,
    /// `0` is nobody.
    pub person: String,
    pub form: BTreeMap<String, String>,
    pub note: String,
    pub created: String,
}

/// An Inventar with its entries, and what was asked of it.
#[derive(Debug)]
pub struct Inventar {
    authorization: String,
    /// By number.
    pub items: BTreeMap<u64, Item>,
    /// Name and mail, by number.
    pub persons: BTreeMap<u64, (String, String)>,
    /// The next requests that are answered with "too many", with a wait of a second.
    pub busy: usize,
    /// Writes that were carried out.
    pub writes: usize,
    /// Requests that the description does not allow, one sentence each.
    pub complaints: Vec<String>,
}

type Refusal = (u16, &'static str, Option<String>);

impl Inventar {
    /// One without items and persons, for this user.
    #[must_use]
    pub fn new(user: &str, password: &str) -> Self {
        Self {
            authorization: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
            items: BTreeMap::new(),
            persons: BTreeMap::new(),
            busy: 0,
            writes: 0,
            complaints: Vec::new(),
        }
    }

    /// Adds a notebook that nobody has.
    pub fn add_item(&mut self, name: &str, form: &[(&str, &str)], note: &str) -> u64 {
        let id = next(&self.items);
        let item = Item {
            name: name.to_owned(),
            kind: "1".to_owned(),
            person: "0".to_owned(),
            form: form.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect(),
            note: note.to_owned(),
            created: "1710409200".to_owned(),
            ..Item::default()
        };
        self.items.insert(id, item);
        id
    }

    /// Adds a person.
    pub fn add_person(&mut self, name: &str, mail: &str) -> u64 {
        let id = next(&self.persons);
        self.persons.insert(id, (name.to_owned(), mail.to_owned()));
        id
    }

    /// The items of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Item> {
        self.items.values().filter(|item| item.name == name).collect()
    }

    fn complain(&mut self, asked: &Asked, why: &str) {
        self.complaints.push(format!("{} {:?} {}: {why}", asked.method, asked.query, asked.text));
    }

    /// An item from what was sent; what was not is empty.
    fn item(&mut self, asked: &Asked, created: String) -> Result<Item, Refusal> {
        let body = asked.body();
        let Some(sent) = body.as_object() else { return Err((MISSING, "nothing was sent", None)) };
        let known = ["name", "kind", "room", "person", "form", "note"];
        if let Some(unknown) = sent.keys().find(|name| !known.contains(&name.as_str())) {
            self.complain(asked, &format!("{unknown} may not be sent"));
        }
        let text = |name: &str| sent.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let item = Item {
            name: text("name"),
            kind: text("kind"),
            room: text("room"),
            person: if text("person").is_empty() && asked.method == "POST" {
                "0".to_owned()
            } else {
                text("person")
            },
            form: form(sent.get("form"))?,
            note: text("note"),
            created,
        };
        if item.name.is_empty() || !kinds().iter().any(|(id, _)| *id == item.kind) {
            return Err((MISSING, "name or kind is missing", None));
        }
        if !item.room.is_empty() && !rooms().contains(&item.room.as_str()) {
            return Err((NO_FIT, "no such room", None));
        }
        let person = item.person.parse::<u64>().ok();
        if person.is_none_or(|person| person != 0 && !self.persons.contains_key(&person)) {
            return Err((NO_FIT, "no such person", None));
        }
        Ok(item)
    }

    fn person(&mut self, asked: &Asked) -> Result<(String, String), Refusal> {
        let body = asked.body();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        if let Some(unknown) = body
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .find(|name| !["name", "mail"].contains(&name.as_str()))
        {
            self.complain(asked, &format!("{unknown} may not be sent"));
        }
        let person = (text("name"), text("mail"));
        if person.0.is_empty() { Err((MISSING, "the name is missing", None)) } else { Ok(person) }
    }

    fn answer(&mut self, asked: &Asked) -> Result<Value, Refusal> {
        let of = |name: &str| asked.query(name).unwrap_or_default().to_owned();
        let id = asked.query("id").map(|id| id.parse::<u64>().unwrap_or(0));
        match (asked.method.as_str(), of("object").as_str(), of("action").as_str(), id) {
            ("GET", "item", "list", None) => {
                let part = of("name").to_lowercase();
                let fits = |(_, item): &(&u64, &Item)| item.name.to_lowercase().contains(&part);
                let rows = self.items.iter().filter(fits).map(|(id, item)| shown_item(*id, item));
                Ok(page(asked, rows.collect()))
            }
            ("GET", "item", "", Some(id)) => {
                let item = self.items.get(&id).ok_or((NO_ENTRY, "no such entry", None))?;
                Ok(json!({"ok": "1", "entry": shown_item(id, item)}))
            }
            ("POST", "item", "", None) => {
                let item = self.item(asked, "1780300800".to_owned())?;
                let id = next(&self.items);
                self.items.insert(id, item);
                self.writes += 1;
                Ok(json!({"ok": "1", "id": id.to_string()}))
            }
            ("PUT", "item", "", Some(id)) => {
                let old = self.items.get(&id).cloned().ok_or((NO_ENTRY, "no such entry", None))?;
                let item = self.item(asked, old.created)?;
                self.items.insert(id, item);
                self.writes += 1;
                Ok(json!({"ok": "1"}))
            }
            ("GET", "person", "list", None) => {
                let rows = self.persons.iter().map(|(id, person)| shown_person(*id, person));
                Ok(page(asked, rows.collect()))
            }
            ("GET", "person", "", Some(id)) => {
                let person = self.persons.get(&id).ok_or((NO_ENTRY, "no such entry", None))?;
                Ok(json!({"ok": "1", "entry": shown_person(id, person)}))
            }
            ("POST", "person", "", None) => {
                let (name, mail) = self.person(asked)?;
                let id = self.add_person(&name, &mail);
                self.writes += 1;
                Ok(json!({"ok": "1", "id": id.to_string()}))
            }
            ("PUT", "person", "", Some(id)) if self.persons.contains_key(&id) => {
                let person = self.person(asked)?;
                self.persons.insert(id, person);
                self.writes += 1;
                Ok(json!({"ok": "1"}))
            }
            ("GET", "kind", "list", None) => {
                let rows: Vec<Value> =
                    kinds().iter().map(|(id, name)| json!({"id": id, "name": name})).collect();
                Ok(json!({"ok": "1", "entries": rows}))
            }
            ("GET", "room", "list", None) => {
                let rows: Vec<Value> = rooms().iter().map(|name| json!({"name": escaped(name)})).collect();
                Ok(json!({"ok": "1", "entries": rows}))
            }
            ("GET", "form", "list", None) => Ok(json!({"ok": "1", "entries": fields()})),
            ("PUT", ..) => Err((NO_ENTRY, "no such entry", None)),
            _ => {
                self.complain(asked, "there is no such thing");
                Err((MISSING, "unknown object or action", None))
            }
        }
    }
}

impl Service for Inventar {
    fn hear(&mut self, asked: &Asked) -> Answered {
        if asked.path != "/inventar/api.php" {
            self.complain(asked, "there is no such script");
            return Answered::empty(404);
        }
        if asked.header("authorization") != Some(self.authorization.as_str()) {
            return Answered::empty(401);
        }
        if self.busy > 0 {
            self.busy -= 1;
            let body = json!({"ok": "0", "errno": "90", "error": "too many requests"});
            return Answered::new(200, body).header("x-wait", "1");
        }
        let body = self.answer(asked).unwrap_or_else(|(errno, error, form)| {
            let mut body = json!({"ok": "0", "errno": errno.to_string(), "error": error});
            if let Some(form) = form {
                body["form"] = form.into();
            }
            body
        });
        Answered::new(200, body)
    }
}

fn kinds() -> [(&'static str, &'static str); 2] {
    [("1", "Notebook"), ("2", "Tablet")]
}

fn rooms() -> [&'static str; 2] {
    ["Basement", "Bits & Bobs"]
}

fn fields() -> Vec<Value> {
    let field = |id: &str, caption: &str, input: &str, values: Value| json!({"id": id, "caption": caption, "input": input, "must": "0", "values": values});
    vec![
        field("7", "Serial number", "text", json!("")),
        field("8", "Inventory no.", "number", json!("")),
        field("9", "Enrolled", "date", json!("")),
        field("10", "Managed", "yesno", json!("")),
        field("11", "Platform", "choice", json!(["Mac", "iPad"])),
        field("12", "Remarks", "text", json!("")),
    ]
}

/// The entries of a form, each of which fits its field.
fn form(sent: Option<&Value>) -> Result<BTreeMap<String, String>, Refusal> {
    let mut entries = BTreeMap::new();
    for (id, value) in sent.and_then(Value::as_object).into_iter().flatten() {
        let refused = |why| Err((NO_FIT, why, Some(id.clone())));
        let fields = fields();
        let Some(field) = fields.iter().find(|field| field["id"] == *id) else {
            return refused("there is no such form field");
        };
        let Some(text) = value.as_str() else { return refused("it is no text") };
        if text.is_empty() {
            continue;
        }
        let fits = match field["input"].as_str().unwrap_or_default() {
            "number" => !text.contains('.') && text.replace(',', ".").parse::<f64>().is_ok(),
            "yesno" => ["0", "1"].contains(&text),
            "date" => jiff::civil::Date::strptime("%d.%m.%Y", text).is_ok() && text.len() == 10,
            "choice" => field["values"].as_array().is_some_and(|values| values.contains(value)),
            _ => true,
        };
        if !fits {
            return refused("it does not fit");
        }
        entries.insert(id.clone(), text.to_owned());
    }
    Ok(entries)
}

/// As the web pages have it.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#039;")
}

fn shown_item(id: u64, item: &Item) -> Value {
    let form: Map<String, Value> =
        item.form.iter().map(|(field, value)| (field.clone(), escaped(value).into())).collect();
    // An empty array and an empty object are the same to PHP.
    let form = if form.is_empty() { json!([]) } else { json!(form) };
    json!({
        "id": id.to_string(), "name": escaped(&item.name), "kind": item.kind, "room": escaped(&item.room),
        "person": item.person, "form": form, "note": escaped(&item.note), "created": item.created,
    })
}

fn shown_person(id: u64, (name, mail): &(String, String)) -> Value {
    json!({"id": id.to_string(), "name": escaped(name), "mail": escaped(mail)})
}

fn page(asked: &Asked, rows: Vec<Value>) -> Value {
    let page = asked.query("page").and_then(|page| page.parse::<usize>().ok()).unwrap_or(0);
    let pages = rows.len().div_ceil(PAGE).to_string();
    let rows: Vec<Value> = rows.into_iter().skip(page * PAGE).take(PAGE).collect();
    json!({"ok": "1", "pages": pages, "entries": rows})
}
