//! The endpoints of the contract.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    dialects::Dialect,
    keeping::{self, Before, Kept},
    requests::{AssetPatch, CheckIn, CheckOut, NewAsset, NewUser, Refusal, UserPatch, body, only},
    store::Store,
};
use crate::sim::{
    core::Verdict,
    personality::{Oddity, Search},
    wire::{Ask, Reply},
};

/// Where the contract's paths begin.
pub(crate) const BASE: &str = "/v1";

/// The most rows of a page, and the number if none is asked for.
const LARGEST_PAGE: usize = 100;

/// Answers a request whose token is good, in the ways that these oddities say.
pub(crate) fn answer(store: &mut Store, ask: &Ask, met: &[Oddity]) -> Verdict {
    match route(store, ask, met) {
        Ok(reply) => reply.into(),
        Err(refusal) => refusal.into(),
    }
}

fn route(store: &mut Store, ask: &Ask, met: &[Oddity]) -> Result<Reply, Refusal> {
    let path = ask.path.strip_prefix("/v1/").ok_or_else(|| Refusal::not_found("endpoint"))?;
    let parts: Vec<&str> = path.split('/').collect();
    match (ask.method.as_str(), parts.as_slice()) {
        ("GET", ["assets"]) => assets(store, ask, met),
        ("GET", ["users"]) => users(store, ask, met),
        ("GET", ["assets", id]) => {
            only(ask, &[])?;
            let asset = store.assets.get(id).ok_or_else(|| Refusal::not_found("asset"))?;
            Ok(Reply::json(200, &store.show_asset(asset)))
        }
        // The contract has no such thing; other interfaces do.
        ("GET", ["users", id]) if store.dialect != Dialect::AssumedV1 => {
            let user = store.users.get(id).ok_or_else(|| Refusal::not_found("user"))?;
            Ok(Reply::json(200, &Store::show_user(user)))
        }
        ("GET", ["asset-types"]) => whole(ask, &json!(store.asset_types)),
        ("GET", ["locations"]) => whole(ask, &json!(store.locations)),
        ("GET", ["user-fields"]) => whole(ask, &json!(store.user_fields)),
        (method, parts) if is_write(method, parts) => write(store, ask, parts, met),
        (method, _) => Err(Refusal::violation(format!("the contract has no {method} {path}"))),
    }
}

/// A list that is never paged.
fn whole(ask: &Ask, results: &Value) -> Result<Reply, Refusal> {
    only(ask, &[])?;
    Ok(Reply::json(200, &json!({ "results": results })))
}

fn is_write(method: &str, parts: &[&str]) -> bool {
    matches!(
        (method, parts),
        ("POST", ["assets" | "users"] | ["assets", _, "check-out" | "check-in"])
            | ("PATCH", ["assets" | "users", _])
    )
}

/// Carries a write out, and keeps of it what the oddities say.
fn write(store: &mut Store, ask: &Ask, parts: &[&str], met: &[Oddity]) -> Result<Reply, Refusal> {
    only(ask, &[])?;
    let before = match parts {
        ["assets", id, ..] => Before::Asset(store.assets.get(id).cloned()),
        ["assets"] => Before::Asset(None),
        [_, id, ..] => Before::User(store.users.get(id).cloned()),
        _ => Before::User(None),
    };
    let sent: Value = serde_json::from_slice(&ask.body).unwrap_or_default();
    let usual_lag = store.assets.lag;
    let own_lag = met.iter().find_map(|oddity| match oddity {
        Oddity::ListLate { ms } => Some(Duration::from_millis(*ms)),
        _ => None,
    });
    store.set_lag(own_lag.unwrap_or(usual_lag));
    store.by_client = true;
    let carried_out = carry_out(store, ask, parts).map(|(status, record)| {
        let is_odd = keeping::concerns(met);
        let kept =
            if is_odd { keeping::keep(store, met, before, &sent, record) } else { Kept::as_sent(record) };
        (status, kept)
    });
    store.by_client = false;
    store.set_lag(usual_lag);
    let (status, kept) = carried_out.map_err(|refusal| as_held(met, refusal))?;
    store.log(&ask.method, &ask.path, sent, kept.stored);
    Ok(Reply::json(status, &kept.shown))
}

/// The refusal of a check-out of what somebody has, as this AMFJ says it.
fn as_held(met: &[Oddity], refusal: Refusal) -> Refusal {
    let own = met.iter().find_map(|oddity| match oddity {
        Oddity::HeldAnswers { status } => Some(*status),
        _ => None,
    });
    match own {
        Some(status) => refusal.said_as(Store::CHECKED_OUT, status),
        None => refusal,
    }
}

/// What a write of the contract does, and the status and record that it answers.
fn carry_out(store: &mut Store, ask: &Ask, parts: &[&str]) -> Result<(u16, Value), Refusal> {
    match (ask.method.as_str(), parts) {
        ("POST", ["assets"]) => Ok((201, store.create_asset(body::<NewAsset>(ask)?)?)),
        ("POST", ["users"]) => Ok((201, store.create_user(body::<NewUser>(ask)?)?)),
        ("PATCH", ["users", id]) => Ok((200, store.update_user(id, body::<UserPatch>(ask)?)?)),
        ("POST", ["assets", id, "check-out"]) => {
            Ok((200, store.check_out(id, &body::<CheckOut>(ask)?.user_id)?))
        }
        ("POST", ["assets", id, _]) => {
            // The body is optional as a whole, since its only member is.
            let _: CheckIn = if ask.body.is_empty() { CheckIn::default() } else { body(ask)? };
            Ok((200, store.check_in(id)?))
        }
        (_, [_, id, ..]) => Ok((200, store.update_asset(id, body::<AssetPatch>(ask)?)?)),
        _ => Err(Refusal::not_found("endpoint")),
    }
}

fn assets(store: &mut Store, ask: &Ask, met: &[Oddity]) -> Result<Reply, Refusal> {
    only(ask, &["limit", "cursor", "name"])?;
    let (limit, after) = page_of(ask, "a")?;
    let name = ask.param("name");
    let unlisted = store.forms.unlisted.clone();
    let (found, more) = store.assets.listed(after.as_deref(), limit, |asset| {
        name.map_or(!unlisted.contains(&asset.id), |name| is_found(met, name, &asset.name))
    });
    let results: Vec<Value> = found.iter().map(|(_, asset)| store.show_asset(asset)).collect();
    Ok(page("a", found.last().map(|(id, _)| id.as_str()), more, &results))
}

fn users(store: &mut Store, ask: &Ask, met: &[Oddity]) -> Result<Reply, Refusal> {
    only(ask, &["limit", "cursor", "email"])?;
    let (limit, after) = page_of(ask, "u")?;
    let email = ask.param("email");
    let unlisted = store.forms.unlisted.clone();
    let (found, more) = store.users.listed(after.as_deref(), limit, |user| {
        email.map_or(!unlisted.contains(&user.id), |email| {
            user.email.as_deref().is_some_and(|own| is_found(met, email, own))
        })
    });
    let results: Vec<Value> = found.iter().map(|(_, user)| Store::show_user(user)).collect();
    Ok(page("u", found.last().map(|(id, _)| id.as_str()), more, &results))
}

/// Whether a search for `wanted` finds what is called `own`: by the contract only exactly that.
fn is_found(met: &[Oddity], wanted: &str, own: &str) -> bool {
    let search = met.iter().find_map(|oddity| match oddity {
        Oddity::Search(search) => Some(*search),
        _ => None,
    });
    match search {
        None => own == wanted,
        Some(Search::Nothing) => false,
        Some(Search::AnyCase) => own.to_lowercase() == wanted.to_lowercase(),
        Some(Search::Contains) => own.to_lowercase().contains(&wanted.to_lowercase()),
        Some(Search::Everything) => true,
    }
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
pub(super) fn encode(id: &str) -> String {
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
