//! `kill -9` of each worker between any two durable steps, and at random.
//!
//! What a step before the kill has done is done again by whoever gets the message next, so every step is
//! executed twice as well; the redeliveries and suppressed repeats of the table count that.

use std::time::Duration;

use amfj_sync_failpoint::Failpoint;
use anyhow::{Context as _, Result};
use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};

use super::{Family, Fault, Struck};
use crate::campaign::tally::all_steps;
use crate::campaign::{Death, Stage};
use crate::harness::Role;

pub(super) struct Kills;

/// How long a worker has to get to where it is to die.
const PATIENCE: Duration = Duration::from_secs(8);

const AT_RANDOM: [(&str, Role); 3] = [
    ("fetcher, at random", Role::Fetcher),
    ("reconciler, at random", Role::Reconciler),
    ("writer, at random", Role::Writer),
];

impl Family for Kills {
    fn name(&self) -> &'static str {
        "kill -9"
    }

    fn faults(&self) -> Vec<String> {
        let steps = all_steps().into_iter().map(|(_, _, name)| name);
        steps.chain(AT_RANDOM.iter().map(|(name, _)| (*name).to_owned())).collect()
    }

    fn at_once(&self) -> usize {
        3
    }

    fn draw(&self, fault: &str, stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        if let Some((_, role)) = AT_RANDOM.iter().find(|(name, _)| *name == fault) {
            let pauses =
                (0..rng.random_range(1..=3)).map(|_| Duration::from_millis(rng.random_range(50..1500)));
            return Ok(Box::new(AtRandom { role: *role, pauses: pauses.collect() }));
        }
        let step = all_steps().into_iter().find(|(_, _, name)| name == fault);
        let (role, point, _) = step.with_context(|| format!("no fault {fault}"))?;
        let often = match point {
            Failpoint::WriterBuried | Failpoint::FetcherCheckpointing => 1,
            _ if point.name().starts_with("writer.") => 4,
            _ if point.name().starts_with("state.") => 6,
            _ => 2,
        };
        // A fault that did not strike the last time is tried again where it is reached soonest.
        let at = if stage.has_struck(self.name(), fault) { rng.random_range(1..=often) } else { 1 };
        Ok(Box::new(AtStep { role, point, at, seen: 0 }))
    }
}

/// Dies at a failpoint.
struct AtStep {
    role: Role,
    point: Failpoint,
    at: u32,
    /// Deaths of this kind before this one.
    seen: usize,
}

impl AtStep {
    fn deaths(&self, stage: &Stage) -> usize {
        let is_ours = |death: &Death| *death == Death::Failpoint(self.point.name().to_owned());
        stage.workers.deaths().iter().filter(|(role, death)| *role == self.role && is_ours(death)).count()
    }
}

impl Fault for AtStep {
    fn tell(&self) -> String {
        format!("the {} dies at {}, the {}. time", self.role.name(), self.point.name(), self.at)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.seen = self.deaths(stage);
            if self.point == Failpoint::WriterBuried {
                stage.refuse_one_change()?;
            }
            stage.workers.arm(self.role, &format!("{}=kill@{}", self.point.name(), self.at)).await
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.wait_until(PATIENCE, |stage| self.deaths(stage) > self.seen).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            stage.workers.disarm(self.role).await?;
            Ok(Struck((self.deaths(stage) - self.seen) as u64))
        })
    }
}

/// Is killed after a while, once or several times.
struct AtRandom {
    role: Role,
    pauses: Vec<Duration>,
}

impl Fault for AtRandom {
    fn tell(&self) -> String {
        format!("the {} is killed after {:?}", self.role.name(), self.pauses)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for pause in &self.pauses {
                stage.pass(*pause).await;
                stage.workers.kill9(self.role, 0).await?;
                stage.workers.revive()?;
            }
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move { Ok(Struck(self.pauses.len() as u64)) })
    }
}
