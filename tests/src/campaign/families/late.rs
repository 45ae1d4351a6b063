//! What is older comes last: a change that is slow, and decisions that are published late.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::LocalBoxFuture;
use rand::rngs::StdRng;

use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::harness::{Role, Worker};
use crate::sim::faults::{Action, Rule};

pub(super) struct Late;

const SLOW: &str = "a slow change, and the next right behind it";
const PUBLISHED_LATE: &str = "a reconciler frozen before it publishes, until the next run is applied";

/// Requests that are slow, more than a writer sends at once.
const SLOW_REQUESTS: u32 = 16;

/// Within the time-out of a request.
const SLOWNESS: Duration = Duration::from_millis(1_500);

/// How long it is waited for something that the fault needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longer than twice the heartbeat of two seconds.
const FROZEN: Duration = Duration::from_millis(5_500);

impl Family for Late {
    fn name(&self) -> &'static str {
        "late"
    }

    fn faults(&self) -> Vec<String> {
        [SLOW, PUBLISHED_LATE].map(str::to_owned).to_vec()
    }

    fn goes_with_others(&self, _fault: &str) -> bool {
        // Two runs must be decided and applied in the right moments.
        false
    }

    fn draw(&self, fault: &str, _stage: &Stage, _rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        match fault {
            SLOW => Ok(Box::new(Slow)),
            PUBLISHED_LATE => Ok(Box::new(PublishedLate { struck: 0 })),
            _ => bail!("no fault {fault}"),
        }
    }
}

/// The first changes of the run take long; meanwhile the next run has others for the same devices.
struct Slow;

impl Slow {
    fn rule() -> Rule {
        let slowness = u64::try_from(SLOWNESS.as_millis()).unwrap_or(u64::MAX);
        Rule::new(Action::Delay { ms: slowness }).on("PATCH", "/assets/*").times(SLOW_REQUESTS)
    }

    fn left(stage: &Stage) -> u32 {
        let rules = stage.services.amfj.faults().active();
        let own = rules.iter().filter(|(_, rule)| rule.action == Self::rule().action);
        own.filter_map(|(_, rule)| rule.times).sum()
    }
}

impl Fault for Slow {
    fn tell(&self) -> String {
        format!(
            "the first {SLOW_REQUESTS} changes take {SLOWNESS:?}; a second run has others for the same devices"
        )
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.services.amfj.fault(Self::rule());
            stage.new_versions("slow")
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.wait_until(PATIENCE, |stage| Self::left(stage) <= SLOW_REQUESTS / 2).await;
            stage.new_versions("next")?;
            stage.publish_a_run().await
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let struck = SLOW_REQUESTS - Self::left(stage);
            stage.services.amfj.faults().clear();
            Ok(Struck(u64::from(struck)))
        })
    }
}

/// What it had decided for one run is published when the next one is applied.
struct PublishedLate {
    struck: u64,
}

impl Fault for PublishedLate {
    fn tell(&self) -> String {
        "a reconciler is frozen before it publishes, and thaws when another has decided the next run"
            .to_owned()
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.new_versions("early")?;
            stage.workers.arm(Role::Reconciler, "reconciler.concluded=wait@1:2s").await?;
            stage.heal().await
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let waits = |worker: &Worker| worker.log().contains("waiting at a failpoint");
            stage.wait_until(PATIENCE, |stage| stage.workers.of(Role::Reconciler).any(waits)).await;
            let Some(worker) = stage.workers.of(Role::Reconciler).find(|worker| waits(worker)) else {
                return Ok(());
            };
            let frozen = worker.id();
            worker.freeze();
            let decided = decide_without_it(stage).await;
            if let Some(worker) = stage.workers.of(Role::Reconciler).find(|worker| worker.id() == frozen) {
                worker.thaw();
                self.struck += 1;
            }
            decided?;
            // It connects again, and publishes.
            stage.pass(Duration::from_secs(2)).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            // First the one that took over, which serves: whoever is started in place of the armed one may not be ready to end.
            stage.workers.scale(Role::Reconciler, 1).await?;
            stage.workers.disarm(Role::Reconciler).await?;
            Ok(Struck(self.struck))
        })
    }
}

/// Another reconciler takes over, decides the run, and the next one. A frozen worker answers nothing, so nobody is looked
/// at meanwhile.
async fn decide_without_it(stage: &mut Stage) -> Result<()> {
    stage.workers.scale(Role::Reconciler, 2).await?;
    tokio::time::sleep(FROZEN).await;
    stage.arrived("early", PATIENCE).await;
    stage.new_versions("later")?;
    stage.ask_for_a_run().await?;
    stage.arrived("later", PATIENCE).await;
    Ok(())
}
