//! As of when what AMFJ said is true.

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

    /// Whether a record of this age is kept against the list of a run.
    pub(super) fn outlives_list_of(&self, run: &RunRow) -> bool {
        if self.offset > run.offset {
            return true;
        }
        let delay = SignedDuration::from_millis(i64::try_from(run.started.list_delay_ms).unwrap_or(i64::MAX));
        let age = |written| run.started.at.duration_since(written);
        // What was written long after the run that comes later in the stream was written by no clock that can be trusted.
        self.written.is_some_and(|written| age(written) < delay && age(written) > -CLOCKS_DIFFER)
    }

    /// Whether the list of this run, whose inventory took effect, counted for a record of this age, and left it as it was.
    pub(super) fn was_shown_by(&self, run: Option<&RunRow>) -> bool {
        run.is_some_and(|run| run.offset > self.offset && !self.outlives_list_of(run))
    }
}
