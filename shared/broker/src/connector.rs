//! Making one connection, and saying why there is none.

use std::time::Duration;

use amfj_sync_config::{BrokerTls, BrokerUrl, Config};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use url::{Host, Url};

use super::error::BrokerError;
use super::tls::connect;
use super::unreachable::{Door, Unreachable};

/// Bytes of a frame. On every connection lapin keeps room for 64 of them, which are touched at once.
pub(super) mod frame {
    /// RabbitMQ's own limit: what is consumed may be anybody's, and all of its headers come in one frame.
    pub(crate) const CONSUMING: u32 = 128 << 10;
    /// Headers of the worker's own messages, a few of 4 KiB at most, also when the broker returns them.
    pub(crate) const PUBLISHING: u32 = 32 << 10;
    /// No messages. RabbitMQ's least is 4 KiB.
    pub(crate) const LOOKING: u32 = 8 << 10;
}

/// What it takes to connect.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    url: BrokerUrl,
    tls: BrokerTls,
    worker: String,
    limit: Duration,
}

impl Connector {
    pub(super) fn of(config: &Config, worker: &str) -> Self {
        Self {
            url: config.broker.url.clone(),
            tls: config.broker.tls.clone(),
            worker: worker.to_owned(),
            limit: config.timing.connect_timeout,
        }
    }

    pub(super) async fn open(&self, purpose: &str, frame: u32) -> Result<Connection, BrokerError> {
        self.open_named(format!("{} {purpose}", self.worker), frame).await
    }

    /// A connection that no work hangs on.
    pub(super) async fn open_for_looks(&self) -> Result<Connection, BrokerError> {
        let name = format!("{} looking for locks", self.worker.replace('/', " "));
        self.open_named(name, frame::LOOKING).await
    }

    async fn open_named(&self, name: String, frame: u32) -> Result<Connection, BrokerError> {
        let mut uri = self.uri()?;
        let door = Door::of(&uri, &self.tls);
        let asked = uri.query.frame_max.filter(|asked| *asked > 0);
        uri.query.frame_max = Some(asked.map_or(frame, |asked| asked.min(frame)));
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        match tokio::time::timeout(self.limit, connect(uri, &self.tls, properties)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(Unreachable::of(door, &error).await.into()),
            Err(_) => Err(Unreachable::silent(door, self.limit).into()),
        }
    }

    /// That nobody answered for so long, whichever step that was.
    pub(super) fn silent(&self, waited: Duration) -> BrokerError {
        match self.uri() {
            Ok(uri) => Unreachable::silent(Door::of(&uri, &self.tls), waited).into(),
            Err(error) => error,
        }
    }

    fn uri(&self) -> Result<AMQPUri, BrokerError> {
        let mut uri: AMQPUri = self.url.expose().parse().map_err(BrokerError::Client)?;
        // lapin takes an address of IPv6 for no host at all, and would connect to this machine.
        if let Some(Host::Ipv6(address)) = Url::parse(self.url.expose()).ok().as_ref().and_then(Url::host) {
            uri.authority.host = address.to_string();
        }
        Ok(uri)
    }
}
