//! What of a list cannot be used: reported, and too much of it is no list (P30).

use std::collections::HashSet;

use amfj_sync_backoff::Stopped;
use amfj_sync_http::CallError;
use amfj_sync_model::messages::Unusable;
use amfj_sync_model::names::{NameKey, email_key};

use super::{Halt, Run};

/// So many rows that cannot be used are never too many.
const ALWAYS_ALLOWED: u64 = 4;
/// One row in so many may be such.
const ONE_IN: u64 = 10;

/// The rows of one list that cannot be used at all.
#[derive(Debug, Default)]
pub(super) struct Lost {
    count: u64,
    first: Option<String>,
    /// What they are called; somebody of that name may be among them.
    names: HashSet<NameKey>,
    emails: HashSet<String>,
    /// Whether one shows nothing by which it could be told from others.
    nameless: bool,
}

impl Lost {
    /// Takes note of those of one page, and reports them with what could not be used of the others.
    pub(super) fn take(&mut self, run: &Run<'_>, lost: Vec<Unusable>, odd: Vec<Unusable>) {
        for one in lost {
            self.note(&one);
            run.report(one);
        }
        for one in odd {
            run.report(one);
        }
    }

    fn note(&mut self, one: &Unusable) {
        self.count += 1;
        self.first.get_or_insert_with(|| one.to_string());
        match &one.name {
            Some(name) => {
                self.names.extend(NameKey::of(name));
                self.emails.extend(email_key(name));
            }
            None => self.nameless = true,
        }
    }

    /// Whether a record of this name and email may be one of them.
    pub(super) fn may_be(&self, name: &str, email: Option<&str>) -> bool {
        self.nameless
            || NameKey::of(name).is_some_and(|name| self.names.contains(&name))
            || email.and_then(email_key).is_some_and(|email| self.emails.contains(&email))
    }

    /// Where many rows are such, the list is not what it is taken for (P30).
    pub(super) fn judge(&self, what: &str, rows: u64) -> Result<(), Halt> {
        match &self.first {
            Some(first) if are_too_many(self.count, rows) => Err(Halt::failed(format!(
                "{} of {rows} rows of AMFJ's list of {what} cannot be used, so it is not what it is taken for; the first: \
                 {first}; check that amfj.api_url is that of the API",
                self.count
            ))),
            _ => Ok(()),
        }
    }
}

/// Whether so many rows of a list cannot be used that it is not what it is taken for (P30).
pub(super) fn are_too_many(unusable: u64, rows: u64) -> bool {
    unusable > ALWAYS_ALLOWED && unusable.saturating_mul(ONE_IN) > rows
}

/// The failure itself, however often it was tried; none where the worker stops.
pub(crate) fn last(stopped: &Stopped<CallError>) -> Option<&CallError> {
    match stopped {
        Stopped::Cancelled => None,
        Stopped::Failed(error) | Stopped::GaveUp { error, .. } => Some(error),
    }
}

/// Whether a failure is one of the service as a whole: nobody answers, or nobody is let in.
pub(crate) fn is_of_service(error: &CallError) -> bool {
    matches!(error, CallError::NotSent { .. } | CallError::Status { status: 401, .. })
}

impl Run<'_> {
    /// Takes note of something that the run goes on without.
    pub(super) fn report(&self, one: Unusable) {
        tracing::debug!(integration = %self.leader.config.id, run = self.run_id(), %one, "left out");
        self.report.lock().unusable.add(one);
    }

    /// Says once what the run went on without.
    pub(super) fn warn_of_unusable(&self) {
        let report = self.report.lock();
        let unusable = &report.unusable;
        if unusable.is_empty() {
            return;
        }
        let first: Vec<String> = unusable.first.iter().take(3).map(ToString::to_string).collect();
        tracing::warn!(integration = %self.leader.config.id, run = self.run_id(), count = unusable.count,
            first = first.join(" / "), "the run goes on without what cannot be used; `status` names it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn p30_a_list_fails_only_where_more_than_a_tenth_and_at_least_five_rows_cannot_be_used() {
        for (unusable, rows, too_many) in [
            (0, 0, false),
            (4, 4, false),
            (5, 50, false),
            (5, 49, true),
            (6, 60, false),
            (7, 60, true),
            (5, 5, true),
        ] {
            assert_eq!(are_too_many(unusable, rows), too_many, "{unusable} of {rows}");
        }
    }

    #[test]
    fn p11_a_record_that_may_be_in_the_list_is_not_absent_from_it() {
        let mut lost = Lost::default();
        assert!(!lost.may_be("Sam", Some("sam@example.com")));
        lost.note(&Unusable::new("user record", None, Some("Sam"), "it has no id"));
        lost.note(&Unusable::new("user record", None, Some("Kim@example.com"), "it has no id"));
        assert!(lost.may_be("SAM", None) && lost.may_be("Kim", Some("kim@example.com")));
        assert!(!lost.may_be("Alex", Some("alex@example.com")));
        lost.note(&Unusable::new("user record", None, None, "it is a number"));
        assert!(lost.may_be("Alex", None));
    }
}
