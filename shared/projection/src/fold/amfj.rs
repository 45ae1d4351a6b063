//! As of when what AMFJ said is true.

use amfj_sync_model::messages::RunStarted;
use jiff::SignedDuration;

use super::super::rows::{Age, RunRow};

/// How far the clocks of two machines may differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_hours(24);

/// The age of a record as the run listed it.
pub(super) fn listed(run: &RunRow) -> Age {
    Age { offset: run.offset, written: None }
}

impl Age {
    /// Whether a list said so, and no outcome. What later lists say again may keep the age of the first, since every
    /// run to come is later than both.
    pub(super) fn is_listed(&self) -> bool {
        self.written.is_none()
    }

    /// Whether a record of this age is younger than the list of a run, whose *started* fact is at this offset: then the
    /// list says nothing about it, neither its values nor its absence.
    #[must_use]
    pub fn is_younger_than_list(&self, offset: u64, started: &RunStarted) -> bool {
        if self.offset > offset {
            return true;
        }
        let delay = SignedDuration::from_millis(i64::try_from(started.list_delay_ms).unwrap_or(i64::MAX));
        let age = |written| started.at.duration_since(written);
        // What was written long after the run that comes later in the stream was written by no clock that can be trusted.
        self.written.is_some_and(|written| age(written) < delay && age(written) > -CLOCKS_DIFFER)
    }

    /// Whether a record of this age is kept against the list of a run.
    pub(super) fn outlives_list_of(&self, run: &RunRow) -> bool {
        self.is_younger_than_list(run.offset, &run.started)
    }

    /// Whether the list of this run, whose inventory took effect, counted for a record of this age, and left it as it was.
    pub(crate) fn was_shown_by(&self, run: Option<&RunRow>) -> bool {
        run.is_some_and(|run| run.offset > self.offset && !self.outlives_list_of(run))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn p8_absence_says_nothing_about_what_is_younger_than_the_list() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let started = RunStarted {
            number: 1,
            leader: "fetcher/1".into(),
            at: at(0),
            first_sync: false,
            applies_to_all: true,
            auto_checkout: false,
            list_delay_ms: 60_000,
            judged: false,
            mapping: BTreeMap::new(),
        };
        let days = 24 * 60 * 60;
        let table = [
            ("listed before", Age { offset: 5, written: None }, false),
            ("written after the start", Age { offset: 11, written: Some(at(1)) }, true),
            ("written within the list's delay", Age { offset: 9, written: Some(at(-30)) }, true),
            ("written long before", Age { offset: 9, written: Some(at(-61)) }, false),
            ("written by a clock that runs fast", Age { offset: 9, written: Some(at(600)) }, true),
            ("written by a clock two days ahead", Age { offset: 9, written: Some(at(2 * days)) }, false),
            ("the same, after the start", Age { offset: 11, written: Some(at(2 * days)) }, true),
        ];
        for (what, age, younger) in table {
            assert_eq!(age.is_younger_than_list(10, &started), younger, "{what}");
        }
    }
}
