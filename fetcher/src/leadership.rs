//! Who leads the runs of an integration: whoever holds its exclusive queue. That only keeps two
//! fetchers from working in vain; what counts is whose *started* fact comes first in the stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use amfj_sync_broker::{Broker, BrokerError, Session};
use amfj_sync_model::ids::IntegrationId;
use tokio_util::sync::CancellationToken;

use crate::schedule::fair_share;

/// How many integrations this fetcher leads, and how many it should at most.
#[derive(Debug)]
pub(crate) struct Share {
    integrations: usize,
    led: AtomicUsize,
    fetchers: AtomicUsize,
}

impl Share {
    pub(crate) fn new(integrations: usize) -> Arc<Self> {
        Arc::new(Self { integrations, led: AtomicUsize::new(0), fetchers: AtomicUsize::new(1) })
    }

    /// Takes note of how many fetchers live.
    pub(crate) fn set_fetchers(&self, fetchers: usize) {
        self.fetchers.store(fetchers, Ordering::Relaxed);
    }

    fn most(&self) -> usize {
        fair_share(self.integrations, self.fetchers.load(Ordering::Relaxed))
    }

    fn take_place(&self) -> bool {
        let most = self.most();
        let more = |led: usize| (led < most).then_some(led + 1);
        self.led.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    /// Whether another fetcher could lead one of these.
    pub(crate) fn is_exceeded(&self) -> bool {
        self.led.load(Ordering::Relaxed) > self.most()
    }
}

/// The lead of one integration, for as long as the connection lasts that it was taken on.
#[derive(Debug)]
pub(crate) struct Lead {
    session: Arc<Session>,
    lock: String,
    share: Arc<Share>,
}

impl Lead {
    /// Tries to take the lead once.
    pub(crate) async fn try_take(
        session: &Arc<Session>,
        lock: String,
        share: &Arc<Share>,
    ) -> Result<Option<Self>, BrokerError> {
        if !share.take_place() {
            return Ok(None);
        }
        let lead = Self { session: session.clone(), lock, share: share.clone() };
        // Dropping it gives the place in the share back.
        Ok(if session.try_lock(&lead.lock).await? { Some(lead) } else { None })
    }

    /// Takes the lead as soon as nobody else has it; none when the worker stops first.
    pub(crate) async fn take(
        broker: &Broker,
        integration: &IntegrationId,
        share: &Arc<Share>,
        look_every: Duration,
        stop: &CancellationToken,
    ) -> Option<Self> {
        while !stop.is_cancelled() {
            let session = stop.run_until_cancelled(broker.session()).await?.ok()?;
            match Self::try_take(&session, broker.names().leader(integration), share).await {
                Ok(Some(lead)) => return Some(lead),
                Ok(None) => {}
                Err(error) => session.give_up(&error),
            }
            stop.run_until_cancelled(tokio::time::sleep(look_every)).await?;
        }
        None
    }

    /// Whether the lock may have passed to another fetcher.
    pub(crate) fn is_lost(&self) -> bool {
        self.session.broken().is_cancelled()
    }

    /// Lets another fetcher lead.
    pub(crate) async fn give_up(self) {
        if let Err(error) = self.session.unlock(&self.lock).await {
            self.session.give_up(&error);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.share.led.fetch_sub(1, Ordering::Relaxed);
    }
}
