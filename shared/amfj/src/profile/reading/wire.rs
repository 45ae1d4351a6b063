//! `[lists]`, `[values]`, `[errors]` and `[limits]`.

use amfj_sync_config::reading::{self as file, Found, Node, Reading, Section};
use jiff::tz::TimeZone;

use super::authentication::is_header;
use super::{pointer, statuses, word};
use crate::profile::pointer::Pointer;
use crate::profile::types::{
    Clear, ErrorPlace, Errors, Limits, ListForm, ListShape, NumberForm, OwnForm, Paging, PauseForm, Refusal,
    TimeForm, Total, Values,
};

/// The most records that a page may be asked for.
const LARGEST_PAGE: u32 = 1000;

pub(super) fn lists(mut section: Section, reading: &mut Reading<'_>) -> Option<ListShape> {
    let form = section.read(reading, "form", list_form).or(ListForm::List);
    let rows = section.read(reading, "rows", pointer).required(
        &mut section,
        "rows",
        "rows = \"/results\", the pointer to the records of a list; \"\" for the body itself",
    );
    let below = section.section(reading, "paging");
    let paging = paging(below, reading);
    section.finish(reading);
    let (paging, size) = paging?;
    Some(ListShape { form: form?, rows: rows?, paging, size })
}

/// The same of one operation, which says what differs.
pub(super) fn list_of(
    section: &mut Section,
    reading: &mut Reading<'_>,
    lists: Option<&ListShape>,
) -> Option<ListShape> {
    let form = section.read(reading, "form", list_form);
    let rows = section.read(reading, "rows", pointer);
    let below = section.section(reading, "paging");
    let own = below.has_more();
    let paging = if own {
        paging(below, reading)
    } else {
        lists.map(|lists| (lists.paging.clone(), lists.size.clone()))
    };
    let page_size = section
        .read(reading, "page_size", |node| file::integer(node, 0..=LARGEST_PAGE).map(Some))
        .or(None)?;
    let lists = lists?;
    let (paging, size) = paging?;
    let size = match page_size {
        Some(0) => None,
        Some(most) => size.map(|(parameter, _)| (parameter, most)),
        None => size,
    };
    Some(ListShape { form: form.or(lists.form)?, rows: rows.or(lists.rows.clone())?, paging, size })
}

fn list_form(node: &Node) -> Result<ListForm, String> {
    word(node, &[("list", ListForm::List), ("by-id", ListForm::ById)])
}

#[derive(Clone, Copy)]
enum Form {
    None,
    Cursor,
    NextUrl,
    Offset,
    Page,
}

type Sized = (Paging, Option<(String, u32)>);

fn paging(mut section: Section, reading: &mut Reading<'_>) -> Option<Sized> {
    let forms = [
        ("none", Form::None),
        ("cursor", Form::Cursor),
        ("next-url", Form::NextUrl),
        ("offset", Form::Offset),
        ("page", Form::Page),
    ];
    let form = section.read(reading, "form", |node| word(node, &forms)).required(
        &mut section,
        "form",
        "form = \"cursor\", \"next-url\", \"offset\", \"page\" or \"none\"",
    );
    let paging = form.and_then(|form| one_paging(form, &mut section, reading));
    let size = if matches!(form, Some(Form::None)) { Some(None) } else { size(&mut section, reading) };
    section.finish(reading);
    Some((paging?, size?))
}

fn one_paging(form: Form, section: &mut Section, reading: &mut Reading<'_>) -> Option<Paging> {
    let parameter = |section: &mut Section, reading: &mut Reading<'_>, example: &str| {
        let write = format!("parameter = \"{example}\", the query parameter");
        section.read(reading, "parameter", file::name).required(section, "parameter", &write)
    };
    Some(match form {
        Form::None => Paging::None,
        Form::Cursor => {
            let parameter = parameter(section, reading, "cursor");
            let next = section.read(reading, "next", pointer).required(
                section,
                "next",
                "next = \"/next_cursor\", the pointer to the cursor",
            );
            let more = section.read(reading, "more", |node| pointer(node).map(Some)).or(None);
            Paging::Cursor { next: next?, parameter: parameter?, more: more? }
        }
        Form::NextUrl => {
            let next = section.read(reading, "next", |node| pointer(node).map(Some)).or(None);
            Paging::NextUrl { next: next? }
        }
        Form::Offset => {
            let parameter = parameter(section, reading, "offset");
            let total = total(section, reading);
            Paging::Offset { parameter: parameter?, total: total? }
        }
        Form::Page => {
            let parameter = parameter(section, reading, "page");
            let first = section.read(reading, "first", |node| file::integer(node, 0..=1_u64)).or(1);
            let total = total(section, reading);
            let counts = section
                .read(reading, "total_counts", |node| word(node, &[("rows", false), ("pages", true)]))
                .or(false);
            Paging::Page { parameter: parameter?, first: first?, total: total?, counts_pages: counts? }
        }
    })
}

#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
fn size(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<(String, u32)>> {
    let parameter = section.read(reading, "size_parameter", |node| file::name(node).map(Some)).or(None);
    let size = section.read(reading, "size", |node| file::integer(node, 1..=LARGEST_PAGE)).or(100);
    Some(parameter?.zip(Some(size?)))
}

#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
fn total(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<Total>> {
    let at = section.read(reading, "total", |node| pointer(node).map(Some)).or(None);
    let header = section.read(reading, "total_header", |node| header(node).map(Some)).or(None);
    Some(match (at?, header?) {
        (Some(pointer), _) => Some(Total::At(pointer)),
        (None, Some(header)) => Some(Total::Header(header)),
        (None, None) => None,
    })
}

fn header(node: &Node) -> Result<String, String> {
    let name = file::name(node)?;
    if is_header(&name) {
        Ok(name)
    } else {
        Err("must be the name of a header, such as \"Retry-After\"".to_owned())
    }
}

pub(super) fn values(mut section: Section, reading: &mut Reading<'_>) -> Option<Values> {
    let clears = [("null", Clear::Null), ("empty", Clear::Empty), ("omit", Clear::Omit)];
    let clear = section.read(reading, "clear", |node| word(node, &clears)).or(Clear::Null);
    let date = section.read(reading, "date", |node| time_form(node, "%Y-%m-%d")).or(TimeForm::Standard);
    let timestamp =
        section.read(reading, "timestamp", |node| time_form(node, "rfc3339")).or(TimeForm::Standard);
    let zone = section.read(reading, "time_zone", zone).or(TimeZone::UTC);
    let numbers =
        [("number", NumberForm::Number), ("text", NumberForm::Text), ("text-comma", NumberForm::TextComma)];
    let number = section.read(reading, "number", |node| word(node, &numbers)).or(NumberForm::Number);
    let mut below = section.section(reading, "boolean");
    let boolean = if below.has_more() {
        let yes = below.read(reading, "true", file::name).required(&mut below, "true", "true = \"Yes\"");
        let no = below.read(reading, "false", file::name).required(&mut below, "false", "false = \"No\"");
        yes.zip(no).map(Some)
    } else {
        Some(None)
    };
    below.finish(reading);
    let html = section.read(reading, "html", file::boolean).or(false);
    section.finish(reading);
    Some(Values {
        clear: clear?,
        date: date?,
        timestamp: timestamp?,
        zone: zone?,
        number: number?,
        boolean: boolean?,
        html: html?,
    })
}

fn time_form(node: &Node, standard: &str) -> Result<TimeForm, String> {
    let text = file::name(node)?;
    match text.as_str() {
        "epoch" => Ok(TimeForm::Epoch),
        "epoch-milliseconds" => Ok(TimeForm::EpochMilliseconds),
        text if text == standard => Ok(TimeForm::Standard),
        text if text.contains('%') => {
            // What is written is to be read back.
            let example = jiff::Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC);
            jiff::fmt::strtime::format(text, &example)
                .and_then(|written| jiff::fmt::strtime::parse(text, written)?.to_date())
                .map(|_| TimeForm::Format(text.to_owned()))
                .map_err(|error| format!("is no form of a date: {error}"))
        }
        other => Err(format!(
            "must be a form such as \"%d/%m/%Y\", \"{standard}\", \"epoch\" or \"epoch-milliseconds\", not \"{}\"",
            file::shown(other)
        )),
    }
}

/// A name, or hours and minutes from UTC.
fn zone(node: &Node) -> Result<TimeZone, String> {
    let text = file::name(node)?;
    let wrong = || {
        format!(
            "is no time zone: \"{}\"; write \"+02:00\", or a name such as \"Europe/Berlin\"",
            file::shown(&text)
        )
    };
    if let Some(rest) = text.strip_prefix(['+', '-']) {
        let (hours, minutes) = rest.split_once(':').ok_or_else(wrong)?;
        let number =
            |text: &str| text.parse::<i32>().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()));
        let (hours, minutes) = number(hours).zip(number(minutes)).ok_or_else(wrong)?;
        if hours > 15 || minutes > 59 {
            return Err(wrong());
        }
        let seconds = (hours * 60 + minutes) * 60 * if text.starts_with('-') { -1 } else { 1 };
        let offset = jiff::tz::Offset::from_seconds(seconds).map_err(|_| wrong())?;
        return Ok(TimeZone::fixed(offset));
    }
    if text == "UTC" {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(&text).map_err(|_| wrong())
}

pub(super) fn errors(mut section: Section, reading: &mut Reading<'_>) -> Option<Errors> {
    let message = section.read(reading, "message", places).or(Vec::new());
    let field = section.read(reading, "field", places).or(Vec::new());
    let code = section.read(reading, "code", places).or(Vec::new());
    let mut read = |key, refusal| Some((refusal, section.read(reading, key, statuses).or(Vec::new())?));
    let listed = [
        read("gone", Refusal::Gone),
        read("already_so", Refusal::AlreadySo),
        read("refused_value", Refusal::Value),
        read("slow_down", Refusal::SlowDown),
    ];
    let mut below = section.section(reading, "codes");
    let mut read = |key, refusal| Some((refusal, below.read(reading, key, file::names).or(Vec::new())?));
    let codes = [
        read("gone", Refusal::Gone),
        read("already_so", Refusal::AlreadySo),
        read("refused_value", Refusal::Value),
        read("slow_down", Refusal::SlowDown),
    ];
    below.finish(reading);
    let body = section.read(reading, "body", own_forms).or(vec![OwnForm::Object]);
    let mut below = section.section(reading, "despite_success");
    let despite_success = if below.has_more() {
        let at = below.read(reading, "at", pointer).required(&mut below, "at", "at = \"/status\"");
        let is = below.read(reading, "is", file::names).required(&mut below, "is", "is = [\"error\"]");
        at.zip(is).map(Some)
    } else {
        Some(None)
    };
    below.finish(reading);
    section.finish(reading);
    let statuses: Option<Vec<_>> = listed.into_iter().collect();
    let codes: Option<Vec<_>> = codes.into_iter().collect();
    let (mut statuses, mut codes) = (statuses?, codes?);
    statuses.retain(|(_, statuses)| !statuses.is_empty());
    codes.retain(|(_, codes)| !codes.is_empty());
    Some(Errors {
        message: message?,
        field: field?,
        code: code?,
        statuses,
        codes,
        body: body?,
        despite_success: despite_success?,
    })
}

fn own_forms(node: &Node) -> Result<Vec<OwnForm>, String> {
    let forms = [
        ("object", OwnForm::Object),
        ("list", OwnForm::List),
        ("text", OwnForm::Text),
        ("empty", OwnForm::Empty),
    ];
    let named = |name: &String| forms.iter().find(|(form, _)| form == name).map(|(_, form)| *form);
    let words = file::names(node)?;
    let unknown = |name: &&String| named(name).is_none();
    if let Some(other) = words.iter().find(unknown) {
        return Err(format!(
            "has an element \"{}\"; known are object, list, text, empty",
            file::shown(other)
        ));
    }
    Ok(words.iter().filter_map(named).collect())
}

/// Pointers, whose last name may be `*`.
fn places(node: &Node) -> Result<Vec<ErrorPlace>, String> {
    let place = |text: &String| {
        let (text, is_only_member) = match text.strip_suffix("/*") {
            Some(object) => (object, true),
            None => (text.as_str(), false),
        };
        Pointer::parse(text).map(|pointer| ErrorPlace { pointer, is_only_member })
    };
    let texts = match file::text(node) {
        Ok(text) => vec![text],
        Err(_) => file::names(node)?,
    };
    texts.iter().map(|text| place(text).map_err(|error| format!("has an element that {error}"))).collect()
}

pub(super) fn limits(mut section: Section, reading: &mut Reading<'_>) -> Option<Limits> {
    let mut below = section.section(reading, "pause");
    let pause = if below.has_more() {
        let forms = [
            ("seconds", PauseForm::Seconds),
            ("milliseconds", PauseForm::Milliseconds),
            ("epoch", PauseForm::Epoch),
            ("epoch-milliseconds", PauseForm::EpochMilliseconds),
            ("date", PauseForm::Date),
            ("seconds-or-date", PauseForm::SecondsOrDate),
        ];
        let name =
            below.read(reading, "header", header).required(&mut below, "header", "header = \"Retry-After\"");
        let form: Found<PauseForm> = below.read(reading, "form", |node| word(node, &forms));
        name.zip(form.or(PauseForm::SecondsOrDate)).map(Some)
    } else {
        Some(None)
    };
    below.finish(reading);
    let remaining = section.read(reading, "remaining", |node| header(node).map(Some)).or(None);
    section.finish(reading);
    Some(Limits { pause: pause?, remaining: remaining? })
}
