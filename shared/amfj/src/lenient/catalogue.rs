//! Asset types, their fields, and locations, read as far as they go.

use amfj_sync_http::json::{self, kind};
use amfj_sync_model::amfj::{AssetType, Field, FieldType, Named};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Members, Record, as_text, is_empty};

impl Record for Named {
    const WHAT: &'static str = "location";

    fn read(members: &mut Members) -> Result<Self, String> {
        Ok(Self { id: members.id()?, name: members.text("name") })
    }

    fn is_short(&self) -> bool {
        self.name.len() <= json::LONGEST_TEXT
    }
}

impl Record for Field {
    const WHAT: &'static str = "user field";

    fn read(members: &mut Members) -> Result<Self, String> {
        field(members)
    }

    fn is_short(&self) -> bool {
        self.name.len() <= json::LONGEST_TEXT
    }
}

impl Record for AssetType {
    const WHAT: &'static str = "asset type";

    fn read(members: &mut Members) -> Result<Self, String> {
        let id = members.id()?;
        let name = members.text("name");
        let mut fields = Vec::new();
        match members.object.remove("fields") {
            Some(Value::Array(rows)) => {
                for row in rows {
                    if let Some(field) = field_of_type(row, members) {
                        fields.push(field);
                    }
                }
            }
            None | Some(Value::Null) => {}
            Some(empty) if is_empty(&empty) => {}
            Some(other) => {
                let why = format!("its fields are {} instead of a list, and count as none", kind(&other));
                members.report(&why);
            }
        }
        Ok(Self { id, name, fields })
    }

    fn is_short(&self) -> bool {
        self.name.len() <= json::LONGEST_TEXT
    }
}

fn field_of_type(row: Value, of: &mut Members) -> Option<Field> {
    let object = match row {
        Value::Object(object) => object,
        // A bare name is a field of which nothing else is known.
        other => Map::from_iter([("name".to_owned(), other)]),
    };
    let mut members = Members { what: "field", object, odd: Vec::new() };
    match field(&mut members) {
        Ok(field) => {
            of.odd.append(&mut members.odd);
            Some(field)
        }
        Err(why) => {
            of.report(&format!("one of its fields is left out: {why}"));
            None
        }
    }
}

fn field(members: &mut Members) -> Result<Field, String> {
    let name = members.text("name");
    if name.trim().is_empty() {
        return Err("it has no name".to_owned());
    }
    let field_type = members.object.get("type").cloned().unwrap_or_default();
    let field_type = FieldType::deserialize(field_type).unwrap_or(FieldType::Text);
    let required = members.flag("required");
    let options = match members.object.remove("options") {
        Some(Value::Array(options)) => options.iter().filter_map(option).collect(),
        None | Some(Value::Null) => Vec::new(),
        Some(other) => {
            members.report(&format!("its options are {} instead of a list, and count as none", kind(&other)));
            Vec::new()
        }
    };
    Ok(Field { name, field_type, required, options })
}

/// What a select takes: a text, a number, or an object that says so of one.
fn option(option: &Value) -> Option<String> {
    match option {
        Value::Object(members) => {
            ["value", "name", "label", "id"].iter().find_map(|name| members.get(*name).and_then(as_text))
        }
        Value::Bool(flag) => Some(flag.to_string()),
        other => as_text(other),
    }
}
