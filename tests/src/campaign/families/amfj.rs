//! AMFJ misbehaves.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};

use super::services::{Misbehaving, Offline, Side, revoking};
use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::sim::faults::{Action, Rule};

pub(super) struct Amfj;

const LATE_LISTS: &str = "lists show writes late";
const AWAY: &str = "away";

/// Name, and what happens on which requests with what chance.
#[rustfmt::skip]
fn table() -> Vec<(&'static str, Vec<Rule>)> {
    vec![
        ("answer lost after the write", writes(&Action::LoseAnswer, 0.35)),
        ("connection cut before the write", writes(&Action::DropBefore, 0.35)),
        ("429, Retry-After in seconds", all(Action::TooManyRequests { retry_after: Some(1), http_date: false }, 0.1)),
        ("429, Retry-After as a date", all(Action::TooManyRequests { retry_after: Some(1), http_date: true }, 0.1)),
        ("429 without Retry-After", all(Action::TooManyRequests { retry_after: None, http_date: false }, 0.1)),
        ("500 before the write", writes(&Action::Status { code: 500, body: None }, 0.3)),
        ("502 after the write", writes(&Action::StatusAfter { code: 502 }, 0.3)),
        ("503 on everything", all(Action::Status { code: 503, body: None }, 1.0)),
        ("503 with a page of HTML", writes(&Action::Status { code: 503, body: Some("<html>down</html>".into()) }, 0.3)),
        ("HTML with 200 on writes", writes(&Action::Html, 0.3)),
        ("HTML with 200 on reads", vec![Rule::new(Action::Html).on("GET", "*").probability(0.3)]),
        ("empty body after the write", writes(&Action::EmptyBody, 0.3)),
        ("truncated body", all(Action::TruncatedBody, 0.25)),
        ("30 s of silence, written", writes_times(&Action::Silence { ms: 30_000, applied: true }, 2)),
        ("30 s of silence, not written", writes_times(&Action::Silence { ms: 30_000, applied: false }, 2)),
        // Within time-out and list delay: what comes later still cannot be told from what never comes.
        ("written after the time-out", writes_times(&Action::Delay { ms: 2_200 }, 2)),
        ("lists without end", vec![Rule::new(Action::EndlessList).on("GET", "*").with_query("limit=")]),
        ("a list of one huge row", vec![Rule::new(Action::HugeRow { bytes: 40 << 20 }).on("GET", "*").with_query("limit=").times(1)]),
        ("token revoked at a write, restored", revoking(&["POST", "PATCH"])),
        ("token revoked at a read, restored", revoking(&["GET"])),
    ]
}

fn writes(action: &Action, chance: f64) -> Vec<Rule> {
    let rule = |method| Rule::new(action.clone()).on(method, "*").probability(chance);
    vec![rule("POST"), rule("PATCH")]
}

fn writes_times(action: &Action, times: u32) -> Vec<Rule> {
    let rule = |method| Rule::new(action.clone()).on(method, "*").times(times);
    vec![rule("POST"), rule("PATCH")]
}

fn all(action: Action, chance: f64) -> Vec<Rule> {
    vec![Rule::new(action).probability(chance)]
}

impl Family for Amfj {
    fn name(&self) -> &'static str {
        "AMFJ"
    }

    fn faults(&self) -> Vec<String> {
        let named = table().into_iter().map(|(name, _)| name.to_owned());
        named.chain([LATE_LISTS.to_owned(), AWAY.to_owned()]).collect()
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let lasts = Duration::from_millis(rng.random_range(500..2500));
        match fault {
            LATE_LISTS => return Ok(Box::new(LateLists { lag: Duration::from_millis(400) })),
            AWAY => return Ok(Box::new(Offline { side: Side::Amfj, lasts })),
            _ => {}
        }
        let Some((name, rules)) = table().into_iter().find(|(name, _)| *name == fault) else {
            bail!("no fault {fault}");
        };
        Ok(Box::new(Misbehaving::new(Side::Amfj, name, rules, lasts)))
    }
}

/// Lists show a write late, but not later than the configured `list_delay`.
struct LateLists {
    lag: Duration,
}

impl Fault for LateLists {
    fn tell(&self) -> String {
        format!("AMFJ: lists show a write {:?} late", self.lag)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.services.amfj.set_list_lag(self.lag);
            Ok(())
        })
    }

    fn may_repeat_writes(&self) -> bool {
        false
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            // A second run soon after the first, while writes of the first do not show yet.
            stage.pass(Duration::from_millis(600)).await;
            stage.ask_for_a_run().await?;
            stage.pass(Duration::from_millis(800)).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let writes = stage.services.amfj.write_count();
            stage.services.amfj.set_list_lag(Duration::ZERO);
            Ok(Struck(writes as u64))
        })
    }
}
