//! The assumed contract, and what differs from it in one thing alone.

use amfj_sync_amfj::client::{AssetPatch, Assigned, NewAsset, UserPatch};
use amfj_sync_amfj::profile;
use amfj_sync_model::amfj::Asset;
use serde_json::{Value, json};

use super::support::{Seen, Stub, answer, fields, id, record, under};

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
    let assumed = profile::show("assumed-v1").unwrap();
    let text = assumed.replacen("[asset]\n", "[asset]\n# changed\n", 1);
    let text = text.replacen(
        "created_at = { at = \"/created_at\", optional = true }",
        "created_at = \"/created_at\"",
        1,
    );
    let straight = under(&stub, assumed);
    let long = under(&stub, &text);
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

/// Nothing but the form of values is another: types and locations are those of the assumed contract, and their straight way keeps no
/// definitions.
#[tokio::test]
async fn another_form_of_values_alone_is_read_and_written() {
    let stub = Stub::start(|seen| match seen.target.split('?').next().unwrap_or_default() {
        "/api/asset-types" => answer(
            200,
            &json!({"results": [{"id": "t", "name": "T", "fields": [{"name": "Bought", "type": "date", "required": false}]}]}),
        ),
        "/api/locations" => answer(200, &json!({"results": [{"id": "l", "name": "R&amp;D"}]})),
        _ => answer(
            200,
            &json!({"id": "a1", "name": "n", "asset_type": {"id": "t", "name": "T"}, "location": null,
                    "fields": {"Bought": "01/07/2026"}, "checked_out_to": null}),
        ),
    })
    .await;
    let line = "clear = \"null\"";
    let text = profile::show("assumed-v1").unwrap();
    assert!(text.contains(line));
    let text = text.replacen(line, "clear = \"null\"\ndate = \"%d/%m/%Y\"\nhtml = true", 1);
    let client = under(&stub, &text);
    let asset = client.asset(&id("a1")).await.unwrap().unwrap();
    assert_eq!(asset.fields, fields([("Bought", json!("2026-07-01"))]));
    let patch = AssetPatch { fields: fields([("Bought", json!("2026-07-02"))]), ..AssetPatch::default() };
    client.update_asset(&id("a1"), &patch).await.unwrap();
    assert_eq!(stub.writes()[0].body, json!({"fields": {"Bought": "02/07/2026"}}));
    assert_eq!(client.locations().await.unwrap().results[0].name, "R&D");
}

#[tokio::test]
async fn a_search_sends_its_body_and_every_page_the_headers_of_the_list() {
    let stub = Stub::start(|seen| match (seen.method.as_str(), seen.target.as_str()) {
        ("POST", "/api/assets/search") => {
            let found = json!({"id": "a1", "name": "n", "asset_type": {"id": "t", "name": "T"}, "location": null,
                               "fields": {}, "checked_out_to": null});
            answer(200, &json!({"results": [found], "next": "/api/more"}))
        }
        ("GET", "/api/more") => answer(200, &json!({"results": [], "next": null})),
        _ => answer(404, &json!({})),
    })
    .await;
    let mut text = profile::show("assumed-v1").unwrap().to_owned();
    for (lines, by) in [
        (
            "form = \"cursor\"\nnext = \"/next_cursor\"\nparameter = \"cursor\"\n",
            "form = \"next-url\"\nnext = \"/next\"\n",
        ),
        (
            "path = \"assets\"\nquery = { name = \"{{ name }}\" }\n",
            "method = \"POST\"\npath = \"assets/search\"\nheaders = { Accept = \"application/vnd.assets+json\" }\n\
             body = { where = { name = \"{{ name }}\" } }\n",
        ),
    ] {
        assert!(text.contains(lines), "{lines}");
        text = text.replacen(lines, by, 1);
    }
    let found = under(&stub, &text).find_assets_by_name("n").await.unwrap();
    assert_eq!(found.len(), 1);
    let seen = stub.seen.lock().clone();
    assert_eq!((seen.len(), &seen[0].body), (2, &json!({"where": {"name": "n"}})));
    assert!(seen.iter().all(|one| one.headers["accept"] == "application/vnd.assets+json"), "{seen:?}");
}
