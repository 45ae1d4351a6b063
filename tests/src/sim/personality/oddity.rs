//! The oddities themselves.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One thing that a service does which its contract does not say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Oddity {
    /// Answers with this status and, unless it is told otherwise, does nothing.
    Refuse {
        /// HTTP status, 2xx and 3xx included: a page of HTML with status 200 is a refusal too.
        status: u16,
        /// What stands in the body.
        #[serde(default)]
        body: Body,
        /// The header `Retry-After`.
        #[serde(default)]
        retry_after: Option<RetryAfter>,
        /// The request is carried out all the same.
        #[serde(default)]
        done: bool,
    },
    /// Carries the request out and answers with this status and less than the contract's body.
    Succeed {
        /// HTTP status.
        status: u16,
        /// What stands in the body.
        body: Body,
    },
    /// The connection ends without an answer.
    Lose {
        /// Whether the request is carried out before that.
        #[serde(default)]
        done: bool,
    },
    /// Nothing is said for this long, then the connection ends.
    Silence {
        /// Milliseconds.
        ms: u64,
        /// Whether the request is carried out before the silence.
        #[serde(default)]
        done: bool,
    },
    /// The request is carried out this much later.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
    /// A write is accepted, and these values stay as they were.
    Ignore {
        /// Fields, `name`, `email`, `location_id` or `holder`; all that was sent if there are none. The name
        /// of a new record is always kept.
        #[serde(default)]
        fields: Vec<String>,
        /// What the answer shows.
        #[serde(default)]
        shown: Shown,
    },
    /// A write is accepted, and these values are stored in a form of the service's own.
    Store {
        /// The form.
        form: Form,
        /// Fields, `name` or `email`; all that was sent if there are none.
        #[serde(default)]
        fields: Vec<String>,
        /// What the answer shows.
        #[serde(default)]
        shown: Shown,
    },
    /// A write shows in lists and searches only so much later.
    ListLate {
        /// Milliseconds.
        ms: u64,
    },
    /// The check-out of an asset that somebody has is refused with this status in place of 409.
    HeldAnswers {
        /// HTTP status.
        status: u16,
    },
    /// A write that is answered with a job is pending for so long, although it was carried out.
    JobTakes {
        /// Milliseconds.
        ms: u64,
    },
    /// A write that is answered with a job is accepted, and refused by the job.
    JobRefuses,
    /// A search finds something else than the contract says.
    Search(Search),
    /// A row is not in the list although its record is there: also what a row is that moved to a page that was
    /// read before.
    Hide,
    /// A row that moved while the list was paged: it is on two pages.
    Repeat,
    /// A list that does not end: its last page names the first one as the next.
    Circle,
    /// The next page's address is another host's, or its cursor an unknown one.
    NextLies,
    /// A record that is shown in another shape, in lists and by id.
    Shape(Shape),
}

/// A body that is not the one that the contract promises.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// The service's own error, for instance "no such asset" with 404.
    #[default]
    Contract,
    /// The service's own error, which names this field.
    Naming(String),
    /// The service's own error, which names the first field that was sent.
    NamingTheFirst,
    /// JSON of somebody else's, for instance a gateway's.
    Foreign,
    /// A page of HTML.
    Html,
    /// Nothing at all.
    Empty,
    /// `{}`.
    Object,
    /// The record's id and nothing else.
    Id,
    /// `null`.
    Null,
    /// This.
    Json(Value),
    /// This text, declared as JSON.
    Text(String),
}

/// The header `Retry-After`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// A number of seconds.
    Seconds(u64),
    /// A date that many seconds from now.
    Date(u64),
    /// Whatever this is.
    Text(String),
}

/// What the answer to a write shows of values that are not kept as they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// What is stored.
    #[default]
    Stored,
    /// What was sent, although the lists will show something else.
    Sent,
}

/// A service's own form of a value. Values of other types than the form is about stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// White space at both ends is cut off.
    Trim,
    /// White space inside is folded.
    Fold,
    /// `&`, `<`, `>` and quotation marks are escaped as in HTML.
    HtmlEscape,
    /// Only so many characters are kept.
    Cut(usize),
    /// Numbers have at most so many decimals.
    Round(u32),
    /// Numbers are text.
    NumberAsText,
    /// In upper case.
    UpperCase,
    /// In lower case.
    LowerCase,
    /// Letters of the other case: what an option is that differs in case alone.
    OtherCase,
    /// A date becomes a date with a time.
    DateTime,
    /// Booleans are `Yes` and `No`.
    YesNo,
    /// Unicode NFD.
    Decomposed,
    /// Whatever is not ASCII becomes a question mark.
    AsciiOnly,
    /// Whatever is outside the basic plane (emoji) is dropped.
    BasicPlane,
    /// Always this.
    Fixed(Value),
}

/// What a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Search {
    /// Nothing, although it exists.
    Nothing,
    /// Names and emails of another case too.
    AnyCase,
    /// Whatever contains the text, in any case.
    Contains,
    /// The parameter is ignored: everything is listed.
    Everything,
}

/// Another shape of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Shape {
    /// The member at this JSON pointer has this value.
    Set {
        /// For instance `/fields` or `/asset_type/name`.
        at: String,
        /// Any value.
        value: Value,
    },
    /// The member at this JSON pointer is missing.
    Missing {
        /// For instance `/created_at`.
        at: String,
    },
    /// The text at this JSON pointer ends with half of a surrogate pair.
    BrokenText {
        /// For instance `/name`.
        at: String,
    },
    /// The member at this JSON pointer is this, whether or not a value in memory can hold it: `1e999`, a hundred brackets.
    Raw {
        /// For instance `/fields/Notes`.
        at: String,
        /// JSON without quotation marks.
        text: String,
    },
    /// The time at this JSON pointer has no zone, and a space for the `T`.
    NoZone {
        /// For instance `/created_at`.
        at: String,
    },
    /// The record's id is a number; by that number it is found.
    NumericId,
    /// So are the ids of the user record, type and location that an asset shows. For all records alike.
    NumericIds,
    /// The row is no object but this.
    NotAnObject(Value),
}

impl Shape {
    /// The member at this JSON pointer is this JSON.
    #[must_use]
    pub fn raw(at: &str, text: &str) -> Self {
        Self::Raw { at: at.to_owned(), text: text.to_owned() }
    }

    /// The member at this JSON pointer is null.
    #[must_use]
    pub fn null(at: &str) -> Self {
        Self::set(at, Value::Null)
    }

    /// The member at this JSON pointer has this value.
    #[must_use]
    pub fn set(at: &str, value: impl Into<Value>) -> Self {
        Self::Set { at: at.to_owned(), value: value.into() }
    }

    /// The member at this JSON pointer is missing.
    #[must_use]
    pub fn missing(at: &str) -> Self {
        Self::Missing { at: at.to_owned() }
    }

    /// The text at this JSON pointer is broken.
    #[must_use]
    pub fn broken_text(at: &str) -> Self {
        Self::BrokenText { at: at.to_owned() }
    }

    /// The time at this JSON pointer has no zone.
    #[must_use]
    pub fn no_zone(at: &str) -> Self {
        Self::NoZone { at: at.to_owned() }
    }
}

impl From<Shape> for Oddity {
    fn from(shape: Shape) -> Self {
        Self::Shape(shape)
    }
}

impl From<Search> for Oddity {
    fn from(search: Search) -> Self {
        Self::Search(search)
    }
}

impl Oddity {
    /// A refusal in the service's own form, without doing anything.
    #[must_use]
    pub fn refuse(status: u16) -> Self {
        Self::Refuse { status, body: Body::Contract, retry_after: None, done: false }
    }

    /// The request is carried out, and this is answered.
    #[must_use]
    pub fn succeed(status: u16, body: Body) -> Self {
        Self::Succeed { status, body }
    }

    /// All that is written is stored in this form, which the answer shows.
    #[must_use]
    pub fn stores_as(form: Form) -> Self {
        Self::Store { form, fields: Vec::new(), shown: Shown::Stored }
    }

    /// Nothing that is written is kept, which the answer shows.
    #[must_use]
    pub fn ignores() -> Self {
        Self::Ignore { fields: Vec::new(), shown: Shown::Stored }
    }

    /// With this body.
    #[must_use]
    pub fn saying(mut self, said: Body) -> Self {
        if let Self::Refuse { body, .. } | Self::Succeed { body, .. } = &mut self {
            *body = said;
        }
        self
    }

    /// With `Retry-After`.
    #[must_use]
    pub fn asking_to_wait(mut self, header: RetryAfter) -> Self {
        if let Self::Refuse { retry_after, .. } = &mut self {
            *retry_after = Some(header);
        }
        self
    }

    /// Although the request is carried out.
    #[must_use]
    pub fn after_doing(mut self) -> Self {
        if let Self::Refuse { done, .. } | Self::Lose { done } | Self::Silence { done, .. } = &mut self {
            *done = true;
        }
        self
    }

    /// The answer shows what was sent, not what is stored.
    #[must_use]
    pub fn showing_what_was_sent(mut self) -> Self {
        if let Self::Ignore { shown, .. } | Self::Store { shown, .. } = &mut self {
            *shown = Shown::Sent;
        }
        self
    }

    /// This field alone, beside those named before.
    #[must_use]
    pub fn in_field(mut self, name: &str) -> Self {
        if let Self::Ignore { fields, .. } | Self::Store { fields, .. } = &mut self {
            fields.push(name.to_owned());
        }
        self
    }

    /// Whether it befalls single rows of what is answered, and not the request.
    pub(crate) fn is_of_rows(&self) -> bool {
        matches!(self, Self::Hide | Self::Repeat | Self::Shape(_))
    }

    /// Whether the request is over with it, and nothing is carried out.
    pub(crate) fn ends_before(&self) -> bool {
        matches!(
            self,
            Self::Refuse { done: false, .. } | Self::Lose { done: false } | Self::Silence { done: false, .. }
        )
    }
}
