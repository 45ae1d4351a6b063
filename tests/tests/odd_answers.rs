//! What the answer to a write means, when AMFJ answers oddly: no answer deletes, links stand without writes,
//! nothing is left half done, and nothing is created beside what AMFJ has already.

use std::collections::BTreeSet;

use amfj_sync_tests::harness::{IntegrationBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, newcomers};
use amfj_sync_tests::sim::amfj::Forms;
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

/// Everything is created, assigned and kept in step.
fn everything(services: &Services) -> IntegrationBuilder {
    services.everything("acme").set("sync.default_asset_type", "Laptop")
}

async fn start(integration: IntegrationBuilder) -> Result<Pipeline> {
    Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        config.set("retry.initial", "50ms").set("retry.max", "200ms").set("retry.give_up_after", "2s")
    })
    .await
}

/// Every device has one asset and every person one record.
fn ensure_once(services: &Services) -> Result<()> {
    let devices = services.kandji.devices();
    let assets = services.amfj.assets();
    ensure!(assets.len() == devices.len(), "{} assets for {} devices", assets.len(), devices.len());
    let serials: BTreeSet<String> = assets.iter().map(|a| a.fields["Serial Number"].to_string()).collect();
    ensure!(serials.len() == devices.len(), "an asset was created twice");
    let users = services.amfj.users();
    let emails: BTreeSet<_> = users.iter().filter_map(|user| user.email.clone()).collect();
    ensure!(emails.len() == users.len(), "a user record was created twice: {users:?}");
    Ok(())
}

/// P8, P4: 404 to every write of a first sync, for as long as each is tried, and then for a while.
#[tokio::test]
async fn p8_a_404_to_a_write_deletes_nothing_and_costs_no_link() -> Result<()> {
    let services = Services::plain(12, 71).await?;
    let known = services.amfj.assets().len();
    let integration =
        services.integration("acme").set("sync.create_devices", "always").field("Notes", "device_id");
    let pipeline = start(integration).await?;
    let gone = Rule::new(Action::Status { code: 404, body: None }).on("PATCH", "/assets/*");
    services.amfj.fault(gone.times(30));
    pipeline.run().await?;
    services.amfj.faults().clear();
    pipeline.run().await?;
    let assets = services.amfj.assets();
    ensure!(assets.len() == known, "{} assets instead of {known}", assets.len());
    let written = assets.iter().filter(|asset| asset.fields.contains_key("Notes")).count();
    ensure!(written == services.kandji.devices().len(), "{written} were written");
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// P26: creations, updates and check-outs whose answers have no body are read back, and done once.
#[tokio::test]
async fn a_success_without_a_body_is_read_back() -> Result<()> {
    let services = Services::start(&newcomers(10, 72)).await?;
    let pipeline = start(everything(&services)).await?;
    services.amfj.fault(Rule::new(Action::EmptyBody).on("POST", "*"));
    services.amfj.fault(Rule::new(Action::EmptyBody).on("PATCH", "*"));
    pipeline.run().await?;
    pipeline.run().await?;
    ensure_once(&services)?;
    let check_outs = services.amfj.writes().iter().filter(|write| write.path.ends_with("/check-out")).count();
    let owned = services.owned_devices().len();
    ensure!(check_outs == owned, "{check_outs} check-outs for {owned} devices with an owner");
    for device in services.kandji.devices() {
        services.kandji.set(
            &device.device_id,
            "serial_number",
            json!(format!("{}X", device.serial_number)),
        )?;
    }
    services.take_writes();
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.len() == services.kandji.devices().len(), "{writes:?}");
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

/// P4: what AMFJ refuses of the values costs no link; they fail alone, with one dead letter.
#[tokio::test]
async fn p4_a_link_stands_whatever_becomes_of_the_values() -> Result<()> {
    let services = Services::plain(8, 73).await?;
    let integration = services
        .integration("acme")
        .set("sync.create_users", "all")
        .set("sync.auto_checkout", true)
        .field("Notes", "device_id");
    let pipeline = start(integration).await?;
    let refusals = [
        (422, Some(r#"{"error": {"code": "invalid", "message": "no", "field": "Never sent"}}"#.to_owned())),
        (500, None),
        (409, None),
        (423, None),
    ];
    let devices = services.owned_devices();
    ensure!(devices.len() >= refusals.len(), "{} devices have an owner", devices.len());
    let count = refusals.len();
    for ((code, body), device) in refusals.into_iter().zip(&devices) {
        let asset = services.amfj.assets_named(&device.device_name).pop().unwrap().id;
        let rule = Rule::new(Action::Status { code, body }).on("PATCH", &format!("/assets/{asset}"));
        services.amfj.fault(rule);
    }
    pipeline.run().await?;
    for device in &devices {
        let asset = services.amfj.assets_named(&device.device_name).pop().unwrap();
        ensure!(asset.holder.is_some(), "{} was not checked out, so it has no link", device.device_name);
    }
    let dead = pipeline.dead_letters().await? as usize;
    ensure!(dead == count, "{dead} dead letters");
    pipeline.run().await?;
    let dead = pipeline.dead_letters().await? as usize;
    ensure!(dead == count, "{dead} dead letters after an idle run");
    Ok(())
}

/// P21: a check-out that AMFJ refuses after our check-in leaves the asset with whom it was taken from.
#[tokio::test]
async fn p21_a_refused_hand_over_goes_back() -> Result<()> {
    let services = Services::plain(6, 74).await?;
    let integration =
        services.integration("acme").set("sync.create_users", "all").set("sync.auto_checkout", true);
    let pipeline = start(integration).await?;
    pipeline.run().await?;
    let device = services.owned_devices().into_iter().next().unwrap();
    let asset = services.amfj.assets_named(&device.device_name).pop().unwrap();
    let before = asset.holder.clone();
    ensure!(before.is_some(), "nobody has it");
    services.kandji.give_to(&device.device_id, "Next Owner", "next@example.com")?;
    let path = format!("/assets/{}/check-out", asset.id);
    services.amfj.fault(Rule::new(Action::Status { code: 422, body: None }).on("POST", &path).times(1));
    pipeline.run().await?;
    let holder = services.amfj.asset(&asset.id).unwrap().holder;
    ensure!(holder == before, "it is with {holder:?} instead of {before:?}");
    ensure!(pipeline.dead_letters().await? == 1, "one dead letter");
    services.take_writes();
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty(), "it is tried again");
    ensure!(pipeline.dead_letters().await? == 1, "one dead letter, and no more");
    Ok(())
}

/// P26: carried out, and answered 502.
#[tokio::test]
async fn p26_a_check_out_whose_answer_was_lost_is_in_the_history() -> Result<()> {
    let services = Services::plain(6, 75).await?;
    let integration =
        services.integration("acme").set("sync.create_users", "all").set("sync.auto_checkout", true);
    let pipeline = start(integration).await?;
    services
        .amfj
        .fault(Rule::new(Action::StatusAfter { code: 502 }).on("POST", "/assets/*/check-out").times(3));
    pipeline.run().await?;
    let past = pipeline.said_as_json(&["history", "--since", "1h", "--json"]).await?;
    let given = |one: &&Value| !one["edits"]["Checked out to"].is_null();
    let given = past.as_array().into_iter().flatten().filter(given).count();
    let made = services.amfj.handovers().len();
    ensure!(given == made, "{given} of {made} check-outs are in the history: {past}");
    Ok(())
}

/// P15: a value that AMFJ takes and does not keep is a field problem, is not in the history, and is sent once.
#[tokio::test]
async fn p15_what_amfj_does_not_keep_is_neither_in_the_history_nor_sent_again() -> Result<()> {
    let services = Services::plain(6, 76).await?;
    let integration = services.integration("acme").field("Notes", "device_id").field("Model", "model");
    let pipeline = start(integration).await?;
    services.amfj.set_forms(Forms { ignores: BTreeSet::from(["Notes".to_owned()]), ..Forms::default() });
    pipeline.run().await?;
    services.take_writes();
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty(), "it is sent again");
    let past = pipeline.said_as_json(&["history", "--since", "1h", "--json"]).await?;
    ensure!(!past.to_string().contains("Notes\":{"), "it is said to be written: {past}");
    let status = pipeline.said_as_json(&["status", "--json"]).await?;
    ensure!(status.to_string().contains("field problem"), "{status}");
    Ok(())
}

/// P7: answers of creations are lost, and AMFJ stores texts in a form of its own: nothing is there twice.
#[tokio::test]
async fn p7_what_amfj_may_have_made_of_a_creation_is_never_made_again() -> Result<()> {
    let services = Services::start(&newcomers(8, 77)).await?;
    for (number, device) in services.kandji.devices().iter().enumerate() {
        services.kandji.rename(&device.device_id, &format!("R&D machine number {number}"))?;
        services.kandji.give_to(
            &device.device_id,
            &format!("Q&A {number}"),
            &format!("qa{number}@example.com"),
        )?;
    }
    services.amfj.set_forms(Forms { escapes: true, cuts_names: Some(24), ..Forms::default() });
    let pipeline = start(everything(&services)).await?;
    services.amfj.fault(Rule::new(Action::LoseAnswer).on("POST", "/assets").times(4));
    services.amfj.fault(Rule::new(Action::LoseAnswer).on("POST", "/users").times(4));
    for _ in 0..2 {
        pipeline.run().await?;
        ensure_at_most_once(&services)?;
    }
    Ok(())
}

fn ensure_at_most_once(services: &Services) -> Result<()> {
    let assets = services.amfj.assets();
    let serials: BTreeSet<String> = assets.iter().map(|a| a.fields["Serial Number"].to_string()).collect();
    ensure!(serials.len() == assets.len(), "an asset was created twice: {assets:?}");
    ensure!(assets.len() == services.kandji.devices().len(), "{} assets", assets.len());
    let users = services.amfj.users();
    let emails: BTreeSet<_> = users.iter().filter_map(|user| user.email.clone()).collect();
    ensure!(emails.len() == users.len(), "a user record was created twice: {users:?}");
    Ok(())
}

/// P7, P11: rows that a run's walk misses, because they moved while it was under way, are found before anything is
/// created in their place.
#[tokio::test]
async fn p7_a_row_that_the_list_misses_is_found_before_it_is_created_again() -> Result<()> {
    let services = Services::plain(6, 78).await?;
    let device = services.owned_devices().into_iter().next().unwrap();
    let asset = services.amfj.assets_named(&device.device_name).pop().unwrap();
    let email = device.email().unwrap_or_default().to_lowercase();
    if services.amfj.users_with_email(&email).is_empty() {
        services.amfj.add_user("Known Already", Some(&email), false)?;
    }
    let user = services.amfj.users_with_email(&email).pop().unwrap();
    let unlisted = BTreeSet::from([asset.id.clone(), user.id.clone()]);
    services.amfj.set_forms(Forms { unlisted, ..Forms::default() });
    let integration = services
        .integration("acme")
        .set("sync.default_asset_type", "Laptop")
        .set("sync.create_devices", "always")
        .set("sync.create_users", "all");
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| config).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    eventually(RUN_LIMIT, "changes in the queue", async || {
        ensure!(pipeline.waiting("acme", "apply").await? > 0);
        Ok(())
    })
    .await?;
    services.amfj.set_forms(Forms::default());
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;
    for _ in 0..2 {
        let (assets, users) =
            (services.amfj.assets_named(&device.device_name), services.amfj.users_with_email(&email));
        ensure!(assets.len() == 1, "{} assets", assets.len());
        ensure!(users.len() == 1, "{} records", users.len());
        pipeline.run().await?;
    }
    Ok(())
}

/// P10, P7: two integrations of one AMFJ site begin at the same time, with the same people and devices.
#[tokio::test]
async fn p10_two_first_syncs_of_one_site_make_one_record_a_person() -> Result<()> {
    let fleet = newcomers(8, 79);
    let (one, other) = (Services::start(&fleet).await?, Services::start(&fleet).await?);
    // Both write to the first site, which shows in lists late what was written.
    one.amfj.set_list_lag(std::time::Duration::from_millis(400));
    one.amfj.set_latency(std::time::Duration::from_millis(30));
    let both = Services { kandji: other.kandji.clone(), amfj: one.amfj.clone() };
    let settings = |services: &Services, id: &str| {
        let settings = services.integration(id).set("sync.create_users", "all");
        let settings = settings.set("sync.create_devices", "always").set("sync.default_asset_type", "Laptop");
        settings.field("Serial Number", "serial_number")
    };
    let integrations = vec![("alpha", settings(&one, "alpha")), ("beta", settings(&both, "beta"))];
    let pipeline =
        Pipeline::with(Workers { reconcilers: 1, writers: 2 }, integrations, |config| config).await?;
    pipeline.run().await?;
    pipeline.run().await?;
    let users = one.amfj.users();
    let emails: BTreeSet<_> = users.iter().filter_map(|user| user.email.clone()).collect();
    ensure!(
        !users.is_empty() && emails.len() == users.len(),
        "{} records, {} people",
        users.len(),
        emails.len()
    );
    let assets = one.amfj.assets();
    let serials: BTreeSet<String> = assets.iter().map(|a| a.fields["Serial Number"].to_string()).collect();
    let devices = one.kandji.devices().len();
    ensure!(
        assets.len() == devices && serials.len() == devices,
        "{} assets of {} serials for {devices} devices",
        assets.len(),
        serials.len()
    );
    Ok(())
}

/// P7: while an answer is awaited, somebody makes the very same by hand: no rule can tell which one is ours.
#[tokio::test]
async fn p7_several_records_that_look_like_an_interrupted_creation_are_left_to_a_person() -> Result<()> {
    let services = Services::start(&newcomers(1, 80)).await?;
    let integration = services
        .integration("acme")
        .set("sync.create_devices", "always")
        .set("sync.create_users", "never")
        .set("sync.default_asset_type", "Laptop")
        .field("Serial Number", "serial_number");
    let pipeline = start(integration).await?;
    let silence = Rule::new(Action::Silence { ms: 1_500, applied: true }).on("POST", "/assets");
    services.amfj.fault(silence.times(1));
    let device = services.kandji.devices().pop().unwrap();
    pipeline.fetch_all().await?;
    eventually(RUN_LIMIT, "the asset", async || {
        ensure!(services.amfj.assets().len() == 1, "it is not there yet");
        Ok(())
    })
    .await?;
    let twin = services.amfj.add_asset(&device.device_name, "Laptop")?;
    services.amfj.set_field(&twin, "Serial Number", json!(device.serial_number))?;
    pipeline.settle().await?;
    ensure!(services.amfj.assets().len() == 2, "{} assets", services.amfj.assets().len());
    let letters = pipeline.said(&["dead", "list", "--json"]).await?;
    ensure!(letters.contains("2 new assets look like it"), "{letters}");
    pipeline.run().await?;
    ensure!(services.amfj.assets().len() == 2, "one more was made in the next run");
    Ok(())
}
