//! One message through a bare client, through the reconciler and through the writer.
//!
//! The bare hop consumes, publishes with a confirm and acknowledges, 256 at a time: nothing that does
//! its work over RabbitMQ can be faster. The workers do it four queues at once.

mod feeding;
mod raw;
mod watching;
mod workers;

use amfj_sync_benchmarks::figures::{Rounds, machine, table};
use amfj_sync_tests::harness::PrivateBroker;
use anyhow::{Context as _, Result};
use clap::Args;

/// How much is measured.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Messages in each round
    #[arg(long, default_value_t = 20_000)]
    messages: usize,
    /// Rounds of each hop, one after the other in turn
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Partitions of the measured integration.
const PARTITIONS: u16 = 4;

pub(crate) async fn run(options: &Options) -> Result<()> {
    println!("{}", machine());
    let broker = PrivateBroker::start().await?;
    let mut raw = Rounds::default();
    let [mut deciding, mut idle, mut writing] = [(); 3].map(|()| Rounds::default());
    for round in 1..=options.rounds {
        let bare = raw::hop(&broker.url(), options.messages).await.context("the bare hop")?;
        let decided = workers::reconciler(&broker.url(), options.messages).await;
        let decided = decided.context("the reconciler's hop")?;
        let written = workers::writer(&broker.url(), options.messages).await.context("the writer's hop")?;
        println!(
            "round {round}: bare {bare:.0}/s, reconciler {:.0}/s, idle {:.0}/s, writer {written:.0}/s",
            decided.changing, decided.idle
        );
        raw.add(bare);
        deciding.add(decided.changing);
        idle.add(decided.idle);
        writing.add(written);
    }
    let mut shown = table(&["hop", "messages a second (median)", "least … most", "of the bare hop"]);
    for (name, rounds) in [
        ("bare client", &raw),
        ("reconciler, each snapshot asks for a change", &deciding),
        ("reconciler, an idle run", &idle),
        ("writer, AMFJ answered in process", &writing),
    ] {
        let (least, most) = rounds.range();
        shown.add_row([
            name.to_owned(),
            format!("{:.0}", rounds.median()),
            format!("{least:.0} … {most:.0}"),
            format!("{:.2}", rounds.median() / raw.median()),
        ]);
    }
    println!("{shown}");
    Ok(())
}
