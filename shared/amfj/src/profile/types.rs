//! What a profile says, as the interpreter uses it: pointers split, templates taken apart, words read.

use std::collections::BTreeMap;

use amfj_sync_http::{ClientAuthentication, Shown};
use amfj_sync_model::amfj::FieldType;
use jiff::tz::TimeZone;

use super::operation::Op;
use super::pointer::Pointer;

mod operations;

pub use operations::{AnswerForm, Job, ListForm, ListShape, Operation, Paging, Total, Update};

/// The shape of one interface.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// What it is called in messages.
    pub name: String,
    /// How ids are written in bodies.
    pub ids: Ids,
    /// How a call proves who sends it.
    pub authentication: Authentication,
    /// Assets.
    pub asset: AssetShape,
    /// User records.
    pub user: UserShape,
    /// Asset types.
    pub asset_type: TypeShape,
    /// Locations.
    pub location: LocationShape,
    /// Definitions of custom fields.
    pub field: FieldShape,
    /// How values are written.
    pub values: Values,
    /// How it refuses.
    pub errors: Errors,
    /// How it asks for pauses.
    pub limits: Limits,
    /// What it can do. What is not in here it cannot.
    pub operations: BTreeMap<Op, Operation>,
}

/// How ids are written in bodies. They are read as either.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// As texts.
    Text,
    /// As numbers.
    Number,
}

/// How a call proves who sends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// Where the token stands.
    pub shown: Shown,
    /// How an access token is fetched, if one is.
    pub oauth: Option<OAuthShape>,
}

/// OAuth 2 client credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuthShape {
    /// From the root of the host; the configuration may name another address.
    pub token_path: String,
    /// The configuration may name another.
    pub client_id: Option<String>,
    /// How id and secret are sent.
    pub client_authentication: ClientAuthentication,
    /// Further parameters.
    pub parameters: Vec<(String, String)>,
    /// To token, seconds of its life, and refresh token.
    pub pointers: [String; 3],
}

/// Where something stands in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Member {
    /// At a pointer.
    At {
        /// Where.
        pointer: Pointer,
        /// Whether its absence means that there is nothing.
        optional: bool,
    },
    /// The same for all.
    Constant(String),
    /// The key under which the record stands.
    Key,
}

/// Something with an id, a name or an email.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedShape {
    /// Its id.
    pub id: Option<Member>,
    /// Its name.
    pub name: Option<Member>,
    /// The email of a holder.
    pub email: Option<Member>,
    /// Whether its absence means that there is none.
    pub optional: bool,
    /// What stands for nobody where a holder is told by an id: read as nobody, and written to take an asset back.
    pub nobody: Option<String>,
}

/// An asset.
#[derive(Debug, Clone, PartialEq)]
pub struct AssetShape {
    /// Its id.
    pub id: Member,
    /// Its name.
    pub name: Member,
    /// Its type.
    pub asset_type: NamedShape,
    /// Where it is.
    pub location: Option<NamedShape>,
    /// Who has it.
    pub holder: Option<NamedShape>,
    /// When it was created.
    pub created_at: Option<Member>,
    /// Custom fields.
    pub fields: Option<FieldsShape>,
    /// Where things are written.
    pub write: WriteShape,
}

/// A user record.
#[derive(Debug, Clone, PartialEq)]
pub struct UserShape {
    /// Its id.
    pub id: Member,
    /// Its name.
    pub name: Member,
    /// Its email.
    pub email: Option<Member>,
    /// Where it comes from.
    pub source: Option<Member>,
    /// The words for a record that Jira keeps.
    pub jira: Vec<String>,
    /// Custom fields.
    pub fields: Option<FieldsShape>,
    /// Where things are written.
    pub write: WriteShape,
}

/// Where things stand in the bodies of creations and updates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct WriteShape {
    pub name: Option<Pointer>,
    pub email: Option<Pointer>,
    pub asset_type: Option<Pointer>,
    pub location: Option<Pointer>,
    pub holder: Option<Pointer>,
    pub fields: Option<Pointer>,
}

/// Custom fields of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldsShape {
    /// How they stand there.
    pub form: FieldsForm,
    /// What they are called there.
    pub label: Label,
    /// What stands for the option of a choice.
    pub options: Label,
    /// Whether they may be missing.
    pub optional: bool,
}

/// How custom fields stand in a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldsForm {
    /// An object by label.
    Object {
        /// Where.
        at: Pointer,
    },
    /// A list of rows with label and value.
    List {
        /// Where.
        at: Pointer,
        /// Within a row.
        row_label: Pointer,
        /// Within a row.
        row_value: Pointer,
    },
    /// Beside other members.
    Prefix {
        /// The object that they stand in.
        at: Pointer,
        /// What their names begin with.
        prefix: String,
    },
}

impl FieldsForm {
    /// The object or list that they stand in.
    #[must_use]
    pub fn at(&self) -> &Pointer {
        let (Self::Object { at } | Self::List { at, .. } | Self::Prefix { at, .. }) = self;
        at
    }
}

/// What stands for a field or an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Its name.
    Name,
    /// Its key.
    Key,
}

/// An asset type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeShape {
    /// Its id.
    pub id: Member,
    /// Its name.
    pub name: Member,
    /// Its fields, where they stand in it.
    pub fields: Option<Pointer>,
}

/// A location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocationShape {
    /// Its id.
    pub id: Member,
    /// Its name.
    pub name: Member,
    /// Those below it.
    pub children: Option<Pointer>,
    /// What stands between names on the way to it.
    pub separator: Option<String>,
}

/// The definition of a custom field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldShape {
    /// Its name.
    pub name: Member,
    /// What records call it, if that is not its name.
    pub key: Option<Member>,
    /// Its type.
    pub kind: Option<Member>,
    /// Whether a record must have it.
    pub required: Option<Member>,
    /// What a choice allows.
    pub options: Option<Pointer>,
    /// Key and name of an option that is an object.
    pub option: Option<(Pointer, Pointer)>,
    /// The asset types that have it.
    pub asset_types: Option<Pointer>,
    /// The words for types; the product's own where there are none.
    pub types: Vec<(FieldType, Vec<String>)>,
}

/// How a value that is to be cleared is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clear {
    /// As null.
    Null,
    /// As an empty text.
    Empty,
    /// It is left out.
    Omit,
}

/// How moments are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TimeForm {
    /// `2026-07-01`, or RFC 3339 for a time stamp.
    Standard,
    /// As `strftime` has it.
    Format(String),
    /// Seconds since 1970.
    Epoch,
    /// Milliseconds since 1970.
    EpochMilliseconds,
}

/// How numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NumberForm {
    /// As numbers.
    Number,
    /// As texts.
    Text,
    /// As texts with a comma.
    TextComma,
}

/// How values are written.
#[derive(Debug, Clone, PartialEq)]
pub struct Values {
    /// How a field is cleared.
    pub clear: Clear,
    /// Dates.
    pub date: TimeForm,
    /// When something was created.
    pub timestamp: TimeForm,
    /// The time zone of dates and of time stamps that name none.
    pub zone: TimeZone,
    /// Numbers.
    pub number: NumberForm,
    /// The words for true and false.
    pub boolean: Option<(String, String)>,
    /// Whether texts come with the escapes of HTML.
    pub html: bool,
}

/// Where a refusal says something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorPlace {
    /// Where.
    pub pointer: Pointer,
    /// Whether it is the only member there that is meant.
    pub is_only_member: bool,
}

/// What a refusal is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such record.
    Gone,
    /// Somebody, or nobody, has it already.
    AlreadySo,
    /// A value.
    Value,
    /// Asked too often.
    SlowDown,
}

/// What a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum OwnForm {
    Object,
    List,
    Text,
    Empty,
}

/// How an interface refuses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors {
    /// Where the sentence for people is.
    pub message: Vec<ErrorPlace>,
    /// Where the field at fault is.
    pub field: Vec<ErrorPlace>,
    /// Where the code is.
    pub code: Vec<ErrorPlace>,
    /// What statuses mean.
    pub statuses: Vec<(Refusal, Vec<u16>)>,
    /// What codes mean.
    pub codes: Vec<(Refusal, Vec<String>)>,
    /// What its own refusals come as.
    pub body: Vec<OwnForm>,
    /// What says that an answer is a refusal although its status is one of success.
    pub despite_success: Option<(Pointer, Vec<String>)>,
}

/// How a pause is written in a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum PauseForm {
    Seconds,
    Milliseconds,
    Epoch,
    EpochMilliseconds,
    Date,
    SecondsOrDate,
}

/// How an interface asks for pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The header with the pause.
    pub pause: Option<(String, PauseForm)>,
    /// The header with the number of calls that are left.
    pub remaining: Option<String>,
}

impl Profile {
    /// How an operation is done, where the interface has it.
    #[must_use]
    pub fn operation(&self, op: Op) -> Option<&Operation> {
        self.operations.get(&op)
    }

    /// Whether the interface has it.
    #[must_use]
    pub fn has(&self, op: Op) -> bool {
        self.operations.contains_key(&op)
    }
}
