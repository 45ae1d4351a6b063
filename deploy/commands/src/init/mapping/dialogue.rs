//! The mapping, shown and talked about.

use std::collections::BTreeMap;

use amfj_sync_model::mapping::FieldSource;
use amfj_sync_model::mapping::known::nearest;
use amfj_sync_security::screen::{Style, StyledText, sanitize, say};
use amfj_sync_service::worker::Exit;

use super::{Fit, Fleet, Line, kind, properties, takes};
use crate::format::quoted;
use crate::init::asking::Asker;

/// Properties that fit on a screen.
const A_SCREEN: usize = 40;

/// What a person answered to a field.
#[derive(Debug)]
enum Answer {
    /// Filled by this.
    By(String),
    /// Left alone.
    Nothing,
    /// First show the properties that have this word in their name.
    Show(String),
}

/// Asks until there is a mapping; without anybody to ask, it is what was proposed. Lines that no field of AMFJ has any more
/// are gone from it, which is said.
pub(crate) async fn decide(
    asker: &Asker,
    mut lines: Vec<Line>,
    fleet: &Fleet,
) -> Result<BTreeMap<String, String>, Exit> {
    show(asker, &lines, fleet);
    if !asker.asks() {
        return Ok(taken(&lines));
    }
    let question = "Take this mapping? y: as it is; n: map nothing; e: go through the fields one by one";
    loop {
        match asker.letter(question, &['y', 'n', 'e']).await? {
            'y' => return Ok(taken(&lines)),
            'n' => return Ok(BTreeMap::new()),
            _ => {
                asker.tell(
                    "For each field: Enter takes what stands in [ ]; - leaves the field alone; or type a property such as \
                     serial_number, or a template such as {{ platform }} {{ os_version }}. ? shows the properties of this \
                     fleet, ?word those with that word.",
                );
                for line in &mut lines {
                    ask(asker, line, fleet).await?;
                }
                show(asker, &lines, fleet);
            }
        }
    }
}

fn taken(lines: &[Line]) -> BTreeMap<String, String> {
    let pairs =
        lines.iter().filter_map(|line| Some((line.field.name.trim().to_owned(), line.source.clone()?)));
    pairs.collect()
}

/// The fields that are filled, with an example; then those that are not.
fn show(asker: &Asker, lines: &[Line], fleet: &Fleet) {
    let screen = asker.screen();
    let rows: Vec<Vec<StyledText>> = lines
        .iter()
        .filter_map(|line| {
            let source = line.source.as_ref()?;
            let example = fleet.example(source).unwrap_or_else(|| "no value here".to_owned());
            Some(vec![
                StyledText::new(Style::Plain, label(line)),
                StyledText::new(Style::Green, format!("← {source}")),
                StyledText::new(Style::Faint, example),
            ])
        })
        .collect();
    if rows.is_empty() {
        asker.tell("No field is mapped: names, links and check-outs work without; nothing else is written.");
    } else {
        say(&screen.table(2, &rows));
    }
    let left: Vec<StyledText> = lines
        .iter()
        .filter(|line| line.source.is_none())
        .map(|line| StyledText::new(Style::Plain, label(line)))
        .collect();
    if !left.is_empty() {
        say(&format!("  {}", screen.ink(Style::Faint, "Left alone:")));
        say(&format!("    {}", screen.flow(4, &left)));
    }
    for line in lines.iter().filter(|line| line.source.is_none()) {
        if let Some(misfit) = &line.misfit {
            asker.tell(&format!("{} is not proposed: {misfit}", quoted(&line.field.name)));
        }
    }
    if lines.iter().filter_map(|line| line.source.as_ref()).any(|source| source.contains("details.")) {
        asker.tell(
            "What begins with details costs one request a device, whenever that device has checked in anew.",
        );
    }
}

/// `Serial Number (a text)`.
fn label(line: &Line) -> String {
    let required = if line.field.required { ", required" } else { "" };
    let only = line.only_of.as_ref().map(|only| format!(" of {}", sanitize(only))).unwrap_or_default();
    format!("{} ({}{only}{required})", sanitize(line.field.name.trim()), kind(line.field.field_type))
}

async fn ask(asker: &Asker, line: &mut Line, fleet: &Fleet) -> Result<(), Exit> {
    let label = label(line);
    loop {
        let default = line.source.clone().unwrap_or_else(|| "-".to_owned());
        match asker.line(&label, Some(&default), |typed| read(typed, line, fleet)).await? {
            Answer::By(source) => {
                if let Some(example) = fleet.example(&source) {
                    asker.tell(&format!("for instance {example}"));
                }
                line.source = Some(source);
                return Ok(());
            }
            Answer::Nothing => {
                line.source = None;
                return Ok(());
            }
            Answer::Show(word) => show_properties(asker, fleet, &word),
        }
    }
}

/// What was typed for a field, or what is wrong with it.
fn read(typed: &str, line: &Line, fleet: &Fleet) -> Result<Answer, String> {
    if let Some(word) = typed.strip_prefix('?') {
        return Ok(Answer::Show(word.to_owned()));
    }
    if typed == "-" {
        return Ok(Answer::Nothing);
    }
    check(typed, fleet)?;
    match fleet.fit(&line.field, typed) {
        Fit::Not(value) => {
            Err(format!("it is {value} on a device, and the field takes {}", takes(line.field.field_type)))
        }
        Fit::Fits | Fit::Unseen => Ok(Answer::By(typed.to_owned())),
    }
}

/// What is wrong with a source, whatever it fills.
pub(crate) fn check(text: &str, fleet: &Fleet) -> Result<(), String> {
    let source = FieldSource::parse(text).map_err(|error| error.to_string())?;
    match source.properties().iter().find(|path| !fleet.knows(path)) {
        None => Ok(()),
        Some(path) => {
            let hint =
                nearest(path.as_str()).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            Err(format!("no device that was looked at has a property {path}{hint}"))
        }
    }
}

fn show_properties(asker: &Asker, fleet: &Fleet, word: &str) {
    let listed = properties::listed(fleet, word);
    let rows: Vec<Vec<StyledText>> = listed
        .iter()
        .take(A_SCREEN)
        .map(|(name, example)| {
            vec![
                StyledText::new(Style::Plain, name.clone()),
                StyledText::new(Style::Faint, example.clone().unwrap_or_default()),
            ]
        })
        .collect();
    if rows.is_empty() {
        asker.tell(&format!(
            "no device that was looked at has a property with \"{}\" in its name",
            sanitize(word.trim())
        ));
    } else {
        say(&asker.screen().table(4, &rows));
    }
    if listed.len() > A_SCREEN {
        asker.tell(&format!("and {} more; ?word shows those with that word", listed.len() - A_SCREEN));
    }
}
