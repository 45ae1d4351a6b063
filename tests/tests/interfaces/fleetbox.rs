//! Fleetbox: OAuth, cursors, JSON Patch with `If-Match`, problem documents.

use amfj_sync_tests::interfaces::{Fleetbox, Served};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::support::{MORE, Words, applied, change, integration, is_in_step, kandji, other, planned};

const WORDS: Words = Words {
    laptop: "Laptop",
    tablet: "Tablet",
    location: "HQ / First floor",
    serial: "Serial",
    tag: "Asset tag",
    enrolled: "Enrolled",
    managed: "Managed",
    platform: "Platform",
};
const CLIENT: &str = "amfj-sync";
const SECRET: &str = "fleetbox-secret-99ab";

fn filled() -> Fleetbox {
    let mut fleetbox = Fleetbox::new(CLIENT, SECRET);
    fleetbox.add_member("Ana Horvat", Some("ana@example.com"), "scim");
    fleetbox.add_member("Dana Reyes", Some("dana@example.com"), "scim");
    let gita = fleetbox.add_member("Gita Rao", Some("gita@example.com"), "invitation");
    let remarks = json!([{"field": {"id": "fld_remarks", "label": "Remarks"}, "value": "bought used"}]);
    fleetbox.add_asset("Ana's MacBook", &remarks);
    let lobby = fleetbox.add_asset("Lobby <2> & more", &json!([]));
    fleetbox.assign(&lobby, &gita);
    for number in 4..4 + MORE {
        fleetbox.add_asset(&other(number).1, &json!([]));
    }
    fleetbox
}

fn only(service: &Served<Fleetbox>, name: &str) -> Result<Value> {
    service.with(|fleetbox| {
        let named = fleetbox.named(name);
        ensure!(named.len() == 1, "there are {} of {name}", named.len());
        named.first().map(|asset| (*asset).clone()).context("none")
    })
}

/// The custom fields by label, sorted.
fn values(asset: &Value) -> Vec<String> {
    let rows = asset["customFields"].as_array().into_iter().flatten();
    let mut values: Vec<String> = rows
        .map(|row| format!("{}={}", row["field"]["label"].as_str().unwrap_or_default(), row["value"]))
        .collect();
    values.sort();
    values
}

#[tokio::test]
async fn fleetbox_is_kept_in_step_with_a_profile_alone() -> Result<()> {
    let service = Served::start(filled()).await?;
    let kandji = kandji().await?;
    let integration =
        integration(&kandji, &service.url("/platform"), SECRET, &WORDS).set("amfj.client_id", CLIENT);
    let mut pipeline = planned("fleetbox", &integration).await?;
    ensure!(service.with(|fleetbox| fleetbox.writes) == 0, "a plan writes nothing");

    // Access tokens that expire within the run.
    service.with(|fleetbox| fleetbox.token_lasts = 40);
    applied(&mut pipeline, "fleetbox", &integration).await?;
    is_in_step(&pipeline).await?;
    let ana = only(&service, "Ana's MacBook")?;
    let wanted = [
        "Asset tag=12.5",
        "Enrolled=\"2024-03-14\"",
        "Managed=true",
        "Platform=\"opt_mac\"",
        "Remarks=\"bought used\"",
        "Serial=\"C02ANA01\"",
    ];
    ensure!(values(&ana) == wanted, "{ana}");
    ensure!(
        ana["assignment"]["member"]["displayName"] == "Ana Horvat" && ana["placeId"] == "plc_hq1",
        "{ana}"
    );
    let lobby = only(&service, "Lobby <2> & more")?;
    ensure!(lobby["assignment"]["member"]["displayName"] == "Ben Carter", "{lobby}");
    let spare = only(&service, "Spare iPad")?;
    ensure!(spare["typeId"] == "typ_tablet" && spare["assignment"].is_null(), "{spare}");
    for number in 4..4 + MORE {
        let (serial, name) = other(number);
        ensure!(values(&only(&service, &name)?).contains(&format!("Serial=\"{serial}\"")), "{name}");
    }

    change(&kandji)?;
    pipeline.run().await?;
    let ana = only(&service, "Ana's MacBook")?;
    ensure!(ana["assignment"]["member"]["displayName"] == "Dana Reyes", "{ana}");
    ensure!(!values(&ana).iter().any(|value| value.starts_with("Asset tag")), "{ana}");
    let spare = only(&service, "Spare iPad")?;
    ensure!(spare["assignment"]["member"]["displayName"] == "Ana Horvat", "{spare}");
    let before = service.with(|fleetbox| fleetbox.writes);
    pipeline.run().await?;
    is_in_step(&pipeline).await?;
    service.with(|fleetbox| {
        ensure!(fleetbox.writes == before, "an idle run wrote {} times", fleetbox.writes - before);
        ensure!(fleetbox.complaints.is_empty(), "{:?}", fleetbox.complaints);
        Ok(())
    })
}
