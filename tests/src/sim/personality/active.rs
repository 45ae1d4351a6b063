//! The personalities in force, and which of them a request or a row meets.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Kind, Oddity, Personality};

/// Names a personality, to end it or to ask how often it struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PersonalityId(pub u64);

/// What a request is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    /// All names that its records go by: ids, names, emails, serial numbers.
    pub(crate) names: Vec<String>,
    /// The body, if it was JSON.
    pub(crate) body: Value,
}

/// The personalities of one simulator.
#[derive(Debug, Default)]
pub struct Personalities(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    active: BTreeMap<PersonalityId, Entry>,
    hits: BTreeMap<PersonalityId, u64>,
    last: u64,
    /// Rows that wait for the next page of their list, to be on it a second time.
    moved: Vec<(Kind, Value)>,
}

#[derive(Debug)]
struct Entry {
    personality: Personality,
    until: Option<Instant>,
    each: BTreeMap<String, u32>,
}

impl Personalities {
    /// Adds one to those in force.
    pub fn add(&self, personality: Personality) -> PersonalityId {
        let mut book = self.0.lock();
        book.last += 1;
        let id = PersonalityId(book.last);
        let until = personality.for_ms.map(|ms| Instant::now() + Duration::from_millis(ms));
        book.active.insert(id, Entry { personality, until, each: BTreeMap::new() });
        id
    }

    /// Ends one; false if it was over or never there.
    pub fn remove(&self, id: PersonalityId) -> bool {
        self.0.lock().active.remove(&id).is_some()
    }

    /// Ends all.
    pub fn clear(&self) {
        let mut book = self.0.lock();
        book.active.clear();
        book.moved.clear();
    }

    /// Those that may still strike.
    #[must_use]
    pub fn active(&self) -> Vec<(PersonalityId, Personality)> {
        let mut book = self.0.lock();
        book.forget_what_is_over();
        book.active.iter().map(|(id, entry)| (*id, entry.personality.clone())).collect()
    }

    /// How often one has struck so far.
    #[must_use]
    pub fn strikes(&self, id: PersonalityId) -> u64 {
        self.0.lock().hits.get(&id).copied().unwrap_or(0)
    }

    /// What befalls a request: in order of addition, up to the first that ends it before anything is done.
    pub(crate) fn strike(&self, subject: &Subject) -> Vec<Oddity> {
        let mut book = self.0.lock();
        book.forget_what_is_over();
        let mut met = Vec::new();
        let Book { active, hits, .. } = &mut *book;
        for (id, entry) in active.iter_mut() {
            if entry.personality.oddity.is_of_rows()
                || !entry.meets(subject.kind, &subject.names)
                || !entry.is_sent(&subject.body)
                || !entry.counts(&subject.names)
            {
                continue;
            }
            *hits.entry(*id).or_default() += 1;
            met.push(entry.personality.oddity.clone());
            if entry.personality.oddity.ends_before() {
                break;
            }
        }
        met
    }

    /// What befalls a row in an answer to a request of this kind.
    pub(crate) fn strike_row(&self, kind: Kind, names: &[String]) -> Vec<Oddity> {
        let mut book = self.0.lock();
        book.forget_what_is_over();
        let mut met = Vec::new();
        let Book { active, hits, .. } = &mut *book;
        for (id, entry) in active.iter_mut() {
            if entry.personality.oddity.is_of_rows() && entry.meets(kind, names) && entry.counts(names) {
                *hits.entry(*id).or_default() += 1;
                met.push(entry.personality.oddity.clone());
            }
        }
        met
    }

    /// Whether any personality is about rows, so that answers need a look at all.
    pub(crate) fn shape_rows(&self) -> bool {
        let book = self.0.lock();
        !book.moved.is_empty() || book.active.values().any(|entry| entry.personality.oddity.is_of_rows())
    }

    /// Keeps a row for the next page of its list.
    pub(crate) fn move_on(&self, kind: Kind, row: Value) {
        self.0.lock().moved.push((kind, row));
    }

    /// The rows that moved to this page.
    pub(crate) fn moved(&self, kind: Kind) -> Vec<Value> {
        let mut book = self.0.lock();
        let (here, elsewhere) = std::mem::take(&mut book.moved).into_iter().partition(|(of, _)| *of == kind);
        book.moved = elsewhere;
        let here: Vec<(Kind, Value)> = here;
        here.into_iter().map(|(_, row)| row).collect()
    }
}

impl Book {
    fn forget_what_is_over(&mut self) {
        let now = Instant::now();
        self.active.retain(|_, entry| {
            entry.until.is_none_or(|until| until > now) && entry.personality.times != Some(0)
        });
    }
}

impl Entry {
    fn meets(&self, kind: Kind, names: &[String]) -> bool {
        let Personality { kinds, records, .. } = &self.personality;
        (kinds.is_empty() || kinds.iter().any(|own| own.covers(kind)))
            && (records.is_empty() || records.iter().any(|own| names.contains(own)))
    }

    fn is_sent(&self, body: &Value) -> bool {
        let Some(field) = &self.personality.sending else { return true };
        let sent = body.get("fields").and_then(|fields| fields.get(field)).or_else(|| body.get(field));
        sent.is_some_and(|sent| self.personality.value.as_ref().is_none_or(|value| value == sent))
    }

    /// Counts a strike, and says whether there is one.
    fn counts(&mut self, names: &[String]) -> bool {
        if self.personality.after > 0 {
            self.personality.after -= 1;
            return false;
        }
        if self.personality.times == Some(0) {
            return false;
        }
        if let Some(most) = self.personality.times_each {
            let own = |name: &&String| self.personality.records.contains(name);
            let record = names.iter().find(own).or(names.first()).cloned().unwrap_or_default();
            let count = self.each.entry(record).or_default();
            if *count >= most {
                return false;
            }
            *count += 1;
        }
        if let Some(times) = &mut self.personality.times {
            *times -= 1;
        }
        true
    }
}
