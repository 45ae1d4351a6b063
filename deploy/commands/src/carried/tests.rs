use std::io::Cursor;

use serde_json::json;

use super::*;

fn head() -> Head {
    Head {
        edition: EDITION,
        rows: 2,
        integration: "acme".into(),
        amfj: "https://amfj.example/v1".into(),
        kandji: "https://acme.api.kandji.io/".into(),
        exported: "2026-12-01T12:00:00Z".parse().unwrap(),
        version: "0.1.0".into(),
        by: "sam@mac".into(),
        standing: Standing { runs: 3, first_sync_over: true, applied_mapping: None },
    }
}

fn link(device: &str) -> CarriedRow {
    let row = json!({"asset": format!("A-{device}"), "rule": "name", "since": "2026-11-01T00:00:00Z"});
    CarriedRow { table: "link".into(), id: device.into(), row }
}

fn change(integration: &str) -> Event {
    let text = json!({
        "specversion": "1.0", "id": Uuid::nil(), "source": "writer/1", "type": "dev.amfj-sync.fact.v1",
        "subject": "device/1", "time": "2026-11-01T00:00:00Z", "integrationid": integration,
        "data": {
            "fact": "ended", "change": Uuid::nil(), "sequence": "0001764000000000.00003", "key": {"device": "1"},
            "label": "Zoë's Mac\u{202e}", "kind": "link-asset", "ending": {"is": "applied"}, "attempts": 1
        }
    });
    Event::decode(text.to_string().as_bytes()).unwrap()
}

fn written() -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = Writer::begin(&mut file, &head()).unwrap();
    for device in ["1", "2"] {
        writer.row(&link(device)).unwrap();
    }
    writer.change(&change("acme")).unwrap();
    writer.end().unwrap();
    file
}

/// Rows and changes of a file, or what is wrong with it.
fn read(file: &[u8]) -> Result<(u32, u32), String> {
    let (_, mut reader) = Reader::begin(Cursor::new(file))?;
    let mut found = (0, 0);
    while let Some(content) = reader.next()? {
        match content {
            Content::Row(_) => found.0 += 1,
            Content::Change(_) => found.1 += 1,
        }
    }
    Ok(found)
}

#[test]
fn what_is_written_is_read_again_and_obeyed_by_no_terminal() {
    let file = written();
    assert_eq!(read(&file), Ok((2, 1)));
    assert!(!String::from_utf8(file).unwrap().contains('\u{202e}'));
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let file = written();
    for end in 0..file.len() {
        assert!(read(&file[..end]).is_err(), "cut off after {end} of {} bytes", file.len());
    }
}

#[test]
fn a_line_that_is_missing_twice_there_or_changed_is_refused() {
    let text = String::from_utf8(written()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: Vec<&str>| lines.join("\n") + "\n";
    let without = joined([&lines[..1], &lines[2..]].concat());
    let twice = joined([&lines[..2], &lines[1..]].concat());
    let swapped = joined(vec![lines[0], lines[2], lines[1], lines[3], lines[4]]);
    let changed = text.replacen("A-1", "A-9", 1);
    for (what, file) in [("missing", without), ("twice", twice), ("swapped", swapped), ("changed", changed)] {
        let refused = read(file.as_bytes()).unwrap_err();
        assert!(refused.contains("not as it was written"), "{what}: {refused}");
    }
    let behind = text.clone() + "{}\n";
    assert!(read(behind.as_bytes()).unwrap_err().contains("behind its last line"));
}

#[test]
fn what_is_no_line_of_an_export_is_refused_with_its_number() {
    let text = String::from_utf8(written()).unwrap();
    let first = text.lines().next().unwrap();
    let deep = format!(
        "{{\"row\":{{\"table\":\"link\",\"id\":\"1\",\"row\":{}1{}}}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let many = format!("{{\"row\":[{}1]}}", "1,".repeat(1_100_000));
    let long = " ".repeat(MAX_BYTES + 10);
    let others = String::from_utf8(change("other").encode()).unwrap();
    for (line, why) in [
        ("nonsense", "it is no line of an export"),
        (r#"{"row":{"table":"meta","id":"","row":{}}}"#, "nothing that this release takes"),
        (r#"{"row":{"table":"link","id":" ","row":{"asset":"A"}}}"#, "no id that could be one"),
        (r#"{"row":{"table":"link","id":"1","row":{"asset":7}}}"#, "it is no row of `link`"),
        (r#"{"row":{"table":"memory","id":"asset/1","row":{}}}"#, "no id that could be one"),
        (r#"{"history":{"specversion":"1.0"}}"#, "CloudEvents"),
        (&format!("{{\"history\":{others}}}"), "of another integration"),
        (first, "a second export begins"),
        (&deep, "recursion limit"),
        (&many, "more values"),
        (&long, "longer than any line"),
    ] {
        let refused = read(format!("{first}\n{line}\n").as_bytes()).unwrap_err();
        assert!(refused.starts_with("line 2: ") && refused.contains(why), "{why}: {refused}");
        assert!(refused.len() < 600, "{why}");
    }
    for file in ["", "{}\n", "\0\n", "PK\u{3}\u{4}"] {
        assert!(read(file.as_bytes()).is_err(), "{file:?}");
    }
}

#[test]
fn rows_are_taken_as_this_release_writes_them() {
    let text = String::from_utf8(written()).unwrap();
    let first = text.lines().next().unwrap();
    let row = r#"{"row":{"table":"link","id":"1","row":{"asset":"A","rule":"name","since":"2026-11-01T00:00:00Z","new":1}}}"#;
    let (_, mut reader) = Reader::begin(Cursor::new(format!("{first}\n{row}\n"))).unwrap();
    let Ok(Some(Content::Row(row))) = reader.next() else { panic!("a row") };
    assert!(row.row.get("new").is_none() && row.linked_asset() == Some("A"));
}
