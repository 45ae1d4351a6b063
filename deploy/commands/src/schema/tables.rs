//! What may stand in the configuration, table by table. `amfj-sync-config` reads it with all its checks; here are the names,
//! kinds and defaults alone, and a test compares them with what that takes and with `docs/configuration.md`.
#![expect(dead_code, reason = "they describe a file; nothing is ever read into them")]

use std::collections::BTreeMap;

use amfj_sync_config::{
    Assignment, Bulk, CreateDevices, CreateUsers, FirstAssignment, Mode, NameMatching, OnEmpty, WhenGone,
};
use schemars::JsonSchema;

/// Configuration of amfj-sync.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Configuration {
    /// Where RabbitMQ is.
    broker: Option<Broker>,
    /// The worker that reads Kandji and AMFJ.
    fetcher: Option<Fetcher>,
    /// The worker that decides.
    reconciler: Option<Reconciler>,
    /// The worker that writes to AMFJ.
    writer: Option<Writer>,
    /// How one request to Kandji or AMFJ is tried again.
    retry: Option<Retry>,
    /// Pauses that only tests and simulations shorten.
    timing: Option<Timing>,
    /// One for each Kandji tenant that feeds an AMFJ site.
    #[schemars(length(min = 1))]
    integration: Vec<Integration>,
}

/// A whole number with a unit: 500ms, 60s, 15m, 1h, 400d.
#[derive(JsonSchema)]
pub(super) struct Pause(#[schemars(regex(pattern = r"^\s*[0-9]+\s*(ms|s|m|h|d)\s*$"))] String);

/// From 0% to 100%.
#[derive(JsonSchema)]
pub(super) struct Share(#[schemars(regex(pattern = r"^\s*0*(100|[0-9]{1,2})\s*%\s*$"))] String);

/// A text that is not blank.
#[derive(JsonSchema)]
pub(super) struct Name(#[schemars(regex(pattern = r"\S"))] String);

/// Where a secret stands, which is never in this file.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, rename_all = "snake_case")]
pub(super) enum Secret {
    /// The name of an environment variable.
    Env(Name),
    /// The path of a file that only its owner can read.
    File(Name),
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Broker {
    /// `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps://` for TLS.
    #[schemars(regex(pattern = r"^\s*amqps?://"), extend("default" = "amqp://guest:guest@127.0.0.1:5672/%2f"))]
    url: Option<String>,
    /// Of each integration; set once, before the queues exist.
    #[schemars(range(min = 1, max = 256), extend("default" = 4))]
    partitions: Option<u16>,
    /// Of the name of every queue and exchange.
    #[schemars(regex(pattern = r"^\s*[A-Za-z0-9._-]{1,100}\s*$"), extend("default" = "amfj-sync"))]
    prefix: Option<String>,
    /// Then a dead letter that nobody took care of is dropped.
    #[schemars(extend("default" = "90d"))]
    dead_letter_keep: Option<Pause>,
    /// PEM file of the authority that signed the broker's certificate.
    ca_file: Option<Name>,
    /// PEM file of a certificate that is shown to RabbitMQ.
    client_certificate: Option<Name>,
    /// PEM file of its key.
    client_key: Option<Name>,
    /// Whether `amqp://` may lead to another machine without a warning.
    #[schemars(extend("default" = false))]
    allow_plain_text: Option<bool>,
    /// Messages are signed with it.
    signing_key: Option<Secret>,
    /// Further keys whose signatures are taken.
    signing_keys_accepted: Option<Vec<Secret>>,
    /// Whether messages without a signature are taken.
    #[schemars(extend("default" = "refuse"))]
    unsigned_messages: Option<Unsigned>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
enum Unsigned {
    /// They are not read.
    Refuse,
    /// As long as not every worker has the key.
    Accept,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Fetcher {
    /// Health, metrics and status; port 0 picks a free one.
    #[schemars(extend("default" = "127.0.0.1:9464"))]
    listen: Option<Name>,
    /// The worker's local copy of the state.
    #[schemars(extend("default" = "var/fetcher"))]
    data_dir: Option<Name>,
    /// Names by which the port may be asked for, beside loopback and addresses.
    #[schemars(extend("default" = []))]
    hosts: Option<Vec<Name>>,
    /// Whether other machines may reach the ports.
    #[schemars(extend("default" = false))]
    expose: Option<bool>,
    /// Where AMFJ's events are taken.
    events_listen: Option<Name>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Reconciler {
    /// Health, metrics and status; port 0 picks a free one.
    #[schemars(extend("default" = "127.0.0.1:9465"))]
    listen: Option<Name>,
    /// The worker's local copy of the state.
    #[schemars(extend("default" = "var/reconciler"))]
    data_dir: Option<Name>,
    /// Names by which the port may be asked for, beside loopback and addresses.
    #[schemars(extend("default" = []))]
    hosts: Option<Vec<Name>>,
    /// Whether other machines may reach the port.
    #[schemars(extend("default" = false))]
    expose: Option<bool>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Writer {
    /// Health, metrics and status; port 0 picks a free one.
    #[schemars(extend("default" = "127.0.0.1:9466"))]
    listen: Option<Name>,
    /// The worker's local copy of the state.
    #[schemars(extend("default" = "var/writer"))]
    data_dir: Option<Name>,
    /// Names by which the port may be asked for, beside loopback and addresses.
    #[schemars(extend("default" = []))]
    hosts: Option<Vec<Name>>,
    /// Whether other machines may reach the port.
    #[schemars(extend("default" = false))]
    expose: Option<bool>,
    /// Requests to AMFJ in flight, at most, per writer.
    #[schemars(range(min = 1, max = 1024), extend("default" = 16))]
    concurrency: Option<u32>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Retry {
    /// First pause.
    #[schemars(extend("default" = "500ms"))]
    initial: Option<Pause>,
    /// Longest pause.
    #[schemars(extend("default" = "60s"))]
    max: Option<Pause>,
    /// Then a change that AMFJ refuses is a dead letter; outages do not count.
    #[schemars(extend("default" = "15m"))]
    give_up_after: Option<Pause>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Timing {
    probe_interval: Option<Pause>,
    ownership_interval: Option<Pause>,
    run_retry_initial: Option<Pause>,
    run_retry_max: Option<Pause>,
    connect_timeout: Option<Pause>,
    broker_reconnect_max: Option<Pause>,
    checkpoint_every: Option<Pause>,
    change_lost_after: Option<Pause>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Integration {
    /// Links belong to it, so keep it.
    #[schemars(regex(pattern = "^[a-z0-9-]{1,63}$"))]
    id: String,
    /// A person chooses.
    mode: Mode,
    /// With "apply": only devices with these serials are written, the rest is planned.
    #[schemars(extend("default" = []))]
    apply_only: Option<Vec<Name>>,
    /// From the start of one run to the start of the next.
    #[schemars(extend("default" = "1h"))]
    interval: Option<Pause>,
    /// Where devices come from.
    kandji: Kandji,
    /// Where assets are.
    amfj: Amfj,
    /// Which devices are looked at; what is out of scope is left alone.
    scope: Option<Scope>,
    /// Platform = asset type, for assets that are created.
    asset_types: Option<BTreeMap<String, Name>>,
    /// What is matched, created and assigned.
    sync: Sync,
    /// AMFJ field = Kandji property, or a template over several.
    fields: Option<BTreeMap<String, Name>>,
    /// The same for user records; mapping Name also matches people by name.
    user_fields: Option<BTreeMap<String, Name>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Kandji {
    /// <https://SUBDOMAIN.api.kandji.io>, in the EU <https://SUBDOMAIN.api.eu.kandji.io>.
    api_url: Name,
    /// With the permissions Device list and Device details.
    token: Secret,
    /// This product's share of the 10,000 of the tenant.
    #[schemars(range(min = 1, max = 10_000_000), extend("default" = 6000))]
    requests_per_hour: Option<u32>,
    /// Where details are read for many devices at once.
    #[schemars(extend("default" = "off"))]
    bulk: Option<Bulk>,
    /// Of one whole request.
    #[schemars(extend("default" = "30s"))]
    request_timeout: Option<Pause>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Amfj {
    /// For example <https://api.assetmanagementforjira.com/v1>.
    api_url: Name,
    /// It has to read and write assets and user records.
    token: Secret,
    /// Shared by all writers.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 20))]
    requests_per_second: Option<u32>,
    /// How late a write may show in a list.
    #[schemars(extend("default" = "60s"))]
    list_delay: Option<Pause>,
    /// Of one whole request.
    #[schemars(extend("default" = "30s"))]
    request_timeout: Option<Pause>,
    /// What AMFJ's interface looks like: a built-in name, or a file.
    #[schemars(extend("default" = "assumed-v1"))]
    profile: Option<Name>,
    /// What this program is called there, where the profile needs that.
    client_id: Option<Name>,
    /// Where access tokens are fetched, if that is another host.
    token_url: Option<Name>,
    /// The last part of the address that AMFJ sends its events to.
    events_key: Option<Secret>,
    /// Where an event has the id of its asset, as a JSON Pointer.
    event_asset_id: Option<Name>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Scope {
    /// Every key that is given must match.
    include: Option<ScopeRule>,
    /// One match is enough.
    exclude: Option<ScopeRule>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ScopeRule {
    /// Mac, iPhone, iPad, AppleTV, Windows, Android.
    platform: Option<Vec<Name>>,
    /// Names or ids.
    blueprint: Option<Vec<Name>>,
    /// One of them on the device is enough.
    tag: Option<Vec<Name>>,
}

#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Sync {
    /// Of assets that are created.
    default_asset_type: Name,
    /// Set when a link is made, where the asset has none.
    default_location: Option<Name>,
    /// Whether devices without an asset get one.
    #[schemars(extend("default" = "never"))]
    create_devices: Option<CreateDevices>,
    /// How long unlinked devices are matched by name.
    #[schemars(extend("default" = "first-sync"))]
    name_matching: Option<NameMatching>,
    /// Which people get a user record.
    #[schemars(extend("default" = "linked"))]
    create_users: Option<CreateUsers>,
    /// Check assets out to the primary users of their devices.
    #[schemars(extend("default" = false))]
    auto_checkout: Option<bool>,
    /// When somebody else has the asset at first sight.
    #[schemars(extend("default" = "take-over"))]
    first_assignment: Option<FirstAssignment>,
    /// When assets follow the primary user.
    #[schemars(extend("default" = "on-change"))]
    assignment: Option<Assignment>,
    /// Emails that are never checked out to.
    #[schemars(extend("default" = []))]
    no_checkout_users: Option<Vec<Name>>,
    /// What a blank value in Kandji does to the field.
    #[schemars(extend("default" = "keep"))]
    on_empty: Option<OnEmpty>,
    /// What happens when a device has left Kandji.
    #[schemars(extend("default" = "report"))]
    when_gone: Option<WhenGone>,
    /// A run is held when more linked devices vanish at once.
    #[schemars(extend("default" = "10%"))]
    gone_limit: Option<Share>,
    /// A run is held when more would be taken from people, lose their link or a value.
    #[schemars(extend("default" = "10%"))]
    change_limit: Option<Share>,
    /// Hold a first sync that would take more assets from people.
    #[schemars(extend("default" = "10%"))]
    first_take_over_limit: Option<Share>,
    /// Match people by name although both sides show an email, and another one.
    #[schemars(extend("default" = false))]
    name_beats_email: Option<bool>,
    /// Take a tenant without devices.
    #[schemars(extend("default" = false))]
    allow_empty: Option<bool>,
    /// Rows that a list of either service may have.
    #[schemars(range(min = 1), extend("default" = 250_000))]
    longest_list: Option<u32>,
    /// How long a run may read both services.
    #[schemars(extend("default" = "6h"))]
    longest_run: Option<Pause>,
    /// How long applied changes are kept.
    #[schemars(extend("default" = "400d"))]
    history_keep: Option<Pause>,
}
