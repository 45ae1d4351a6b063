//! The broker is a cluster of three nodes behind one address.

use std::time::Duration;

use amfj_sync_tests::campaign::{Options, run};
use amfj_sync_tests::sim::amfj::Dialect;
use anyhow::Result;

/// The first sync, with each worker and each connection at whichever node the address leads to: AMFJ is as the
/// model says, nothing was made twice, the queues are empty and an idle run writes nothing
/// (`campaign::checks`). What becomes of the work when a node goes away is in `docs/guarantees.md`;
/// `./tests/campaign --cluster` takes nodes away.
#[tokio::test]
async fn a_first_sync_over_three_nodes() -> Result<()> {
    let options = Options {
        seed: 20_261_126,
        time: Duration::from_hours(1),
        // The first sync comes before all of them.
        episodes: Some(0),
        families: vec!["cluster".to_owned()],
        faults: Vec::new(),
        opening: Vec::new(),
        cluster: true,
        dialect: Dialect::chosen()?,
        verbose: true,
    };
    println!("{}", run(&options).await?);
    Ok(())
}
