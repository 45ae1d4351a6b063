//! The broker fails, or the way to it.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use futures::future::LocalBoxFuture;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions};
use rand::{Rng, rngs::StdRng};
use uuid::Uuid;

use super::trimming::Trimmed;
use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::campaign::stage::{Expected, INTEGRATION, PARTITIONS, PREFIX, work_queue};
use crate::harness::{Role, Worker};

pub(super) struct Broker;

const KILLED: &str = "killed and restarted";
const STOPPED: &str = "stopped and restarted";
const CLOSED: &str = "all connections closed by the broker";
const ALARM: &str = "memory alarm, connections blocked";
const LONG_ALARM: &str = "memory alarm for long, which everybody says";
const KILLED_BLOCKING: &str = "killed while it blocks a writer that sets a message aside";
const RECONCILE_DELETED: &str = "a reconcile queue deleted";
const APPLY_DELETED: &str = "an apply queue deleted";
const TRIMMED: &str = "stream trimmed past a worker";
const STREAM_DELETED: &str = "stream deleted and declared again";

/// Longer than twice the heartbeat of two seconds.
const CUT: Duration = Duration::from_millis(5_500);

fn cuts() -> Vec<(&'static str, Vec<Role>)> {
    vec![
        ("network of the fetchers cut", vec![Role::Fetcher]),
        ("network of the reconcilers cut", vec![Role::Reconciler]),
        ("network of the writers cut", vec![Role::Writer]),
        ("network of everybody cut", Role::ALL.to_vec()),
    ]
}

impl Family for Broker {
    fn name(&self) -> &'static str {
        "broker"
    }

    fn faults(&self) -> Vec<String> {
        let simple = [
            KILLED,
            STOPPED,
            CLOSED,
            ALARM,
            LONG_ALARM,
            KILLED_BLOCKING,
            RECONCILE_DELETED,
            APPLY_DELETED,
            TRIMMED,
            STREAM_DELETED,
        ];
        let cuts = cuts().into_iter().map(|(name, _)| name);
        simple.into_iter().chain(cuts).map(str::to_owned).collect()
    }

    fn goes_with_others(&self, fault: &str) -> bool {
        // Without the stream nobody knows what was; the model has to forget it at the right moment.
        // A worker that cannot start does not end in good order either, which trimming asks of it.
        // Nobody hears a request for a run while the broker takes nothing.
        fault != STREAM_DELETED && fault != TRIMMED && fault != LONG_ALARM
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let after = Duration::from_millis(rng.random_range(100..1_200));
        let partition = rng.random_range(0..PARTITIONS);
        Ok(match fault {
            KILLED => Box::new(Away { after, killed: true }),
            STOPPED => Box::new(Away { after, killed: false }),
            CLOSED => Box::new(Closed { times: rng.random_range(1..=2) }),
            ALARM => Box::new(Alarm { lasts: after * 2, is_said: false }),
            LONG_ALARM => Box::new(Alarm { lasts: after * 10, is_said: true }),
            KILLED_BLOCKING => Box::new(KilledBlocking { queue: work_queue("apply", partition) }),
            RECONCILE_DELETED => Box::new(Deleted { queue: work_queue("reconcile", partition), after }),
            APPLY_DELETED => Box::new(Deleted { queue: work_queue("apply", partition), after }),
            TRIMMED => {
                Box::new(Trimmed::past(if rng.random_bool(0.5) { Role::Reconciler } else { Role::Writer }))
            }
            STREAM_DELETED => Box::new(StreamDeleted { after }),
            _ => {
                let Some((_, roles)) = cuts().into_iter().find(|(name, _)| *name == fault) else {
                    bail!("no fault {fault}");
                };
                Box::new(Cut { roles, after, connections: 0 })
            }
        })
    }
}

/// The node ends, suddenly or not, and comes back.
struct Away {
    after: Duration,
    killed: bool,
}

impl Fault for Away {
    fn tell(&self) -> String {
        let how = if self.killed { "killed" } else { "stopped" };
        format!("the broker is {how} after {:?} and started again", self.after)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.after).await;
            if self.killed {
                stage.broker.kill();
            } else {
                stage.broker.stop().await?;
            }
            stage.pass(self.after).await;
            stage.broker.restart().await
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async { Ok(Struck(1)) })
    }
}

/// Every connection is closed from the other side.
struct Closed {
    times: u32,
}

impl Fault for Closed {
    fn tell(&self) -> String {
        format!("the broker closes all connections, {} times", self.times)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            for _ in 0..self.times {
                stage.broker.ctl(&["close_all_connections", "campaign"]).await?;
                stage.pass(Duration::from_millis(300)).await;
            }
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async { Ok(Struck(u64::from(self.times))) })
    }
}

/// The broker is short of memory and takes nothing from those who publish.
struct Alarm {
    lasts: Duration,
    /// Whether it lasts long enough for all workers to say so.
    is_said: bool,
}

/// How soon a worker says that the broker takes nothing.
const SAID_WITHIN: Duration = Duration::from_secs(30);

/// Waits until every worker says that it is not ready because of the alarm.
async fn all_say_so(stage: &mut Stage) -> Result<()> {
    let begin = std::time::Instant::now();
    loop {
        let mut silent = Vec::new();
        for worker in stage.workers.all() {
            match worker.get("/readyz").await {
                Ok((503, body)) if body.contains("short of memory or disk") => {}
                other => silent.push(format!("{}: {other:?}", worker.role().name())),
            }
        }
        if silent.is_empty() {
            return Ok(());
        }
        ensure!(
            begin.elapsed() < SAID_WITHIN,
            "the broker takes nothing, and these do not say so: {silent:?}"
        );
        stage.pass(Duration::from_millis(200)).await;
    }
}

impl Fault for Alarm {
    fn tell(&self) -> String {
        format!("the broker has a memory alarm for {:?}", self.lasts)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.takes_no_messages = true;
            stage.broker.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await?;
            if self.is_said {
                all_say_so(stage).await?;
            }
            stage.pass(self.lasts).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            stage.broker.ctl(&["set_vm_memory_high_watermark", "0.6"]).await?;
            stage.takes_no_messages = false;
            Ok(Struck(1))
        })
    }
}

/// The broker takes acknowledgements, and nothing that is published; then it is killed. What a writer acknowledged before
/// its dead letter was confirmed would be nowhere.
struct KilledBlocking {
    queue: String,
}

impl Fault for KilledBlocking {
    fn tell(&self) -> String {
        format!("a message nobody can read is in {}, the broker blocks, and is killed", self.queue)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let body = format!("unreadable {}", Uuid::new_v4()).into_bytes();
            let channel = stage.channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            // Frozen, so that the broker blocks before the message is read.
            let frozen: Vec<u32> = stage.workers.of(Role::Writer).map(Worker::id).collect();
            stage.workers.of(Role::Writer).for_each(Worker::freeze);
            let properties = BasicProperties::default().with_delivery_mode(2);
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let publish =
                channel.basic_publish("".into(), self.queue.as_str().into(), options, &body, properties);
            let taken = publish.await?.await?.is_ack();
            let alarm = stage.broker.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await;
            let thawed = stage.workers.of(Role::Writer).filter(|worker| frozen.contains(&worker.id()));
            thawed.for_each(Worker::thaw);
            alarm?;
            ensure!(taken, "the broker did not take the message");
            stage.expected.push(Expected::Body { body, at_least: 1 });
            stage.pass(Duration::from_millis(1_500)).await;
            stage.broker.kill();
            stage.broker.restart().await
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async { Ok(Struck(1)) })
    }
}

/// Somebody deletes a work queue with everything in it.
struct Deleted {
    queue: String,
    after: Duration,
}

impl Fault for Deleted {
    fn tell(&self) -> String {
        format!("{} is deleted after {:?}", self.queue, self.after)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.after).await;
            let channel = stage.channel().await?;
            channel.queue_delete(self.queue.as_str().into(), QueueDeleteOptions::default()).await?;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            // Changes that were in it count as lost after the configured time, and are published anew.
            stage.pass(Stage::CHANGE_LOST_AFTER + Duration::from_secs(1)).await;
            Ok(Struck(1))
        })
    }
}

/// Nothing gets through for longer than the heartbeat.
struct Cut {
    roles: Vec<Role>,
    after: Duration,
    /// Connections that were silenced.
    connections: usize,
}

impl Fault for Cut {
    fn tell(&self) -> String {
        let names: Vec<_> = self.roles.iter().map(|role| role.name()).collect();
        format!("the network of {} is cut after {:?} for {CUT:?}", names.join(", "), self.after)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.after).await;
            for role in &self.roles {
                let proxy = &stage.proxies[role.name()];
                proxy.refuse(true);
                self.connections += proxy.silence("");
            }
            stage.pass(CUT).await;
            for role in &self.roles {
                let proxy = &stage.proxies[role.name()];
                proxy.refuse(false);
                proxy.speak();
            }
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async { Ok(Struck(self.connections as u64)) })
    }
}

/// All facts are gone.
struct StreamDeleted {
    after: Duration,
}

impl Fault for StreamDeleted {
    fn tell(&self) -> String {
        format!("the stream of facts is deleted {:?} before a run is asked for", self.after)
    }

    // What a run decides on the old stream is right by what was known then, and no model says which it was.
    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let stream = format!("{PREFIX}.{INTEGRATION}.state");
            let channel = stage.channel().await?;
            channel.queue_delete(stream.as_str().into(), QueueDeleteOptions::default()).await?;
            stage.declare_state_stream().await?;
            // What rules made is found again by the rules.
            stage.forget();
            stage.pass(self.after).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            ensure!(stage.model.links.is_empty(), "the model still knows links");
            Ok(Struck(1))
        })
    }
}
