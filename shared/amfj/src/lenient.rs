//! Records of AMFJ as they may come, read as far as they go (P30).
//!
//! A record that is what the contract says is read as such, fast. Only one that is not comes here: null for a text is
//! blank, a number for a text or an id is its digits, `fields: null` is none, a time that cannot be read is unknown.
//! What cannot be read at all costs that member alone, and is reported. Two things never pass for less than they are:
//! a holder that cannot be read is not nobody ([`Holder::unreadable`]), a location that cannot be read is not none.

use amfj_sync_http::json::{self, Rows, kind};
use amfj_sync_model::amfj::{Asset, Holder, Named, Source, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::Unusable;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

mod catalogue;
#[cfg(test)]
mod tests;

/// Bytes of the longest id that is one: it stands in addresses and in the subjects of messages.
const LONGEST_ID: usize = 512;

/// A kind of record that AMFJ lists.
pub trait Record: DeserializeOwned {
    /// What it is called in a report.
    const WHAT: &'static str;

    /// Reads what can be read; fails only where there is nothing by which it could be told from others.
    fn read(members: &mut Members) -> Result<Self, String>;

    /// Whether nothing in it is too long to be used.
    fn is_short(&self) -> bool;
}

/// What one page says.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The records that can be used.
    pub results: Vec<T>,
    /// Where the next page begins.
    pub next: Option<String>,
    /// Rows received, usable or not.
    pub rows: u64,
    /// Rows that cannot be used at all.
    pub lost: Vec<Unusable>,
    /// Members that cannot be used, of records that can.
    pub odd: Vec<Unusable>,
}

impl<T> Page<T> {
    /// With nothing in it.
    pub(crate) fn empty() -> Self {
        Self { results: Vec::new(), next: None, rows: 0, lost: Vec::new(), odd: Vec::new() }
    }

    /// Takes in what became of the row at this place.
    pub(crate) fn take_row(&mut self, place: usize, read: Result<(T, Vec<Unusable>), Unusable>) {
        match read {
            Ok((record, odd)) => {
                self.results.push(record);
                self.odd.extend(odd);
            }
            Err(mut lost) => {
                // Something to look for where it shows nothing of itself.
                if lost.id.is_none() && lost.name.is_none() {
                    lost.why = format!("{} (row {} of its page)", lost.why, place + 1);
                }
                self.lost.push(lost);
            }
        }
    }

    /// Takes in the page that follows; answers where the next one begins.
    pub(crate) fn append(&mut self, page: Self) -> Option<String> {
        self.results.extend(page.results);
        self.lost.extend(page.lost);
        self.odd.extend(page.odd);
        self.rows += page.rows;
        page.next
    }
}

#[derive(Deserialize)]
struct Strict<T> {
    results: Vec<T>,
    #[serde(default)]
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Loose<'a> {
    #[serde(borrow)]
    results: Rows<'a>,
    #[serde(default)]
    next_cursor: Value,
}

/// Bytes of JSON of one record that can be used: it travels in messages, twice in some.
const LARGEST: usize = 4 << 20;

/// Reads a page: all of it as the contract says, or else row by row.
pub fn page<T: Record>(body: &[u8]) -> serde_json::Result<Page<T>> {
    if !json::has_nul(body)
        && !json::has_too_many_values(body)
        && let Ok(strict) = serde_json::from_slice::<Strict<T>>(body)
        && strict.results.iter().all(Record::is_short)
    {
        let (rows, next) = (strict.results.len() as u64, strict.next_cursor);
        return Ok(Page { results: strict.results, next, rows, lost: Vec::new(), odd: Vec::new() });
    }
    let (text, mended) = json::mend(body);
    let loose: Loose<'_> = serde_json::from_str(&text)?;
    let next = as_text(&loose.next_cursor);
    let mut page = Page { next, rows: loose.results.len() as u64, ..Page::empty() };
    for (place, raw) in loose.results.each().enumerate() {
        let read = match raw {
            Ok(text) => row(text, mended),
            Err(why) => Err(Unusable::new(T::WHAT, None, None, &format!("{why}; it is left out"))),
        };
        page.take_row(place, read);
    }
    Ok(page)
}

/// Reads one record, as from an answer to a read by id or to a write.
pub fn one<T: Record>(body: &[u8]) -> serde_json::Result<(T, Vec<Unusable>)> {
    if !json::has_nul(body)
        && !json::has_too_many_values(body)
        && let Ok(record) = serde_json::from_slice::<T>(body)
        && record.is_short()
    {
        return Ok((record, Vec::new()));
    }
    let (text, mended) = json::mend(body);
    // What is no JSON at all fails here, with the place.
    let _: &RawValue = serde_json::from_str(&text)?;
    row(&text, mended).map_err(|lost| serde::de::Error::custom(lost.why))
}

fn row<T: Record>(text: &str, mended: bool) -> Result<(T, Vec<Unusable>), Unusable> {
    let object = match json::read(text) {
        Ok(Value::Object(object)) => object,
        Ok(other) => {
            let shown = as_text(&other);
            let why = format!("it is {} instead of an object; it is left out", kind(&other));
            return Err(Unusable::new(T::WHAT, None, shown.as_deref(), &why));
        }
        Err(error) => {
            let why = format!("it is no JSON that can be read ({error}); it is left out");
            return Err(Unusable::new(T::WHAT, None, None, &why));
        }
    };
    let unreadable = mended && text.contains('\u{fffd}');
    of_members(object, &[], unreadable)
}

/// A record of which another interface shows these members, as the contract calls them, and of which this is odd.
pub(crate) fn of_members<T: Record>(
    object: Map<String, Value>,
    odd: &[String],
    unreadable: bool,
) -> Result<(T, Vec<Unusable>), Unusable> {
    let mut members = Members { what: T::WHAT, object, odd: Vec::new() };
    for why in odd {
        members.report(why);
    }
    if unreadable {
        members.report("a text in it has characters that cannot be read; U+FFFD stands for them");
    }
    members.shorten();
    if let Some(why) = members.is_too_large() {
        return Err(members.unusable(&why));
    }
    match T::read(&mut members) {
        Ok(record) => Ok((record, members.odd)),
        Err(why) => Err(members.unusable(&format!("{why}; it is left out"))),
    }
}

/// The members of one record, and what is wrong with them.
#[derive(Debug)]
pub struct Members {
    what: &'static str,
    object: Map<String, Value>,
    odd: Vec<Unusable>,
}

impl Members {
    /// A text: blank where there is none.
    fn text(&mut self, name: &str) -> String {
        let value = self.object.get(name).unwrap_or(&Value::Null);
        if let Some(text) = as_text(value) {
            return text;
        }
        if !matches!(value, Value::Null | Value::String(_)) {
            self.report(&format!("its {name} is {} instead of a text, and counts as blank", kind(value)));
        }
        String::new()
    }

    fn id(&self) -> Result<String, String> {
        match self.object.get("id") {
            None | Some(Value::Null) => Err("it has no id".to_owned()),
            Some(value) => id_of(value),
        }
    }

    /// The custom fields by name.
    fn fields(&mut self) -> std::collections::BTreeMap<String, Value> {
        match self.object.remove("fields") {
            Some(Value::Object(fields)) => fields.into_iter().collect(),
            None | Some(Value::Null) => std::collections::BTreeMap::new(),
            Some(empty) if is_empty(&empty) => std::collections::BTreeMap::new(),
            Some(other) => {
                let why = format!("its fields are {} instead of an object, and count as none", kind(&other));
                self.report(&why);
                std::collections::BTreeMap::new()
            }
        }
    }

    /// An id with a name; both blank where it cannot be read.
    fn named(&mut self, name: &str) -> Option<Named> {
        let value = self.object.get(name).cloned().unwrap_or_default();
        if value.is_null() || is_empty(&value) {
            return None;
        }
        let named = match &value {
            Value::Object(object) => Named {
                id: object.get("id").and_then(|id| id_of(id).ok()).unwrap_or_default(),
                name: object.get("name").and_then(as_text).unwrap_or_default(),
            },
            Value::String(text) => Named { id: String::new(), name: text.trim().to_owned() },
            _ => Named { id: String::new(), name: String::new() },
        };
        if named.id.is_empty() {
            self.report(&format!(
                "its {} has no id that can be read, and stays as it was known",
                words(name)
            ));
        }
        Some(named)
    }

    /// Whoever has it: nobody only where AMFJ says so.
    fn holder(&mut self) -> Option<Holder> {
        let value = self.object.get("checked_out_to").cloned().unwrap_or_default();
        let is_blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
        if value.is_null() || is_blank(&value) {
            return None;
        }
        let object = value.as_object();
        let member = |name: &str| object.and_then(|object| object.get(name));
        let id = member("id").and_then(|id| id_of(id).ok()).and_then(|id| RecordId::new(id).ok());
        let name = member("name").and_then(as_text).unwrap_or_default();
        if let Some(id) = id {
            return Some(Holder { id, name });
        }
        self.report(
            "who has it cannot be read (checked_out_to has no id), so nothing is decided about who should",
        );
        Some(Holder::unreadable(&name))
    }

    fn flag(&mut self, name: &str) -> bool {
        match self.object.get(name) {
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) => matches!(text.trim().to_lowercase().as_str(), "true" | "yes" | "1"),
            Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number != 0.0),
            _ => false,
        }
    }

    /// Cuts what is too long to be used.
    fn shorten(&mut self) {
        let long: Vec<String> = self
            .object
            .iter()
            .filter(|(_, value)| json::is_too_long(value))
            .map(|(name, _)| name.clone())
            .collect();
        for name in long {
            match self.object.get_mut(&name) {
                // Each field by itself: one that is gone would look as if nothing were in it.
                Some(Value::Object(fields)) if name == "fields" => {
                    for value in fields.values_mut() {
                        json::cut_value(value);
                    }
                }
                Some(value) => {
                    json::cut_value(value);
                }
                None => {}
            }
            self.report(&format!("its {} is too long and was cut", words(&name)));
        }
    }

    /// Whether no message could carry it; its fields are not cut, for one that is gone would look blank.
    fn is_too_large(&self) -> Option<String> {
        let bytes: usize = self.object.values().map(json::length).sum();
        (bytes > LARGEST).then(|| {
            format!("it is {bytes} bytes large, more than the {LARGEST} that can be used; it is left out")
        })
    }

    fn report(&mut self, why: &str) {
        let odd = self.unusable(why);
        self.odd.push(odd);
    }

    /// By whatever it shows of itself.
    fn unusable(&self, why: &str) -> Unusable {
        let text = |name: &str| self.object.get(name).and_then(as_text);
        let name = text("name").or_else(|| text("email"));
        Unusable::new(self.what, text("id").as_deref(), name.as_deref(), why)
    }
}

impl Record for Asset {
    const WHAT: &'static str = "asset";

    fn read(members: &mut Members) -> Result<Self, String> {
        let id = AssetId::new(members.id()?).map_err(|error| error.to_string())?;
        let asset_type = members.named("asset_type").unwrap_or_else(|| {
            members.report("it shows no asset type; that stays as it was known");
            Named { id: String::new(), name: String::new() }
        });
        let created_at = members.object.get("created_at").cloned().unwrap_or_default();
        let created = created_at.as_str().and_then(|text| text.trim().parse().ok());
        if created.is_none() && !created_at.is_null() {
            members.report("when it was created cannot be read, and is unknown");
        }
        Ok(Self {
            id,
            name: members.text("name"),
            asset_type,
            location: members.named("location"),
            fields: members.fields(),
            checked_out_to: members.holder(),
            created_at: created,
        })
    }

    fn is_short(&self) -> bool {
        self.id.as_str().len() <= LONGEST_ID
            && self.name.len() <= json::LONGEST_TEXT
            && are_short(&self.fields)
    }
}

impl Record for UserRecord {
    const WHAT: &'static str = "user record";

    fn read(members: &mut Members) -> Result<Self, String> {
        let id = RecordId::new(members.id()?).map_err(|error| error.to_string())?;
        let is_jira = members
            .object
            .get("source")
            .and_then(Value::as_str)
            .is_some_and(|source| source.trim() == "jira");
        Ok(Self {
            id,
            name: members.text("name"),
            email: Some(members.text("email")).filter(|email| !email.is_empty()),
            source: if is_jira { Source::Jira } else { Source::Local },
            fields: members.fields(),
        })
    }

    fn is_short(&self) -> bool {
        self.id.as_str().len() <= LONGEST_ID
            && self.name.len() <= json::LONGEST_TEXT
            && self.email.as_ref().is_none_or(|email| email.len() <= json::LONGEST_TEXT)
            && are_short(&self.fields)
    }
}

/// Whether neither a value nor all of them together is too much.
fn are_short(fields: &std::collections::BTreeMap<String, Value>) -> bool {
    !fields.values().any(json::is_too_long) && fields.values().map(json::length).sum::<usize>() <= LARGEST
}

/// A text, or the digits of a number; none where it is blank.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn id_of(value: &Value) -> Result<String, String> {
    match as_text(value) {
        Some(id) if id.len() > LONGEST_ID => Err("its id is too long to be one".to_owned()),
        Some(id) => Ok(id.trim().to_owned()),
        None if value.is_string() => Err("its id is blank".to_owned()),
        None => Err(format!("its id is {}", kind(value))),
    }
}

/// How some languages write an empty object: as an empty list or text.
pub(crate) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::String(text) => text.trim().is_empty(),
        _ => false,
    }
}

fn words(member: &str) -> String {
    member.replace('_', " ")
}
