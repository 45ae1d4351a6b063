//! Being counted among the live workers of a role: each consumes from one queue, whose consumers are counted.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::error::BrokerError;
use super::intake::{Acknowledged, Intake};
use super::supervisor::Session;

/// A worker that is counted until this is closed or its connection ends.
#[derive(Debug)]
pub struct Presence {
    session: Arc<Session>,
    queue: String,
    intake: Intake,
}

impl Presence {
    /// Joins those who are counted by the consumers of this queue.
    pub async fn open(session: &Arc<Session>, queue: &str) -> Result<Self, BrokerError> {
        let intake = Intake::open(session, queue, 1).await?;
        Ok(Self { session: session.clone(), queue: queue.to_owned(), intake })
    }

    /// How many are there, this worker among them.
    pub async fn count(&self) -> Result<usize, BrokerError> {
        let depth = self.session.inspect(&self.queue).await?;
        Ok(depth.map_or(1, |depth| depth.consumers.max(1) as usize))
    }

    /// Stays for so long, or until `stop` or the end of the connection. Nobody publishes to this queue, so a message in
    /// it is somebody's mistake: it is told of and dropped, since it would wait there for ever.
    ///
    /// Fails when this worker is not counted any more.
    pub async fn stay(&mut self, time: Duration, stop: &CancellationToken) -> Result<(), BrokerError> {
        let over = tokio::time::sleep(time);
        tokio::pin!(over);
        loop {
            let stray = tokio::select! {
                stray = self.intake.next() => stray,
                () = &mut over => return Ok(()),
                () = stop.cancelled() => return Ok(()),
                () = self.session.broken().cancelled() => return Ok(()),
            };
            let ended = || BrokerError::Client(format!("the consumer of {} has ended", self.queue));
            let stray = stray.ok_or_else(ended)?;
            tracing::warn!(
                queue = self.queue,
                id = stray.id,
                bytes = stray.body.len(),
                "nothing belongs into the queue by which workers are counted; a message in it is dropped"
            );
            if stray.acknowledge().await == Acknowledged::ChannelIsDead {
                return Err(ended());
            }
        }
    }

    /// Is not counted any more.
    pub async fn close(self) {
        self.intake.close().await;
    }
}
