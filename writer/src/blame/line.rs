//! A line before something that only one may have at a time: those that have not failed yet come first, and among
//! them chance decides, so that bad records at the head of a queue hold up nobody for long.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use uuid::Uuid;

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    waiting: Mutex<BTreeSet<(bool, Uuid)>>,
    one: Semaphore,
    pub(crate) moved: Notify,
}

impl Default for Line {
    fn default() -> Self {
        Self { waiting: Mutex::default(), one: Semaphore::new(1), moved: Notify::new() }
    }
}

impl Line {
    /// Joins it; dropping the place leaves it.
    pub(crate) fn join(&self, failed: bool) -> Place<'_> {
        let at = (failed, Uuid::new_v4());
        self.waiting.lock().insert(at);
        Place { line: self, at }
    }

    /// Whether somebody waits who has not failed yet.
    pub(crate) fn has_fresh(&self) -> bool {
        self.waiting.lock().first().is_some_and(|(failed, _)| !failed)
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().len()
    }
}

/// A place in the line.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    line: &'a Line,
    at: (bool, Uuid),
}

impl<'a> Place<'a> {
    /// The turn, where this place is the first and nobody has it.
    pub(crate) fn turn(&self) -> Option<Turn<'a>> {
        let first = self.line.waiting.lock().first() == Some(&self.at);
        let permit = if first { self.line.one.try_acquire().ok()? } else { return None };
        Some(Turn { line: self.line, permit: Some(permit) })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.line.waiting.lock().remove(&self.at);
        self.line.moved.notify_waiters();
    }
}

/// What only one has at a time.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    line: &'a Line,
    permit: Option<SemaphorePermit<'a>>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        drop(self.permit.take());
        self.line.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_that_have_not_failed_come_first_and_one_at_a_time() {
        let line = Line::default();
        let failed = line.join(true);
        let fresh = line.join(false);
        assert!(failed.turn().is_none() && line.has_fresh());
        let turn = fresh.turn();
        assert!(turn.is_some());
        drop(fresh);
        assert!(failed.turn().is_none(), "another has the turn");
        drop(turn);
        assert!(failed.turn().is_some() && !line.has_fresh());
    }
}
