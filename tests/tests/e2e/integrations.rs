//! P28, P4: two integrations in one configuration, and several workers at one site.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::model::{CreateDevices, Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Traps};
use amfj_sync_tests::sim::kandji::{Mutation, NewOwner};
use anyhow::{Result, ensure};

fn mapped() -> Settings {
    Settings { auto_checkout: true, ..Settings::default() }
        .field("Serial Number", "serial_number")
        .field("Model", "model")
}

fn differences(
    services: &Services,
    model: &mut Model,
    settings: &Settings,
    site: &amfj_sync_tests::sim::fleet::Site,
) -> Result<()> {
    let prediction = model.run(settings, &services.content(), site);
    model.agree(&prediction, &services.amfj.site()).map_err(anyhow::Error::msg)
}

#[tokio::test]
async fn p28_a_revoked_amfj_token_delays_no_other_and_loses_nothing() -> Result<()> {
    let (broken, healthy) = (Services::plain(40, 1).await?, Services::plain(40, 2).await?);
    let (before, other_before) = (broken.amfj.site(), healthy.amfj.site());
    let settings = mapped();
    let integrations = vec![
        ("broken", settings.configure(broken.integration("broken"))),
        ("healthy", settings.configure(healthy.integration("healthy"))),
    ];
    let pipeline = Pipeline::start(integrations).await?;
    // Reading goes well; with the first write the token is gone.
    let rule = amfj_sync_tests::sim::faults::Action::RevokeToken;
    broken.amfj.fault(amfj_sync_tests::sim::faults::Rule::new(rule).on("PATCH", "/assets/*").times(1));
    let begin = Instant::now();
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    eventually(RUN_LIMIT, "the healthy integration to be done", async || {
        differences(&healthy, &mut Model::default(), &settings, &other_before)
    })
    .await?;
    let took = begin.elapsed();
    ensure!(took < Duration::from_secs(20), "the healthy one took {took:?}");
    eventually(RUN_LIMIT, "an open circuit", async || {
        let status = pipeline.writers[0].status().await?;
        let circuit = status["integrations"]["broken"]["circuit"].as_str().unwrap_or_default().to_owned();
        ensure!(circuit == "open", "the circuit is {circuit}");
        Ok(())
    })
    .await?;
    ensure!(pipeline.waiting("broken", "apply").await? > 0, "the changes do not wait in the queue");
    ensure!(pipeline.dead_letters().await? == 0, "an outage makes no dead letters");

    broken.amfj.restore_token();
    eventually(RUN_LIMIT, "the changes that waited", async || {
        differences(&broken, &mut Model::default(), &settings, &before)
    })
    .await?;
    ensure!(pipeline.dead_letters().await? == 0);
    pipeline.settle().await
}

#[tokio::test]
async fn p28_a_revoked_kandji_token_delays_no_other() -> Result<()> {
    let (broken, healthy) = (Services::plain(10, 1).await?, Services::plain(10, 2).await?);
    let (before, other_before) = (broken.amfj.site(), healthy.amfj.site());
    let settings = mapped();
    let integrations = vec![
        ("broken", settings.configure(broken.integration("broken"))),
        ("healthy", settings.configure(healthy.integration("healthy"))),
    ];
    let pipeline = Pipeline::start(integrations).await?;
    broken.kandji.revoke_token();
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.code() == Some(1), "{done:?}");
    ensure!(done.stderr.contains("broken") && done.stderr.contains("401"), "{}", done.stderr);
    eventually(RUN_LIMIT, "the healthy integration to be done", async || {
        differences(&healthy, &mut Model::default(), &settings, &other_before)
    })
    .await?;
    ensure!(broken.amfj.write_count() == 0);
    broken.kandji.restore_token();
    pipeline.run().await?;
    differences(&broken, &mut Model::default(), &settings, &before)
}

/// Two Kandji users of one email, and thirty devices of one owner.
#[tokio::test]
async fn p11_two_reconcilers_and_two_writers_create_nothing_twice() -> Result<()> {
    let mut fleet = Fleet::generate(FleetSpec { devices: 120, seed: 11, traps: Traps::None });
    // No record of anybody, no asset of anything: all has to be created.
    fleet.site.users.clear();
    fleet.site.assets.clear();
    let services = Services::start(&fleet).await?;
    for (position, id) in ["7", "22222222-0000-4000-8000-000000000002"].iter().enumerate() {
        let device = services.kandji.devices()[position].device_id.clone();
        let owner = NewOwner {
            name: "Twin".to_owned(),
            email: Some(["twin@example.com", "TWIN@example.com"][position].to_owned()),
            id: Some((*id).into()),
            is_archived: false,
        };
        services.kandji.apply(Mutation::SetOwner { device, owner: Some(owner) })?;
    }
    let settings = Settings { create_devices: CreateDevices::FirstSync, ..mapped() };
    let workers = Workers { reconcilers: 2, writers: 2 };
    let integration = settings.configure(services.integration("acme"));
    let pipeline = Pipeline::with(workers, vec![("acme", integration)], |config| config).await?;
    let before = services.amfj.site();
    let mut model = Model::default();
    pipeline.run().await?;
    let mut owners: BTreeMap<String, usize> = BTreeMap::new();
    for device in services.kandji.devices() {
        let email = device.user.person().and_then(|person| person.email.clone()).unwrap_or_default();
        *owners.entry(email.to_lowercase()).or_default() += 1;
    }
    ensure!(owners.values().any(|devices| *devices >= 28), "somebody has thirty devices: {owners:?}");
    for email in owners.keys() {
        let records = services.amfj.users_with_email(email);
        ensure!(records.len() == 1, "{email} has {} records", records.len());
    }
    ensure!(services.amfj.assets().len() == 120, "{} assets for 120 devices", services.amfj.assets().len());
    differences(&services, &mut model, &settings, &before)
}

/// P4: an asset is linked to one device, also across integrations.
#[tokio::test]
async fn p4_a_link_is_unique_in_a_site_also_across_integrations() -> Result<()> {
    let (first, second) = (Services::plain(5, 4).await?, Services::plain(5, 4).await?);
    let settings = Settings::default().field("Model", "model");
    // Both tenants have devices of the same names, and feed the first one's site.
    let shared = Services { kandji: second.kandji.clone(), amfj: first.amfj.clone() };
    for device in shared.kandji.devices() {
        shared.kandji.set(&device.device_id, "model", "Of the second tenant".into())?;
    }
    let integrations = vec![
        ("first", settings.configure(first.integration("first"))),
        ("second", settings.configure(shared.integration("second"))),
    ];
    let pipeline = Pipeline::start(integrations).await?;
    let done = pipeline.fetch(&["first"]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    let filled = || first.amfj.assets().iter().filter(|asset| asset.fields.contains_key("Model")).count();
    eventually(RUN_LIMIT, "the first integration", async || {
        ensure!(filled() == 5, "{} of 5", filled());
        Ok(())
    })
    .await?;
    first.amfj.clear_writes();
    pipeline.run().await?;
    let writes = first.take_writes();
    ensure!(!writes.iter().any(|write| write.contains("second tenant")), "{writes:?}");
    Ok(())
}
