//! What `explain` tells one to type can be typed: it names this one device, and an asset that there is.

use amfj_sync_tests::pipeline::{Pipeline, Services};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::calling::{ensure_says, json_of, said};

/// The device and the asset of `amfj-sync link "DEVICE" ASSET` in a sentence.
fn link_in(sentence: &str) -> Option<(&str, &str)> {
    let command = sentence.split_once("`amfj-sync link \"")?.1.split_once('`')?.0;
    command.split_once("\" ")
}

#[tokio::test]
async fn explain_names_commands_that_fit_one_device_and_an_asset() -> Result<()> {
    let fleet = Fleet::generate(FleetSpec { devices: 60, seed: 25, traps: Traps::Realistic });
    let services = Services::start(&fleet).await?;
    let integration =
        services.integration("acme").field("Serial Number", "serial_number").set("mode", "plan");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let plan = json_of(&pipeline, &["plan", "--json"]).await?;
    let not_done = plan[0]["not_done"].as_array().context("what is not done")?;
    let unclear = not_done.iter().filter(|one| one["state"] == "ambiguous" || one["state"] == "unmatched");
    let keys = unclear.filter_map(|one| one["key"].as_str()?.strip_prefix("device/"));
    let (mut with_asset, mut of_twins) = (0, 0);
    for id in keys {
        let explained = json_of(&pipeline, &["explain", id, "--json"]).await?;
        let advice = explained["what_to_do"].as_str().context("a sentence")?;
        let Some((device, asset)) = link_in(advice) else { continue };
        let fitting = services.kandji.devices();
        let fitting: Vec<_> = fitting
            .iter()
            .filter(|one| one.device_id == device || one.serial_number == device)
            .map(|one| one.device_id.as_str())
            .collect();
        ensure!(fitting == [id], "{device} fits {fitting:?}, and {id} is meant: {advice}");
        if asset == "ASSET" {
            of_twins += usize::from(device == id);
        } else {
            ensure!(services.amfj.asset(asset).is_some(), "{asset} is no asset: {advice}");
            with_asset += 1;
        }
    }
    ensure!(with_asset > 2 && of_twins > 0, "{with_asset} with an asset, {of_twins} of twins");

    // And it is accepted as it stands.
    let ambiguous = not_done.iter().find(|one| {
        one["state"] == "ambiguous" && one["reason"].as_str().is_some_and(|why| why.contains("2 free assets"))
    });
    let id = ambiguous.and_then(|one| one["key"].as_str()?.strip_prefix("device/")).context("two assets")?;
    let explained: Value = json_of(&pipeline, &["explain", id, "--json"]).await?;
    let (device, asset) = explained["what_to_do"].as_str().and_then(link_in).context("a command")?;
    ensure_says(&said(&pipeline, &["link", device, asset]).await?, &["is linked to asset"])
}
