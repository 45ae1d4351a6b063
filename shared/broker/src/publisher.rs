//! Publishing: persistent, mandatory, confirmed, in windows; again on a new connection if need be.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_model::messages::{Event, Payload};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::WINDOW;
use super::error::{BrokerError, within};
use super::largest::Largest;
use super::packing::packed;
use super::signing::{SIGNATURE, Signing};
use super::supervisor::{Broker, Session};

/// Of one header. All of a message must fit into one frame, of 32 KiB here: a larger one ends the connection,
/// and so does every attempt to publish it again.
const MAX_HEADER_BYTES: usize = 4 << 10;

/// Channels that publish side by side. Each waits for all answers to a window before it begins the next,
/// since returns can only be told apart then; with two, the broker has work meanwhile, and a window gathers.
const CHANNELS: usize = 2;

/// How long the first message of a window waits for others. Those to the same stream share a message then, and one costs the
/// broker and its readers about the same whether it carries one event or twenty.
const GATHER: Duration = Duration::from_millis(2);

/// For one publish or one confirm, while the broker does not block publishing.
const LIMIT: Duration = Duration::from_secs(30);

/// For what a closed channel still has to say.
const AFTERWARDS: Duration = Duration::from_secs(1);

/// A message that is to be published.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// Exchange; blank for the default exchange, whose routing key is the queue.
    pub exchange: String,
    /// Routing key.
    pub routing_key: String,
    /// `message_id`; returns are matched by it.
    pub id: Uuid,
    /// Body.
    pub body: Vec<u8>,
    /// Headers.
    pub headers: FieldTable,
    /// Whether it may travel with others in one message (`unpack`): only where every reader of the queue
    /// or stream expects that, and it has no headers.
    pub packable: bool,
}

impl Outgoing {
    /// An event for a queue or stream.
    #[must_use]
    pub fn to_queue(queue: String, event: &Event) -> Self {
        Self {
            exchange: String::new(),
            routing_key: queue,
            id: event.id,
            body: event.encode(),
            headers: FieldTable::default(),
            packable: false,
        }
    }

    /// An event for a stream, whose readers take several facts out of one message.
    #[must_use]
    pub fn to_stream(stream: String, event: &Event) -> Self {
        let packable = matches!(&event.payload, Payload::Fact(fact) if fact.batchable());
        Self { packable, ..Self::to_queue(stream, event) }
    }

    /// Header of a change: the offset of the state stream that it was decided on. Whoever applies it
    /// must have read as far.
    pub const DECIDED_ON: &'static str = "x-decided-on";

    /// Adds a header with a text; what is longer than a header may be is cut off.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let value = &value[..value.floor_char_boundary(MAX_HEADER_BYTES)];
        self.headers.insert(name.into(), AMQPValue::LongString(value.into()));
        self
    }

    /// Where it ends: what its signature says, and its reader knows.
    fn place(&self) -> &str {
        if self.exchange.is_empty() { &self.routing_key } else { &self.exchange }
    }

    fn properties(&self, signing: Option<&Signing>) -> BasicProperties {
        let (id, mut headers) = (self.id.to_string(), self.headers.clone());
        if let Some(signing) = signing {
            let signature = signing.sign(self.place(), &id, &headers, &self.body);
            headers.insert(SIGNATURE.into(), AMQPValue::LongString(signature.into()));
        }
        BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/cloudevents+json".into())
            .with_message_id(id.as_str().into())
            .with_headers(headers)
    }
}

struct Job {
    messages: Vec<Outgoing>,
    done: oneshot::Sender<Result<(), BrokerError>>,
}

/// A handle to the tasks that publish. Clones share them; concurrent calls share their windows.
#[derive(Debug, Clone)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    largest: Largest,
}

impl Publisher {
    /// Starts the tasks. They go on, across connections, until `stop`.
    #[must_use]
    pub fn start(broker: Broker, stop: CancellationToken) -> Self {
        let (jobs, receiver) = mpsc::channel(usize::from(WINDOW) * 4);
        let jobs_taken = Arc::new(tokio::sync::Mutex::new(receiver));
        let largest = Largest::default();
        let publishing =
            Publishing { broker, stop, jobs: jobs_taken, channel: None, largest: largest.clone() };
        for _ in 1..CHANNELS {
            tokio::spawn(publishing.beside().run());
        }
        tokio::spawn(publishing.run());
        Self { jobs, largest }
    }

    /// The largest body that can be published, as far as is known.
    #[must_use]
    pub fn largest(&self) -> usize {
        self.largest.get()
    }

    /// Publishes messages in the order given; those of two calls at the same time in any. `Ok` means that the broker has all of them on disk. Waits across
    /// broker outages; fails only when the worker stops or a message is too large, and for a command that lacks the permission. After a failure any
    /// of them may have been published: ids are deterministic, so publishing again is harmless.
    pub async fn publish(&self, messages: Vec<Outgoing>) -> Result<(), BrokerError> {
        if messages.is_empty() {
            return Ok(());
        }
        self.largest.check(&messages)?;
        let (done, answer) = oneshot::channel();
        self.jobs.send(Job { messages, done }).await.map_err(|_| BrokerError::Stopping)?;
        answer.await.map_err(|_| BrokerError::Stopping)?
    }
}

/// Whoever holds the lock waits for the next jobs, and then a moment for more, unless they fill a window; nothing is lost if
/// that is cancelled.
async fn take(waiting: &tokio::sync::Mutex<mpsc::Receiver<Job>>, jobs: &mut Vec<Job>) -> usize {
    let mut waiting = waiting.lock().await;
    waiting.recv_many(jobs, usize::from(WINDOW)).await;
    if !jobs.is_empty() && !fill_a_window(jobs) {
        tokio::time::sleep(GATHER).await;
        while !fill_a_window(jobs)
            && let Ok(job) = waiting.try_recv()
        {
            jobs.push(job);
        }
    }
    jobs.len()
}

fn fill_a_window(jobs: &[Job]) -> bool {
    jobs.iter().map(|job| job.messages.len()).sum::<usize>() >= usize::from(WINDOW)
}

struct Publishing {
    broker: Broker,
    stop: CancellationToken,
    jobs: Arc<tokio::sync::Mutex<mpsc::Receiver<Job>>>,
    channel: Option<(Arc<Session>, Channel)>,
    largest: Largest,
}

impl Publishing {
    /// Another one for the same jobs, with a channel of its own.
    fn beside(&self) -> Self {
        let Self { broker, stop, jobs, largest, .. } = self;
        let (broker, stop, jobs, largest) = (broker.clone(), stop.clone(), jobs.clone(), largest.clone());
        Self { broker, stop, jobs, channel: None, largest }
    }

    async fn run(mut self) {
        let mut jobs = Vec::new();
        loop {
            let taken = tokio::select! {
                taken = take(&self.jobs, &mut jobs) => taken,
                () = self.stop.cancelled() => 0,
            };
            if taken == 0 {
                return;
            }
            let stop = self.stop.clone();
            while !jobs.is_empty() {
                self.refuse_too_large(&mut jobs);
                let outcome = tokio::select! {
                    outcome = self.publish_all(&jobs) => outcome,
                    () = stop.cancelled() => Err(BrokerError::Stopping),
                };
                // One of them is larger than was known to be possible: the others are published without it.
                if matches!(outcome, Err(BrokerError::TooLarge { .. })) {
                    continue;
                }
                for job in jobs.drain(..) {
                    // Nobody waits for the answer any more: the caller was cancelled.
                    drop(job.done.send(outcome.clone()));
                }
            }
        }
    }

    /// What the broker refuses for its size, it refuses every time.
    fn refuse_too_large(&self, jobs: &mut Vec<Job>) {
        let refused = |job: &mut Job| self.largest.check(&job.messages).is_err();
        for job in jobs.extract_if(.., refused) {
            drop(job.done.send(self.largest.check(&job.messages)));
        }
    }

    async fn publish_all(&mut self, jobs: &[Job]) -> Result<(), BrokerError> {
        let messages = packed(self.largest.get(), jobs.iter().flat_map(|job| &job.messages));
        for window in messages.chunks(usize::from(WINDOW)) {
            let mut left: Vec<&Outgoing> = window.iter().map(AsRef::as_ref).collect();
            while !left.is_empty() {
                match self.publish_window(&left).await {
                    Ok(returned) => left.retain(|message| returned.contains(&message.id)),
                    // There will be no other connection.
                    Err(error @ (BrokerError::Stopping | BrokerError::Partitions { .. })) => {
                        return Err(error);
                    }
                    Err(error @ BrokerError::NotPermitted(_)) if self.broker.is_for_a_command() => {
                        return Err(error);
                    }
                    Err(error) => self.recover(&error)?,
                }
            }
        }
        Ok(())
    }

    /// Makes ready for the next attempt, on another session unless only the channel is lost.
    fn recover(&mut self, error: &BrokerError) -> Result<(), BrokerError> {
        if self.largest.learn(error) {
            self.channel = None;
            return Err(BrokerError::TooLarge { size: 0, limit: self.largest.get() });
        }
        self.give_up(error);
        Ok(())
    }

    fn give_up(&mut self, error: &BrokerError) {
        if let Some((session, _)) = self.channel.take() {
            session.give_up(error);
        }
    }

    /// Publishes a window and waits for all answers. Returns the ids that could not be routed or were
    /// refused; the topology has been declared again for those.
    async fn publish_window(&mut self, window: &[&Outgoing]) -> Result<HashSet<Uuid>, BrokerError> {
        let (session, channel) = self.channel().await?;
        let mut confirms = Vec::with_capacity(window.len());
        for message in window {
            let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
            let publish = channel.basic_publish(
                message.exchange.as_str().into(),
                message.routing_key.as_str().into(),
                options,
                &message.body,
                message.properties(session.signing().map(AsRef::as_ref)),
            );
            match patiently(&session, publish).await {
                Ok(confirm) => confirms.push((message.id, confirm)),
                // What the broker closed the channel for, only the messages before know.
                Err(error) => return Err(first_failure(confirms).await.unwrap_or(error)),
            }
        }
        let mut again = HashSet::new();
        let mut returned = 0_usize;
        for (id, confirm) in confirms {
            match patiently(&session, confirm).await? {
                Confirmation::NotRequested => {
                    return Err(BrokerError::Client("the channel is not in confirm mode".into()));
                }
                Confirmation::Nack(_) => {
                    again.insert(id);
                }
                // Not necessarily the return of this very message: only its own id tells.
                Confirmation::Ack(Some(message)) => {
                    returned += 1;
                    let id = message.properties.message_id().as_ref().map(ToString::to_string);
                    again.extend(id.and_then(|id| id.parse::<Uuid>().ok()));
                }
                Confirmation::Ack(None) => {}
            }
        }
        if returned > 0 {
            tracing::warn!(returned, "a queue is missing; the topology is declared again");
            session.declare().await?;
        }
        if !again.is_empty() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(again)
    }

    async fn channel(&mut self) -> Result<(Arc<Session>, Channel), BrokerError> {
        if let Some((session, channel)) = &self.channel
            && !session.broken().is_cancelled()
            && channel.status().connected()
        {
            return Ok((session.clone(), channel.clone()));
        }
        let session = self.broker.session().await?;
        let channel = match confirming_channel(&session).await {
            Ok(channel) => channel,
            Err(error) => {
                // On a dead connection this fails at once. Whoever tried it again and again would keep the supervisor,
                // which is to notice, from ever getting its turn.
                session.give_up(&error);
                return Err(error);
            }
        };
        self.channel = Some((session.clone(), channel.clone()));
        if !self.broker.is_for_a_command() {
            self.largest.ask(&session).await;
        }
        Ok((session, channel))
    }
}

/// Why the first of these was not taken, of a channel that is closed.
async fn first_failure(
    confirms: Vec<(Uuid, impl Future<Output = Result<Confirmation, lapin::Error>>)>,
) -> Option<BrokerError> {
    let look = async {
        for (_, confirm) in confirms {
            if let Err(error) = confirm.await {
                return Some(error.into());
            }
        }
        None
    };
    tokio::time::timeout(AFTERWARDS, look).await.ok().flatten()
}

async fn confirming_channel(session: &Session) -> Result<Channel, BrokerError> {
    let channel = session.publishing_channel().await?;
    within("confirm.select", LIMIT, channel.confirm_select(ConfirmSelectOptions::default())).await?;
    Ok(channel)
}

/// Waits with a time limit that does not run while the broker blocks publishing: an alarm can last.
pub(super) async fn patiently<T>(
    session: &Session,
    answer: impl Future<Output = Result<T, lapin::Error>>,
) -> Result<T, BrokerError> {
    tokio::pin!(answer);
    loop {
        tokio::select! {
            answer = &mut answer => return answer.map_err(Into::into),
            () = session.broken().cancelled() => {
                return Err(BrokerError::Client("the connection is over".into()));
            }
            () = tokio::time::sleep(LIMIT) => {
                if !session.is_blocked() {
                    return Err(BrokerError::TimedOut { what: "a publish", limit: LIMIT });
                }
                tracing::warn!("the broker blocks publishing (memory or disk alarm); waiting");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn message() -> Outgoing {
        Outgoing {
            exchange: String::new(),
            routing_key: String::new(),
            id: Uuid::nil(),
            body: Vec::new(),
            headers: FieldTable::default(),
            packable: false,
        }
    }

    fn job(messages: usize) -> Job {
        Job { messages: vec![message(); messages], done: oneshot::channel().0 }
    }

    #[tokio::test]
    async fn what_comes_a_moment_later_is_taken_too_unless_there_is_a_window_full() {
        let window = usize::from(WINDOW);
        for (first, together) in [(1, 2), (window - 1, 2), (window, 1), (window + 1, 1)] {
            let (jobs, waiting) = mpsc::channel(2);
            let (waiting, mut taken) = (tokio::sync::Mutex::new(waiting), Vec::new());
            assert!(jobs.send(job(first)).await.is_ok());
            let mut taking = Box::pin(take(&waiting, &mut taken));
            let at_once = taking.as_mut().now_or_never();
            assert_eq!(at_once.is_some(), first >= window, "{first}");
            assert!(jobs.send(job(1)).await.is_ok());
            let count = match at_once {
                Some(count) => count,
                None => taking.await,
            };
            assert_eq!(count, together, "{first}");
        }
    }

    #[test]
    fn a_header_is_cut_to_what_fits_into_a_frame() {
        let message = message();
        let long = "é".repeat(5_000_000);
        let headers = message.with_header("x-reason", &long).with_header("x-key", "device/1").headers;
        let length = |name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.as_bytes().len(),
            other => panic!("{other:?}"),
        };
        assert_eq!((length("x-reason"), length("x-key")), (4_096, 8));
    }
}
