//! Stockroom: `OpenAPI`, envelopes named after the resource, snake case.

use amfj_sync_tests::interfaces::{Served, Stockroom};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::support::{MORE, Words, applied, change, integration, is_in_step, kandji, other, planned};

const WORDS: Words = Words {
    laptop: "Notebooks",
    tablet: "Tablets",
    location: "Head office",
    serial: "Serial no.",
    tag: "Asset tag",
    enrolled: "Enrolled on",
    managed: "Managed",
    platform: "Platform",
};

fn filled() -> Stockroom {
    let mut stockroom = Stockroom::new("stockroom-token-7f3a");
    stockroom.add_person("Ana Horvat", Some("ana@example.com"), "directory");
    stockroom.add_person("Dana Reyes", Some("dana@example.com"), "directory");
    let gita = stockroom.add_person("Gita Rao", Some("gita@example.com"), "manual");
    stockroom.add_hardware("Ana's MacBook", &json!({"remarks": "bought used", "lid_colour": "silver"}));
    let lobby = stockroom.add_hardware("Lobby <2> & more", &json!({}));
    stockroom.hand_out(lobby, gita);
    for number in 4..4 + MORE {
        stockroom.add_hardware(&other(number).1, &json!({}));
    }
    stockroom
}

fn only(service: &Served<Stockroom>, name: &str) -> Result<Value> {
    service.with(|stockroom| {
        let named = stockroom.named(name);
        ensure!(named.len() == 1, "there are {} of {name}", named.len());
        named.first().map(|item| (*item).clone()).context("none")
    })
}

#[tokio::test]
async fn stockroom_is_kept_in_step_with_a_profile_alone() -> Result<()> {
    let service = Served::start(filled()).await?;
    let kandji = kandji().await?;
    let integration = integration(&kandji, &service.url("/api/v1"), "stockroom-token-7f3a", &WORDS);
    let mut pipeline = planned("stockroom", &integration).await?;
    ensure!(service.with(|stockroom| stockroom.writes) == 0, "a plan writes nothing");

    applied(&mut pipeline, "stockroom", &integration).await?;
    is_in_step(&pipeline).await?;
    let ana = only(&service, "Ana's MacBook")?;
    let values = json!({
        "remarks": "bought used", "lid_colour": "silver", "serial_no": "C02ANA01", "asset_tag": 12.5,
        "enrolled_on": "2024-03-14", "managed": true, "platform": "Mac",
    });
    ensure!(ana["custom_values"] == values && ana["checked_out_to"]["full_name"] == "Ana Horvat", "{ana}");
    ensure!(ana["site"]["name"] == "Head office", "{ana}");
    let lobby = only(&service, "Lobby <2> & more")?;
    ensure!(lobby["checked_out_to"]["email_address"] == "ben@example.com", "{lobby}");
    let spare = only(&service, "Spare iPad")?;
    ensure!(spare["category"]["name"] == "Tablets" && spare["checked_out_to"].is_null(), "{spare}");
    ensure!(spare["custom_values"]["platform"] == "iPad", "{spare}");
    for number in 4..4 + MORE {
        let (serial, name) = other(number);
        ensure!(only(&service, &name)?["custom_values"]["serial_no"] == serial, "{name}");
    }
    let people = service.with(|stockroom| stockroom.people.len());
    ensure!(people == 4, "Ben alone is new, and there are {people}");

    change(&kandji)?;
    pipeline.run().await?;
    let ana = only(&service, "Ana's MacBook")?;
    ensure!(ana["checked_out_to"]["full_name"] == "Dana Reyes", "{ana}");
    ensure!(ana["custom_values"].get("asset_tag").is_none(), "{ana}");
    ensure!(only(&service, "Spare iPad")?["checked_out_to"]["full_name"] == "Ana Horvat");
    let before = service.with(|stockroom| stockroom.writes);
    pipeline.run().await?;
    is_in_step(&pipeline).await?;
    service.with(|stockroom| {
        ensure!(stockroom.writes == before, "an idle run wrote {} times", stockroom.writes - before);
        ensure!(stockroom.complaints.is_empty(), "{:?}", stockroom.complaints);
        Ok(())
    })
}
