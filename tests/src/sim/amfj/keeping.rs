//! How a site that is odd keeps what it is sent: in a form of its own, or not at all.

use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization as _;

use super::{KeptOtherwise, store::Store};
use crate::sim::{
    fleet::{SiteAsset, SiteUser},
    personality::{Form, Oddity, Shown},
};

/// A record as it was before a write, if it was there.
#[derive(Debug)]
pub(crate) enum Before {
    /// The write is about an asset.
    Asset(Option<SiteAsset>),
    /// The write is about a user record.
    User(Option<SiteUser>),
}

/// Whether any of these is about what is kept.
pub(crate) fn concerns(met: &[Oddity]) -> bool {
    met.iter().any(|oddity| matches!(oddity, Oddity::Ignore { .. } | Oddity::Store { .. }))
}

/// What became of a write.
#[derive(Debug)]
pub(crate) struct Kept {
    /// What the answer shows.
    pub(crate) shown: Value,
    /// The record as it is.
    pub(crate) stored: Value,
}

impl Kept {
    /// Everything as it was sent.
    pub(crate) fn as_sent(record: Value) -> Self {
        Self { shown: record.clone(), stored: record }
    }
}

/// Changes what a write has stored.
pub(crate) fn keep(store: &mut Store, met: &[Oddity], before: Before, sent: &Value, answered: Value) -> Kept {
    let Some(id) = answered["id"].as_str().map(str::to_owned) else { return Kept::as_sent(answered) };
    let stored = match before {
        Before::Asset(before) => keep_asset(store, met, &id, before, sent),
        Before::User(before) => keep_user(store, met, &id, before.as_ref(), sent),
    };
    let shows_what_was_sent = |oddity: &Oddity| {
        matches!(oddity, Oddity::Ignore { shown: Shown::Sent, .. } | Oddity::Store { shown: Shown::Sent, .. })
    };
    let Some(stored) = stored else { return Kept::as_sent(answered) };
    note_differences(store, &id, sent, &stored);
    let shown = if met.iter().any(shows_what_was_sent) { answered } else { stored.clone() };
    Kept { shown, stored }
}

fn note_differences(store: &mut Store, id: &str, sent: &Value, stored: &Value) {
    for (field, value) in sent["fields"].as_object().into_iter().flatten() {
        let kept = stored["fields"].get(field).cloned();
        if kept.as_ref().unwrap_or(&Value::Null) != value {
            let (record, field, sent) = (id.to_owned(), field.clone(), value.clone());
            store.otherwise.push(KeptOtherwise { record, field, sent, kept });
        }
    }
}

fn keep_asset(
    store: &mut Store,
    met: &[Oddity],
    id: &str,
    before: Option<SiteAsset>,
    sent: &Value,
) -> Option<Value> {
    let mut asset = store.assets.get(id)?.clone();
    for oddity in met {
        match oddity {
            Oddity::Store { form, fields, .. } => {
                for (name, value) in &mut asset.fields {
                    if is_meant(fields, name) && was_sent(sent, name) {
                        *value = form.of(value);
                    }
                }
                if is_meant(fields, "name") && was_sent(sent, "name") {
                    asset.name = form.of_text(&asset.name);
                }
            }
            Oddity::Ignore { fields, .. } => ignore(&mut asset, before.as_ref(), fields, sent),
            _ => {}
        }
    }
    if let Some(before) = &before
        && before.holder != asset.holder
        && sent_holder_is_ignored(met)
    {
        asset.holder.clone_from(&before.holder);
        store.handovers.pop();
    }
    let unchanged = before
        .is_some_and(|before| SiteAsset { updated_at: before.updated_at.clone(), ..asset.clone() } == before);
    if unchanged && store.idle_patches.last() != Some(&asset.id) {
        store.idle_patches.push(asset.id.clone());
    }
    Some(store.keep_asset(asset))
}

/// A check-out or check-in that is answered and not done.
fn sent_holder_is_ignored(met: &[Oddity]) -> bool {
    let ignores =
        |oddity: &Oddity| matches!(oddity, Oddity::Ignore { fields, .. } if is_meant(fields, "holder"));
    met.iter().any(ignores)
}

fn ignore(asset: &mut SiteAsset, before: Option<&SiteAsset>, meant: &[String], sent: &Value) {
    asset.fields.retain(|name, value| {
        let ignored = is_meant(meant, name) && was_sent(sent, name);
        let old = before.and_then(|before| before.fields.get(name));
        if let (true, Some(old)) = (ignored, old) {
            *value = old.clone();
        }
        !ignored || old.is_some()
    });
    // What was cleared and is kept.
    for (name, old) in before.into_iter().flat_map(|before| &before.fields) {
        if is_meant(meant, name) && was_sent(sent, name) {
            asset.fields.entry(name.clone()).or_insert_with(|| old.clone());
        }
    }
    if is_meant(meant, "location_id") && was_sent(sent, "location_id") {
        asset.location_id = before.and_then(|before| before.location_id.clone());
    }
    if let Some(before) = before
        && is_meant(meant, "name")
        && was_sent(sent, "name")
    {
        asset.name.clone_from(&before.name);
    }
}

fn keep_user(
    store: &mut Store,
    met: &[Oddity],
    id: &str,
    before: Option<&SiteUser>,
    sent: &Value,
) -> Option<Value> {
    let mut user = store.users.get(id)?.clone();
    for oddity in met {
        match oddity {
            Oddity::Store { form, fields, .. } => {
                for (name, value) in &mut user.fields {
                    if is_meant(fields, name) && was_sent(sent, name) {
                        *value = form.of(value);
                    }
                }
                if is_meant(fields, "name") && was_sent(sent, "name") {
                    user.name = form.of_text(&user.name);
                }
                if is_meant(fields, "email") && was_sent(sent, "email") {
                    user.email = user.email.map(|email| form.of_text(&email));
                }
            }
            Oddity::Ignore { fields, .. } => ignore_of_user(&mut user, before, fields, sent),
            _ => {}
        }
    }
    let shown = Store::show_user(&user);
    store.users.put(id, user);
    Some(shown)
}

fn ignore_of_user(user: &mut SiteUser, before: Option<&SiteUser>, meant: &[String], sent: &Value) {
    let old = before.map(|before| before.fields.clone()).unwrap_or_default();
    let ignored = |name: &str| is_meant(meant, name) && was_sent(sent, name);
    user.fields.retain(|name, _| !ignored(name));
    user.fields.extend(old.into_iter().filter(|(name, _)| ignored(name)));
    if let Some(before) = before {
        if ignored("name") {
            user.name.clone_from(&before.name);
        }
        if ignored("email") {
            user.email.clone_from(&before.email);
        }
    }
}

fn is_meant(fields: &[String], name: &str) -> bool {
    fields.is_empty() || fields.iter().any(|field| field == name)
}

fn was_sent(sent: &Value, name: &str) -> bool {
    sent.get("fields").and_then(|fields| fields.get(name)).is_some() || sent.get(name).is_some()
}

impl Form {
    /// A value in this form.
    fn of(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Fixed(fixed), _) => fixed.clone(),
            (Self::NumberAsText, Value::Number(number)) => json!(number.to_string()),
            (Self::YesNo, Value::Bool(yes)) => json!(if *yes { "Yes" } else { "No" }),
            (Self::Round(digits), Value::Number(number)) => number.as_f64().map_or_else(
                || value.clone(),
                |exact| {
                    let factor = 10f64.powi(i32::try_from(*digits).unwrap_or(0));
                    let rounded = (exact * factor).round() / factor;
                    // As JavaScript writes numbers: none has a decimal that says nothing.
                    format!("{rounded}").parse().map_or_else(|_| value.clone(), Value::Number)
                },
            ),
            (_, Value::String(text)) => json!(self.of_text(text)),
            _ => value.clone(),
        }
    }

    /// A text in this form.
    fn of_text(&self, text: &str) -> String {
        match self {
            Self::Trim => text.trim().to_owned(),
            Self::Fold => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Self::HtmlEscape => text
                .replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
                .replace('"', "&quot;")
                .replace('\'', "&#39;"),
            Self::Cut(characters) => text.chars().take(*characters).collect(),
            Self::UpperCase => text.to_uppercase(),
            Self::LowerCase => text.to_lowercase(),
            Self::OtherCase => other_case(text),
            Self::DateTime if text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok() => {
                format!("{text}T00:00:00.000Z")
            }
            Self::Decomposed => text.nfd().collect(),
            Self::AsciiOnly => text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect(),
            Self::BasicPlane => text.chars().filter(|c| u32::from(*c) <= 0xFFFF).collect(),
            Self::Fixed(value) => value.as_str().map_or_else(|| text.to_owned(), str::to_owned),
            Self::DateTime | Self::Round(_) | Self::NumberAsText | Self::YesNo => text.to_owned(),
        }
    }
}

fn other_case(text: &str) -> String {
    let turn =
        |c: char| if c.is_uppercase() { c.to_lowercase().to_string() } else { c.to_uppercase().to_string() };
    text.chars().map(turn).collect()
}
