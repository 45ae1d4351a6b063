//! Mass changes: what a mistake in Kandji, or another tenant's token, would do to AMFJ is held until a
//! person has looked (P23).

use amfj_sync_tests::harness::{IntegrationBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::kandji::NewDevice;
use anyhow::{Result, ensure};

fn settings(services: &Services) -> IntegrationBuilder {
    services.integration("acme").set("sync.create_users", "all").set("sync.auto_checkout", true)
}

/// Devices with an owner, as `(id, name, email)`.
fn owned(services: &Services) -> Vec<(String, String, String)> {
    let devices = services.kandji.devices().into_iter().filter_map(|device| {
        let user = &device.to_json()["user"];
        Some((
            device.device_id.clone(),
            user["name"].as_str()?.to_owned(),
            user["email"].as_str()?.to_owned(),
        ))
    });
    devices.collect()
}

fn assignments(writes: &[String]) -> usize {
    writes.iter().filter(|write| write.contains("/check-")).count()
}

/// A run that is held, and everything that follows from it; `fetcher run --once` tells of a hold only
/// if it comes before its end.
async fn held_run(pipeline: &Pipeline) -> Result<()> {
    let before = pipeline.runs_in_force().await?;
    pipeline.fetch(&[]).await?;
    pipeline.settle_after(&before).await
}

/// More hand-overs than `change_limit` are held, whole, and a later run within the limit ends the hold.
#[tokio::test]
async fn p23_too_many_hand_overs_are_held_and_a_later_run_ends_the_hold() -> Result<()> {
    let services = Services::plain(40, 21).await?;
    let pipeline = Pipeline::start(vec![("acme", settings(&services))]).await?;
    pipeline.run().await?;
    services.take_writes();
    let owned = owned(&services);
    ensure!(owned.len() > 12, "the fleet has too few owners");
    for (device, ..) in &owned[..12] {
        services.kandji.give_to(device, "Loan Pool", "pool@example.com")?;
    }
    held_run(&pipeline).await?;
    let writes = services.take_writes();
    ensure!(assignments(&writes) == 0, "hand-overs of a held run were made:\n{}", writes.join("\n"));
    let status = pipeline.reconcilers[0].status().await?;
    ensure!(status["integrations"]["acme"]["devices"]["held"] == 12, "{status}");
    for (device, name, email) in &owned[..12] {
        services.kandji.give_to(device, name, email)?;
    }
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(assignments(&writes) == 0, "nothing is left to hand over:\n{}", writes.join("\n"));
    for (device, ..) in &owned[..5] {
        services.kandji.give_to(device, "Loan Pool", "pool@example.com")?;
    }
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(assignments(&writes) == 10, "five hand-overs are within the limit:\n{}", writes.join("\n"));
    Ok(())
}

/// A person releases the held run: exactly what was held is made.
#[tokio::test]
async fn p23_a_released_run_goes_on() -> Result<()> {
    let services = Services::plain(40, 22).await?;
    let pipeline = Pipeline::start(vec![("acme", settings(&services))]).await?;
    pipeline.run().await?;
    services.take_writes();
    for (device, ..) in &owned(&services)[..8] {
        services.kandji.give_to(device, "Loan Pool", "pool@example.com")?;
    }
    held_run(&pipeline).await?;
    ensure!(assignments(&services.take_writes()) == 0, "more than five of forty at once");
    // The new holder has no record yet: what follows from its creation is held with it, and said.
    let plan = pipeline.said_as_json(&["plan", "--json", "--kind", "assign,create-user"]).await?;
    ensure!(plan[0]["totals"] == serde_json::json!({}), "nothing is made before the release: {plan}");
    ensure!(plan[0]["kept_back"] == serde_json::json!({"create-user": 1, "hand-over": 8}), "{plan}");
    let shown = pipeline.said(&["plan"]).await?;
    let shown = shown.split_whitespace().collect::<Vec<_>>().join(" ");
    ensure!(shown.contains("kept back: ") && shown.contains("8 hand-overs"), "{shown}");
    let released = pipeline.command(["release", "acme"]).finish(RUN_LIMIT).await?;
    ensure!(released.status.success(), "{}", released.stderr);
    let lines = released.stdout.lines().filter(|line| line.starts_with("  hand-over ")).count();
    ensure!(lines == 8, "{lines} of 8 hand-overs are listed:\n{}", released.stdout);
    eventually(RUN_LIMIT, "all hand-overs", async || {
        let pool = services.amfj.users_with_email("pool@example.com").pop().map(|user| user.id);
        let handed = services.amfj.assets().iter().filter(|asset| asset.holder == pool).count();
        ensure!(pool.is_some() && handed == 8, "{handed} of 8 are handed over");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    ensure!(assignments(&services.take_writes()) == 16);
    Ok(())
}

/// Held whole means: not one write comes of that run, also none that takes nothing from anybody; not if the reconcilers
/// are restarted meanwhile either. Released, all of it is made.
#[tokio::test]
async fn p23_not_one_write_comes_of_a_held_run() -> Result<()> {
    let services = Services::plain(40, 23).await?;
    let settings = settings(&services)
        .set("sync.create_devices", "always")
        .field("Serial Number", "serial_number")
        .field("OS Version", "os_version");
    let mut pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let assets = services.amfj.assets().len();
    for (device, ..) in &owned(&services)[..8] {
        services.kandji.give_to(device, "Loan Pool", "pool@example.com")?;
    }
    for device in services.kandji.devices() {
        services.kandji.set(&device.device_id, "os_version", "99.9".into())?;
    }
    services.kandji.add_device(NewDevice { name: "Newcomer".into(), ..NewDevice::default() })?;
    held_run(&pipeline).await?;
    let held = pipeline.reconcilers[0].status().await?;
    ensure!(held["integrations"]["acme"]["devices"]["held"] == 41, "{held}");
    pipeline.reconcilers.remove(0).kill9()?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    pipeline.settle().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "a held run was written:\n{}", writes.join("\n"));
    let plan = pipeline.command(["plan", "acme"]).finish(RUN_LIMIT).await?;
    ensure!(plan.stdout.contains("Kept back") && plan.stdout.contains("Newcomer"), "{}", plan.stdout);
    let released = pipeline.command(["release", "acme"]).finish(RUN_LIMIT).await?;
    ensure!(released.status.success(), "{}", released.stderr);
    eventually(RUN_LIMIT, "everything of the run", async || {
        let new = services.amfj.assets().len() - assets;
        let assets = services.amfj.assets();
        let current = assets.iter().filter(|asset| asset.fields.get("OS Version") == Some(&"99.9".into()));
        ensure!(new == 1 && current.count() >= 40, "{new} new assets");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    ensure!(assignments(&services.take_writes()) >= 16);
    Ok(())
}

/// After a run that must be held: its reason, and not one write.
async fn held_for(pipeline: &Pipeline, services: &Services, word: &str) -> Result<()> {
    held_run(pipeline).await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "a held run was written:\n{}", writes.join("\n"));
    let status = pipeline.reconcilers[0].status().await?;
    let own = &status["integrations"]["acme"];
    ensure!(own["run_held"] == true, "the run is not held: {own}");
    let plan = pipeline.said(&["plan", "acme"]).await?;
    ensure!(plan.contains(word), "the plan does not say {word:?}:\n{plan}");
    Ok(())
}

/// Another identity provider: everybody comes back with a new id and a new email, and would get a record beside the old one.
#[tokio::test]
async fn p23_new_records_for_everybody_are_held() -> Result<()> {
    let services = Services::plain(40, 24).await?;
    let settings = services.integration("acme").set("sync.create_users", "all");
    let pipeline = Pipeline::start(vec![("acme", settings)]).await?;
    pipeline.run().await?;
    services.take_writes();
    let records = services.amfj.users().len();
    let owned = owned(&services);
    for (device, name, email) in &owned {
        services.kandji.give_to(device, name, &format!("moved.{email}"))?;
    }
    held_for(&pipeline, &services, "new user record").await?;
    ensure!(services.amfj.users().len() == records);
    for (device, name, email) in &owned {
        services.kandji.give_to(device, name, email)?;
    }
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty(), "everybody is back: nothing is left to do");
    Ok(())
}

/// A mapping that is added later takes nothing from people before somebody has looked, and what it fills where nothing was
/// waits as well; released, all of it is written, and the next run knows the mapping.
#[tokio::test]
async fn p23_a_new_mapping_over_what_people_wrote_is_held() -> Result<()> {
    let services = Services::plain(40, 25).await?;
    let mut pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    for asset in services.amfj.assets().iter().take(8) {
        services.amfj.set_field(&asset.id, "Notes", "lent to the archive".into())?;
    }
    services.take_writes();
    let mapped = services.integration("acme").field("Notes", "os_version");
    pipeline.reconfigure(vec![("acme", mapped)]).await?;
    held_for(&pipeline, &services, "lose a value that is not blank").await?;
    pipeline.said(&["release", "acme"]).await?;
    eventually(RUN_LIMIT, "the new values", async || {
        let by_hand = "lent to the archive".into();
        let left =
            services.amfj.assets().iter().filter(|asset| asset.fields.get("Notes") == Some(&by_hand)).count();
        ensure!(left == 0, "{left} are left");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    services.take_writes();
    for device in services.kandji.devices() {
        services.kandji.set(&device.device_id, "os_version", "99.9".into())?;
    }
    pipeline.run().await?;
    ensure!(services.take_writes().len() == 40, "the mapping is known: its values follow");
    Ok(())
}

/// A first sync that would take many assets from people is held whole; released, it is made, and it was a first sync.
#[tokio::test]
async fn p23_taking_over_in_the_first_sync_has_a_limit_of_its_own() -> Result<()> {
    let services = Services::plain(40, 26).await?;
    let former = services.amfj.add_user("Former Owner", None, false)?;
    for asset in services.amfj.assets().iter().take(12) {
        services.amfj.check_out(&asset.id, &former)?;
    }
    services.take_writes();
    let mut pipeline = Pipeline::start(vec![("acme", settings(&services))]).await?;
    held_for(&pipeline, &services, "first_take_over_limit").await?;
    // A later run is a first sync again, and held again.
    held_for(&pipeline, &services, "first_take_over_limit").await?;
    let bold = settings(&services).set("sync.first_take_over_limit", "100%");
    pipeline.reconfigure(vec![("acme", bold)]).await?;
    pipeline.run().await?;
    let had = services.amfj.assets().iter().filter(|asset| asset.holder.as_deref() == Some(&former)).count();
    ensure!(had == 0, "{had} are still with their former owner");
    services.take_writes();
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty(), "the first sync is over");
    Ok(())
}
