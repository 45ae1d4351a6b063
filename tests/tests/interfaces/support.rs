//! The fleet that every interface gets, and the way from a description to a sync that is at rest.

use std::path::Path;

use amfj_sync_tests::harness::IntegrationBuilder;
use amfj_sync_tests::interfaces::fixture;
use amfj_sync_tests::pipeline::{Pipeline, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use amfj_sync_tests::sim::kandji::{KandjiOptions, KandjiSim, NewDevice, NewOwner};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// Macs beside those that are looked at, so that no list fits on a page.
pub(crate) const MORE: usize = 57;

/// What an interface calls things.
pub(crate) struct Words {
    pub(crate) laptop: &'static str,
    pub(crate) tablet: &'static str,
    pub(crate) location: &'static str,
    pub(crate) serial: &'static str,
    /// A number.
    pub(crate) tag: &'static str,
    /// A date.
    pub(crate) enrolled: &'static str,
    /// A yes or no.
    pub(crate) managed: &'static str,
    /// A choice.
    pub(crate) platform: &'static str,
}

/// The serial number and the name of one of the others.
pub(crate) fn other(number: usize) -> (String, String) {
    (format!("C02MAC{number:02}"), format!("Mac {number:02}"))
}

/// A tenant with a Mac of Ana's, one of Ben's whose name HTML would write otherwise, an iPad that nobody has, and many more.
pub(crate) async fn kandji() -> Result<KandjiSim> {
    let mut fleet = Fleet::generate(spec(0, 1));
    (fleet.people, fleet.site) = (Vec::new(), Site::empty());
    let options = KandjiOptions { per_second: None, per_hour: None, ..KandjiOptions::default() };
    let kandji = KandjiSim::start(&fleet, options).await?;
    let enrol = |id: &str, name: &str, serial: &str, platform: &str, owner: Option<NewOwner>| -> Result<()> {
        let new = NewDevice {
            name: name.to_owned(),
            id: Some(id.to_owned()),
            serial: Some(serial.to_owned()),
            platform: Some(platform.to_owned()),
            owner,
            ..NewDevice::default()
        };
        kandji.add_device(new)?;
        kandji.set(id, "asset_tag", json!(""))?;
        kandji.set(id, "first_enrollment", json!("2024-03-14 09:26:53.000000+00:00"))
    };
    enrol("d01", "Ana's MacBook", "C02ANA01", "Mac", Some(owner("Ana Horvat", "ana@example.com")))?;
    enrol("d02", "Lobby <2> & more", "C02LOB02", "Mac", Some(owner("Ben Carter", "ben@example.com")))?;
    enrol("d03", "Spare iPad", "DMPSPARE3", "iPad", None)?;
    kandji.set("d01", "asset_tag", json!("12.5"))?;
    for number in 4..4 + MORE {
        let (serial, name) = other(number);
        enrol(&format!("d{number:02}"), &name, &serial, "Mac", None)?;
    }
    Ok(kandji)
}

fn owner(name: &str, email: &str) -> NewOwner {
    NewOwner { name: name.to_owned(), email: Some(email.to_owned()), ..NewOwner::default() }
}

/// What happens in Kandji after the first sync: Ana's Mac goes to Dana and loses its tag, the iPad goes to Ana.
pub(crate) fn change(kandji: &KandjiSim) -> Result<()> {
    kandji.give_to("d01", "Dana Reyes", "dana@example.com")?;
    kandji.set("d01", "asset_tag", json!(""))?;
    kandji.give_to("d03", "Ana Horvat", "ana@example.com")
}

/// An integration that creates, assigns and fills whatever an interface can take.
pub(crate) fn integration(kandji: &KandjiSim, url: &str, secret: &str, words: &Words) -> IntegrationBuilder {
    IntegrationBuilder::new("acme", &kandji.url(), url)
        .tokens(&kandji.token(), secret)
        .set("kandji.requests_per_hour", 1_000_000)
        .set("amfj.requests_per_second", 2000)
        .set("sync.default_asset_type", words.laptop)
        .set("sync.default_location", words.location)
        .set("sync.create_devices", "always")
        .set("sync.auto_checkout", true)
        .set("sync.on_empty", "clear")
        .asset_type("iPad", words.tablet)
        .field(words.serial, "serial_number")
        .field(words.tag, "asset_tag")
        .field(words.enrolled, "first_enrollment")
        .field(words.managed, "mdm_enabled")
        .field(words.platform, "platform")
}

/// The way of the guide: the description is drafted from, where that can be; the finished profile is probed, checked, and
/// planned with. Nothing is written.
pub(crate) async fn planned(interface: &str, integration: &IntegrationBuilder) -> Result<Pipeline> {
    let integration = integration.clone().set("amfj.profile", path(&fixture(interface, "profile.toml"))?);
    let pipeline = Pipeline::start(vec![("acme", integration.set("mode", "plan"))]).await?;
    let description = fixture(interface, "openapi.json");
    if description.exists() {
        let draft = pipeline.said(&["profile", "draft", "--openapi", path(&description)?]).await?;
        keeps(&fixture(interface, "draft.toml"), &draft)?;
    }
    let shown = pipeline.said(&["profile", "show"]).await?;
    ensure!(shown.contains("name = \"assumed-v1\""), "{shown}");
    let probed = pipeline.said(&["probe", "acme"]).await?;
    ensure!(!probed.contains("!!"), "{probed}");
    let checked = pipeline.said(&["check", "acme"]).await?;
    ensure!(!checked.contains("!!"), "{checked}");
    pipeline.run().await?;
    let plan = pipeline.said(&["plan"]).await?;
    for words in ["Ana's MacBook", "Lobby <2> & more", "Spare iPad", "C02MAC04"] {
        ensure!(plan.contains(words), "{words} is not in the plan:\n{plan}");
    }
    Ok(pipeline)
}

/// The same integration, which writes from now on.
pub(crate) async fn applied(
    pipeline: &mut Pipeline,
    interface: &str,
    integration: &IntegrationBuilder,
) -> Result<()> {
    let integration = integration.clone().set("amfj.profile", path(&fixture(interface, "profile.toml"))?);
    pipeline.reconfigure(vec![("acme", integration)]).await?;
    pipeline.run().await
}

/// Nothing was given up, and every device is in step.
pub(crate) async fn is_in_step(pipeline: &Pipeline) -> Result<()> {
    ensure!(pipeline.dead_letters().await? == 0, "{}", pipeline.said(&["dead", "list"]).await?);
    let status = pipeline.said(&["status"]).await?;
    ensure!(status.contains(&format!("{} in sync", 3 + MORE)), "{status}");
    Ok(())
}

pub(crate) fn path(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

/// A file that says the same as a program; `UPDATE_INTERFACES=1` writes it.
fn keeps(file: &Path, said: &str) -> Result<()> {
    if std::env::var_os("UPDATE_INTERFACES").is_some() {
        std::fs::write(file, said)?;
    }
    let kept = std::fs::read_to_string(file).unwrap_or_default();
    ensure!(kept == said, "{} differs (UPDATE_INTERFACES=1 writes it):\n{said}", file.display());
    Ok(())
}
