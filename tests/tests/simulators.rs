//! The simulators keep their own promises: the contract, the faults, and the same fleet for the
//! same seed. Everything else in these tests rests on that.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, Instant},
};

use amfj_sync_tests::sim::{
    amfj::{AmfjOptions, AmfjSim},
    faults::{Action, Rule},
    fleet::{Fleet, FleetSpec, Owner, Trap, Traps},
    kandji::{KandjiOptions, KandjiSim, NewDevice},
};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use unicode_normalization::UnicodeNormalization;

/// A client with a token, for either service.
struct Caller {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Caller {
    fn new(url: String, token: String) -> Self {
        // Fails when another test of this process was first, which is just as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build().unwrap();
        Self { client, url, token }
    }

    fn kandji(sim: &KandjiSim) -> Self {
        Self::new(format!("{}/api/v1", sim.url()), sim.token())
    }

    fn amfj(sim: &AmfjSim) -> Self {
        Self::new(sim.url(), sim.token())
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> reqwest::Result<Response> {
        let mut request = self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        answer(self.send(Method::GET, path, None).await.unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.send(Method::POST, path, Some(body)).await.unwrap()).await
    }

    async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        answer(self.send(Method::PATCH, path, Some(body)).await.unwrap()).await
    }

    /// Walks the device list to the empty page, advancing by the rows received.
    async fn walk(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        loop {
            let path = format!("/devices?limit=300&ordering=device_id&offset={}", rows.len());
            let (status, page) = self.get(&path).await;
            assert_eq!(status, 200);
            let page = page.as_array().unwrap().clone();
            if page.is_empty() {
                return rows;
            }
            rows.extend(page);
        }
    }

    /// Walks a list of AMFJ by its cursors.
    async fn list(&self, path: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut request = self.client.get(format!("{}{path}", self.url)).bearer_auth(&self.token);
            if let Some(cursor) = &cursor {
                request = request.query(&[("cursor", cursor)]);
            }
            let (status, page) = answer(request.send().await.unwrap()).await;
            assert_eq!(status, 200, "{page}");
            rows.extend(page["results"].as_array().unwrap().clone());
            cursor = page["next_cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                return rows;
            }
        }
    }
}

async fn answer(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

fn realistic(devices: usize) -> Fleet {
    Fleet::generate(FleetSpec { devices, seed: 7, traps: Traps::Realistic })
}

fn plain(devices: usize) -> Fleet {
    Fleet::generate(FleetSpec { devices, seed: 7, traps: Traps::None })
}

fn quick() -> KandjiOptions {
    KandjiOptions { per_second: None, per_hour: None, ..KandjiOptions::default() }
}

// ---- fleets ----

#[test]
fn the_same_seed_gives_the_same_fleet_and_another_seed_another() {
    let of = |seed| Fleet::generate(FleetSpec { devices: 400, seed, traps: Traps::Realistic });
    assert_eq!(of(1), of(1));
    assert_eq!(of(1).fingerprint(), of(1).fingerprint());
    assert_ne!(of(1).fingerprint(), of(2).fingerprint());
}

#[test]
fn a_fleet_without_traps_has_one_asset_for_each_device() {
    let fleet = plain(700);
    let mut names = BTreeMap::new();
    for asset in &fleet.site.assets {
        *names.entry(asset.name.as_str()).or_insert(0) += 1;
    }
    assert!(fleet.devices.iter().all(|device| names.get(device.device_name.as_str()) == Some(&1)));
    assert!(fleet.devices.iter().all(|device| device.user.person().is_some()));
    assert!(fleet.trap_counts().is_empty());
    let share = fleet.site.users.len() * 100 / fleet.people.len();
    assert!((65..85).contains(&share), "{share} % of the people have a record");
}

#[test]
fn every_trap_is_laid_in_its_proportion() {
    let fleet = realistic(1000);
    let counts = fleet.trap_counts();
    for trap in [Trap::BlankName, Trap::UserEmptyString, Trap::OddTimestamp, Trap::DuplicateName] {
        assert_eq!(counts[&trap], trap.share(), "{trap:?}");
    }
    assert_eq!(counts.len(), 31, "a trap is missing: {counts:?}");
    assert_eq!(realistic(50).trap_counts().len(), 30, "all but the owner of thirty devices");
}

#[test]
fn the_traps_are_what_they_say() {
    let fleet = realistic(1000);
    let devices: HashMap<&str, _> = fleet.devices.iter().map(|d| (d.device_id.as_str(), d)).collect();
    let all = |trap: Trap| fleet.trapped(trap).iter().map(|id| devices[id.as_str()]).collect::<Vec<_>>();
    let assets = |name: &str| fleet.site.assets.iter().filter(|a| a.name == name).collect::<Vec<_>>();
    let fold = |name: &str| {
        let folded: String = name.nfc().collect::<String>().to_lowercase();
        folded.split_whitespace().collect::<Vec<_>>().join(" ")
    };

    assert!(all(Trap::BlankName).iter().all(|d| d.device_name.trim().is_empty()));
    for pair in all(Trap::DuplicateName).chunks(2) {
        assert_eq!(pair[0].device_name, pair[1].device_name);
        assert_eq!(assets(&pair[0].device_name).len(), 1);
    }
    for trap in [Trap::AssetNameCase, Trap::AssetNameSpace, Trap::AssetNameNfd] {
        for device in all(trap) {
            assert!(assets(&device.device_name).is_empty(), "{trap:?} {}", device.device_name);
            let close =
                fleet.site.assets.iter().filter(|a| fold(&a.name) == fold(&device.device_name)).count();
            assert_eq!(close, 1, "{trap:?} {}", device.device_name);
        }
    }
    for device in all(Trap::AssetOtherSerial) {
        let serial = assets(&device.device_name)[0].fields["Serial Number"].clone();
        assert_ne!(serial, json!(device.serial_number));
    }
    for device in all(Trap::TwoAssets) {
        assert_eq!(assets(&device.device_name).len(), 2);
    }
    for device in all(Trap::TwoAssetsOneSerial) {
        let own = json!(device.serial_number);
        let with = assets(&device.device_name)
            .iter()
            .filter(|a| a.fields.get("Serial Number") == Some(&own))
            .count();
        assert_eq!((assets(&device.device_name).len(), with), (2, 1));
    }
    assert!(all(Trap::CheckedOutToOther).iter().all(|d| assets(&d.device_name)[0].holder.is_some()));
    assert!(all(Trap::NoAsset).iter().all(|d| assets(&d.device_name).is_empty()));
    for pair in all(Trap::SharedSerial).chunks(2) {
        assert_eq!(pair[0].serial_number, pair[1].serial_number);
    }
    assert!(all(Trap::BlankSerial).iter().all(|d| d.serial_number.is_empty()));
    assert!(all(Trap::UserEmptyString).iter().all(|d| d.to_json()["user"] == json!("")));
    assert!(all(Trap::UserNull).iter().all(|d| d.user == Owner::Null && d.to_json()["user"] == Value::Null));
    assert!(all(Trap::UserAbsent).iter().all(|d| d.to_json().get("user").is_none()));
    assert!(all(Trap::BlankCheckIn).iter().all(|d| d.last_check_in.as_deref() == Some("")));
    assert!(all(Trap::NullCheckIn).iter().all(|d| d.to_json()["last_check_in"] == Value::Null));
    assert!(all(Trap::TagsAbsent).iter().all(|d| d.to_json().get("tags").is_none()));
    assert!(all(Trap::Removed).iter().all(|d| d.is_removed));
    let forms: BTreeSet<_> = all(Trap::OddTimestamp).iter().filter_map(|d| d.last_check_in.clone()).collect();
    assert_eq!(forms.len(), 4, "{forms:?}");
}

#[test]
fn the_traps_of_people_are_what_they_say() {
    let fleet = realistic(1000);
    let people: HashMap<String, _> =
        fleet.people.iter().filter_map(|person| Some((person.id_text()?, person))).collect();
    let all = |trap: Trap| fleet.trapped(trap).iter().map(|id| people[id]).collect::<Vec<_>>();
    let email = |email: &Option<String>| email.as_deref().unwrap_or_default().trim().to_lowercase();

    assert!(all(Trap::IntegerUserId).iter().all(|p| p.id.is_u64()));
    assert!(all(Trap::ArchivedUser).iter().all(|p| p.is_archived));
    assert!(all(Trap::BlankUserName).iter().all(|p| p.name.as_deref() == Some("")));
    assert!(all(Trap::BlankEmail).iter().all(|p| email(&p.email).is_empty()));
    for pair in all(Trap::SharedEmail).chunks(2) {
        assert_eq!(email(&pair[0].email), email(&pair[1].email));
        assert_ne!(pair[0].id, pair[1].id);
        let records = fleet.site.users.iter().filter(|u| email(&u.email) == email(&pair[0].email)).count();
        assert!(records <= 1, "two Kandji users of one email are one person");
    }
    for pair in all(Trap::EqualUserNames).chunks(2) {
        assert_eq!(pair[0].name, pair[1].name);
        assert_ne!(pair[0].email, pair[1].email);
    }
    for id in fleet.trapped(Trap::UserWithoutId) {
        assert!(fleet.people.iter().any(|p| p.email.as_ref() == Some(id) && p.id_text().is_none()));
    }
    let records = |p: &&amfj_sync_tests::sim::fleet::Person| {
        let wanted = email(&p.email);
        fleet.site.users.iter().filter(|u| email(&u.email) == wanted).cloned().collect::<Vec<_>>()
    };
    for person in all(Trap::RecordEmailCase) {
        let found = records(&person);
        assert_eq!(found.len(), 1);
        assert_ne!(found[0].email, person.email);
    }
    assert!(all(Trap::RecordWithoutEmail).iter().all(|p| records(p).is_empty()));
    assert!(all(Trap::TwoRecords).iter().all(|p| records(p).len() == 2));
    let many = &fleet.trapped(Trap::ManyDevices)[0];
    let owned =
        fleet.devices.iter().filter(|d| d.user.person().and_then(|p| p.id_text()).as_ref() == Some(many));
    assert!(owned.count() >= 20, "some of the thirty fall into the traps of owners");
}

#[tokio::test]
async fn the_sample_payloads_are_served_as_they_are() {
    let fleet = Fleet::from_samples().unwrap();
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let served: HashMap<String, Value> = caller
        .walk()
        .await
        .into_iter()
        .map(|device| (device["device_id"].as_str().unwrap().to_owned(), device))
        .collect();
    let mut compared = 0;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/kandji");
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().into_string().unwrap();
        let sample: Value = serde_json::from_str(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
        // The second recording of one Mac is served under another id.
        if name == "devices-recorded-mac-user-empty-string.json" {
            continue;
        }
        if name.starts_with("device") {
            let rows = sample.as_array().cloned().unwrap_or_else(|| vec![sample.clone()]);
            for row in rows {
                assert_eq!(served[row["device_id"].as_str().unwrap()], row, "{name}");
                compared += 1;
            }
        } else if name.starts_with("details-") && name != "details-ipad-lost-mode.json" {
            let id = sample["general"]["device_id"].as_str().unwrap();
            assert_eq!(caller.get(&format!("/devices/{id}/details")).await, (200, sample.clone()), "{name}");
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
    assert!(served.values().any(|device| device["user"] == json!("")));
}

// ---- Kandji ----

#[tokio::test]
async fn kandji_pages_clamps_and_ends_with_an_empty_page() {
    let fleet = realistic(650);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let rows = caller.walk().await;
    assert_eq!(rows.len(), 650);
    assert_eq!(
        rows,
        fleet.devices.iter().map(amfj_sync_tests::sim::fleet::Device::to_json).collect::<Vec<_>>()
    );
    assert_eq!(kandji.request_count(), 4, "three pages and the empty one");
    let (_, page) = caller.get("/devices?limit=1000&ordering=device_id").await;
    assert_eq!(page.as_array().unwrap().len(), 300);
    assert!(kandji.violations().is_empty());

    let (_, macs) = caller.get("/devices?platform=Mac&limit=300&ordering=-device_name").await;
    let macs = macs.as_array().unwrap();
    assert!(macs.iter().all(|device| device["platform"] == "Mac"));
    let names: Vec<String> = macs.iter().map(|device| device["device_name"].to_string()).collect();
    assert!(names.is_sorted_by(|a, b| a >= b));
}

#[tokio::test]
async fn kandji_refuses_what_it_does_not_document() {
    let kandji = KandjiSim::start(&plain(5), quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    for path in ["/devices?sort=device_id", "/devices?ordering=colour", "/devices?limit=many"] {
        assert_eq!(caller.get(path).await.0, 400, "{path}");
    }
    assert_eq!(caller.post("/devices", json!({})).await.0, 405);
    assert_eq!(kandji.violations().len(), 4, "{:?}", kandji.violations());

    let bare = caller.client.get(format!("{}/devices", caller.url)).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(kandji.violations().len(), 5);

    let wrong = Caller::new(caller.url.clone(), "wrong".to_owned());
    assert_eq!(wrong.get("/devices").await.0, 401);
    kandji.revoke_token();
    assert_eq!(caller.get("/devices").await.0, 401);
    kandji.restore_token();
    assert_eq!(caller.get("/devices").await.0, 200);
    assert_eq!(caller.get("/users").await.0, 403);
    assert_eq!(caller.get("/devices/nobody").await.0, 404);
    assert_eq!(caller.get("/devices/nobody/details").await.0, 404);
    assert_eq!(kandji.violations().len(), 5);
}

#[tokio::test]
async fn kandji_lists_users_by_a_cursor_that_names_the_console_host() {
    let options = KandjiOptions { permit_users: true, page_limit: 20, ..quick() };
    let fleet = realistic(100);
    let kandji = KandjiSim::start(&fleet, options).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let (mut count, mut path) = (0, "/users".to_owned());
    loop {
        let (status, page) = caller.get(&path).await;
        assert_eq!(status, 200);
        count += page["results"].as_array().unwrap().len();
        let Some(next) = page["next"].as_str() else { break };
        let cursor = next.strip_prefix("https://acme.kandji.io/api/v1/users?").unwrap();
        path = format!("/users?{cursor}");
    }
    assert_eq!(count, fleet.people.len());
}

#[tokio::test]
async fn kandji_limits_by_the_second_and_by_the_hour() {
    let options = KandjiOptions { per_second: None, per_hour: Some(3), ..KandjiOptions::default() };
    let kandji = KandjiSim::start(&plain(5), options).await.unwrap();
    let caller = Caller::kandji(&kandji);
    for left in [2, 1, 0] {
        let response = caller.send(Method::GET, "/devices", None).await.unwrap();
        assert_eq!(response.headers()["x-ratelimit-remaining-hour"], left.to_string().as_str());
    }
    let refused = caller.send(Method::GET, "/devices", None).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=3600).contains(&wait));

    kandji.set_limits(Some(5), None);
    let mut statuses = Vec::new();
    for _ in 0..30 {
        statuses.push(caller.get("/devices").await.0);
    }
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
}

#[tokio::test]
async fn kandji_changes_by_hand_and_details_follow() {
    let fleet = plain(20);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let mac = fleet.devices.iter().find(|device| device.platform == "Mac").unwrap();
    let id = mac.device_id.as_str();
    kandji.rename(&mac.serial_number, "Reception iMac").unwrap();
    kandji.set(id, "os_version", json!("26.1")).unwrap();
    kandji.give_to(id, "Dana Reyes", "dana@example.com").unwrap();
    kandji.set_detail(id, "hardware_overview.memory", json!("64 GB LPDDR5")).unwrap();
    kandji.set_detail(id, "volumes.0.capacity", json!("1.0 TB")).unwrap();
    let (_, device) = caller.get(&format!("/devices/{id}")).await;
    assert_eq!((&device["device_name"], &device["os_version"]), (&json!("Reception iMac"), &json!("26.1")));
    assert_eq!(device["user"]["email"], json!("dana@example.com"));
    let (_, details) = caller.get(&format!("/devices/{id}/details")).await;
    assert_eq!(details["general"]["device_name"], json!("Reception iMac"));
    assert_eq!(details["hardware_overview"]["memory"], json!("64 GB LPDDR5"));
    assert_eq!(details["volumes"][0]["capacity"], json!("1.0 TB"));
    assert_eq!(details["general"]["assigned_user"]["name"], json!("Dana Reyes"));
    assert!(details.to_string().len() > 5_000, "a Mac's details are large");

    kandji.set_user(id, None).unwrap();
    assert_eq!(kandji.device(id).unwrap().user, Owner::Empty);
    let added = kandji.add_device(NewDevice { name: "New".to_owned(), ..NewDevice::default() }).unwrap();
    let again = kandji.reenroll(&added.device_id).unwrap();
    assert_ne!(again.device_id, added.device_id);
    assert_eq!(again.serial_number, added.serial_number);
    assert_eq!(caller.get(&format!("/devices/{}", added.device_id)).await.0, 404);
    kandji.remove_device(id).unwrap();
    assert_eq!(caller.walk().await.len(), 20);
    assert!(kandji.set(&again.device_id, "os_version", json!(15)).is_err(), "Kandji's versions are text");
    assert!(kandji.rename("nobody", "x").is_err());
}

#[tokio::test]
async fn rows_move_while_they_are_paged() {
    let fleet = plain(650);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let ids = |rows: &[Value]| rows.iter().map(|r| r["device_id"].to_string()).collect::<BTreeSet<_>>();

    kandji.fault(Rule::new(Action::Unenroll { count: 1 }).with_query("offset=300").times(1));
    let rows = caller.walk().await;
    assert_eq!(rows.len(), 649, "one row left and the walk missed the one at the boundary");
    assert!(!ids(&rows).contains(&json!(fleet.devices[300].device_id).to_string()));

    kandji.fault(Rule::new(Action::Enroll { count: 2 }).with_query("offset=300").times(1));
    let rows = caller.walk().await;
    assert_eq!((rows.len(), ids(&rows).len()), (651, 649), "two rows came twice");
}

// ---- AMFJ ----

#[tokio::test]
async fn amfj_lists_by_cursors_and_finds_exactly() {
    let fleet = realistic(350);
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let assets = caller.list("/assets?limit=100").await;
    assert_eq!(assets.len(), fleet.site.assets.len());
    let users = caller.list("/users").await;
    assert_eq!(users.len(), fleet.site.users.len());
    let ids: BTreeSet<String> = assets.iter().map(|asset| asset["id"].to_string()).collect();
    assert_eq!(ids.len(), assets.len());
    for asset in &assets {
        serde_json::from_value::<amfj_sync_shared::amfj::Asset>(asset.clone()).unwrap();
    }
    for user in &users {
        serde_json::from_value::<amfj_sync_shared::amfj::UserRecord>(user.clone()).unwrap();
    }

    let name = fleet.site.assets[3].name.clone();
    let find = |name: String| {
        let request = caller.client.get(format!("{}/assets", caller.url)).bearer_auth(&caller.token);
        async move { answer(request.query(&[("name", name)]).send().await.unwrap()).await.1 }
    };
    assert_eq!(find(name.clone()).await["results"][0]["name"], json!(name));
    assert_eq!(find(format!("{name} ")).await["results"], json!([]));
    for path in ["/asset-types", "/locations", "/user-fields"] {
        assert!(!caller.get(path).await.1["results"].as_array().unwrap().is_empty(), "{path}");
    }
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
    assert_eq!(amfj.write_count(), 0);
}

#[tokio::test]
async fn amfj_creates_updates_and_hands_over() {
    let fleet = plain(5);
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let laptop = fleet.site.type_id("Laptop").unwrap();
    let new = json!({ "name": "A", "asset_type_id": laptop, "fields": { "Memory": "8 GB", "Cores": 8 } });
    let (status, asset) = caller.post("/assets", new).await;
    assert_eq!(status, 201, "{asset}");
    assert_eq!((&asset["location"], &asset["checked_out_to"]), (&Value::Null, &Value::Null));
    let path = format!("/assets/{}", asset["id"].as_str().unwrap());

    let patch = json!({ "name": "B", "location_id": "loc-0", "fields": { "Cores": null, "Managed": true } });
    let (status, asset) = caller.patch(&path, patch).await;
    assert_eq!(status, 200);
    assert_eq!(asset["fields"], json!({ "Managed": true, "Memory": "8 GB" }), "fields merge, null clears");
    assert_eq!((&asset["name"], &asset["location"]["name"]), (&json!("B"), &json!("HQ")));
    assert_eq!(caller.get(&path).await, (200, asset));

    let (status, dana) = caller.post("/users", json!({ "name": "Dana", "email": "dana@example.com" })).await;
    assert_eq!((status, &dana["source"]), (201, &json!("local")));
    let out = json!({ "user_id": dana["id"], "note": "by amfj-sync" });
    let (_, asset) = caller.post(&format!("{path}/check-out"), out.clone()).await;
    assert_eq!(asset["checked_out_to"], json!({ "id": dana["id"], "name": "Dana" }));
    assert_eq!(caller.post(&format!("{path}/check-out"), out).await.0, 409, "even to the same user");
    assert_eq!(caller.post(&format!("{path}/check-in"), json!({})).await.0, 200);
    assert_eq!(caller.post(&format!("{path}/check-in"), json!({})).await.0, 409);
    let id = dana["id"].as_str().unwrap();
    assert_eq!(caller.patch(&format!("/users/{id}"), json!({ "name": "Dana Reyes" })).await.0, 200);

    let handovers: Vec<_> = amfj.handovers().into_iter().map(|h| (h.from, h.to)).collect();
    assert_eq!(handovers, [(None, Some(id.to_owned())), (Some(id.to_owned()), None)]);
    assert_eq!(amfj.write_count(), 6, "{:?}", amfj.writes());
    assert_eq!(amfj.writes()[1].result["name"], json!("B"));
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
}

#[tokio::test]
async fn amfj_refuses_values_by_name_of_the_field() {
    let fleet = plain(5);
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let (laptop, kiosk) = (fleet.site.type_id("Laptop").unwrap(), fleet.site.type_id("Kiosk").unwrap());
    let asset = |kind: &str, fields: Value| json!({ "name": "A", "asset_type_id": kind, "fields": fields });
    let table = [
        (asset(laptop, json!({ "Cores": "8" })), "Cores"),
        (asset(laptop, json!({ "Platform": "Amiga" })), "Platform"),
        (asset(laptop, json!({ "Enrolled On": "2026-02-30" })), "Enrolled On"),
        (asset(laptop, json!({ "Colour": "red" })), "Colour"),
        (asset(kiosk, json!({})), "Cost Centre"),
        (asset("no-type", json!({})), "asset_type_id"),
        (json!({ "name": " ", "asset_type_id": laptop }), "name"),
        (json!({ "name": "A", "asset_type_id": laptop, "location_id": "no" }), "location_id"),
    ];
    for (body, field) in table {
        let (status, answer) = caller.post("/assets", body).await;
        assert_eq!((status, &answer["error"]["field"]), (422, &json!(field)), "{answer}");
    }
    let jira = amfj.add_user("Jira Person", Some("jira@example.com"), true).unwrap();
    assert_eq!(caller.patch(&format!("/users/{jira}"), json!({ "name": "X" })).await.0, 403);
    assert_eq!(caller.patch("/users/nobody", json!({ "name": "X" })).await.0, 404);
    assert_eq!(caller.patch("/assets/nothing", json!({ "name": "X" })).await.0, 404);
    assert_eq!(caller.post("/users", json!({ "name": "X", "email": "not one" })).await.0, 422);
    assert_eq!(amfj.write_count(), 0);
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
}

#[tokio::test]
async fn amfj_keeps_breaches_of_the_contract() {
    let fleet = plain(5);
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let asset = format!("/assets/{}", fleet.site.assets[0].id);
    for path in ["/assets?limit=101", "/assets?page=2", "/assets?cursor=x", "/users?name=x", "/nothing"] {
        assert_eq!(caller.get(path).await.0, 400, "{path}");
    }
    let member = json!({ "name": "A", "asset_type_id": "type-1", "external_id": "1" });
    assert_eq!(caller.post("/assets", member).await.0, 400);
    assert_eq!(caller.patch(&asset, json!({ "asset_type_id": "type-2" })).await.0, 400, "types never change");
    let delete = caller.send(Method::DELETE, &asset, None).await.unwrap();
    assert_eq!(delete.status(), StatusCode::BAD_REQUEST);
    let text = caller
        .client
        .post(format!("{}/users", caller.url))
        .bearer_auth(&caller.token)
        .body("{\"name\":\"x\"}");
    assert_eq!(text.send().await.unwrap().status(), StatusCode::BAD_REQUEST, "not declared as JSON");
    assert_eq!(amfj.violations().len(), 9, "{:?}", amfj.violations());
    let bare = caller.client.get(format!("{}/assets", caller.url)).send().await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(amfj.violations().len(), 10);
    assert_eq!(amfj.write_count(), 0);
}

#[tokio::test]
async fn amfj_shows_writes_late_in_lists_and_at_once_by_id() {
    let options = AmfjOptions { list_lag: Duration::from_millis(400), ..AmfjOptions::default() };
    let amfj = AmfjSim::start(&plain(5).site, options).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let new = json!({ "name": "Late", "asset_type_id": "type-1" });
    let (_, asset) = caller.post("/assets", new).await;
    let id = asset["id"].as_str().unwrap();
    assert_eq!(caller.get(&format!("/assets/{id}")).await.0, 200);
    assert_eq!(caller.get("/assets?name=Late").await.1["results"], json!([]));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(caller.get("/assets?name=Late").await.1["results"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn amfj_changes_by_hand() {
    let fleet = plain(5);
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let asset = amfj.add_asset("By Hand", "Laptop").unwrap();
    let user = amfj.add_user("Ida", Some("ida@example.com"), false).unwrap();
    amfj.set_field(&asset, "Memory", json!("1 TB")).unwrap();
    assert!(amfj.set_field(&asset, "Colour", json!("red")).is_err());
    amfj.check_out(&asset, "ida@example.com").unwrap();
    assert_eq!(amfj.asset(&asset).unwrap().holder, Some(user.clone()));
    amfj.rename_asset("By Hand", "Renamed").unwrap();
    assert_eq!(amfj.assets_named("Renamed")[0].fields["Memory"], json!("1 TB"));
    amfj.delete_user(&user).unwrap();
    assert_eq!(amfj.asset(&asset).unwrap().holder, None);
    assert!(amfj.user(&user).is_none());
    amfj.delete_asset(&asset).unwrap();
    assert!(amfj.asset(&asset).is_none());
    assert_eq!(amfj.write_count(), 0, "what people do is no write of a client");
    assert_eq!(amfj.handovers().len(), 2);
    assert!(amfj.handovers().iter().all(|handover| handover.by_hand));
}

// ---- faults ----

#[tokio::test]
async fn a_lost_answer_leaves_the_write_behind_and_a_dropped_request_does_not() {
    let amfj = AmfjSim::start(&plain(5).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let create = |name: &str| {
        let body = json!({ "name": name, "asset_type_id": "type-1" });
        caller.send(Method::POST, "/assets", Some(body))
    };
    amfj.fault(Rule::new(Action::LoseAnswer).on("POST", "/assets").times(1));
    assert!(create("Lost").await.is_err());
    assert_eq!(amfj.assets_named("Lost").len(), 1);

    amfj.fault(Rule::new(Action::DropBefore).on("POST", "/assets").times(1));
    assert!(create("Dropped").await.is_err());
    assert_eq!(amfj.assets_named("Dropped").len(), 0);

    amfj.fault(Rule::new(Action::TruncatedBody).on("POST", "/assets").times(1));
    let response = create("Half").await.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert!(response.bytes().await.is_err(), "the body breaks off");
    assert_eq!(amfj.assets_named("Half").len(), 1);

    amfj.fault(Rule::new(Action::StatusAfter { code: 502 }).times(1));
    assert_eq!(create("After").await.unwrap().status(), StatusCode::BAD_GATEWAY);
    assert_eq!(amfj.assets_named("After").len(), 1);

    amfj.fault(Rule::new(Action::EmptyBody).times(1));
    assert_eq!(create("Empty").await.unwrap().content_length(), Some(0));
    assert_eq!(amfj.assets_named("Empty").len(), 1);

    assert_eq!(create("Fine").await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(amfj.write_count(), 5);
    let faults: Vec<usize> = amfj.requests().iter().map(|request| request.faults.len()).collect();
    assert_eq!(faults, [1, 1, 1, 1, 1, 0]);
}

#[tokio::test]
async fn statuses_html_and_retry_after_in_both_forms() {
    let amfj = AmfjSim::start(&plain(5).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    let get = || caller.send(Method::GET, "/assets", None);
    let too_many = |http_date| Action::TooManyRequests { retry_after: Some(7), http_date };

    amfj.fault(Rule::new(too_many(false)).times(1));
    let response = get().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    amfj.fault(Rule::new(too_many(true)).times(1));
    let response = get().await.unwrap();
    let date = response.headers()["retry-after"].to_str().unwrap();
    let wait = httpdate::parse_http_date(date).unwrap().duration_since(std::time::SystemTime::now()).unwrap();
    assert!(wait < Duration::from_secs(8), "{date}");

    amfj.fault(Rule::new(Action::Html).times(1));
    let response = get().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.text().await.unwrap().starts_with("<!DOCTYPE html>"));

    amfj.fault(Rule::new(Action::Status { code: 503, body: Some("\"a bare string\"".to_owned()) }).times(1));
    assert_eq!(caller.get("/assets").await, (503, json!("a bare string")));
    amfj.fault(Rule::new(Action::EmptyList).times(1));
    assert_eq!(caller.get("/assets").await, (200, json!({ "results": [], "next_cursor": null })));
    amfj.fault(Rule::new(Action::RevokeToken).times(1).after(1));
    assert_eq!(caller.get("/assets").await.0, 200);
    assert_eq!(caller.get("/assets").await.0, 401);
    assert_eq!(caller.get("/assets").await.0, 401);
    amfj.restore_token();
    amfj.rotate_token("another");
    assert_eq!(caller.get("/assets").await.0, 401);
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
}

#[tokio::test]
async fn a_request_that_timed_out_is_carried_out_all_the_same() {
    let amfj = AmfjSim::start(&plain(5).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    amfj.fault(Rule::new(Action::Delay { ms: 400 }).on("POST", "/users").times(1));
    let request = caller
        .client
        .post(format!("{}/users", caller.url))
        .bearer_auth(&caller.token)
        .json(&json!({ "name": "Slow" }))
        .timeout(Duration::from_millis(100));
    assert!(request.send().await.unwrap_err().is_timeout());
    assert_eq!(amfj.write_count(), 0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(amfj.write_count(), 1);

    amfj.fault(Rule::new(Action::Silence { ms: 200, applied: false }).times(1));
    let start = Instant::now();
    assert!(caller.send(Method::GET, "/assets", None).await.is_err());
    assert!(start.elapsed() >= Duration::from_millis(200));
}

#[tokio::test]
async fn a_service_that_is_down_closes_every_connection() {
    let kandji = KandjiSim::start(&plain(5), quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    assert_eq!(caller.get("/devices").await.0, 200);
    kandji.set_offline(true);
    assert!(caller.send(Method::GET, "/devices", None).await.is_err());
    kandji.set_offline(false);
    assert_eq!(caller.get("/devices").await.0, 200);
    let url = kandji.url();
    drop(kandji);
    tokio::time::sleep(Duration::from_millis(50)).await;
    let fresh = Caller::new(url, String::new());
    assert!(fresh.send(Method::GET, "/", None).await.unwrap_err().is_connect());
}

// ---- the control endpoints and the binary ----

#[tokio::test]
async fn faults_and_mutations_work_from_another_process() {
    let fleet = plain(20);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let amfj = AmfjSim::start(&fleet.site, AmfjOptions::default()).await.unwrap();
    let control = |sim: &str| Caller::new(format!("{sim}/_sim"), String::new());
    let (tenant, site) = (control(&kandji.control_url()), control(&amfj.control_url()));
    let serial = &fleet.devices[0].serial_number;

    let owner = json!({ "op": "set_owner", "device": serial, "owner": { "name": "Zoë Vega" } });
    let (status, device) = tenant.post("/mutate", owner).await;
    assert_eq!((status, &device["user"]["email"]), (200, &json!("zoe.vega@example.com")));
    let mutations = [
        json!({ "op": "rename_device", "device": serial, "name": "Renamed" }),
        json!({ "op": "set_owner", "device": serial, "owner": null }),
        json!({ "op": "add_device", "name": "Second", "platform": "iPad", "owner": { "name": "Zoë Vega" } }),
        json!({ "op": "revoke_token" }),
    ];
    for mutation in mutations {
        assert_eq!(tenant.post("/mutate", mutation.clone()).await.0, 200, "{mutation}");
    }
    assert_eq!(Caller::kandji(&kandji).get("/devices").await.0, 401);
    let (_, state) = tenant.get("/state").await;
    assert_eq!(state["devices"].as_array().unwrap().len(), 21);
    assert_eq!(kandji.device("Renamed").unwrap().user, Owner::Empty);
    assert_eq!(tenant.post("/mutate", json!({ "op": "fly" })).await.0, 400);
    assert_eq!(
        tenant.post("/mutate", json!({ "op": "rename_device", "device": "nobody", "name": "x" })).await.0,
        400
    );

    let rule =
        json!({ "method": "GET", "path": "/assets", "times": 1, "action": { "status": { "code": 503 } } });
    assert_eq!(site.post("/fault", rule).await.0, 200);
    assert_eq!(Caller::amfj(&amfj).get("/assets").await.0, 503);
    assert_eq!(Caller::amfj(&amfj).get("/assets").await.0, 200);
    assert_eq!(site.post("/fault", json!({ "action": "explode" })).await.0, 400);
    assert_eq!(site.post("/mutate", json!({ "op": "add_user", "name": "Ida" })).await.0, 200);
    Caller::amfj(&amfj).post("/users", json!({ "name": "Written" })).await;
    assert_eq!(site.get("/writes").await.1.as_array().unwrap().len(), 1);
    assert_eq!(site.get("/requests").await.1.as_array().unwrap().len(), 3, "control requests do not count");
}

#[test]
fn the_binary_prints_where_it_listens_and_ends_at_sigterm() {
    use std::io::{BufRead, BufReader};
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_simulate"))
        .args(["--devices", "60", "--seed", "3", "--latency", "1ms"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let announced: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(announced["devices"], json!(60));
    let kandji = announced["kandji"]["url"].as_str().unwrap().to_owned();
    let token = announced["kandji"]["token"].as_str().unwrap().to_owned();
    let caller = Caller::new(format!("{kandji}/api/v1"), token);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    assert_eq!(runtime.block_on(caller.walk()).len(), 60);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

/// Run with `--ignored` in a release build: what the simulators must be able to carry.
#[tokio::test]
#[ignore = "a benchmark; needs an optimised build"]
async fn a_hundred_thousand_devices() {
    let start = Instant::now();
    let fleet = realistic(100_000);
    let generated = start.elapsed();
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let start = Instant::now();
    let rows = caller.walk().await;
    let page = start.elapsed() / 335;
    println!("generated in {generated:?}, {} rows, {page:?} a page with its parsing", rows.len());
    assert_eq!(rows.len(), 100_000);
    assert!(generated < Duration::from_secs(5));
    assert!(page < Duration::from_millis(20));
}
