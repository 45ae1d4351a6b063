//! Drafts are profiles, whatever they are made of.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::profile::{Op, parse};

fn document() -> Value {
    let asset = json!({"type": "object", "properties": {
        "id": {"type": "integer"}, "title": {"type": "string"},
        "category": {"type": "object", "properties": {"id": {}, "name": {}}},
        "assigned_to": {"$ref": "#/components/schemas/Person"},
        "custom_fields": {"type": "array", "items": {"type": "object", "properties": {"key": {}, "value": {}}}}
    }});
    let list = json!({"parameters": [
            {"name": "page", "in": "query"}, {"name": "per_page", "in": "query"}, {"name": "q", "in": "query"}],
        "responses": {"200": {"content": {"application/json": {"schema": {"type": "object", "properties": {
            "total": {"type": "integer"}, "data": {"type": "array", "items": {"$ref": "#/components/schemas/Asset"}}}}}}}}});
    let make = json!({"requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Asset"}}}}, "responses": {}});
    json!({
        "openapi": "3.0.3", "info": {"title": "Inventory \"X\"\n"}, "servers": [{"url": "https://inv.example.com/api"}],
        "paths": {
            "/hardware": {"get": list, "post": make},
            "/hardware/{hw}": {"get": {}, "put": {}},
            "/hardware/{hw}/checkout": {"post": {"requestBody": {"content": {"application/json": {"schema": {
                "type": "object", "properties": {"assigned_user": {}}}}}}}},
            "/hardware/{hw}/checkin": {"post": {}},
            "/users": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {
                "type": "array", "items": {"$ref": "#/components/schemas/Person"}}}}}}}},
            "/categories": {"get": {}}
        },
        "components": {
            "schemas": {"Asset": asset, "Person": {"type": "object", "properties": {"id": {}, "name": {}, "email": {}}}},
            "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}}
        }
    })
}

#[test]
fn a_draft_is_a_profile_and_says_what_it_guessed() {
    let draft = from_openapi(&document().to_string()).unwrap();
    let profile = parse(Path::new("draft.toml"), &draft).unwrap_or_else(|errors| panic!("{errors}\n{draft}"));
    for line in [
        "ids = \"number\"",
        "headers = { \"X-Key\" = \"{{ token }}\" }",
        "rows = \"/data\"",
        "form = \"page\"",
        "size_parameter = \"per_page\"",
        "name = \"/title\"",
        "asset_type = { id = \"/category/id\", name = \"/category/name\"",
        "holder = { id = \"/assigned_to/id\"",
        "row_label = \"/key\"",
        "path = \"hardware/{{ id }}\"",
        "path = \"hardware/{{ id }}/checkout\"",
        "query = { \"q\" = \"{{ name }}\" }",
        "# guess",
    ] {
        assert!(draft.contains(line), "{line}\n{draft}");
    }
    assert!(profile.has(Op::CheckIn) && !profile.has(Op::CreateUser) && !profile.has(Op::ListLocations));
}

#[test]
fn whatever_the_document_is_the_draft_is_a_profile_or_the_document_is_refused() {
    let bare = json!({"openapi": "3.1.0", "paths": {"/x": {"get": {}}}});
    let draft = from_openapi(&bare.to_string()).unwrap();
    parse(Path::new("draft.toml"), &draft).unwrap_or_else(|errors| panic!("{errors}\n{draft}"));
    let looping = json!({"openapi": "3.0.0", "paths": {"/assets": {"get": {"responses": {"200": {"content": {"a": {"schema": {"$ref": "#/components/schemas/A"}}}}}}}},
        "components": {"schemas": {"A": {"$ref": "#/components/schemas/B"}, "B": {"$ref": "#/components/schemas/A"}}}});
    assert!(from_openapi(&looping.to_string()).is_ok());
    for (text, why) in
        [("{", "no JSON"), ("{\"swagger\": \"2.0\"}", "OpenAPI 3"), ("{\"openapi\": \"3.0.0\"}", "no paths")]
    {
        assert!(from_openapi(text).unwrap_err().contains(why), "{text}");
    }
}

#[test]
fn what_a_description_says_in_its_own_words_is_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/interfaces");
    let drafted = |name: &str| {
        let document = std::fs::read_to_string(folder.join(name).join("openapi.json")).unwrap();
        let draft = from_openapi(&document).unwrap();
        parse(Path::new("draft.toml"), &draft).unwrap_or_else(|errors| panic!("{errors}\n{draft}"));
        draft
    };
    let (stockroom, fleetbox) = (drafted("stockroom"), drafted("fleetbox"));
    for line in [
        "rows = \"/people\"",
        "total = \"/meta/total_count\"",
        "name = \"/hardware_item/name\"",
        "query = { \"q[name_eq]\" = \"{{ name }}\" }",
        "body = { \"checkout\" = { \"person_id\" = \"{{ user.id }}\", \"remark\" = \"{{ note }}\" } }",
        "asset_types = \"/category_ids\"",
        "paging = { form = \"none\" }",
        "of directory, manual",
    ] {
        assert!(stockroom.contains(line), "{line}\n{stockroom}");
    }
    for line in [
        "parameters = { scope = \"inventory:write\" }",
        "more = \"/page/hasMore\"",
        "holder = { id = \"/assignment/member/id\"",
        "row_label = \"/field/id\"",
        "option = { key = \"/id\", name = \"/label\" }",
        "update = \"json-patch\"",
        "if_match = true",
        "method = \"DELETE\"\npath = \"assets/{{ id }}/assignment\"",
    ] {
        assert!(fleetbox.contains(line), "{line}\n{fleetbox}");
    }
}
