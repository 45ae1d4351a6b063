//! Consuming: a channel of its own for each consumer, closed to stop it.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::StreamExt;
use jiff::Timestamp;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Consumer};
use tokio::time::Instant;

use super::STREAM_WINDOW;
use super::dead_letter;
use super::error::{BrokerError, within};
use super::signing::{self, Signed, Signing, refused};
use super::supervisor::Session;
use super::topology::depth;

const LIMIT: Duration = Duration::from_secs(20);

/// After how long without a delivery a queue is asked whether it keeps messages back.
const QUIET: Duration = Duration::from_secs(20);

/// How long a message may take from the queue to its consumer.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// What the broker itself wrote on a message that it gave up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerDeath {
    /// The queue where it died.
    pub queue: String,
    /// The broker's word for why, such as `delivery_limit`.
    pub reason: String,
    /// When, to the second.
    pub time: Option<Timestamp>,
}

/// A message that was delivered and waits for its acknowledgement.
#[derive(Debug)]
pub struct Received {
    /// The body.
    pub body: Vec<u8>,
    /// `message_id`, if it has one.
    pub id: Option<String>,
    /// Whether it was delivered before.
    pub redelivered: bool,
    /// Its offset, for a stream.
    pub offset: Option<u64>,
    /// Headers.
    pub headers: FieldTable,
    delivery: Delivery,
    /// Held as long as somebody works on it.
    _inflight: Arc<()>,
}

impl Received {
    /// A message as a client of the broker hands it over, which nobody waits for.
    #[must_use]
    pub fn of(delivery: Delivery) -> Self {
        Self::new(delivery, Arc::default())
    }

    fn new(mut delivery: Delivery, inflight: Arc<()>) -> Self {
        let headers = delivery.properties.headers().clone().unwrap_or_default();
        let offset = match headers.inner().get("x-stream-offset") {
            Some(AMQPValue::LongLongInt(offset)) => u64::try_from(*offset).ok(),
            Some(AMQPValue::LongInt(offset)) => u64::try_from(*offset).ok(),
            _ => None,
        };
        Self {
            body: std::mem::take(&mut delivery.data),
            id: delivery.properties.message_id().as_ref().map(ToString::to_string),
            redelivered: delivery.redelivered,
            offset,
            headers,
            delivery,
            _inflight: inflight,
        }
    }

    /// Gives it up unread: the broker makes a dead letter of it, where its queue has those.
    async fn refuse(&self) {
        // On a dead channel it comes again.
        let options = BasicRejectOptions { requeue: false };
        drop(tokio::time::timeout(LIMIT, self.delivery.reject(options)).await);
    }

    /// Whether it bears a right signature for that place; always, where messages are not signed.
    #[must_use]
    pub fn is_trusted_at(&self, place: &str, signing: Option<&Signing>) -> bool {
        signing.is_none_or(|signing| match self.signed(place, signing) {
            Signed::Rightly => true,
            Signed::Wrongly => false,
            Signed::Not => signing.accepts_unsigned(),
        })
    }

    fn signed(&self, place: &str, signing: &Signing) -> Signed {
        signing.judge(place, self.id.as_deref().unwrap_or_default(), &self.headers, &self.body)
    }

    /// A text header, as it is signed: what is no text is none.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        signing::text(&self.headers, name).map(ToOwned::to_owned)
    }

    /// The queue that an answer goes to, if one is wanted.
    #[must_use]
    pub fn reply_to(&self) -> Option<String> {
        self.delivery.properties.reply_to().as_ref().map(ToString::to_string)
    }

    /// What the broker wrote on it when it gave it up last; none where a worker did.
    #[must_use]
    pub fn broker_death(&self) -> Option<BrokerDeath> {
        let AMQPValue::FieldArray(deaths) = self.headers.inner().get("x-death")? else { return None };
        // The latest comes first.
        let AMQPValue::FieldTable(death) = deaths.as_slice().first()? else { return None };
        let text = |name: &str| match death.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        };
        let time = match death.inner().get("time") {
            Some(AMQPValue::Timestamp(seconds)) => {
                i64::try_from(*seconds).ok().and_then(|seconds| Timestamp::from_second(seconds).ok())
            }
            _ => None,
        };
        Some(BrokerDeath { queue: text("queue")?, reason: text("reason").unwrap_or_default(), time })
    }

    /// When it became a dead letter, as the worker or the broker that gave it up said; none where nobody did.
    #[must_use]
    pub fn died_at(&self) -> Option<Timestamp> {
        let said = self.header(dead_letter::header::TIME).and_then(|time| time.parse().ok());
        said.or_else(|| self.broker_death()?.time)
    }

    /// Acknowledges this delivery.
    pub async fn acknowledge(&self) -> Acknowledged {
        self.answer(false).await
    }

    /// Acknowledges this delivery and all before it on the same channel.
    pub async fn acknowledge_up_to_here(&self) -> Acknowledged {
        self.answer(true).await
    }

    async fn answer(&self, multiple: bool) -> Acknowledged {
        let options = BasicAckOptions { multiple };
        // `Ok(false)` and errors alike: the channel is dead, the message will come again.
        match tokio::time::timeout(LIMIT, self.delivery.ack(options)).await {
            Ok(Ok(true)) => Acknowledged::Yes,
            _ => Acknowledged::ChannelIsDead,
        }
    }
}

/// Whether the broker will not deliver the message again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Acknowledged {
    /// It is done with.
    Yes,
    /// It will be delivered again, here or elsewhere.
    ChannelIsDead,
}

/// Where a consumer of a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamOffset {
    /// With the first record that is left.
    First,
    /// Near the end: with the first of those records that were stored together last.
    Last,
    /// With the record of this offset.
    At(u64),
}

impl StreamOffset {
    fn argument(self) -> AMQPValue {
        match self {
            Self::At(offset) if let Ok(offset) = i64::try_from(offset) => AMQPValue::LongLongInt(offset),
            Self::Last => AMQPValue::LongString("last".into()),
            Self::First | Self::At(_) => AMQPValue::LongString("first".into()),
        }
    }
}

/// What a stream holds from before its workers had a key.
///
/// Nobody can write into the past of a stream: what stands before its first signed record was there before anybody signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsigned {
    /// It is read, up to the first signed record.
    UntilSigned,
    /// It is not.
    Refused,
}

/// Which messages are let through.
#[derive(Debug)]
struct Gate {
    signing: Arc<Signing>,
    /// Where they come from, as it was signed.
    place: String,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// What is refused is given up.
    Queue,
    /// What is refused comes without its body: its offset counts all the same.
    Stream(Unsigned),
}

impl Gate {
    /// Lets the message through, as it may be read; none where it is given up.
    async fn pass(&mut self, mut received: Received) -> Option<Received> {
        let signed = received.signed(&self.place, &self.signing);
        let unsigned_is_old = self.kind == Kind::Stream(Unsigned::UntilSigned);
        match signed {
            Signed::Rightly => {
                if unsigned_is_old {
                    self.kind = Kind::Stream(Unsigned::Refused);
                }
                return Some(received);
            }
            Signed::Not if unsigned_is_old || self.signing.accepts_unsigned() => return Some(received),
            Signed::Not | Signed::Wrongly => refused(&self.place, signed),
        }
        if self.kind == Kind::Queue {
            received.refuse().await;
            return None;
        }
        received.body.clear();
        Some(received)
    }
}

/// A consumer on a channel of its own.
#[derive(Debug)]
pub struct Intake {
    gate: Option<Gate>,
    session: Arc<Session>,
    channel: Channel,
    consumer: Consumer,
    /// Each delivery that somebody works on has a clone.
    inflight: Arc<()>,
    watch: Option<Watch>,
}

/// Whether a queue delivers what it has.
///
/// When the node that leads a quorum queue dies, deliveries that it had sent can be lost on their way. The queue counts
/// them as taken, so a consumer whose window they fill gets nothing any more until its channel is closed (seen with
/// RabbitMQ 3.10.8).
#[derive(Debug)]
struct Watch {
    queue: String,
    ask_at: Instant,
    /// It had messages when it was asked, and has not delivered since.
    suspected: bool,
}

impl Watch {
    fn of(queue: &str) -> Self {
        Self { queue: queue.to_owned(), ask_at: Instant::now() + QUIET, suspected: false }
    }

    fn delivered(&mut self) {
        self.ask_at = Instant::now() + QUIET;
        self.suspected = false;
    }
}

impl Intake {
    /// Consumes a queue, with that many deliveries before the first acknowledgement.
    pub async fn open(session: &Arc<Session>, queue: &str, prefetch: u16) -> Result<Self, BrokerError> {
        Self::open_with(session, queue, prefetch, FieldTable::default()).await
    }

    /// Consumes a queue of signed messages: what has no right signature is given up unread.
    pub async fn open_signed(
        session: &Arc<Session>,
        queue: &str,
        prefetch: u16,
    ) -> Result<Self, BrokerError> {
        let intake = Self::open(session, queue, prefetch).await?;
        Ok(intake.gated(queue, Kind::Queue))
    }

    fn gated(mut self, place: &str, kind: Kind) -> Self {
        let gate = |signing: &Arc<Signing>| Gate { signing: signing.clone(), place: place.to_owned(), kind };
        self.gate = self.session.signing().map(gate);
        self
    }

    /// Consumes a work queue as its only consumer: ends where the queue has messages and delivers none for 25 seconds,
    /// although none is in hand.
    pub(super) async fn open_watched(
        session: &Arc<Session>,
        queue: &str,
        prefetch: u16,
    ) -> Result<Self, BrokerError> {
        let intake = Self::open_signed(session, queue, prefetch).await?;
        Ok(Self { watch: Some(Watch::of(queue)), ..intake })
    }

    /// Consumes a stream from an offset on, with at most [`STREAM_WINDOW`] deliveries on their way. From before its first
    /// signed record, everything is read.
    pub async fn open_stream(
        session: &Arc<Session>,
        stream: &str,
        offset: StreamOffset,
    ) -> Result<Self, BrokerError> {
        Self::open_stream_with(session, stream, offset, Unsigned::UntilSigned).await
    }

    /// The same, where nothing says that what comes first stands before the first signed record.
    pub async fn open_stream_with(
        session: &Arc<Session>,
        stream: &str,
        offset: StreamOffset,
        unsigned: Unsigned,
    ) -> Result<Self, BrokerError> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-stream-offset".into(), offset.argument());
        let intake = Self::open_with(session, stream, STREAM_WINDOW, arguments).await?;
        Ok(intake.gated(stream, Kind::Stream(unsigned)))
    }

    async fn open_with(
        session: &Arc<Session>,
        queue: &str,
        prefetch: u16,
        arguments: FieldTable,
    ) -> Result<Self, BrokerError> {
        let channel = session.consuming_channel(prefetch).await?;
        let consume =
            channel.basic_consume(queue.into(), "".into(), BasicConsumeOptions::default(), arguments);
        let consumer = within("basic.consume", LIMIT, consume).await?;
        let (session, inflight) = (session.clone(), Arc::default());
        Ok(Self { session, channel, consumer, inflight, watch: None, gate: None })
    }

    /// The next delivery; none when the channel or the session is over.
    pub async fn next(&mut self) -> Option<Received> {
        loop {
            let ask_at = self.watch.as_ref().map(|watch| watch.ask_at);
            tokio::select! {
                biased;
                () = self.session.broken().cancelled() => return None,
                delivery = self.consumer.next() => {
                    if let Some(watch) = &mut self.watch {
                        watch.delivered();
                    }
                    let received = Received::new(delivery?.ok()?, self.inflight.clone());
                    if let Some(received) = self.pass(received).await {
                        return Some(received);
                    }
                }
                () = until(ask_at) => {
                    if self.is_stalled().await {
                        return None;
                    }
                }
            }
        }
    }

    async fn pass(&mut self, received: Received) -> Option<Received> {
        match &mut self.gate {
            Some(gate) => gate.pass(received).await,
            None => Some(received),
        }
    }

    /// Whether the queue had messages twice, none of them came in between, and none is in hand.
    async fn is_stalled(&mut self) -> bool {
        let Some(watch) = &mut self.watch else { return false };
        let keeps = match depth(&self.channel, &watch.queue).await {
            Ok(depth) => depth.messages > 0 && Arc::strong_count(&self.inflight) == 1,
            Err(error) => {
                tracing::warn!(queue = watch.queue, %error, "a queue that is consumed does not answer");
                return true;
            }
        };
        if keeps && watch.suspected {
            tracing::warn!(
                queue = watch.queue,
                "a queue has messages and delivers none; its consumer is attached anew"
            );
            return true;
        }
        watch.suspected = keeps;
        watch.ask_at = Instant::now() + if keeps { ON_ITS_WAY } else { QUIET };
        false
    }

    /// Deliveries that are here already, at most `most`, after waiting for the first. Empty when the
    /// channel or the session is over.
    pub async fn next_batch(&mut self, most: usize) -> Vec<Received> {
        let mut batch: Vec<Received> = self.next().await.into_iter().collect();
        while !batch.is_empty() && batch.len() < most {
            match self.consumer.next().now_or_never() {
                Some(Some(Ok(delivery))) => {
                    let received = Received::new(delivery, self.inflight.clone());
                    batch.extend(self.pass(received).await);
                }
                _ => break,
            }
        }
        batch
    }

    /// Takes no more, and keeps what it has: only for queues without single active consumer, whose
    /// order it would break.
    pub(super) async fn stop(&self) {
        let cancel = self.channel.basic_cancel(self.consumer.tag(), BasicCancelOptions::default());
        // A channel that is dead takes no more either.
        drop(within("basic.cancel", LIMIT, cancel).await);
    }

    /// Stops consuming. What was not acknowledged is delivered again, first and in order.
    pub async fn close(self) {
        super::topology::close(&self.channel).await;
        // Dropped after the channel is closed: dropping a live consumer would cancel it.
        drop(self.consumer);
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
