use std::time::Duration;

use serde_json::{Value, json};

use super::*;

fn about(kind: Kind, names: &[&str], body: Value) -> Subject {
    Subject { kind, names: names.iter().map(|name| (*name).to_owned()).collect(), body }
}

#[test]
fn a_personality_meets_its_kinds_records_and_values_alone() {
    let all = Personalities::default();
    let oddity = || Oddity::refuse(403);
    all.add(Personality::new(oddity()).at(Kind::UpdateAsset).of("a").sending_value("Memory", "8 GB"));
    let sent = json!({ "fields": { "Memory": "8 GB" } });
    let strikes = |subject: &Subject| all.strike(subject).len();
    assert_eq!(strikes(&about(Kind::UpdateAsset, &["x", "a"], sent.clone())), 1);
    assert_eq!(strikes(&about(Kind::UpdateAsset, &["b"], sent.clone())), 0);
    assert_eq!(strikes(&about(Kind::CheckOut, &["a"], sent)), 0);
    assert_eq!(strikes(&about(Kind::UpdateAsset, &["a"], json!({ "fields": { "Memory": "9 GB" } }))), 0);

    all.clear();
    all.add(Personality::new(oddity()).at(Kind::Writes));
    assert_eq!(strikes(&about(Kind::CreateUser, &[], Value::Null)), 1);
    assert_eq!(strikes(&about(Kind::ReadAsset, &[], Value::Null)), 0);
}

#[test]
fn strikes_are_counted_in_all_and_for_each_record() {
    let all = Personalities::default();
    let one = |name: &str| about(Kind::UpdateAsset, &[name], Value::Null);
    let id = all.add(Personality::new(Oddity::refuse(500)).after(1).times(2));
    let struck: Vec<usize> = (0..5).map(|_| all.strike(&one("a")).len()).collect();
    assert_eq!((struck, all.strikes(id)), (vec![0, 1, 1, 0, 0], 2));
    assert!(all.active().is_empty());

    let id = all.add(Personality::new(Oddity::refuse(500)).times_each(1));
    let struck: Vec<usize> = ["a", "b", "a", "b"].iter().map(|name| all.strike(&one(name)).len()).collect();
    assert_eq!((struck, all.strikes(id)), (vec![1, 1, 0, 0], 2));
}

#[test]
fn a_personality_ends_with_its_time() {
    let all = Personalities::default();
    let id = all.add(Personality::new(Oddity::Hide).lasting(Duration::ZERO));
    assert!(all.strike_row(Kind::ListAssets, &[]).is_empty());
    assert!(!all.remove(id), "it is forgotten");
}

#[test]
fn personalities_are_read_as_json() {
    let table = [
        (json!({ "refuse": { "status": 403, "body": "html" } }), Oddity::refuse(403).saying(Body::Html)),
        (json!({ "refuse": { "status": 422, "body": { "naming": "F" } } }), {
            Oddity::refuse(422).saying(Body::Naming("F".to_owned()))
        }),
        (json!({ "refuse": { "status": 503, "retry_after": { "date": 9 } } }), {
            Oddity::refuse(503).asking_to_wait(RetryAfter::Date(9))
        }),
        (json!({ "succeed": { "status": 204, "body": "empty" } }), Oddity::succeed(204, Body::Empty)),
        (json!({ "store": { "form": { "cut": 3 } } }), Oddity::stores_as(Form::Cut(3))),
        (json!({ "ignore": { "shown": "sent" } }), Oddity::ignores().showing_what_was_sent()),
        (json!({ "search": "nothing" }), Search::Nothing.into()),
        (json!({ "shape": { "missing": { "at": "/name" } } }), Shape::missing("/name").into()),
        (json!("hide"), Oddity::Hide),
    ];
    for (oddity, wanted) in table {
        let read: Personality = serde_json::from_value(json!({ "oddity": oddity })).unwrap();
        assert_eq!(read, Personality::new(wanted));
    }
    let unknown = json!({ "oddity": "hide", "record": "a" });
    assert!(serde_json::from_value::<Personality>(unknown).is_err(), "a slip is said");
}
