//! The file that is written: the one that is there with other values in it, or a new one. What people wrote beside the values,
//! and what is asked for nowhere, stays as it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use amfj_sync_security::screen::steers;
use amfj_sync_service::worker::Exit;
use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, Value, value};

const NEW_FILE: &str = include_str!("new-file.toml");
const NEW_INTEGRATION: &str = include_str!("new-integration.toml");

const INTEGRATION: &str = "integration";

/// Where a token stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TokenPlace {
    /// In this variable.
    Env(String),
    /// In this file.
    File(PathBuf),
}

/// What the file says of the things that are asked for, or what it shall say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) kandji_url: Option<String>,
    pub(crate) kandji_token: Option<TokenPlace>,
    pub(crate) amfj_url: Option<String>,
    pub(crate) amfj_token: Option<TokenPlace>,
    pub(crate) amfj_profile: Option<String>,
    pub(crate) default_asset_type: Option<String>,
    pub(crate) default_location: Option<String>,
    pub(crate) auto_checkout: Option<bool>,
    pub(crate) create_devices: Option<String>,
    /// AMFJ field → Kandji property or template; none where there is no such table.
    pub(crate) fields: Option<BTreeMap<String, String>>,
}

/// The text of a configuration, to be changed.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    document: DocumentMut,
    /// Whether there was no file.
    pub(crate) is_new: bool,
}

impl Document {
    /// The file at a path, or a new one where there is none. One that cannot be read is not written over.
    pub(crate) fn open(path: &Path) -> Result<Self, Exit> {
        let shown = path.display();
        let (text, is_new) = match std::fs::read_to_string(path) {
            Ok(text) => (text, false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (NEW_FILE.to_owned(), true),
            Err(error) => {
                return Err(Exit::Configuration(format!(
                    "the configuration file {shown} cannot be read: {error}"
                )));
            }
        };
        let document = text
            .parse()
            .map_err(|error| Exit::Configuration(format!("{shown} is not valid TOML: {error}")))?;
        let new = Self { document, is_new };
        if new.document.get(INTEGRATION).is_some_and(|item| !item.is_array_of_tables()) {
            let message = format!(
                "{shown} lists its integrations in another way than [[integration]]; write them so, and this can change them"
            );
            return Err(Exit::Configuration(message));
        }
        Ok(new)
    }

    /// Whether it has any integration; one that is commented out is none.
    pub(crate) fn has_integrations(&self) -> bool {
        self.document.contains_key(INTEGRATION)
    }

    /// The ids of the integrations that are there, in their order.
    pub(crate) fn ids(&self) -> Vec<String> {
        let tables = self.document.get(INTEGRATION).and_then(Item::as_array_of_tables);
        let ids = tables.into_iter().flat_map(ArrayOfTables::iter);
        ids.filter_map(|table| Some(table.get("id")?.as_str()?.to_owned())).collect()
    }

    /// What it says of an integration; nothing where there is none of this id.
    pub(crate) fn settings(&self, id: &str) -> Settings {
        let Some(table) = self.table(id) else { return Settings::default() };
        let text = |section: &str, key: &str| {
            let section = table.get(section)?.as_table_like()?;
            Some(section.get(key)?.as_str()?.to_owned())
        };
        let token = |section: &str| {
            let token = table.get(section)?.as_table_like()?.get("token")?.as_table_like()?;
            let of = |key: &str| Some(token.get(key)?.as_str()?.to_owned());
            of("env").map(TokenPlace::Env).or_else(|| of("file").map(|file| TokenPlace::File(file.into())))
        };
        let sync = table.get("sync").and_then(Item::as_table_like);
        let fields = table.get("fields").and_then(Item::as_table_like).map(|fields| {
            let texts = fields.iter().filter_map(|(name, source)| Some((name, source.as_str()?)));
            texts.map(|(name, source)| (name.trim().to_owned(), source.to_owned())).collect()
        });
        Settings {
            kandji_url: text("kandji", "api_url"),
            kandji_token: token("kandji"),
            amfj_url: text("amfj", "api_url"),
            amfj_token: token("amfj"),
            amfj_profile: text("amfj", "profile"),
            default_asset_type: text("sync", "default_asset_type"),
            default_location: text("sync", "default_location"),
            auto_checkout: sync.and_then(|sync| sync.get("auto_checkout")?.as_bool()),
            create_devices: text("sync", "create_devices"),
            fields,
        }
    }

    /// What an integration may do, as it is written; nothing where there is none of this id.
    pub(crate) fn mode(&self, id: &str) -> Option<&str> {
        self.table(id)?.get("mode")?.as_str()
    }

    fn table(&self, id: &str) -> Option<&Table> {
        let tables = self.document.get(INTEGRATION)?.as_array_of_tables()?;
        tables.iter().find(|table| is_of(table, id))
    }

    /// The same with these settings of an integration, which is added where there is none.
    pub(crate) fn with(&self, id: &str, settings: &Settings) -> Result<Self, Exit> {
        let mut new = self.clone();
        if new.table(id).is_none() {
            new.add(id)?;
        }
        let tables = new.document.get_mut(INTEGRATION).and_then(Item::as_array_of_tables_mut);
        let table = tables.into_iter().flat_map(ArrayOfTables::iter_mut).find(|table| is_of(table, id));
        if let Some(table) = table {
            put_all(table, settings)?;
        }
        Ok(new)
    }

    /// Adds an integration with nothing answered. As text: tables of two documents do not know which of them comes first.
    fn add(&mut self, id: &str) -> Result<(), Exit> {
        let text = self.document.to_string();
        let text = format!("{}\n\n{}", text.trim_end(), NEW_INTEGRATION.replace("ID", id));
        self.document =
            text.parse().map_err(|error| Exit::Failed(format!("cannot add an integration: {error}")))?;
        Ok(())
    }

    /// Only this integration, with nothing that is read from elsewhere, to try its services with.
    pub(crate) fn on_trial(&self, id: &str, settings: &Settings) -> Result<Self, Exit> {
        let mut trial = self.with(id, settings)?;
        for shared in ["broker", "fetcher", "reconciler", "writer"] {
            trial.document.remove(shared);
        }
        if let Some(tables) = trial.document.get_mut(INTEGRATION).and_then(Item::as_array_of_tables_mut) {
            tables.retain(|table| is_of(table, id));
            for table in tables.iter_mut() {
                table.remove("fields");
                table.remove("user_fields");
                if let Some(amfj) = table.get_mut("amfj").and_then(Item::as_table_like_mut) {
                    amfj.remove("events_key");
                    amfj.remove("event_asset_id");
                }
                put(section(table, "sync")?, "allow_empty", true.into());
            }
        }
        Ok(trial)
    }

    /// The line by which an editor finds what may stand in the file.
    pub(crate) fn name_schema(&mut self, place: &str) -> Result<(), Exit> {
        let text = format!("#:schema {place}\n{}", self.document);
        self.document = text.parse().map_err(|error| Exit::Failed(format!("{error}")))?;
        Ok(())
    }

    /// What is written.
    pub(crate) fn text(&self) -> String {
        self.document.to_string()
    }
}

/// Whether a table is that of the integration of this id.
fn is_of(table: &Table, id: &str) -> bool {
    table.get("id").and_then(Item::as_str) == Some(id)
}

fn put_all(table: &mut Table, settings: &Settings) -> Result<(), Exit> {
    let kandji = section(table, "kandji")?;
    put_text(kandji, "api_url", settings.kandji_url.as_deref());
    put_token(kandji, settings.kandji_token.as_ref());
    let amfj = section(table, "amfj")?;
    put_text(amfj, "api_url", settings.amfj_url.as_deref());
    put_token(amfj, settings.amfj_token.as_ref());
    put_text(amfj, "profile", settings.amfj_profile.as_deref());
    let sync = section(table, "sync")?;
    put_text(sync, "default_asset_type", settings.default_asset_type.as_deref());
    match &settings.default_location {
        Some(location) => put_text(sync, "default_location", Some(location)),
        None => drop(sync.remove("default_location")),
    }
    if let Some(auto_checkout) = settings.auto_checkout {
        put(sync, "auto_checkout", auto_checkout.into());
    }
    put_text(sync, "create_devices", settings.create_devices.as_deref());
    if let Some(wanted) = &settings.fields {
        let fields = section(table, "fields")?;
        let gone: Vec<String> = fields
            .iter()
            .map(|(name, _)| name.to_owned())
            .filter(|name| !wanted.contains_key(name.trim()))
            .collect();
        for name in &gone {
            fields.remove(name);
        }
        for (name, source) in wanted {
            // As it is written, with its blanks.
            let key = fields.iter().map(|(key, _)| key).find(|key| key.trim() == name).map(str::to_owned);
            put_text(fields, key.as_deref().unwrap_or(name), Some(source));
        }
    }
    Ok(())
}

/// A table below an integration, made where it is missing.
fn section<'t>(table: &'t mut Table, name: &str) -> Result<&'t mut dyn TableLike, Exit> {
    let item = table.entry(name).or_insert_with(|| Item::Table(Table::new()));
    let wrong = || Exit::Configuration(format!("[integration.{name}] must be a table"));
    item.as_table_like_mut().ok_or_else(wrong)
}

fn put_text(table: &mut dyn TableLike, key: &str, text: Option<&str>) {
    if let Some(text) = text {
        put(table, key, written(text));
    }
}

/// A text as a value. A name may hold signs that a terminal obeys; whoever shows the file is not steered by them.
fn written(text: &str) -> Value {
    if !text.contains(steers) {
        return text.into();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            letter if steers(letter) => {
                // Writing to a text does not fail.
                let _ = write!(quoted, "\\U{:08X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted.parse().unwrap_or_else(|_| text.into())
}

fn put_token(table: &mut dyn TableLike, place: Option<&TokenPlace>) {
    let Some(place) = place else { return };
    let (key, text) = match place {
        TokenPlace::Env(name) => ("env", name.clone()),
        TokenPlace::File(path) => ("file", path.display().to_string()),
    };
    let mut token = InlineTable::new();
    token.insert(key, text.into());
    put(table, "token", token.into());
}

/// Sets a value and leaves what stands beside it; one that is right already is not touched.
fn put(table: &mut dyn TableLike, key: &str, mut new: Value) {
    let Some(old) = table.get_mut(key) else {
        table.insert(key, value(new));
        return;
    };
    if is_same(old, &value(new.clone())) {
        return;
    }
    if let Some(old) = old.as_value() {
        *new.decor_mut() = old.decor().clone();
    }
    *old = value(new);
}

/// Whether two items say the same, however they are written: `token.file = 'a'` is `token = { file = "a" }`.
fn is_same(one: &Item, other: &Item) -> bool {
    match (one.as_table_like(), other.as_table_like()) {
        (Some(one), Some(other)) => {
            let is_in_one = |(key, item)| one.get(key).is_some_and(|mine| is_same(mine, item));
            one.len() == other.len() && other.iter().all(is_in_one)
        }
        (None, None) => match (one.as_str(), other.as_str()) {
            (Some(one), Some(other)) => one == other,
            (None, None) => one.as_bool().is_some() && one.as_bool() == other.as_bool(),
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests;
