//! P2, P8, P18, P30, P35: what a service may say while it is read, and what that costs: nothing but itself.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::disguise::Disguise;
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::SiteAsset;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

fn mapped() -> Settings {
    Settings { auto_checkout: true, ..Settings::default() }.field("Model", "model")
}

async fn pipeline(services: &Services, settings: &Settings) -> Result<Pipeline> {
    Pipeline::start(vec![("acme", settings.configure(services.integration("acme")))]).await
}

/// What `status` says was left out.
async fn left_out(pipeline: &Pipeline) -> Result<String> {
    let done = pipeline.command(["status", "--json"]).finish(RUN_LIMIT).await?;
    let status: Value = serde_json::from_str(&done.stdout).context(done.stderr)?;
    Ok(status["integrations"][0]["unusable"].to_string())
}

/// The assets of devices, by the device's name: what a first sync matches.
fn matched(services: &Services) -> Vec<(String, SiteAsset)> {
    let of = |device: amfj_sync_tests::sim::fleet::Device| match services
        .amfj
        .assets_named(&device.device_name)
        .as_slice()
    {
        [asset] => Some((device.device_id, asset.clone())),
        _ => None,
    };
    services.kandji.devices().into_iter().filter_map(of).collect()
}

/// A site and a tenant with a row of every odd kind: healthy ones are synced, odd ones named, and after that nothing is
/// written any more.
#[tokio::test]
async fn p30_odd_rows_on_both_sides_stop_nothing() -> Result<()> {
    let services = Services::plain(60, 21).await?;
    let assets = matched(&services);
    ensure!(assets.len() > 10, "{} assets match", assets.len());
    let id = |at: usize| assets[at].1.id.clone();
    let odd = json!({"name": null, "fields": null, "created_at": "2026-01-01T00:00:00", "location": "HQ"});
    services.amfj.disguise(&id(0), Disguise::Members(odd));
    services.amfj.disguise(&id(1), Disguise::Members(json!({"id": null})));
    services.amfj.disguise(&id(2), Disguise::Raw(b"[\"no asset\"]".to_vec()));
    let raw = format!("{{\"id\":\"{}\",\"name\":\"\\ud800 \u{1}\",\"asset_type\":7}}", id(3));
    services.amfj.disguise(&id(3), Disguise::Raw([raw.as_bytes(), b" "].concat()));
    let users = services.amfj.users();
    services.amfj.disguise(&users[0].id, Disguise::Members(json!({"name": 5, "email": {}, "source": null})));
    let device = |at: usize| assets[at].0.clone();
    services.kandji.disguise(&device(4), Disguise::Members(json!({"device_id": null})));
    services.kandji.disguise(&device(5), Disguise::Raw(b"null".to_vec()));
    let odd = json!({"device_name": {"en": "x"}, "tags": 5, "last_check_in": [], "serial_number": 12});
    services.kandji.disguise(&device(6), Disguise::Members(odd));
    let raw = format!("{{\"device_id\":\"{}\",\"device_name\":\"a\\ud800b\",\"user\":\"\"}}", device(7));
    services.kandji.disguise(&device(7), Disguise::Raw(raw.into_bytes()));
    let pipeline = pipeline(&services, &mapped()).await?;
    pipeline.run().await?;
    for (device, asset) in &assets[8..] {
        let now = services.amfj.asset(&asset.id).context("an asset is gone")?;
        let model = services.kandji.device(device).context("a device is gone")?.to_json()["model"].clone();
        ensure!(now.fields.get("Model") == Some(&model), "{device}: {:?}", now.fields);
    }
    let said = left_out(&pipeline).await?;
    for name in
        [&id(0), &id(3), &users[0].id, &device(6), &device(7), &assets[1].1.name, &"no device_id".to_owned()]
    {
        ensure!(said.contains(name.as_str()), "{name} is not in {said}");
    }
    ensure!(pipeline.dead_letters().await? == 0);
    pipeline.run().await?;
    services.take_writes();
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "P3: {writes:?}");
    Ok(())
}

/// Where many rows are odd, the list is not what it is taken for.
#[tokio::test]
async fn p30_a_list_of_odd_rows_fails_the_run_and_says_so() -> Result<()> {
    let services = Services::plain(40, 22).await?;
    let pipeline = pipeline(&services, &mapped()).await?;
    for asset in services.amfj.assets().iter().take(20) {
        services.amfj.disguise(&asset.id, Disguise::Members(json!({"id": null})));
    }
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.code() == Some(1) && done.stderr.contains("20 of "), "{done:?}");
    ensure!(services.amfj.write_count() == 0);
    Ok(())
}

#[tokio::test]
async fn p20_p30_a_holder_who_cannot_be_read_is_not_nobody() -> Result<()> {
    let services = Services::plain(20, 23).await?;
    let pipeline = pipeline(&services, &mapped()).await?;
    pipeline.run().await?;
    let assets = matched(&services);
    let (device, asset) = assets
        .iter()
        .find(|(_, asset)| services.amfj.asset(&asset.id).is_some_and(|asset| asset.holder.is_some()))
        .context("nothing is checked out")?;
    services.amfj.disguise(&asset.id, Disguise::Members(json!({"checked_out_to": {"name": "Sam"}})));
    services.kandji.give_to(device, "Nova Newcomer", "nova.newcomer@example.com")?;
    let before = services.amfj.handovers().len();
    pipeline.run().await?;
    pipeline.run().await?;
    ensure!(services.amfj.handovers().len() == before, "{:?}", services.amfj.handovers().last());
    let done = pipeline.command(["explain", device]).finish(RUN_LIMIT).await?;
    ensure!(done.stdout.contains("cannot be read"), "{}", done.stdout);
    services.amfj.disguise(&asset.id, None);
    pipeline.run().await?;
    let holder = services.amfj.asset(&asset.id).and_then(|asset| asset.holder);
    let nova = services.amfj.users_with_email("nova.newcomer@example.com");
    ensure!(holder.is_some() && holder.as_ref() == nova.first().map(|user| &user.id), "{holder:?} {nova:?}");
    Ok(())
}

/// No answer but AMFJ's own says that an asset is gone: its link stays, nothing fails, and the report names it.
#[tokio::test]
async fn p8_an_asset_that_cannot_be_read_by_id_is_not_gone() -> Result<()> {
    let services = Services::plain(20, 24).await?;
    let settings = Settings { create_devices: CreateDevices::Always, ..mapped() };
    let pipeline = pipeline(&services, &settings).await?;
    pipeline.run().await?;
    services.take_writes();
    let assets = matched(&services);
    let html = Some("<html><title>no such page</title></html>".to_owned());
    let odd = [
        Action::Status { code: 403, body: None },
        Action::Status { code: 404, body: html.clone() },
        Action::Status { code: 410, body: html },
        Action::Status { code: 404, body: Some(String::new()) },
        Action::EmptyBody,
        Action::Status { code: 200, body: Some("[1]".to_owned()) },
        Action::Status { code: 451, body: None },
        // Another asset in place of the one that was asked for.
        Action::Status { code: 200, body: Some(json!({ "id": "another", "name": "Another" }).to_string()) },
    ];
    for ((_, asset), action) in assets.iter().zip(&odd) {
        services.amfj.disguise(&asset.id, Disguise::Hidden);
        services.amfj.fault(Rule::new(action.clone()).on("GET", &format!("/assets/{}", asset.id)));
    }
    pipeline.run().await?;
    let said = left_out(&pipeline).await?;
    for (_, asset) in assets.iter().take(odd.len()) {
        ensure!(said.contains(&asset.id), "{} is not in {said}", asset.id);
    }
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "{writes:?}");
    services.amfj.faults().clear();
    let gone = Action::Status {
        code: 410,
        body: Some(r#"{"error":{"code":"gone","message":"deleted"}}"#.to_owned()),
    };
    services.amfj.fault(Rule::new(gone).on("GET", &format!("/assets/{}", assets[0].1.id)));
    pipeline.run().await?;
    let created = services
        .amfj
        .writes()
        .iter()
        .filter(|write| write.method == "POST" && write.path == "/v1/assets")
        .count();
    ensure!(created == 1, "P7, P8: {:?}", services.take_writes());
    Ok(())
}

#[tokio::test]
async fn p18_what_nothing_needs_or_is_missing_now_stops_nothing_else() -> Result<()> {
    let services = Services::plain(20, 25).await?;
    let location = services.amfj.site().locations.first().context("no location")?.name.clone();
    let settings =
        Settings { create_devices: CreateDevices::Always, default_location: Some(location), ..mapped() };
    services.amfj.fault(Rule::new(Action::Status { code: 404, body: None }).on("GET", "/user-fields"));
    let pipeline = pipeline(&services, &settings).await?;
    pipeline.run().await?;
    ensure!(left_out(&pipeline).await?.contains("list of user fields"));
    let none = || Action::Status { code: 200, body: Some(r#"{"results":[]}"#.to_owned()) };
    services.amfj.fault(Rule::new(none()).on("GET", "/locations"));
    services.amfj.fault(Rule::new(none()).on("GET", "/asset-types"));
    services.amfj.fault(Rule::new(none()).on("GET", "/users"));
    services.take_writes();
    let newcomer: amfj_sync_tests::sim::kandji::NewDevice =
        serde_json::from_value(json!({"name": "Brand New Mac", "serial": "BRANDNEW1"}))?;
    services.kandji.add_device(newcomer)?;
    for _ in 0..2 {
        pipeline.run().await?;
        let said = left_out(&pipeline).await?;
        for missing in ["sync.default_location", "list of asset types", "list of user records"] {
            ensure!(said.contains(missing), "{missing} is not in {said}");
        }
    }
    let made = services.amfj.assets_named("Brand New Mac");
    ensure!(made.len() == 1 && made[0].location_id.is_none(), "{made:?}");
    services.amfj.faults().clear();
    pipeline.run().await?;
    ensure!(left_out(&pipeline).await? == r#"{"count":0}"#, "{}", left_out(&pipeline).await?);
    Ok(())
}

/// Runs that fail half-way through either side cost the state stream next to nothing, whatever the fleet.
#[tokio::test]
async fn p2_ten_failing_runs_say_their_reason_and_little_else() -> Result<()> {
    let services = Services::plain(640, 26).await?;
    let integration = mapped().configure(services.integration("acme"));
    let workers = Workers::default();
    let pipeline = Pipeline::with(workers, vec![("acme", integration)], |config| {
        config.set("timing.run_retry_initial", "20ms").set("timing.run_retry_max", "40ms")
    })
    .await?;
    let refused =
        || Action::Status { code: 403, body: Some(format!("{{\"error\":\"{}\"}}", "no ".repeat(9_000))) };
    let state = format!("{}.acme.state", pipeline.broker().prefix());
    let mut told = 0;
    for kandji in [false, true] {
        let service = if kandji { &*services.kandji } else { &*services.amfj };
        let fault = Rule::new(refused());
        let fault = if kandji {
            fault.on("GET", "/devices").with_query("offset=600")
        } else {
            fault.on("GET", "/users")
        };
        let rule = service.fault(fault);
        let fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
        let failed = async || -> Result<u64> {
            let page = fetcher.metrics().await?;
            let counted = page.samples().iter().filter(|sample| {
                sample.name == "amfj_sync_runs_total" && sample.labels.values().any(|label| label == "failed")
            });
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
            Ok(counted.map(|sample| sample.value as u64).sum())
        };
        eventually(RUN_LIMIT, "ten failed runs", async || {
            let failed = failed().await?;
            ensure!(failed >= 10, "{failed} runs have failed");
            Ok(())
        })
        .await?;
        let runs = failed().await?.max(10);
        fetcher.terminate().await?;
        service.faults().remove(rule);
        told += runs;
        // A stream that is slow to begin looks short: all reasons have to be in what is measured.
        let bytes = eventually(RUN_LIMIT, "the reasons in the stream", async || {
            let said = pipeline.everything_in(&state).await?;
            let reasons = said.matches("run_failed").count() as u64;
            ensure!(reasons >= told, "{reasons} of {told} reasons");
            Ok(said.len() as u64)
        })
        .await?;
        // Both rounds are in there.
        ensure!(bytes * 10 < (runs + 10) * 100_000, "{runs} runs, {bytes} bytes");
    }
    ensure!(services.amfj.write_count() == 0);
    Ok(())
}

fn in_file(path: &std::path::Path) -> toml::Value {
    let file = toml::Value::from(path.display().to_string());
    toml::Value::Table(toml::Table::from_iter([("file".to_owned(), file)]))
}

/// A token that is replaced in its file is used by workers that run, for both services.
#[tokio::test]
async fn p35_a_token_can_be_replaced_in_its_file() -> Result<()> {
    let services = Services::plain(12, 27).await?;
    let folder = tempfile::tempdir()?;
    let (kandji, amfj) = (folder.path().join("kandji"), folder.path().join("amfj"));
    std::fs::write(&kandji, services.kandji.token())?;
    std::fs::write(&amfj, services.amfj.token())?;
    let integration = mapped()
        .configure(services.integration("acme"))
        .set("kandji.token", in_file(&kandji))
        .set("amfj.token", in_file(&amfj))
        .set("interval", "1s");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let _fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    let (device, asset) = matched(&services).into_iter().next().context("nothing matches")?;
    let shows = async |model: &str| -> Result<()> {
        eventually(RUN_LIMIT, "the model in AMFJ", async || {
            let fields = services.amfj.asset(&asset.id).map(|asset| asset.fields).unwrap_or_default();
            ensure!(fields.get("Model") == Some(&json!(model)), "{fields:?}");
            Ok(())
        })
        .await
    };
    services.kandji.set(&device, "model", json!("Model One"))?;
    shows("Model One").await?;
    services.kandji.rotate_token("the-second-kandji-token");
    services.amfj.rotate_token("the-second-amfj-token");
    // Empty for a moment, as files are that are written anew.
    std::fs::write(&kandji, "")?;
    tokio::time::sleep(Duration::from_millis(300)).await;
    std::fs::write(&kandji, "the-second-kandji-token\n")?;
    std::fs::write(&amfj, "the-second-amfj-token\n")?;
    services.kandji.set(&device, "model", json!("Model Two"))?;
    shows("Model Two").await?;
    let logs = pipeline.logs();
    ensure!(!logs.contains("second-kandji") && !logs.contains("second-amfj"), "P27: a token is in the logs");
    Ok(())
}
