//! Configurations for tests and demonstrations: real ones, with short pauses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use amfj_sync_config::{Config, Tokens, parse};
use amfj_sync_security::private_files;
use anyhow::{Context as _, Result};
use tempfile::TempDir;
use toml::{Table, Value};

use super::room::temporary_folder;
use crate::sim::amfj::Dialect;

/// A folder that is removed at the end.
#[derive(Debug)]
pub struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// Creates an empty folder.
    ///
    /// # Errors
    /// If the folder for temporary files is not writable.
    pub fn new() -> Result<Self> {
        let folder = temporary_folder("amfj-sync-test-").context("no scratch folder")?;
        Ok(Self { folder })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A configuration file and the environment that goes with it.
#[derive(Debug, Clone)]
pub struct WrittenConfig {
    /// The file.
    pub path: PathBuf,
    /// The tokens, which never stand in the file (P27).
    pub environment: BTreeMap<String, String>,
}

/// Puts a configuration file together. What is not set has the product's default, except for
/// pauses, which are short.
#[derive(Debug, Clone)]
pub struct ConfigBuilder {
    table: Table,
    integrations: Vec<IntegrationBuilder>,
}

/// One `[[integration]]`.
#[derive(Debug, Clone)]
pub struct IntegrationBuilder {
    id: String,
    table: Table,
    tokens: [(&'static str, String); 2],
    /// By which AMFJ's events are known.
    events_key: Option<String>,
}

impl ConfigBuilder {
    /// Three workers on free ports against the given broker.
    #[must_use]
    pub fn new(broker_url: &str, prefix: &str) -> Self {
        let new = Self { table: Table::new(), integrations: Vec::new() };
        new.set("broker.url", broker_url)
            .set("broker.prefix", prefix)
            .set("fetcher.listen", "127.0.0.1:0")
            .set("reconciler.listen", "127.0.0.1:0")
            .set("writer.listen", "127.0.0.1:0")
            .set("retry.initial", "50ms")
            .set("retry.max", "1s")
            .set("timing.probe_interval", "300ms")
            .set("timing.ownership_interval", "200ms")
            .set("timing.run_retry_initial", "300ms")
            .set("timing.run_retry_max", "2s")
            .set("timing.connect_timeout", "3s")
            .set("timing.broker_reconnect_max", "1s")
    }

    /// Sets a value by its dotted path, for instance `writer.concurrency`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        set(&mut self.table, path, value.into());
        self
    }

    /// Adds an integration.
    #[must_use]
    pub fn integration(mut self, integration: IntegrationBuilder) -> Self {
        self.integrations.push(integration);
        self
    }

    /// The text of the file, for the given folder of the workers' data.
    ///
    /// # Errors
    /// If a value cannot be written in TOML.
    pub fn render(&self, data: &Path) -> Result<String> {
        let mut table = self.table.clone();
        for role in ["fetcher", "reconciler", "writer"] {
            let own = table.entry(role).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(own) = own {
                own.entry("data_dir").or_insert_with(|| data.join(role).display().to_string().into());
            }
        }
        let integrations = self.integrations.iter().map(|one| Value::Table(one.table.clone())).collect();
        table.insert("integration".to_owned(), Value::Array(integrations));
        toml::to_string_pretty(&table).context("the configuration cannot be written in TOML")
    }

    /// Writes `amfj-sync.toml` into the folder; the workers' data goes to `var/` beside it.
    ///
    /// # Errors
    /// If the folder is not writable.
    pub fn write(&self, scratch: &Scratch) -> Result<WrittenConfig> {
        self.write_to(&scratch.path().join("amfj-sync.toml"))
    }

    /// Writes the file to `path`; the workers' data goes to `var/` beside it.
    ///
    /// # Errors
    /// If the folder is not writable.
    pub fn write_to(&self, path: &Path) -> Result<WrittenConfig> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let text = self.render(&folder.join("var"))?;
        // The broker's address has its password in it.
        private_files::write_file(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(WrittenConfig { path: path.to_owned(), environment: self.environment() })
    }

    fn environment(&self) -> BTreeMap<String, String> {
        let of_one = |one: &IntegrationBuilder| {
            let names = one.tokens.clone().map(|(service, token)| (variable(service, &one.id), token));
            let key = one.events_key.clone().map(|key| (events_variable(&one.id), key));
            names.into_iter().chain(key)
        };
        self.integrations.iter().flat_map(of_one).collect()
    }
}

impl IntegrationBuilder {
    /// An integration in `mode = "apply"` between two services, with the default asset type
    /// `Laptop` and tokens to be set with [`Self::tokens`].
    #[must_use]
    pub fn new(id: &str, kandji_url: &str, amfj_url: &str) -> Self {
        let tokens = [("KANDJI", format!("kandji-token-of-{id}")), ("AMFJ", format!("amfj-token-of-{id}"))];
        Self { id: id.to_owned(), table: Table::new(), tokens, events_key: None }
            .set("id", id)
            .set("mode", "apply")
            .set("kandji.api_url", kandji_url)
            .set("kandji.token.env", variable("KANDJI", id))
            .set("amfj.api_url", amfj_url)
            .set("amfj.token.env", variable("AMFJ", id))
            .set("amfj.requests_per_second", 500)
            .set("amfj.list_delay", "300ms")
            .set("amfj.request_timeout", "3s")
            .set("sync.default_asset_type", "Laptop")
    }

    /// The tokens of both services.
    #[must_use]
    pub fn tokens(mut self, kandji: &str, amfj: &str) -> Self {
        self.tokens = [("KANDJI", kandji.to_owned()), ("AMFJ", amfj.to_owned())];
        self
    }

    /// The profile of an AMFJ that is spoken to in this way.
    #[must_use]
    pub fn speaking(self, dialect: Dialect) -> Self {
        match dialect.profile() {
            Some(profile) => self.set("amfj.profile", profile).set("amfj.client_id", "amfj-sync"),
            None => self,
        }
    }

    /// The key by which AMFJ's events are known (P34).
    #[must_use]
    pub fn events_key(mut self, key: &str) -> Self {
        self.events_key = Some(key.to_owned());
        let variable = events_variable(&self.id);
        self.set("amfj.events_key.env", variable)
    }

    /// Sets a value by its dotted path within the integration, for instance `sync.auto_checkout`.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        set(&mut self.table, path, value.into());
        self
    }

    /// Maps an AMFJ field to a Kandji property or template (P16).
    #[must_use]
    pub fn field(self, amfj_field: &str, property: &str) -> Self {
        self.entry("fields", amfj_field, property)
    }

    /// Maps a field of user records.
    #[must_use]
    pub fn user_field(self, amfj_field: &str, property: &str) -> Self {
        self.entry("user_fields", amfj_field, property)
    }

    /// The asset type of a platform's new assets.
    #[must_use]
    pub fn asset_type(self, platform: &str, asset_type: &str) -> Self {
        self.entry("asset_types", platform, asset_type)
    }

    /// Unlike in [`Self::set`], the key may contain dots.
    fn entry(mut self, table: &str, key: &str, value: &str) -> Self {
        table_at(&mut self.table, &[table]).insert(key.to_owned(), value.into());
        self
    }
}

/// The name of the environment variable for a token.
fn variable(service: &str, id: &str) -> String {
    format!("{service}_TOKEN_{}", id.to_uppercase().replace('-', "_"))
}

fn events_variable(id: &str) -> String {
    format!("AMFJ_EVENTS_KEY_{}", id.to_uppercase().replace('-', "_"))
}

fn set(table: &mut Table, path: &str, value: Value) {
    let mut parts: Vec<&str> = path.split('.').collect();
    if let Some(last) = parts.pop() {
        table_at(table, &parts).insert(last.to_owned(), value);
    }
}

/// The table at a path; whatever is in the way of it is replaced.
fn table_at<'a>(table: &'a mut Table, path: &[&str]) -> &'a mut Table {
    let Some((first, rest)) = path.split_first() else { return table };
    let entry = table.entry(*first).or_insert_with(|| Value::Table(Table::new()));
    if !entry.is_table() {
        *entry = Value::Table(Table::new());
    }
    match entry {
        Value::Table(inner) => table_at(inner, rest),
        _ => unreachable!("it was made a table just now"),
    }
}

/// The configuration of a worker that talks to the broker alone: one integration `acme` with one partition, whose
/// services are not there.
///
/// # Errors
/// If it is not valid.
pub fn broker_only(url: &str, prefix: &str) -> Result<Config> {
    let text = format!(
        r#"
        [broker]
        url = "{url}"
        prefix = "{prefix}"
        partitions = 1
        [[integration]]
        id = "acme"
        mode = "apply"
        [integration.kandji]
        api_url = "http://127.0.0.1:1"
        token = {{ env = "T" }}
        [integration.amfj]
        api_url = "http://127.0.0.1:2"
        token = {{ env = "T" }}
        [integration.sync]
        default_asset_type = "Laptop"
        "#
    );
    let loaded = parse(Path::new("test.toml"), &text, &BTreeMap::new(), Tokens::None);
    loaded.map(|loaded| loaded.config).map_err(|errors| anyhow::anyhow!("{errors}"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use amfj_sync_config::{self as config, Mode, Secret, Tokens};

    use super::*;

    #[test]
    fn writes_a_file_that_reads_back_and_keeps_tokens_out_of_it() {
        let scratch = Scratch::new().unwrap();
        let written = ConfigBuilder::new("amqp://guest:guest@127.0.0.1:1/%2f", "t-1")
            .set("broker.partitions", 2)
            .set("writer.data_dir", "/elsewhere")
            .integration(
                IntegrationBuilder::new("acme-eu", "http://127.0.0.1:2", "http://127.0.0.1:3/v1")
                    .tokens("k-secret", "a-secret")
                    .set("sync.auto_checkout", true)
                    .field("v. 2 \"Serial\"", "serial_number")
                    .user_field("Name", "user.name"),
            )
            .write(&scratch)
            .unwrap();
        let text = fs::read_to_string(&written.path).unwrap();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(written.environment["KANDJI_TOKEN_ACME_EU"], "k-secret");
        assert_eq!(written.environment["AMFJ_TOKEN_ACME_EU"], "a-secret");

        let table: Table = toml::from_str(&text).unwrap();
        assert_eq!(table["broker"]["partitions"].as_integer(), Some(2));
        assert_eq!(table["writer"]["data_dir"].as_str(), Some("/elsewhere"));
        let own = scratch.path().join("var/fetcher");
        assert_eq!(table["fetcher"]["data_dir"].as_str(), own.to_str());
        let one = &table["integration"][0];
        assert_eq!(one["kandji"]["token"]["env"].as_str(), Some("KANDJI_TOKEN_ACME_EU"));
        assert_eq!(one["sync"]["auto_checkout"].as_bool(), Some(true));
        assert_eq!(one["sync"]["default_asset_type"].as_str(), Some("Laptop"));
        assert_eq!(one["fields"]["v. 2 \"Serial\""].as_str(), Some("serial_number"));
        assert_eq!(one["user_fields"]["Name"].as_str(), Some("user.name"));
    }

    #[test]
    fn is_what_the_workers_read() {
        let scratch = Scratch::new().unwrap();
        let integration = IntegrationBuilder::new("acme", "http://127.0.0.1:2", "http://127.0.0.1:3/v1");
        let builder = ConfigBuilder::new("amqp://guest:guest@127.0.0.1:1/%2f", "t-1");
        let builder = builder.integration(
            integration
                .asset_type("iPhone", "Phone")
                .field("Serial Number", "serial_number")
                .set("mode", "plan"),
        );
        let written = builder.write(&scratch).unwrap();
        let loaded = config::load(Some(&written.path), &written.environment, Tokens::Both).unwrap();
        assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
        assert_eq!(loaded.config.broker.prefix, "t-1");
        assert_eq!(loaded.config.writer.data_dir, scratch.path().join("var/writer"));
        assert_eq!(loaded.config.timing.run_retry_initial, Duration::from_millis(300));
        let acme = &loaded.config.integrations[0];
        assert_eq!(acme.mode, Mode::Plan);
        assert_eq!(acme.amfj.token.as_ref().map(Secret::expose), Some("amfj-token-of-acme"));
        assert_eq!(acme.asset_types["iPhone"], "Phone");
    }
}
