//! The endpoints of the contract.

use serde_json::{Value, json};

use super::{
    requests::{AssetPatch, CheckIn, CheckOut, NewAsset, NewUser, Refusal, UserPatch, body, only},
    store::Store,
};
use crate::sim::{
    core::Verdict,
    wire::{Ask, Reply},
};

/// Where the contract's paths begin.
pub(crate) const BASE: &str = "/v1";

/// The most rows of a page, and the number if none is asked for.
const LARGEST_PAGE: usize = 100;

/// Answers a request whose token is good.
pub(crate) fn answer(store: &mut Store, ask: &Ask) -> Verdict {
    match route(store, ask) {
        Ok(reply) => reply.into(),
        Err(refusal) => refusal.into(),
    }
}

fn route(store: &mut Store, ask: &Ask) -> Result<Reply, Refusal> {
    let path = ask.path.strip_prefix("/v1/").ok_or_else(|| Refusal::not_found("endpoint"))?;
    let parts: Vec<&str> = path.split('/').collect();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["assets"]) => assets(store, ask),
        ("GET", ["users"]) => users(store, ask),
        ("GET", ["assets", id]) => {
            only(ask, &[])?;
            let asset = store.assets.get(id).ok_or_else(|| Refusal::not_found("asset"))?;
            Ok(Reply::json(200, &store.show_asset(asset)))
        }
        ("GET", ["asset-types"]) => whole(ask, &json!(store.asset_types)),
        ("GET", ["locations"]) => whole(ask, &json!(store.locations)),
        ("GET", ["user-fields"]) => whole(ask, &json!(store.user_fields)),
        ("POST", ["assets"]) => write(store, ask, 201, |store| store.create_asset(body::<NewAsset>(ask)?)),
        ("PATCH", ["assets", id]) => {
            write(store, ask, 200, |store| store.update_asset(id, body::<AssetPatch>(ask)?))
        }
        ("POST", ["assets", id, "check-out"]) => {
            write(store, ask, 200, |store| store.check_out(id, &body::<CheckOut>(ask)?.user_id))
        }
        ("POST", ["assets", id, "check-in"]) => write(store, ask, 200, |store| {
            // The body is optional as a whole, since its only member is.
            let _: CheckIn = if ask.body.is_empty() { CheckIn::default() } else { body(ask)? };
            store.check_in(id)
        }),
        ("POST", ["users"]) => write(store, ask, 201, |store| store.create_user(body::<NewUser>(ask)?)),
        ("PATCH", ["users", id]) => {
            write(store, ask, 200, |store| store.update_user(id, body::<UserPatch>(ask)?))
        }
        (method, _) => Err(Refusal::violation(format!("the contract has no {method} {path}"))),
    }
}

/// A list that is never paged.
fn whole(ask: &Ask, results: &Value) -> Result<Reply, Refusal> {
    only(ask, &[])?;
    Ok(Reply::json(200, &json!({ "results": results })))
}

fn write(
    store: &mut Store,
    ask: &Ask,
    status: u16,
    carry_out: impl FnOnce(&mut Store) -> Result<Value, Refusal>,
) -> Result<Reply, Refusal> {
    only(ask, &[])?;
    let record = carry_out(store)?;
    let sent = serde_json::from_slice(&ask.body).unwrap_or_default();
    store.log(&ask.method, &ask.path, sent, record.clone());
    Ok(Reply::json(status, &record))
}

fn assets(store: &mut Store, ask: &Ask) -> Result<Reply, Refusal> {
    only(ask, &["limit", "cursor", "name"])?;
    let (limit, after) = page_of(ask, "a")?;
    let name = ask.param("name");
    let unlisted = store.forms.unlisted.clone();
    let (found, more) = store.assets.listed(after.as_deref(), limit, |asset| {
        name.map_or(!unlisted.contains(&asset.id), |name| asset.name == name)
    });
    let results: Vec<Value> = found.iter().map(|(_, asset)| store.show_asset(asset)).collect();
    Ok(page("a", found.last().map(|(id, _)| id.as_str()), more, &results))
}

fn users(store: &mut Store, ask: &Ask) -> Result<Reply, Refusal> {
    only(ask, &["limit", "cursor", "email"])?;
    let (limit, after) = page_of(ask, "u")?;
    let email = ask.param("email");
    let unlisted = store.forms.unlisted.clone();
    let (found, more) = store.users.listed(after.as_deref(), limit, |user| {
        email.map_or(!unlisted.contains(&user.id), |email| user.email.as_deref() == Some(email))
    });
    let results: Vec<Value> = found.iter().map(|(_, user)| Store::show_user(user)).collect();
    Ok(page("u", found.last().map(|(id, _)| id.as_str()), more, &results))
}

/// How many rows are asked for, and after which id.
fn page_of(ask: &Ask, kind: &str) -> Result<(usize, Option<String>), Refusal> {
    let limit = match ask.param("limit").map(str::parse::<usize>) {
        None => LARGEST_PAGE,
        Some(Ok(limit)) if (1..=LARGEST_PAGE).contains(&limit) => limit,
        Some(_) => return Err(Refusal::violation(format!("limit must be 1 to {LARGEST_PAGE}"))),
    };
    let Some(cursor) = ask.param("cursor") else { return Ok((limit, None)) };
    let after = cursor.strip_prefix(kind).and_then(decode);
    match after {
        Some(after) => Ok((limit, Some(after))),
        None => Err(Refusal::violation(format!("no such cursor: {cursor:?}"))),
    }
}

fn page(kind: &str, last: Option<&str>, more: bool, results: &[Value]) -> Reply {
    let cursor = last.filter(|_| more).map(|id| format!("{kind}{}", encode(id)));
    Reply::json(200, &json!({ "results": results, "next_cursor": cursor }))
}

/// Cursors are opaque, and hold characters that must be escaped in a query.
fn encode(id: &str) -> String {
    let digits: Vec<String> = id.bytes().rev().map(|byte| format!("{byte:02x}")).collect();
    digits.concat() + "+/="
}

fn decode(cursor: &str) -> Option<String> {
    let digits = cursor.strip_suffix("+/=")?;
    let pair = |n: usize| digits.get(2 * n..2 * n + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let mut bytes: Vec<u8> = (0..digits.len() / 2).map(pair).collect::<Option<_>>()?;
    bytes.reverse();
    String::from_utf8(bytes).ok()
}
