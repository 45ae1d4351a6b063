//! The plan as a table for spreadsheets: one row for each value, so that it can be sorted and filtered there.

use amfj_sync_model::messages::{DeviceStatus, Outcome};
use amfj_sync_security::screen::steers;
use serde_json::Value;

use super::{ChangeRow, NotDone, SitePlan, Target, Vanished};

const HEAD: [&str; 18] = [
    "integration",
    "what",
    "kind",
    "key",
    "label",
    "serial",
    "state",
    "asset",
    "asset id",
    "user record",
    "user record id",
    "field",
    "old",
    "new",
    "overwrites",
    "from",
    "to",
    "reason",
];

/// One row.
#[derive(Debug, Default)]
struct Row {
    what: &'static str,
    kind: &'static str,
    key: String,
    label: String,
    serial: String,
    state: Option<DeviceStatus>,
    asset: (String, String),
    record: (String, String),
    field: String,
    old: String,
    new: String,
    overwrites: bool,
    from: String,
    to: String,
    reason: String,
}

/// All plans in one table (RFC 4180).
pub(super) fn show(plans: &[SitePlan]) -> String {
    let mut out = line(&HEAD.map(str::to_owned));
    for plan in plans {
        let changes = plan.changes.iter().flat_map(of_change);
        let rest = plan.not_done.iter().map(of_undone).chain(plan.vanished.iter().map(of_vanished));
        for row in changes.chain(rest) {
            out.push_str(&row.line(&plan.integration));
        }
    }
    out
}

impl Row {
    fn line(self, integration: &str) -> String {
        line(&[
            integration.to_owned(),
            self.what.to_owned(),
            self.kind.to_owned(),
            self.key,
            self.label,
            self.serial,
            self.state.map_or("", DeviceStatus::as_str).to_owned(),
            self.asset.0,
            self.asset.1,
            self.record.0,
            self.record.1,
            self.field,
            self.old,
            self.new,
            if self.overwrites { "yes" } else { "" }.to_owned(),
            self.from,
            self.to,
            self.reason,
        ])
    }
}

/// A change writes several values, or none.
fn of_change(change: &ChangeRow) -> Vec<Row> {
    let row = || Row {
        what: standing(change),
        kind: change.kind,
        key: change.key.clone(),
        label: change.label.clone(),
        serial: change.serial.clone(),
        state: change.state,
        asset: named(change.asset.as_ref()),
        record: named(change.record.as_ref()),
        from: change.from.clone().unwrap_or_default(),
        to: change.to.clone().unwrap_or_default(),
        reason: change.withheld.clone().unwrap_or_default(),
        ..Row::default()
    };
    if change.is_assignment() {
        let (old, new) = (row().from, row().to);
        let field = Outcome::HOLDER.to_owned();
        return vec![Row { field, overwrites: !old.is_empty(), old, new, ..row() }];
    }
    if change.edits.is_empty() {
        return vec![row()];
    }
    let rows = change.edits.iter().map(|edit| Row {
        field: edit.field.clone(),
        old: text(&edit.old),
        new: text(&edit.new),
        overwrites: edit.overwrites,
        ..row()
    });
    rows.collect()
}

/// What is to become of a change.
fn standing(change: &ChangeRow) -> &'static str {
    match (change.staged, change.withheld.is_some(), change.published.is_some()) {
        (true, ..) => "kept back",
        (_, true, _) => "planned only",
        (.., true) => "on its way",
        _ => "planned",
    }
}

fn named(target: Option<&Target>) -> (String, String) {
    let Some(Target { id, name }) = target else { return Default::default() };
    (name.clone(), id.clone().unwrap_or_default())
}

fn of_undone(one: &NotDone) -> Row {
    let problems = one.field_problems.iter().map(|(field, why)| format!("{field}: {why}"));
    let notes = one.candidates.iter().map(|one| format!("{} {}: {}", one.id, one.name, one.note));
    let reason = std::iter::once(one.reason.clone()).chain(problems).chain(one.warnings.clone()).chain(notes);
    Row {
        what: "not done",
        key: one.key.clone(),
        label: one.name().trim_matches('"').to_owned(),
        serial: one.serial.clone(),
        state: Some(one.state),
        reason: reason.collect::<Vec<_>>().join(" / "),
        ..Row::default()
    }
}

fn of_vanished(one: &Vanished) -> Row {
    Row {
        what: "vanished",
        key: one.key.clone(),
        label: one.name.clone(),
        serial: one.serial.clone(),
        state: Some(DeviceStatus::Held),
        asset: named(one.asset.as_ref()),
        from: one.holder.clone().unwrap_or_default(),
        reason: "not in Kandji's list any more, or listed as removed".to_owned(),
        ..Row::default()
    }
}

/// A value without the quotes of JSON.
fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // A number is no formula, whatever its sign.
        other => other.to_string(),
    }
}

fn line(cells: &[String; 18]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    cells.join(",") + "\r\n"
}

/// A cell that is one whatever is in it, and that no spreadsheet takes for a formula: whoever may name a device or a
/// person must not be able to have something computed, fetched or started where the plan is opened.
fn quoted(cell: &str) -> String {
    let apostrophe = if is_formula(cell) { "'" } else { "" };
    let cell: String = cell.chars().map(|c| if is_hidden(c) { '·' } else { c }).collect();
    if apostrophe.is_empty() && !cell.contains([',', ';', '\t', '"', '\r', '\n', '\'']) && cell.trim() == cell
    {
        return cell;
    }
    format!("\"{apostrophe}{}\"", cell.replace('"', "\"\""))
}

/// What a terminal obeys, but for line breaks and tabs.
fn is_hidden(c: char) -> bool {
    steers(c) && !matches!(c, '\n' | '\r' | '\t')
}

/// Whether it may be taken for a formula: by its first sign, in any width, behind whatever spreadsheets drop before it; or
/// in a line of its own, for what splits cells there. A plain number is none.
fn is_formula(cell: &str) -> bool {
    let begins = |line: &str| {
        let visible = |c: &char| !c.is_whitespace() && !c.is_control() && !is_invisible(*c);
        let first = line.chars().find(visible);
        first.is_some_and(|c| {
            matches!(
                c,
                '=' | '+'
                    | '-'
                    | '@'
                    | '|'
                    | '%'
                    | '＝'
                    | '＋'
                    | '－'
                    | '＠'
                    | '﹢'
                    | '﹣'
                    | '﹦'
                    | '﹫'
                    | '−'
            )
        })
    };
    let is_number = cell.parse::<f64>().is_ok_and(f64::is_finite);
    !is_number && (cell.starts_with(['\t', '\r', '\n']) || cell.split(['\n', '\r', '\t']).any(begins))
}

/// Signs of no width, which a spreadsheet may drop.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\'')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_one_cell_whatever_is_in_it() {
        for (cell, shown) in [
            ("Ana’s MacBook", "Ana’s MacBook"),
            ("", ""),
            ("MacBook Air (M2, 2022)", "\"MacBook Air (M2, 2022)\""),
            ("a;b", "\"a;b\""),
            ("the \"lab\" Mac", "\"the \"\"lab\"\" Mac\""),
            ("two\nlines", "\"two\nlines\""),
            (" padded ", "\" padded \""),
            ("bell\u{7}", "bell·"),
            ("a\u{61c}b\u{2028}c\u{9b}d\u{e0041}e", "a·b·c·d·e"),
        ] {
            assert_eq!(quoted(cell), shown);
        }
    }

    #[test]
    fn no_name_is_taken_for_a_formula() {
        for cell in [
            "=cmd|' /C calc'!A0",
            "+1+cmd",
            "-2+3",
            "@SUM(A1:A9)",
            "\t=1+1",
            "\r=1+1",
            " =1+1",
            "\u{feff}=1+1",
            "\u{200b}=1+1",
            "'=1+1",
            "＝1+1",
            "harmless\n=HYPERLINK(\"http://x\")",
            "harmless\t=1+1",
            "=1+1\",\"=2",
        ] {
            assert!(quoted(cell).starts_with("\"'"), "{cell:?} becomes {:?}", quoted(cell));
        }
        for number in ["-5", "+5", "1e5", "-0.25"] {
            assert_eq!(quoted(number), number);
        }
    }
}
