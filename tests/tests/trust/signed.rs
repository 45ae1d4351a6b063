//! With a signing key: what others write is refused unread, and a key is replaced while workers run.

use std::collections::BTreeMap;

use amfj_sync_model::messages::{Action, AssetWrite, Edit, Fact, OperatorDecision, OperatorOrder};
use amfj_sync_tests::harness::{ConfigBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Attacker, env, letters};

const OLD: &str = "an old key that is long enough: 0123456789";
const NEW: &str = "the new key that comes after it: 0123456789";

fn with_keys(own: &'static str, others: &[&str]) -> impl FnOnce(ConfigBuilder) -> ConfigBuilder {
    let others: Vec<toml::Value> = others.iter().map(|name| env(name)).collect();
    move |config| {
        let config = config.set("broker.signing_key", env(own));
        config.set("broker.signing_keys_accepted", others)
    }
}

fn know_keys(pipeline: &mut Pipeline) {
    pipeline.config.environment.insert("OLD_KEY".to_owned(), OLD.to_owned());
    pipeline.config.environment.insert("NEW_KEY".to_owned(), NEW.to_owned());
}

async fn signed(services: &Services, own: &'static str, others: &[&str]) -> Result<Pipeline> {
    let integration = services.integration("acme").field("Notes", "model");
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], with_keys(own, others)).await?;
    know_keys(&mut pipeline);
    pipeline.spawn(Workers::default()).await?;
    Ok(pipeline)
}

async fn refused(pipeline: &Pipeline, reason: &str) -> Result<f64> {
    let labels = [("reason", reason)];
    let mut sum = 0.0;
    for worker in pipeline.writers.iter().chain(&pipeline.reconcilers) {
        sum += worker.metrics().await?.sum("amfj_sync_refused_messages_total", &labels);
    }
    Ok(sum)
}

/// A change that the configuration allows, a decision of a person, and a message moved from one partition to another.
#[tokio::test]
async fn what_is_not_signed_is_refused_unread() -> Result<()> {
    let services = Services::plain(4, 95).await?;
    let pipeline = signed(&services, "OLD_KEY", &[]).await?;
    pipeline.run().await?;
    ensure!(!services.take_writes().is_empty(), "nothing was done under the key");
    let mut attacker = Attacker::at(&pipeline).await?;
    let (mut device, mut asset) = (None, None);
    attacker.view.each_link(&mut |id, link| {
        (device, asset) = (Some(id), Some(link.asset));
        false
    });
    let (device, asset) = (device.unwrap(), asset.unwrap());
    let edit = Edit { old: Value::Null, new: json!("pwned") };
    let write = AssetWrite { fields: BTreeMap::from([("Notes".to_owned(), edit)]), ..AssetWrite::default() };
    let change = attacker.change(device.as_str(), Action::UpdateAsset { asset, write });
    attacker.publish_change(change).await?;
    let decision = OperatorDecision {
        by: "ceo@host".to_owned(),
        order: OperatorOrder::Unlink { device: device.clone() },
    };
    let unlink = Fact::OperatorDecided { token: Uuid::new_v4(), decision };
    attacker.publish_fact(Timestamp::now(), unlink).await?;

    let letter = letters(&pipeline, 1).await?.remove(0);
    let why = letter["reason"].as_str().unwrap_or_default();
    ensure!(why.contains("refused unread") && why.contains("signature"), "{letter}");
    eventually(RUN_LIMIT, "both to be counted", async || {
        let count = refused(&pipeline, "unsigned").await?;
        ensure!(count >= 3.0, "{count} were counted");
        Ok(())
    })
    .await?;
    // A replay would sign it.
    let replay = pipeline.command(["dead", "replay", "--all"]).finish(RUN_LIMIT).await?;
    ensure!(
        replay.status.code() == Some(1) && replay.stdout.contains("no right signature"),
        "{}",
        replay.stdout
    );
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "{}", writes.join("\n"));
    let status = pipeline.said_as_json(&["status", "--json"]).await?;
    ensure!(status["reports"].as_array().is_some_and(|reports| reports.len() == 2), "{status}");
    let state = format!("{}.acme.state", pipeline.broker().prefix());
    let everything = pipeline.everything_in(&state).await? + &pipeline.logs();
    ensure!(!everything.contains(OLD) && everything.contains("x-signature"), "P27");
    Ok(())
}

/// Old; old with new accepted; new with old accepted; new alone: nothing is lost, and the state is read anew at the end.
#[tokio::test]
async fn a_key_is_replaced_and_one_is_introduced() -> Result<()> {
    let services = Services::plain(3, 96).await?;
    let mut pipeline =
        Pipeline::start(vec![("acme", services.integration("acme").field("Serial Number", "serial_number"))])
            .await?;
    pipeline.run().await?;
    let unsigned = pipeline.view("acme").await?.count_links();
    for (round, (own, others)) in
        [("OLD_KEY", &[][..]), ("OLD_KEY", &["NEW_KEY"]), ("NEW_KEY", &["OLD_KEY"])].into_iter().enumerate()
    {
        pipeline.dismiss().await?;
        let path = pipeline.config.path.clone();
        let mut config: toml::Table = toml::from_str(&std::fs::read_to_string(&path)?)?;
        let broker = config["broker"].as_table_mut().unwrap();
        broker.insert("signing_key".to_owned(), env(own));
        broker.insert(
            "signing_keys_accepted".to_owned(),
            toml::Value::Array(others.iter().map(|name| env(name)).collect()),
        );
        std::fs::write(&path, toml::to_string(&config)?)?;
        know_keys(&mut pipeline);
        // Views that are read anew, from unsigned records and from those of both keys.
        std::fs::remove_dir_all(path.with_file_name("var")).ok();
        pipeline.spawn(Workers::default()).await?;
        let device = services.kandji.devices()[0].device_id.clone();
        services.kandji.set(&device, "serial_number", json!(format!("SERIAL{round}")))?;
        services.take_writes();
        pipeline.run().await?;
        let writes = services.take_writes();
        ensure!(writes.len() == 1 && writes[0].contains(&format!("SERIAL{round}")), "{own}: {writes:?}");
    }
    let links = pipeline.view("acme").await?.count_links();
    ensure!(links == unsigned && pipeline.dead_letters().await? == 0, "{links} of {unsigned} links");
    Ok(())
}
