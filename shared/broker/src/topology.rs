//! Which queues, streams and exchanges there are, and how they are declared.

use std::time::Duration;

use amfj_sync_config::Config;
use amfj_sync_model::ids::IntegrationId;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};

use super::error::{BrokerError, within};
use super::names::{Names, Stage};

const LIMIT: Duration = Duration::from_secs(20);

/// Above anything that restarts and open circuits use up, below for ever.
const DELIVERY_LIMIT: i64 = 1_000;

/// Every look at the dead letters (`amfj-sync dead list`) counts as a delivery, and on RabbitMQ 4 a queue
/// without a limit of its own drops a message after 20.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Events that wait, of each integration: more than a large site has assets.
const MOST_EVENTS: i64 = 200_000;

/// The state stream is trimmed by age; checkpoints are written daily, so at least three stay.
const STATE_MAX_AGE: &str = "7D";
const SEGMENT_BYTES: i64 = 50_000_000;

/// How long two workers that declare a new integration at once may see each other half done.
const SETTLING: Duration = Duration::from_secs(5);

/// Channels that a connection can have.
const MOST_CHANNELS: u32 = 2_047;

/// Reply code of a declaration that names other arguments than those of the existing queue.
const PRECONDITION_FAILED: u16 = 406;

/// Reply code of a login that is refused, and of what the user has no permission for.
pub(super) const ACCESS_REFUSED: u16 = 403;

/// What one integration needs at the broker.
#[derive(Debug, Clone)]
struct IntegrationQueues {
    id: IntegrationId,
    history_keep: Duration,
    /// Whether AMFJ's events are taken.
    events: bool,
}

/// Everything that the workers of a configuration need at the broker.
#[derive(Debug, Clone)]
pub struct Topology {
    names: Names,
    partitions: u16,
    integrations: Vec<IntegrationQueues>,
}

impl Topology {
    /// The topology of a configuration.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let queues = |integration: &amfj_sync_config::Integration| IntegrationQueues {
            id: integration.id.clone(),
            history_keep: integration.sync.history_keep,
            events: integration.amfj.events.is_some(),
        };
        Self {
            names: Names::new(&config.broker.prefix),
            partitions: config.broker.partitions,
            integrations: config.integrations.iter().chain(&config.beside).map(queues).collect(),
        }
    }

    /// The names of everything.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Declares everything. What exists already stays as it is.
    pub async fn declare(&self, connection: &Connection) -> Result<(), BrokerError> {
        let mut channels = ChannelCache::new(connection);
        self.declare_shared(&mut channels).await?;
        for integration in &self.integrations {
            self.check_partitions(&mut channels, integration).await?;
            for stage in [Stage::Reconcile, Stage::Apply] {
                for partition in 0..self.partitions {
                    let name = self.names.work(&integration.id, stage, partition);
                    channels.declare(&name, self.work_arguments()).await?;
                }
            }
            if integration.events {
                channels.declare(&self.names.events(&integration.id), events_arguments()).await?;
            }
            channels.declare(&self.names.state(&integration.id), stream_arguments(STATE_MAX_AGE)).await?;
            let history = self.names.history(&integration.id);
            let keep = format!("{}s", integration.history_keep.as_secs().max(1));
            if channels.declare(&history, stream_arguments(&keep)).await? == Declared::Otherwise {
                tracing::warn!(
                    stream = history,
                    "history_keep is another one than when the stream of the past was made: what is older is not shown, \
                     and for RabbitMQ to remove it as well run: {}",
                    keep_by_policy(&history, &keep)
                );
            }
        }
        channels.close().await;
        Ok(())
    }

    async fn declare_shared(&self, channels: &mut ChannelCache<'_>) -> Result<(), BrokerError> {
        let dead = self.names.dead();
        for exchange in [&dead, &self.names.status_rpc()] {
            channels.declare_exchange(exchange).await?;
        }
        let mut arguments = quorum();
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DEAD_DELIVERY_LIMIT));
        if channels.declare(&dead, arguments).await? != Declared::ByOthers {
            let channel = open(channels.connection).await?;
            let bind = channel.queue_bind(
                dead.as_str().into(),
                dead.as_str().into(),
                ShortString::default(),
                QueueBindOptions::default(),
                FieldTable::default(),
            );
            within("a binding", LIMIT, bind).await?;
            close(&channel).await;
        }
        channels.declare(&self.names.triggers(), quorum()).await?;
        for role in ["fetcher", "reconciler", "writer"] {
            channels.declare(&self.names.workers(role), quorum()).await?;
        }
        Ok(())
    }

    fn work_arguments(&self) -> FieldTable {
        let mut arguments = quorum();
        arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
        arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
        // At least once: without these a dead letter can be lost on its way.
        text(&mut arguments, "x-dead-letter-exchange", &self.names.dead());
        text(&mut arguments, "x-dead-letter-strategy", "at-least-once");
        text(&mut arguments, "x-overflow", "reject-publish");
        arguments
    }

    /// The number of partitions is set when the queues are first declared; a key would move otherwise.
    async fn check_partitions(
        &self,
        channels: &mut ChannelCache<'_>,
        integration: &IntegrationQueues,
    ) -> Result<(), BrokerError> {
        let deadline = tokio::time::Instant::now() + SETTLING;
        loop {
            let declared = self.declared_partitions(channels, &integration.id).await?;
            if declared == 0 || declared == self.partitions {
                return Ok(());
            }
            // Fewer may mean that another worker is declaring them at this moment.
            if declared > self.partitions || tokio::time::Instant::now() > deadline {
                return Err(self.other_partitions(channels, &integration.id, declared).await?);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// What deleting the queues would cost is counted while they are there.
    async fn other_partitions(
        &self,
        channels: &mut ChannelCache<'_>,
        integration: &IntegrationId,
        declared: u16,
    ) -> Result<BrokerError, BrokerError> {
        let mut waiting = [0_u64; 2];
        for (stage, waiting) in [Stage::Reconcile, Stage::Apply].into_iter().zip(&mut waiting) {
            for partition in 0..declared {
                let depth = channels.depth(&self.names.work(integration, stage, partition)).await?;
                *waiting += depth.map_or(0, |depth| u64::from(depth.messages));
            }
        }
        let [to_decide, to_apply] = waiting;
        Ok(BrokerError::Partitions {
            integration: integration.to_string(),
            configured: self.partitions,
            declared,
            prefix: self.names.prefix().to_owned(),
            to_decide,
            to_apply,
        })
    }

    async fn declared_partitions(
        &self,
        channels: &mut ChannelCache<'_>,
        integration: &IntegrationId,
    ) -> Result<u16, BrokerError> {
        // Both kinds: somebody may have deleted one queue with what was in it. The apply queues, which are declared last,
        // come first, so that what is complete is found out with one look.
        let mut exists = async |partition: u16| -> Result<bool, BrokerError> {
            for stage in [Stage::Apply, Stage::Reconcile] {
                if channels.depth(&self.names.work(integration, stage, partition)).await?.is_some() {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        if self.partitions > 0 && exists(self.partitions - 1).await? && !exists(self.partitions).await? {
            return Ok(self.partitions);
        }
        let mut partition = 0;
        while exists(partition).await? {
            partition += 1;
        }
        Ok(partition)
    }
}

fn text(arguments: &mut FieldTable, key: &str, value: &str) {
    arguments.insert(key.into(), AMQPValue::LongString(value.into()));
}

fn quorum() -> FieldTable {
    let mut arguments = FieldTable::default();
    text(&mut arguments, "x-queue-type", "quorum");
    arguments
}

/// Each event is a hint, and a run finds what it is about without it: while nobody takes them, the oldest make room, and one
/// that cannot be dealt with is dropped.
fn events_arguments() -> FieldTable {
    let mut arguments = quorum();
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(DELIVERY_LIMIT));
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(MOST_EVENTS));
    arguments
}

fn stream_arguments(max_age: &str) -> FieldTable {
    let mut arguments = FieldTable::default();
    text(&mut arguments, "x-queue-type", "stream");
    text(&mut arguments, "x-max-age", max_age);
    arguments.insert("x-stream-max-segment-size-bytes".into(), AMQPValue::LongLongInt(SEGMENT_BYTES));
    arguments
}

/// How a stream that exists is told to keep its records for another time: RabbitMQ takes a policy before the arguments of
/// a stream, removes the segments that are too old at once, and keeps the one that is written to.
fn keep_by_policy(stream: &str, keep: &str) -> String {
    let pattern = stream.replace('.', "\\.");
    format!(
        "rabbitmqctl set_policy -p VHOST --apply-to queues {stream} '^{pattern}$' '{{\"max-age\":\"{keep}\"}}'"
    )
}

/// What a passive declaration tells about a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Depth {
    /// Messages ready for delivery.
    pub messages: u32,
    /// Consumers; of those with single active consumer, only the active one counts.
    pub consumers: u32,
}

/// The depth of a queue; the broker closes the channel where there is no such queue.
pub(super) async fn depth(channel: &Channel, queue: &str) -> Result<Depth, BrokerError> {
    let options = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let asked = channel.queue_declare(queue.into(), options, FieldTable::default());
    let queue = within("a queue inspection", LIMIT, asked).await?;
    Ok(Depth { messages: queue.message_count(), consumers: queue.consumer_count() })
}

/// What became of a declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Declared {
    /// It is there as wanted, made by this user now or earlier.
    AsWanted,
    /// It was there with other arguments, and those cannot be changed.
    Otherwise,
    /// It is there, and this user may not make it.
    ByOthers,
}

/// One channel for everything that is declared or looked at, and another where the broker has closed it.
pub(super) struct ChannelCache<'a> {
    connection: &'a Connection,
    channel: Option<Channel>,
    /// Whether this user may not make queues. Each refusal costs a channel, so it looks first from then on.
    limited: bool,
}

impl<'a> ChannelCache<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection, channel: None, limited: false }
    }

    /// To be put back where the broker did not close it.
    async fn take(&mut self) -> Result<Channel, BrokerError> {
        match self.channel.take() {
            Some(channel) => Ok(channel),
            None => open(self.connection).await,
        }
    }

    /// Looks at a queue without touching it; none where it does not exist.
    pub(super) async fn depth(&mut self, queue: &str) -> Result<Option<Depth>, BrokerError> {
        let channel = self.take().await?;
        match depth(&channel, queue).await {
            Ok(depth) => {
                self.channel = Some(channel);
                Ok(Some(depth))
            }
            // The broker closes the channel of a passive declaration that finds nothing.
            Err(BrokerError::Client(_)) if self.connection.status().connected() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A user without the permission to make it uses what somebody else has made.
    async fn declare_exchange(&mut self, exchange: &str) -> Result<(), BrokerError> {
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let Err(error) = self.try_exchange(exchange, options).await? else { return Ok(()) };
        if reply_code(&error) == Some(ACCESS_REFUSED) {
            let passive = ExchangeDeclareOptions { passive: true, ..options };
            if self.try_exchange(exchange, passive).await?.is_ok() {
                return Ok(());
            }
        }
        Err(of_declaration(error))
    }

    async fn try_exchange(
        &mut self,
        exchange: &str,
        options: ExchangeDeclareOptions,
    ) -> Result<Result<(), lapin::Error>, BrokerError> {
        let channel = self.take().await?;
        let kind = ExchangeKind::Fanout;
        let declare = channel.exchange_declare(exchange.into(), kind, options, FieldTable::default());
        let answer = tokio::time::timeout(LIMIT, declare).await;
        let answer =
            answer.map_err(|_| BrokerError::TimedOut { what: "an exchange declaration", limit: LIMIT })?;
        if answer.is_ok() {
            self.channel = Some(channel);
        }
        Ok(answer)
    }

    /// A user without the permission to make it uses what somebody else has made.
    async fn declare(&mut self, queue: &str, arguments: FieldTable) -> Result<Declared, BrokerError> {
        if self.limited && self.depth(queue).await?.is_some() {
            return Ok(Declared::ByOthers);
        }
        let channel = self.take().await?;
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        let declare = channel.queue_declare(queue.into(), options, arguments);
        match tokio::time::timeout(LIMIT, declare).await {
            Ok(Ok(_)) => {
                self.channel = Some(channel);
                Ok(Declared::AsWanted)
            }
            Ok(Err(error)) if reply_code(&error) == Some(PRECONDITION_FAILED) => {
                tracing::warn!(queue, "the queue exists with other arguments; it is used as it is");
                Ok(Declared::Otherwise)
            }
            Ok(Err(error)) if reply_code(&error) == Some(ACCESS_REFUSED) => {
                self.limited = true;
                let is_there = self.depth(queue).await?.is_some();
                if is_there { Ok(Declared::ByOthers) } else { Err(of_declaration(error)) }
            }
            Ok(Err(error)) => Err(of_declaration(error)),
            Err(_) => Err(BrokerError::TimedOut { what: "a queue declaration", limit: LIMIT }),
        }
    }

    pub(super) async fn close(self) {
        if let Some(channel) = &self.channel {
            close(channel).await;
        }
    }
}

/// A user that may log in may still not make queues.
fn of_declaration(error: lapin::Error) -> BrokerError {
    match reply_code(&error) {
        Some(ACCESS_REFUSED) => BrokerError::MayNotDeclare(error.to_string()),
        _ => error.into(),
    }
}

/// The AMQP reply code of an error that the broker sent.
pub(super) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// Opens a channel.
///
/// Where the broker ended one with an error (a queue that does not exist, a lock that is held), lapin 4.12 keeps the
/// error with the channel's number, and the next one with that number fails with it. Numbers come again after 2,047; such
/// are passed over.
pub(super) async fn open(connection: &Connection) -> Result<Channel, BrokerError> {
    let mut tries = 0;
    loop {
        let opened = within("a new channel", LIMIT, connection.create_channel()).await;
        tries += 1;
        if !matches!(opened, Err(BrokerError::Client(_) | BrokerError::NotPermitted(_)))
            || tries >= MOST_CHANNELS
            || !connection.status().connected()
        {
            return opened;
        }
    }
}

/// Closes a channel; whether it still could be closed does not matter.
pub(super) async fn close(channel: &Channel) {
    drop(tokio::time::timeout(LIMIT, channel.close(200, "done".into())).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_about_one_stream_alone() {
        assert_eq!(
            keep_by_policy("amfj-sync.acme.history", "2592000s"),
            "rabbitmqctl set_policy -p VHOST --apply-to queues amfj-sync.acme.history \
             '^amfj-sync\\.acme\\.history$' '{\"max-age\":\"2592000s\"}'"
        );
    }
}
