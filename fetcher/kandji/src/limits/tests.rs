use proptest::prelude::*;

use super::*;

const START: i64 = 1_800_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(START + seconds).unwrap()
}

#[test]
fn the_share_is_used_up_and_comes_back_after_an_hour() {
    let mut budget = Budget::new(3);
    for seconds in [0, 10, 70] {
        assert!(budget.available(at(seconds)) > 0);
        budget.record(at(seconds));
    }
    assert_eq!(budget.available(at(80)), 0);
    let free = budget.next_free(at(80));
    assert!(free >= at(3600) && free <= at(3720), "{free}");
    assert_eq!(budget.available(free), 2, "both requests of the first minute left");
    assert_eq!(budget.available(free - SignedDuration::from_secs(1)), 0);
    assert_eq!(budget.next_free(free), free);
}

#[test]
fn with_room_the_next_request_is_free_now() {
    assert_eq!(Budget::new(1).next_free(at(0)), at(0));
}

#[test]
fn a_share_of_nothing_is_never_free() {
    assert_eq!(Budget::new(0).available(at(0)), 0);
}

#[test]
fn what_was_used_before_a_restart_still_counts() {
    let mut budget = Budget::new(10);
    for seconds in 0..8 {
        budget.record(at(seconds * 60));
    }
    let restored = Budget::restore(10, budget.minutes());
    assert_eq!(restored.available(at(500)), 2);
    assert_eq!(restored.available(at(4200)), 10);
}

#[test]
fn kandjis_own_count_is_respected_where_it_is_lower() {
    let mut budget = Budget::new(100);
    budget.report(at(0), 2);
    assert_eq!(budget.available(at(1)), 2);
    budget.record(at(1));
    budget.record(at(2));
    assert_eq!(budget.available(at(3)), 0);
    // After a minute one request may learn anew.
    let free = budget.next_free(at(3));
    assert_eq!(free, at(60));
    assert!(budget.available(free) > 0);
    budget.report(at(61), 10_000);
    assert_eq!(budget.available(at(62)), 98);
}

#[test]
fn a_clock_set_back_by_hours_does_not_block() {
    let mut budget = Budget::new(1);
    budget.record(at(10 * 3600));
    budget.report(at(10 * 3600), 0);
    assert_eq!(budget.available(at(0)), 1);
    budget.record(at(0));
    assert_eq!(budget.minutes().len(), 1, "the future is forgotten");
}

proptest! {
    /// No sixty minutes ever hold more requests than the share, whenever they are asked for.
    #[test]
    fn no_hour_holds_more_than_the_share(share in 1..20_u32, pauses in proptest::collection::vec(0..900_i64, 1..200)) {
        let mut budget = Budget::new(share);
        let mut made: Vec<i64> = Vec::new();
        let mut now = 0;
        for pause in pauses {
            now += pause;
            if budget.available(at(now)) > 0 {
                budget.record(at(now));
                made.push(now);
            } else {
                let free = budget.next_free(at(now));
                prop_assert!(free > at(now));
                prop_assert!(budget.available(free) > 0);
            }
        }
        for &end in &made {
            let in_hour = made.iter().filter(|&&time| time > end - 3600 && time <= end).count();
            prop_assert!(in_hour <= share as usize, "{in_hour} requests in the hour before {end}");
        }
    }
}

fn limits() -> Limits {
    let integration = IntegrationId::new("acme").unwrap();
    Limits::with_clock(&integration, 6000, Vec::new(), || at(0))
}

fn learn(limits: &Limits, status: u16, retry_after: Option<u64>, headers: &[(&str, &'static str)]) {
    let status = StatusCode::from_u16(status).unwrap();
    limits.learn_from(status, retry_after.map(Duration::from_secs), |name| {
        headers.iter().find(|(header, _)| *header == name).map(|(_, value)| *value)
    });
}

#[test]
fn the_hours_header_lowers_what_is_available() {
    let limits = limits();
    assert_eq!(limits.available(), 6000);
    learn(&limits, 200, None, &[("x-ratelimit-limit-hour", "10000"), ("x-ratelimit-remaining-hour", "17")]);
    assert_eq!(limits.available(), 17);
    learn(&limits, 200, None, &[("x-ratelimit-remaining-hour", "9999")]);
    assert_eq!(limits.available(), 6000);
    learn(&limits, 200, None, &[("x-ratelimit-remaining-hour", "many")]);
    assert_eq!(limits.available(), 6000);
}

#[test]
fn a_lower_limit_a_second_is_kept_and_a_higher_one_ignored() {
    let limits = limits();
    for (header, rate) in [("50", 45.0), ("10", 9.0), ("1000", 45.0)] {
        learn(&limits, 200, None, &[("x-ratelimit-limit-second", header)]);
        assert!((limits.0.limiter.rate() - rate).abs() < 1e-9, "{header}");
    }
    learn(&limits, 200, None, &[("x-ratelimit-limit-second", "0")]);
    assert!((limits.0.limiter.rate() - 45.0).abs() < 1e-9);
}

#[test]
fn retry_after_pauses_every_request() {
    let stated = limits();
    learn(&stated, 429, Some(120), &[]);
    assert!(stated.clone().paused_for().unwrap() > Duration::from_secs(110));
    let unstated = limits();
    learn(&unstated, 429, None, &[]);
    assert!(unstated.paused_for().unwrap() <= UNSTATED_PAUSE);
    let other = limits();
    learn(&other, 503, None, &[]);
    assert_eq!(other.paused_for(), None);
}

#[test]
fn an_empty_second_pauses_for_its_rest_only() {
    let limits = limits();
    learn(&limits, 200, None, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "3600")]);
    assert_eq!(limits.paused_for(), None, "an hour is not a second's window");
    learn(&limits, 200, None, &[("ratelimit-remaining", "0"), ("ratelimit-reset", "1")]);
    assert!(limits.paused_for().unwrap() <= Duration::from_secs(1));
}

/// One fetcher after the other works through the details of a fleet on a simulated clock, as
/// `run::details` does: a walk every hour, the rest of the share for details, a reserve for the next walk.
/// Whoever takes over knows what the facts say, and begins in the middle of a minute.
#[test]
fn p17_details_of_10000_devices_fit_into_6000_requests_an_hour() {
    const SHARE: u32 = 6_000;
    const PAGES: u32 = 35;
    const PER_SECOND_LIMIT: u32 = 45;
    let mut budget = Budget::new(SHARE);
    let mut made: Vec<i64> = Vec::new();
    let mut due = 10_000_u32;
    let mut done_at = None;
    for second in 0..3 * 3_600_i64 {
        let now = at(second);
        // A fail-over now and then, also while the share is used up.
        if second % 1_117 == 0 {
            budget = Budget::restore(SHARE, budget.minutes());
        }
        if second % 3_600 == 0 {
            for _ in 0..PAGES {
                assert!(budget.available(now) > 0, "the list waits for details in second {second}");
                budget.record(now);
                made.push(second);
            }
        }
        for _ in 0..PER_SECOND_LIMIT {
            if due > 0 && budget.available(now) > PAGES {
                budget.record(now);
                made.push(second);
                due -= 1;
            }
        }
        if due == 0 {
            done_at.get_or_insert(second);
        }
    }
    // Every window of an hour, wherever it begins.
    for (first, begin) in made.iter().enumerate() {
        let end = made.partition_point(|moment| *moment < begin + 3_600);
        assert!(end - first <= SHARE as usize, "{} requests from second {begin} on", end - first);
    }
    let done_at = done_at.expect("every device's details are read");
    assert!(done_at < 2 * 3_600, "only after {done_at} seconds");
}
