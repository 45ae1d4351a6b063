//! json-server, a REST server of a JSON file that nobody here wrote: `tests/lib/json-server/install` installs it once.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use tempfile::TempDir;

use super::broker::ATTEMPTS;
use super::ports::free_ports;
use super::room::temporary_folder;
use super::waiting::eventually;
use super::watchdog::{Watchdog, kill_group};

/// How long it may take to answer, on a busy machine.
const READY_LIMIT: Duration = Duration::from_mins(1);

/// A running json-server. Dropping it kills it and removes its file; so does the death of this process.
#[derive(Debug)]
pub struct JsonServer {
    process: Child,
    _watchdog: Watchdog,
    folder: TempDir,
    address: String,
    http: reqwest::Client,
}

impl JsonServer {
    /// Serves these collections.
    ///
    /// # Errors
    /// When it cannot be installed or does not come up.
    pub async fn start(collections: &Value) -> Result<Self> {
        let program = program()?;
        let mut attempt = 1;
        loop {
            match Self::start_once(&program, collections).await {
                Ok(server) => return Ok(server),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    async fn start_once(program: &Path, collections: &Value) -> Result<Self> {
        let folder = temporary_folder("amfj-sync-json-server-")?;
        let file = |name: &str| folder.path().join(name);
        fs::write(file("db.json"), collections.to_string())?;
        let port = free_ports(1)?[0].to_string();
        let process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port, "db.json"])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(File::create(file("stdout"))?)
            .stderr(File::create(file("stderr"))?)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let watchdog = Watchdog::over(process.id()).context("cannot start the watchdog of json-server")?;
        let (address, http) = (format!("127.0.0.1:{port}"), super::http_client()?);
        let mut started = Self { process, _watchdog: watchdog, folder, address, http };
        started.wait_until_ready().await?;
        Ok(started)
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let log = self.folder.path().join("stderr");
        let url = format!("{}/db", self.url());
        let waited = eventually(READY_LIMIT, "json-server", async || {
            if let Some(status) = self.process.try_wait()? {
                bail!("it ended with {status}");
            }
            ensure!(self.http.get(&url).send().await?.status().is_success(), "it is not ready");
            Ok(())
        });
        waited.await.with_context(|| format!("its log: {}", fs::read_to_string(log).unwrap_or_default()))
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The file that it keeps.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn kept(&self) -> Result<Value> {
        let text = fs::read_to_string(self.folder.path().join("db.json"))?;
        serde_json::from_str(&text).context("db.json is no JSON")
    }

    /// The requests that it logged, as `METHOD path status`.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests(&self) -> Result<Vec<String>> {
        let log = fs::read_to_string(self.folder.path().join("stdout"))?;
        let methods = ["GET ", "POST ", "PUT ", "PATCH ", "DELETE "];
        let lines = log.lines().filter(|line| methods.iter().any(|method| line.starts_with(method)));
        Ok(lines.map(|line| line.split_whitespace().take(3).collect::<Vec<_>>().join(" ")).collect())
    }
}

impl Drop for JsonServer {
    fn drop(&mut self) {
        kill_group(self.process.id());
        // Only the record of a process that was just killed is collected here.
        let _ = self.process.wait();
    }
}

/// Its program; the script says what to do where it cannot be had.
fn program() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("lib/json-server/install");
    let done = Command::new(script).output().context("cannot run tests/lib/json-server/install")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "there is no json-server to test with:\n{said}");
    Ok(PathBuf::from(String::from_utf8(done.stdout)?.trim()))
}
