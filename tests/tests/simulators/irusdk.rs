//! The simulated Kandji as a real client sees it: irusdk, from the Python package index, over http.

use std::{path::Path, process::Command};

use amfj_sync_tests::sim::{
    faults::{Action, Rule},
    fleet::{Device, Fleet, Person},
    kandji::{KandjiOptions, KandjiSim, tag_id},
};
use serde_json::{Value, json};

use crate::caller::realistic;

/// The Python that has irusdk; `tests/lib/irusdk` says what to do where there is none.
fn python() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/irusdk");
    let done = Command::new(script).output().unwrap();
    assert!(done.status.success(), "no irusdk to test with:\n{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap().trim().to_owned()
}

/// What irusdk saw.
async fn seen(kandji: &KandjiSim, filters: &[Value]) -> Value {
    let arguments = [kandji.url(), kandji.token(), json!(filters).to_string()];
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/simulators/read_with_irusdk.py");
    let call = tokio::task::spawn_blocking(move || {
        Command::new(python()).arg("-B").arg(script).args(arguments).output().unwrap()
    });
    let done = call.await.unwrap();
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "irusdk could not read the simulated Kandji:\n{said}");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn ids(fleet: &Fleet, fits: impl Fn(&Device) -> bool) -> Value {
    let mut ids: Vec<&str> = fleet.devices.iter().filter(|d| fits(d)).map(|d| d.device_id.as_str()).collect();
    ids.sort_unstable();
    assert!(!ids.is_empty() && ids.len() < fleet.devices.len(), "a filter that would not show");
    json!(ids)
}

/// Every filter that Kandji documents, and the devices that it must choose.
fn filters(fleet: &Fleet, kandji: &KandjiSim) -> Vec<(Value, Value)> {
    let mac = fleet.devices.iter().find(|device| {
        let tagged = device.tags.as_ref().is_some_and(|tags| !tags.is_empty());
        device.platform == "Mac" && !device.asset_tag.is_empty() && device.email().is_some() && tagged
    });
    let mac = mac.unwrap();
    let person = mac.user.person().unwrap();
    let (name, email) = (person.name.clone().unwrap(), person.email.clone().unwrap());
    let tag = mac.tags.as_ref().unwrap()[0].clone();
    let has = |device: &Device, tag: &str| device.tags.iter().flatten().any(|own| own == tag);
    let holder = |device: &Device, part: &str| {
        let name = device.user.person().and_then(|person| person.name.clone()).unwrap_or_default();
        name.to_lowercase().contains(&part.to_lowercase())
    };
    let details = |device: &Device, pointer: &str| {
        kandji.details(&device.device_id).unwrap().pointer(pointer).cloned().unwrap_or_default()
    };
    let address = details(mac, "/network/mac_address");
    let family = name.rsplit(' ').next().unwrap().to_owned();
    let at = email[email.find('@').unwrap() - 3..].to_uppercase();
    let mail = |device: &Device| device.email().unwrap_or_default().to_lowercase();
    vec![
        (json!({ "asset_tag": mac.asset_tag }), ids(fleet, |d| d.asset_tag == mac.asset_tag)),
        (json!({ "blueprint_id": mac.blueprint_id }), ids(fleet, |d| d.blueprint_id == mac.blueprint_id)),
        (json!({ "device_id": mac.device_id }), json!([mac.device_id])),
        (json!({ "device_name": "ipad" }), ids(fleet, |d| d.device_name.to_lowercase().contains("ipad"))),
        (
            json!({ "filevault_enabled": "true" }),
            ids(fleet, |d| d.platform == "Mac" && details(d, "/filevault/filevault_enabled") == json!(true)),
        ),
        (json!({ "mac_address": address }), json!([mac.device_id])),
        (json!({ "model": "macbook" }), ids(fleet, |d| d.model.contains("MacBook"))),
        (json!({ "os_version": "15." }), ids(fleet, |d| d.os_version.contains("15."))),
        (json!({ "platform": "iPad" }), ids(fleet, |d| d.platform == "iPad")),
        (json!({ "serial_number": mac.serial_number[2..] }), json!([mac.device_id])),
        (json!({ "tag_name": tag }), ids(fleet, |d| has(d, &tag))),
        (json!({ "tag_name_in": format!("nobody, {tag}") }), ids(fleet, |d| has(d, &tag))),
        (json!({ "tag_id": tag_id(&tag) }), ids(fleet, |d| has(d, &tag))),
        (json!({ "tag_id_in": format!("{},nobody", tag_id(&tag)) }), ids(fleet, |d| has(d, &tag))),
        (json!({ "user": family }), ids(fleet, |d| holder(d, &family))),
        (json!({ "user_name": family }), ids(fleet, |d| holder(d, &family))),
        (json!({ "user_email": at }), ids(fleet, |d| mail(d).contains(&at.to_lowercase()))),
        (json!({ "user_email_exact": email }), ids(fleet, |d| mail(d) == email.to_lowercase())),
        (
            json!({ "user_id": person.id_text() }),
            ids(fleet, |d| d.user.person().and_then(Person::id_text) == person.id_text()),
        ),
        (
            json!({ "platform": "Mac", "user_email_exact": email }),
            ids(fleet, |d| d.platform == "Mac" && mail(d) == email.to_lowercase()),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn irusdk_reads_the_simulated_kandji_as_it_reads_the_real_one() {
    let fleet = realistic(250);
    let options = KandjiOptions { permit_users: true, per_second: None, ..KandjiOptions::default() };
    let kandji = KandjiSim::start(&fleet, options).await.unwrap();
    kandji.set_limits(Some(100_000), Some(10_000));
    // The answer says when to go on, and irusdk does.
    let busy = Action::TooManyRequests { retry_after: Some(1), http_date: false };
    kandji.fault(Rule::new(busy).on("GET", "/devices").after(1).times(1));
    let (asked, chosen): (Vec<Value>, Vec<Value>) = filters(&fleet, &kandji).into_iter().unzip();

    let saw = seen(&kandji, &asked).await;

    let all = json!(fleet.devices.iter().map(|device| &device.device_id).collect::<Vec<_>>());
    assert_eq!(saw["devices"], all);
    assert_eq!(saw["side_by_side"], all, "with asyncio");
    assert_eq!(saw["slash"], 3);
    for ((filter, wanted), found) in asked.iter().zip(&chosen).zip(saw["filters"].as_array().unwrap()) {
        let mut found: Vec<&str> = found.as_array().unwrap().iter().filter_map(Value::as_str).collect();
        found.sort_unstable();
        assert_eq!(json!(found), *wanted, "{filter}");
    }
    // Its models cannot read what was recorded of the real Kandji: no user is "", older ids are numbers.
    // No time but the blank one of a device that never checked in may be among what they cannot read.
    assert_eq!(saw["refused_members"], json!(["last_check_in", "user", "user.id"]));
    let users = saw["users"].as_array().unwrap();
    assert_eq!(users.len(), fleet.people.len());
    assert!(
        users.iter().all(|id| id.as_str().is_some_and(|id| uuid::Uuid::parse_str(id).is_ok())),
        "{users:?}"
    );
    assert_eq!(saw["one_user"], users[0]);
    assert!(saw["of_email"].as_array().unwrap().contains(&users[0]));
    assert_eq!(saw["archived"], fleet.people.iter().filter(|person| person.is_archived).count());
    assert_eq!(saw["details"], all[0]);
    assert_eq!((&saw["gone"], &saw["stranger"]), (&json!(404), &json!(401)));
    let headers = ["limit-hour", "limit-second", "remaining-hour"].map(|name| format!("x-ratelimit-{name}"));
    let headers: Vec<String> =
        ["ratelimit-remaining", "ratelimit-reset"].map(str::to_owned).into_iter().chain(headers).collect();
    assert_eq!(saw["headers"], json!(headers));
    assert!(kandji.requests().iter().any(|request| request.status == 429), "it was never asked to wait");
    assert_eq!(kandji.violations(), [""; 0], "the simulator refused what the real Kandji takes");
}
