//! What fuzzing begins with: the payloads of this repository, and the words of each format.

mod amqp;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use amfj_sync_model::messages::{Event, Fact, Payload};
use amfj_sync_projection::coding::encode;
use serde_json::{Value, json};

pub(crate) use amqp::{frames, letters};

use crate::TARGETS;
use crate::configuration::MISPLACED;
use crate::site::SETTINGS;

/// Stands between the parts of an input that has several: it is in no JSON, TOML or template.
const BETWEEN: u8 = 0x1e;

/// The parts of an input.
pub fn separated(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == BETWEEN)
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.join(&BETWEEN)
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The files of a folder in the order of their names; none where there is no such folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let name = path.file_name()?.to_string_lossy().into_owned();
        Some((name, fs::read(&path).ok()?))
    };
    paths.into_iter().filter(|path| path.is_file()).filter_map(read).collect()
}

/// The inputs that are kept for a target (`tests/fuzz/corpus`), with their names.
#[must_use]
pub fn kept(target: &str) -> Vec<(String, Vec<u8>)> {
    files(&repository().join("tests/fuzz/corpus").join(target))
}

/// Writes what fuzzing begins with: `TARGET/seeds/…` and `TARGET/dictionary` below a folder.
///
/// # Errors
/// Where the folder cannot be written.
pub fn write_inputs(folder: &Path) -> std::io::Result<()> {
    for target in &TARGETS {
        let seeds = folder.join(target.name).join("seeds");
        fs::create_dir_all(&seeds)?;
        for (number, seed) in target.seeds().iter().enumerate() {
            fs::write(seeds.join(format!("seed-{number:03}")), seed)?;
        }
        fs::write(folder.join(target.name).join("dictionary"), dictionary(target.words()))?;
    }
    Ok(())
}

/// A dictionary as libFuzzer reads it.
fn dictionary(words: &[&str]) -> String {
    let mut lines = String::new();
    for word in words {
        lines.push('"');
        for byte in word.bytes() {
            // Writing to a text cannot fail.
            let _ = write!(lines, "\\x{byte:02x}");
        }
        lines.push_str("\"\n");
    }
    lines
}

/// The golden file of every message of this release, and those of the release before.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    let golden = files(&repository().join("shared/model/src/messages/snapshots"));
    let golden = golden.into_iter().filter_map(|(_, text)| {
        let text = String::from_utf8(text).ok()?;
        let json = text.splitn(3, "---\n").nth(2)?;
        let value: Value = serde_json::from_str(json).ok()?;
        serde_json::to_vec(&value).ok()
    });
    let older = files(&repository().join("shared/projection/tests/fixtures/format-1"))
        .into_iter()
        .map(|(_, text)| text);
    let mut all: Vec<Vec<u8>> = golden.chain(older).collect();
    let pack: Vec<&[u8]> = all.iter().take(3).map(Vec::as_slice).collect();
    let pack = [b"[".as_slice(), &pack.join(&b','), b"]"].concat();
    all.push(pack);
    all
}

/// Every fact of the golden files, in an order in which most of them take effect.
pub(crate) fn history() -> Vec<Event> {
    let mut events: Vec<Event> =
        messages().iter().filter_map(|message| Event::decode(message).ok()).collect();
    // Staged facts are of the run that is started.
    let number = events.iter().find_map(|event| match &event.payload {
        Payload::Fact(Fact::RunStarted(started)) => Some(started.number),
        _ => None,
    });
    for event in &mut events {
        if let (Payload::Fact(fact), Some(number)) = (&mut event.payload, number)
            && fact.staged_for().is_some()
            && let Ok(mut value) = serde_json::to_value(&*fact)
        {
            value["number"] = number.into();
            if let Ok(moved) = serde_json::from_value(value) {
                *fact = moved;
            }
        }
    }
    events.sort_by_key(|event| match &event.payload {
        Payload::Fact(Fact::StreamOpened { .. }) => 0,
        Payload::Fact(Fact::RunStarted(_)) => 1,
        Payload::Fact(
            Fact::DeviceMissing { .. }
            | Fact::AssetAbsent { .. }
            | Fact::RecordAbsent { .. }
            | Fact::UserMissing { .. },
        ) => 9,
        Payload::Fact(fact) if fact.staged_for().is_some() => 2,
        Payload::Fact(Fact::InventoryComplete { .. }) => 3,
        Payload::Fact(Fact::ChangeEnded(_) | Fact::DecisionMade(_)) => 4,
        Payload::Fact(_) => 5,
        _ => 6,
    });
    events
}

/// The history whole, in pieces, and from behind.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let lines: Vec<Vec<u8>> = history().iter().map(Event::encode).collect();
    let mut streams: Vec<Vec<u8>> = lines.chunks(8).map(|lines| lines.join(&b'\n')).collect();
    streams.push(lines.join(&b'\n'));
    streams.push(lines.iter().rev().cloned().collect::<Vec<_>>().join(&b'\n'));
    streams
}

pub(crate) fn reports() -> Vec<Vec<u8>> {
    let time = "2026-11-23T14:42:39Z";
    let failing = json!({"reason": "AMFJ, probe: answered 500 “x”", "since": time, "times": 3, "next": time});
    let duty = json!({
        "partitions": [{"partition": 0, "oldest": time}], "leads": true, "running": true,
        "kandji_requests_left": 5, "circuit": {"position": "open", "reason": "no", "since": time, "next": time},
        "trouble": {"kinds": [{"kind": "create user", "reason": "403", "since": time, "attempts": 2, "changes": 1,
            "next": time}], "records": [{"key": "device/d1", "label": "Mac", "serials": ["C02"], "change":
            "update-asset", "request": "check out", "reason": "423", "since": time, "attempts": 7, "next": time,
            "waits_with_kind": true}], "stopped": 4, "taken": time},
        "amfj": failing, "amfj_answered": time, "kandji": failing, "runs": failing, "next_run": time,
    });
    let report = |role: &str| {
        json!({"role": role, "worker": format!("{role}/1"), "host": "h", "version": "0.1.0", "since": time,
            "not_ready": ["it waits"], "integrations": {"acme-eu": duty, "two": {}}})
    };
    ["fetcher", "reconciler", "writer"].iter().map(|role| report(role).to_string().into_bytes()).collect()
}

fn samples() -> Vec<(String, Vec<u8>)> {
    files(&repository().join("tests/fixtures/kandji"))
}

/// As services are odd: other types, broken characters, large numbers.
const ODD: [(&str, &str); 9] = [
    ("\"Mac", "\"\\ud800Mac"),
    ("null", "NaN"),
    ("true", "\"yes\""),
    ("false", "1e999"),
    ("\"id\": \"", "\"id\": 7, \"was\": \""),
    ("\"user\": {", "\"user\": [[{\"a\": \"\\u0000\"}]], \"was\": {"),
    ("\"device_id\"", "\"device_id \""),
    ("[", "[[],"),
    (": \"", ": \"\\u001b[31m\\u202e"),
];

fn odd(body: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(body);
    ODD.iter().map(|(plain, odd)| text.replace(plain, odd).into_bytes()).collect()
}

fn with_odd_ones(bodies: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let odd = bodies.iter().flat_map(|body| odd(body)).collect::<Vec<_>>();
    bodies.into_iter().chain(odd).collect()
}

pub(crate) fn kandji_devices() -> Vec<Vec<u8>> {
    let rows = samples().into_iter().filter(|(name, _)| name.starts_with("device"));
    let pages = rows
        .map(|(_, body)| if body.starts_with(b"[") { body } else { [b"[", body.as_slice(), b"]"].concat() });
    with_odd_ones(pages.collect())
}

pub(crate) fn kandji_details() -> Vec<Vec<u8>> {
    let details =
        samples().into_iter().filter(|(name, _)| name.starts_with("details") || name.starts_with("prism"));
    with_odd_ones(details.map(|(_, body)| body).filter(|body| body.len() < 8_192).collect())
}

fn amfj_pages() -> Vec<Value> {
    let field = json!({"name": "Memory", "type": "select", "required": true, "options": ["8 GB", 16, {"value": "x"}]});
    vec![
        json!({"results": [{"id": "AST-17", "name": "Mac", "asset_type": {"id": "T1", "name": "Laptop"}, "location":
            {"id": "L1", "name": "HQ"}, "fields": {"Serial Number": "C02", "Cores": 8}, "checked_out_to": {"id":
            "USR-5", "name": "Sam"}, "created_at": "2026-11-23T14:42:39Z"}], "next_cursor": "c1"}),
        json!({"results": [{"id": "USR-5", "name": "Sam", "email": "sam@example.com", "source": "jira", "fields": {}}],
            "next_cursor": null}),
        json!({"results": [{"id": "T1", "name": "Laptop", "fields": [field, "bare"]}]}),
        json!({"results": [field]}),
        json!({"results": [{"id": "L1", "name": "HQ"}]}),
        json!({"results": [{"id": 17, "name": 5, "asset_type": "Laptop", "location": [], "fields": null,
            "checked_out_to": {"name": "?"}, "created_at": "yesterday"}, 7, null, "text", []], "next_cursor": 2}),
    ]
}

pub(crate) fn amfj_rows() -> Vec<Vec<u8>> {
    let pages = amfj_pages();
    let single = pages.iter().map(|page| page["results"][0].clone());
    let bodies = pages.clone().into_iter().chain(single).map(|value| value.to_string().into_bytes());
    with_odd_ones(bodies.collect())
}

fn error_bodies() -> Vec<Vec<u8>> {
    let bodies: [&str; 12] = [
        r#"{"error": {"code": "invalid", "message": "Memory is not an option", "field": "Memory"}}"#,
        r#"{"error": {"code": "not_found", "message": "no such asset"}}"#,
        r#"{"detail": "Invalid token."}"#,
        r#"{"error": "token: Zk/9q+7Rw=T_4vXyc8Ps1hkD0mu2JqLb"}"#,
        r#"["one", "two"]"#,
        r#""one text""#,
        "<html><head><title>502 Bad Gateway</title></head></html>",
        "Authorization: Bearer Zk%2F9q%2B7Rw%3DT_4vXyc8Ps1hkD0mu2JqLb",
        "",
        " ",
        "“quoted” answered 500 “again”; and more",
        "{\"message\": \"\\u001b[31mred\\u202e\"}",
    ];
    bodies.iter().map(|body| body.as_bytes().to_vec()).collect()
}

pub(crate) fn amfj_answers() -> Vec<Vec<u8>> {
    let bodies = amfj_rows().into_iter().chain(error_bodies());
    (0_u8..).zip(bodies).map(|(status, body)| [&[status], body.as_slice()].concat()).collect()
}

pub(crate) fn error_answers() -> Vec<Vec<u8>> {
    let headers = [
        "120\n9000\n50\n0\n0.5\ntext/html\n\n",
        "Wed, 21 Oct 2026 07:28:00 GMT\n\n",
        "1e400\n-1\n0\n\n",
        "\n\n",
    ];
    let statuses = [422_u16, 404, 401, 429, 503, 409, 200, 302, 500];
    let mut all = Vec::new();
    for (at, body) in error_bodies().into_iter().enumerate() {
        let (status, headers) = (statuses[at % statuses.len()] - 100, headers[at % headers.len()]);
        all.push([&status.to_be_bytes(), headers.as_bytes(), &body].concat());
    }
    all
}

pub(crate) fn secrets() -> Vec<Vec<u8>> {
    let around =
        ["\x1e", "{\"error\": \"bad token \x1e\"}", "\\\x1e\\", "%2\x1e&#", "Bearer \x1e, again \x1e"];
    let ways = (0..16_u8).flat_map(|first| [0, 3, 8, 9].map(|second| [first, second]));
    ways.zip(around.iter().cycle()).map(|(way, around)| [&way, around.as_bytes()].concat()).collect()
}

/// The example, everything, every file of mistakes, and secrets where they should not be.
pub(crate) fn configurations() -> Vec<Vec<u8>> {
    let bad = files(&repository().join("shared/config/tests/fixtures/config/bad"));
    let bad = bad
        .into_iter()
        .filter(|(name, _)| Path::new(name).extension().is_some_and(|end| end == "toml"))
        .map(|(_, text)| text);
    let mut all: Vec<Vec<u8>> = bad.collect();
    let example = fs::read(repository().join("amfj-sync.example.toml")).unwrap_or_default();
    all.extend([example, SETTINGS.as_bytes().to_vec()]);
    let misplaced = [
        ("hunter2", MISPLACED),
        ("\"profiles/amfj.toml\"", &format!("\"{MISPLACED}\"")),
        ("{ env = \"AMFJ_TOKEN\" }", &format!("\"{MISPLACED}\"")),
        ("concurrency = 3", &format!("concurrency = {MISPLACED}")),
    ];
    all.extend(misplaced.iter().map(|(place, secret)| SETTINGS.replace(place, secret).into_bytes()));
    let variables =
        "AMFJ_SYNC__BROKER__URL=amqp://a:b@c/d\nAMFJ_SYNC__INTEGRATION__ACME_EU__MODE=plan\nAMFJ_SYNC__X=1";
    all.push(joined(&[SETTINGS.as_bytes(), variables.as_bytes()]));
    all
}

pub(crate) fn templates() -> Vec<Vec<u8>> {
    let device = samples().into_iter().find(|(name, _)| name == "device-windows.json").map(|(_, body)| body);
    let device = device.unwrap_or_default();
    let sources = [
        "serial_number",
        "details.volumes[0].capacity",
        "{{ model }}, macOS {{ os_version }}",
        "{{ user.name | default('nobody') }}",
        "{% if tags %}{{ tags | join(', ') }}{% else %}none{% endif %}",
        "{% for tag in tags %}{{ loop.index }} {{ tag | upper }} {% endfor %}",
        "{{ device_name | plain }}",
        "{% set x = tags %}{% set x = x + x %}{{ x }}",
        "{% macro m(n) %}{{ m(n) }}{% endmacro %}{{ m(1) }}",
        "{{ (tags * 9999) | length }}",
        "{{ 'a' | replace('', device_name) }}",
        "{{ device_name[1:3] }} {{ 7 // 2 }} {{ -1 % 3 }} {{ 2 ** 62 }}",
        "{{ asset_tag | int + 1 }} {{ serial_number | batch(3) | list }}",
    ];
    let hostile = json!({"device_name": "=<b>&lt;i&gt;{code}\u{1b}[31m*x*", "tags": ["b", "a", null], "serial_number": "C02",
        "model": "M", "os_version": "14", "asset_tag": 9_007_199_254_740_993_u64, "user": {"name": " "}});
    let hostile = hostile.to_string().into_bytes();
    sources
        .iter()
        .flat_map(|text| [&device, &hostile].map(|device| joined(&[text.as_bytes(), device])))
        .collect()
}

pub(crate) fn names() -> Vec<Vec<u8>> {
    let texts = [
        ["Sam’s MacBook Air", "sam's  macbook\tAIR", "SAM-MACBOOK AIR"],
        ["Straße 5", "STRASSE 5", "ﬁle"],
        ["ΟΔΟΣ", "οδος", "İstanbul"],
        ["Cafe\u{301}", "Café", "\u{345}\u{1f71}"],
        ["0777", "777.0", "+00777"],
        ["unknown", "0", "xxx"],
        ["Mac–1", "Mac\u{2011}1", "Lobby\u{200b} i\u{ad}Mac\u{feff}"],
        ["ana@example.com", "ANA@EXAMPLE.COM ", "\u{130}@x"],
    ];
    texts.iter().map(|three| joined(&three.map(str::as_bytes))).collect()
}

pub(crate) fn values() -> Vec<Vec<u8>> {
    let values = [
        ["\"8 GB\"", "\"8 gb\"", "[\"8 GB\", \"16 GB\"]"],
        ["8.0", "8", "[]"],
        ["\"12345678901234567890\"", "12345678901234567890", "[]"],
        ["\"0.1\"", "0.1", "[]"],
        ["1e22", "\"+007.50\"", "[]"],
        ["\"2022-08-15 13:51:01 +0000\"", "\"2022-08-15\"", "[]"],
        ["[\"b\", \"a\", null, 3]", "\"3, a, b\"", "[]"],
        ["\"yes\"", "true", "[\"Yes\", \"yes \", \"No\"]"],
        ["\"https://x.example/a b\"", "\"mailto:a@b.c\"", "[]"],
        ["\"Sam@Example.com\"", "\"sam@example.com\"", "[]"],
        ["0.30000000000000004", "123456789012345680000", "[\" a\", \"A\"]"],
    ];
    values.iter().map(|three| joined(&three.map(str::as_bytes))).collect()
}

pub(crate) fn times() -> Vec<Vec<u8>> {
    let times = [
        "2024-07-23T14:11:37.150080Z",
        "2022-08-15 13:51:01 +0000",
        "2022-09-19 12:14:51+00:00",
        "-009999-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "Wed, 21 Oct 2026 07:28:00 GMT",
        "120",
        "1e3",
        "NaN",
        "-inf",
        "0001764000000000.00003",
        "18446744073709551615.4294967295",
        "400d",
        "500ms",
        "10%",
    ];
    times.iter().map(|time| time.as_bytes().to_vec()).collect()
}

pub(crate) fn texts() -> Vec<Vec<u8>> {
    let texts = [
        "Sam’s MacBook Air",
        "a\u{1b}[31mb\u{1b}]0;t\u{7}c\u{9b}2Jd\u{202e}e\u{61c}f\u{2028}g\u{2066}h\0i\u{7f}j\rk\u{8}l\u{e0041}m\u{200f}n",
        "x\n2026-11-30T10:00:00.000000Z ERROR all is lost device=\"y\"",
        "it's a \\ \"name\" = $(x) `y`",
        "\"a\" level=\"b\"",
        "\u{2060}\u{fe00}\u{fe03}\u{fe0b}",
        "-n",
        "",
        "😀\u{200d}👩 \u{301}e\u{301}",
        "Bearer Zk/9q+7Rw=T_4vXyc8Ps1hkD0mu2JqLb",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// Rows as they are written, and what a disk makes of them.
pub(crate) fn local_rows() -> Vec<Vec<u8>> {
    let mut rows: Vec<Vec<u8>> = Vec::new();
    for event in history() {
        if let Payload::Fact(fact) = &event.payload {
            let row = match fact {
                Fact::AssetListed { asset, .. } => {
                    json!({"asset": asset, "age": {"offset": 1, "written": null}})
                }
                Fact::RecordListed { record, .. } => {
                    json!({"record": record, "age": {"offset": 1, "written": null},
                    "ours": true, "absent_since": 3})
                }
                Fact::DeviceListed { device, .. } => {
                    json!({"entry": device, "missing": {"runs": 1, "latest": 2,
                    "absence": "unknown"}})
                }
                Fact::UserListed { user, .. } => json!({"entry": user, "missing": false}),
                Fact::CatalogueListed { catalogue, .. } => json!(catalogue),
                Fact::DecisionMade(decision) => json!(decision),
                Fact::ChangeIntended(intent) => json!({"intent": intent, "offset": 4}),
                Fact::ChangeEnded(outcome) => json!(outcome),
                Fact::OperatorDecided { decision, .. } => json!({"decision": decision, "at": event.time}),
                other => json!([other]),
            };
            rows.push(encode(&row));
        }
    }
    let memory = json!({"refused": {"A": {"value": 1, "reason": "x"}}, "stored": {"B": {"sent": 1, "stored": "1"}},
        "failed": {}, "settled": {"primary": "USR-5", "offset": 9}, "lost_link": true, "location_due": true});
    rows.push(encode(&memory));
    rows.push(vec![0xdd, 0xff, 0xff, 0xff, 0xff]);
    rows.push(vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'a']);
    rows.push(vec![0xdb, 0x7f, 0xff, 0xff, 0xff, b'a']);
    rows.push(vec![0x91; 3_000]);
    let store: Vec<Vec<u8>> =
        (0_u8..).zip(rows.iter().take(14)).map(|(table, row)| [&[table], row.as_slice()].concat()).collect();
    rows.push(joined(&store.iter().map(Vec::as_slice).collect::<Vec<_>>()));
    rows
}

pub(crate) fn selectors() -> Vec<Vec<u8>> {
    let typed = [
        "Sam’s MacBook Air",
        "sams macbook",
        "FVHTEST00002",
        "sam.okafor@example.com",
        "AST-17",
        "device/03f81208-2b6a-4a77-81f5-cf1633bcfb95",
        "2026-11-30T12:00:00Z",
        "3d",
        "P1Y2M",
        "9999999999h",
        "-2h",
        "2026-11-30 10:30",
    ];
    typed.iter().map(|text| text.as_bytes().to_vec()).collect()
}
