//! Operations: requests, lists, answers and updates.

use amfj_sync_http::Method;

use crate::profile::pointer::Pointer;
use crate::profile::template::{Body, Template};

/// How the records of a list stand in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListForm {
    /// As a list.
    List,
    /// As an object by id.
    ById,
}

/// How one page follows another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// Everything comes at once.
    None,
    /// An opaque cursor.
    Cursor {
        /// Where it is.
        next: Pointer,
        /// What takes it.
        parameter: String,
        /// What says whether there is a next page, where the cursor does not.
        more: Option<Pointer>,
    },
    /// The address of the next page.
    NextUrl {
        /// Where it is; the header `Link` otherwise.
        next: Option<Pointer>,
    },
    /// Rows to pass over.
    Offset {
        /// What takes their number.
        parameter: String,
        /// How many there are.
        total: Option<Total>,
    },
    /// Pages by number.
    Page {
        /// What takes the number.
        parameter: String,
        /// The number of the first.
        first: u64,
        /// How many there are.
        total: Option<Total>,
        /// Whether that is the number of pages.
        counts_pages: bool,
    },
}

/// Where it is said how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Total {
    /// In the body.
    At(Pointer),
    /// In a header.
    Header(String),
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListShape {
    /// How its records stand there.
    pub form: ListForm,
    /// Where.
    pub rows: Pointer,
    /// How it goes on.
    pub paging: Paging,
    /// What says how many records a page may have, and how many.
    pub size: Option<(String, u32)>,
}

/// What a write answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AnswerForm {
    /// The record.
    Record,
    /// Its id.
    Id(Pointer),
    /// Nothing.
    Nothing,
    /// A job to look at.
    Job(Box<Job>),
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its address in the answer; the header `Location` otherwise.
    pub address: Option<Pointer>,
    /// How it stands.
    pub state: Pointer,
    /// Words for done.
    pub done: Vec<String>,
    /// Words for failed.
    pub failed: Vec<String>,
    /// The id of what it made.
    pub id: Option<Pointer>,
    /// Why it failed.
    pub message: Option<Pointer>,
    /// Where it says what it failed of, as refusals do; the job itself otherwise.
    pub error: Option<Pointer>,
    /// Between two looks.
    pub every: std::time::Duration,
    /// How long it may take; as long as a request otherwise.
    pub within: Option<std::time::Duration>,
}

/// How an update is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Update {
    /// What changes, nested.
    Merge,
    /// The members that change, whole.
    Changed,
    /// The whole record.
    Replace,
    /// JSON Patch.
    JsonPatch,
    /// The holder, as a member.
    Holder,
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Its method.
    pub method: Method,
    /// Segments below the base address.
    pub path: Vec<Template>,
    /// Query parameters.
    pub query: Vec<(String, Template)>,
    /// Headers.
    pub headers: Vec<(String, Template)>,
    /// What is sent, beside what is written.
    pub body: Option<Body>,
    /// Statuses that count as success; all of 200 to 299 where there are none.
    pub success: Vec<u16>,
    /// Statuses that stand for an empty list.
    pub empty: Vec<u16>,
    /// What it answers.
    pub answer: AnswerForm,
    /// Where the record is in the answer.
    pub record: Pointer,
    /// Where its id is in the answer to a write, if that is not in the record.
    pub key: Option<Pointer>,
    /// Of lists.
    pub list: Option<ListShape>,
    /// Of updates.
    pub update: Update,
    /// What is not sent back.
    pub leave_out: Vec<Pointer>,
    /// Whether the `ETag` that was read goes with the write.
    pub if_match: bool,
    /// Whether a check-out takes the asset from whoever has it.
    pub takes_over: bool,
}

impl Operation {
    /// Whether a template in it looks up this name.
    #[must_use]
    pub fn looks_up(&self, name: &str) -> bool {
        self.path.iter().any(|part| part.looks_up(name))
            || self.query.iter().chain(&self.headers).any(|(_, part)| part.looks_up(name))
            || self.body.as_ref().is_some_and(|body| body.looks_up(name))
    }
}
