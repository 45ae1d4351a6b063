//! "A worked example" in `docs/amfj-profile.md`: from the description of an interface that nobody here has seen to a first plan.

use std::process::Command;

use amfj_sync_tests::harness::IntegrationBuilder;
use amfj_sync_tests::interfaces::{Served, Stockroom, fixture};
use amfj_sync_tests::pipeline::{Pipeline, Workers};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::page::Walk;
use super::{call, enrol, output, person};
use crate::calling::empty;

const TOKEN: &str = "stockroom-token-of-the-guide";

fn stockroom() -> Stockroom {
    let mut stockroom = Stockroom::new(TOKEN);
    stockroom.add_person("Ana Horvat", Some("ana@example.com"), "directory");
    let gita = stockroom.add_person("Gita Rao", Some("gita@example.com"), "manual");
    stockroom.add_hardware("Ana's MacBook", &json!({"remarks": "bought used"}));
    let lobby = stockroom.add_hardware("Lobby", &json!({"serial_no": "C02LOB01"}));
    stockroom.hand_out(lobby, gita);
    stockroom
}

#[tokio::test]
async fn from_a_description_to_a_first_plan() -> Result<()> {
    let services = empty().await?;
    enrol(
        &services,
        "d01",
        "Ana's MacBook",
        "C02ANA01",
        Some(person("k-ana", "Ana Horvat", "ana@example.com")),
    )?;
    enrol(&services, "d02", "Lobby", "C02LOB01", None)?;
    enrol(&services, "d03", "Reception iMac", "C02REC01", None)?;
    let service = Served::start(stockroom()).await?;
    let acme = IntegrationBuilder::new("acme", &services.kandji.url(), &service.url("/api/v1"))
        .tokens(&services.kandji.token(), TOKEN)
        .set("mode", "plan")
        .set("amfj.profile", "amfj.toml")
        .set("kandji.requests_per_hour", 6000)
        .set("sync.default_asset_type", "Notebooks")
        .set("sync.create_devices", "first-sync")
        .set("sync.auto_checkout", true)
        .field("Serial no.", "serial_number")
        .field("Remarks", "model");
    let mut pipeline = Pipeline::idle(vec![("acme", acme)], |config| config).await?;
    let folder = pipeline.config.path.parent().context("a configuration in no folder")?.to_owned();
    std::fs::copy(fixture("stockroom", "openapi.json"), folder.join("stockroom.json"))?;
    let mut walk = Walk::on("amfj-profile.md", "A worked example")?;

    let command = "amfj-sync profile draft --openapi stockroom.json";
    let draft = output(&pipeline, command).await?;
    walk.step(command, &draft);
    std::fs::write(folder.join("draft.toml"), &draft)?;
    std::fs::write(folder.join("amfj.toml"), &draft)?;
    call(&mut walk, &pipeline, "amfj-sync probe").await?;
    // What the reader does with a text editor.
    std::fs::copy(fixture("stockroom", "profile.toml"), folder.join("amfj.toml"))?;
    let differs = Command::new("diff").args(["draft.toml", "amfj.toml"]).current_dir(&folder).output()?;
    ensure!(differs.status.code() == Some(1), "{}", String::from_utf8_lossy(&differs.stderr));
    walk.step("diff draft.toml amfj.toml", &String::from_utf8(differs.stdout)?);
    call(&mut walk, &pipeline, "amfj-sync probe").await?;
    call(&mut walk, &pipeline, "amfj-sync check").await?;
    pipeline.spawn(Workers::default()).await?;
    pipeline.run().await?;
    call(&mut walk, &pipeline, "amfj-sync plan").await?;
    service.with(|stockroom| {
        ensure!(stockroom.writes == 0 && stockroom.complaints.is_empty(), "{:?}", stockroom.complaints);
        Ok(())
    })?;
    walk.end()
}
