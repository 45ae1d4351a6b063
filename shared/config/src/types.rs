//! What a loaded configuration says. Every value in here is valid; defaults are filled in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::mapping::{Mapping, SourceLocation};
use url::Url;

use super::enums::{
    Assignment, Bulk, CreateDevices, CreateUsers, FirstAssignment, Mode, NameMatching, OnEmpty, WhenGone,
};
use super::folder::Rejected;
use super::profile::ProfileSource;
use super::secret::{BrokerUrl, Secret};
use super::values::Percent;

/// The whole file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where RabbitMQ is.
    pub broker: BrokerConfig,
    /// The worker that reads.
    pub fetcher: FetcherConfig,
    /// The worker that decides.
    pub reconciler: WorkerConfig,
    /// The worker that writes.
    pub writer: WriterConfig,
    /// How one request to either service is tried again.
    pub retry: RetryConfig,
    /// Pauses that only tests and simulations shorten.
    pub timing: TimingConfig,
    /// One Kandji tenant feeding one AMFJ site each, in the order of the files; at least one, ids unique.
    pub integrations: Vec<Integration>,
    /// Those of the same AMFJ sites that are not served here, because one was named: their links are heeded all the same (P4).
    pub beside: Vec<Integration>,
    /// Files of the folder beside the main one that are wrong, and whose integrations are not served as they say.
    pub rejected: Vec<Rejected>,
}

impl Config {
    /// Where the worker of this role serves its health, and to whom.
    #[must_use]
    pub fn serving(&self, role: &str) -> Option<(SocketAddr, &ServeConfig)> {
        match role {
            "fetcher" => Some((self.fetcher.listen, &self.fetcher.serve)),
            "reconciler" => Some((self.reconciler.listen, &self.reconciler.serve)),
            "writer" => Some((self.writer.listen, &self.writer.serve)),
            _ => None,
        }
    }

    /// The other integrations that feed the same AMFJ site (P4).
    pub fn siblings_of<'a>(&'a self, integration: &'a Integration) -> impl Iterator<Item = &'a Integration> {
        let same_site =
            |other: &&Integration| other.id != integration.id && other.shares_site_with(integration);
        self.integrations.iter().chain(&self.beside).filter(same_site)
    }

    /// Leaves this integration alone to be served, and those of its AMFJ site beside it; whether there is one of that id.
    pub fn serve_only(&mut self, id: &str) -> bool {
        let (served, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.integrations).into_iter().partition(|one| one.id.as_str() == id);
        self.integrations = served;
        let of_its_site =
            |other: &Integration| self.integrations.iter().any(|served| served.shares_site_with(other));
        self.beside = others.into_iter().filter(of_its_site).collect();
        !self.integrations.is_empty()
    }

    /// The integration of that id.
    #[must_use]
    pub fn integration(&self, id: &IntegrationId) -> Option<&Integration> {
        self.integrations.iter().find(|integration| &integration.id == id)
    }
}

/// `[broker]`
#[derive(Debug, Clone)]
pub struct BrokerConfig {
    /// Address with user and password; prints without the password.
    pub url: BrokerUrl,
    /// Partitions of each integration, 1 to 256.
    pub partitions: u16,
    /// First part of the name of every queue and exchange.
    pub prefix: String,
    /// How long a dead letter waits for a person before it is dropped.
    pub dead_letter_keep: Duration,
    /// How messages are signed, if they are.
    pub signing: Option<SigningConfig>,
    /// Certificates for `amqps://`.
    pub tls: BrokerTls,
    /// Whether a person said that `amqp://` may go to another machine.
    pub allow_plain_text: bool,
}

/// `broker.signing_key` and what belongs to it.
#[derive(Debug, Clone)]
pub struct SigningConfig {
    /// Never empty: messages are signed with the first, and those of all are accepted.
    pub keys: Vec<Secret>,
    /// Whether a message without a signature is taken, while not every worker has the key.
    pub accept_unsigned: bool,
}

/// `broker.ca_file`, `broker.client_certificate` and `broker.client_key`, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerTls {
    /// Who signed the broker's certificate, instead of those whom the machine trusts.
    pub ca: Option<PathBuf>,
    /// What is shown to the broker: a certificate (with those that signed it), and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Who may ask a worker how it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServeConfig {
    /// Names of the `Host` header beside loopback and addresses.
    pub hosts: Vec<String>,
    /// Whether a person said that the port may be reached from other machines.
    pub expose: bool,
}

/// `[fetcher]`
#[derive(Debug, Clone)]
pub struct FetcherConfig {
    /// Health, metrics and status; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The worker's own state.
    pub data_dir: PathBuf,
    /// Who may ask.
    pub serve: ServeConfig,
    /// Where AMFJ's events are taken (P34); none where they are not.
    pub events_listen: Option<SocketAddr>,
}

/// `[reconciler]`
#[derive(Debug, Clone)]
pub struct WorkerConfig {
    /// Health, metrics and status; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The worker's own state.
    pub data_dir: PathBuf,
    /// Who may ask.
    pub serve: ServeConfig,
}

/// `[writer]`
#[derive(Debug, Clone)]
pub struct WriterConfig {
    /// Health, metrics and status; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The worker's own state.
    pub data_dir: PathBuf,
    /// Who may ask.
    pub serve: ServeConfig,
    /// Requests to AMFJ in flight, at most, per writer; at least 1.
    pub concurrency: usize,
}

/// `[retry]`
#[derive(Debug, Clone)]
pub struct RetryConfig {
    /// First pause.
    pub initial: Duration,
    /// Longest pause.
    pub max: Duration,
    /// Failures of one change, outages not counted, before it is a dead letter; at most 25 minutes.
    pub give_up_after: Duration,
}

/// `[timing]`, for tests and simulations; an operator leaves it out.
#[derive(Debug, Clone)]
pub struct TimingConfig {
    /// Between two probes of an open circuit.
    pub probe_interval: Duration,
    /// Between two looks at who owns which partition.
    pub ownership_interval: Duration,
    /// First pause after a failed run (P2).
    pub run_retry_initial: Duration,
    /// Longest pause after failed runs (P2).
    pub run_retry_max: Duration,
    /// To connect to the broker or a service.
    pub connect_timeout: Duration,
    /// Longest pause between two attempts to reach the broker.
    pub broker_reconnect_max: Duration,
    /// Between two copies of the state in its stream. The stream keeps the last seven days.
    pub checkpoint_every: Duration,
    /// After that a published change without outcome counts as lost, and is published anew.
    pub change_lost_after: Duration,
}

impl Default for TimingConfig {
    fn default() -> Self {
        Self {
            probe_interval: Duration::from_secs(15),
            ownership_interval: Duration::from_secs(1),
            run_retry_initial: Duration::from_secs(10),
            run_retry_max: Duration::from_mins(15),
            connect_timeout: Duration::from_secs(10),
            broker_reconnect_max: Duration::from_secs(30),
            checkpoint_every: Duration::from_hours(24),
            change_lost_after: Duration::from_hours(24),
        }
    }
}

/// `[[integration]]`: one Kandji tenant feeding one AMFJ site.
#[derive(Debug, Clone)]
pub struct Integration {
    /// Its name in queues, metrics and commands; `a-z`, `0-9`, `-`. Links belong to it (P4).
    pub id: IntegrationId,
    /// Plan or apply; a person chooses (P25).
    pub mode: Mode,
    /// With [`Mode::Apply`]: only these serials are applied, the rest is planned. Empty means all (P25).
    pub apply_only: BTreeSet<String>,
    /// Between the starts of two runs (P1).
    pub interval: Duration,
    /// Where devices come from.
    pub kandji: KandjiConfig,
    /// Where assets are.
    pub amfj: AmfjConfig,
    /// Which devices are looked at (P19).
    pub scope: Scope,
    /// Kandji platform → asset type, at creation only (P12).
    pub asset_types: BTreeMap<String, String>,
    /// What may be matched, created, assigned.
    pub sync: SyncConfig,
    /// AMFJ asset field = Kandji property (P16).
    pub fields: Mapping,
    /// AMFJ user field = Kandji property (P10, P16).
    pub user_fields: Mapping,
    /// Where each value is written, by dotted key below the integration. See [`Integration::place_of`].
    pub places: BTreeMap<String, SourceLocation>,
}

impl Integration {
    /// Whether both feed the same AMFJ site (P4).
    #[must_use]
    pub fn shares_site_with(&self, other: &Self) -> bool {
        self.amfj.api_url == other.amfj.api_url
    }

    /// Where the value of a key is written: `sync.default_asset_type`, `asset_types.iPhone`,
    /// `fields.Serial Number`, `id`. `None` for a default.
    #[must_use]
    pub fn place_of(&self, key: &str) -> Option<&SourceLocation> {
        self.places.get(key)
    }

    /// The name of the asset type that a device of this platform is created with (P12).
    #[must_use]
    pub fn asset_type_for(&self, platform: &str) -> &str {
        let platform = platform.trim().to_lowercase();
        self.asset_types
            .iter()
            .find(|(known, _)| known.to_lowercase() == platform)
            .map_or(&self.sync.default_asset_type, |(_, asset_type)| asset_type)
    }
}

/// `[integration.kandji]`
#[derive(Debug, Clone)]
pub struct KandjiConfig {
    /// Base address without `/api/v1` and without a trailing slash in its path (a bare host shows as `https://host/`).
    pub api_url: Url,
    /// Bearer token; none where it was not asked for ([`Tokens`](super::Tokens)) and is not there.
    pub token: Option<Secret>,
    /// This product's share of the tenant's requests.
    pub requests_per_hour: u32,
    /// Where details are read for many devices at once.
    pub bulk: Bulk,
    /// Of one whole request.
    pub request_timeout: Duration,
}

/// `[integration.amfj]`
#[derive(Debug, Clone)]
pub struct AmfjConfig {
    /// Base address, for example `https://api.assetmanagementforjira.com/v1`, without a trailing slash in its path.
    pub api_url: Url,
    /// The token, sent as the profile says; none where it was not asked for ([`Tokens`](super::Tokens)) and is not there.
    pub token: Option<Secret>,
    /// Shared by all writers.
    pub requests_per_second: u32,
    /// How late a write may show in a list.
    pub list_delay: Duration,
    /// Of one whole request.
    pub request_timeout: Duration,
    /// What describes the interface.
    pub profile: ProfileSource,
    /// What this program is called at the service, where its profile needs that.
    pub client_id: Option<String>,
    /// Where access tokens are fetched, if that is another host than the one of `api_url`.
    pub token_url: Option<Url>,
    /// How this site's events are known (P34); none where they are not taken.
    pub events: Option<EventsConfig>,
}

/// `events_key` of `[integration.amfj]`, and what belongs to it.
#[derive(Debug, Clone)]
pub struct EventsConfig {
    /// The last part of the address that AMFJ sends to; none where it was not asked for ([`Tokens`](super::Tokens)).
    pub key: Option<Secret>,
    /// Where in an event the asset's id stands, as a JSON Pointer; the usual places where nobody says.
    pub asset_id: Option<String>,
}

/// `[integration.scope]`: include first, then exclude (P19).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Every key that is given must match; an empty rule includes everything.
    pub include: ScopeRule,
    /// Any match excludes; an empty rule excludes nothing.
    pub exclude: ScopeRule,
}

/// One side of the scope. Compared trimmed and without regard to case; an empty list is a key not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScopeRule {
    /// Kandji platforms: Mac, iPhone, iPad, AppleTV, Windows, Android.
    pub platform: Vec<String>,
    /// Blueprint names or ids.
    pub blueprint: Vec<String>,
    /// Tags; one of them on the device is enough.
    pub tag: Vec<String>,
}

impl Scope {
    /// Whether a device is in scope (P19).
    #[must_use]
    pub fn admits(
        &self,
        platform: &str,
        blueprint_name: &str,
        blueprint_id: &str,
        tags: &[impl AsRef<str>],
    ) -> bool {
        let verdicts = |rule: &ScopeRule| {
            let tag = |wanted: &[String]| tags.iter().any(|tag| names(wanted, tag.as_ref()));
            [
                (!rule.platform.is_empty()).then(|| names(&rule.platform, platform)),
                (!rule.blueprint.is_empty())
                    .then(|| names(&rule.blueprint, blueprint_name) || names(&rule.blueprint, blueprint_id)),
                (!rule.tag.is_empty()).then(|| tag(&rule.tag)),
            ]
        };
        let included = verdicts(&self.include).into_iter().flatten().all(|matches| matches);
        let excluded = verdicts(&self.exclude).into_iter().flatten().any(|matches| matches);
        included && !excluded
    }
}

/// Whether one of the wanted words is this one. A blank word is named by nothing.
fn names(wanted: &[String], word: &str) -> bool {
    let word = word.trim().to_lowercase();
    !word.is_empty() && wanted.iter().any(|wanted| wanted.trim().to_lowercase() == word)
}

/// `[integration.sync]`
#[derive(Debug, Clone)]
pub struct SyncConfig {
    /// Name of the type of created assets (P12).
    pub default_asset_type: String,
    /// Name of the location set when a link is made (P12, P13).
    pub default_location: Option<String>,
    /// P7.
    pub create_devices: CreateDevices,
    /// P5.
    pub name_matching: NameMatching,
    /// P11.
    pub create_users: CreateUsers,
    /// P20.
    pub auto_checkout: bool,
    /// P20.
    pub first_assignment: FirstAssignment,
    /// P21.
    pub assignment: Assignment,
    /// Emails never checked out to, trimmed and in lower case (P20).
    pub no_checkout_users: BTreeSet<String>,
    /// P14.
    pub on_empty: OnEmpty,
    /// P22.
    pub when_gone: WhenGone,
    /// P23.
    pub gone_limit: Percent,
    /// P23.
    pub change_limit: Percent,
    /// Hold a first sync in which more than this share of the assets would be taken from people (P23).
    pub first_take_over_limit: Percent,
    /// Whether people are matched by name although both sides show an email, and another one (P10).
    pub name_beats_email: bool,
    /// P23.
    pub allow_empty: bool,
    /// Rows that a list of either service may have; four times as many as the last complete one had, if that is more.
    pub longest_list: u64,
    /// How long a run may read.
    pub longest_run: Duration,
    /// P26.
    pub history_keep: Duration,
}

#[cfg(test)]
mod tests;
