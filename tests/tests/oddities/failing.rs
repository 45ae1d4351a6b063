//! Failing is cheap (P2): a run that fails costs next to nothing, however often it is tried.

use amfj_sync_tests::pipeline::Services;
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality};
use anyhow::{Result, ensure};

use crate::support::{Scene, values};

/// Ten runs in a row fail before anything was ever read to the end: what they leave in the stream is little.
#[tokio::test]
async fn ten_failing_first_runs_leave_little_behind() -> Result<()> {
    let services = Services::plain(300, 1701).await?;
    let settings = values(&services);
    let scene = Scene::open(services, settings, "10s").await?;
    let stream = format!("{}.acme.state", scene.pipeline.broker().prefix());
    let before = scene.pipeline.everything_in(&stream).await?.len();
    let kandji = &scene.services.kandji;
    let refusals = [
        Oddity::refuse(403),
        Oddity::refuse(200).saying(Body::Html),
        Oddity::refuse(401).saying(Body::Empty),
        Oddity::refuse(404).saying(Body::Html),
        Oddity::refuse(200).saying(Body::Object),
    ];
    for refusal in refusals.iter().chain(&refusals) {
        kandji.personalities().clear();
        kandji.personality(Personality::new(refusal.clone()).at(Kind::ListDevices));
        let done = scene.pipeline.fetch(&[]).await?;
        ensure!(!done.status.success(), "{refusal:?}: the run was complete");
    }
    let grown = scene.pipeline.everything_in(&stream).await?.len() - before;
    ensure!(grown < 100_000, "ten failing runs left {grown} bytes in the stream");
    let read =
        scene.amfj().requests().into_iter().filter(|request| request.path.ends_with("/assets")).count();
    ensure!(read <= 10, "AMFJ was read {read} times for runs that could not be");
    kandji.personalities().clear();
    // An empty list is not believed, and AMFJ is not read for it.
    kandji.fault(Rule::new(Action::EmptyList).on("GET", "/devices").times(1));
    scene.amfj().clear_requests();
    let done = scene.pipeline.fetch(&[]).await?;
    ensure!(!done.status.success() && done.stderr.contains("device list is empty"), "{}", done.stderr);
    let read = scene.amfj().requests().len();
    ensure!(read == 0, "AMFJ was asked {read} times for a run that could not be");
    scene.to_rest().await?;
    scene.ensure_all("in sync").await
}
