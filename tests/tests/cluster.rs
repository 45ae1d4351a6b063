//! The broker is a cluster of three nodes, each of which fails once while the real workers are at work.

use std::time::Duration;

use amfj_sync_tests::campaign::{Options, run};
use anyhow::Result;

/// Each node is killed once, the one that leads the stream of facts once more, and one is stopped in good
/// order, always while a run is under way. Every time the next run is carried out by the two that are left;
/// in the end, AMFJ is as the model says, nothing was made twice, the queues are empty, an idle run writes
/// nothing and a fresh change arrives (`campaign::checks`).
#[tokio::test]
async fn any_one_of_three_nodes_can_be_lost() -> Result<()> {
    let options = Options {
        seed: 20_261_126,
        // As long as the episodes take: one for each fault.
        time: Duration::from_hours(1),
        episodes: Some(5),
        families: vec!["cluster".to_owned()],
        faults: Vec::new(),
        cluster: true,
        verbose: true,
    };
    let report = run(&options).await?;
    println!("{report}");
    report.ensure_all_struck()
}
