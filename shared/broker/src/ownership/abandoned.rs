//! Partitions with messages that nobody takes, though somebody should.
//!
//! A worker takes no more than its share, and the share follows from the number of consumers that the
//! broker counts. Where it counts one that serves nothing (it hangs, its connection died unnoticed, it is
//! no worker at all), partitions stay without an owner. So whoever sees that none of the messages in a
//! partition is taken for a while tries to take it beyond its share.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::PartitionId;

/// How often the depths are looked at until a partition counts as abandoned.
const LOOKS: u32 = 3;

/// How long an adopted partition is kept, as a multiple of the time until it was tried; then it counts
/// towards the share again, since the worker whose turn it is may be able to take it by now.
const KEPT: u32 = 20;

/// What is known of the partitions of others.
#[derive(Debug)]
pub(super) struct Abandoned {
    /// How long no message of a partition is taken before it is tried.
    after: Duration,
    looked: Option<Instant>,
    /// Messages at the last look, and since when none was taken.
    untouched: BTreeMap<PartitionId, (u32, Instant)>,
    adopted: BTreeMap<PartitionId, Instant>,
    live: usize,
}

impl Abandoned {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, looked: None, untouched: BTreeMap::new(), adopted: BTreeMap::new(), live: 0 }
    }

    /// Whether this one was taken beyond the share.
    pub(super) fn has_adopted(&self, id: &PartitionId) -> bool {
        self.adopted.contains_key(id)
    }

    /// What is known at the beginning of a look: adopted ones that are no longer owned, or have been for
    /// long, or were adopted while there were more or fewer workers, count towards the share again.
    pub(super) fn begin(&mut self, now: Instant, live: usize, owns: impl Fn(&PartitionId) -> bool) {
        if std::mem::replace(&mut self.live, live) != live {
            self.adopted.clear();
        }
        let kept = self.after * KEPT;
        self.adopted.retain(|id, since| owns(id) && now.duration_since(*since) < kept);
    }

    /// Whether the depths are to be looked at.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.looked.is_none_or(|looked| now.duration_since(looked) >= self.after / LOOKS)
    }

    /// Takes in how many messages wait in the partitions of others, and answers those in which none was
    /// taken for too long.
    pub(super) fn look(&mut self, now: Instant, depths: &BTreeMap<PartitionId, u32>) -> Vec<PartitionId> {
        self.looked = Some(now);
        let mut untouched = BTreeMap::new();
        for (id, messages) in depths.iter().filter(|(_, messages)| **messages > 0) {
            let since = match self.untouched.get(id) {
                Some((before, since)) if messages >= before => *since,
                _ => now,
            };
            untouched.insert(id.clone(), (*messages, since));
        }
        self.untouched = untouched;
        let long = |(_, since): &(u32, Instant)| now.duration_since(*since) >= self.after;
        self.untouched.iter().filter(|(_, seen)| long(seen)).map(|(id, _)| id.clone()).collect()
    }

    /// It was tried: either it is ours now, or somebody has it and is slow.
    pub(super) fn tried(&mut self, now: Instant, id: &PartitionId, taken: bool) {
        self.untouched.remove(id);
        if taken {
            self.adopted.insert(id.clone(), now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use amfj_sync_model::ids::IntegrationId;

    fn partition(partition: u16) -> PartitionId {
        PartitionId { integration: IntegrationId::new("acme").unwrap(), partition }
    }

    fn depths(messages: &[(u16, u32)]) -> BTreeMap<PartitionId, u32> {
        messages.iter().map(|(at, messages)| (partition(*at), *messages)).collect()
    }

    const EVERY: Duration = Duration::from_secs(10);

    /// The partitions that are found at the last of some looks.
    fn found(looks: &[&[(u16, u32)]]) -> Vec<PartitionId> {
        let mut abandoned = Abandoned::new(Duration::from_secs(30));
        let mut now = Instant::now();
        let mut found = Vec::new();
        for look in looks {
            found = abandoned.look(now, &depths(look));
            now += EVERY;
        }
        found
    }

    #[test]
    fn only_where_no_message_is_taken_for_the_whole_time() {
        let same: &[(u16, u32)] = &[(0, 5), (1, 5), (2, 0)];
        assert_eq!(found(&[same, same, same]), [], "not long enough");
        assert_eq!(found(&[same, same, same, same]), [partition(0), partition(1)]);
        let grew: &[(u16, u32)] = &[(0, 9), (1, 4)];
        assert_eq!(found(&[same, same, grew, grew]), [partition(0)], "some of 1 were taken");
        let empty: &[(u16, u32)] = &[(0, 0)];
        assert_eq!(found(&[same, empty, same, same]), [], "it was empty meanwhile");
    }

    #[test]
    fn whoever_has_it_is_left_alone_for_as_long_again() {
        let mut abandoned = Abandoned::new(Duration::from_secs(30));
        let begin = Instant::now();
        let mut tried_at = Vec::new();
        for look in 0..13 {
            let now = begin + EVERY * look;
            for id in abandoned.look(now, &depths(&[(0, 5)])) {
                abandoned.tried(now, &id, false);
                tried_at.push(look * 10);
            }
        }
        assert_eq!(tried_at, [30, 70, 110]);
    }

    #[test]
    fn what_was_adopted_counts_again_when_workers_come_or_go_or_after_long() {
        let mut abandoned = Abandoned::new(Duration::from_secs(30));
        let now = Instant::now();
        abandoned.begin(now, 2, |_| true);
        abandoned.tried(now, &partition(0), true);
        abandoned.begin(now + EVERY, 2, |_| true);
        assert!(abandoned.has_adopted(&partition(0)));
        abandoned.begin(now + EVERY, 3, |_| true);
        assert!(!abandoned.has_adopted(&partition(0)), "there is one worker more");
        abandoned.tried(now, &partition(0), true);
        abandoned.begin(now + EVERY, 3, |_| false);
        assert!(!abandoned.has_adopted(&partition(0)), "it is owned no more");
        abandoned.tried(now, &partition(0), true);
        abandoned.begin(now + Duration::from_mins(11), 3, |_| true);
        assert!(!abandoned.has_adopted(&partition(0)), "it was kept for long");
    }
}
