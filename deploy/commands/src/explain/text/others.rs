//! The explanation of what is no device.

use std::fmt::Write as _;

use amfj_sync_model::messages::DeviceStatus;
use amfj_sync_security::screen::{Screen, Style, sanitize, value};

use super::{INDENT, failed, last, pending, refused, user};
use crate::explain::others::{HeldAsset, Lone, LoneAsset, Person, TheirDevice};
use crate::format::quoted;
use crate::plan;
use crate::status::style_of;

/// Writes the rows of the table at the top.
struct Rows<'a> {
    screen: &'a Screen,
    out: String,
}

impl<'a> Rows<'a> {
    fn headed(screen: &'a Screen, name: &str, integration: &str) -> Self {
        let name = if name.trim().is_empty() { "no name" } else { name };
        let out = format!("{} in {integration}\n", screen.ink(Style::Bold, &quoted(name)));
        Self { screen, out }
    }

    fn row(&mut self, name: &str, text: &str) {
        self.inked(Style::Plain, name, text);
    }

    fn inked(&mut self, style: Style, name: &str, text: &str) {
        let label = self.screen.ink(Style::Faint, &format!("{name:<INDENT$}"));
        let _ = writeln!(self.out, "{label}{}", self.screen.inked(style, INDENT, &sanitize(text)));
    }
}

/// An asset that no device has.
pub(in crate::explain) fn asset(screen: &Screen, lone: &LoneAsset) -> String {
    let asset = &lone.asset;
    let mut rows = Rows::headed(screen, &asset.name, &lone.integration);
    rows.inked(Style::Yellow, "state", "an asset without device");
    rows.row("why", &lone.reason);
    rows.row("to do", &lone.what_to_do);
    lone.paused.iter().for_each(|note| rows.row("note", note));
    let mut text = format!("{} ({}), {}", quoted(&asset.name), asset.id, asset.asset_type);
    if let Some(location) = &asset.location {
        let _ = write!(text, ", at {location}");
    }
    match &asset.checked_out_to {
        Some(holder) => {
            let _ = write!(text, ", checked out to {}", quoted(holder));
        }
        None => text.push_str(", not checked out"),
    }
    rows.row("asset", &text);
    let mut out = rows.out;
    if !lone.considered_for.is_empty() {
        let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "Devices that it was considered for"));
        for one in &lone.considered_for {
            let text = format!("{}  {}, {}: {}", one.id, one.label, one.state.as_str(), sanitize(&one.note));
            let _ = writeln!(out, "  {}", screen.sentence(4, &text));
        }
    }
    if !asset.fields.is_empty() {
        let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "Fields in AMFJ"));
        let fields: Vec<Vec<String>> =
            asset.fields.iter().map(|(name, held)| vec![name.clone(), value(held)]).collect();
        out.push_str(&screen.columns(2, &fields));
    }
    last(screen, &lone.last, &mut out);
    out
}

/// A person, or a user record.
pub(in crate::explain) fn person(screen: &Screen, person: &Person) -> String {
    let mut rows = match (&person.user, &person.record) {
        (Some(known), _) => {
            let name = if known.name.trim().is_empty() { known.key.as_deref() } else { Some(&*known.name) };
            let mut rows = Rows::headed(screen, name.unwrap_or_default(), &person.integration);
            let (style, state) =
                known.state.map_or((Style::Plain, "not decided yet"), |state| (style_of(state), word(state)));
            rows.inked(style, "state", state);
            if known.state == Some(DeviceStatus::InSync) && !known.reason.is_empty() {
                rows.row("why", &known.reason);
            }
            rows
        }
        (None, record) => lone(screen, record.as_ref(), &person.integration),
    };
    person.paused.iter().for_each(|note| rows.row("note", note));
    person.trouble.iter().for_each(|record| rows.row("refused", &refused(record)));
    if person.user.is_some() {
        user(person.user.as_ref(), &mut |name, text| rows.row(name, text));
    }
    if person.holds.is_empty() {
        rows.row("has", "no asset in AMFJ, as of the last list");
    }
    let mut out = rows.out;
    if let Some(known) = person.user.as_ref().filter(|known| !known.candidates.is_empty()) {
        let _ = writeln!(out, "\n{}", screen.ink(Style::Bold, "User records considered and not chosen"));
        out.push_str(&plan::candidates(screen, 2, &known.candidates));
    }
    devices(screen, &person.devices, &mut out);
    holds(screen, &person.holds, &mut out);
    pending(screen, &person.pending, &mut out);
    failed(screen, &person.failed, &mut out);
    last(screen, &person.last, &mut out);
    out
}

/// A person is never an asset.
fn word(state: DeviceStatus) -> &'static str {
    match state {
        DeviceStatus::Unmatched => "without user record",
        other => other.as_str(),
    }
}

fn lone<'a>(screen: &'a Screen, record: Option<&Lone>, integration: &str) -> Rows<'a> {
    let Some(record) = record else { return Rows::headed(screen, "", integration) };
    let mut rows = Rows::headed(screen, &record.name, integration);
    rows.inked(Style::Yellow, "state", "a user record of nobody in Kandji");
    if let Some(user) = &record.kandji_user {
        rows.row("why", &format!("It is linked to Kandji user {user}, whom no device names any more."));
        rows.row("to do", "Nothing; whoever gets a device again under that id gets this record.");
    } else {
        rows.row("why", "Nobody whom a device in Kandji names as its primary user is linked to it.");
        rows.row("to do", &format!("Nothing, or `amfj-sync link-user USER {}`.", record.id));
    }
    let email = record.email.as_deref().map_or("no email shown".to_owned(), |email| format!("<{email}>"));
    rows.row("record", &format!("{} {email} ({}), {}", quoted(&record.name), record.id, record.source));
    rows
}

fn devices(screen: &Screen, devices: &[TheirDevice], out: &mut String) {
    if devices.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{} ({})", screen.ink(Style::Bold, "Primary user of"), devices.len());
    let rows: Vec<Vec<String>> = devices
        .iter()
        .map(|one| {
            let asset = one.asset.as_ref().map_or("no asset".to_owned(), |asset| format!("→ {asset}"));
            let state = one.state.map_or("not decided yet", DeviceStatus::as_str).to_owned();
            vec![one.id.clone(), quoted(&one.label), asset, state]
        })
        .collect();
    out.push_str(&screen.columns(2, &rows));
}

fn holds(screen: &Screen, assets: &[HeldAsset], out: &mut String) {
    if assets.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{} ({})", screen.ink(Style::Bold, "Has in AMFJ"), assets.len());
    let rows: Vec<Vec<String>> = assets.iter().map(|one| vec![one.id.clone(), quoted(&one.name)]).collect();
    out.push_str(&screen.columns(2, &rows));
}
