//! The stream of facts loses its beginning while a worker is away, with the fact that it read last.

use std::time::Duration;

use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Event, Fact, Origin};
use anyhow::{Context as _, Result, bail};
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel};
use uuid::Uuid;

use super::{Fault, Struck};
use crate::campaign::Stage;
use crate::campaign::stage::{INTEGRATION, PREFIX};
use crate::harness::Role;

/// What is left of the stream at least: more than a copy of the state and what follows takes.
const KEPT_BYTES: u64 = 1_500_000;
/// Facts that say nothing, in bytes: more than is left.
const PADDING: usize = 2_000_000;
const PIECE: usize = 50_000;

pub(super) struct Trimmed {
    role: Role,
    happened: bool,
}

impl Trimmed {
    pub(super) fn past(role: Role) -> Self {
        Self { role, happened: false }
    }
}

impl Fault for Trimmed {
    fn tell(&self) -> String {
        format!("the stream is trimmed past the {}, which is away", self.role.name())
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let wanted = stage.workers.wanted(self.role);
            let left_at = stage.last_offset().await?;
            stage.workers.scale(self.role, 0).await?;
            pad(&stage.channel().await?).await?;
            // A copy of the state comes after what is trimmed, as it does with the real retention.
            stage.pass(Stage::CHECKPOINT_EVERY + Duration::from_millis(200)).await;
            stage.publish_a_run().await?;
            stage.pass(Duration::from_millis(500)).await;
            let limit = format!("{{\"max-length-bytes\":{KEPT_BYTES}}}");
            let pattern = format!("^{PREFIX}\\.{INTEGRATION}\\.state$");
            stage.broker.ctl(&["set_policy", "trim", &pattern, &limit, "--apply-to", "queues"]).await?;
            let first = first_offset(stage).await?;
            stage.broker.ctl(&["clear_policy", "trim"]).await?;
            self.happened = first > left_at;
            stage.workers.scale(self.role, wanted).await
        })
    }

    fn after<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async { Ok(Struck(u64::from(self.happened))) })
    }
}

/// Publishes facts that say nothing.
async fn pad(channel: &Channel) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let origin = Origin {
        source: "campaign".to_owned(),
        integration: IntegrationId::new(INTEGRATION)?,
        run: None,
        sequence: None,
        traceparent: Some("0".repeat(PIECE)),
    };
    let stream = format!("{PREFIX}.{INTEGRATION}.state");
    for _ in 0..PADDING / PIECE {
        let event = Event::fact(&origin, Timestamp::now(), Fact::ReadMarker { token: Uuid::new_v4() });
        let properties = BasicProperties::default().with_message_id(event.id.to_string().as_str().into());
        let options = BasicPublishOptions::default();
        let body = event.encode();
        channel.basic_publish("".into(), stream.as_str().into(), options, &body, properties).await?.await?;
    }
    Ok(())
}

/// The offset of the first record that the stream still has.
async fn first_offset(stage: &mut Stage) -> Result<u64> {
    let channel = stage.channel().await?;
    channel.basic_qos(1, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    let stream = format!("{PREFIX}.{INTEGRATION}.state");
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume(stream.as_str().into(), "first".into(), options, arguments).await?;
    let first = consumer.next().await.context("the stream is empty")??;
    first.ack(BasicAckOptions::default()).await?;
    let headers = first.properties.headers().clone().unwrap_or_default();
    let offset = match headers.inner().get("x-stream-offset") {
        Some(AMQPValue::LongLongInt(offset)) => u64::try_from(*offset)?,
        other => bail!("a record of the stream has the offset {other:?}"),
    };
    channel.close(200, "looked".into()).await?;
    Ok(offset)
}
