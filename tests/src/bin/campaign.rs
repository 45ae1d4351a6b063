//! The fault campaign, by command: see `tests/campaign`.

use std::process::ExitCode;
use std::time::Duration;

use amfj_sync_tests::campaign::{Options, run};
use amfj_sync_tests::sim::amfj::Dialect;
use clap::Parser;

/// Breaks the whole product again and again, and looks whether it comes out right.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long; the episode that is under way then is finished
    #[arg(long, default_value_t = 10.0)]
    minutes: f64,
    /// Decides what is changed and broken [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// At most this many episodes, however long they take
    #[arg(long)]
    episodes: Option<u32>,
    /// Only families whose name contains this; may be given several times
    #[arg(long = "family", value_name = "PART")]
    families: Vec<String>,
    /// Only faults whose name contains this; may be given several times
    #[arg(long = "fault", value_name = "PART")]
    faults: Vec<String>,
    /// The broker is a cluster of three nodes, which fail one at a time as well
    #[arg(long)]
    cluster: bool,
    /// How AMFJ is spoken to
    #[arg(long, value_enum, default_value = "assumed-v1")]
    dialect: Dialect,
    /// Print the table alone
    #[arg(short, long)]
    quiet: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(|| rand::random_range(1..1_000_000));
    // A repetition by episodes takes as long as it takes.
    let minutes = if arguments.episodes.is_some() { 24.0 * 60.0 } else { arguments.minutes.max(0.0) };
    let options = Options {
        seed,
        time: Duration::from_secs_f64(minutes * 60.0),
        episodes: arguments.episodes,
        families: arguments.families,
        faults: arguments.faults,
        opening: Vec::new(),
        cluster: arguments.cluster,
        dialect: arguments.dialect,
        verbose: !arguments.quiet,
    };
    let report = match run(&options).await {
        Ok(report) => report,
        Err(violation) => {
            for (depth, cause) in violation.chain().enumerate() {
                eprintln!("{}{cause}", if depth == 0 { "" } else { "because: " });
            }
            return ExitCode::FAILURE;
        }
    };
    println!("{report}");
    let whole = options.families.is_empty() && options.faults.is_empty();
    match report.ensure_faults_happened() {
        Err(missing) if whole => {
            eprintln!("{missing:#}: this campaign proves nothing");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
