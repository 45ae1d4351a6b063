//! The real binaries as child processes: start, watch, stop, kill.

mod launch;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

pub use launch::{Finished, Launch};

use super::metrics::MetricsPage;
use super::waiting::eventually;
use super::watchdog::{Watchdog, kill_group, signal_group};

/// What INTERFACES.md promises for the end after `SIGTERM`.
pub const TERMINATION_LIMIT: Duration = Duration::from_secs(20);

/// How long a worker may take until it is ready, on a machine that is busy building.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// Which of the programs: one of the three workers, or that for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Reads both sides.
    Fetcher,
    /// Decides.
    Reconciler,
    /// Changes AMFJ.
    Writer,
    /// Serves nothing: `amfj-sync`, with the commands for people.
    Operator,
}

impl Role {
    /// The three workers, in the order in which things flow.
    pub const ALL: [Self; 3] = [Self::Fetcher, Self::Reconciler, Self::Writer];

    /// The name of the binary.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fetcher => "fetcher",
            Self::Reconciler => "reconciler",
            Self::Writer => "writer",
            Self::Operator => "amfj-sync",
        }
    }

    /// Whether it sends the token that stands in an environment variable of this name, as [`super::ConfigBuilder`] names
    /// them.
    pub(crate) fn sends(self, variable: &str) -> bool {
        let of = |service: &str| variable.starts_with(&format!("{service}_TOKEN"));
        match self {
            Self::Fetcher => true,
            Self::Reconciler | Self::Operator => !of("KANDJI") && !of("AMFJ"),
            Self::Writer => !of("KANDJI"),
        }
    }
}

/// A running worker or command. Dropping it kills it; so does the death of this process.
///
/// While a test fails, dropping it also prints the end of its log.
#[derive(Debug)]
pub struct Worker {
    role: Role,
    child: Child,
    _watchdog: Watchdog,
    output: TempDir,
    listen: OnceLock<SocketAddr>,
    http: reqwest::Client,
}

impl Worker {
    /// Which worker it is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.role
    }

    /// Its process id, which is that of its process group too.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it wrote to standard error so far: its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.stderr_path()).unwrap_or_default()
    }

    /// The lines of its log that are JSON objects.
    #[must_use]
    pub fn log_lines(&self) -> Vec<Value> {
        self.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The last 30 lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    /// Everything it wrote to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        fs::read_to_string(self.stdout_path()).unwrap_or_default()
    }

    fn stderr_path(&self) -> PathBuf {
        self.output.path().join(launch::STDERR)
    }

    fn stdout_path(&self) -> PathBuf {
        self.output.path().join(launch::STDOUT)
    }

    /// Its exit status, if it has ended.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub fn exited(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("cannot look after the {}", self.role.name()))
    }

    /// Where it serves `/healthz` and the others: the `listen` field of its log.
    ///
    /// # Errors
    /// If it has not logged one yet.
    pub fn listen(&self) -> Result<SocketAddr> {
        if let Some(address) = self.listen.get() {
            return Ok(*address);
        }
        let address = self
            .log_lines()
            .iter()
            .find_map(listen_field)
            .or_else(|| self.log().lines().find_map(listen_word))
            .ok_or_else(|| anyhow!("the {} has logged no field \"listen\" yet", self.role.name()))?;
        Ok(*self.listen.get_or_init(|| address))
    }

    /// Waits until `/readyz` answers 200.
    ///
    /// # Errors
    /// If it ends first, or after a minute, with the end of its log.
    pub async fn wait_ready(&mut self) -> Result<()> {
        self.wait_ready_within(READY_LIMIT).await
    }

    /// The same with a limit of one's own, where a large state has to be read first.
    ///
    /// # Errors
    /// If it ends first, or after the limit, with the end of its log.
    pub async fn wait_ready_within(&mut self, limit: Duration) -> Result<()> {
        let begin = Instant::now();
        loop {
            let reason = match self.get("/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok((status, body)) => format!("/readyz answers {status}: {body}"),
                Err(error) => format!("{error:#}"),
            };
            let name = self.role.name();
            if let Some(status) = self.exited()? {
                bail!(
                    "the {name} ended with {status} instead of getting ready; its log ends:\n{}",
                    self.log_tail()
                );
            }
            if begin.elapsed() > limit {
                bail!(
                    "the {name} is not ready after {limit:?}: {reason}; its log ends:\n{}",
                    self.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Requests one of its endpoints: status and body.
    ///
    /// # Errors
    /// If it does not answer.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://{}{path}", self.listen()?);
        let response = self.http.get(&url).send().await.with_context(|| format!("no answer from {url}"))?;
        let status = response.status().as_u16();
        Ok((status, response.text().await.with_context(|| format!("half an answer from {url}"))?))
    }

    /// What `/status` answers.
    ///
    /// # Errors
    /// If it does not answer 200 with JSON.
    pub async fn status(&self) -> Result<Value> {
        let (status, body) = self.get("/status").await?;
        ensure!(status == 200, "/status of the {} answers {status}: {body}", self.role.name());
        serde_json::from_str(&body).with_context(|| format!("/status is not JSON: {body}"))
    }

    /// What `/metrics` answers.
    ///
    /// # Errors
    /// If it does not answer 200 in the Prometheus format.
    pub async fn metrics(&self) -> Result<MetricsPage> {
        let (status, body) = self.get("/metrics").await?;
        ensure!(status == 200, "/metrics of the {} answers {status}: {body}", self.role.name());
        MetricsPage::parse(&body)
    }

    /// Messages that it has taken and not acknowledged, of all integrations, as it says itself.
    ///
    /// # Errors
    /// As for [`Self::metrics`].
    pub async fn in_flight(&self) -> Result<f64> {
        Ok(self.metrics().await?.sum("amfj_sync_in_flight", &[]))
    }

    /// The most memory it has had resident so far, in bytes.
    ///
    /// # Errors
    /// If it has ended, or where there is no `/proc`.
    pub fn peak_rss_bytes(&self) -> Result<u64> {
        self.memory("VmHWM:")
    }

    /// What is resident of the files that it has mapped, in bytes: its program.
    ///
    /// # Errors
    /// As for [`Self::peak_rss_bytes`].
    pub fn program_bytes(&self) -> Result<u64> {
        self.memory("RssFile:")
    }

    fn memory(&self, what: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.id());
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let line = text.lines().find_map(|line| line.strip_prefix(what));
        let kibibytes =
            line.and_then(|rest| rest.trim().strip_suffix(" kB")).and_then(|n| n.trim().parse::<u64>().ok());
        let ended = || format!("{path} has no {what} the {} has ended", self.role.name());
        Ok(kibibytes.with_context(ended)? * 1024)
    }

    /// Sends `SIGTERM` and waits for the end, which must come within 20 seconds.
    ///
    /// # Errors
    /// If it does not; then it is killed.
    pub async fn terminate(mut self) -> Result<ExitStatus> {
        signal_group(self.id(), Signal::SIGTERM);
        self.wait(TERMINATION_LIMIT).await.with_context(|| format!("SIGTERM to the {}", self.role.name()))
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// If it does not within `limit`, with the end of its log.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("the end of the {}", self.role.name());
        let ended = eventually(limit, &what, async || self.exited()?.context("it still runs")).await;
        ended.with_context(|| format!("the log of the {} ends:\n{}", self.role.name(), self.log_tail()))
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// If the operating system does not tell that it is gone.
    pub fn kill9(mut self) -> Result<ExitStatus> {
        kill_group(self.id());
        self.child.wait().with_context(|| format!("cannot wait for the {}", self.role.name()))
    }

    /// Has it read its configuration again (`SIGHUP`).
    pub fn hang_up(&self) {
        signal_group(self.id(), Signal::SIGHUP);
    }

    /// Freezes it as a machine that lost its network or its scheduler would be (`SIGSTOP`).
    pub fn freeze(&self) {
        signal_group(self.id(), Signal::SIGSTOP);
    }

    /// Lets a frozen worker go on.
    pub fn thaw(&self) {
        signal_group(self.id(), Signal::SIGCONT);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Once the end was seen, the number may belong to somebody else.
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_group(self.child.id());
            // Only the record of a process that was just killed is collected here.
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- the log of the {} ({}) ends:\n{}",
                self.role.name(),
                self.child.id(),
                self.log_tail()
            );
        }
    }
}

fn listen_field(line: &Value) -> Option<SocketAddr> {
    let field = line.pointer("/fields/listen").or_else(|| line.get("listen"))?;
    field.as_str()?.parse().ok()
}

/// The same in a line that is text.
fn listen_word(line: &str) -> Option<SocketAddr> {
    line.split_whitespace().find_map(|word| word.strip_prefix("listen=")).and_then(|word| word.parse().ok())
}

pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
