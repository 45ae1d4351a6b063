//! What AMFJ was sent, and what its lists make of it: the answer to a write is a claim, the next list is the fact (P15).
//!
//! A value that the first list after its write contradicts is sent once more. Contradicted again, it is either in a form
//! of AMFJ's own, which is remembered and is in sync, or AMFJ did not take it. Neither is ever sent again, until the
//! value, the field or its mapping changes, or a person says `rematch`. A value that a list has shown, and that somebody
//! changed later by hand, is an ordinary difference.

use std::collections::BTreeMap;

use amfj_sync_model::mapping::is_blank;
use amfj_sync_model::messages::{Edit, Outcome};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// So often the same value is sent at most.
const MOST_TIMES: u32 = 2;

/// So often a value counts as changed by hand because it was seen between runs to be there and then not to be: an AMFJ that
/// takes every value and changes it a moment later must not be written to for ever.
const MOST_SEEN: u32 = 20;

/// What outcomes claim about the fields of one asset or user record, and what lists said against it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// Fields that were written, and that no list which counts has spoken about since.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    written: BTreeMap<String, Written>,
    /// Values that a list contradicted, by field.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    contradicted: BTreeMap<String, Contradicted>,
}

/// A value that was written; what the answer said about it is in the record beside it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Written {
    /// What AMFJ held before.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    over: Value,
    /// What was sent, where the answer shows something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<Sent>,
}

/// A value that may be `null`: that is a value as well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Sent {
    value: Value,
}

/// A value that was written and that a list does not show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contradicted {
    /// What was sent.
    pub sent: Value,
    /// What AMFJ held before that value was sent for the first time.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    over: Value,
    /// How often it was sent.
    times: u32,
    /// AMFJ's own form of it, once it was contradicted twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    form: Option<Value>,
    /// Offset of the outcome of the latest write.
    at: u64,
    /// Of the field's definition and mapping at the latest write, as far as the writer said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Whether a look-up showed the value after it was sent last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    seen: bool,
    /// How often a look-up showed it first, and then something else.
    #[serde(default, skip_serializing_if = "is_zero")]
    seen_to_change: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes what it asks about by reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// What is known of a value that a list contradicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It may be sent once more.
    Unknown,
    /// What AMFJ holds is its own form of it.
    Otherwise,
    /// It was sent twice, and AMFJ did not take it.
    Not,
}

impl Contradicted {
    /// What is known of the value where AMFJ holds `current`.
    #[must_use]
    pub fn kept(&self, current: &Value) -> Kept {
        match &self.form {
            Some(form) if form == current => Kept::Otherwise,
            _ if self.times >= MOST_TIMES => Kept::Not,
            _ => Kept::Unknown,
        }
    }

    /// Whether it still counts: neither has a person said `rematch` since, nor did the field or its mapping change.
    fn counts(&self, rematch: Option<u64>, fingerprint: Option<&str>) -> bool {
        let mended = self.fingerprint.as_deref().zip(fingerprint).is_some_and(|(then, now)| then != now);
        rematch.is_none_or(|rematch| self.at > rematch) && !mended
    }
}

/// An outcome, as far as claims go.
pub(super) struct Answer<'a> {
    pub(super) outcome: &'a Outcome,
    pub(super) offset: u64,
    /// Offset of the latest `rematch`.
    pub(super) rematch: Option<u64>,
    /// What the record that AMFJ answered with holds in a field; none for what is no field of it.
    pub(super) holds: &'a dyn Fn(&str) -> Option<Value>,
}

impl Claims {
    /// Whether there is nothing to remember.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.contradicted.is_empty()
    }

    /// The fields that a list contradicted.
    pub fn contradicted_fields(&self) -> impl Iterator<Item = &str> {
        self.contradicted.keys().map(String::as_str)
    }

    /// What a list said against a value that is wanted in a field, as long as that counts. `fingerprint` is that of the
    /// field and its mapping now, `rematch` the offset of the latest.
    #[must_use]
    pub fn against(
        &self,
        field: &str,
        wanted: &Value,
        rematch: Option<u64>,
        fingerprint: Option<&str>,
    ) -> Option<&Contradicted> {
        let contradicted = self.contradicted.get(field)?;
        (contradicted.sent == *wanted && contradicted.counts(rematch, fingerprint)).then_some(contradicted)
    }

    /// After an outcome that carries the record. `confirmed` says whether a list which counts had shown what these claims
    /// say.
    pub(super) fn answered(mut self, confirmed: bool, answer: &Answer<'_>) -> Self {
        if confirmed {
            self.confirm();
        }
        for (field, edit) in &answer.outcome.edits {
            let Some(holds) = (answer.holds)(field) else { continue };
            self.write(field, edit, answer);
            let sent = (holds != edit.new).then(|| Sent { value: edit.new.clone() });
            self.written.insert(field.clone(), Written { over: edit.old.clone(), sent });
        }
        self
    }

    /// What was written is what a list showed.
    fn confirm(&mut self) {
        for field in std::mem::take(&mut self.written).into_keys() {
            self.contradicted.remove(&field);
        }
    }

    /// Counts one more write of a value that was contradicted.
    fn write(&mut self, field: &str, edit: &Edit, answer: &Answer<'_>) {
        let Some(known) = self.contradicted.get_mut(field) else { return };
        let fingerprint = answer.outcome.fingerprints.get(field);
        if known.sent != edit.new {
            self.contradicted.remove(field);
            return;
        }
        let goes_on = known.times > 0 && known.counts(answer.rematch, fingerprint.map(String::as_str));
        known.seen = false;
        if goes_on {
            known.times = known.times.saturating_add(1);
        } else {
            known.times = 1;
            known.over = edit.old.clone();
        }
        known.at = answer.offset;
        known.fingerprint = fingerprint.cloned();
    }

    /// After a list that shows another record than the one that these claims stand beside: `was` and `is` say what the
    /// two hold in a field. `confirmed` says whether an earlier list had shown the record as it was.
    pub(super) fn listed(
        mut self,
        confirmed: bool,
        at: u64,
        was: &dyn Fn(&str) -> Value,
        is: &dyn Fn(&str) -> Value,
    ) -> Self {
        if confirmed {
            self.confirm();
            // Changed by hand: an ordinary difference, unless AMFJ never took the value.
            self.contradicted.retain(|field, known| {
                if was(field) == is(field) {
                    return true;
                }
                if known.form.is_some() {
                    known.times = 0;
                }
                known.form.is_some() || known.times >= MOST_TIMES
            });
            return self;
        }
        for (field, written) in std::mem::take(&mut self.written) {
            let (claimed, listed) = (was(&field), is(&field));
            let sent = written.sent_or(&claimed);
            if listed == sent || listed == claimed {
                self.contradicted.remove(&field);
                continue;
            }
            self.contradict(field, sent, written.over, listed, at);
        }
        self
    }

    /// After a look-up by id between two runs, which shows the record as `is` says. What it shows after a write is no proof
    /// that it stays, so only lists end a claim. But a value that was seen after it was sent, and is another one now, was
    /// changed by hand, and is no form of AMFJ's own.
    pub(super) fn read(
        mut self,
        confirmed: bool,
        at: u64,
        was: &dyn Fn(&str) -> Value,
        is: &dyn Fn(&str) -> Value,
    ) -> Self {
        if confirmed {
            return self.listed(true, at, was, is);
        }
        for (field, written) in std::mem::take(&mut self.written) {
            let (claimed, shown) = (was(&field), is(&field));
            let sent = written.sent_or(&claimed);
            let known = self.contradicted.get_mut(&field).filter(|known| known.sent == sent);
            if shown == sent || shown == claimed {
                if let Some(known) = known {
                    known.seen = true;
                }
                self.written.insert(field, written);
            } else if let Some(known) = known.filter(|known| known.seen && known.seen_to_change < MOST_SEEN) {
                (known.seen, known.times, known.form) = (false, 1, None);
                known.seen_to_change = known.seen_to_change.saturating_add(1);
            } else {
                self.contradict(field, sent, written.over, shown, at);
            }
        }
        self
    }

    /// A value that was sent is not what AMFJ shows.
    fn contradict(&mut self, field: String, sent: Value, over: Value, shown: Value, at: u64) {
        let first = Contradicted {
            sent,
            over,
            times: 1,
            form: None,
            at,
            fingerprint: None,
            seen: false,
            seen_to_change: 0,
        };
        let known = self.contradicted.entry(field).or_insert_with(|| first.clone());
        if known.sent != first.sent {
            *known = first;
        }
        if known.times >= MOST_TIMES {
            let own_form = !is_blank(&shown) && shown != known.over;
            known.form = own_form.then_some(shown);
        }
    }

    /// What of it counts in another stream, where no offset of this one means anything. `confirmed` says whether a list
    /// which counts had shown what these claims say.
    pub(super) fn carried(mut self, confirmed: bool, rematch: Option<u64>) -> Self {
        if confirmed {
            self.confirm();
        }
        self.contradicted.retain(|_, known| rematch.is_none_or(|rematch| known.at > rematch));
        self.arrived(0)
    }

    /// The same as of an offset of the stream that it came into.
    pub(super) fn arrived(mut self, at: u64) -> Self {
        for known in self.contradicted.values_mut() {
            known.at = at;
        }
        self
    }

    /// Whether a value that was contradicted and sent again has not been seen since: a look-up that shows it is worth saying,
    /// although nothing else is new.
    #[must_use]
    pub fn wait_to_be_seen(&self) -> bool {
        let unseen = |field: &String| self.contradicted.get(field).is_some_and(|known| !known.seen);
        self.written.keys().any(unseen)
    }

    /// Whether a record that shows this in its fields may be older than what was written last: it shows what was there before.
    #[must_use]
    pub fn may_predate(&self, was: &dyn Fn(&str) -> Value, is: &dyn Fn(&str) -> Value) -> bool {
        self.written.iter().any(|(field, written)| {
            let shown = is(field);
            shown == written.over && shown != was(field)
        })
    }
}

impl Written {
    /// What was sent: what the answer showed, unless it showed something else.
    fn sent_or(&self, claimed: &Value) -> Value {
        self.sent.as_ref().map_or_else(|| claimed.clone(), |sent| sent.value.clone())
    }
}
