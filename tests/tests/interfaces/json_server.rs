//! json-server from npm: the sync works with a server that nobody here wrote, and what that keeps in its file is right.

use amfj_sync_tests::harness::JsonServer;
use amfj_sync_tests::pipeline::Pipeline;
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::support::{MORE, Words, change, integration, is_in_step, kandji, other, path};

const WORDS: Words = Words {
    laptop: "Laptop",
    tablet: "Tablet",
    location: "HQ",
    serial: "Serial Number",
    tag: "Inventory Number",
    enrolled: "Enrolled",
    managed: "Managed",
    platform: "Platform",
};

/// What the file holds before the first sync.
fn before() -> Value {
    let mut assets = vec![
        json!({"id": "a01", "name": "Ana's MacBook", "typeId": "laptop", "locationId": null, "holderId": null,
            "fields": {"Remarks": "bought used"}, "insurance": {"until": 2028}}),
        json!({"id": "a02", "name": "Lobby <2> & more", "typeId": "laptop", "holderId": "u03"}),
    ];
    for number in 4..4 + MORE {
        assets.push(
            json!({"id": format!("a{number:02}"), "name": other(number).1, "typeId": "laptop", "fields": {}}),
        );
    }
    let user = |id: &str, name: &str, email: &str, source: &str| json!({"id": id, "name": name, "email": email, "source": source});
    json!({
        "assets": assets,
        "users": [
            user("u01", "Ana Horvat", "ana@example.com", "jira"),
            user("u02", "Dana Reyes", "dana@example.com", "jira"),
            user("u03", "Gita Rao", "gita@example.com", "local"),
        ],
        "types": [{"id": "laptop", "name": "Laptop"}, {"id": "tablet", "name": "Tablet"}],
        "locations": [{"id": "hq", "name": "HQ"}],
        "fields": [
            {"id": "Serial Number", "type": "text"}, {"id": "Inventory Number", "type": "number"},
            {"id": "Enrolled", "type": "date"}, {"id": "Managed", "type": "boolean"},
            {"id": "Platform", "type": "select", "options": ["Mac", "iPad"]}, {"id": "Remarks", "type": "text"},
        ],
        "userFields": [{"id": "Phone", "type": "text"}],
    })
}

/// What it is to hold afterwards. json-server makes the ids of what is new: those of the iPad and of Ben.
fn wanted(spare: &str, ben: &str, is_changed: bool) -> Value {
    let fields = |serial: &str, platform: &str| json!({"Serial Number": serial, "Enrolled": "2024-03-14", "Managed": true, "Platform": platform});
    let mut wanted = before();
    let ana = &mut wanted["assets"][0];
    ana["locationId"] = "hq".into();
    ana["holderId"] = if is_changed { "u02" } else { "u01" }.into();
    ana["fields"] = fields("C02ANA01", "Mac");
    ana["fields"]["Remarks"] = "bought used".into();
    ana["fields"]["Inventory Number"] = if is_changed { Value::Null } else { json!(12.5) };
    let lobby = &mut wanted["assets"][1];
    (lobby["locationId"], lobby["holderId"]) = ("hq".into(), ben.into());
    lobby["fields"] = fields("C02LOB02", "Mac");
    for number in 4..4 + MORE {
        let asset = &mut wanted["assets"][number - 2];
        asset["locationId"] = "hq".into();
        asset["fields"] = fields(&other(number).0, "Mac");
    }
    let mut spare = json!({
        "id": spare, "name": "Spare iPad", "typeId": "tablet", "locationId": "hq", "origin": "amfj-sync",
        "fields": fields("DMPSPARE3", "iPad"),
    });
    if is_changed {
        spare["holderId"] = "u01".into();
    }
    let ben = json!({"id": ben, "name": "Ben Carter", "email": "ben@example.com", "source": "local"});
    let records = |collection: &str| wanted[collection].as_array().cloned().unwrap_or_default();
    let (mut assets, mut users) = (records("assets"), records("users"));
    assets.push(spare);
    users.push(ben);
    (wanted["assets"], wanted["users"]) = (assets.into(), users.into());
    wanted
}

fn id_of(kept: &Value, collection: &str, name: &str) -> Result<String> {
    let records = kept[collection].as_array().context("no such collection")?;
    let named: Vec<&Value> = records.iter().filter(|record| record["name"] == name).collect();
    ensure!(named.len() == 1, "there are {} of {name}", named.len());
    named[0]["id"].as_str().map(str::to_owned).context("an id that is no text")
}

fn holds(server: &JsonServer, is_changed: bool) -> Result<()> {
    let kept = server.kept()?;
    let wanted =
        wanted(&id_of(&kept, "assets", "Spare iPad")?, &id_of(&kept, "users", "Ben Carter")?, is_changed);
    for (collection, records) in wanted.as_object().context("no object")? {
        for (place, record) in records.as_array().into_iter().flatten().enumerate() {
            ensure!(kept[collection][place] == *record, "{}\nis to be\n{record}", kept[collection][place]);
        }
    }
    ensure!(kept == wanted, "there is more:\n{kept}");
    Ok(())
}

fn writes(server: &JsonServer) -> Result<usize> {
    Ok(server.requests()?.iter().filter(|request| !request.starts_with("GET ")).count())
}

#[tokio::test]
async fn json_server_is_kept_in_step() -> Result<()> {
    let server = JsonServer::start(&before()).await?;
    let kandji = kandji().await?;
    let profile = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/json-server.toml");
    let integration = integration(&kandji, &server.url(), "json-server-asks-for-none", &WORDS)
        .set("amfj.profile", path(&profile)?);
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let probed = pipeline.said(&["probe"]).await?;
    ensure!(!probed.contains("!!"), "{probed}");
    let checked = pipeline.said(&["check"]).await?;
    ensure!(!checked.contains("!!"), "{checked}");
    ensure!(server.kept()? == before(), "probe and check only read");

    pipeline.run().await?;
    is_in_step(&pipeline).await?;
    holds(&server, false)?;

    change(&kandji)?;
    pipeline.run().await?;
    holds(&server, true)?;

    let before = writes(&server)?;
    pipeline.run().await?;
    is_in_step(&pipeline).await?;
    ensure!(writes(&server)? == before, "an idle run wrote: {:?}", server.requests()?.get(before..));
    holds(&server, true)
}
