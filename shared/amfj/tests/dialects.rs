//! The client under profiles that differ from the assumed contract in every row of what a profile can say: what is sent, what is
//! understood, and what is known after a failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its stub has failed")]
#![expect(clippy::disallowed_methods, reason = "a date in HTTP is one of the clock of the system")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_amfj::client::{AmfjClient, AssetPatch, Assigned, NewAsset, UserPatch};
use amfj_sync_amfj::probe;
use amfj_sync_amfj::profile::{self, Op};
use amfj_sync_config::{self as config, Config, Tokens};
use amfj_sync_http::{Answered, CallError, Limiter};
use amfj_sync_model::amfj::{Asset, Source};
use amfj_sync_model::ids::{AssetId, RecordId};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use parking_lot::Mutex;
use serde_json::{Value, json};

const TOKEN: &str = "7c0ffee1-token";

#[derive(Clone, Debug)]
struct Seen {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Value,
    text: String,
}

impl Seen {
    fn is(&self, method: &str, target: &str) -> bool {
        self.method == method && self.target == target
    }
}

struct Stub {
    base: url::Url,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Stub {
    async fn start(answer: impl Fn(&Seen) -> Response + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/api", listener.local_addr().unwrap()).parse().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (seen.clone(), Arc::new(answer));
        let app = Router::new().fallback(move |request: Request| {
            let (log, answer) = (log.clone(), answer.clone());
            async move {
                let (head, body) = request.into_parts();
                let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
                let text = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
                    (name.to_string(), value.to_str().unwrap().to_owned())
                };
                let seen = Seen {
                    method: head.method.to_string(),
                    target: head.uri.to_string(),
                    headers: head.headers.iter().map(text).collect(),
                    body: serde_json::from_slice(&body).unwrap_or(Value::Null),
                    text: String::from_utf8_lossy(&body).into_owned(),
                };
                log.lock().push(seen.clone());
                answer(&seen)
            }
        });
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { base, seen }
    }

    fn config(&self, dialect: &str, more: &str) -> Config {
        let profile = format!("{}/../../tests/profiles/{dialect}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = format!(
            "[[integration]]\nid = \"acme\"\nmode = \"apply\"\n\
             [integration.kandji]\napi_url = \"https://acme.api.kandji.io\"\ntoken = {{ env = \"T\" }}\n\
             [integration.amfj]\napi_url = \"{}\"\ntoken = {{ env = \"T\" }}\nprofile = \"{profile}\"\nclient_id = \"c1\"\n\
             request_timeout = \"700ms\"\n{more}\n\
             [integration.sync]\ndefault_asset_type = \"Laptop\"\n",
            self.base
        );
        let variables = BTreeMap::from([("T".to_owned(), TOKEN.to_owned())]);
        config::parse("amfj-sync.toml".as_ref(), text, &variables, Tokens::Both)
            .unwrap_or_else(|e| panic!("{e}"))
            .config
    }

    fn client(&self, dialect: &str) -> AmfjClient {
        let config = self.config(dialect, "");
        AmfjClient::from_config(&config.integrations[0].amfj, Limiter::new(1000.0)).unwrap()
    }

    fn writes(&self) -> Vec<Seen> {
        self.seen.lock().iter().filter(|seen| seen.method != "GET").cloned().collect()
    }
}

fn answer(status: u16, body: &Value) -> Response {
    Response::builder().status(status).body(Body::from(body.to_string())).unwrap()
}

fn empty(status: u16) -> Response {
    Response::builder().status(status).body(Body::empty()).unwrap()
}

fn id(text: &str) -> AssetId {
    AssetId::new(text).unwrap()
}

fn record(text: &str) -> RecordId {
    RecordId::new(text).unwrap()
}

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> BTreeMap<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

// ---- offset-put: an inventory of the older kind -------------------------------------------------

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

// ---- envelope-jobs: a young, asynchronous interface ---------------------------------------------

fn young_asset(assignee: &Value) -> Value {
    json!({"attributes": {"name": "Mac", "type": "Laptop", "site": "HQ", "assignee": assignee,
                          "custom": {"f1": 1_782_856_800_000_i64, "f2": "8 GB"}},
           "meta": {"created": 1_782_900_000_000_i64}})
}

fn young(seen: &Seen) -> Response {
    let people = json!({"u1": {"attributes": {"name": "Sam", "email": "Sam@example.com"}, "meta": {"managed_by": "atlassian"}},
                        "u2": {"attributes": {"name": "Kim", "email": "kim@example.com"}, "meta": {}}});
    let field = |title: &str, kind: &str| json!({"attributes": {"title": title, "schema": {"type": kind, "required": false}}});
    let job = |state: &str| json!({"state": state, "job": "/api/jobs/7", "result": {"id": "a1"}});
    match (seen.method.as_str(), seen.target.as_str()) {
        ("POST", "/oauth/token") => {
            answer(200, &json!({"access_token": format!("access-{}", seen.text.len()), "expires_in": 3600}))
        }
        ("GET", "/api/v3/assets?page%5Bsize%5D=100") => answer(
            200,
            &json!({"records": {"a1": young_asset(&json!({"email": "sam@example.com", "name": "Sam"})), "a2": young_asset(&Value::Null)},
                    "links": {"next": "/api/v3/assets?after=a2"}}),
        ),
        ("GET", "/api/v3/assets?after=a2") => answer(
            200,
            &json!({"records": {"a3": young_asset(&json!({"email": "gone@example.com", "name": "Gone"}))},
                    "links": {"next": "https://evil.example/assets"}}),
        ),
        ("GET", "/api/v3/assets/a1") => {
            answer(200, &json!({"record": young_asset(&json!({"email": "sam@example.com", "name": "Sam"}))}))
        }
        ("GET", "/api/v3/assets/a2") => answer(200, &json!({"record": young_asset(&Value::Null)})),
        ("GET", target) if target.starts_with("/api/v3/people-fields") => {
            answer(200, &json!({"records": {}}))
        }
        ("GET", target) if target.starts_with("/api/v3/people/") => {
            let who = target.rsplit('/').next().unwrap();
            answer(200, &json!({"record": people[who]}))
        }
        ("GET", target) if target.starts_with("/api/v3/people") => answer(200, &json!({"records": people})),
        ("GET", target) if target.starts_with("/api/v3/types/Laptop/fields") => {
            answer(200, &json!({"records": {"f1": field("Bought", "date"), "f2": field("Memory", "text")}}))
        }
        ("GET", target) if target.starts_with("/api/v3/types") => {
            answer(200, &json!({"records": {"t1": {"attributes": {"name": "Laptop"}}}}))
        }
        ("POST", "/api/v3/assets") | ("PATCH", "/api/v3/assets/a1") => answer(202, &job("queued")),
        ("GET", "/api/jobs/7") => answer(200, &job("succeeded")),
        ("POST", "/api/v3/actions") => {
            answer(200, &json!({"record": young_asset(&json!({"email": "kim@example.com", "name": "Kim"}))}))
        }
        _ => answer(410, &json!({"title": "nothing here"})),
    }
}

#[tokio::test]
async fn a_young_interface_is_read_with_oauth_keys_addresses_and_emails() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let first = client.assets_page(None).await.unwrap();
    let asset = &first.results[0];
    assert_eq!(
        (asset.id.as_str(), asset.asset_type.id.as_str(), asset.asset_type.name.as_str()),
        ("a1", "Laptop", "Laptop")
    );
    assert_eq!(asset.checked_out_to.as_ref().unwrap().id.as_str(), "u1", "an email is who has it");
    assert_eq!(asset.fields, fields([("Bought", json!("2026-07-01")), ("Memory", json!("8 GB"))]));
    assert_eq!(first.results[1].checked_out_to, None);
    let error = client.assets_page(first.next.as_deref()).await.unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    assert_eq!(client.users_page(None).await.unwrap().results[0].source, Source::Jira);
    let seen = stub.seen.lock().clone();
    let tokens: Vec<&Seen> = seen.iter().filter(|seen| seen.target == "/oauth/token").collect();
    assert_eq!(tokens.len(), 1, "one token is good for many calls");
    for part in [
        "grant_type=client_credentials",
        "client_id=c1",
        "client_secret=7c0ffee1-token",
        "scope=assets+people",
    ] {
        assert!(tokens[0].text.contains(part), "{part}: {}", tokens[0].text);
    }
    assert!(
        seen.iter()
            .filter(|seen| seen.method == "GET")
            .all(|seen| seen.headers["authorization"].starts_with("Bearer access-"))
    );
    assert!(
        !seen.iter().filter(|seen| seen.method == "GET").any(|seen| format!("{seen:?}").contains(TOKEN)),
        "the secret goes nowhere else"
    );
}

#[tokio::test]
async fn an_access_token_that_is_refused_is_fetched_anew() {
    let refused = Arc::new(Mutex::new(false));
    let stub = Stub::start(move |seen| {
        let first = seen.method == "GET" && !std::mem::replace(&mut *refused.lock(), seen.method == "GET");
        if first { answer(401, &json!({"title": "expired"})) } else { young(seen) }
    })
    .await;
    let client = stub.client("envelope-jobs");
    assert!(client.asset(&id("a2")).await.is_ok());
    let fetched = stub.seen.lock().iter().filter(|seen| seen.target == "/oauth/token").count();
    assert_eq!(fetched, 2);
}

#[tokio::test]
async fn an_access_token_that_cannot_be_had_blames_the_token_and_sends_nothing() {
    let stub = Stub::start(|seen| {
        if seen.target == "/oauth/token" {
            answer(400, &json!({"error": "invalid_client"}))
        } else {
            young(seen)
        }
    })
    .await;
    let error = stub.client("envelope-jobs").asset(&id("a1")).await.unwrap_err();
    assert_eq!(Answered::of(&error), Answered::TokenRefused, "{error}");
    assert!(stub.seen.lock().iter().all(|seen| seen.target == "/oauth/token"));
}

#[tokio::test]
async fn a_job_is_looked_at_until_it_is_done() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "Laptop".to_owned(),
        location_id: None,
        fields: fields([("Bought", json!("2026-07-01"))]),
    };
    assert_eq!(client.create_asset(&new).await.unwrap().id.as_str(), "a1");
    let sent = stub.writes().into_iter().find(|seen| seen.is("POST", "/api/v3/assets")).unwrap();
    assert_eq!(
        sent.body,
        json!({"attributes": {"name": "Mac", "type": "Laptop", "custom": {"f1": 1_782_856_800_000_i64}}})
    );
    let patch = AssetPatch {
        fields: fields([("Memory", json!("9 GB")), ("Bought", Value::Null)]),
        ..AssetPatch::default()
    };
    assert!(client.update_asset(&id("a1"), &patch).await.unwrap_err().is_unshown_success());
    let sent = stub.writes().into_iter().find(|seen| seen.method == "PATCH").unwrap();
    assert_eq!(sent.headers["content-type"], "application/json-patch+json");
    assert_eq!(
        sent.body,
        json!([{"op": "add", "path": "/attributes/custom/f1", "value": null},
               {"op": "add", "path": "/attributes/custom/f2", "value": "9 GB"}])
    );
}

#[tokio::test]
async fn a_job_that_fails_is_a_refusal_and_one_that_does_not_end_may_have_happened() {
    let with = |state: &'static str| {
        move |seen: &Seen| {
            if seen.target == "/api/jobs/7" { answer(200, &json!({"state": state})) } else { young(seen) }
        }
    };
    let new = NewAsset {
        name: "Mac".to_owned(),
        asset_type_id: "Laptop".to_owned(),
        location_id: None,
        fields: BTreeMap::new(),
    };
    let failing = Stub::start(with("failed")).await;
    let error = failing.client("envelope-jobs").create_asset(&new).await.unwrap_err();
    assert_eq!((Answered::of(&error), error.may_have_happened()), (Answered::Refused, false), "{error}");
    let endless = Stub::start(with("running")).await;
    let error = endless.client("envelope-jobs").create_asset(&new).await.unwrap_err();
    assert!(matches!(error, CallError::Unknown { .. }) && error.may_have_happened(), "{error}");
    assert_eq!(
        endless.writes().iter().filter(|seen| seen.is("POST", "/api/v3/assets")).count(),
        1,
        "never twice"
    );
}

#[tokio::test]
async fn an_interface_that_takes_from_anybody_is_read_first_and_nobody_loses_an_asset() {
    let stub = Stub::start(young).await;
    let client = stub.client("envelope-jobs");
    let taken = client.check_out(&id("a1"), &record("u2"), None).await.unwrap();
    assert!(matches!(taken, Assigned::Conflict { .. }), "{taken:?}");
    assert!(!stub.writes().iter().any(|seen| seen.target == "/api/v3/actions"));
    let done = client.check_out(&id("a2"), &record("u2"), Some("by amfj-sync")).await;
    assert!(done.is_err() || matches!(done, Ok(Assigned::Done(_))), "{done:?}");
    let sent = stub.writes().into_iter().find(|seen| seen.target == "/api/v3/actions").unwrap();
    assert_eq!(
        sent.body,
        json!({"action": "assign", "asset": "a2", "assignee": "kim@example.com", "comment": "by amfj-sync"})
    );
}

// ---- prefix-members: flat records ----------------------------------------------------------------

fn flat_asset(uid: &str, holder: &str) -> Value {
    json!({"uid": uid, "asset_name": "Sam&#39;s Mac", "type": "Laptop", "location": "", "holder": holder, "holder_name": "Sam",
           "cf_mem": "8 &lt; 9", "cf_x": "y", "created": 1_782_900_000})
}

fn flat(seen: &Seen) -> Response {
    let path = seen.target.split('?').next().unwrap_or_default();
    let page = |number: u64, rows: Value| {
        let all = seen.target.contains(&format!("page={number}"));
        Response::builder()
            .header("X-Total-Count", "3")
            .body(Body::from(if all { rows } else { json!([]) }.to_string()))
            .unwrap()
    };
    match (seen.method.as_str(), path) {
        ("GET", "/api/rows/assets") if seen.target.contains("page=1&") => {
            page(1, json!([flat_asset("a1", "u1"), flat_asset("a2", "")]))
        }
        ("GET", "/api/rows/assets") => page(2, json!([flat_asset("a3", "")])),
        ("GET", "/api/rows/assets/a1") => answer(200, &flat_asset("a1", "u1")),
        ("GET", "/api/rows/assets/a2") => answer(200, &flat_asset("a2", "")),
        ("GET", "/api/rows/assets/gone") => empty(404),
        ("GET", "/api/rows/types") => answer(200, &json!([{"name": "Laptop"}])),
        ("GET", "/api/rows/columns/assets") => answer(
            200,
            &json!([{"caption": "Memory", "column": "mem"}, {"caption": "Model", "column": "model"}]),
        ),
        ("GET", "/api/rows/columns/people") => answer(200, &json!([])),
        ("GET", "/api/rows/people") => {
            answer(200, &json!([{"uid": "u1", "full_name": "Sam", "mail": "sam@example.com"}]))
        }
        ("PUT", "/api/rows/assets/a1/model") => {
            answer(422, &json!({"message": "no such model", "column": "model"}))
        }
        ("PUT", "/api/rows/assets/busy/mem") => Response::builder()
            .status(503)
            .header(
                "Retry-At",
                httpdate::fmt_http_date(std::time::SystemTime::now() + Duration::from_secs(30)),
            )
            .body(Body::from("busy"))
            .unwrap(),
        ("PUT", _) => empty(204),
        ("PATCH", "/api/rows/assets/a2") => {
            let mut shown = flat_asset("a2", "");
            shown.as_object_mut().unwrap().extend(seen.body.as_object().unwrap().clone());
            answer(200, &shown)
        }
        _ => answer(404, &json!({"message": "?"})),
    }
}

#[tokio::test]
async fn flat_records_are_read_page_by_page_with_the_token_in_the_query() {
    let stub = Stub::start(flat).await;
    let client = stub.client("prefix-members");
    let first = client.assets_page(None).await.unwrap();
    let asset = &first.results[0];
    assert_eq!((asset.name.as_str(), asset.location.as_ref()), ("Sam's Mac", None));
    assert_eq!(asset.fields, fields([("Memory", json!("8 < 9"))]));
    assert_eq!(first.results[1].checked_out_to, None);
    let second = client.assets_page(first.next.as_deref()).await.unwrap();
    assert_eq!((second.rows, second.next), (1, None));
    assert!(stub.seen.lock().iter().all(|seen| seen.target.contains(&format!("api_key={TOKEN}"))));
    assert_eq!(client.asset(&id("gone")).await, Ok(None), "its own refusals may be empty");
    assert!(!client.can(Op::FindAssetsByName) && client.probe().await.is_ok());
}

#[tokio::test]
async fn each_field_is_one_request_and_a_refusal_names_it_although_others_were_written() {
    let stub = Stub::start(flat).await;
    let client = stub.client("prefix-members");
    let patch = AssetPatch {
        fields: fields([("Memory", Value::Null), ("Model", json!("M9"))]),
        ..AssetPatch::default()
    };
    let error = client.update_asset(&id("a1"), &patch).await.unwrap_err();
    assert!(matches!(error, CallError::Partly { done: 1, of: 2, .. }), "{error:?}");
    assert_eq!(Answered::of(&error), Answered::Value { field: "Model".to_owned() });
    assert!(error.may_have_happened(), "one field was written");
    let sent = stub.writes();
    assert!(sent[0].target.starts_with("/api/rows/assets/a1/mem?"), "{}", sent[0].target);
    assert_eq!((&sent[0].body, &sent[1].body), (&json!({"value": ""}), &json!({"value": "M9"})));
    let busy = AssetPatch { fields: fields([("Memory", json!("1"))]), ..AssetPatch::default() };
    let error = client.update_asset(&id("busy"), &busy).await.unwrap_err();
    let Answered::AskedToWait { pause: Some(pause), out_of_order: false } = Answered::of(&error) else {
        panic!("503 is slow down here: {error:?}")
    };
    assert!((25..=31).contains(&pause.as_secs()), "{pause:?}");
}

#[tokio::test]
async fn the_holder_is_a_member_that_is_never_taken_from_somebody() {
    let stub = Stub::start(flat).await;
    let client = stub.client("prefix-members");
    let taken = client.check_out(&id("a1"), &record("u2"), None).await.unwrap();
    assert!(matches!(taken, Assigned::Conflict { .. }) && stub.writes().is_empty(), "{taken:?}");
    let done = client.check_out(&id("a2"), &record("u1"), None).await.unwrap();
    let Assigned::Done(asset) = done else { panic!("{done:?}") };
    assert_eq!(asset.checked_out_to.unwrap().id.as_str(), "u1");
    assert_eq!(stub.writes()[0].body, json!({"holder": "u1"}));
    client.check_in(&id("a2"), None).await.unwrap();
    assert_eq!(stub.writes()[1].body, json!({"holder": ""}));
}

// ---- What an interface cannot do -----------------------------------------------------------------

#[tokio::test]
async fn what_an_interface_cannot_do_is_refused_with_the_settings_name() {
    let stub = Stub::start(flat).await;
    let text = profile::show("assumed-v1").unwrap();
    let lacking = ["create_asset", "create_user", "check_out", "list_locations", "list_user_fields"];
    let mut reduced = text.to_owned();
    for op in lacking {
        let begin = reduced.find(&format!("[operations.{op}]")).unwrap();
        let end = reduced[begin + 1..].find("\n[").map_or(reduced.len(), |at| begin + 1 + at);
        reduced.replace_range(begin..end, "");
        reduced = reduced.replacen("absent = [", &format!("absent = [\"{op}\", "), 1);
    }
    let profile = profile::parse("amfj.toml".as_ref(), &reduced).unwrap_or_else(|errors| panic!("{errors}"));
    let config = stub.config("offset-put", "");
    let mut integration = config.integrations[0].clone();
    integration.sync.create_devices = config::CreateDevices::Always;
    integration.sync.auto_checkout = true;
    integration.sync.default_location = Some("HQ".to_owned());
    integration.sync.when_gone = config::WhenGone::CheckIn;
    let refusals = profile::refusals(&integration, &profile);
    for (setting, lacks) in [
        ("\"create_devices\"", "create_asset"),
        ("\"create_users\"", "create_user"),
        ("\"auto_checkout\"", "check_out"),
        ("\"default_location\"", "list_locations"),
    ] {
        let said = refusals
            .iter()
            .find(|refusal| refusal.contains(setting))
            .unwrap_or_else(|| panic!("{setting}: {refusals:?}"));
        assert!(said.contains(lacks) && said.contains("assumed-v1"), "{said}");
    }
    assert!(!refusals.iter().any(|refusal| refusal.contains("when_gone")), "it can check in: {refusals:?}");
    let all = profile::parse("amfj.toml".as_ref(), text).unwrap();
    assert_eq!(profile::refusals(&integration, &all), Vec::<String>::new());
}

#[tokio::test]
async fn a_profile_that_needs_a_client_id_says_so() {
    let stub = Stub::start(flat).await;
    let mut config = stub.config("offset-put", "");
    config.integrations[0].amfj.client_id = None;
    let error = AmfjClient::from_config(&config.integrations[0].amfj, Limiter::new(1.0)).unwrap_err();
    assert!(error.to_string().contains("client_id in [integration.amfj]"), "{error}");
}

// ---- The probe -------------------------------------------------------------------------------------

#[tokio::test]
async fn the_probe_finds_what_is_there_and_the_nearest_thing_to_what_is_not() {
    let stub = Stub::start(flat).await;
    let report = probe::read(&stub.client("prefix-members")).await.to_string();
    for line in [
        "ok list_assets: 2 rows at the body itself",
        "ok [asset] id: in 2 of 2 at \"/uid\", for example \"a1\"",
        "-- find_assets_by_name",
    ] {
        assert!(report.contains(line), "{line}\n{report}");
    }
    assert!(!report.contains("sam@example.com") && report.contains("xxx@xxxxxxx.xxx"), "{report}");
    let other =
        Stub::start(|_| answer(200, &json!({"data": [{"identifier": 1, "names": "Sam"}], "count": 1}))).await;
    let config = other.config("prefix-members", "");
    let mut amfj = config.integrations[0].amfj.clone();
    amfj.profile = config::ProfileSource::default();
    let client = AmfjClient::from_config(&amfj, Limiter::new(1000.0)).unwrap();
    let report = probe::read(&client).await;
    assert!(!report.is_fine());
    let said = report.to_string();
    assert!(
        said.contains("!! list_assets: no member \"/results\"; there is a list of 1 objects at \"/data\""),
        "{said}"
    );
}

#[tokio::test]
async fn the_probe_writes_to_the_one_asset_that_was_named_and_puts_it_back() {
    let asset = Arc::new(Mutex::new(json!({
        "id": "s1", "name": "scratch", "asset_type": {"id": "t", "name": "T"}, "location": null,
        "fields": {"Memory": "8 GB", "Cores": 4}, "checked_out_to": null
    })));
    let held = asset.clone();
    let stub = Stub::start(move |seen| {
        let mut asset = held.lock();
        let path = seen.target.split('?').next().unwrap_or_default();
        match (seen.method.as_str(), path) {
            ("GET", "/api/assets") => answer(200, &json!({"results": [*asset], "next_cursor": null})),
            ("GET", "/api/users") => {
                answer(200, &json!({"results": [{"id": "u1", "name": "Sam", "source": "local"}]}))
            }
            ("GET", "/api/asset-types") => answer(
                200,
                &json!({"results": [{"id": "t", "name": "T", "fields": [
                {"name": "Memory", "type": "text"}, {"name": "Cores", "type": "number"}]}]}),
            ),
            ("GET", _) => answer(200, &asset),
            ("PATCH", _) if seen.body["fields"]["Cores"].is_string() => {
                answer(422, &json!({"error": {"message": "no number", "field": "Cores"}}))
            }
            ("PATCH", _) => {
                for (name, value) in seen.body["fields"].as_object().unwrap() {
                    asset["fields"][name] = value.clone();
                }
                answer(200, &asset)
            }
            ("POST", "/api/assets/s1/check-out") if !asset["checked_out_to"].is_null() => {
                answer(409, &json!({}))
            }
            ("POST", "/api/assets/s1/check-out") => {
                asset["checked_out_to"] = json!({"id": seen.body["user_id"], "name": "Sam"});
                answer(200, &asset)
            }
            ("POST", "/api/assets/s1/check-in") if asset["checked_out_to"].is_null() => {
                answer(409, &json!({}))
            }
            ("POST", "/api/assets/s1/check-in") => {
                asset["checked_out_to"] = Value::Null;
                answer(200, &asset)
            }
            _ => answer(404, &json!({})),
        }
    })
    .await;
    let before = asset.lock().clone();
    let mut amfj = stub.config("prefix-members", "").integrations[0].amfj.clone();
    amfj.profile = config::ProfileSource::default();
    let client = AmfjClient::from_config(&amfj, Limiter::new(1000.0)).unwrap();
    assert!(probe::write(&client, "other").await.unwrap_err().contains("no asset of exactly this name"));
    assert_eq!(stub.writes().len(), 0);
    let report = probe::write(&client, "scratch").await.unwrap();
    let said = report.to_string();
    for line in [
        "a refused value: 422, and the field is named",
        "check_out, twice: refused: it is so already",
        "list_delay = \"5s\"",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert!(report.is_fine(), "{said}");
    assert_eq!(*asset.lock(), before, "everything is as it was");
    assert!(stub.writes().iter().all(|seen| seen.target.starts_with("/api/assets/s1")), "and no other");
}

/// What the straight way sends and reads is what the long way does.
#[tokio::test]
async fn the_long_way_sends_and_reads_what_the_straight_way_does() {
    let shown = json!({"id": "a1", "name": "n", "asset_type": {"id": "t", "name": "T"}, "location": {"id": "l", "name": "L"},
                       "fields": {"Memory": "8 GB"}, "checked_out_to": {"id": "u", "name": "U"}, "created_at": "2026-01-01T00:00:00Z"});
    let stub = Stub::start(move |seen| {
        if seen.target.contains("limit=100") {
            answer(200, &json!({"results": [shown], "next_cursor": "c"}))
        } else {
            answer(200, &shown)
        }
    })
    .await;
    // A member that no answer has, so that nothing is the assumed one any more.
    let text = profile::show("assumed-v1").unwrap().replacen("[asset]\n", "[asset]\n# changed\n", 1);
    let text = text.replacen(
        "created_at = { at = \"/created_at\", optional = true }",
        "created_at = \"/created_at\"",
        1,
    );
    let other = Arc::new(profile::parse("amfj.toml".as_ref(), &text).unwrap());
    let token = || amfj_sync_http::SecretString::from(TOKEN);
    let straight =
        AmfjClient::new(stub.base.clone(), token(), Duration::from_secs(1), Limiter::new(1e4)).unwrap();
    let long = AmfjClient::with_profile(
        stub.base.clone(),
        token(),
        Duration::from_secs(1),
        Limiter::new(1e4),
        other,
    )
    .unwrap();
    let mut answers: Vec<(Asset, Asset)> = Vec::new();
    let new = NewAsset {
        name: "n".to_owned(),
        asset_type_id: "t".to_owned(),
        location_id: Some("l".to_owned()),
        fields: fields([("Memory", json!("8 GB"))]),
    };
    let patch = AssetPatch {
        name: Some("n".to_owned()),
        location_id: None,
        fields: fields([("Memory", Value::Null)]),
    };
    for client in [&straight, &long] {
        let page = client.assets_page(Some("c0")).await.unwrap();
        assert_eq!((page.next.as_deref(), page.rows, page.odd.len()), (Some("c"), 1, 0));
        let made = client.create_asset(&new).await.unwrap();
        client.update_asset(&id("a1"), &patch).await.unwrap();
        assert!(matches!(client.check_out(&id("a1"), &record("u"), Some("x")).await, Ok(Assigned::Done(_))));
        client
            .update_user(&record("a1"), &UserPatch { name: Some("n".to_owned()), ..UserPatch::default() })
            .await
            .unwrap_err();
        answers.push((page.results[0].clone(), made));
    }
    assert_eq!(answers[0], answers[1]);
    let seen = stub.seen.lock().clone();
    let (one, other) = seen.split_at(seen.len() / 2);
    let said = |seen: &[Seen]| {
        seen.iter().map(|one| (one.method.clone(), one.target.clone(), one.body.clone())).collect::<Vec<_>>()
    };
    assert_eq!(said(one), said(other));
}
