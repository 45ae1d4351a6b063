//! One person, one user record (P10, P11).

use std::time::Duration;

use amfj_sync_tests::harness::Role;
use amfj_sync_tests::pipeline::{Pipeline, Services, Workers};
use amfj_sync_tests::sim::kandji::{Mutation, NewOwner};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::support::{
    armed_writer, decided, everything, fetch, newcomers, queued, run_to_the_end, sent, waits_at,
};

const ID: &str = "5c1f0000-0000-4000-8000-000000000007";

fn owner(name: &str, email: &str) -> NewOwner {
    NewOwner { name: name.into(), email: Some(email.into()), id: Some(json!(ID)), is_archived: false }
}

/// One device whose owner is the person this is about.
async fn one_person() -> Result<(Services, String)> {
    let services = Services::start(&newcomers(1, 71)).await?;
    let device = services.kandji.devices().first().context("one device")?.device_id.clone();
    rename(&services, &device, "Robin Roe", "robin@example.com")?;
    Ok((services, device))
}

fn rename(services: &Services, device: &str, name: &str, email: &str) -> Result<()> {
    let owner = Some(owner(name, email));
    services.kandji.apply(Mutation::SetOwner { device: device.to_owned(), owner }).map(|_: Value| ())
}

fn ensure_one_record(services: &Services, name: &str, email: &str) -> Result<()> {
    let users = services.amfj.users();
    ensure!(users.len() == 1, "one person has {} records: {users:?}", users.len());
    ensure!(users[0].name == name && users[0].email.as_deref() == Some(email), "{users:?}");
    let holders: Vec<_> = services.amfj.assets().into_iter().map(|asset| asset.holder).collect();
    ensure!(holders == [Some(users[0].id.clone())], "the asset is with {holders:?}");
    Ok(())
}

/// The writers are away while a run queues the creation of a record and the next run, after the person
/// was renamed, queues it again. Only the newer one is made.
#[tokio::test]
async fn two_runs_both_queue_the_creation_of_one_user() -> Result<()> {
    let (services, device) = one_person().await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 2).await?;
    rename(&services, &device, "Robin Roe-Smith", "robin@example.com")?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 3).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 2 }).await?;
    pipeline.settle().await?;
    ensure!(sent(&services, "POST", "/users") == 1, "the older creation was sent too");
    run_to_the_end(&pipeline, &services).await?;
    ensure_one_record(&services, "Robin Roe-Smith", "robin@example.com")
}

/// The same when the email was corrected, which gives the person another key: two creations under two
/// keys, in any order and at the same time, still make one record.
#[tokio::test]
async fn two_runs_queue_the_creation_of_one_user_under_two_emails() -> Result<()> {
    let (services, device) = one_person().await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    rename(&services, &device, "Robin Roe", "robin.roe@example.com")?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 3).await?;
    services.amfj.set_latency(Duration::from_millis(200));
    pipeline.spawn(Workers { reconcilers: 0, writers: 2 }).await?;
    pipeline.settle().await?;
    services.amfj.set_latency(Duration::ZERO);
    ensure!(sent(&services, "POST", "/users") == 1, "both creations were sent");
    run_to_the_end(&pipeline, &services).await?;
    ensure_one_record(&services, "Robin Roe", "robin.roe@example.com")
}

/// The same when the first creation has begun: a writer waits just before its request while the second
/// is decided and comes to its turn, at another writer.
#[tokio::test]
async fn a_second_creation_of_one_user_waits_for_the_first_that_has_begun() -> Result<()> {
    let (services, device) = one_person().await?;
    let mut pipeline = Pipeline::idle(vec![("acme", everything(&services))], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 2).await?;
    // Both of its changes, asset and record, wait; the settling time is 2.5 seconds.
    let first = armed_writer(&mut pipeline, "writer.turn=wait:6s").await?;
    waits_at(&pipeline.writers[first], "writer.turn").await?;
    rename(&services, &device, "Robin Roe", "robin.roe@example.com")?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    super::support::join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    // None is right too: the first is not made if the second run says in time that nobody has that email
    // any more, and the second gave way to it. The next run makes the one.
    let users = services.amfj.users();
    ensure!(users.len() <= 1, "one person has {} records: {users:?}", users.len());
    run_to_the_end(&pipeline, &services).await?;
    ensure_one_record(&services, "Robin Roe", "robin.roe@example.com")
}
