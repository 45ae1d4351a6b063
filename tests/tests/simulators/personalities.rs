//! Each oddity that a simulated service can be given, seen as a client sees it.

use std::time::Duration;

use amfj_sync_tests::sim::{
    amfj::{AmfjOptions, AmfjSim},
    kandji::KandjiSim,
    personality::{Body, Form, Kind, Oddity, Personality, RetryAfter, Search, Shape},
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::caller::{Caller, plain, quick};

async fn site(assets: usize) -> (AmfjSim, Caller) {
    let amfj = AmfjSim::start(&plain(assets).site, AmfjOptions::default()).await.unwrap();
    let caller = Caller::amfj(&amfj);
    (amfj, caller)
}

fn path_of(asset: &str) -> String {
    format!("/assets/{asset}")
}

#[tokio::test]
async fn one_record_or_one_kind_is_refused_and_no_other() {
    let (amfj, caller) = site(5).await;
    let assets = amfj.assets();
    let (own, other) = (path_of(&assets[0].id), path_of(&assets[1].id));
    let patch = || json!({ "fields": { "Memory": "1 GB" } });
    for status in [400, 403, 404, 405, 409, 410, 412, 415, 422, 423, 428, 429, 451, 500, 502, 503, 504] {
        amfj.personalities().clear();
        amfj.personality(Personality::new(Oddity::refuse(status)).at(Kind::UpdateAsset).of(&assets[0].name));
        let (answered, body) = caller.patch(&own, patch()).await;
        assert_eq!(answered, status);
        assert!(body["error"]["message"].is_string(), "{body}");
        assert_eq!(caller.patch(&other, patch()).await.0, 200);
        assert_eq!(caller.get(&own).await.0, 200, "only writes are refused");
    }
    amfj.personalities().clear();
    let user = amfj.users()[0].id.clone();
    amfj.personality(Personality::new(Oddity::refuse(422)).at(Kind::CheckOut).of(&user));
    let out = json!({ "user_id": user });
    assert_eq!(caller.post(&format!("{own}/check-out"), out).await.0, 422, "a user refused as holder");
    let out = json!({ "user_id": amfj.users()[1].id });
    assert_eq!(caller.post(&format!("{own}/check-out"), out).await.0, 200);
}

#[tokio::test]
async fn bodies_and_pauses_of_refusals_are_as_they_are_asked_for() {
    let (amfj, caller) = site(3).await;
    let own = path_of(&amfj.assets()[0].id);
    let table = [
        (Body::Foreign, "request_id"),
        (Body::Html, "<html>"),
        (Body::Empty, ""),
        (Body::Object, "{}"),
        (Body::Naming("Colour".to_owned()), "\"field\":\"Colour\""),
        (Body::NamingTheFirst, "\"field\":\"Memory\""),
        (Body::Text("{\"error\":".to_owned()), "{\"error\":"),
    ];
    for (body, wanted) in table {
        amfj.personalities().clear();
        let oddity = Oddity::refuse(503).saying(body).asking_to_wait(RetryAfter::Date(90));
        amfj.personality(Personality::new(oddity));
        let sent = Some(json!({ "fields": { "Memory": "1 GB" } }));
        let response = caller.send(Method::PATCH, &own, sent).await.unwrap();
        assert_eq!(response.status(), 503);
        let header = response.headers()["retry-after"].to_str().unwrap().to_owned();
        assert!(header.ends_with("GMT"), "{header}");
        let text = response.text().await.unwrap();
        assert!(text.contains(wanted), "{text}");
    }
}

#[tokio::test]
async fn a_success_may_come_without_a_record_and_an_answer_may_be_lost() {
    let (amfj, caller) = site(3).await;
    let new = |name: &str| json!({ "name": name, "asset_type_id": "type-1" });
    let bodies = [Body::Empty, Body::Object, Body::Id, Body::Null, Body::Html];
    for (number, body) in bodies.into_iter().enumerate() {
        amfj.personalities().clear();
        amfj.personality(Personality::new(Oddity::succeed(204, body)).at(Kind::CreateAsset));
        let name = format!("New {number}");
        assert_eq!(caller.post("/assets", new(&name)).await.0, 204);
        assert_eq!(amfj.assets_named(&name).len(), 1);
    }
    amfj.personalities().clear();
    for (oddity, made) in [
        (Oddity::Lose { done: false }, 0),
        (Oddity::Lose { done: true }, 1),
        (Oddity::Silence { ms: 5, done: true }, 1),
    ] {
        let name = format!("{oddity:?}");
        amfj.personality(Personality::new(oddity).of(&name));
        assert!(caller.send(Method::POST, "/assets", Some(new(&name))).await.is_err());
        assert_eq!(amfj.assets_named(&name).len(), made, "{name}");
    }
    amfj.personality(Personality::new(Oddity::refuse(500).after_doing()).of("Done"));
    assert_eq!(caller.post("/assets", new("Done")).await.0, 500);
    assert_eq!(amfj.assets_named("Done").len(), 1);
}

#[tokio::test]
async fn values_are_kept_in_another_form_or_not_at_all() {
    let (amfj, caller) = site(3).await;
    let asset = amfj.assets()[0].clone();
    let own = path_of(&asset.id);
    let table = [
        (Form::HtmlEscape, "Memory", json!("R&D <x>"), json!("R&amp;D &lt;x&gt;")),
        (Form::Trim, "Memory", json!(" x "), json!("x")),
        (Form::Cut(2), "Memory", json!("Zoë"), json!("Zo")),
        (Form::UpperCase, "Memory", json!("zoë"), json!("ZOË")),
        (Form::AsciiOnly, "Memory", json!("Zoë"), json!("Zo?")),
        (Form::BasicPlane, "Memory", json!("a😀b"), json!("ab")),
        (Form::Round(1), "Cores", json!(8.25), json!(8.3)),
        (Form::NumberAsText, "Cores", json!(8), json!("8")),
        (Form::DateTime, "Enrolled On", json!("2026-02-28"), json!("2026-02-28T00:00:00.000Z")),
        (Form::OtherCase, "Platform", json!("Mac"), json!("mAC")),
        (Form::YesNo, "Managed", json!(true), json!("Yes")),
    ];
    for (form, field, sent, stored) in table {
        amfj.personalities().clear();
        amfj.personality(Personality::new(Oddity::stores_as(form.clone())).at(Kind::Writes));
        let patch = json!({ "fields": { field: sent } });
        let (status, answer) = caller.patch(&own, patch.clone()).await;
        assert_eq!((status, &answer["fields"][field]), (200, &stored), "{form:?}");
        amfj.personalities().clear();
        let oddity = Oddity::stores_as(form).showing_what_was_sent();
        amfj.personality(Personality::new(oddity));
        assert_eq!(caller.patch(&own, patch).await.1["fields"][field], sent, "the answer lies");
        assert_eq!(caller.get(&own).await.1["fields"][field], stored);
    }
    amfj.personalities().clear();
    amfj.set_field(&asset.id, "Memory", json!("old")).unwrap();
    let patch = json!({ "fields": { "Memory": "new", "Cores": 2 } });
    amfj.personality(Personality::new(Oddity::ignores().in_field("Memory").showing_what_was_sent()));
    assert_eq!(caller.patch(&own, patch.clone()).await.1["fields"]["Memory"], json!("new"), "a lie");
    let kept = caller.get(&own).await.1["fields"].clone();
    assert_eq!((&kept["Memory"], &kept["Cores"]), (&json!("old"), &json!(2)));
    amfj.personalities().clear();
    amfj.personality(Personality::new(Oddity::ignores()));
    assert_eq!(caller.patch(&own, patch).await.1["fields"]["Memory"], json!("old"));
    let out = json!({ "user_id": amfj.users()[0].id });
    assert_eq!(caller.post(&format!("{own}/check-out"), out).await.0, 200);
    assert_eq!((amfj.asset(&asset.id).unwrap().holder, amfj.handovers().len()), (None, 0));
    let new = json!({ "name": "Forgetful", "asset_type_id": asset.asset_type_id, "fields": { "Cores": 2 } });
    assert_eq!(caller.post("/assets", new).await.1["fields"], json!({}));
}

#[tokio::test]
async fn lists_are_late_incomplete_repeated_or_without_end() {
    let (amfj, caller) = site(250).await;
    let assets = amfj.assets();
    let count = |rows: &[Value], id: &str| rows.iter().filter(|row| row["id"] == json!(id)).count();
    amfj.personality(Personality::new(Oddity::Hide).at(Kind::ListAssets).of(&assets[7].id).times(1));
    amfj.personality(Personality::new(Oddity::Repeat).at(Kind::Lists).of(&assets[99].name));
    amfj.personality(Personality::new(Oddity::Repeat).at(Kind::Lists).of(&assets[240].name));
    let rows = caller.list("/assets").await;
    let counts = [7, 99, 240, 1].map(|position| count(&rows, &assets[position].id));
    assert_eq!(counts, [0, 2, 2, 1]);
    assert_eq!(count(&caller.list("/assets").await, &assets[7].id), 1, "once only");
    assert_eq!(caller.get(&path_of(&assets[7].id)).await.0, 200);

    amfj.personalities().clear();
    amfj.personality(Personality::new(Oddity::Circle).at(Kind::ListAssets));
    let mut cursor = String::new();
    let mut seen = 0;
    for _ in 0..7 {
        let (status, page) = caller.get(&format!("/assets?limit=100{cursor}")).await;
        assert_eq!(status, 200, "{page}");
        seen += page["results"].as_array().unwrap().len();
        let next = page["next_cursor"].as_str().unwrap();
        cursor = format!("&cursor={}", next.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D"));
    }
    assert!(seen > 500, "round and round: {seen}");

    amfj.personalities().clear();
    amfj.personality(Personality::new(Oddity::ListLate { ms: 60_000 }).of("Late"));
    for name in ["Late", "Prompt"] {
        let new = json!({ "name": name, "asset_type_id": "type-1" });
        assert_eq!(caller.post("/assets", new).await.0, 201);
    }
    let found = |name: &'static str| {
        let caller = &caller;
        async move { caller.get(&format!("/assets?name={name}")).await.1["results"].as_array().unwrap().len() }
    };
    assert_eq!((found("Late").await, found("Prompt").await), (0, 1));
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
}

#[tokio::test]
async fn searches_find_too_little_or_too_much() {
    let (amfj, caller) = site(5).await;
    let table = [(Search::Nothing, 0), (Search::AnyCase, 2), (Search::Contains, 3), (Search::Everything, 8)];
    for name in ["Ada", "ADA", "Ada 2"] {
        amfj.add_asset(name, "Laptop").unwrap();
    }
    for (search, found) in table {
        amfj.personalities().clear();
        amfj.personality(Personality::new(search).at(Kind::SearchAssets));
        let rows = caller.get("/assets?name=Ada").await.1;
        assert_eq!(rows["results"].as_array().unwrap().len(), found, "{search:?}");
    }
}

#[tokio::test]
async fn records_are_shown_in_other_shapes_and_found_by_them() {
    let (amfj, caller) = site(4).await;
    let asset = amfj.assets()[0].clone();
    let shapes = [
        Shape::null("/name"),
        Shape::null("/fields"),
        Shape::missing("/created_at"),
        Shape::no_zone("/updated_at"),
        Shape::broken_text("/name"),
        Shape::NumericId,
        Shape::NotAnObject(json!("gone")),
    ];
    for shape in shapes {
        amfj.personalities().clear();
        amfj.personality(Personality::new(shape.clone()).of(&asset.id));
        let response = caller.send(Method::GET, "/assets", None).await.unwrap();
        let text = response.text().await.unwrap();
        if shape == Shape::broken_text("/name") {
            assert!(text.contains("\\ud83d\""), "{text}");
            continue;
        }
        let rows: Value = serde_json::from_str(&text).unwrap();
        let changed = rows["results"].as_array().unwrap().iter().filter(|row| {
            serde_json::from_value::<amfj_sync_model::amfj::Asset>((*row).clone()).is_err()
                || row["created_at"].is_null()
                || row["name"].is_null()
                || row["fields"].is_null()
                || row["id"].is_number()
        });
        assert!(changed.count() <= 1, "{shape:?} is of one record alone");
        assert_eq!(rows["results"].as_array().unwrap().len(), 4);
    }
    amfj.personalities().clear();
    amfj.personality(Personality::new(Shape::NumericIds));
    let (_, rows) = caller.get("/assets").await;
    let number = rows["results"][0]["id"].as_u64().unwrap();
    let own = format!("/assets/{number}");
    let user = caller.get("/users").await.1["results"][0]["id"].clone();
    let out = json!({ "user_id": user.to_string() });
    let (status, answer) = caller.post(&format!("{own}/check-out"), out).await;
    assert_eq!((status, &answer["checked_out_to"]["id"]), (200, &user), "{answer}");
    assert_eq!(caller.get(&own).await.1["name"], json!(asset.name));
    assert!(amfj.violations().is_empty(), "{:?}", amfj.violations());
}

#[tokio::test]
async fn a_tenant_has_personalities_too() {
    let fleet = plain(20);
    let kandji = KandjiSim::start(&fleet, quick()).await.unwrap();
    let caller = Caller::kandji(&kandji);
    let (first, second) = (&fleet.devices[0], &fleet.devices[1]);
    kandji.personality(Personality::new(Oddity::refuse(403)).at(Kind::ReadDetails).of(&first.serial_number));
    kandji.personality(
        Personality::new(Shape::null("/device_name")).at(Kind::ListDevices).of(&first.device_id),
    );
    kandji.personality(Personality::new(Oddity::Hide).at(Kind::ListDevices).of(&second.device_name));
    assert_eq!(caller.get(&format!("/devices/{}/details", first.device_id)).await.0, 403);
    assert_eq!(caller.get(&format!("/devices/{}/details", second.device_id)).await.0, 200);
    let rows = caller.get("/devices?ordering=device_id").await.1;
    assert_eq!(rows.as_array().unwrap().len(), 19);
    assert_eq!(rows[0]["device_name"], Value::Null);
    kandji.personality(Personality::new(Oddity::refuse(200).saying(Body::Html)).times(1));
    assert!(caller.get("/devices").await.1.is_string(), "HTML for a moment");
    assert!(caller.get("/devices").await.1.is_array());
}

#[tokio::test]
async fn personalities_are_given_and_ended_from_another_process() {
    let (amfj, caller) = site(3).await;
    let control = Caller::new(format!("{}/_sim", amfj.control_url()), String::new());
    let refusal = json!({ "kinds": ["update_asset"], "oddity": { "refuse": { "status": 451 } } });
    let (status, added) = control.post("/personality", refusal).await;
    assert_eq!(status, 200, "{added}");
    let own = path_of(&amfj.assets()[0].id);
    assert_eq!(caller.patch(&own, json!({ "name": "x" })).await.0, 451);
    assert_eq!(control.get("/personalities").await.1.as_array().unwrap().len(), 1);
    let end = format!("/personality?id={}", added["id"]);
    assert_eq!(control.send(Method::DELETE, &end, None).await.unwrap().status(), 200);
    assert_eq!(control.send(Method::DELETE, &end, None).await.unwrap().status(), 400);
    assert_eq!(caller.patch(&own, json!({ "name": "x" })).await.0, 200);
    let lasting = Personality::new(Oddity::refuse(423)).lasting(Duration::from_millis(1));
    amfj.personality(lasting);
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(caller.patch(&own, json!({ "name": "y" })).await.0, 200, "it was over");
}
