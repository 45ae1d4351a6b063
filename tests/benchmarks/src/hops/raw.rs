//! The bare hop: what the broker and its client allow.

use std::collections::VecDeque;
use std::time::Instant;

use amfj_sync_benchmarks::figures::rate;
use anyhow::{Context as _, Result};
use futures::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, PublisherConfirm};

/// Messages on their way at once.
const WINDOW: u16 = 256;
/// Bytes of a message.
const SIZE: usize = 1_024;

/// Takes that many messages from one queue to another; messages a second.
pub(super) async fn hop(url: &str, messages: usize) -> Result<f64> {
    let connect = || Connection::connect(url, ConnectionProperties::default());
    let (consuming, publishing) = (connect().await?, connect().await?);
    let (inbound, outbound) = (consuming.create_channel().await?, publishing.create_channel().await?);
    outbound.confirm_select(ConfirmSelectOptions::default()).await?;
    for queue in ["bench.from", "bench.to"] {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        outbound.queue_declare(queue.into(), options, arguments).await?;
    }
    fill(&outbound, messages).await.context("filling the queue")?;
    let begin = Instant::now();
    carry(&inbound, &outbound, messages).await.context("carrying")?;
    let took = begin.elapsed();
    // The consumer goes before its queue does: the other way round breaks the connection.
    consuming.close(200, "done".into()).await.context("closing the consumer's connection")?;
    for queue in ["bench.from", "bench.to"] {
        let deleted = outbound.queue_delete(queue.into(), QueueDeleteOptions::default()).await;
        deleted.with_context(|| format!("deleting {queue}"))?;
    }
    publishing.close(200, "done".into()).await.context("closing the publisher's connection")?;
    Ok(rate(messages, took))
}

async fn publish(channel: &Channel, queue: &str, body: &[u8]) -> Result<PublisherConfirm> {
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let persistent = BasicProperties::default().with_delivery_mode(2);
    Ok(channel.basic_publish("".into(), queue.into(), options, body, persistent).await?)
}

async fn fill(channel: &Channel, messages: usize) -> Result<()> {
    let body = vec![b'x'; SIZE];
    let mut confirms = VecDeque::new();
    for _ in 0..messages {
        confirms.push_back(publish(channel, "bench.from", &body).await?);
        if confirms.len() >= usize::from(WINDOW)
            && let Some(confirm) = confirms.pop_front()
        {
            confirm.await?;
        }
    }
    for confirm in confirms {
        confirm.await?;
    }
    Ok(())
}

async fn carry(inbound: &Channel, outbound: &Channel, messages: usize) -> Result<()> {
    inbound.basic_qos(WINDOW, BasicQosOptions::default()).await?;
    let mut consumer = inbound
        .basic_consume("bench.from".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let mut under_way: VecDeque<(Delivery, PublisherConfirm)> = VecDeque::new();
    let mut done = 0;
    let mut taken = 0;
    while done < messages {
        // Half a window is acknowledged at once, as the workers do it: one by one is slower.
        while taken < messages && under_way.len() < usize::from(WINDOW) {
            let delivery = consumer.next().await.context("the consumer ended")??;
            taken += 1;
            let confirm = publish(outbound, "bench.to", &delivery.data).await?;
            under_way.push_back((delivery, confirm));
            if under_way.len() >= usize::from(WINDOW) / 2 && taken % (usize::from(WINDOW) / 2) == 0 {
                break;
            }
        }
        let mut last = None;
        for _ in 0..under_way.len().min(usize::from(WINDOW) / 2) {
            let Some((delivery, confirm)) = under_way.pop_front() else { break };
            confirm.await?;
            done += 1;
            last = Some(delivery);
        }
        if let Some(last) = last {
            last.ack(BasicAckOptions { multiple: true }).await?;
        }
    }
    Ok(())
}
