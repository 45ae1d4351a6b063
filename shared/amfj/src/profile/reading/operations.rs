//! `[operations]`.

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_config::reading::{self as file, At, Entries, Kind, Node, NodeValue, Reading, Section};
use amfj_sync_http::Method;
use serde_json::Value;

use super::authentication::is_header;
use super::{meant, pointer, pointers, statuses, wire, word};
use crate::profile::operation::Op;
use crate::profile::pointer::Pointer;
use crate::profile::template::{Body, Template};
use crate::profile::types::{AnswerForm, Job, ListShape, Operation, Update};

/// Where each operation stands.
pub(super) type Places = BTreeMap<Op, At>;

/// How deep a body may nest.
const DEEPEST: usize = 8;

type Read = Option<(BTreeMap<Op, Operation>, Places)>;

pub(super) fn read(mut section: Section, reading: &mut Reading<'_>, lists: Option<&ListShape>) -> Read {
    let absent = section.read(reading, "absent", absent).or(Vec::new());
    let (mut operations, mut places, mut complete) = (BTreeMap::new(), Places::new(), absent.is_some());
    for op in Op::ALL {
        let is_absent = absent.as_ref().is_none_or(|absent| absent.contains(&op));
        let Some(node) = section.take(op.key()) else {
            if !is_absent && !op.is_extra() {
                let cure = if op.is_required() {
                    String::new()
                } else {
                    format!(
                        ", or name it in absent = [\"{}\"] where the interface has no such thing",
                        op.key()
                    )
                };
                section.complain(
                    reading,
                    &section.at,
                    &format!(
                        "the operation \"{0}\" is missing; describe it in [operations.{0}]{cure}",
                        op.key()
                    ),
                );
                complete = false;
            }
            continue;
        };
        if absent.is_some() && is_absent {
            section.complain(
                reading,
                &node.key_at,
                &format!("\"{}\" is described, and named as absent", op.key()),
            );
            complete = false;
        }
        places.insert(op, node.key_at.clone());
        let below = Section::of_node(reading, format!("operations.{}", op.key()), &node);
        match operation(op, below, reading, lists) {
            Some(operation) => drop(operations.insert(op, operation)),
            None => complete = false,
        }
    }
    section.finish(reading);
    complete.then_some((operations, places))
}

fn absent(node: &Node) -> Result<Vec<Op>, String> {
    let mut absent = Vec::new();
    for name in file::names(node)? {
        let Some(op) = Op::ALL.into_iter().find(|op| op.key() == name) else {
            let known = Op::ALL.map(Op::key);
            return Err(format!("names no operation: \"{}\"; {}", file::shown(&name), meant(&name, &known)));
        };
        if op.is_required() {
            return Err(format!("names \"{name}\", without which nothing works"));
        }
        absent.push(op);
    }
    Ok(absent)
}

const UPDATES: [(&str, Update); 4] = [
    ("merge", Update::Merge),
    ("changed", Update::Changed),
    ("replace", Update::Replace),
    ("json-patch", Update::JsonPatch),
];

fn operation(
    op: Op,
    mut section: Section,
    reading: &mut Reading<'_>,
    lists: Option<&ListShape>,
) -> Option<Operation> {
    let is_assignment = matches!(op, Op::CheckOut | Op::CheckIn);
    let update = if is_assignment {
        section.read(reading, "update", |node| word(node, &[("holder", Some(Update::Holder))])).or(None)
    } else if matches!(op, Op::UpdateAsset | Op::UpdateUser) {
        section.read(reading, "update", |node| word(node, &UPDATES)).or(Update::Merge).map(Some)
    } else {
        Some(None)
    };
    let by_holder = update == Some(Some(Update::Holder));
    let method = section.read(reading, "method", method).or(Method::GET);
    let path = section.read(reading, "path", |node| path(node, op));
    let path = if by_holder {
        path.or(Vec::new())
    } else {
        path.required(&mut section, "path", "path = \"assets\", below api_url")
    };
    let query = templates(&mut section, reading, "query", op, |_| true);
    let headers = templates(&mut section, reading, "headers", op, may_be_set);
    let body = section.read(reading, "body", |node| body(node, op.names(), 0).map(Some)).or(None);
    let success = section.read(reading, "success", statuses).or(Vec::new());
    // A cheap read may be of anything.
    let list = if op.lists() || op == Op::Probe && section.has("rows") {
        wire::list_of(&mut section, reading, lists).map(Some)
    } else {
        Some(None)
    };
    let empty =
        if op.lists() { section.read(reading, "empty", statuses).or(Vec::new()) } else { Some(Vec::new()) };
    let record = if op.lists() {
        Some(Pointer::root())
    } else {
        section.read(reading, "record", pointer).or(Pointer::root())
    };
    let answer = if op.writes() { answer(&mut section, reading) } else { Some(AnswerForm::Record) };
    let shows_record = op.writes() && answer == Some(AnswerForm::Record);
    let key = if shows_record {
        section.read(reading, "id", |node| pointer(node).map(Some)).or(None)
    } else {
        Some(None)
    };
    let (mut leave_out, mut if_match, mut takes_over) = (Some(Vec::new()), Some(false), Some(false));
    if update == Some(Some(Update::Replace)) {
        leave_out = section.read(reading, "leave_out", pointers).or(Vec::new());
    }
    if is_assignment || matches!(op, Op::UpdateAsset | Op::UpdateUser) {
        if_match = section.read(reading, "if_match", file::boolean).or(false);
    }
    if op == Op::CheckOut {
        let ways = [("refused", false), ("taken-over", true)];
        takes_over = section.read(reading, "when_taken", |node| word(node, &ways)).or(false);
    }
    section.finish(reading);
    Some(Operation {
        method: method?,
        path: path?,
        query: query?,
        headers: headers?,
        body: body?,
        success: success?,
        empty: empty?,
        answer: answer?,
        record: record?,
        key: key?,
        list: list?,
        update: update?.unwrap_or(Update::Merge),
        leave_out: leave_out?,
        if_match: if_match?,
        takes_over: takes_over?,
    })
}

fn method(node: &Node) -> Result<Method, String> {
    let methods = [("GET", 0), ("POST", 1), ("PUT", 2), ("PATCH", 3), ("DELETE", 4)];
    word(node, &methods)
        .map(|at| [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE][at].clone())
}

/// Segments between slashes, but for slashes within a template.
fn path(node: &Node, op: Op) -> Result<Vec<Template>, String> {
    let text = file::name(node)?;
    if text.contains("://") || text.starts_with("//") {
        return Err(
            "must be a path below api_url, such as \"assets\"; the host is that of the configuration"
                .to_owned(),
        );
    }
    let mut segments = vec![String::new()];
    let mut rest = text.trim_matches('/');
    while let Some(letter) = rest.chars().next() {
        let whole = ["{{", "{%"].iter().any(|open| rest.starts_with(open));
        let close = if rest.starts_with("{{") { "}}" } else { "%}" };
        let length = if whole { rest.find(close).map_or(rest.len(), |at| at + 2) } else { letter.len_utf8() };
        let (taken, behind) = rest.split_at(length);
        match segments.last_mut() {
            Some(segment) if taken != "/" => segment.push_str(taken),
            _ => segments.push(String::new()),
        }
        rest = behind;
    }
    let segment = |text: &String| match text.as_str() {
        "" | "." | ".." => {
            Err(format!("has a part \"{text}\" between slashes; write \"assets/{{{{ id }}}}\""))
        }
        text if !text.contains('{') && text.contains(['?', '#', '\\', '%']) => {
            Err("has a sign of an address in it; parameters stand in query = { name = \"value\" }".to_owned())
        }
        text => Template::parse(text, op.names()),
    };
    segments.iter().map(segment).collect()
}

/// Headers that say who sends it, or how it is sent, are not an operation's to set.
fn may_be_set(name: &str) -> bool {
    let fixed = ["authorization", "host", "content-length", "transfer-encoding", "connection", "cookie"];
    is_header(name) && !fixed.iter().any(|fixed| fixed.eq_ignore_ascii_case(name))
}

fn templates(
    section: &mut Section,
    reading: &mut Reading<'_>,
    key: &'static str,
    op: Op,
    may_be: fn(&str) -> bool,
) -> Option<Vec<(String, Template)>> {
    let mut below = section.section(reading, key);
    let (mut read, mut complete) = (Vec::new(), true);
    for (name, node) in below.take_all() {
        let parsed = if may_be(&name) {
            scalar(&node).and_then(|text| Template::parse(&text, op.names()))
        } else {
            Err("cannot be set here".to_owned())
        };
        match parsed {
            Ok(template) => read.push((name, template)),
            Err(message) => {
                below.complain(reading, &node.at, &format!("\"{}\" {message}", file::shown(&name)));
                complete = false;
            }
        }
    }
    below.finish(reading);
    complete.then_some(read)
}

/// A text, or a number or truth as one.
fn scalar(node: &Node) -> Result<String, String> {
    match &node.value {
        NodeValue::Integer(Some(number)) => Ok(number.to_string()),
        NodeValue::Boolean(value) => Ok(value.to_string()),
        _ => file::text(node),
    }
}

fn body(node: &Node, names: &[&str], depth: usize) -> Result<Body, String> {
    if depth > DEEPEST {
        return Err(format!("nests deeper than {DEEPEST} tables"));
    }
    let inside = |name: &str, error: String| format!("is wrong at \"{}\": it {error}", file::shown(name));
    match node.as_kind(Kind::Table) {
        NodeValue::Table(entries) => table(entries, names, depth),
        NodeValue::Text(text) if depth > 0 => Template::parse(&text, names).map(Body::Template),
        NodeValue::Integer(Some(number)) if depth > 0 => Ok(Body::Value(number.into())),
        NodeValue::Boolean(value) if depth > 0 => Ok(Body::Value(Value::Bool(value))),
        NodeValue::List(list) if depth > 0 => list
            .iter()
            .map(|one| body(one, names, depth + 1).map_err(|error| inside("a list", error)))
            .collect::<Result<_, _>>()
            .map(Body::List),
        other => Err(format!(
            "must be a table such as {{ user_id = \"{{{{ user.id }}}}\" }}, not {}",
            other.described()
        )),
    }
}

fn table(entries: Entries, names: &[&str], depth: usize) -> Result<Body, String> {
    let inside = |name: &str, error: String| format!("is wrong at \"{}\": it {error}", file::shown(name));
    let mut members = Vec::new();
    for (name, node) in entries {
        let part = body(&node, names, depth + 1).map_err(|error| inside(&name, error))?;
        members.push((name, part));
    }
    Ok(Body::Table(members))
}

#[derive(Clone, Copy)]
enum Form {
    Record,
    Id,
    Nothing,
    Job,
}

fn answer(section: &mut Section, reading: &mut Reading<'_>) -> Option<AnswerForm> {
    let forms = [("record", Form::Record), ("id", Form::Id), ("nothing", Form::Nothing), ("job", Form::Job)];
    let form = section.read(reading, "answer", |node| word(node, &forms)).or(Form::Record)?;
    match form {
        Form::Record => Some(AnswerForm::Record),
        Form::Nothing => Some(AnswerForm::Nothing),
        Form::Id => {
            let id = section.read(reading, "id", pointer).required(
                section,
                "id",
                "id = \"/id\", the pointer to it",
            );
            id.map(AnswerForm::Id)
        }
        Form::Job => {
            let below = section.section(reading, "job");
            job(below, reading).map(Box::new).map(AnswerForm::Job)
        }
    }
}

fn job(mut section: Section, reading: &mut Reading<'_>) -> Option<Job> {
    let mut at = |key| section.read(reading, key, |node| pointer(node).map(Some)).or(None);
    let (address, id, message, error) = (at("address"), at("id"), at("message"), at("error"));
    let state = section.read(reading, "state", pointer).required(&mut section, "state", "state = \"/state\"");
    let done =
        section.read(reading, "done", file::names).required(&mut section, "done", "done = [\"finished\"]");
    let failed = section.read(reading, "failed", file::names).or(Vec::new());
    let bounds = Duration::from_millis(10)..=Duration::from_mins(1);
    let every =
        section.read(reading, "every", |node| file::duration(node, bounds)).or(Duration::from_secs(1));
    let bounds = Duration::from_secs(1)..=Duration::from_hours(1);
    let within = section.read(reading, "within", |node| file::duration(node, bounds).map(Some)).or(None);
    section.finish(reading);
    Some(Job {
        address: address?,
        state: state?,
        done: done?,
        failed: failed?,
        id: id?,
        message: message?,
        error: error?,
        every: every?,
        within: within?,
    })
}
