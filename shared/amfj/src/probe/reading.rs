//! The reading part: every operation that reads, and every member of what it lists. Nothing is written.

use serde_json::Value;

use super::{Report, Verdict, nearest, words};
use crate::client::AmfjClient;
use crate::lenient::as_text;
use crate::profile::types::{FieldsShape, ListForm, Member, NamedShape};
use crate::profile::{Names, Op, Pointer};
use crate::wire::names;
use crate::wire::records::{Row, at, labelled, plain};

/// Letters of an example.
const LONGEST: usize = 40;

/// The rows of a first page, each with its key.
type Rows = Vec<(Option<String>, Value)>;

/// Looks at everything that reads. Values of people are masked in what it says.
pub async fn read(client: &AmfjClient) -> Report {
    let mut report = Report::default();
    let assets = list(client, Op::ListAssets, &Names::new(), &mut report).await;
    let profile = client.profile();
    if let Some(rows) = &assets {
        let shape = &profile.asset;
        member("[asset] id", &shape.id, rows, false, &mut report);
        member("[asset] name", &shape.name, rows, true, &mut report);
        named("[asset] asset_type", &shape.asset_type, rows, false, &mut report);
        if let Some(location) = &shape.location {
            named("[asset] location", location, rows, false, &mut report);
        }
        if let Some(holder) = &shape.holder {
            named("[asset] holder", holder, rows, true, &mut report);
        }
        if let Some(created) = &shape.created_at {
            member("[asset] created_at", created, rows, false, &mut report);
        }
        fields("[asset.fields]", shape.fields.as_ref(), rows, &mut report);
        by_id(client, Op::ReadAsset, &shape.id, rows, &mut report).await;
        search(client, Op::FindAssetsByName, "name", Some(&shape.name), rows, &mut report).await;
    }
    let users = list(client, Op::ListUsers, &Names::new(), &mut report).await;
    if let Some(rows) = &users {
        let shape = &profile.user;
        member("[user] id", &shape.id, rows, false, &mut report);
        member("[user] name", &shape.name, rows, true, &mut report);
        if let Some(email) = &shape.email {
            member("[user] email", email, rows, true, &mut report);
        }
        if let Some(source) = &shape.source {
            member("[user] source", source, rows, false, &mut report);
        }
        fields("[user.fields]", shape.fields.as_ref(), rows, &mut report);
        by_id(client, Op::ReadUser, &shape.id, rows, &mut report).await;
        search(client, Op::FindUsersByEmail, "email", shape.email.as_ref(), rows, &mut report).await;
    }
    catalogue(client, &mut report).await;
    report
}

async fn catalogue(client: &AmfjClient, report: &mut Report) {
    let profile = client.profile();
    let types = list(client, Op::ListAssetTypes, &Names::new(), report).await;
    if let Some(rows) = &types {
        member("[asset_type] id", &profile.asset_type.id, rows, false, report);
        member("[asset_type] name", &profile.asset_type.name, rows, false, report);
    }
    if let Some(rows) = list(client, Op::ListLocations, &Names::new(), report).await {
        member("[location] id", &profile.location.id, &rows, false, report);
        member("[location] name", &profile.location.name, &rows, false, report);
    }
    let mut of_type = Names::new();
    if let Some((key, value)) = types.as_ref().and_then(|rows| rows.first()) {
        let row = Row { value, key: key.as_deref() };
        let text = |member: &Member| at(member, &row).and_then(|value| as_text(&value)).unwrap_or_default();
        let (id, name) = (text(&profile.asset_type.id), text(&profile.asset_type.name));
        of_type.insert("asset_type".to_owned(), serde_json::json!({"id": id, "name": name}));
    }
    for (op, names) in [(Op::ListAssetFields, of_type), (Op::ListUserFields, Names::new())] {
        if let Some(rows) = list(client, op, &names, report).await {
            member(&format!("[field] name, in {}", op.key()), &profile.field.name, &rows, false, report);
            if let Some(key) = &profile.field.key {
                member(&format!("[field] key, in {}", op.key()), key, &rows, false, report);
            }
            if let Some(kind) = &profile.field.kind {
                member(&format!("[field] type, in {}", op.key()), kind, &rows, false, report);
            }
        }
    }
    match client.probe().await {
        Ok(()) => report.say(Verdict::Found, "probe", "the service answers"),
        Err(error) => report.say(Verdict::Differs, "probe", words(&error)),
    }
}

/// The rows of a first page; none where there is nothing to look at.
async fn list(client: &AmfjClient, op: Op, names: &Names, report: &mut Report) -> Option<Rows> {
    let Some(shape) = client.profile().operation(op).and_then(|operation| operation.list.clone()) else {
        report.say(Verdict::Absent, op.key(), "the profile says that there is none");
        return None;
    };
    let body = match client.first_page(op, names).await {
        Ok(body) => body,
        Err(error) => {
            report.say(Verdict::Differs, op.key(), words(&error));
            return None;
        }
    };
    let place = if shape.rows.as_str().is_empty() {
        "the body itself".to_owned()
    } else {
        format!("\"{}\"", shape.rows.as_str())
    };
    let rows: Rows = match (shape.form, shape.rows.get(&body)) {
        (ListForm::List, Some(Value::Array(rows))) => rows.iter().map(|row| (None, row.clone())).collect(),
        (ListForm::ById, Some(Value::Object(rows))) => {
            rows.iter().map(|(key, row)| (Some(key.clone()), row.clone())).collect()
        }
        (ListForm::ById, Some(Value::Array(rows))) if rows.is_empty() => Vec::new(),
        (form, Some(other)) => {
            let wanted = if form == ListForm::List { "a list" } else { "an object by id" };
            let said = format!("{place} is {}, and not {wanted}", amfj_sync_http::json::kind(other));
            report.say(Verdict::Differs, op.key(), said);
            return None;
        }
        (_, None) => {
            report.say(Verdict::Differs, op.key(), nearest::list(&body, &shape.rows));
            return None;
        }
    };
    report.say(Verdict::Found, op.key(), format!("{} rows at {place}", rows.len()));
    Some(rows)
}

fn member(what: &str, member: &Member, rows: &Rows, is_personal: bool, report: &mut Report) {
    let Member::At { pointer, optional } = member else { return };
    if rows.is_empty() {
        return;
    }
    let found: Vec<&Value> = rows.iter().filter_map(|(_, row)| pointer.get(row)).collect();
    if found.is_empty() {
        let near = rows.first().map(|(_, row)| nearest::member(row, pointer)).unwrap_or_default();
        let verdict = if *optional { Verdict::Absent } else { Verdict::Differs };
        report.say(verdict, what, near);
        return;
    }
    let (count, all) = (found.len(), rows.len());
    let example = found
        .iter()
        .find(|value| !value.is_null())
        .map_or("always null".to_owned(), |value| format!("for example {}", example(value, is_personal)));
    // What is not everywhere cannot be read where it is not.
    let verdict = if count == all || *optional { Verdict::Found } else { Verdict::Differs };
    let rest = if verdict == Verdict::Differs { "; write optional = true if that is right" } else { "" };
    report.say(verdict, what, format!("in {count} of {all} at \"{}\", {example}{rest}", pointer.as_str()));
}

fn named(what: &str, shape: &NamedShape, rows: &Rows, is_personal: bool, report: &mut Report) {
    for (part, found) in [("id", &shape.id), ("email", &shape.email), ("name", &shape.name)] {
        if let Some(Member::At { pointer, .. }) = found {
            // Null in the place of the object is nobody, and nowhere.
            let within = Pointer::parse(pointer.as_str().rsplit_once('/').map_or("", |(object, _)| object));
            let is_nobody =
                |row: &Value| within.as_ref().is_ok_and(|within| within.get(row).is_some_and(Value::is_null));
            let there: Rows = rows.iter().filter(|(_, row)| !is_nobody(row)).cloned().collect();
            let named = Member::At { pointer: pointer.clone(), optional: shape.optional };
            member(&format!("{what} {part}"), &named, &there, is_personal && part != "id", report);
        }
    }
}

fn fields(what: &str, shape: Option<&FieldsShape>, rows: &Rows, report: &mut Report) {
    let (Some(shape), Some((_, first))) = (shape, rows.first()) else { return };
    let mut odd = Vec::new();
    let mut labels: Vec<String> =
        rows.iter().flat_map(|(_, row)| labelled(shape, row, &mut odd)).map(|(label, _)| label).collect();
    labels.sort_unstable();
    labels.dedup();
    if let Some(why) = odd.first().filter(|_| labels.is_empty()) {
        let near = nearest::member(first, shape.form.at());
        report.say(Verdict::Differs, what, format!("{why}; {near}"));
        return;
    }
    let shown: Vec<&str> = labels.iter().take(6).map(String::as_str).collect();
    let more = if labels.len() > shown.len() { ", …" } else { "" };
    report.say(Verdict::Found, what, format!("{} labels: {}{more}", labels.len(), shown.join(", ")));
}

/// Reads the first row once more by its id.
async fn by_id(client: &AmfjClient, op: Op, id: &Member, rows: &Rows, report: &mut Report) {
    if !client.can(op) {
        return report.say(Verdict::Absent, op.key(), "the profile says that there is none");
    }
    let Some((key, value)) = rows.first() else { return };
    let row = Row { value, key: key.as_deref() };
    let Some(id) = at(id, &row).and_then(|id| as_text(&id)) else { return };
    let read = match op {
        Op::ReadUser => client.one::<amfj_sync_model::amfj::UserRecord>(op, &id).await.map(drop),
        _ => client.one::<amfj_sync_model::amfj::Asset>(op, &id).await.map(drop),
    };
    match read {
        Ok(()) => report.say(Verdict::Found, op.key(), "the record of that id"),
        Err(error) => report.say(Verdict::Differs, op.key(), words(&error)),
    }
}

/// Looks for the first row by its name or email.
async fn search(
    client: &AmfjClient,
    op: Op,
    name: &str,
    by: Option<&Member>,
    rows: &Rows,
    report: &mut Report,
) {
    if !client.can(op) {
        return report.say(
            Verdict::Absent,
            op.key(),
            "the profile says that there is none: the list is walked",
        );
    }
    let said = rows.iter().find_map(|(key, value)| {
        let row = Row { value, key: key.as_deref() };
        as_text(&plain(client.profile(), at(by?, &row)?.into_owned()))
    });
    let Some(text) = said else { return };
    let wanted = names([(name, &text)]);
    let hits = match op {
        Op::FindUsersByEmail => client
            .find::<amfj_sync_model::amfj::UserRecord>(op, &wanted)
            .await
            .map(|found| (found.len(), found.iter().filter(|one| one.email.as_ref() == Some(&text)).count())),
        _ => client
            .find::<amfj_sync_model::amfj::Asset>(op, &wanted)
            .await
            .map(|found| (found.len(), found.iter().filter(|one| one.name == text).count())),
    };
    match hits {
        Ok((all, 0)) => {
            report.say(
                Verdict::Differs,
                op.key(),
                format!("{all} hits, and not the one that was looked for"),
            );
        }
        Ok((all, exact)) => {
            report.say(Verdict::Found, op.key(), format!("{all} hits, {exact} of them exact"));
        }
        Err(error) => report.say(Verdict::Differs, op.key(), words(&error)),
    }
}

/// A value in short; letters and digits of what may be about a person are covered.
fn example(value: &Value, is_personal: bool) -> String {
    let text = match value {
        Value::Object(_) | Value::Array(_) => return amfj_sync_http::json::kind(value).to_owned(),
        Value::String(text) => format!("\"{text}\""),
        other => other.to_string(),
    };
    let short: String = text.chars().take(LONGEST).collect();
    if !is_personal {
        return short;
    }
    let cover = |letter: char| match letter {
        letter if letter.is_numeric() => '0',
        letter if letter.is_alphabetic() => 'x',
        other => other,
    };
    short.chars().map(cover).collect()
}
