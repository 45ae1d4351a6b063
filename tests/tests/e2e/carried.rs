//! `amfj-sync export` and `import`: what only amfj-sync knows survives the loss of the broker with everything in it.

use std::os::unix::fs::PermissionsExt as _;

use amfj_sync_tests::harness::Scratch;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT};
use anyhow::{Context as _, Result, ensure};

use crate::stopping::FirstSync;

async fn refused(pipeline: &Pipeline, arguments: &[&str], why: &str) -> Result<()> {
    let done = pipeline.command(arguments).finish(RUN_LIMIT).await?;
    ensure!(
        !done.status.success() && done.stderr.contains(why),
        "{arguments:?}: {}{}",
        done.stdout,
        done.stderr
    );
    Ok(())
}

#[tokio::test]
async fn after_the_loss_of_the_broker_an_import_brings_everything_back() -> Result<()> {
    let sync = FirstSync::prepare(54).await?;
    sync.pipeline.run().await?;
    let content = sync.services.content();
    let unlinked = content.devices[0]["device_id"].as_str().context("a device without id")?;
    sync.pipeline.said(&["unlink", unlinked]).await?;
    sync.pipeline.run().await?;
    let history = async |pipeline: &Pipeline| -> Result<usize> {
        Ok(pipeline.said(&["history", "--json"]).await?.matches("\"change\"").count())
    };
    let links = async |pipeline: &Pipeline| {
        pipeline.view("acme").await.map(|view| {
            let mut links = Vec::new();
            view.each_link(&mut |device, link| {
                links.push((device, link));
                true
            });
            links.sort_by(|one, other| one.0.cmp(&other.0));
            links
        })
    };
    let (history_before, links_before) = (history(&sync.pipeline).await?, links(&sync.pipeline).await?);
    ensure!(history_before > 0 && links_before.len() > 50, "{history_before}, {}", links_before.len());

    let scratch = Scratch::new()?;
    let file = scratch.path().join("acme.jsonl");
    let name = file.to_str().context("no such name")?;
    sync.pipeline.said(&["export", "acme", "--output", name]).await?;
    ensure!(std::fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600, "others can read it");
    refused(&sync.pipeline, &["import", "acme", name, "--yes"], "links already").await?;

    // Another broker's queues and streams, other data directories: nothing of before is there.
    let other =
        Pipeline::start(vec![("acme", sync.settings().configure(sync.services.integration("acme")))]).await?;
    let text = std::fs::read_to_string(&file)?;
    let cut = scratch.path().join("cut.jsonl");
    std::fs::write(&cut, &text[..text.len() / 2])?;
    refused(&other, &["import", "acme", cut.to_str().context("no such name")?, "--yes"], "cut off").await?;
    refused(&other, &["import", "acme", name], "--yes").await?;
    let said = other.said(&["import", "acme", name, "--dry-run"]).await?;
    ensure!(said.contains("Nothing was imported"), "{said}");
    ensure!(links(&other).await?.is_empty(), "a dry run that writes");

    let said = other.said(&["import", "acme", name, "--yes"]).await?;
    ensure!(said.contains("acme is imported"), "{said}");
    ensure!(links(&other).await? == links_before, "the links are others");
    ensure!(history(&other).await? == history_before, "the history is another");
    let again = other.said(&["import", "acme", name, "--yes"]).await?;
    ensure!(again.contains("imported before"), "{again}");
    sync.services.take_writes();
    other.run().await?;
    let writes = sync.services.take_writes();
    ensure!(writes.is_empty(), "the first run after the import wrote {writes:?}");
    ensure!(links(&other).await? == links_before, "the run changed links");
    let explained = other.said(&["explain", unlinked]).await?;
    ensure!(explained.contains("unlinked"), "what a person decided is forgotten: {explained}");
    Ok(())
}
