//! The simulated Kandji keeps the contract.

use std::{cmp::Reverse, collections::BTreeSet};

use amfj_sync_tests::sim::{
    faults::{Action, Rule},
    fleet::{Device, Owner},
    kandji::{KandjiOptions, KandjiSim, Mutation, NewDevice},
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::{Caller, plain, quick, realistic};

#[tokio::test]
async fn kandji_pages_clamps_and_ends_with_an_empty_page() {
    let fleet = realistic(650);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let rows = caller.walk().await;
    assert_eq!(rows.len(), 650);
    assert_eq!(rows, fleet.devices.iter().map(Device::to_json).collect::<Vec<_>>());
    assert_eq!(kandji.request_count(), 4, "three pages and the empty one");
    let (_, page) = caller.get("/devices?limit=1000&ordering=device_id").await;
    assert_eq!(page.as_array().unwrap().len(), 300);
    assert!(kandji.violations().is_empty());

    let (_, macs) = caller.get("/devices?platform=Mac&limit=300&ordering=-device_name").await;
    let macs = macs.as_array().unwrap();
    assert!(macs.iter().all(|device| device["platform"] == "Mac"));
    let names: Vec<String> = macs.iter().map(|device| device["device_name"].to_string()).collect();
    assert!(names.is_sorted_by(|a, b| a >= b));

    let (_, rows) = caller.get("/devices/?limit=300&ordering=platform,-serial_number").await;
    let key = |row: &Value| (row["platform"].to_string(), Reverse(row["serial_number"].to_string()));
    assert!(rows.as_array().unwrap().is_sorted_by_key(key), "by two keys");
    let response = caller.send(Method::GET, "/devices?limit=300&platform=Mac", None).await.unwrap();
    assert_eq!(response.headers()["link"], "<None>; rel=\"next\", <None>; rel=\"prev\"");
    let all = fleet.devices.iter().filter(|device| device.platform == "Mac").count();
    assert_eq!(response.headers()["x-total-count"], all.to_string().as_str());
}

#[tokio::test]
async fn kandji_writes_the_last_check_in_of_a_list_in_one_form() {
    let kandji = KandjiSim::start(&realistic(650), quick()).await.unwrap();
    let added = kandji.add_device(NewDevice { name: "New".to_owned(), ..NewDevice::default() }).unwrap();
    kandji.set_detail(&added.device_id, "hardware_overview.memory", json!("8 GB")).unwrap();
    let digits = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "9");
    let forms = |member: &str, rows: &[Value]| -> BTreeSet<String> {
        rows.iter().map(|row| digits(row[member].as_str().unwrap())).collect()
    };
    let rows = Caller::kandji(&kandji).walk().await;
    let form = |text: &str| text.to_owned();
    assert_eq!(forms("last_check_in", &rows), [form(""), form("9999-99-99T99:99:99.999999Z")].into());
    for member in ["first_enrollment", "last_enrollment"] {
        assert_eq!(forms(member, &rows), [form("9999-99-99 99:99:99.999999+99:99")].into(), "{member}");
    }
}

#[tokio::test]
async fn kandji_refuses_what_it_does_not_document() {
    let kandji = KandjiSim::start(&plain(5), quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    for path in ["/devices?sort=device_id", "/devices?ordering=platform,colour", "/devices?limit=many"] {
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
    kandji.apply(Mutation::Permit { users: Some(true), details: None, prism: None }).unwrap();
    assert_eq!(caller.get("/users?limit=5").await.0, 400, "its pages have another size");
    assert_eq!(caller.get("/users/?sizePerPage=2").await.1["results"].as_array().unwrap().len(), 2);
    assert_eq!(caller.get("/devices/nobody").await.0, 404);
    assert_eq!(caller.get("/devices/nobody/details").await.0, 404);
    assert_eq!(kandji.violations().len(), 6);
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
