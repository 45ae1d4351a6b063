//! Control-C and its relatives.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Whether a person or a supervisor wants the end. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Stop(CancellationToken);

impl Stop {
    /// Listens for `SIGINT`, `SIGTERM` and `SIGHUP`. A second signal ends this process at once; what it
    /// started is killed with it.
    pub(crate) fn on_signals() -> Result<Self> {
        let listen = |kind| signal(kind).context("signals cannot be received");
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hang_up = listen(SignalKind::hangup())?;
        let token = CancellationToken::new();
        let wanted = token.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                if wanted.is_cancelled() {
                    std::process::exit(i32::from(super::INTERRUPTED));
                }
                wanted.cancel();
            }
        });
        Ok(Self(token))
    }

    /// Waits for the first signal.
    pub(crate) async fn wanted(&self) {
        self.0.cancelled().await;
    }

    /// Whether it has come.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_cancelled()
    }
}
