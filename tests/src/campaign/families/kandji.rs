//! Kandji misbehaves.

use std::time::Duration;

use anyhow::{Result, bail};
use rand::{Rng, rngs::StdRng};

use super::services::{Misbehaving, Offline, Side, revoking};
use super::{Family, Fault};
use crate::campaign::Stage;
use crate::sim::faults::{Action, Rule};

pub(super) struct Kandji;

const AWAY: &str = "away";

/// Name, and what happens on which requests with what chance.
#[rustfmt::skip]
fn table() -> Vec<(&'static str, Vec<Rule>)> {
    vec![
        ("answer lost", all(Action::LoseAnswer, 0.3)),
        ("connection cut", all(Action::DropBefore, 0.3)),
        ("429, Retry-After in seconds", all(Action::TooManyRequests { retry_after: Some(1), http_date: false }, 0.15)),
        ("429, Retry-After as a date", all(Action::TooManyRequests { retry_after: Some(1), http_date: true }, 0.15)),
        ("429 without Retry-After", all(Action::TooManyRequests { retry_after: None, http_date: false }, 0.15)),
        ("500", all(Action::Status { code: 500, body: None }, 0.3)),
        ("503 on everything", all(Action::Status { code: 503, body: None }, 1.0)),
        ("502 with a page of HTML", all(Action::Status { code: 502, body: Some("<html>down</html>".into()) }, 0.3)),
        ("HTML with 200", vec![Rule::new(Action::Html).times(2)]),
        ("empty body", all(Action::EmptyBody, 0.3)),
        ("truncated page", all(Action::TruncatedBody, 0.3)),
        ("30 s of silence", vec![Rule::new(Action::Silence { ms: 30_000, applied: false }).times(1)]),
        ("answered 3 s late, after the time-out", vec![Rule::new(Action::Delay { ms: 3_000 }).times(1)]),
        ("an answer that drips, byte by byte", vec![Rule::new(Action::Drip { ms: 500 }).times(2)]),
        ("a body without end", vec![Rule::new(Action::EndlessBody).times(1)]),
        ("a body that is compressed", vec![Rule::new(Action::Compressed).times(2)]),
        ("token revoked, restored", revoking(&["GET"])),
        ("details refused with 403", vec![Rule::new(Action::Status { code: 403, body: None }).on("GET", "/devices/*/details")]),
        ("details fail with 500", vec![Rule::new(Action::Status { code: 500, body: None }).on("GET", "/devices/*/details")]),
        ("rows move: devices enrol while paged", pages(Action::Enroll { count: 2 })),
        ("rows move: devices leave while paged", pages(Action::Unenroll { count: 2 })),
        ("an empty list", vec![Rule::new(Action::EmptyList).on("GET", "/devices").with_query("offset=0").times(1)]),
    ]
}

fn all(action: Action, chance: f64) -> Vec<Rule> {
    vec![Rule::new(action).probability(chance)]
}

/// On the second page of a walk, once.
fn pages(action: Action) -> Vec<Rule> {
    vec![Rule::new(action).on("GET", "/devices").after(1).times(1)]
}

impl Family for Kandji {
    fn name(&self) -> &'static str {
        "Kandji"
    }

    fn faults(&self) -> Vec<String> {
        table().into_iter().map(|(name, _)| name.to_owned()).chain([AWAY.to_owned()]).collect()
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let lasts = Duration::from_millis(rng.random_range(500..2000));
        if fault == AWAY {
            return Ok(Box::new(Offline { side: Side::Kandji, lasts }));
        }
        let Some((name, rules)) = table().into_iter().find(|(name, _)| *name == fault) else {
            bail!("no fault {fault}");
        };
        Ok(Box::new(Misbehaving::new(Side::Kandji, name, rules, lasts)))
    }
}
