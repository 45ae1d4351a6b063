//! offset-put: an inventory of the older kind.

use amfj_sync_amfj::client::{AssetPatch, Assigned, NewAsset};
use amfj_sync_http::{Answered, CallError};
use axum::response::Response;
use serde_json::{Value, json};

use super::support::{Seen, Stub, TOKEN, answer, empty, fields, id, record, under};

fn old_asset(number: u64, custody: &Value) -> Value {
    json!({
        "assetId": number, "title": format!("Mac {number}"), "typeId": 3, "place": {"placeId": 11, "label": "HQ / Lab"},
        "custody": custody, "audit": {"created": "2026-07-01 10:00:00"}, "colour of the box": "grey",
        "attributes": [
            {"definitionId": 71, "content": "01/07/2026", "note": "kept"}, {"definitionId": 72, "content": "Yes"},
            {"definitionId": 73, "content": 5}, {"definitionId": 99, "content": "unknown"}
        ]
    })
}

fn old(seen: &Seen) -> Response {
    let definition = |id: u64, label: &str, kind: &str| {
        json!({"definitionId": id, "label": label, "kind": kind, "mandatory": false, "typeIds": [3],
               "choices": [{"choiceId": 5, "label": "Red"}, {"choiceId": 6, "label": "Blue"}]})
    };
    let list = |items: Value| json!({"data": {"items": items, "total": 3}});
    match (seen.method.as_str(), seen.target.as_str()) {
        ("GET", "/api/inventory/assets?limit=50") => {
            let sam = json!({"personId": 8, "personName": "Sam"});
            answer(200, &list(json!([old_asset(1, &sam), old_asset(2, &Value::Null)])))
        }
        ("GET", "/api/inventory/assets?limit=50&offset=2") => {
            let mut row = old_asset(3, &Value::Null);
            row.as_object_mut().unwrap().remove("custody");
            answer(200, &list(json!([row])))
        }
        ("GET", target) if target.starts_with("/api/inventory/definitions") => answer(
            200,
            &list(json!([
                definition(71, "Bought", "day"),
                definition(72, "Leased", "switch"),
                definition(73, "Colour", "choice"),
                definition(74, "Memory", "line"),
                definition(75, "Cores", "integer")
            ])),
        ),
        ("GET", target) if target.starts_with("/api/inventory/types") => {
            answer(200, &list(json!([{"typeId": 3, "label": "Laptop"}])))
        }
        ("GET", "/api/inventory/places") => answer(
            200,
            &list(json!([{"placeId": 10, "label": "HQ", "places": [{"placeId": 11, "label": "Lab"}]}])),
        ),
        ("GET", "/api/inventory/asset?assetId=1") => {
            answer(200, &json!({"data": old_asset(1, &json!({"personId": 8, "personName": "Sam"}))}))
        }
        ("GET", "/api/inventory/asset?assetId=404") => {
            answer(422, &json!({"errors": [{"code": "NO_SUCH_ASSET", "text": "gone"}]}))
        }
        ("POST", "/api/inventory/assets") => answer(201, &json!({"data": {"assetId": 1}})),
        ("PUT", "/api/inventory/asset?assetId=1") if seen.text.contains("refuse") => {
            answer(400, &json!({"errors": [{"code": "BAD", "text": "no such memory", "definitionId": 74}]}))
        }
        ("PUT", _) | ("DELETE", "/api/inventory/asset/1/custody") => empty(204),
        ("POST", "/api/inventory/asset/1/custody") => {
            answer(423, &json!({"errors": [{"text": "Sam has it"}]}))
        }
        _ => answer(404, &json!({"text": "no such address"})),
    }
}

#[tokio::test]
async fn an_old_inventory_is_read_with_its_keys_words_dates_and_tree() {
    let stub = Stub::start(old).await;
    let client = stub.client("offset-put");
    let first = client.assets_page(None).await.unwrap();
    assert_eq!((first.rows, first.lost.len(), first.odd.len()), (2, 0, 0), "{first:?}");
    let asset = &first.results[0];
    assert_eq!((asset.id.as_str(), asset.name.as_str(), asset.asset_type.id.as_str()), ("1", "Mac 1", "3"));
    assert_eq!(asset.location.as_ref().unwrap().id, "11");
    assert_eq!(asset.checked_out_to.as_ref().unwrap().id.as_str(), "8");
    assert_eq!(asset.created_at.unwrap().to_string(), "2026-07-01T10:00:00Z");
    let wanted = fields([("Bought", json!("2026-07-01")), ("Leased", json!(true)), ("Colour", json!("Red"))]);
    assert_eq!(asset.fields, wanted);
    assert_eq!(first.results[1].checked_out_to, None, "null is nobody");
    let second = client.assets_page(first.next.as_deref()).await.unwrap();
    let holder = second.results[0].checked_out_to.as_ref().expect("what is not shown is not nobody (P30)");
    assert!(!holder.is_readable() && second.odd.len() == 1, "{second:?}");
    let places: Vec<String> =
        client.locations().await.unwrap().results.into_iter().map(|place| place.name).collect();
    assert_eq!(places, ["HQ", "HQ / Lab"]);
    let types = client.asset_types().await.unwrap().results;
    assert_eq!(
        types[0].fields.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(),
        ["Bought", "Leased", "Colour", "Memory", "Cores"]
    );
    let seen = stub.seen.lock()[0].clone();
    assert_eq!((seen.headers["x-api-key"].as_str(), seen.headers["x-api-client"].as_str()), (TOKEN, "c1"));
    assert!(!seen.headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_old_inventory_gets_the_whole_record_back_with_what_is_unknown_kept() {
    let stub = Stub::start(old).await;
    let client = stub.client("offset-put");
    let patch = AssetPatch {
        fields: fields([
            ("Bought", Value::Null),
            ("Cores", json!(8)),
            ("Colour", json!("Blue")),
            ("Leased", json!(false)),
        ]),
        ..AssetPatch::default()
    };
    let error = client.update_asset(&id("1"), &patch).await.unwrap_err();
    assert!(error.is_unshown_success(), "it answers nothing, so it is read back: {error}");
    let sent = stub.writes();
    assert_eq!(sent.len(), 1);
    assert_eq!(
        sent[0].body,
        json!({
            "assetId": 1, "title": "Mac 1", "typeId": 3, "placeId": 11, "colour of the box": "grey",
            "attributes": [
                {"definitionId": 72, "content": "No"}, {"definitionId": 73, "content": 6},
                {"definitionId": 99, "content": "unknown"}, {"definitionId": 75, "content": "8"}
            ]
        })
    );
}

#[tokio::test]
async fn an_old_inventory_says_the_id_of_what_it_made_and_that_is_read() {
    let stub = Stub::start(old).await;
    let client = stub.client("offset-put");
    let new = NewAsset {
        name: "Mac 1".to_owned(),
        asset_type_id: "3".to_owned(),
        location_id: Some("11".to_owned()),
        fields: fields([("Memory", json!("8 GB"))]),
    };
    let made = client.create_asset(&new).await.unwrap();
    assert_eq!(made.id.as_str(), "1");
    let sent = stub.writes();
    assert_eq!(
        (sent.len(), &sent[0].body),
        (
            1,
            &json!({"status": "in use", "title": "Mac 1", "typeId": 3, "placeId": 11,
                    "attributes": [{"definitionId": 74, "content": "8 GB"}]})
        )
    );
}

#[tokio::test]
async fn refusals_of_an_old_inventory_mean_what_its_profile_says() {
    let stub = Stub::start(old).await;
    let client = stub.client("offset-put");
    let patch = AssetPatch { fields: fields([("Memory", json!("refuse"))]), ..AssetPatch::default() };
    let error = client.update_asset(&id("1"), &patch).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::Value { field: "Memory".to_owned() }, "{error}");
    assert!(error.to_string().contains("400 Bad Request “no such memory”"), "{error}");
    assert_eq!(client.asset(&id("404")).await, Ok(None), "a code says that it is gone");
    let taken = client.check_out(&id("1"), &record("9"), None).await.unwrap();
    assert!(matches!(taken, Assigned::Conflict { .. }), "{taken:?}");
    assert!(client.check_in(&id("1"), None).await.unwrap_err().is_unshown_success());
    let unknown = AssetPatch { fields: fields([("Nonsense", json!(1))]), ..AssetPatch::default() };
    let error = client.update_asset(&id("1"), &unknown).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::Value { field: "Nonsense".to_owned() }, "{error}");
    assert!(!error.may_have_happened());
    assert_eq!(stub.writes().len(), 3, "nothing was sent for what has no key");
}

#[tokio::test]
async fn what_has_to_be_read_before_and_cannot_be_says_that_nothing_was_written() {
    let stub =
        Stub::start(|seen| if seen.target.contains("/asset?") { answer(503, &json!({})) } else { old(seen) })
            .await;
    let patch = AssetPatch { name: Some("n".to_owned()), ..AssetPatch::default() };
    let error = stub.client("offset-put").update_asset(&id("1"), &patch).await.unwrap_err();
    assert!(matches!(&error, CallError::Before { .. }) && !error.may_have_happened(), "{error:?}");
    assert!(error.is_transient() && error.said().contains("nothing was written"), "{}", error.said());
    assert_eq!(stub.writes().len(), 0);
}

#[tokio::test]
async fn who_has_an_asset_by_email_has_it_still_when_the_whole_record_is_written_back() {
    let stub = Stub::start(|seen| {
        if seen.is("GET", "/api/inventory/asset?assetId=1") {
            answer(
                200,
                &json!({"data": old_asset(1, &json!({"mail": "sam@example.com", "personName": "Sam"}))}),
            )
        } else {
            old(seen)
        }
    })
    .await;
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/profiles/offset-put.toml");
    let mut text = std::fs::read_to_string(file).unwrap();
    for (line, by) in [
        (", \"X-Api-Client\" = \"{{ client_id }}\"", ""),
        ("holder = { id = \"/custody/personId\"", "holder = { email = \"/custody/mail\""),
        ("location = \"/placeId\"", "location = \"/placeId\"\nholder = \"/custodian\""),
    ] {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, by, 1);
    }
    let patch = AssetPatch { name: Some("n".to_owned()), ..AssetPatch::default() };
    let error = under(&stub, &text).update_asset(&id("1"), &patch).await.unwrap_err();
    assert!(error.is_unshown_success(), "{error}");
    let sent = stub.writes();
    assert_eq!(
        (&sent[0].body["title"], &sent[0].body["custodian"]),
        (&json!("n"), &json!("sam@example.com"))
    );
    assert_eq!(sent[0].body.get("custody"), None);
}
