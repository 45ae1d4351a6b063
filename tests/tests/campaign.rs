//! A short fault campaign with a fixed seed, so that every run of the tests has one. The long one is
//! `tests/campaign`.

use std::time::Duration;

use amfj_sync_tests::campaign::{Options, run};
use anyhow::Result;

#[tokio::test]
async fn a_short_campaign_ends_without_a_violation() -> Result<()> {
    let options = Options {
        seed: 20_261_125,
        time: Duration::from_mins(10),
        episodes: Some(3),
        families: Vec::new(),
        faults: Vec::new(),
        // Who takes over from the first of these suppresses a repeat, and the report has to show one.
        opening: vec!["writer.outcome-read-back".to_owned(), "writer.answered".to_owned()],
        cluster: false,
        verbose: true,
    };
    let report = run(&options).await?;
    println!("{report}");
    report.ensure_faults_happened()
}
