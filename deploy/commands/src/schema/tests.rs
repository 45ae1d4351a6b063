use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::tables::Configuration;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    std::fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn schema() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<Configuration>().to_value();
    without_null(&mut schema);
    schema
}

/// A key that may be left out is not one that may be null: TOML has no such value.
fn without_null(schema: &mut Value) {
    let is_null = |one: &Value| one["type"] == "null";
    match schema {
        Value::Object(members) => {
            if let Some(kind) = members.get_mut("type")
                && let Value::Array(kinds) = kind
            {
                kinds.retain(|kind| kind != "null");
                if let [only] = kinds.as_slice() {
                    *kind = only.clone();
                }
            }
            if let Some(Value::Array(words)) = members.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
            if let Some(Value::Array(several)) = members.get_mut("anyOf") {
                several.retain(|one| !is_null(one));
                if let [Value::Object(only)] = several.as_slice() {
                    let only = only.clone();
                    members.remove("anyOf");
                    for (name, value) in only {
                        members.entry(name).or_insert(value);
                    }
                }
            }
            members.values_mut().for_each(without_null);
        }
        Value::Array(values) => values.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// `UPDATE_SCHEMA=1` writes it.
#[test]
fn the_schema_that_is_shipped_is_that_of_the_tables() {
    let place = workspace().join("docs/configuration.schema.json");
    let text = serde_json::to_string_pretty(&schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        #[expect(clippy::disallowed_methods, reason = "it writes a page of the repository")]
        std::fs::write(&place, &text).unwrap();
    }
    let shipped = std::fs::read_to_string(&place).unwrap_or_default();
    assert!(shipped == text, "call this test with UPDATE_SCHEMA=1");
}

/// Every key of the schema with its default.
fn keys(schema: &Value, before: &str, into: &mut BTreeMap<String, Option<Value>>) {
    let Some(members) = schema["properties"].as_object() else { return };
    for (name, member) in members {
        let key = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
        let inner = if member["type"] == "array" { &member["items"] } else { member };
        if inner["properties"].is_object() {
            keys(inner, &key, into);
        } else {
            into.insert(key, member.get("default").cloned());
        }
    }
}

/// The page is compared with the example, and that with what the workers read, elsewhere.
#[test]
fn the_schema_and_the_page_name_the_same_keys_and_defaults() {
    let mut schema_has = BTreeMap::new();
    keys(&schema(), "", &mut schema_has);
    let page = read("docs/configuration.md");
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((cells.next()?.strip_suffix('`')?.to_owned(), cells.next()?.trim_matches('`').to_owned()))
    });
    let rows: BTreeMap<String, String> = rows.collect();
    let top = ["broker", "fetcher", "reconciler", "writer", "retry"];
    let full = |key: &str| {
        let is_shared = key.split_once('.').is_some_and(|(table, _)| top.contains(&table));
        if is_shared { key.to_owned() } else { format!("integration.{key}") }
    };
    for (key, default) in &rows {
        let Some(known) =
            schema_has.get(&full(key)).or_else(|| schema_has.get(&format!("{}.platform", full(key))))
        else {
            panic!("the schema has no {key}")
        };
        if let (Some(known), false) = (known, default == "none") {
            assert_eq!(&known.to_string(), default, "default of {key}");
        }
    }
    let of_page: BTreeSet<String> = rows.keys().map(|key| full(key)).collect();
    let is_elsewhere = |key: &&String| {
        ["timing.", "integration.scope.", "integration.fields", "integration.user_fields"]
            .iter()
            .any(|one| key.starts_with(one))
    };
    let unknown: Vec<&String> =
        schema_has.keys().filter(|key| !of_page.contains(*key)).filter(|key| !is_elsewhere(key)).collect();
    assert!(unknown.is_empty(), "docs/configuration.md has no row for {unknown:?}");
}

/// Whether the text is what the schema takes, or what is wrong with it.
fn judged(text: &str) -> Result<(), Vec<String>> {
    let tree: Value = toml::from_str(text).map_err(|error| vec![error.to_string()])?;
    let mut wrong = Vec::new();
    judge(&schema(), &tree, "", &mut wrong);
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// As much of JSON Schema as this one uses.
fn judge(schema: &Value, value: &Value, place: &str, wrong: &mut Vec<String>) {
    let mut say = |what: &str| wrong.push(format!("{place}: {what}"));
    if let Some(kind) = schema["type"].as_str() {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "boolean" => value.is_boolean(),
            other => panic!("{place}: {other}"),
        };
        if !fits {
            return say(&format!("is no {kind}"));
        }
    }
    if let Some(constant) = schema.get("const")
        && constant != value
    {
        say("is another word");
    }
    if let Some(pattern) = schema["pattern"].as_str()
        && !fits_pattern(pattern, value.as_str().unwrap_or_default())
    {
        say(&format!("does not fit {pattern}"));
    }
    for (bound, is_out) in [("minimum", (|a, b| a < b) as fn(f64, f64) -> bool), ("maximum", |a, b| a > b)] {
        if let (Some(bound), Some(number)) = (schema[bound].as_f64(), value.as_f64())
            && is_out(number, bound)
        {
            say("is out of range");
        }
    }
    if let Some(least) = schema["minItems"].as_u64()
        && value.as_array().is_some_and(|list| (list.len() as u64) < least)
    {
        say("has too few");
    }
    if let Some(several) = schema["oneOf"].as_array() {
        let fitting = several.iter().filter(|one| {
            let mut inner = Vec::new();
            judge(one, value, place, &mut inner);
            inner.is_empty()
        });
        if fitting.count() != 1 {
            say("is none of the choices, or several");
        }
    }
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    for name in required.filter(|name| value.get(name).is_none()) {
        say(&format!("lacks {name}"));
    }
    for (name, inner) in value.as_object().into_iter().flatten() {
        let known = schema["properties"].get(name);
        match (known, schema.get("additionalProperties")) {
            (Some(known), _) => judge(known, inner, &format!("{place}.{name}"), wrong),
            (None, Some(Value::Bool(false))) => wrong.push(format!("{place}: unknown {name}")),
            (None, Some(others)) => judge(others, inner, &format!("{place}.{name}"), wrong),
            (None, None) => {}
        }
    }
    for (at, inner) in value.as_array().into_iter().flatten().enumerate() {
        if let Some(items) = schema.get("items") {
            judge(items, inner, &format!("{place}[{at}]"), wrong);
        }
    }
}

/// The few patterns there are.
fn fits_pattern(pattern: &str, text: &str) -> bool {
    let bare = text.trim();
    match pattern {
        r"^\s*[0-9]+\s*(ms|s|m|h|d)\s*$" => amfj_sync_config::values::parse_duration(text).is_some(),
        r"^\s*0*(100|[0-9]{1,2})\s*%\s*$" => amfj_sync_config::Percent::parse(text).is_some(),
        r"\S" => !bare.is_empty(),
        r"^\s*amqps?://" => bare.starts_with("amqp://") || bare.starts_with("amqps://"),
        r"^\s*[A-Za-z0-9._-]{1,100}\s*$" => {
            (1..=100).contains(&bare.len())
                && bare.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        }
        "^[a-z0-9-]{1,63}$" => amfj_sync_model::ids::IntegrationId::is_one(text),
        other => panic!("no such pattern: {other}"),
    }
}

fn fixtures(kind: &str) -> Vec<(String, String)> {
    let folder = workspace().join("shared/config/tests/fixtures/config").join(kind);
    let files = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let files = files.filter(|path| path.extension().is_some_and(|end| end == "toml"));
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_example_and_every_good_fixture_fits() {
    let mut good = fixtures("good");
    good.push(("amfj-sync.example.toml".to_owned(), read("amfj-sync.example.toml")));
    good.push(("fixture.toml".to_owned(), read("shared/config/src/fixture.toml")));
    for (name, text) in good {
        assert_eq!(judged(&text), Ok(()), "{name}");
    }
}

/// What takes a look elsewhere, at a file, at another value, or at what a text means, no schema can tell.
#[test]
fn every_bad_fixture_that_a_schema_can_tell_does_not() {
    let beyond = ["certificate-user", "overrides", "patience", "people"];
    for (name, text) in fixtures("bad") {
        let is_beyond = beyond.iter().any(|one| name.ends_with(&format!("/{one}.toml")));
        assert!(is_beyond || judged(&text).is_err(), "{name} fits");
    }
    let unknown = judged("[[integration]]\nid = \"a\"\nmodes = \"plan\"\n").unwrap_err().join("; ");
    assert!(unknown.contains("unknown modes") && unknown.contains("lacks mode"), "{unknown}");
    assert!(judged("integration = []").is_err(), "there is nothing to do");
}
