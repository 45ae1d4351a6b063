//! The commands for people, on running workers and without any: plan, explain, status, and a person's
//! decisions.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_tests::harness::workers::Finished;
use amfj_sync_tests::harness::{IntegrationBuilder, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, spec};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::fleet::{Fleet, FleetSpec, Site, Traps};
use amfj_sync_tests::sim::kandji::{NewDevice, NewOwner};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(1);

/// An empty tenant and an empty site.
async fn empty() -> Result<Services> {
    let mut fleet = Fleet::generate(spec(0, 1));
    (fleet.people, fleet.site) = (Vec::new(), Site::empty());
    Services::start(&fleet).await
}

fn enrol(services: &Services, name: &str, owner: Option<(&str, &str)>) -> Result<String> {
    let owner = owner.map(|(name, email)| NewOwner {
        name: name.to_owned(),
        email: Some(email.to_owned()),
        ..NewOwner::default()
    });
    let new = NewDevice { name: name.to_owned(), owner, ..NewDevice::default() };
    Ok(services.kandji.add_device(new)?.device_id)
}

async fn call(pipeline: &Pipeline, arguments: &[&str]) -> Result<Finished> {
    pipeline.command(arguments).finish(LIMIT).await
}

/// What a command that must succeed prints.
async fn said(pipeline: &Pipeline, arguments: &[&str]) -> Result<String> {
    pipeline.said(arguments).await
}

async fn json_of(pipeline: &Pipeline, arguments: &[&str]) -> Result<Value> {
    pipeline.said_as_json(arguments).await
}

/// What a command that must be refused says.
async fn refused(pipeline: &Pipeline, arguments: &[&str]) -> Result<String> {
    let done = call(pipeline, arguments).await?;
    ensure!(done.status.code() == Some(1), "{arguments:?} ended with {}:\n{}", done.status, done.stdout);
    ensure!(done.stdout.is_empty(), "a refusal is no result: {}", done.stdout);
    Ok(done.stderr)
}

fn ensure_says(text: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
    Ok(())
}

/// A fleet with traps, and everything that may be written.
async fn trapped(mode: &str) -> Result<(Services, Pipeline)> {
    let fleet = Fleet::generate(FleetSpec { devices: 60, seed: 25, traps: Traps::Realistic });
    let services = Services::start(&fleet).await?;
    let pipeline = Pipeline::start(vec![("acme", all_of(&services, mode))]).await?;
    Ok((services, pipeline))
}

fn all_of(services: &Services, mode: &str) -> IntegrationBuilder {
    services
        .integration("acme")
        .field("Serial Number", "serial_number")
        .field("Model", "model")
        .field("Notes", "{{ model }}, {{ os_version }}")
        .set("sync.create_devices", "first-sync")
        .set("sync.auto_checkout", true)
        .set("mode", mode)
}

fn planned<'a>(plan: &'a Value, kinds: &[&str]) -> Vec<&'a Value> {
    let changes = plan[0]["changes"].as_array().map(Vec::as_slice).unwrap_or_default();
    changes.iter().filter(|change| kinds.contains(&change["kind"].as_str().unwrap_or_default())).collect()
}

fn new_values(change: &Value) -> BTreeMap<String, Value> {
    let edits = change["edits"].as_array().map(Vec::as_slice).unwrap_or_default();
    edits
        .iter()
        .map(|edit| (edit["field"].as_str().unwrap_or_default().to_owned(), edit["new"].clone()))
        .collect()
}

/// The writes that a plan announces, each as the simulator shows it: fields of existing assets, created
/// assets, created user records, and hand-overs.
fn announced(plan: &Value) -> Vec<String> {
    let mut writes = Vec::new();
    for change in planned(plan, &["link-asset", "update-asset"]) {
        let values = new_values(change);
        if !values.is_empty() {
            writes.push(format!("fields of {}: {}", change["asset"]["id"].as_str().unwrap(), json!(values)));
        }
    }
    for change in planned(plan, &["create-asset"]) {
        let mut values = new_values(change);
        values.remove("Asset type");
        writes.push(format!("asset {}: {}", change["asset"]["name"].as_str().unwrap(), json!(values)));
    }
    for change in planned(plan, &["create-user"]) {
        writes.push(format!(
            "record {} {}",
            change["record"]["name"].as_str().unwrap(),
            new_values(change).get("Email").cloned().unwrap_or_default()
        ));
    }
    for change in planned(plan, &["check-out", "hand-over", "check-in"]) {
        writes.push(format!("holder of {}: {}", change["asset"]["name"].as_str().unwrap(), change["to"]));
    }
    writes.sort();
    writes
}

/// What the site was really told, in the same words.
fn carried_out(services: &Services) -> Vec<String> {
    let mut writes: Vec<String> = services
        .amfj
        .writes()
        .iter()
        .map(|write| {
            let body = &write.body;
            let last = write.path.rsplit('/').next().unwrap_or_default();
            match (write.method.as_str(), last) {
                ("POST", "assets") => format!("asset {}: {}", body["name"].as_str().unwrap(), body["fields"]),
                ("POST", "users") => format!("record {} {}", body["name"].as_str().unwrap(), body["email"]),
                ("PATCH", id) if body.get("fields").is_some() => {
                    format!("fields of {id}: {}", body["fields"])
                }
                (_, id) => format!("{} {id} {body}", write.path),
            }
        })
        .collect();
    let handovers = services.amfj.handovers();
    let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
    for handover in handovers {
        last.insert(handover.asset_id, handover.to);
    }
    writes.retain(|write| !write.starts_with("/v1/assets/") || !write.contains("check"));
    writes.extend(last.into_iter().map(|(asset, to)| {
        let name = services.amfj.asset(&asset).unwrap().name;
        let holder = to.and_then(|id| services.amfj.user(&id)).map(|user| user.name);
        format!("holder of {name}: {}", json!(holder))
    }));
    writes.sort();
    writes
}

/// P25: plan makes no write, and apply does exactly what the plan said.
#[tokio::test]
async fn p25_apply_does_exactly_what_the_plan_said() -> Result<()> {
    let (services, mut pipeline) = trapped("plan").await?;
    let before = said(&pipeline, &["plan"]).await?;
    ensure_says(&before, &["nothing has been decided yet", "fetcher"])?;
    pipeline.run().await?;
    let file = pipeline.config.path.with_file_name("kept.json");
    let kept = said(&pipeline, &["plan", "acme", "--json", "--out", file.to_str().unwrap()]).await?;
    ensure_says(&kept, &["kept.json", "acme: 7 created, 47 linked"])?;
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(&file)?)?;
    ensure!(plan == json_of(&pipeline, &["plan", "--json"]).await?, "the same plan twice differs");
    let shown = said(&pipeline, &["plan"]).await?;
    ensure_says(
        &shown,
        &[
            "Assets to be created (7)",
            "same name (P5); serials agree",
            "Ambiguous",
            "(overwritten)",
            "from \"Former Owner 1\" to",
            "Devices without asset",
            "In total",
        ],
    )?;
    // An accent that is written apart takes no column of its own.
    let columns = |line: &str| line.chars().filter(|c| !('\u{300}'..='\u{36f}').contains(c)).count();
    let longest = shown.lines().max_by_key(|line| columns(line)).unwrap_or_default();
    ensure!(columns(longest) <= 80, "a line is longer than 80 columns: {longest}");
    ensure!(!shown.contains('\u{1b}'), "colours without a terminal");
    let writes = services.amfj.requests().into_iter().filter(|request| request.method != "GET").count();
    ensure!(writes == 0, "plan made {writes} writes");

    let announced = announced(&plan);
    ensure!(announced.len() > 90, "{} writes announced", announced.len());
    pipeline.reconfigure(vec![("acme", all_of(&services, "apply"))]).await?;
    pipeline.run().await?;
    let carried_out = carried_out(&services);
    let differences: Vec<String> = announced
        .iter()
        .filter(|one| !carried_out.contains(one))
        .map(|one| format!("planned, not done: {one}"))
        .chain(
            carried_out
                .iter()
                .filter(|one| !announced.contains(one))
                .map(|one| format!("done, not planned: {one}")),
        )
        .collect();
    ensure!(differences.is_empty() && announced.len() == carried_out.len(), "{}", differences.join("\n"));
    let after = json_of(&pipeline, &["plan", "--json"]).await?;
    ensure!(after[0]["changes"] == json!([]), "something is left to do: {}", after[0]["changes"]);
    Ok(())
}

/// A person's decisions stand above the rules, are refused where they cannot be, and need no worker.
#[tokio::test]
async fn a_person_links_and_unlinks_devices() -> Result<()> {
    let services = empty().await?;
    let twin = enrol(&services, "Twin", None)?;
    let other = enrol(&services, "Twin", None)?;
    let (one, two) =
        (services.amfj.add_asset("Twin", "Laptop")?, services.amfj.add_asset("Spare", "Laptop")?);
    let integration = services.integration("acme").field("Model", "model");
    let mut pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    ensure!(services.take_writes().is_empty(), "nothing is guessed");

    let ambiguous = refused(&pipeline, &["link", "twin", &one]).await?;
    ensure_says(&ambiguous, &["several fit device", &twin, &other])?;
    ensure_says(
        &refused(&pipeline, &["link", "Nobody's", &one]).await?,
        &["no device \"Nobody's\" is known"],
    )?;
    ensure_says(&refused(&pipeline, &["link", &twin, "no-such"]).await?, &["no asset \"no-such\" is known"])?;
    let explained = said(&pipeline, &["explain", &twin]).await?;
    ensure_says(&explained, &["ambiguous", &one, "to do", "amfj-sync link", "Considered and not chosen"])?;

    let linked = said(&pipeline, &["link", &twin, "spare"]).await?;
    ensure_says(&linked, &["is linked to asset \"Spare\"", "written to AMFJ"])?;
    pipeline.settle().await?;
    eventually(RUN_LIMIT, "the write after the link", async || {
        ensure!(services.amfj.asset(&two).unwrap().fields.contains_key("Model"));
        Ok(())
    })
    .await?;
    ensure_says(&refused(&pipeline, &["link", &other, &two]).await?, &["is linked to device", "unlink"])?;
    let explained = json_of(&pipeline, &["explain", &twin, "--json"]).await?;
    ensure!(explained["asset"]["id"] == json!(two) && explained["asset"]["rule"] == "person", "{explained}");
    ensure!(explained["state"] == "in_sync" && explained["last"][0]["kind"] == "update-asset", "{explained}");
    ensure!(explained["fields"][0]["finding"]["is"] == "same", "{explained}");

    // Without any worker a decision is kept all the same.
    pipeline.dismiss().await?;
    let unlinked = said(&pipeline, &["unlink", &twin]).await?;
    ensure_says(&unlinked, &["no longer linked to asset \"Spare\"", "No rule links it"])?;
    ensure_says(&said(&pipeline, &["link", &other, &two]).await?, &["as soon as a reconciler runs"])?;
    let explained = json_of(&pipeline, &["explain", &twin, "--json"]).await?;
    ensure!(
        explained["asset"] == Value::Null && explained["unlinked_by"]["by"].as_str().unwrap().contains('@')
    );
    let status = said(&pipeline, &["status"]).await?;
    ensure_says(
        &status,
        &["none, so nothing is decided", "none, so nothing is written", "dead letters  none"],
    )?;
    Ok(())
}

#[tokio::test]
async fn a_person_links_and_unlinks_users() -> Result<()> {
    let services = empty().await?;
    let device = enrol(&services, "Laptop of Ana", Some(("Ana Horvat", "ana@example.com")))?;
    let asset = services.amfj.add_asset("Laptop of Ana", "Laptop")?;
    let wanted = services.amfj.add_user("A. Horvat", Some("a.horvat@example.com"), false)?;
    let doubles = [
        services.amfj.add_user("Ana", Some("ana@example.com"), false)?,
        services.amfj.add_user("Ana again", Some("ana@example.com"), false)?,
    ];
    let integration = services.integration("acme").set("sync.auto_checkout", true);
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let explained = said(&pipeline, &["explain", &device]).await?;
    ensure_says(
        &explained,
        &["user problem", "amfj-sync link-user ana@example.com", &doubles[0], &doubles[1]],
    )?;
    ensure_says(
        &refused(&pipeline, &["link-user", "ana@example.com", "ana@example.com"]).await?,
        &["several fit user record", &doubles[0]],
    )?;
    ensure_says(&refused(&pipeline, &["link-user", "eve@example.com", &wanted]).await?, &["no Kandji user"])?;

    let linked = said(&pipeline, &["link-user", "ANA@example.com", "a.horvat@example.com"]).await?;
    ensure_says(&linked, &["\"A. Horvat\"", "from now on"])?;
    eventually(RUN_LIMIT, "the check-out", async || {
        ensure!(services.amfj.asset(&asset).unwrap().holder.as_ref() == Some(&wanted));
        Ok(())
    })
    .await?;
    let unlinked = said(&pipeline, &["unlink-user", "ana@example.com"]).await?;
    ensure_says(&unlinked, &["no longer linked to user record", "link-user ana@example.com RECORD"])?;
    let explained = json_of(&pipeline, &["explain", &device, "--json"]).await?;
    ensure!(explained["user"]["unlinked_by"]["by"].as_str().is_some(), "{explained}");
    ensure!(services.amfj.asset(&asset).unwrap().holder == Some(wanted), "unlinking takes nothing away");
    Ok(())
}

/// P5, P23: a held run is released by name only, and a rematch makes the next run a first sync.
#[tokio::test]
async fn p23_release_and_p5_rematch() -> Result<()> {
    let services = empty().await?;
    for number in 0..12 {
        let name = format!("Laptop {number}");
        enrol(&services, &name, None)?;
        services.amfj.add_asset(&name, "Laptop")?;
    }
    let pipeline =
        Pipeline::start(vec![("acme", services.integration("acme").field("Model", "model"))]).await?;
    ensure_says(&refused(&pipeline, &["release", "acme"]).await?, &["acme is not held"])?;
    pipeline.run().await?;
    let status = json_of(&pipeline, &["status", "--json"]).await?;
    ensure!(
        status["integrations"][0]["first_sync_over"] == true && status["workers"]["writer"] == 1,
        "{status}"
    );
    ensure!(status["integrations"][0]["devices"]["in sync"] == 12, "{status}");

    ensure_says(
        &said(&pipeline, &["rematch", "acme"]).await?,
        &["acme: the next run is a first sync again"],
    )?;
    let status = json_of(&pipeline, &["status", "acme", "--json"]).await?;
    ensure!(status["integrations"][0]["first_sync_over"] == false, "{status}");
    pipeline.run().await?;

    let devices = services.kandji.devices();
    devices.iter().take(8).try_for_each(|device| services.kandji.remove_device(&device.device_id))?;
    let held = pipeline.fetch(&[]).await?;
    ensure!(held.status.code() == Some(1) && held.stderr.contains("held"), "{}{}", held.stdout, held.stderr);
    ensure_says(&said(&pipeline, &["status"]).await?, &[", held", "amfj-sync release acme"])?;
    ensure_says(&said(&pipeline, &["plan"]).await?, &["The run is held"])?;
    let released = said(&pipeline, &["release", "acme"]).await?;
    ensure_says(&released, &["acme is released", "as soon as a fetcher runs"])?;
    ensure_says(&refused(&pipeline, &["release", "acme"]).await?, &["acme is not held"])?;
    pipeline.run().await?;
    let wrong = call(&pipeline, &["release", "acne"]).await?;
    ensure!(wrong.status.code() == Some(2) && wrong.stderr.contains("it has: acme"), "{}", wrong.stderr);
    Ok(())
}

/// Dead letters are shown as often as one likes and stay; the history tells old and new values.
#[tokio::test]
async fn dead_letters_and_history_are_shown() -> Result<()> {
    let services = Services::plain(6, 14).await?;
    let bad = services.kandji.devices()[0].clone();
    let asset = services.amfj.assets_named(&bad.device_name).pop().unwrap().id;
    let pipeline = Pipeline::with(
        Workers::default(),
        vec![("acme", services.integration("acme").field("Notes", "device_id"))],
        |config| config.set("retry.give_up_after", "1s").set("timing.probe_interval", "200ms"),
    )
    .await?;
    let none = call(&pipeline, &["dead", "list"]).await?;
    ensure!(
        none.status.success() && none.stdout.contains("no dead letters"),
        "{}{}",
        none.stdout,
        none.stderr
    );
    let broken = Action::Status { code: 500, body: None };
    services.amfj.fault(Rule::new(broken).on("PATCH", &format!("/assets/{asset}")));
    pipeline.run().await?;
    let mut letters = Value::Null;
    for _ in 0..25 {
        let list = call(&pipeline, &["dead", "list", "--json"]).await?;
        ensure!(list.status.success(), "{}", list.stderr);
        letters = serde_json::from_str(&list.stdout)?;
        ensure!(letters.as_array().is_some_and(|letters| letters.len() == 1), "{letters}");
    }
    ensure!(letters[0]["kind"] == "update-asset" && letters[0]["integration"] == "acme", "{letters}");
    let id = letters[0]["id"].as_str().unwrap();
    let list = call(&pipeline, &["dead", "list", "--kind", "update-asset", "--since", "1h"]).await?;
    ensure_says(&list.stdout, &[&id[..8], "acme, ", "update-asset for", "tried", "1 in all"])?;
    let other = call(&pipeline, &["dead", "list", "--kind", "create-user"]).await?;
    ensure_says(&other.stdout, &["None of the 1 dead letters fits"])?;
    let shown = call(&pipeline, &["dead", "show", &id[..8]]).await?;
    ensure_says(&shown.stdout, &[id, "why not", &asset, "update_asset"])?;
    let missing = call(&pipeline, &["dead", "show", "ffffffff"]).await?;
    ensure!(missing.status.code() == Some(1), "{}", missing.stderr);
    ensure!(pipeline.dead_letters().await? == 1, "a look takes nothing");
    ensure_says(
        &said(&pipeline, &["explain", &bad.serial_number]).await?,
        &["failed", "amfj-sync dead list"],
    )?;
    ensure_says(&said(&pipeline, &["status"]).await?, &["1; `amfj-sync dead list`"])?;

    let good = services.kandji.devices()[1].clone();
    let past = call(&pipeline, &["history", &good.serial_number, "--json"]).await?;
    ensure!(past.status.success(), "{}", past.stderr);
    let applied: Value = serde_json::from_str(&past.stdout)?;
    ensure!(applied.as_array().is_some_and(|all| all.len() == 1), "{applied}");
    ensure!(applied[0]["edits"]["Notes"] == json!({"old": null, "new": good.device_id}), "{applied}");
    let run = applied[0]["run"].as_str().unwrap();
    let past = call(&pipeline, &["history", "--run", run, "--since", "1h"]).await?;
    ensure_says(&past.stdout, &[run, "Notes  (empty)", &good.device_id])?;
    // The link stands although the values beside it were refused (P4).
    let past = call(&pipeline, &["history", &bad.serial_number, "--json"]).await?;
    let applied: Value = serde_json::from_str(&past.stdout)?;
    ensure!(
        applied.as_array().is_some_and(|all| all.len() == 1)
            && applied[0]["edits"].as_object().is_none_or(serde_json::Map::is_empty),
        "{applied}"
    );
    let wrong = call(&pipeline, &["history", "--since", "someday"]).await?;
    ensure!(wrong.status.code() == Some(2), "{}", wrong.stderr);
    Ok(())
}

/// Plans by device, kind, state and field, and as a table in which no name is a formula.
#[tokio::test]
async fn plans_are_filtered_and_go_into_spreadsheets() -> Result<()> {
    let services = empty().await?;
    let hostile = "=HYPERLINK(\"http://evil.example.com\",\"click\"), the \"Lab\"";
    let evil = enrol(&services, hostile, None)?;
    let asset = services.amfj.add_asset(hostile, "Laptop")?;
    services.amfj.set_field(&asset, "Model", json!("bought used"))?;
    enrol(&services, "Ana’s MacBook", Some(("Ana Horvat", "ana@example.com")))?;
    let anas = services.amfj.add_asset("Ana's MacBook", "Laptop")?;
    services.amfj.add_user("Gita Rao", Some("gita@example.com"), true)?;
    services.amfj.check_out(&anas, "gita@example.com")?;
    enrol(&services, "Nobody’s", None)?;
    let integration = services
        .integration("acme")
        .set("mode", "plan")
        .set("sync.auto_checkout", true)
        .field("Serial Number", "serial_number")
        .field("Model", "model");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let head = said(&pipeline, &["plan"]).await?;
    let total = head.find("In total: 2 linked").context("the totals")?;
    ensure!(total < head.find("Links to be made").context("the links")?, "totals come first:\n{head}");
    ensure_says(&head, &["1 value that is not blank is overwritten: 1 in \"Model\"."])?;
    let check = pipeline.said(&["check"]).await?;
    ensure_says(
        &check.split_whitespace().collect::<Vec<_>>().join(" "),
        &["would overwrite 1 value that is not blank in the 2 assets", "1 in \"Model\""],
    )?;

    let kinds = |plan: &Value| -> Vec<String> {
        let changes = plan[0]["changes"].as_array().cloned().unwrap_or_default();
        changes.iter().filter_map(|change| Some(change["kind"].as_str()?.to_owned())).collect()
    };
    for (filter, wanted, not_done) in [
        (&["--kind", "assign"][..], &["hand-over"][..], 0),
        (&["--kind", "check-out,check-in"], &[], 0),
        (&["--device", "ana's macbook"], &["link-asset", "hand-over"], 0),
        (&["--device", &evil], &["link-asset"], 0),
        (&["--state", "unmatched"], &[], 1),
        (&["--state", "plan only", "--kind", "link-asset"], &["link-asset", "link-asset"], 0),
        (&["--field", "model"], &["link-asset", "link-asset"], 0),
        (&["--field", "Checked out to"], &["hand-over"], 0),
    ] {
        let arguments = [&["plan", "--json"], filter].concat();
        let plan = json_of(&pipeline, &arguments).await?;
        ensure!(kinds(&plan) == wanted, "{filter:?}: {:?}", kinds(&plan));
        let undone = plan[0]["not_done"].as_array().map_or(0, Vec::len);
        ensure!(undone == not_done, "{filter:?}: {}", plan[0]["not_done"]);
    }
    ensure_says(
        &refused(&pipeline, &["plan", "--device", "Anas MacBok"]).await?,
        &["near it", "Ana’s MacBook"],
    )?;
    for (filter, word) in [("--kind", "hand-over"), ("--state", "in-sync"), ("--field", "\"Model\"")] {
        let wrong = call(&pipeline, &["plan", filter, "nonsense"]).await?;
        ensure!(wrong.status.code() == Some(2) && wrong.stderr.contains(word), "{filter}: {}", wrong.stderr);
    }
    let table = said(&pipeline, &["plan", "--csv"]).await?;
    ensure_says(
        &table,
        &[
            "integration,what,kind,key,label,serial,state,",
            "\"'=HYPERLINK(\"\"http://evil.example.com\"\",\"\"click\"\"), the \"\"Lab\"\"\"",
            "Model,bought used,",
            "Checked out to,Gita Rao,Ana Horvat,yes,Gita Rao,Ana Horvat",
        ],
    )?;
    ensure!(!table.contains(",=") && !table.contains("\"="), "a formula:\n{table}");
    Ok(())
}

/// Devices, assets and people are explained and have a past; what is not found is answered with what is near.
#[tokio::test]
async fn assets_and_people_are_explained_and_have_a_past() -> Result<()> {
    let services = empty().await?;
    let device = enrol(&services, "Imani’s MacBook", Some(("Imani Okafor", "imani@example.com")))?;
    let asset = services.amfj.add_asset("Imani's MacBook", "Laptop")?;
    let spare = services.amfj.add_asset("Spare", "Laptop")?;
    let record = services.amfj.add_user("Imani Okafor", Some("imani@example.com"), false)?;
    let other = services.amfj.add_user("Gita Rao", Some("gita@example.com"), true)?;
    services.amfj.check_out(&asset, "gita@example.com")?;
    let twins = [enrol(&services, "Twin", None)?, enrol(&services, "Twin", None)?];
    let integration = services.integration("acme").set("sync.auto_checkout", true).field("Model", "model");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;

    for text in ["Imani's MacBook", "imani‘s  macbook", &device, &asset] {
        let explained = json_of(&pipeline, &["explain", text, "--json"]).await?;
        ensure!(
            explained["device"]["id"] == json!(device) && explained["asset"]["id"] == json!(asset),
            "{explained}"
        );
    }
    for text in ["imani@example.com", "Imani Okafor", &record] {
        let explained = json_of(&pipeline, &["explain", text, "--json"]).await?;
        ensure!(explained["user"]["record"]["id"] == json!(record), "{text}: {explained}");
        ensure!(explained["devices"][0]["asset"] == json!(asset), "{explained}");
        ensure!(explained["holds"][0]["id"] == json!(asset), "{explained}");
        ensure_says(
            &said(&pipeline, &["explain", text]).await?,
            &["in sync", "Primary user of", "Has in AMFJ", &asset],
        )?;
    }
    ensure_says(
        &said(&pipeline, &["explain", "spare"]).await?,
        &["an asset without device", "none that acme lists"],
    )?;
    ensure_says(&said(&pipeline, &["explain", "Gita Rao"]).await?, &["of nobody in Kandji", &other])?;
    ensure_says(&refused(&pipeline, &["explain", "Twin"]).await?, &["several fit", &twins[0], &twins[1]])?;
    ensure_says(
        &refused(&pipeline, &["explain", "Imanis Macbok"]).await?,
        &["no device, asset or person", "near it", &device, &asset],
    )?;

    let past = async |text: &str| call(&pipeline, &["history", text]).await;
    for text in ["Imani's MacBook", &asset, "gita@example.com", "Gita Rao"] {
        let past = past(text).await?;
        ensure!(past.status.success(), "{text}: {}", past.stderr);
        ensure_says(&past.stdout, &["assign", &asset, "\"Gita Rao\"  → \"Imani Okafor\""])?;
    }
    ensure_says(&past(&asset).await?.stdout, &["link-asset", "checked out to \"Imani Okafor\" now"])?;
    let untouched = past(&spare).await?;
    ensure!(untouched.status.success(), "{}", untouched.stderr);
    ensure_says(&untouched.stdout, &["Nothing was applied that fits", "not checked out now"])?;
    for (text, words) in [
        ("Imanis Macbok", &["no device, asset or person", "near it", "Imani’s MacBook"][..]),
        ("zzzz", &["no device, asset or person \"zzzz\" is known, now or in the history"]),
        ("Twin", &["several fit \"Twin\"", &twins[0]]),
    ] {
        let wrong = past(text).await?;
        ensure!(wrong.status.code() == Some(1) && wrong.stdout.is_empty(), "{text}: {}", wrong.stdout);
        ensure_says(&wrong.stderr, words)?;
    }
    Ok(())
}

/// A command does not wait for a broker for ever, and says what to do.
#[tokio::test]
async fn a_missing_broker_is_named_with_the_cure() -> Result<()> {
    let services = empty().await?;
    let pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| {
        config.set("broker.url", "amqp://guest:guest@127.0.0.1:1/%2f").set("timing.connect_timeout", "1s")
    })
    .await?;
    for arguments in [&["plan"][..], &["status"], &["link", "a", "b"]] {
        ensure_says(&refused(&pipeline, arguments).await?, &["check broker.url"])?;
    }
    let dead = call(&pipeline, &["dead", "list"]).await?;
    ensure!(dead.status.code() == Some(1) && dead.stderr.contains("check broker.url"), "{}", dead.stderr);
    Ok(())
}
