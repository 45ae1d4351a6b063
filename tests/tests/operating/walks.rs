//! The walks of `docs/walks.md`: from the commands alone, why each device is in its state and what to do.

mod cases;
mod example;
mod page;
mod questions;

use std::time::Duration;

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::kandji::{NewDevice, NewOwner};
use anyhow::{Context as _, Result, bail, ensure};
use serde_json::json;

use self::page::Walk;
use crate::calling::{empty, ensure_says, said};

const LIMIT: Duration = Duration::from_mins(2);

/// Enrols a device whose ids are the same in every walk.
fn enrol(services: &Services, id: &str, name: &str, serial: &str, owner: Option<NewOwner>) -> Result<()> {
    let new = NewDevice {
        name: name.to_owned(),
        id: Some(id.to_owned()),
        serial: Some(serial.to_owned()),
        platform: Some("Mac".to_owned()),
        model: Some("MacBook Air (13-inch, M3)".to_owned()),
        owner,
        ..NewDevice::default()
    };
    services.kandji.add_device(new)?;
    services.kandji.set(id, "asset_tag", json!(""))?;
    Ok(())
}

fn person(id: &str, name: &str, email: &str) -> NewOwner {
    NewOwner { name: name.to_owned(), email: Some(email.to_owned()), id: Some(json!(id)), is_archived: false }
}

/// Calls a command as a person would, and notes it in the walk.
async fn call(walk: &mut Walk, pipeline: &Pipeline, command: &str) -> Result<()> {
    let text = output(pipeline, command).await?;
    walk.step(command, &text);
    Ok(())
}

/// Shows the status as it is when it says these words: what the workers do goes on beside.
async fn show_status(walk: &mut Walk, pipeline: &Pipeline, words: &[&str]) -> Result<()> {
    let command = "amfj-sync status";
    let text = eventually(RUN_LIMIT, "what the status is to say", async || {
        let text = output(pipeline, command).await?;
        ensure_says(&text, words)?;
        Ok(text)
    });
    walk.step(command, &text.await?);
    Ok(())
}

async fn output(pipeline: &Pipeline, command: &str) -> Result<String> {
    let mut words = words(command).into_iter();
    let launch = match words.next().as_deref() {
        Some("fetcher") => pipeline.call(Role::Fetcher).args(words),
        Some("amfj-sync") => pipeline.command(words),
        other => bail!("nobody types {other:?} in `{command}`"),
    };
    let done = launch.env("USER", "sam").finish(LIMIT).await?;
    ensure!(done.status.code() != Some(2), "`{command}`: {}", done.stderr);
    // On success the log is of no interest to whoever reads the page.
    Ok(if done.status.success() { done.stdout } else { last_words(&done.stdout, &done.stderr) })
}

/// What a command that fails leaves on the screen, without the lines of the log.
fn last_words(stdout: &str, stderr: &str) -> String {
    let errors: Vec<&str> = stderr.lines().filter(|line| !line.starts_with('{')).collect();
    format!("{stdout}{}", errors.join("\n"))
}

/// Words as a shell takes them; double quotes keep blanks.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// A fleet full of trouble: each device is there for one reason.
fn trouble(services: &Services) -> Result<()> {
    let amfj = &services.amfj;
    let asset = |name: &str, serial: Option<&str>| -> Result<String> {
        let id = amfj.add_asset(name, "Laptop")?;
        if let Some(serial) = serial {
            amfj.set_field(&id, "Serial Number", json!(serial))?;
        }
        Ok(id)
    };
    let ana = person("k-ana", "Ana Horvat", "ana@example.com");
    enrol(services, "d01", "Ana's MacBook", "C02ANA01", Some(ana))?;
    asset("Ana's MacBook", Some("C02ANA01"))?;
    amfj.add_user("Ana Horvat", Some("ana@example.com"), true)?;
    // Two devices of a name, and one asset.
    enrol(services, "d02", "Lobby", "DMPL0001", None)?;
    enrol(services, "d03", "Lobby", "DMPL0002", None)?;
    asset("Lobby", None)?;
    // Two assets of a name.
    enrol(services, "d04", "Conference Room", "C02CONF1", None)?;
    asset("Conference Room", None)?;
    asset("Conference Room", None)?;
    enrol(services, "d05", "Jürgen's iMac", "C02JUERG", None)?;
    // Two user records of an email.
    let ben = person("k-ben", "Ben Carter", "ben@example.com");
    enrol(services, "d06", "Ben's MacBook", "C02BEN01", Some(ben))?;
    asset("Ben's MacBook", Some("C02BEN01"))?;
    amfj.add_user("Ben Carter", Some("ben@example.com"), true)?;
    amfj.add_user("Carter, Ben (old)", Some("ben@example.com"), false)?;
    // Two people of a name, and one record of that name without email.
    for (device, kandji, email) in
        [("d07", "k-chris1", "chris.lee@example.com"), ("d08", "k-chris2", "c.lee@example.com")]
    {
        let (name, serial) = (format!("Chris {device}"), format!("C02CHR{}", &device[1..]));
        enrol(services, device, &name, &serial, Some(person(kandji, "Chris Lee", email)))?;
        asset(&name, Some(&serial))?;
    }
    amfj.add_user("Chris Lee", None, true)?;
    // Archived, and unknown to AMFJ.
    let dana = NewOwner { is_archived: true, ..person("k-dana", "Dana Reyes", "dana@example.com") };
    enrol(services, "d09", "Dana's MacBook", "C02DANA1", Some(dana))?;
    asset("Dana's MacBook", Some("C02DANA1"))?;
    // The asset of that name is another device.
    enrol(services, "d10", "Front Desk", "C02DESK2", None)?;
    asset("Front Desk", Some("C02DESK1"))?;
    // A value that does not fit the field.
    enrol(services, "d11", "Erin's MacBook", "C02ERIN1", None)?;
    services.kandji.set("d11", "asset_tag", json!("ask Petra"))?;
    asset("Erin's MacBook", Some("C02ERIN1"))?;
    // Somebody else has it.
    let finn = person("k-finn", "Finn Olsen", "finn@example.com");
    enrol(services, "d12", "Finn's MacBook", "C02FINN1", Some(finn))?;
    let finns = asset("Finn's MacBook", Some("C02FINN1"))?;
    amfj.set_field(&finns, "Model", json!("MacBook Pro"))?;
    amfj.add_user("Finn Olsen", Some("finn@example.com"), true)?;
    amfj.add_user("Gita Rao", Some("gita@example.com"), true)?;
    amfj.check_out(&finns, "gita@example.com")?;
    Ok(())
}

#[tokio::test]
async fn a_first_sync_full_of_trouble() -> Result<()> {
    let services = empty().await?;
    trouble(&services)?;
    let integration = |mode: &str| {
        services
            .integration("acme")
            .set("mode", mode)
            .set("kandji.requests_per_hour", 6000)
            .set("sync.auto_checkout", true)
            .field("Serial Number", "serial_number")
            .field("Model", "model")
            .field("Warranty", "asset_tag")
            .user_field("Name", "user.name")
    };
    let mut pipeline = Pipeline::start(vec![("acme", integration("plan"))]).await?;
    let mut walk = Walk::of("A first sync full of trouble")?;
    let mut step = async |pipeline: &Pipeline, command: &str| call(&mut walk, pipeline, command).await;
    step(&pipeline, "amfj-sync check").await?;
    pipeline.run().await?;
    step(&pipeline, "amfj-sync plan").await?;
    for device in [
        "\"Conference Room\"",
        "d02",
        "C02JUERG",
        "\"Front Desk\"",
        "\"Ben's MacBook\"",
        "\"Chris d07\"",
        "\"Dana's MacBook\"",
        "\"Erin's MacBook\"",
    ] {
        step(&pipeline, &format!("amfj-sync explain {device}")).await?;
    }
    step(&pipeline, "amfj-sync link \"Conference Room\" asset-0000004").await?;
    step(&pipeline, "amfj-sync link Lobby asset-0000003").await?;
    step(&pipeline, "amfj-sync link d02 asset-0000003").await?;
    step(&pipeline, "amfj-sync link-user ben@example.com user-0000007").await?;
    step(&pipeline, "amfj-sync link-user c.lee@example.com user-0000011").await?;
    services.kandji.set("d11", "asset_tag", json!("https://warranty.example.com/C02ERIN1"))?;
    services.kandji.set("d09", "user", json!(""))?;
    services.amfj.add_asset("Jürgen's iMac", "Laptop")?;
    services.amfj.add_asset("Front Desk", "Laptop")?;
    pipeline.reconfigure(vec![("acme", integration("apply"))]).await?;
    pipeline.run().await?;
    step(&pipeline, "amfj-sync status").await?;
    step(&pipeline, "amfj-sync explain C02CONF1").await?;
    walk.end()
}

#[tokio::test]
async fn a_revoked_token() -> Result<()> {
    let services = empty().await?;
    for (id, name, serial) in [
        ("d01", "Ana's MacBook", "C02ANA01"),
        ("d02", "Ben's MacBook", "C02BEN01"),
        ("d03", "Lobby", "C02LOB01"),
    ] {
        enrol(&services, id, name, serial, None)?;
        services.amfj.add_asset(name, "Laptop")?;
    }
    // Both tokens stand in files, as a person would keep them.
    let folder = tempfile::tempdir()?;
    let token = |name: &str, token: &str| std::fs::write(folder.path().join(name), token);
    let in_file = |name: &str| -> toml::Table {
        [("file".to_owned(), folder.path().join(name).display().to_string().into())].into_iter().collect()
    };
    token("kandji", &services.kandji.token())?;
    token("amfj", &services.amfj.token())?;
    let integration = services
        .integration("acme")
        .set("kandji.requests_per_hour", 6000)
        .set("kandji.token", in_file("kandji"))
        .set("amfj.token", in_file("amfj"))
        .field("Model", "model");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    let mut walk = Walk::of("A revoked token")?;
    let status_says = async |words: &[&str]| {
        eventually(RUN_LIMIT, "what the status is to say", async || {
            ensure_says(&said(&pipeline, &["status"]).await?, words)
        })
        .await
    };
    status_says(&["leads acme", "partitions 0-1 of acme", "3 in sync"]).await?;

    services.kandji.rotate_token("a-second-token-of-kandji");
    call(&mut walk, &pipeline, "amfj-sync trigger acme").await?;
    show_status(&mut walk, &pipeline, &["failed", "tried again by itself"]).await?;
    call(&mut walk, &pipeline, "amfj-sync check").await?;
    token("kandji", "a-second-token-of-kandji")?;
    status_says(&["read in", "in 59 min"]).await?;

    services.kandji.set("d01", "model", json!("MacBook Pro (14-inch, M4)"))?;
    services.amfj.fault(Rule::new(Action::RevokeToken).on("PATCH", "/assets/*").times(1));
    call(&mut walk, &pipeline, "amfj-sync trigger acme").await?;
    let paused = ["PAUSED", "1 message waits", "nobody takes it", "read in", "probe", "in 59 min"];
    show_status(&mut walk, &pipeline, &paused).await?;
    call(&mut walk, &pipeline, "amfj-sync explain \"Ana's MacBook\"").await?;
    services.amfj.rotate_token("a-second-token-of-amfj");
    services.amfj.restore_token();
    token("amfj", "a-second-token-of-amfj")?;
    status_says(&["takes changes", "3 in sync"]).await?;
    call(&mut walk, &pipeline, "amfj-sync history C02ANA01").await.context("the history")?;
    ensure!(fetcher.terminate().await?.success());
    walk.end()
}
