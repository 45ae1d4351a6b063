//! Personalities: what a service does that is merely odd, for chosen kinds of requests and chosen records.
//!
//! A [`Rule`](super::faults::Rule) hits requests by path and chance, as an outage does. A personality knows
//! *records and kinds*: this asset is refused for ever, that user record has a name of null, every check-out
//! takes and keeps nothing. Any number of them are in force together; each may end after a time or after a
//! number of strikes.
//!
//! ```
//! use std::time::Duration;
//! use amfj_sync_tests::sim::personality::{Body, Form, Kind, Oddity, Personality, Shape};
//!
//! // One asset can never be updated, and a load balancer says so.
//! let refused = Personality::new(Oddity::refuse(403).saying(Body::Html)).at(Kind::UpdateAsset).of("asset-0000003");
//! // AMFJ escapes what it stores, and answers with what was sent.
//! let escaping = Personality::new(Oddity::stores_as(Form::HtmlEscape).showing_what_was_sent());
//! // A record without a name, in every list for ten seconds.
//! let nameless = Personality::new(Oddity::Shape(Shape::null("/name"))).of("user-0000001").lasting(Duration::from_secs(10));
//! # let _ = (refused, escaping, nameless);
//! ```
//! Over HTTP the first is `POST /_sim/personality {"kinds":["update_asset"],"records":["asset-0000003"],
//! "oddity":{"refuse":{"status":403,"body":"html"}}}`; the answer has the id with which
//! `DELETE /_sim/personality?id=1` ends it. `GET /_sim/personalities` lists those in force,
//! `DELETE /_sim/personalities` ends them all.

mod active;
mod answers;
mod oddity;
mod rows;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use active::{Personalities, PersonalityId};
pub use oddity::{Body, Form, Oddity, RetryAfter, Search, Shape, Shown};

pub(crate) use active::Subject;
pub(crate) use answers::{Course, decide, finish};
pub(crate) use rows::shape;

/// What a request is for. The last ones stand for several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are those of the two services' operations")]
pub enum Kind {
    CreateAsset,
    UpdateAsset,
    CheckOut,
    CheckIn,
    CreateUser,
    UpdateUser,
    ListAssets,
    ListUsers,
    SearchAssets,
    SearchUsers,
    ReadAsset,
    ReadTypes,
    ReadLocations,
    ReadUserFields,
    ListDevices,
    ReadDevice,
    ReadDetails,
    ListKandjiUsers,
    ReadPrism,
    /// Everything that changes AMFJ.
    Writes,
    /// Everything that changes nothing.
    Reads,
    /// The lists of both services, searches not among them.
    Lists,
    /// Searches by name and email.
    Searches,
    /// Types, locations and user fields.
    Catalogue,
}

impl Kind {
    /// Whether a request of kind `of` is meant.
    #[must_use]
    pub fn covers(self, of: Self) -> bool {
        match self {
            Self::Writes => of.is_write(),
            Self::Reads => !of.is_write(),
            Self::Lists => {
                matches!(
                    of,
                    Self::ListAssets
                        | Self::ListUsers
                        | Self::ListDevices
                        | Self::ListKandjiUsers
                        | Self::ReadPrism
                )
            }
            Self::Searches => matches!(of, Self::SearchAssets | Self::SearchUsers),
            Self::Catalogue => matches!(of, Self::ReadTypes | Self::ReadLocations | Self::ReadUserFields),
            own => own == of,
        }
    }

    /// Whether it changes AMFJ.
    #[must_use]
    pub fn is_write(self) -> bool {
        matches!(
            self,
            Self::CreateAsset
                | Self::UpdateAsset
                | Self::CheckOut
                | Self::CheckIn
                | Self::CreateUser
                | Self::UpdateUser
                | Self::Writes
        )
    }
}

/// One oddity, and what it befalls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Personality {
    /// The kinds of requests; every kind if there are none.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// The records, by id, name, email or serial number; every record if there are none. A check-out is about
    /// the asset and the user record.
    #[serde(default)]
    pub records: Vec<String>,
    /// Only requests that send this field (or `name`, `email`, `location_id`).
    #[serde(default)]
    pub sending: Option<String>,
    /// Only requests that send this value in it.
    #[serde(default)]
    pub value: Option<Value>,
    /// How many strikes are let pass first.
    #[serde(default)]
    pub after: u32,
    /// How many strikes there are then; no end if not given.
    #[serde(default)]
    pub times: Option<u32>,
    /// How many strikes each record gets; no end if not given.
    #[serde(default)]
    pub times_each: Option<u32>,
    /// Milliseconds after which it is over; for ever if not given.
    #[serde(default)]
    pub for_ms: Option<u64>,
    /// What is odd.
    pub oddity: Oddity,
}

impl Personality {
    /// One that befalls every request and every record, for ever.
    #[must_use]
    pub fn new(oddity: impl Into<Oddity>) -> Self {
        Self {
            kinds: Vec::new(),
            records: Vec::new(),
            sending: None,
            value: None,
            after: 0,
            times: None,
            times_each: None,
            for_ms: None,
            oddity: oddity.into(),
        }
    }

    /// Only this kind of request, beside those named before.
    #[must_use]
    pub fn at(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// Only this record, beside those named before.
    #[must_use]
    pub fn of(mut self, record: impl Into<String>) -> Self {
        self.records.push(record.into());
        self
    }

    /// Only these records, beside those named before.
    #[must_use]
    pub fn of_all<T: Into<String>>(mut self, records: impl IntoIterator<Item = T>) -> Self {
        self.records.extend(records.into_iter().map(Into::into));
        self
    }

    /// Only requests that send this field.
    #[must_use]
    pub fn sending(mut self, field: &str) -> Self {
        self.sending = Some(field.to_owned());
        self
    }

    /// Only requests that send this value in this field.
    #[must_use]
    pub fn sending_value(mut self, field: &str, value: impl Into<Value>) -> Self {
        (self.sending, self.value) = (Some(field.to_owned()), Some(value.into()));
        self
    }

    /// Lets the first strikes pass.
    #[must_use]
    pub fn after(mut self, strikes: u32) -> Self {
        self.after = strikes;
        self
    }

    /// Strikes so often, then never again.
    #[must_use]
    pub fn times(mut self, strikes: u32) -> Self {
        self.times = Some(strikes);
        self
    }

    /// Strikes each record so often, then never again.
    #[must_use]
    pub fn times_each(mut self, strikes: u32) -> Self {
        self.times_each = Some(strikes);
        self
    }

    /// Is over after this time.
    #[must_use]
    pub fn lasting(mut self, time: Duration) -> Self {
        self.for_ms = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

#[cfg(test)]
mod tests;
