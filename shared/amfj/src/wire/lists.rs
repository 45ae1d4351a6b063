//! Lists: where their rows are, and how one page follows another. However wrong a profile is, a list ends, and no page is asked for at
//! another host.

use std::collections::BTreeMap;

use amfj_sync_http::json::{self, MOST_ROWS, Rows};
use amfj_sync_http::{Answer, Api, Call, CallError};
use amfj_sync_model::messages::Unusable;
use serde::de::Error as _;
use serde_json::Value;
use serde_json::value::RawValue;

use super::invalid;
use crate::lenient::{Page, as_text};
use crate::profile::types::{ListForm, ListShape, Paging, Total};
use crate::profile::{Op, Pointer};

/// The rows of one page, each by itself, and where the next one begins.
pub(crate) struct RawPage {
    /// Key and value of each; why it cannot be read otherwise.
    pub(crate) rows: Vec<Result<(Option<String>, Value), String>>,
    pub(crate) next: Option<String>,
}

/// Asks for the page that begins at a cursor.
pub(crate) fn ask(
    api: &Api,
    mut call: Call,
    op: Op,
    shape: &ListShape,
    cursor: Option<&str>,
) -> Result<Call, CallError> {
    if let (Paging::NextUrl { .. }, Some(address)) = (&shape.paging, cursor) {
        let address = api.own_address(address);
        let foreign = || invalid(op, "the next page is at another host, where the token is not sent");
        return Ok(call.moved_to(address.ok_or_else(foreign)?));
    }
    if let Some((parameter, size)) = &shape.size {
        call = call.query(parameter.clone(), size);
    }
    let parameter = match &shape.paging {
        Paging::Cursor { parameter, .. }
        | Paging::Offset { parameter, .. }
        | Paging::Page { parameter, .. } => parameter,
        Paging::None | Paging::NextUrl { .. } => return Ok(call),
    };
    let place = match &shape.paging {
        Paging::Page { first, .. } => {
            Some(cursor.map_or(first.to_string(), |cursor| Position::parse(cursor).page.to_string()))
        }
        Paging::Offset { .. } => cursor.map(|cursor| Position::parse(cursor).rows.to_string()),
        _ => cursor.map(str::to_owned),
    };
    Ok(match place {
        Some(place) => call.query(parameter.clone(), &place),
        None => call,
    })
}

/// Where a list of numbered rows or pages is: the page, and the rows before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    page: u64,
    rows: u64,
}

impl Position {
    fn parse(cursor: &str) -> Self {
        let (page, rows) = cursor.split_once(':').unwrap_or(("0", cursor));
        Self { page: page.parse().unwrap_or(0), rows: rows.parse().unwrap_or(0) }
    }

    fn after(self, rows: u64) -> String {
        format!("{}:{}", self.page.saturating_add(1), self.rows.saturating_add(rows))
    }
}

/// What a page says outside of its body.
#[derive(Debug, Default)]
pub(crate) struct Heading {
    link: Option<String>,
    total: Option<u64>,
}

impl Heading {
    pub(crate) fn of(answer: &Answer, shape: &ListShape) -> Self {
        let total = match &shape.paging {
            Paging::Offset { total: Some(Total::Header(name)), .. }
            | Paging::Page { total: Some(Total::Header(name)), .. } => {
                answer.header(name).and_then(|total| total.trim().parse().ok())
            }
            _ => None,
        };
        let link = match &shape.paging {
            Paging::NextUrl { next: None } => answer.header("link").and_then(next_link),
            _ => None,
        };
        Self { link, total }
    }
}

/// The target of `rel="next"` in a header `Link`.
fn next_link(header: &str) -> Option<String> {
    let mut rest = header;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, behind) = after.split_once('>')?;
        let parameters = behind.split_once('<').map_or(behind, |(parameters, _)| parameters);
        let is_next = parameters.split(';').any(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or_default();
            let value = value.trim().trim_end_matches(',').trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && value.split_whitespace().any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.trim().to_owned());
        }
        rest = behind;
    }
    None
}

/// Reads the body of a page that was asked for at this cursor.
pub(crate) fn read(
    body: &[u8],
    shape: &ListShape,
    heading: &Heading,
    cursor: Option<&str>,
    api: &Api,
) -> serde_json::Result<RawPage> {
    let (text, _) = json::mend(body);
    let whole: &RawValue = serde_json::from_str(&text)?;
    let rows = rows(whole, shape)?;
    let count = rows.len() as u64;
    let next = match &shape.paging {
        Paging::None => None,
        Paging::Cursor { next, more, .. } => {
            let cursor = small(whole, next)?.as_ref().and_then(as_text);
            match more {
                None => cursor,
                Some(more) => further(small(whole, more)?.as_ref(), cursor, more)?,
            }
        }
        Paging::NextUrl { next } => {
            let said = match next {
                Some(pointer) => small(whole, pointer)?.as_ref().and_then(as_text),
                None => heading.link.clone(),
            };
            match said {
                Some(said) => Some(own(api, &said)?),
                None => None,
            }
        }
        Paging::Offset { total, .. } => {
            let at = Position::parse(cursor.unwrap_or("0"));
            let total = said_total(whole, total.as_ref(), heading)?;
            goes_on(at.rows + count, count, total, shape).then(|| at.after(count))
        }
        Paging::Page { total, first, counts_pages, .. } => {
            let at = cursor.map_or(Position { page: *first, rows: 0 }, Position::parse);
            let total = said_total(whole, total.as_ref(), heading)?;
            let more = if *counts_pages {
                count > 0 && total.is_none_or(|pages| at.page + 1 < pages.saturating_add(*first))
            } else {
                goes_on(at.rows + count, count, total, shape)
            };
            more.then(|| at.after(count))
        }
    };
    Ok(RawPage { rows, next })
}

/// The cursor, where something says that there is a next page. Half a list is none: what says neither yes nor no is an error.
fn further(
    said: Option<&Value>,
    cursor: Option<String>,
    more: &Pointer,
) -> serde_json::Result<Option<String>> {
    let wrong = |what: &str| Err(serde_json::Error::custom(format!("\"{}\" {what}", more.as_str())));
    match (said, &cursor) {
        (Some(Value::Bool(false)), _) => Ok(None),
        (Some(Value::Bool(true)), Some(_)) => Ok(cursor),
        (Some(Value::Bool(true)), None) => wrong("says that there is more, and there is no cursor to it"),
        _ => wrong("is neither true nor false"),
    }
}

/// Whether there may be another page. A total that is reached by full pages alone is not believed before a page is short or empty: a wrong
/// pointer may lead to the number of rows of the page.
fn goes_on(so_far: u64, count: u64, total: Option<u64>, shape: &ListShape) -> bool {
    let is_full = shape.size.as_ref().is_some_and(|(_, size)| count >= u64::from(*size));
    count > 0 && (is_full || total.is_none_or(|total| so_far < total))
}

fn own(api: &Api, said: &str) -> serde_json::Result<String> {
    let address = api.own_address(said);
    let foreign =
        || serde_json::Error::custom("the next page is at another host, where the token is not sent");
    address.map(|address| address.to_string()).ok_or_else(foreign)
}

fn said_total(whole: &RawValue, total: Option<&Total>, heading: &Heading) -> serde_json::Result<Option<u64>> {
    match total {
        None => Ok(None),
        Some(Total::Header(_)) => Ok(heading.total),
        Some(Total::At(pointer)) => {
            let said = small(whole, pointer)?;
            Ok(said.as_ref().and_then(as_text).and_then(|total| total.trim().parse().ok()))
        }
    }
}

/// A value that is none of the rows.
fn small(whole: &RawValue, pointer: &Pointer) -> serde_json::Result<Option<Value>> {
    Ok(match descend(whole, pointer)? {
        Some(found) if found.get().len() <= json::LONGEST_TEXT => serde_json::from_str(found.get()).ok(),
        _ => None,
    })
}

type Members<'a> = BTreeMap<String, &'a RawValue>;

/// What stands at a pointer, unread.
fn descend<'a>(whole: &'a RawValue, pointer: &Pointer) -> serde_json::Result<Option<&'a RawValue>> {
    let mut at = whole;
    for token in pointer.tokens() {
        let text = at.get().trim_start();
        let next = if text.starts_with('{') {
            serde_json::from_str::<Members<'a>>(at.get())?.remove(token)
        } else if text.starts_with('[') {
            let values: Vec<&'a RawValue> = serde_json::from_str(at.get())?;
            token.parse::<usize>().ok().and_then(|place| values.get(place).copied())
        } else {
            None
        };
        match next {
            Some(next) => at = next,
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

type ReadRows = Vec<Result<(Option<String>, Value), String>>;

fn rows(whole: &RawValue, shape: &ListShape) -> serde_json::Result<ReadRows> {
    let Some(found) = descend(whole, &shape.rows)? else {
        return Err(serde_json::Error::custom(format!(
            "there is nothing at {}, where the list is to be",
            shown(&shape.rows)
        )));
    };
    let text = found.get().trim_start();
    let unreadable =
        |error: serde_json::Error| format!("it is no JSON that can be read ({error}); it is left out");
    if shape.form == ListForm::ById && text.starts_with('{') {
        let members: Members<'_> = serde_json::from_str(found.get())?;
        if members.len() > MOST_ROWS {
            return Err(serde_json::Error::custom(format!("more than {MOST_ROWS} rows in one page")));
        }
        let row = |(key, raw): (String, &RawValue)| {
            json::read(raw.get()).map(|value| (Some(key), value)).map_err(unreadable)
        };
        return Ok(members.into_iter().map(row).collect());
    }
    if !text.starts_with('[') {
        let kind = if text.starts_with('{') { "an object" } else { "no list" };
        return Err(serde_json::Error::custom(format!(
            "there is {kind} at {}, where the list is to be",
            shown(&shape.rows)
        )));
    }
    let rows: Rows<'_> = serde_json::from_str(found.get())?;
    if shape.form == ListForm::ById && !rows.is_empty() {
        return Err(serde_json::Error::custom(format!(
            "there is a list at {}, and no object by id",
            shown(&shape.rows)
        )));
    }
    let row = |raw: Result<&str, String>| match raw {
        Ok(text) => json::read(text).map(|value| (None, value)).map_err(unreadable),
        Err(why) => Err(format!("{why}; it is left out")),
    };
    Ok(rows.each().map(row).collect())
}

fn shown(pointer: &Pointer) -> String {
    if pointer.as_str().is_empty() {
        "the body itself".to_owned()
    } else {
        format!("\"{}\"", pointer.as_str())
    }
}

/// A page of what `read` makes of each row.
pub(crate) fn page_of<T>(
    raw: RawPage,
    what: &'static str,
    mut read: impl FnMut(Option<&str>, &Value) -> Result<(T, Vec<Unusable>), Unusable>,
) -> Page<T> {
    let mut page = Page { next: raw.next, rows: raw.rows.len() as u64, ..Page::empty() };
    page.results.reserve(raw.rows.len());
    for (place, row) in raw.rows.into_iter().enumerate() {
        let read = match row {
            Ok((key, value)) => read(key.as_deref(), &value),
            Err(why) => Err(Unusable::new(what, None, None, &why)),
        };
        page.take_row(place, read);
    }
    page
}

#[cfg(test)]
mod tests;
