//! When the next run is due: pure, from what the state says (P1, P2).

use std::time::Duration;

use amfj_sync_projection::rows::Meta;
use jiff::{SignedDuration, Timestamp};

/// When the next run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// At once.
    Now,
    /// Not before.
    At(Timestamp),
}

impl Due {
    /// Whether it is time.
    pub(crate) fn is_due(self, now: Timestamp) -> bool {
        match self {
            Self::Now => true,
            Self::At(at) => at <= now,
        }
    }
}

/// How far the clocks of two fetchers may differ. A latest run that began later than this from now was begun before
/// a clock was set back.
const SKEW: Duration = Duration::from_mins(5);

/// When the leader starts the next run. The schedule hangs on the start of the latest run, whoever led
/// it, so that neither a restart nor a change of leader shifts it (P1). `retry_at` is the end of the
/// pause after a run that failed here (P2).
pub(crate) fn next_run(meta: &Meta, interval: Duration, retry_at: Option<Timestamp>, now: Timestamp) -> Due {
    if meta.requested.is_some() {
        return Due::Now;
    }
    let Some(latest) = &meta.latest else { return Due::Now };
    if latest.failed.is_some() {
        return retry_at.map_or(Due::Now, Due::At);
    }
    // A leader that died half-way: nobody else holds the lock now, so nobody goes on with that run.
    if latest.published_ms.is_none() && !was_held(meta) {
        return Due::Now;
    }
    // Otherwise nothing would be read for as long as the clock was set back.
    if latest.started.at > after(now, SKEW) {
        return Due::Now;
    }
    Due::At(after(latest.started.at, interval))
}

/// Whether the latest run ended by being held; a release alone does not make it an unfinished one.
fn was_held(meta: &Meta) -> bool {
    meta.latest.as_ref().is_some_and(|run| run.held.is_some())
}

/// A time and a while, without overflow.
pub(crate) fn after(time: Timestamp, while_: Duration) -> Timestamp {
    SignedDuration::try_from(while_)
        .ok()
        .and_then(|while_| time.checked_add(while_).ok())
        .unwrap_or(Timestamp::MAX)
}

/// How many integrations one fetcher leads at most while `fetchers` share them.
pub(crate) fn fair_share(integrations: usize, fetchers: usize) -> usize {
    integrations.div_ceil(fetchers.max(1)).max(1)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use amfj_sync_model::ids::IntegrationId;
    use amfj_sync_model::messages::{Event, Fact, OperatorDecision, OperatorOrder, Origin, RunStarted};
    use amfj_sync_projection::rows::RunRow;
    use amfj_sync_projection::{Projection, Verdict};
    use uuid::Uuid;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + minute * 60).unwrap()
    }

    fn run() -> RunRow {
        let started = RunStarted {
            number: 1,
            leader: "fetcher/1".into(),
            at: at(0),
            first_sync: true,
            applies_to_all: true,
            auto_checkout: false,
            list_delay_ms: 0,
            judged: false,
            mapping: BTreeMap::new(),
        };
        RunRow {
            started,
            offset: 1,
            counts: None,
            inventory_at: None,
            published_ms: None,
            decided: BTreeMap::new(),
            failed: None,
            configuration: false,
            staged: BTreeMap::new(),
            amounts: BTreeMap::new(),
            allowed: false,
            held: None,
        }
    }

    fn meta(latest: Option<RunRow>) -> Meta {
        Meta { latest, ..Meta::default() }
    }

    #[test]
    fn p1_the_first_run_starts_at_once_and_the_next_one_interval_after_its_start() {
        let published = RunRow { published_ms: Some(90_000), ..run() };
        let held = RunRow { held: Some("too many".into()), ..run() };
        let table = [
            ("nothing has run", meta(None), Due::Now),
            ("published", meta(Some(published.clone())), Due::At(at(60))),
            ("held", meta(Some(held)), Due::At(at(60))),
            ("its leader died", meta(Some(run())), Due::Now),
            ("asked for", Meta { requested: Some(9), ..meta(Some(published)) }, Due::Now),
        ];
        for (what, meta, due) in table {
            assert_eq!(next_run(&meta, HOUR, None, at(1)), due, "{what}");
        }
    }

    #[test]
    fn p1_a_clock_that_was_set_back_does_not_stop_the_schedule() {
        let published = meta(Some(RunRow { published_ms: Some(90_000), ..run() }));
        assert_eq!(next_run(&published, HOUR, None, at(-2)), Due::At(at(60)), "clocks differ a little");
        assert_eq!(next_run(&published, HOUR, None, at(-30)), Due::Now);
        assert_eq!(next_run(&published, HOUR, None, at(-2 * 24 * 60)), Due::Now);
    }

    #[test]
    fn p2_a_failed_run_is_tried_again_after_its_pause() {
        let failed = meta(Some(RunRow { failed: Some("401".into()), ..run() }));
        assert_eq!(next_run(&failed, HOUR, Some(at(2)), at(1)), Due::At(at(2)));
        assert_eq!(next_run(&failed, HOUR, None, at(1)), Due::Now, "a restart does not wait");
        assert!(Due::At(at(2)).is_due(at(2)));
        assert!(!Due::At(at(2)).is_due(at(1)));
    }

    #[test]
    fn p23_a_release_makes_the_next_run_due_now_and_lets_exactly_that_one_pass() {
        let started = RunStarted { first_sync: false, ..run().started };
        let release = OperatorDecision { by: "ann@host".into(), order: OperatorOrder::Release };
        let mut view = Projection::in_memory(None);
        let mut say = |offset: u64, fact: Fact| {
            let origin = Origin {
                source: "fetcher/1".into(),
                integration: IntegrationId::new("acme").unwrap(),
                run: None,
                sequence: None,
                traceparent: None,
            };
            let verdicts = view.apply(&[(offset, Event::fact(&origin, at(0), fact))]).unwrap();
            assert_eq!(verdicts, [Verdict::Accepted]);
            view.meta().clone()
        };
        say(1, Fact::RunStarted(started.clone()));
        let held = say(2, Fact::RunHeld { number: 1, reason: "too many".into() });
        assert_eq!((next_run(&held, HOUR, None, at(1)), held.released), (Due::At(at(60)), None));
        let released = say(3, Fact::OperatorDecided { token: Uuid::nil(), decision: release });
        assert_eq!((next_run(&released, HOUR, None, at(1)), released.released), (Due::Now, Some(3)));
        let again = say(4, Fact::RunStarted(RunStarted { number: 2, ..started }));
        assert_eq!(again.released, Some(3), "a run that fails does not use the release up");
        let passed = say(5, Fact::RunPublished { number: 2, took_ms: 1 });
        assert_eq!((next_run(&passed, HOUR, None, at(1)), passed.released), (Due::At(at(60)), None));
    }

    #[test]
    fn integrations_are_shared_fairly_and_none_is_left_over() {
        for (integrations, fetchers, share) in [(1, 3, 1), (10, 3, 4), (10, 1, 10), (10, 0, 10), (0, 2, 1)] {
            assert_eq!(fair_share(integrations, fetchers), share, "{integrations} by {fetchers}");
        }
    }
}
