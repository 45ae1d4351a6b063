//! What a simulator saw: every request, and every breach of the contract.

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use super::wire::Ask;

/// One request and how it was answered.
#[derive(Debug, Clone, Serialize)]
pub struct RequestRecord {
    /// Counts from 1, in order of answering.
    pub number: u64,
    /// When the answer was ready.
    pub time: Timestamp,
    /// In upper case.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Method and path as they were asked, where that is in other words than the contract's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The query as it came, without `?`.
    pub query: String,
    /// Body, if it was JSON.
    pub body: Option<Value>,
    /// Status that the service decided on; with a lost answer the client never saw it.
    pub status: u16,
    /// The faults that were injected, by name.
    pub faults: Vec<String>,
    /// How the request broke the contract, if it did.
    pub violation: Option<String>,
}

impl RequestRecord {
    /// What was asked, where that is not what is meant.
    pub(crate) fn in_other_words(asked: &Ask, meant: &Ask) -> Option<String> {
        let is_same = asked.method == meant.method && asked.path == meant.path;
        (!is_same).then(|| format!("{} {}", asked.method, asked.path))
    }

    /// A request that is no matter of the contract.
    pub(crate) fn beside_the_contract(asked: &Ask, status: u16, violation: Option<String>) -> Self {
        Self {
            number: 0,
            time: Timestamp::now(),
            method: asked.method.clone(),
            path: asked.path.clone(),
            asked: None,
            query: asked.query_text.clone(),
            body: serde_json::from_slice(&asked.body).ok(),
            status,
            faults: Vec::new(),
            violation,
        }
    }
}

/// The requests in order.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    count: u64,
    requests: Vec<RequestRecord>,
}

impl Journal {
    /// Adds one record and numbers it.
    pub(crate) fn add(&self, mut record: RequestRecord) {
        let mut pages = self.0.lock();
        pages.count += 1;
        record.number = pages.count;
        pages.requests.push(record);
    }

    /// All records since the last [`clear`](Self::clear).
    pub(crate) fn all(&self) -> Vec<RequestRecord> {
        self.0.lock().requests.clone()
    }

    /// Forgets the records; numbers go on.
    pub(crate) fn clear(&self) {
        self.0.lock().requests.clear();
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().requests.len()
    }

    /// One sentence a breach.
    pub(crate) fn violations(&self) -> Vec<String> {
        let pages = self.0.lock();
        pages
            .requests
            .iter()
            .filter_map(|r| r.violation.as_ref().map(|v| format!("{} {}?{}: {v}", r.method, r.path, r.query)))
            .collect()
    }
}
