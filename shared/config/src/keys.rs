//! Keys that workers sign their messages with. They stand in the environment or in a file of their own, like tokens (P27).

use std::path::Path;

use amfj_sync_security::private_files::is_open_to_others;

use super::reader::{Reading, Section};
use super::secret::Secret;
use super::settings;
use super::tree::{Kind, Node, NodeValue};
use super::types::SigningConfig;

/// Shorter keys can be guessed. `openssl rand -base64 32` makes one of 44 characters.
const SHORTEST: usize = 32;

const KEY: &str = "signing_key";
const ACCEPTED: &str = "signing_keys_accepted";
const UNSIGNED: &str = "unsigned_messages";

/// Reads the three settings; none inside where there is no key.
#[expect(
    clippy::option_option,
    reason = "as all readers: none outside where something is wrong, which was told"
)]
pub(super) fn read(section: &mut Section, reading: &mut Reading<'_>) -> Option<Option<SigningConfig>> {
    let own = section.take(KEY);
    let others = section.take(ACCEPTED);
    let accept_unsigned = section.read(reading, UNSIGNED, accepts).or(false);
    let Some(own) = own else {
        if let Some(others) = others {
            let message = format!("\"{ACCEPTED}\" needs \"{KEY}\" beside it, which messages are signed with");
            section.complain(reading, &others.key_at, &message);
            return None;
        }
        return Some(None);
    };
    let mut keys = vec![key(section, reading, &own, KEY)];
    if let Some(others) = others {
        let NodeValue::List(list) = others.as_kind(Kind::List) else {
            let message = format!("\"{ACCEPTED}\" must be a list such as [{{ file = \"PATH\" }}]");
            section.complain_hidden(reading, &others.at, &message);
            return None;
        };
        keys.extend(list.iter().map(|node| key(section, reading, node, ACCEPTED)));
    }
    let keys: Option<Vec<Secret>> = keys.into_iter().collect();
    Some(Some(SigningConfig { keys: keys?, accept_unsigned: accept_unsigned? }))
}

/// `"refuse"`, or `"accept"` for as long as not every worker has the key.
fn accepts(node: &Node) -> Result<bool, String> {
    match settings::text(node)?.trim() {
        "refuse" => Ok(false),
        "accept" => Ok(true),
        _ => Err("must be \"refuse\" or \"accept\"".to_owned()),
    }
}

fn key(section: &Section, reading: &mut Reading<'_>, node: &Node, what: &'static str) -> Option<Secret> {
    let (text, source) = secret_text(section, reading, node, what, ["AMFJ_SYNC_KEY", "amfj-sync-key"])?;
    let key = text.trim();
    if key.len() < SHORTEST {
        let message = format!(
            "\"{what}\": {source} has fewer than {SHORTEST} characters; make a key with `openssl rand -base64 32`"
        );
        section.complain_hidden(reading, &node.at, &message);
        return None;
    }
    Some(Secret::new(key))
}

/// A key that stands in the environment or in a file, and where it was found. `example` names a variable and a file.
pub(super) fn secret_text(
    section: &Section,
    reading: &mut Reading<'_>,
    node: &Node,
    what: &'static str,
    example: [&str; 2],
) -> Option<(String, String)> {
    match node.as_kind(Kind::Table) {
        NodeValue::Table(_) => from_table(section, reading, node, what),
        NodeValue::Text(text) if matches!(node.at, super::problem::At::Variable(_)) => {
            Some((text, "it".to_owned()))
        }
        _ => {
            let [variable, file] = example;
            let message = format!(
                "\"{what}\" must not hold the key itself; put it into an environment variable or a file and write \
                 {{ env = \"{variable}\" }} or {{ file = \"/run/secrets/{file}\" }}"
            );
            section.complain_hidden(reading, &node.at, &message);
            None
        }
    }
}

/// The text, and where it was found.
fn from_table(
    section: &Section,
    reading: &mut Reading<'_>,
    node: &Node,
    what: &'static str,
) -> Option<(String, String)> {
    let mut table = Section::of_node(reading, format!("{}.{what}", section.name), node);
    let (env, file) = (table.take("env"), table.take("file"));
    let home = table.at.clone();
    table.finish(reading);
    match (env, file) {
        (Some(env), None) => {
            let name = settings::name(&env).unwrap_or_default();
            if let Some(text) = reading.variables.get(&name) {
                return Some((text.clone(), format!("the environment variable {name}")));
            }
            let message = format!("\"{what}\": the environment variable that env names is not set");
            section.complain_hidden(reading, &env.at, &message);
            None
        }
        (None, Some(file)) => {
            let path = settings::name(&file).unwrap_or_default();
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    if is_open_to_others(Path::new(&path)) {
                        let message = format!(
                            "others than its owner can read the file {path} of \"{what}\"; run: chmod 600 {path}"
                        );
                        reading.warn(&file.at, message);
                    }
                    Some((text, format!("the file {path}")))
                }
                Err(error) => {
                    let message = format!("\"{what}\": its file cannot be read: {error}");
                    section.complain_hidden(reading, &file.at, &message);
                    None
                }
            }
        }
        _ => {
            let message = format!("\"{what}\" needs either env = \"NAME\" or file = \"PATH\"");
            section.complain_hidden(reading, &home, &message);
            None
        }
    }
}
