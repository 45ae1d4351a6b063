//! Three questions that somebody asks every week, answered with nothing but commands.

use amfj_sync_tests::pipeline::Pipeline;
use anyhow::Result;
use serde_json::json;

use super::page::Walk;
use super::{call, enrol, person};
use crate::calling::empty;

#[tokio::test]
async fn why_no_asset_what_changes_hands_and_who_had_it_before() -> Result<()> {
    let services = empty().await?;
    let amfj = &services.amfj;
    let ana = || person("k-ana", "Ana Horvat", "ana@example.com");
    let ben = || person("k-ben", "Ben Carter", "ben@example.com");
    enrol(&services, "d01", "Ana’s MacBook", "C02ANA01", Some(ana()))?;
    enrol(&services, "d02", "Ben’s MacBook", "C02BEN01", Some(ben()))?;
    enrol(&services, "d03", "Imani’s MacBook", "C02IMAN1", None)?;
    enrol(&services, "d04", "Lobby iMac 2", "C02LOB02", None)?;
    enrol(&services, "d05", "Studio", "C02STUD1", None)?;
    for name in ["Ana's MacBook", "Ben's MacBook", "Lobby-iMac-2", "Studio", "Studio"] {
        amfj.add_asset(name, "Laptop")?;
    }
    for (name, email) in [("Ana Horvat", "ana@example.com"), ("Ben Carter", "ben@example.com")] {
        amfj.add_user(name, Some(email), true)?;
    }
    amfj.set_field("asset-0000002", "Model", json!("bought used"))?;
    let integration = |mode: &str| {
        let settings = services.integration("acme").set("mode", mode).set("sync.auto_checkout", true);
        settings.field("Serial Number", "serial_number").field("Model", "model")
    };
    let mut pipeline = Pipeline::start(vec![("acme", integration("apply"))]).await?;
    pipeline.run().await?;
    // A day later: Ana has left her machine to Ben, and nothing is written before somebody has looked.
    services.kandji.give_to("d01", "Ben Carter", "ben@example.com")?;
    pipeline.reconfigure(vec![("acme", integration("plan"))]).await?;
    pipeline.run().await?;
    let mut walk = Walk::of("Three questions of every week")?;
    let mut step = async |pipeline: &Pipeline, command: &str| call(&mut walk, pipeline, command).await;
    step(&pipeline, "amfj-sync plan --state unmatched,ambiguous").await?;
    step(&pipeline, "amfj-sync explain \"Lobby iMac 2\"").await?;
    step(&pipeline, "amfj-sync explain \"Imanis MacBook\"").await?;
    step(&pipeline, "amfj-sync explain \"Imani's MacBook\"").await?;
    step(&pipeline, "amfj-sync plan --kind hand-over,check-out,check-in").await?;
    step(&pipeline, "amfj-sync plan --kind assign --csv").await?;
    pipeline.reconfigure(vec![("acme", integration("apply"))]).await?;
    pipeline.run().await?;
    step(&pipeline, "amfj-sync history \"Ana's MacBook\"").await?;
    step(&pipeline, "amfj-sync history asset-0000002").await?;
    step(&pipeline, "amfj-sync explain ben@example.com").await?;
    walk.end()
}
