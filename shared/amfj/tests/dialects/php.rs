//! An interface that answers 200 whatever happens, writes 0 for nobody, escapes what it shows, and takes whole entries.

use amfj_sync_amfj::client::{AmfjClient, AssetPatch, Assigned};
use amfj_sync_http::Answered;
use axum::response::Response;
use serde_json::{Value, json};

use super::support::{Seen, Stub, answer, fields, id, record, under};

const PROFILE: &str = include_str!("../../../../tests/fixtures/interfaces/inventar/profile.toml");

fn item(id: &str, person: &str) -> Value {
    json!({"id": id, "name": "Q &amp; A", "kind": "1", "room": "", "person": person, "form": [], "note": "&lt;old&gt;",
           "created": "1710409200"})
}

fn php(seen: &Seen) -> Response {
    let has = |part: &str| seen.target.contains(part);
    let answered = if has("object=kind") {
        json!({"ok": "1", "entries": [{"id": "1", "name": "Notebook"}]})
    } else if has("object=form") {
        json!({"ok": "1", "entries": [{"id": "7", "caption": "Serial", "input": "text", "must": "0", "values": ""}]})
    } else if has("id=99") {
        json!({"ok": "0", "errno": "10", "error": "no such entry"})
    } else if seen.method == "GET" && has("action=list") {
        json!({"ok": "1", "pages": "1", "entries": [item("17", "0"), item("18", "4")]})
    } else if seen.method == "GET" {
        json!({"ok": "1", "entry": if has("id=18") { item("18", "4") } else { item("17", "0") }})
    } else if seen.text.contains("refused") {
        json!({"ok": "0", "errno": "20", "error": "too long", "form": "7"})
    } else if seen.text.contains("named") {
        json!({"ok": "0", "errno": "77", "error": "new in 2.7", "form": "7"})
    } else if seen.text.contains("odd") {
        json!({"ok": 0, "errno": "78", "error": "who knows"})
    } else {
        json!({"ok": "1"})
    };
    answer(200, &answered)
}

fn client(stub: &Stub) -> AmfjClient {
    under(stub, &PROFILE.replace("{{ client_id }}", "api"))
}

fn serial(value: &str) -> AssetPatch {
    AssetPatch { fields: fields([("Serial", json!(value))]), ..AssetPatch::default() }
}

#[tokio::test]
async fn a_refusal_is_one_although_its_status_is_200() {
    let stub = Stub::start(php).await;
    let client = client(&stub);
    assert_eq!(client.asset(&id("99")).await, Ok(None), "its code says that it is gone");
    let refused = async |value: &str| {
        let error = client.update_asset(&id("17"), &serial(value)).await.unwrap_err();
        assert!(!error.is_unshown_success() && !error.may_have_happened(), "{error:?}");
        (Answered::of(&error), error.to_string())
    };
    let value = Answered::Value { field: "Serial".to_owned() };
    let (said, words) = refused("refused").await;
    assert!(said == value && words.contains("too long"), "{said:?} {words}");
    assert_eq!(refused("named").await.0, value, "a code that nobody knows, about a field");
    assert_eq!(refused("odd").await.0, Answered::Refused);
    let done = client.update_asset(&id("17"), &serial("C02")).await.unwrap_err();
    assert!(done.is_unshown_success(), "{done:?}");
}

#[tokio::test]
async fn what_is_sent_back_whole_is_sent_without_the_escapes_that_it_came_with() {
    let stub = Stub::start(php).await;
    client(&stub).update_asset(&id("17"), &serial("A & B")).await.unwrap_err();
    let sent = &stub.writes()[0].body;
    let wanted = json!({"name": "Q & A", "kind": "1", "room": "", "person": "0", "form": {"7": "A & B"}, "note": "<old>"});
    assert_eq!(*sent, wanted, "and the empty list of PHP takes a field");
}

#[tokio::test]
async fn a_word_for_nobody_is_nobody_and_is_written_to_take_an_asset_back() {
    let stub = Stub::start(php).await;
    let client = client(&stub);
    let page = client.assets_page(None).await.unwrap();
    let holders: Vec<bool> = page.results.iter().map(|asset| asset.checked_out_to.is_some()).collect();
    assert_eq!(holders, [false, true]);
    client.check_out(&id("17"), &record("4"), None).await.unwrap_err();
    assert_eq!(stub.writes()[0].body["person"], "4", "nobody has it, so it is handed out");
    let taken = client.check_out(&id("18"), &record("5"), None).await.unwrap();
    assert!(matches!(taken, Assigned::Conflict { .. }), "{taken:?}");
    client.check_in(&id("17"), None).await.unwrap_err();
    assert_eq!(stub.writes()[1].body["person"], "0");
}
