//! A question to all workers at once: who is there, and what do you do?
//!
//! The question goes to a fanout exchange, to which every worker binds an exclusive queue; each answers
//! into the asker's own queue. Nothing of this is durable, confirmed or waited for by a worker: no answer
//! tells something too, and work goes on whoever asks.

use std::sync::Arc;
use std::time::Duration;

use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::error::{BrokerError, within};
use super::intake::{Acknowledged, Intake};
use super::names::Names;
use super::publisher::patiently;
use super::signing::SIGNATURE;
use super::supervisor::Session;

const LIMIT: Duration = Duration::from_secs(20);

/// Questions that wait for a worker which is busy; a person asks again.
const QUESTIONS: u16 = 16;

/// How long a question or an answer is worth something.
const FRESH_MS: i32 = 10_000;

/// After the last worker that was expected: others may be starting.
const STRAGGLERS: Duration = Duration::from_millis(100);

/// Answers that an asker takes in.
const ANSWERS: u16 = 4_096;

/// Answers every question on this session with what `answer` says to it, until the session is over or the
/// worker stops.
pub async fn answer_roll_calls(
    session: &Arc<Session>,
    names: &Names,
    stop: &CancellationToken,
    answer: &(dyn Fn(&[u8]) -> Vec<u8> + Send + Sync),
) -> Result<(), BrokerError> {
    let queue = private_queue(session).await?;
    let channel = session.consuming_channel(1).await?;
    let bind = channel.queue_bind(
        queue.as_str().into(),
        names.status_rpc().as_str().into(),
        ShortString::default(),
        QueueBindOptions::default(),
        FieldTable::default(),
    );
    within("a binding", LIMIT, bind).await?;
    super::topology::close(&channel).await;
    let mut intake = Intake::open(session, &queue, QUESTIONS).await?;
    let publishing = session.publishing_channel().await?;
    while let Some(Some(question)) = stop.run_until_cancelled(intake.next()).await {
        if let Some(asker) = question.reply_to().filter(|queue| is_an_askers(queue)) {
            let body = answer(&question.body);
            let publish = publishing.basic_publish(
                "".into(),
                asker.as_str().into(),
                BasicPublishOptions::default(),
                &body,
                signed(session, &asker, &body),
            );
            // Without confirm: whoever asked may be gone by now.
            patiently(session, publish).await?;
        }
        if question.acknowledge().await == Acknowledged::ChannelIsDead {
            break;
        }
    }
    intake.close().await;
    super::topology::close(&publishing).await;
    Ok(())
}

/// Asks, and returns the answers: until `is_complete` says so of the answers that are there, at most
/// for `limit`. A broker that takes nothing, from whoever asks or answers, is waited for.
pub async fn call_roll(
    session: &Arc<Session>,
    names: &Names,
    question: &[u8],
    limit: Duration,
    is_complete: &(dyn Fn(&[Vec<u8>]) -> bool + Send + Sync),
) -> Result<Vec<Vec<u8>>, BrokerError> {
    loop {
        let answers = call_once(session, names, question, limit, is_complete).await?;
        if is_complete(&answers) || !session.is_blocked() {
            return Ok(answers);
        }
        session.until_it_takes_messages().await;
    }
}

async fn call_once(
    session: &Arc<Session>,
    names: &Names,
    question: &[u8],
    limit: Duration,
    is_complete: &(dyn Fn(&[Vec<u8>]) -> bool + Send + Sync),
) -> Result<Vec<Vec<u8>>, BrokerError> {
    let queue = private_queue(session).await?;
    // Without a key, such as for who may only read, answers are taken as they come.
    let mut intake = Intake::open_signed(session, &queue, ANSWERS).await?;
    ask(session, names, question, &queue).await?;
    let mut answers = Vec::new();
    let mut until = Instant::now() + limit;
    if is_complete(&answers) {
        until = Instant::now() + STRAGGLERS;
    }
    while let Ok(Some(answer)) = tokio::time::timeout_at(until, intake.next()).await {
        answers.push(answer.body);
        if is_complete(&answers) {
            until = until.min(Instant::now() + STRAGGLERS);
        }
    }
    intake.close().await;
    Ok(answers)
}

/// Whether a queue is one that somebody asks from: the broker gave it its name, for one connection. Whoever may only ask
/// could have workers write into any other queue or stream of the virtual host, with their rights and their signature.
fn is_an_askers(queue: &str) -> bool {
    queue.starts_with("amq.gen-")
}

/// A question needs no signature: it does nothing but cost an answer, and at most has a worker look at its own files.
fn signed(session: &Session, asker: &str, body: &[u8]) -> BasicProperties {
    let mut headers = FieldTable::default();
    if let Some(signing) = session.signing() {
        let signature = signing.sign(asker, "", &headers, body);
        headers.insert(SIGNATURE.into(), AMQPValue::LongString(signature.into()));
    }
    BasicProperties::default().with_headers(headers)
}

async fn ask(session: &Session, names: &Names, question: &[u8], reply_to: &str) -> Result<(), BrokerError> {
    let channel = session.publishing_channel().await?;
    let properties = BasicProperties::default().with_reply_to(reply_to.into());
    let publish = channel.basic_publish(
        names.status_rpc().as_str().into(),
        "".into(),
        BasicPublishOptions::default(),
        question,
        properties,
    );
    patiently(session, publish).await?;
    super::topology::close(&channel).await;
    Ok(())
}

/// A queue that only this connection sees, gone with its consumer.
async fn private_queue(session: &Session) -> Result<String, BrokerError> {
    let channel = session.consuming_channel(1).await?;
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    arguments.insert("x-message-ttl".into(), AMQPValue::LongInt(FRESH_MS));
    let declare = channel.queue_declare("".into(), options, arguments);
    let queue = within("an exclusive queue", LIMIT, declare).await?;
    super::topology::close(&channel).await;
    Ok(queue.name().to_string())
}
