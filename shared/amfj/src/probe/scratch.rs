//! The writing part: on one asset that a person made for it, and no other. What was there is put back; nothing is created or deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_http::CallError;
use amfj_sync_http::cursors::Cursors;
use amfj_sync_model::amfj::{Asset, Field, FieldType};
use amfj_sync_model::ids::RecordId;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Report, Verdict, words};
use crate::client::{AmfjClient, AssetPatch, Assigned};
use crate::profile::Op;

/// How long the list is watched for what was written.
const WATCH: Duration = Duration::from_mins(2);
/// Between two looks at the list.
const EVERY: Duration = Duration::from_millis(500);
/// What is written for a moment.
const TEXT: &str = "amfj-sync probe";

/// Tries the writes on the asset of exactly this name. The error says why nothing was tried.
pub async fn write(client: &AmfjClient, name: &str) -> Result<Report, String> {
    let asset = only(client, name).await?;
    let mut report = Report::default();
    let types = client.asset_types().await.map_err(|error| words(&error))?;
    let own = types
        .results
        .into_iter()
        .find(|one| one.id == asset.asset_type.id || one.name == asset.asset_type.name);
    let fields = own.map(|one| one.fields).unwrap_or_default();
    let is_text = |field: &&Field| field.field_type == FieldType::Text && field.options.is_empty();
    match fields.iter().find(is_text) {
        Some(field) => values(client, &asset, field, &mut report).await,
        None => report.say(Verdict::Absent, "update_asset", "its type has no text field to try it with"),
    }
    let strict =
        |field: &&Field| matches!(field.field_type, FieldType::Number | FieldType::Date | FieldType::Select);
    match fields.iter().find(strict) {
        Some(field) => refused(client, &asset, field, &mut report).await,
        None => report.say(
            Verdict::Absent,
            "a refused value",
            "its type has no number, date or choice to try it with",
        ),
    }
    assignments(client, &asset, &mut report).await;
    report.say(Verdict::Absent, "unique names", "not tried: that needs a second asset of this name");
    Ok(report)
}

/// The one asset of this name.
async fn only(client: &AmfjClient, name: &str) -> Result<Asset, String> {
    let mut cursors = Cursors::new("list assets");
    let mut found = Vec::new();
    loop {
        let page = client.assets_page(cursors.current()).await.map_err(|error| words(&error))?;
        found.extend(page.results.into_iter().filter(|asset| asset.name == name));
        match cursors.advance(page.next, page.rows, page.rows) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(words(&error)),
        }
    }
    let count = found.len();
    match found.pop() {
        Some(asset) if count == 1 => Ok(asset),
        Some(_) => Err(format!("there are {count} assets of exactly this name; nothing was written")),
        None => Err("there is no asset of exactly this name; make one for this, and name it".to_owned()),
    }
}

fn patch(field: &str, value: Value) -> AssetPatch {
    AssetPatch { fields: BTreeMap::from([(field.to_owned(), value)]), ..AssetPatch::default() }
}

/// Writes, or says why it could not be.
async fn put(
    client: &AmfjClient,
    asset: &Asset,
    field: &str,
    value: Value,
    what: &str,
    report: &mut Report,
) -> bool {
    match client.update_asset(&asset.id, &patch(field, value)).await {
        Ok(shown) => {
            let value = shown.fields.get(field).cloned().unwrap_or_default();
            report.say(Verdict::Found, what, format!("the answer shows {value}"));
            true
        }
        Err(error) if error.is_unshown_success() => {
            report.say(Verdict::Found, what, "done; the answer does not show the record");
            true
        }
        Err(error) => {
            report.say(Verdict::Differs, what, words(&error));
            false
        }
    }
}

/// What the asset shows of a field when it is read by its id.
async fn shown(client: &AmfjClient, asset: &Asset, field: &str) -> Option<Value> {
    let read = client.asset(&asset.id).await.ok()??;
    Some(read.fields.get(field).cloned().unwrap_or_default())
}

async fn values(client: &AmfjClient, asset: &Asset, field: &Field, report: &mut Report) {
    let (name, old) = (field.name.as_str(), asset.fields.get(&field.name).cloned().unwrap_or_default());
    let began = Instant::now();
    if !put(client, asset, name, json!(TEXT), "update_asset", report).await {
        return;
    }
    let at_once = shown(client, asset, name).await;
    let as_it_is = at_once.as_ref() == Some(&json!(TEXT));
    let verdict = if as_it_is { Verdict::Found } else { Verdict::Differs };
    let said =
        at_once.map_or("it cannot be read".to_owned(), |value| format!("read at once, it shows {value}"));
    report.say(verdict, "a value that was written", said);
    put(client, asset, name, json!(TEXT), "update_asset, twice", report).await;
    if let Some(delay) = listed_after(client, asset, name, began).await {
        let seconds = delay.as_secs_f64();
        report.say(Verdict::Measured, "list delay", format!("the list shows it after {seconds:.1} s"));
        let delay = (seconds * 3.0).ceil().max(5.0);
        report.settings.push(format!("list_delay = \"{delay:.0}s\"             # in [integration.amfj]"));
    } else {
        report.say(
            Verdict::Differs,
            "list delay",
            format!("the list does not show it within {} s", WATCH.as_secs()),
        );
    }
    if put(client, asset, name, Value::Null, "update_asset, clearing", report).await {
        let cleared = shown(client, asset, name).await.unwrap_or_default();
        let is_blank = amfj_sync_model::mapping::is_blank(&cleared);
        let verdict = if is_blank { Verdict::Found } else { Verdict::Differs };
        report.say(verdict, "a value that was cleared", format!("it shows {cleared}"));
        put(client, asset, name, Value::Null, "update_asset, clearing twice", report).await;
    }
    restore(client, asset, name, old, report).await;
}

async fn restore(client: &AmfjClient, asset: &Asset, field: &str, old: Value, report: &mut Report) {
    if let Err(error) = client.update_asset(&asset.id, &patch(field, old)).await
        && !error.is_unshown_success()
    {
        report.say(Verdict::Differs, "putting it back", words(&error));
    }
}

/// How long after it was written the list shows the text.
async fn listed_after(client: &AmfjClient, asset: &Asset, field: &str, began: Instant) -> Option<Duration> {
    while began.elapsed() < WATCH {
        let listed = if client.can(Op::FindAssetsByName) {
            client.find_assets_by_name(&asset.name).await.ok()?.into_iter().find(|one| one.id == asset.id)
        } else {
            only(client, &asset.name).await.ok()
        };
        if listed.is_some_and(|one| one.fields.get(field) == Some(&json!(TEXT))) {
            return Some(began.elapsed());
        }
        tokio::time::sleep(EVERY).await;
    }
    None
}

async fn refused(client: &AmfjClient, asset: &Asset, field: &Field, report: &mut Report) {
    let old = asset.fields.get(&field.name).cloned().unwrap_or_default();
    let what = "a refused value";
    match client.update_asset(&asset.id, &patch(&field.name, json!(TEXT))).await {
        Err(CallError::Unwritable { .. }) => {
            report.say(Verdict::Found, what, "it is not even sent: the profile has no form for it");
            return;
        }
        Err(error) if error.field() == Some(field.name.as_str()) => {
            let status = error.status().unwrap_or_default();
            report.say(Verdict::Found, what, format!("{status}, and the field is named"));
        }
        Err(error) if !error.is_unshown_success() => {
            report.say(Verdict::Differs, what, format!("the field is not named: {}", words(&error)));
        }
        _ => {
            let kept = shown(client, asset, &field.name).await.unwrap_or_default();
            report.say(Verdict::Measured, what, format!("it is taken, and shows {kept}"));
        }
    }
    restore(client, asset, &field.name, old, report).await;
}

fn holder(answer: &Result<Assigned, CallError>) -> String {
    match answer {
        Ok(Assigned::Done(asset)) if asset.checked_out_to.is_some() => "done, somebody has it".to_owned(),
        Ok(Assigned::Done(_)) => "done, nobody has it".to_owned(),
        Ok(Assigned::Conflict { .. }) => "refused: it is so already".to_owned(),
        Err(error) if error.is_unshown_success() => "done; the answer does not show the record".to_owned(),
        Err(error) => words(error),
    }
}

fn is_done(answer: &Result<Assigned, CallError>) -> bool {
    match answer {
        Ok(Assigned::Done(_)) => true,
        Ok(Assigned::Conflict { .. }) => false,
        Err(error) => error.is_unshown_success(),
    }
}

/// Out and in, twice each, to whoever has it or is the first in the list; then as it was.
async fn assignments(client: &AmfjClient, asset: &Asset, report: &mut Report) {
    if !client.can(Op::CheckOut) || !client.can(Op::CheckIn) || !client.can(Op::ListUsers) {
        return report.say(Verdict::Absent, "check_out", "the profile says that there is none");
    }
    let before: Option<RecordId> = asset.checked_out_to.as_ref().map(|holder| holder.id.clone());
    let user = match &before {
        Some(user) => Some(user.clone()),
        None => client
            .users_page(None)
            .await
            .ok()
            .and_then(|page| page.results.into_iter().next())
            .map(|user| user.id),
    };
    let Some(user) = user else {
        return report.say(Verdict::Absent, "check_out", "there is no user record to try it with");
    };
    if before.is_some() {
        let answer = client.check_in(&asset.id, None).await;
        report.say(Verdict::Measured, "check_in", holder(&answer));
    }
    let out = client.check_out(&asset.id, &user, None).await;
    let verdict = if is_done(&out) { Verdict::Found } else { Verdict::Differs };
    report.say(verdict, "check_out", holder(&out));
    let again = client.check_out(&asset.id, &user, None).await;
    report.say(Verdict::Measured, "check_out, twice", holder(&again));
    let takes_over = client.profile().operation(Op::CheckOut).is_some_and(|out| out.takes_over);
    if is_done(&again) && !takes_over {
        report.settings.push(
            "when_taken = \"taken-over\"         # in [operations.check_out] of the profile".to_owned(),
        );
    }
    let into = client.check_in(&asset.id, None).await;
    let verdict = if is_done(&into) { Verdict::Found } else { Verdict::Differs };
    report.say(verdict, "check_in", holder(&into));
    let again = client.check_in(&asset.id, None).await;
    report.say(Verdict::Measured, "check_in, twice", holder(&again));
    if let Some(user) = before {
        let back = client.check_out(&asset.id, &user, None).await;
        if !is_done(&back) {
            report.say(Verdict::Differs, "putting it back", holder(&back));
        }
    }
}
