//! More workers and fewer, while a run is under way.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};

use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::harness::Role;

pub(super) struct Scaling;

const LEADER_KILLED: &str = "two fetchers, the leader killed";
const LEADER_FROZEN: &str = "two fetchers, the leader frozen past its heartbeat";

fn roles(fault: &str) -> Option<Vec<Role>> {
    match fault {
        "fetchers 1 → 3 → 2 → 1" => Some(vec![Role::Fetcher]),
        "reconcilers 1 → 3 → 2 → 1" => Some(vec![Role::Reconciler]),
        "writers 1 → 3 → 2 → 1" => Some(vec![Role::Writer]),
        "everybody 1 → 3 → 2 → 1" => Some(Role::ALL.to_vec()),
        _ => None,
    }
}

impl Family for Scaling {
    fn name(&self) -> &'static str {
        "scaling"
    }

    fn faults(&self) -> Vec<String> {
        let names = [
            "fetchers 1 → 3 → 2 → 1",
            "reconcilers 1 → 3 → 2 → 1",
            "writers 1 → 3 → 2 → 1",
            "everybody 1 → 3 → 2 → 1",
            LEADER_KILLED,
            LEADER_FROZEN,
        ];
        names.map(str::to_owned).to_vec()
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let pause = Duration::from_millis(rng.random_range(300..1_200));
        if let Some(roles) = roles(fault) {
            return Ok(Box::new(UpAndDown { roles, pause }));
        }
        match fault {
            LEADER_KILLED => Ok(Box::new(LeaderKilled { pause, killed: 0 })),
            LEADER_FROZEN => Ok(Box::new(LeaderFrozen { pause })),
            _ => bail!("no fault {fault}"),
        }
    }
}

/// One, three, two, one.
struct UpAndDown {
    roles: Vec<Role>,
    pause: Duration,
}

impl Fault for UpAndDown {
    fn tell(&self) -> String {
        let names: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        format!("{}: 1 → 3 → 2 → 1, every {:?}", names.join(", "), self.pause)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for count in [3, 2] {
                for role in &self.roles {
                    stage.workers.scale(*role, count).await?;
                }
                stage.pass(self.pause).await;
                stage.ask_for_a_run().await?;
            }
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            for role in &self.roles {
                stage.workers.scale(*role, 1).await?;
            }
            Ok(Struck(self.roles.len() as u64))
        })
    }
}

/// A second fetcher waits; the one that leads the run is killed.
struct LeaderKilled {
    pause: Duration,
    killed: u64,
}

impl Fault for LeaderKilled {
    fn tell(&self) -> String {
        format!("of two fetchers the leader is killed after {:?}", self.pause)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.workers.scale(Role::Fetcher, 2).await?;
            stage.heal().await
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.pause).await;
            if let Some(leader) = stage.leader().await {
                stage.workers.kill9(Role::Fetcher, leader).await?;
                self.killed += 1;
            }
            stage.pass(self.pause).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            stage.workers.scale(Role::Fetcher, 1).await?;
            Ok(Struck(self.killed))
        })
    }
}

/// The leader stands still until the other leads, then goes on in the middle of its run.
struct LeaderFrozen {
    pause: Duration,
}

impl Fault for LeaderFrozen {
    fn tell(&self) -> String {
        format!("of two fetchers the leader is frozen after {:?}, until the other leads", self.pause)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.workers.scale(Role::Fetcher, 2).await?;
            stage.heal().await
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.pause / 3).await;
            let Some(leader) = stage.leader().await else { return Ok(()) };
            let Some(worker) = stage.workers.of(Role::Fetcher).nth(leader) else { return Ok(()) };
            let id = worker.id();
            worker.freeze();
            // A frozen worker answers nothing, so nobody is looked at meanwhile.
            tokio::time::sleep(Duration::from_secs(6)).await;
            if let Some(worker) = stage.workers.of(Role::Fetcher).find(|worker| worker.id() == id) {
                worker.thaw();
            }
            stage.pass(self.pause).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            stage.workers.scale(Role::Fetcher, 1).await?;
            Ok(Struck(1))
        })
    }
}
