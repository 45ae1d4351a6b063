//! The simulated AMFJ keeps the assumed contract, and finds out who does not.

use std::{collections::BTreeSet, time::Duration};

use amfj_sync_tests::sim::amfj::{AmfjOptions, AmfjSim};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::caller::{Caller, answer, plain, realistic};

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
        serde_json::from_value::<amfj_sync_model::amfj::Asset>(asset.clone()).unwrap();
    }
    for user in &users {
        serde_json::from_value::<amfj_sync_model::amfj::UserRecord>(user.clone()).unwrap();
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
    let own = format!("/assets/{}", asset["id"].as_str().unwrap());

    let patch = json!({ "name": "B", "location_id": "loc-0", "fields": { "Cores": null, "Managed": true } });
    let (status, asset) = caller.patch(&own, patch).await;
    assert_eq!(status, 200);
    assert_eq!(asset["fields"], json!({ "Managed": true, "Memory": "8 GB" }), "fields merge, null clears");
    assert_eq!((&asset["name"], &asset["location"]["name"]), (&json!("B"), &json!("HQ")));
    assert_eq!(caller.get(&own).await, (200, asset));

    let (status, dana) = caller.post("/users", json!({ "name": "Dana", "email": "dana@example.com" })).await;
    assert_eq!((status, &dana["source"]), (201, &json!("local")));
    let out = json!({ "user_id": dana["id"], "note": "by amfj-sync" });
    let (_, asset) = caller.post(&format!("{own}/check-out"), out.clone()).await;
    assert_eq!(asset["checked_out_to"], json!({ "id": dana["id"], "name": "Dana" }));
    assert_eq!(caller.post(&format!("{own}/check-out"), out).await.0, 409, "even to the same user");
    assert_eq!(caller.post(&format!("{own}/check-in"), json!({})).await.0, 200);
    assert_eq!(caller.post(&format!("{own}/check-in"), json!({})).await.0, 409);
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
