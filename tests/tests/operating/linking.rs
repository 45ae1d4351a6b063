//! `link --from FILE.csv`: many decisions at once, all of them or none; and names that fit several.

use amfj_sync_tests::harness::workers::Finished;
use amfj_sync_tests::pipeline::Pipeline;
use anyhow::{Context as _, Result, ensure};

use crate::calling::{call, empty, enrol, ensure_says, json_of};

/// What becomes of a table.
async fn from_table(pipeline: &Pipeline, table: &str) -> Result<Finished> {
    let file = pipeline.config.path.with_file_name("links.csv");
    std::fs::write(&file, table)?;
    call(pipeline, &["link", "--from", &file.display().to_string()]).await
}

async fn asset_of(pipeline: &Pipeline, device: &str) -> Result<Option<String>> {
    let explained = json_of(pipeline, &["explain", device, "--json"]).await?;
    Ok(explained["asset"]["id"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn a_table_of_links_is_looked_at_whole_before_anything_is_linked() -> Result<()> {
    let services = empty().await?;
    let (alpha, beta) = (enrol(&services, "Alpha", None)?, enrol(&services, "Beta", None)?);
    for _ in 0..2 {
        enrol(&services, "Lobby", None)?;
    }
    let desk = services.amfj.add_asset("Desk", "Laptop")?;
    let till = services.amfj.add_asset("Till", "Laptop")?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;

    let table = format!(
        "device,asset\n{alpha},{desk}\nAlpa,Till\n\nLobby,{till}\nBeta,Desk\n{beta},\nBeta,nowhere\n"
    );
    let wrong = from_table(&pipeline, &table).await?;
    ensure!(wrong.status.code() == Some(1) && wrong.stdout.is_empty(), "{}{}", wrong.status, wrong.stdout);
    let told = [
        "nothing was linked: of 6 lines",
        "line 3: no device \"Alpa\" is known",
        "\"Alpha\"",
        "line 5: several fit device \"Lobby\"",
        &format!("line 6: asset \"Desk\" ({desk}) stands on line 2 as well"),
        "line 7: it names no asset",
        "line 8: no asset \"nowhere\" is known",
    ];
    ensure_says(&wrong.stderr, &told)?;
    ensure!(asset_of(&pipeline, &alpha).await?.is_none(), "a table with mistakes linked something");

    let linked =
        from_table(&pipeline, &format!("\u{feff}Asset;Note;Device\r\nDesk;x;{alpha}\r\n{till};;Beta\r\n"))
            .await?;
    ensure!(linked.status.success(), "{}", linked.stderr);
    ensure_says(&linked.stdout, &["line 2: \"Alpha\"", "line 3: \"Beta\"", "Next their mapped fields"])?;
    ensure!(asset_of(&pipeline, &alpha).await?.as_ref() == Some(&desk));
    ensure!(asset_of(&pipeline, &beta).await?.as_ref() == Some(&till));

    // The same table does the rest of one that was broken off, so what is linked already is no mistake.
    ensure!(from_table(&pipeline, &format!("device,asset\n{alpha},Desk\n")).await?.status.success());
    let taken = from_table(&pipeline, &format!("device,asset\nBeta,{desk}\n")).await?;
    ensure!(taken.status.code() == Some(1));
    ensure_says(&taken.stderr, &["line 2: asset \"Desk\"", "is linked to device", "unlink"])?;

    let no_table = from_table(&pipeline, "serial,asset\nC02,Desk\n").await?;
    ensure!(no_table.status.code() == Some(2), "{}", no_table.status);
    ensure_says(&no_table.stderr, &["links.csv", "no column \"device\""])
}

#[tokio::test]
async fn what_fits_several_devices_is_refused_with_their_ids() -> Result<()> {
    let services = empty().await?;
    let twins = [enrol(&services, "Lobby", None)?, enrol(&services, "Lobby", None)?];
    services.amfj.add_asset("Till", "Laptop")?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    for command in [
        &["plan", "--device", "lobby"][..],
        &["explain", "Lobby"],
        &["link", "Lobby", "Till"],
        &["unlink", "Lobby"],
        &["history", "Lobby"],
        &["stopped", "retry", "Lobby"],
    ] {
        let done = call(&pipeline, command).await?;
        ensure!(done.status.code() == Some(1) && done.stdout.is_empty(), "{command:?}: {}", done.stdout);
        ensure_says(&done.stderr, &["several fit", &twins[0], &twins[1]])
            .with_context(|| format!("{command:?}"))?;
    }
    for command in [
        &["plan", "--device", "Loby"][..],
        &["explain", "Loby"],
        &["link", "Loby", "Till"],
        &["unlink", "Loby"],
        &["history", "Loby"],
        &["stopped", "drop", "Loby"],
    ] {
        let done = call(&pipeline, command).await?;
        ensure!(done.status.code() == Some(1) && done.stdout.is_empty(), "{command:?}: {}", done.stdout);
        ensure_says(&done.stderr, &["Loby", "Lobby"]).with_context(|| format!("{command:?}"))?;
    }
    Ok(())
}
