//! What clients may send, member by member, and how they are refused.

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use crate::sim::{
    core::Verdict,
    wire::{Ask, Reply},
};

/// A request that is not carried out.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    field: Option<String>,
    is_violation: bool,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, is_violation: false }
    }

    /// 422 because of one value.
    pub(crate) fn field(name: &str, problem: &str) -> Self {
        let message = format!("{name} {problem}");
        Self { field: Some(name.to_owned()), ..Self::new(422, "invalid", message) }
    }

    /// 400 for what the contract does not have.
    pub(crate) fn violation(message: impl Into<String>) -> Self {
        Self { is_violation: true, ..Self::new(400, "bad_request", message) }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(404, "not_found", format!("there is no such {what}"))
    }

    /// The same with another status, where it is the refusal with this code.
    pub(crate) fn said_as(self, code: &str, status: u16) -> Self {
        if self.code == code { Self { status, ..self } } else { self }
    }

    pub(crate) fn reply(&self) -> Reply {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(field) = &self.field {
            error["field"] = json!(field);
        }
        Reply::json(self.status, &json!({ "error": error }))
    }
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self { reply: refusal.reply(), violation: refusal.is_violation.then_some(refusal.message) }
    }
}

/// The body of `POST /assets`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewAsset {
    pub(crate) name: String,
    pub(crate) asset_type_id: String,
    #[serde(default)]
    pub(crate) location_id: Option<String>,
    #[serde(default)]
    pub(crate) fields: Map<String, Value>,
}

/// The body of `PATCH /assets/{id}`. A location of null takes the location away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AssetPatch {
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) location_id: Change,
    #[serde(default)]
    pub(crate) fields: Map<String, Value>,
}

/// The body of `POST /assets/{id}/check-out`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckOut {
    pub(crate) user_id: String,
    #[serde(default, rename = "note")]
    pub(crate) _note: Option<String>,
}

/// The body of `POST /assets/{id}/check-in`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckIn {
    #[serde(default, rename = "note")]
    pub(crate) _note: Option<String>,
}

/// The body of `POST /users`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) email: Option<String>,
    #[serde(default)]
    pub(crate) fields: Map<String, Value>,
}

/// The body of `PATCH /users/{id}`. An email of null takes the email away.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPatch {
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) email: Change,
    #[serde(default)]
    pub(crate) fields: Map<String, Value>,
}

/// A member whose absence and null mean different things.
#[derive(Debug, Default)]
pub(crate) enum Change {
    /// Not sent: nothing changes.
    #[default]
    Keep,
    /// Sent, null included.
    Set(Option<String>),
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::Set)
    }
}

/// The body of a request.
///
/// # Errors
/// A violation when it is no JSON, or not of the contract's shape.
pub(crate) fn body<T: DeserializeOwned>(ask: &Ask) -> Result<T, Refusal> {
    let is_json = ask.content_type.as_deref().is_some_and(|kind| kind.starts_with("application/json"));
    if !is_json {
        return Err(Refusal::violation("the body is not declared as application/json"));
    }
    serde_json::from_slice(&ask.body).map_err(|error| Refusal::violation(format!("body: {error}")))
}

/// # Errors
/// A violation when a query parameter is not in the list.
pub(crate) fn only(ask: &Ask, known: &[&str]) -> Result<(), Refusal> {
    match ask.query.iter().find(|(name, _)| !known.contains(&name.as_str())) {
        Some((name, _)) => Err(Refusal::violation(format!("unknown query parameter {name:?}"))),
        None => Ok(()),
    }
}
