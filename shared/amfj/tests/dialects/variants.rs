//! The dialects with one thing otherwise.

use std::sync::Arc;

use amfj_sync_amfj::client::{AssetPatch, Assigned, NewAsset};
use axum::body::Body;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};

use super::flat::flat;
use super::support::{Seen, Stub, answer, fields, id, profile, record, under};

/// A profile with texts in place of others.
fn with(dialect: &str, changes: &[(&str, &str)]) -> String {
    let mut text = profile(dialect);
    for (line, by) in changes {
        assert!(text.contains(line), "{line}");
        text = text.replacen(line, by, 1);
    }
    text
}

fn tagged(tag: &str, body: &Value) -> Response {
    Response::builder().header("ETag", tag).body(Body::from(body.to_string())).unwrap()
}

fn row(holder: &str) -> Value {
    json!({"uid": "a2", "asset_name": "Mac", "type": "Laptop", "location": "", "holder": holder, "cf_x": "kept"})
}

const COMPARED: [(&str, &str); 1] = [(
    "method = \"PATCH\"\npath = \"rows/assets/{{ id }}\"\nupdate = \"changed\"",
    "method = \"PUT\"\npath = \"rows/assets/{{ id }}\"\nupdate = \"replace\"\nif_match = true",
)];

/// Between the look and the write somebody else takes the asset: what is written is compared with what was looked at.
#[tokio::test]
async fn a_holder_that_is_put_with_the_whole_record_is_compared_with_the_look_that_found_nobody() {
    let looks = Arc::new(Mutex::new(0));
    let stub =
        Stub::start(move |seen: &Seen| match (seen.method.as_str(), seen.target.contains("/assets/a2")) {
            ("GET", true) => {
                *looks.lock() += 1;
                if *looks.lock() == 1 { tagged("one", &row("")) } else { tagged("two", &row("u9")) }
            }
            ("PUT", true) if seen.headers["if-match"] != "two" => answer(412, &json!({"message": "changed"})),
            ("PUT", true) => answer(200, &row("u1")),
            _ => flat(seen),
        })
        .await;
    let client = under(&stub, &with("prefix-members", &COMPARED));
    let taken = client.check_out(&id("a2"), &record("u1"), None).await.unwrap();
    assert!(matches!(&taken, Assigned::Conflict { reason } if reason.contains("has the asset")), "{taken:?}");
    let sent = stub.writes();
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert_eq!(sent[0].headers["if-match"], "one");
    assert_eq!((&sent[0].body["holder"], &sent[0].body["cf_x"]), (&json!("u1"), &json!("kept")));
}

#[tokio::test]
async fn a_holder_that_is_put_is_read_once_and_written_once() {
    let stub = Stub::start(|seen: &Seen| match (seen.method.as_str(), seen.target.contains("/assets/a2")) {
        ("GET", true) => tagged("one", &row("")),
        ("PUT", true) => answer(200, &row("u1")),
        _ => flat(seen),
    })
    .await;
    let client = under(&stub, &with("prefix-members", &COMPARED));
    let done = client.check_out(&id("a2"), &record("u1"), None).await.unwrap();
    assert!(matches!(done, Assigned::Done(_)), "{done:?}");
    let of_the_asset = stub.seen.lock().iter().filter(|seen| seen.target.contains("/assets/a2")).count();
    assert_eq!(of_the_asset, 2);
}

/// What a creation calls the type is its name, and not its id.
#[tokio::test]
async fn a_new_asset_is_of_the_type_of_that_name() {
    let stub =
        Stub::start(|seen: &Seen| match (seen.method.as_str(), seen.target.split('?').next().unwrap()) {
            ("GET", "/api/rows/types") => answer(200, &json!([{"key": "t-7", "name": "Laptop"}])),
            ("POST", "/api/rows/Laptop") => answer(201, &row("")),
            _ => flat(seen),
        })
        .await;
    let text = with(
        "prefix-members",
        &[
            ("[asset_type]\nid = \"/name\"", "[asset_type]\nid = \"/key\""),
            (
                "method = \"POST\"\npath = \"rows/assets\"",
                "method = \"POST\"\npath = \"rows/{{ asset_type.name }}\"",
            ),
        ],
    );
    let client = under(&stub, &text);
    let new = |asset_type_id: &str| NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: asset_type_id.to_owned(),
        location_id: None,
        fields: fields([]),
    };
    assert_eq!(client.create_asset(&new("t-7")).await.unwrap().id.as_str(), "a2");
    let error = client.create_asset(&new("t-8")).await.unwrap_err();
    assert!(!error.may_have_happened() && error.to_string().contains("no asset type of this id"), "{error}");
    assert_eq!(stub.writes().len(), 1);
}

/// Two types have a field of their own that is called the same: the type of the record says which one is meant.
#[tokio::test]
async fn of_two_fields_of_one_name_that_of_the_assets_type_is_written_and_read() {
    let definition =
        |id: u64, of: u64| json!({"definitionId": id, "label": "Notes", "kind": "line", "typeIds": [of]});
    let stub = Stub::start(move |seen: &Seen| {
        let asset = |kind: u64| {
            json!({"assetId": 1, "title": "Mac", "typeId": kind, "place": null, "custody": null, "audit": {},
                   "attributes": [{"definitionId": 80 + kind, "content": "old"}]})
        };
        let all = |items: Value| answer(200, &json!({"data": {"items": items, "total": 2}}));
        match (seen.method.as_str(), seen.target.split(['?', '&']).next().unwrap()) {
            ("GET", "/api/inventory/types") => {
                all(json!([{"typeId": 3, "label": "Laptop"}, {"typeId": 4, "label": "Phone"}]))
            }
            ("GET", "/api/inventory/definitions") => all(json!([definition(83, 3), definition(84, 4)])),
            ("GET", "/api/inventory/asset") => answer(200, &json!({"data": asset(4)})),
            ("POST", _) => answer(201, &json!({"data": {"assetId": 1}})),
            _ => answer(204, &Value::Null),
        }
    })
    .await;
    let text = with("offset-put", &[(", \"X-Api-Client\" = \"{{ client_id }}\"", "")]);
    let client = under(&stub, &text);
    let read = client.asset(&id("1")).await.unwrap().unwrap();
    assert_eq!(read.fields, fields([("Notes", json!("old"))]));
    let patch = AssetPatch { fields: fields([("Notes", json!("new"))]), ..AssetPatch::default() };
    assert!(client.update_asset(&id("1"), &patch).await.unwrap_err().is_unshown_success());
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "3".to_owned(),
        location_id: None,
        fields: fields([("Notes", json!("new"))]),
    };
    client.create_asset(&new).await.unwrap();
    let written: Vec<Value> = stub.writes().iter().map(|seen| seen.body["attributes"].clone()).collect();
    let pair = |id: u64| json!([{"definitionId": id, "content": "new"}]);
    assert_eq!(written, [pair(84), pair(83)]);
}

/// Id and secret are sent as a form has them (RFC 6749): a colon in the id would end it.
#[tokio::test]
async fn a_client_id_with_a_colon_is_encoded_before_it_is_sent_with_basic_authentication() {
    let stub = Stub::start(|seen: &Seen| match seen.target.as_str() {
        "/oauth/token" => answer(200, &json!({"access_token": "access"})),
        _ => answer(410, &json!({"title": "nothing here"})),
    })
    .await;
    let text = with(
        "envelope-jobs",
        &[
            ("client_id = \"amfj-sync\"", "client_id = \"team:sync\""),
            ("client_authentication = \"body\"", "client_authentication = \"basic\""),
        ],
    );
    assert_eq!(under(&stub, &text).asset(&id("a1")).await, Ok(None));
    let asked = stub.seen.lock()[0].clone();
    // "team%3Async" and the token.
    assert_eq!(asked.headers["authorization"], "Basic dGVhbSUzQXN5bmM6N2MwZmZlZTEtdG9rZW4=");
    assert!(!asked.text.contains("client_secret"), "{}", asked.text);
}
