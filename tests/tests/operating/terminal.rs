//! A real terminal: a pseudo terminal pair, on one side of which a command runs.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_tests::harness::binaries::binary;
use amfj_sync_tests::harness::{Role, WrittenConfig, eventually};
use amfj_sync_tests::pipeline::RUN_LIMIT;
use anyhow::{Context as _, Result, ensure};
use nix::pty::{Winsize, openpty};
use parking_lot::Mutex;

/// A command that runs on a terminal.
#[derive(Debug)]
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts a command on a terminal of 80 columns.
    pub(crate) fn start(
        config: &WrittenConfig,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self> {
        let size = Winsize { ws_row: 50, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).context("no pseudo terminal")?;
        let own = |fd: &std::os::fd::OwnedFd| Ok::<_, anyhow::Error>(Stdio::from(fd.try_clone()?));
        let mut command = Command::new(binary(Role::Operator)?);
        command.arg("--config").arg(&config.path).args(arguments);
        command.envs(&config.environment).env("TERM", "xterm-256color").env_remove("NO_COLOR");
        command.env_remove("PAGER").env_remove("LESS");
        command.envs(environment.iter().copied());
        command.stdin(own(&pair.slave)?).stdout(own(&pair.slave)?).stderr(own(&pair.slave)?);
        let child = command.spawn().context("the command cannot be started")?;
        // The terminal ends when the command, the last that has it open, does.
        drop((command, pair.slave));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut reading = File::from(pair.master.try_clone()?);
        let written = seen.clone();
        std::thread::spawn(move || {
            let mut buffer = [0_u8; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer) {
                written.lock().extend_from_slice(&buffer[..count]);
            }
        });
        Ok(Self { child, keyboard: File::from(pair.master), seen })
    }

    /// Everything that was written to the terminal so far.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock()).into_owned()
    }

    /// Waits for a text on the terminal.
    pub(crate) async fn shows(&self, text: &str) -> Result<()> {
        eventually(RUN_LIMIT, &format!("{text:?} on the terminal"), async || {
            let seen = self.seen();
            ensure!(seen.contains(text), "it shows:\n{seen}");
            Ok(())
        })
        .await
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &[u8]) -> Result<()> {
        Ok(self.keyboard.write_all(keys)?)
    }

    /// Waits until the command ends by itself.
    pub(crate) async fn ends(&mut self) -> Result<ExitStatus> {
        let status = eventually(RUN_LIMIT, "the end of the command", async || {
            self.child.try_wait()?.context("it runs")
        })
        .await?;
        // What it wrote last is read by the other thread.
        tokio::time::sleep(Duration::from_millis(200)).await;
        Ok(status)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
