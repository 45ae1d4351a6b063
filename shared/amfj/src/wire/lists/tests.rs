//! Where rows are found, and where a list ends.

use std::time::Duration;

use amfj_sync_http::{Credentials, SecretString};
use serde_json::json;

use super::*;

fn api() -> Api {
    let credentials = Credentials::bearer(SecretString::from("t"));
    let base = "http://127.0.0.1:9/api".parse().unwrap();
    Api::new("AMFJ", base, &credentials, Duration::from_secs(1)).unwrap()
}

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn shape(rows: &str, paging: Paging) -> ListShape {
    ListShape { form: ListForm::List, rows: pointer(rows), paging, size: Some(("limit".to_owned(), 2)) }
}

fn next(body: &Value, shape: &ListShape, cursor: Option<&str>) -> serde_json::Result<Option<String>> {
    read(body.to_string().as_bytes(), shape, &Heading::default(), cursor, &api()).map(|page| page.next)
}

#[test]
fn rows_are_found_in_every_envelope() {
    let list = |body: &Value, rows: &str, form| {
        let shape = ListShape { form, ..shape(rows, Paging::None) };
        let page = read(body.to_string().as_bytes(), &shape, &Heading::default(), None, &api());
        page.map(|page| page.rows.into_iter().map(Result::unwrap).collect::<Vec<_>>())
    };
    let one = (None, json!({"a": 1}));
    assert_eq!(list(&json!([{"a": 1}]), "", ListForm::List).unwrap(), std::slice::from_ref(&one));
    assert_eq!(list(&json!({"data": {"items": [{"a": 1}]}}), "/data/items", ListForm::List).unwrap(), [one]);
    let by_id = json!({"records": {"7": {"a": 1}}});
    assert_eq!(list(&by_id, "/records", ListForm::ById).unwrap(), [(Some("7".to_owned()), json!({"a": 1}))]);
    assert_eq!(list(&json!({"records": []}), "/records", ListForm::ById).unwrap(), [], "as PHP has it");
    for (body, rows, form, why) in [
        (json!({"data": []}), "/results", ListForm::List, "nothing at \"/results\""),
        (json!({"results": null}), "/results", ListForm::List, "no list at \"/results\""),
        (json!({"results": {}}), "/results", ListForm::List, "an object at"),
        (json!({"results": [1]}), "/results", ListForm::ById, "no object by id"),
        (json!({}), "", ListForm::List, "the body itself"),
    ] {
        let said = list(&body, rows, form).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn one_row_that_cannot_be_read_takes_nothing_from_the_others() {
    let body = br#"{"r": [{"id": 1}, {"deep": 1e999}, "x"]}"#;
    let page = read(body, &shape("/r", Paging::None), &Heading::default(), None, &api()).unwrap();
    assert_eq!(page.rows.len(), 3);
    assert!(page.rows.iter().all(Result::is_ok), "{:?}", page.rows);
}

#[test]
fn a_cursor_and_an_address_lead_to_the_next_page_of_the_same_host() {
    let cursor =
        shape("/r", Paging::Cursor { next: pointer("/next"), parameter: "after".to_owned(), more: None });
    assert_eq!(next(&json!({"r": [], "next": "c"}), &cursor, None).unwrap().as_deref(), Some("c"));
    assert_eq!(next(&json!({"r": [], "next": 7}), &cursor, None).unwrap().as_deref(), Some("7"));
    for end in [json!(null), json!(""), json!({})] {
        assert_eq!(next(&json!({"r": [], "next": end}), &cursor, None).unwrap(), None);
    }
    let more = Some(pointer("/more"));
    let told = shape("/r", Paging::Cursor { next: pointer("/next"), parameter: "after".to_owned(), more });
    let next_of = |body: Value| next(&body, &told, None).map_err(|error| error.to_string());
    assert_eq!(next_of(json!({"r": [], "next": "c", "more": true})).unwrap().as_deref(), Some("c"));
    assert_eq!(
        next_of(json!({"r": [], "next": "c", "more": false})).unwrap(),
        None,
        "the last page has one too"
    );
    for half in [
        json!({"r": [], "more": true}),
        json!({"r": [], "next": "c"}),
        json!({"r": [], "next": "c", "more": 1}),
    ] {
        let said = next_of(half).unwrap_err();
        assert!(said.contains("\"/more\""), "{said}");
    }
    let url = shape("/r", Paging::NextUrl { next: Some(pointer("/next")) });
    for (said, address) in [
        ("/api/assets?page=2", "http://127.0.0.1:9/api/assets?page=2"),
        ("assets?page=2#x", "http://127.0.0.1:9/api/assets?page=2"),
        ("http://127.0.0.1:9/x", "http://127.0.0.1:9/x"),
    ] {
        assert_eq!(next(&json!({"r": [], "next": said}), &url, None).unwrap().as_deref(), Some(address));
    }
    for foreign in [
        "https://127.0.0.1:9/x",
        "http://127.0.0.1:8/x",
        "//evil.example/x",
        "http://u@127.0.0.1:9/",
        "ftp://127.0.0.1:9/x",
    ] {
        let said = next(&json!({"r": [], "next": foreign}), &url, None).unwrap_err().to_string();
        assert!(said.contains("another host"), "{foreign}: {said}");
        assert!(ask(&api(), Call::get("list assets", ["a"]), Op::ListAssets, &url, Some(foreign)).is_err());
    }
}

#[test]
fn the_header_link_says_where_the_next_page_is() {
    for (header, next) in [
        (
            "<https://h/a?page=2>; rel=\"next\", <https://h/a?page=9>; rel=\"last\"",
            Some("https://h/a?page=2"),
        ),
        ("</a?page=1>; rel=prev, </a?page=3>;rel=next", Some("/a?page=3")),
        ("<a,b>; title=\"next\"; rel=\"first next\"", Some("a,b")),
        ("<a>; rel=\"last\"", None),
        ("nonsense", None),
    ] {
        assert_eq!(next_link(header).as_deref(), next, "{header}");
    }
}

#[test]
fn numbered_lists_end_where_there_is_nothing_more() {
    let rows = |count: usize| json!({"r": vec![json!({}); count], "total": 3, "wrong": count});
    let offset = |total: Option<&str>| {
        let total = total.map(|total| Total::At(pointer(total)));
        shape("/r", Paging::Offset { parameter: "offset".to_owned(), total })
    };
    let total = offset(Some("/total"));
    assert_eq!(next(&rows(2), &total, None).unwrap().as_deref(), Some("1:2"));
    assert_eq!(next(&rows(1), &total, Some("1:2")).unwrap(), None);
    let none = offset(None);
    assert_eq!(
        next(&rows(1), &none, Some("1:2")).unwrap().as_deref(),
        Some("2:3"),
        "it may be short for other reasons"
    );
    assert_eq!(next(&rows(0), &none, Some("2:3")).unwrap(), None);
    let wrong = offset(Some("/wrong"));
    assert_eq!(next(&rows(2), &wrong, None).unwrap().as_deref(), Some("1:2"), "a full page is no end");
    let page = |counts_pages| {
        let total = Some(Total::At(pointer("/total")));
        shape("/r", Paging::Page { parameter: "page".to_owned(), first: 1, total, counts_pages })
    };
    assert_eq!(next(&rows(2), &page(true), Some("2:2")).unwrap().as_deref(), Some("3:4"));
    assert_eq!(next(&rows(2), &page(true), Some("3:4")).unwrap(), None);
    assert_eq!(next(&rows(1), &page(false), Some("2:2")).unwrap(), None);
}
