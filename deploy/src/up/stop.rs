//! Control-C and its relatives.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a shell expects of a program that Control-C ended.
const INTERRUPTED: u8 = 130;

/// Whether a person or a supervisor wants the end. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    wanted: CancellationToken,
    is_the_way_out: Arc<AtomicBool>,
}

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
                    std::process::exit(i32::from(INTERRUPTED));
                }
                wanted.cancel();
            }
        });
        Ok(Self { wanted: token, is_the_way_out: Arc::default() })
    }

    /// Waits for the first signal.
    pub(crate) async fn wanted(&self) {
        self.wanted.cancelled().await;
    }

    /// From now on a signal is the ordinary end, and no interruption.
    pub(crate) fn is_the_way_out(&self) {
        self.is_the_way_out.store(true, Ordering::Relaxed);
    }

    /// What the shell is told after a signal.
    pub(crate) fn exit_code(&self) -> ExitCode {
        if self.is_the_way_out.load(Ordering::Relaxed) {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(INTERRUPTED)
        }
    }
}
