//! Runs a private RabbitMQ node, prints its address, and ends it on Control-C or with its own end.
//! For trying things by hand, and for the tests of the harness itself.

use amfj_sync_tests::harness::PrivateBroker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut broker = PrivateBroker::start().await?;
    println!("{}", broker.url());
    println!("{}", broker.folder().display());
    tokio::signal::ctrl_c().await?;
    broker.stop().await
}
