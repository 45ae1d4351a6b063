//! How often workers are counted and partitions looked at.

use std::time::Duration;

use tokio::time::Instant;

/// How often live workers are counted from one look to the next.
const COUNTS_A_LOOK: u32 = 4;

/// Counting costs a channel, so no more often than this.
const LEAST: Duration = Duration::from_millis(50);

/// How soon a worker that has less than its share looks again, while workers come or go.
const AGAIN: Duration = Duration::from_millis(100);

/// How long after workers came or went partitions are still expected to change hands.
const RESTLESS: Duration = Duration::from_secs(5);

/// When to look next.
#[derive(Debug)]
pub(super) struct Pace {
    every: Duration,
    looked: Option<Instant>,
    live: usize,
    changed: Option<Instant>,
}

impl Pace {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, looked: None, live: 0, changed: None }
    }

    /// So many workers live, and this one has less than its share or not: whether to look now.
    pub(super) fn is_due(&mut self, now: Instant, live: usize, is_short: bool) -> bool {
        let changed = std::mem::replace(&mut self.live, live) != live;
        if changed {
            self.changed = Some(now);
        }
        let regular = self.looked.is_none_or(|looked| now.duration_since(looked) >= self.every);
        let due = changed || regular || is_short && self.is_restless(now);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// How long to wait before workers are counted again.
    pub(super) fn pause(&self, now: Instant, is_short: bool) -> Duration {
        let count_every = (self.every / COUNTS_A_LOOK).max(LEAST);
        if is_short && self.is_restless(now) { count_every.min(AGAIN) } else { count_every }
    }

    fn is_restless(&self, now: Instant) -> bool {
        self.changed.is_some_and(|changed| now.duration_since(changed) < RESTLESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn looks_at_once_when_workers_come_or_go_and_else_at_its_pace() {
        let begin = Instant::now();
        let mut pace = Pace::new(SECOND);
        let mut is_due = |after: u64, live| pace.is_due(begin + Duration::from_millis(after), live, false);
        assert!(is_due(0, 1));
        assert!(!is_due(250, 1));
        assert!(is_due(500, 2), "one came");
        assert!(!is_due(750, 2));
        assert!(is_due(1_500, 2));
        assert!(is_due(1_750, 1), "one left");
        assert_eq!(pace.pause(begin, false), Duration::from_millis(250));
    }

    #[test]
    fn whoever_has_too_little_tries_again_soon_but_not_for_ever() {
        let begin = Instant::now();
        let mut pace = Pace::new(SECOND);
        assert!(pace.is_due(begin, 2, true));
        assert_eq!(pace.pause(begin, true), AGAIN);
        assert!(pace.is_due(begin + AGAIN, 2, true), "a lock may be free by now");
        let late = begin + RESTLESS;
        assert!(pace.is_due(late, 2, true));
        assert!(!pace.is_due(late + AGAIN, 2, true), "whoever has the others keeps them");
        assert_eq!(pace.pause(late, true), Duration::from_millis(250));
    }
}
