//! The tables that all integrations share: broker, workers, retry, timing.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::reader::{Reading, Section, shown};
use super::secret::BrokerUrl;
use super::settings::{boolean, duration, integer, name, names, text};
use super::tree::Node;
use super::types::{
    BrokerConfig, Config, FetcherConfig, RetryConfig, ServeConfig, TimingConfig, WorkerConfig, WriterConfig,
};
use super::{events, integration, keys, tls};

/// A broker that was installed and not configured.
const DEFAULT_BROKER: &str = "amqp://guest:guest@127.0.0.1:5672/%2f";

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// Time enough for a person who was away; dead letters hold personal data, which is not to stay for ever.
const DEAD_LETTER_KEEP: Duration = Duration::from_hours(90 * 24);

/// A dead letter must be written before the broker takes an unacknowledged message away after 30 minutes.
const GIVE_UP_AT_MOST: Duration = Duration::from_mins(25);

/// Reads the whole tree; `None` if anything is wrong, which is then reported.
pub(super) fn read(tree: &Node, reading: &mut Reading<'_>) -> Option<Config> {
    let mut root = Section::root(tree);
    let section = root.section(reading, "broker");
    let broker = broker(section, reading);
    let section = root.section(reading, "fetcher");
    let fetcher = fetcher(section, reading);
    let section = root.section(reading, "reconciler");
    let reconciler = worker(section, reading, "reconciler", 9465);
    let section = root.section(reading, "writer");
    let writer = writer(section, reading);
    let section = root.section(reading, "retry");
    let retry = retry(section, reading);
    reading.give_up_after = retry.as_ref().map(|retry| retry.give_up_after);
    let section = root.section(reading, "timing");
    let timing = timing(section, reading);
    let integrations = integration::read_all(&mut root, reading);
    root.finish(reading);
    if let (Some(fetcher), Some(integrations)) = (&fetcher, &integrations) {
        events::warn_of_halves(fetcher, integrations, &tree.at, reading);
    }
    Some(Config {
        broker: broker?,
        fetcher: fetcher?,
        reconciler: reconciler?,
        writer: writer?,
        retry: retry?,
        timing: timing?,
        integrations: integrations?,
        beside: Vec::new(),
        rejected: Vec::new(),
    })
}

fn broker(mut section: Section, reading: &mut Reading<'_>) -> Option<BrokerConfig> {
    let default = BrokerUrl::parse(DEFAULT_BROKER).ok();
    let url =
        section.read(reading, "url", |node| BrokerUrl::parse(&text(node)?).map(Some)).or(default).flatten();
    let partitions = section.read(reading, "partitions", |node| integer(node, 1..=256)).or(4);
    let prefix = section.read(reading, "prefix", prefix).or("amfj-sync".to_owned());
    let signing = keys::read(&mut section, reading);
    let tls = tls::read(&mut section, reading, url.as_ref());
    let allow_plain_text = section.read(reading, "allow_plain_text", boolean).or(false);
    let dead_letter_keep = section
        .read(reading, "dead_letter_keep", |node| duration(node, SECOND..=36_500 * DAY))
        .or(DEAD_LETTER_KEEP);
    section.finish(reading);
    Some(BrokerConfig {
        url: url?,
        partitions: partitions?,
        prefix: prefix?,
        signing: signing?,
        tls: tls?,
        allow_plain_text: allow_plain_text?,
        dead_letter_keep: dead_letter_keep?,
    })
}

/// Part of the names of queues, which RabbitMQ limits to 255 bytes.
fn prefix(node: &Node) -> Result<String, String> {
    let prefix = name(node)?;
    let right = prefix.len() <= 100
        && prefix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if right { Ok(prefix) } else { Err("must be at most 100 letters, digits, '.', '_' and '-'".to_owned()) }
}

fn fetcher(mut section: Section, reading: &mut Reading<'_>) -> Option<FetcherConfig> {
    let (listen, data_dir) = listen_and_data(&mut section, reading, "fetcher", 9464);
    let serve = serve(&mut section, reading);
    let events_listen = events::listen(&mut section, reading, listen);
    section.finish(reading);
    Some(FetcherConfig { listen: listen?, data_dir: data_dir?, serve: serve?, events_listen: events_listen? })
}

fn worker(mut section: Section, reading: &mut Reading<'_>, role: &str, port: u16) -> Option<WorkerConfig> {
    let (listen, data_dir) = listen_and_data(&mut section, reading, role, port);
    let serve = serve(&mut section, reading);
    section.finish(reading);
    Some(WorkerConfig { listen: listen?, data_dir: data_dir?, serve: serve? })
}

fn writer(mut section: Section, reading: &mut Reading<'_>) -> Option<WriterConfig> {
    let (listen, data_dir) = listen_and_data(&mut section, reading, "writer", 9466);
    let serve = serve(&mut section, reading);
    let concurrency = section.read(reading, "concurrency", |node| integer(node, 1..=1024_u32)).or(16);
    section.finish(reading);
    Some(WriterConfig {
        listen: listen?,
        data_dir: data_dir?,
        serve: serve?,
        concurrency: usize::try_from(concurrency?).ok()?,
    })
}

fn serve(section: &mut Section, reading: &mut Reading<'_>) -> Option<ServeConfig> {
    let hosts = section.read(reading, "hosts", names).or(Vec::new());
    let expose = section.read(reading, "expose", boolean).or(false);
    Some(ServeConfig { hosts: hosts?, expose: expose? })
}

fn listen_and_data(
    section: &mut Section,
    reading: &mut Reading<'_>,
    role: &str,
    port: u16,
) -> (Option<SocketAddr>, Option<PathBuf>) {
    let default = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = section.read(reading, "listen", |node| address(node, default));
    let data_dir = section.read(reading, "data_dir", |node| name(node).map(PathBuf::from));
    (listen.or(default), data_dir.or(PathBuf::from("var").join(role)))
}

/// An address and a port, such as that one.
pub(super) fn address(node: &Node, such_as: SocketAddr) -> Result<SocketAddr, String> {
    let text = text(node)?;
    text.trim()
        .parse()
        .map_err(|_| format!("must be an address and a port such as \"{such_as}\", not \"{}\"", shown(&text)))
}

fn retry(mut section: Section, reading: &mut Reading<'_>) -> Option<RetryConfig> {
    let pause = || Duration::from_millis(1)..=Duration::from_hours(1);
    let initial =
        section.read(reading, "initial", |node| duration(node, pause())).or(Duration::from_millis(500));
    let longest = section.read(reading, "max", |node| duration(node, pause())).or(Duration::from_mins(1));
    let give_up_after = section
        .read(reading, "give_up_after", |node| duration(node, Duration::from_millis(1)..=GIVE_UP_AT_MOST))
        .or(Duration::from_mins(15));
    if let (Some(initial), Some(longest)) = (initial, longest)
        && initial > longest
    {
        let at = section.at.clone();
        section.complain(reading, &at, "\"initial\" must not be longer than \"max\"");
    }
    section.finish(reading);
    Some(RetryConfig { initial: initial?, max: longest?, give_up_after: give_up_after? })
}

fn timing(mut section: Section, reading: &mut Reading<'_>) -> Option<TimingConfig> {
    let bounds: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_hours(24);
    let defaults = TimingConfig::default();
    let mut read =
        |key, default| section.read(reading, key, |node| duration(node, bounds.clone())).or(default);
    let probe_interval = read("probe_interval", defaults.probe_interval);
    let ownership_interval = read("ownership_interval", defaults.ownership_interval);
    let run_retry_initial = read("run_retry_initial", defaults.run_retry_initial);
    let run_retry_max = read("run_retry_max", defaults.run_retry_max);
    let connect_timeout = read("connect_timeout", defaults.connect_timeout);
    let broker_reconnect_max = read("broker_reconnect_max", defaults.broker_reconnect_max);
    let checkpoint_every = read("checkpoint_every", defaults.checkpoint_every);
    let change_lost_after = read("change_lost_after", defaults.change_lost_after);
    section.finish(reading);
    Some(TimingConfig {
        probe_interval: probe_interval?,
        ownership_interval: ownership_interval?,
        run_retry_initial: run_retry_initial?,
        run_retry_max: run_retry_max?,
        connect_timeout: connect_timeout?,
        broker_reconnect_max: broker_reconnect_max?,
        checkpoint_every: checkpoint_every?,
        change_lost_after: change_lost_after?,
    })
}
