//! Which assets are to be looked up, and when: pure.
//!
//! Events come in swarms: an import touches thousands of assets, a client writes the same one ten times. So an asset is looked
//! up once it has been quiet for a moment, and however busy it is not later than [`LONGEST`].

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_model::ids::AssetId;
use jiff::Timestamp;
use tokio::time::Instant;

/// An asset has been quiet when no event was about it for so long.
pub(super) const QUIET: Duration = Duration::from_secs(1);

/// An asset about which events never end is looked up as often as this.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// What an event is about. Names come first: what a search shows need not be looked up by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// Assets of this name: the event had no id, and which asset it means is not known.
    Name(String),
    /// An asset.
    Asset(AssetId),
}

/// A subject that waits to be looked up.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    /// The latest event about it; the others are answered.
    pub(super) message: T,
    /// When that was received.
    pub(super) received: Timestamp,
    /// How often a look-up was not clear.
    pub(super) attempts: u32,
    /// When the first event about it came.
    first: Instant,
    due: Instant,
}

impl<T> Waiting<T> {
    /// The same after one more look-up that was not clear.
    pub(super) fn tried(self) -> Self {
        Self { attempts: self.attempts.saturating_add(1), ..self }
    }

    /// Whether it may be put off for a change that is on its way.
    pub(super) fn may_wait(&self, now: Instant) -> bool {
        now < self.first + LONGEST
    }
}

/// All that waits.
#[derive(Debug)]
pub(super) struct Pending<T>(BTreeMap<Subject, Waiting<T>>);

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> Pending<T> {
    /// Takes an event in. Answers the one in whose place it is.
    pub(super) fn add(
        &mut self,
        subject: Subject,
        message: T,
        received: Timestamp,
        now: Instant,
    ) -> Option<T> {
        let before = self.0.remove(&subject);
        let (first, attempts) = before.as_ref().map_or((now, 0), |before| (before.first, before.attempts));
        let due = (now + QUIET).min(first + LONGEST);
        self.0.insert(subject, Waiting { message, received, attempts, first, due });
        before.map(|before| before.message)
    }

    /// Has it wait again, unless an event came meanwhile: then that waits. Answers the one that need not.
    pub(super) fn put_off(&mut self, subject: Subject, waiting: Waiting<T>, until: Instant) -> Option<T> {
        if self.0.contains_key(&subject) {
            return Some(waiting.message);
        }
        self.0.insert(subject, Waiting { due: until, ..waiting });
        None
    }

    /// The next that is due now.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Subject, Waiting<T>)> {
        let due = self.0.iter().find(|(_, waiting)| waiting.due <= now)?.0.clone();
        self.0.remove_entry(&due)
    }

    /// When the next is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.values().map(|waiting| waiting.due).min()
    }

    /// Takes an asset out that was shown by a look-up which began after the latest event about it.
    pub(super) fn take_shown(&mut self, asset: &AssetId, began: Timestamp) -> Option<T> {
        let subject = Subject::Asset(asset.clone());
        self.0.get(&subject).filter(|waiting| waiting.received < began)?;
        self.0.remove(&subject).map(|waiting| waiting.message)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(id: &str) -> Subject {
        Subject::Asset(AssetId::new(id).unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn p34_a_storm_about_one_asset_is_one_look_up_and_the_rest_is_answered() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let mut answered = 0;
        for event in 0..1_000_u32 {
            let now = start + Duration::from_millis(10) * event;
            assert!(pending.take_due(now).is_none(), "it is not quiet");
            answered += usize::from(pending.add(asset("a"), event, at(i64::from(event)), now).is_some());
        }
        assert_eq!((answered, pending.len()), (999, 1));
        let quiet = start + Duration::from_millis(9_990) + QUIET;
        assert_eq!(pending.next_due(), Some(quiet));
        let (_, waiting) = pending.take_due(quiet).unwrap();
        assert_eq!((waiting.message, pending.len()), (999, 0));
    }

    #[test]
    fn p34_an_asset_that_is_never_quiet_is_looked_up_all_the_same() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let mut looked_up = 0;
        for event in 0..1_200_u32 {
            let now = start + Duration::from_millis(100) * event;
            pending.add(asset("a"), event, at(i64::from(event)), now);
            looked_up += usize::from(pending.take_due(now).is_some());
        }
        assert_eq!(looked_up, 3, "two minutes, every half a minute");
    }

    #[test]
    fn p34_what_is_put_off_gives_way_to_a_later_event_and_a_search_covers_what_it_shows() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        pending.add(asset("a"), 1, at(1), now);
        let (subject, first) = pending.take_due(now + QUIET).unwrap();
        pending.add(asset("a"), 2, at(5), now + QUIET);
        assert_eq!(pending.put_off(subject, first, now + LONGEST), Some(1));
        let id = AssetId::new("a").unwrap();
        assert_eq!(pending.take_shown(&id, at(5)), None, "the search may have been before the event");
        assert_eq!(pending.take_shown(&id, at(6)), Some(2));
        pending.add(asset("a"), 3, at(7), now);
        pending.add(Subject::Name("z".into()), 4, at(7), now);
        assert_eq!(pending.take_due(now + QUIET).map(|(_, waiting)| waiting.message), Some(4), "names first");
    }
}
