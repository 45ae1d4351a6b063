//! What end-to-end tests and the demonstration stand on: a private broker, the real workers, and
//! configurations for them. Everything it starts listens on loopback only and ends with the
//! process that started it, however that process ends.

pub mod binaries;
pub mod broker;
pub mod config;
pub mod disk;
pub mod json_server;
pub mod metrics;
pub mod ports;
pub mod prometheus;
pub mod proxy;
pub mod raw_amqp;
pub mod room;
pub mod shared_broker;
pub mod waiting;
pub mod watchdog;
pub mod workers;

pub use broker::PrivateBroker;
pub use config::{ConfigBuilder, IntegrationBuilder, Scratch, WrittenConfig, broker_only};
pub use disk::SmallDisk;
pub use json_server::JsonServer;
pub use metrics::MetricsPage;
pub use prometheus::{Prometheus, monitoring_file};
pub use proxy::Proxy;
pub use shared_broker::SharedBroker;
pub use waiting::eventually;
pub use workers::{Launch, Role, Worker};

use std::time::Duration;

/// An HTTP client for loopback, with a time limit of ten seconds.
///
/// # Errors
/// If the operating system refuses what a client needs.
pub fn http_client() -> anyhow::Result<reqwest::Client> {
    // Only the first call in a process installs it; that the others are refused is expected.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy();
    client.build().map_err(Into::into)
}
