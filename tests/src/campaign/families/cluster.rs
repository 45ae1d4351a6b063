//! The broker is a cluster, and loses one of its nodes.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};
use serde::Deserialize;
use serde_json::Value;

use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::campaign::stage::{INTEGRATION, NODES, PREFIX};

pub(super) struct Cluster;

const LEADER: &str = "the leader of the stream of facts killed";
const STOPPED: &str = "a node stopped and restarted";

/// How long copies may take to notice that one of them is gone, or to be there again.
const LIMIT: Duration = Duration::from_mins(2);

fn killed(node: usize) -> String {
    format!("node {} killed and restarted", node + 1)
}

impl Family for Cluster {
    fn name(&self) -> &'static str {
        "cluster"
    }

    fn faults(&self) -> Vec<String> {
        (0..NODES).map(killed).chain([LEADER.to_owned(), STOPPED.to_owned()]).collect()
    }

    fn needs_a_cluster(&self) -> bool {
        true
    }

    fn goes_with_others(&self, _fault: &str) -> bool {
        // It waits for a complete run while the node is away.
        false
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let after = Duration::from_millis(rng.random_range(50..1_500));
        let node = match (0..NODES).find(|node| killed(*node) == fault) {
            Some(node) => Some(node),
            None if fault == LEADER => None,
            None => Some(rng.random_range(0..NODES)),
        };
        Ok(Box::new(Lost { node, killed: fault != STOPPED, after, gone: None }))
    }
}

/// A node ends while a run is under way; the next run has to do with the others; then it comes back.
struct Lost {
    /// None means the one that leads the stream of facts.
    node: Option<usize>,
    killed: bool,
    after: Duration,
    gone: Option<usize>,
}

impl Fault for Lost {
    fn tell(&self) -> String {
        let which =
            self.node.map_or("the node that leads the facts".to_owned(), |node| format!("node {}", node + 1));
        let how = if self.killed { "killed" } else { "stopped" };
        format!("{which} is {how} after {:?}, and started again after a complete run without it", self.after)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async { until_copies_are_on(stage, &names(stage, None)).await })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let node = match self.node {
                Some(node) => node,
                None => leader_of_the_facts(stage).await?,
            };
            stage.pass(self.after).await;
            if self.killed {
                stage.broker.kill_node(node);
            } else {
                stage.broker.stop_node(node).await?;
            }
            self.gone = Some(node);
            until_copies_are_on(stage, &names(stage, self.gone)).await?;
            stage.complete_run().await.context("a run while one node of the cluster is away")
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let node = self.gone.context("no node is gone")?;
            stage.broker.restart_node(node).await?;
            // Who takes the next node away before that has none that can be trusted alone.
            until_copies_are_on(stage, &names(stage, None)).await?;
            Ok(Struck(1))
        })
    }
}

/// A quorum queue or a stream, as `rabbitmqctl list_queues` shows it.
#[derive(Debug, Deserialize)]
struct Queue {
    name: String,
    /// The node that decides on it.
    leader: String,
    /// Nodes with a copy.
    members: BTreeSet<String>,
    /// Those of them whose copy is in use.
    online: BTreeSet<String>,
}

/// What lasts: exclusive queues, which are locks and for answers, live and die with a connection.
async fn queues(stage: &Stage) -> Result<Vec<Queue>> {
    let columns = ["name", "type", "leader", "members", "online"];
    let arguments = [&["--silent", "--formatter", "json", "list_queues"], columns.as_slice()].concat();
    let shown = stage.broker.ctl(&arguments).await?;
    let rows: Vec<Value> = serde_json::from_str(&shown).with_context(|| format!("cannot read {shown}"))?;
    let lasting = rows.into_iter().filter(|row| row["type"] != "classic");
    lasting.map(|row| serde_json::from_value(row).context("a queue without copies")).collect()
}

/// The names of the nodes, without one.
fn names(stage: &Stage, without: Option<usize>) -> BTreeSet<String> {
    let nodes = (0..stage.broker.size()).filter(|node| Some(*node) != without);
    nodes.filter_map(|node| stage.broker.node_name(node)).collect()
}

/// Waits until every queue and every stream has a copy on each node, and just these are in use.
async fn until_copies_are_on(stage: &Stage, nodes: &BTreeSet<String>) -> Result<()> {
    let begin = Instant::now();
    loop {
        let looked = copies_are_on(stage, nodes).await;
        if looked.is_ok() || begin.elapsed() > LIMIT {
            return looked.with_context(|| format!("waited {LIMIT:?} for the copies on {nodes:?}"));
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn copies_are_on(stage: &Stage, nodes: &BTreeSet<String>) -> Result<()> {
    let all = names(stage, None);
    let queues = queues(stage).await?;
    ensure!(queues.iter().any(|queue| queue.name == facts()), "no stream of facts among {queues:?}");
    for queue in queues {
        ensure!(queue.members == all, "{} has copies on {:?} only", queue.name, queue.members);
        ensure!(queue.online == *nodes, "{} is in use on {:?}", queue.name, queue.online);
        ensure!(nodes.contains(&queue.leader), "{} is led by {:?}", queue.name, queue.leader);
    }
    Ok(())
}

async fn leader_of_the_facts(stage: &Stage) -> Result<usize> {
    let queues = queues(stage).await?;
    let stream = queues.iter().find(|queue| queue.name == facts()).context("no stream of facts")?;
    let leads = |node: &usize| stage.broker.node_name(*node).as_ref() == Some(&stream.leader);
    (0..NODES).find(leads).with_context(|| format!("nobody leads the stream of facts: {stream:?}"))
}

fn facts() -> String {
    format!("{PREFIX}.{INTEGRATION}.state")
}
