//! Runs a private RabbitMQ node, prints its address, and ends it on Control-C or with its own end.
//! For trying things by hand, and for the tests of the harness itself.

use std::process::ExitCode;

use amfj_sync_security::hardening::harden_process;
use amfj_sync_tests::harness::PrivateBroker;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// A RabbitMQ of your own, for trying things by hand
///
/// Starts one node with empty data, on a free port of loopback, and prints two lines once it answers: its address,
/// for `broker.url` or `AMFJ_SYNC__BROKER__URL`, and the folder with its data and its log (node.log). Control-C or
/// SIGTERM ends it; data and folder go with it. The machine's own RabbitMQ, if one runs, is left alone.
///
/// `AMFJ_SYNC_RABBITMQ_SERVER` names another rabbitmq-server than Debian's, `TMPDIR` another place for the folder.
#[derive(Debug, Parser)]
#[command(name = "private-broker", version)]
struct Arguments;

#[tokio::main]
async fn main() -> ExitCode {
    harden_process();
    Arguments::parse();
    match serve().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    // Until it answers, the end of this process ends it too.
    let mut broker = tokio::select! {
        started = PrivateBroker::start() => started?,
        _ = terminate.recv() => return Ok(()),
        interrupted = tokio::signal::ctrl_c() => return interrupted.map_err(Into::into),
    };
    println!("{}", broker.url());
    println!("{}", broker.folder().display());
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    broker.stop().await
}
