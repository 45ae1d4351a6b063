//! The broker is a cluster of three nodes, one of which is taken out while the real workers are at work.

use std::time::Duration;

use amfj_sync_tests::campaign::{Options, run};
use anyhow::Result;

/// A node is stopped in good order while a run is under way, as for an upgrade of the broker. The next run is
/// carried out by the two that are left; in the end, AMFJ is as the model says, nothing was made twice, the
/// queues are empty, an idle run writes nothing and a fresh change arrives (`campaign::checks`). What killed
/// nodes do is in `docs/guarantees.md`; `./tests/campaign --cluster` kills them.
#[tokio::test]
async fn a_node_of_three_can_be_stopped() -> Result<()> {
    let options = Options {
        seed: 20_261_126,
        // As long as the episode takes.
        time: Duration::from_hours(1),
        episodes: Some(1),
        families: vec!["cluster".to_owned()],
        faults: vec!["stopped".to_owned()],
        cluster: true,
        verbose: true,
    };
    let report = run(&options).await?;
    println!("{report}");
    report.ensure_all_struck()
}
