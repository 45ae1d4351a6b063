//! Every command that the documentation, the alerts and the messages of the programs name is one that `amfj-sync` takes.
#![expect(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::fs;
use std::path::{Path, PathBuf};

use amfj_sync_deploy::Arguments;
use clap::Parser as _;
use clap::error::ErrorKind;

/// Where people read of commands.
const PLACES: [&str; 11] = [
    "README.md",
    "CHANGELOG.md",
    "amfj-sync.example.toml",
    "docs",
    "deploy",
    "fetcher",
    "reconciler",
    "shared",
    "tests/src",
    "tests/tests",
    "writer",
];

const WORKERS: [&str; 3] = ["fetcher", "reconciler", "writer"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every text below a place.
fn texts(place: &Path) -> Vec<(PathBuf, String)> {
    if place.is_dir() {
        let entries = fs::read_dir(place).unwrap().flatten();
        return entries.flat_map(|entry| texts(&entry.path())).collect();
    }
    let is_read = place
        .extension()
        .is_some_and(|end| ["md", "rs", "yml", "json", "toml"].iter().any(|one| end == *one));
    let is_here = place.ends_with("named_commands.rs");
    if is_read && !is_here {
        vec![(place.to_owned(), fs::read_to_string(place).unwrap())]
    } else {
        Vec::new()
    }
}

/// What stands between backticks, and what a page shows as typed.
fn spans(path: &Path, text: &str) -> Vec<String> {
    // What is broken in the source, or in a paragraph, is one line where it is read.
    let joined: Vec<&str> = text.split("\\\n").map(str::trim_start).collect();
    let joined = joined.concat();
    let mut spans: Vec<String> = Vec::new();
    let is_page = path.extension().is_some_and(|end| end == "md");
    for (at, block) in joined.split("```").enumerate() {
        if is_page && at % 2 == 1 {
            let typed = block.lines().map(|line| line.trim_start().trim_start_matches("$ "));
            let typed = typed.filter(|line| line.starts_with("amfj-sync "));
            spans.extend(typed.map(|line| line.split(" #").next().unwrap_or_default().trim().to_owned()));
            continue;
        }
        for paragraph in block.split("\n\n") {
            let lines =
                paragraph.lines().map(|line| line.trim_start().trim_start_matches(['/', '!', '#']).trim());
            let paragraph = lines.collect::<Vec<_>>().join(" ");
            spans.extend(paragraph.split('`').skip(1).step_by(2).map(|span| span.trim().to_owned()));
        }
    }
    spans
}

/// The words of a call, as a shell splits them: what a message fills in, and what a page leaves to the reader, is some word.
fn words(span: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in span.replace("\\\"", "\"").split('"').enumerate() {
        if at % 2 == 1 {
            words.push("X".to_owned());
            continue;
        }
        let open = part.replace(['[', ']', '\''], " ");
        words.extend(
            open.split_whitespace()
                .map(|word| if word.contains('{') { "X".to_owned() } else { word.to_owned() }),
        );
    }
    words
}

/// `dead list|show` is two calls.
fn calls(words: &[String]) -> Vec<Vec<String>> {
    let mut calls = vec![Vec::new()];
    for word in words.iter().take_while(|word| !["…", "...", "·", "|", ">"].contains(&word.as_str())) {
        let choices: Vec<&str> = word.split('|').collect();
        let of_each = |call: Vec<String>| {
            let with = |choice: &&str| call.iter().cloned().chain([(*choice).to_owned()]).collect::<Vec<_>>();
            choices.iter().map(with).collect::<Vec<_>>()
        };
        calls = calls.into_iter().flat_map(of_each).collect();
    }
    calls
}

/// Why it is no call of ours; nothing where it is one, be it without all that belongs to it.
fn refusal(call: &[String]) -> Option<String> {
    let error = Arguments::try_parse_from(call).err()?;
    let stands_for_some = |word: &String| word.chars().all(|c| c.is_ascii_uppercase() || "_.-".contains(c));
    let leaves_something_open =
        call.iter().any(stands_for_some) || call.last().is_some_and(|word| word.starts_with("--"));
    let is_open = match error.kind() {
        ErrorKind::MissingRequiredArgument
        | ErrorKind::MissingSubcommand
        | ErrorKind::DisplayHelp
        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        | ErrorKind::DisplayVersion => true,
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => leaves_something_open,
        _ => false,
    };
    (!is_open).then(|| error.to_string())
}

/// A worker serves, and does nothing else.
fn is_of_a_worker(words: &[String]) -> bool {
    let is_command =
        words.get(1).is_some_and(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    !is_command || words[1] == "run"
}

#[test]
fn every_command_that_is_named_exists() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (path, text) in PLACES.iter().flat_map(|place| texts(&workspace().join(place))) {
        for span in spans(&path, &text) {
            let words = words(&span);
            let Some(program) = words.first() else { continue };
            // What a message fills in is no command to look at.
            if words.get(1).is_some_and(|word| word == "X") {
                continue;
            }
            if program == "amfj-sync" {
                let refused = calls(&words).into_iter().filter_map(|call| refusal(&call));
                wrong.extend(refused.map(|why| format!("{}: `{span}`: {why}", path.display())));
                named += 1;
            } else if WORKERS.contains(&program.as_str()) && !is_of_a_worker(&words) {
                wrong.push(format!("{}: `{span}`: a worker has no such command", path.display()));
            }
        }
    }
    assert!(named > 100, "only {named} commands were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_wrong_is_found() {
    let refused = |span: &str| calls(&words(span)).iter().filter_map(|call| refusal(call)).count();
    for (span, wrong) in [
        ("amfj-sync plan acme --device \"{device}\" --csv", 0),
        ("amfj-sync dead list|show|replay|drop", 0),
        ("amfj-sync link DEVICE ASSET", 0),
        ("amfj-sync plan --kind KIND", 0),
        ("amfj-sync …", 0),
        ("amfj-sync replay --since|--run", 0),
        ("amfj-sync plans", 1),
        ("amfj-sync dead list|look", 1),
        ("amfj-sync plan --colour red", 1),
        ("amfj-sync plan --kind nonsense", 1),
    ] {
        assert_eq!(refused(span), wrong, "{span}");
    }
    assert!(!is_of_a_worker(&words("reconciler plan")) && is_of_a_worker(&words("fetcher run --once {id}")));
    assert_eq!(spans(Path::new("a.md"), "```\n$ amfj-sync check  # now\n```"), ["amfj-sync check"]);
    assert_eq!(spans(Path::new("a.rs"), "\"type `amfj-sync \\\n      plan`\""), ["amfj-sync plan"]);
}
