//! One broker for all tests of a run, although every test is a process of its own.
//!
//! The first process that asks starts a node; the others find it. The node ends by itself some
//! seconds after the last of them is gone: each holds a lock that the kernel releases, however the
//! process ends. Tests keep apart by the [prefix](SharedBroker::prefix) of their queues. A test that
//! stops or kills its broker starts a [`PrivateBroker`](super::PrivateBroker) instead.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use amfj_sync_security::private_files;
use anyhow::{Context as _, Result, ensure};
use tokio::net::TcpStream;

use super::binaries::target_folder;
use super::broker::{ATTEMPTS, Life, Node, Ports, SERVER_VARIABLE, answers};

/// An address here means: use that broker, start none.
pub const ADDRESS_VARIABLE: &str = "AMFJ_SYNC_TEST_BROKER";

/// How long the node waits for another user. Between two tests of a run there is less.
const LINGER: Duration = Duration::from_secs(10);

/// A place at the broker that all tests of a run share.
#[derive(Debug)]
pub struct SharedBroker {
    url: String,
    prefix: String,
    /// Released when this process ends; see `end_without_users` in `keeper.sh`.
    _share: Option<File>,
}

impl SharedBroker {
    /// A place at a broker that somebody else keeps, which is set up in a way of its own.
    #[must_use]
    pub fn at(url: String) -> Self {
        Self { url, prefix: prefix(), _share: None }
    }

    /// Joins the running node, or starts it.
    ///
    /// # Errors
    /// If RabbitMQ is not installed or does not come up.
    pub async fn join() -> Result<Self> {
        let prefix = prefix();
        if let Ok(url) = std::env::var(ADDRESS_VARIABLE) {
            return Ok(Self { url, prefix, _share: None });
        }
        let server = std::env::var(SERVER_VARIABLE).unwrap_or_default();
        let folder = target_folder()?.join("shared-broker").join(name_for(&server));
        let (url, share) = join_at(&folder, LINGER).await?;
        Ok(Self { url, prefix, _share: Some(share) })
    }

    /// The address to put into `broker.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the names of this user's queues begin with (`broker.prefix`); nobody else has it.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// One that nobody else has.
fn prefix() -> String {
    format!("t-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

/// One folder for each server, so that a run against another version starts its own.
fn name_for(server: &str) -> String {
    if server.is_empty() {
        return "default".to_owned();
    }
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, server.as_bytes()).simple().to_string()
}

/// Takes a share of the node in `folder`; starts it if there is none. The node lives while the
/// returned file is open in any process, and `linger` longer.
///
/// # Errors
/// If the folder cannot be written or the node does not come up.
pub async fn join_at(folder: &Path, linger: Duration) -> Result<(String, File)> {
    let place = folder.to_owned();
    // Another process may hold the gate for as long as a node takes to start.
    let (gate, share) = tokio::task::spawn_blocking(move || -> Result<_> {
        private_files::make_folder(&place).with_context(|| format!("cannot create {}", place.display()))?;
        let gate = open_lock(&place.join("gate"))?;
        gate.lock().context("cannot lock the gate of the shared broker")?;
        let share = open_lock(&place.join("users"))?;
        share.lock_shared().context("cannot take a share of the shared broker")?;
        Ok((gate, share))
    })
    .await??;

    let address = folder.join("address");
    let url = match running_node(&address).await? {
        Some(url) => url,
        None => start_at(folder, &address, linger).await?,
    };
    drop(gate);
    Ok((url, share))
}

/// The address of the node that runs already, if there is one.
async fn running_node(address: &Path) -> Result<Option<String>> {
    let Ok(url) = fs::read_to_string(address) else { return Ok(None) };
    let begin = Instant::now();
    // A busy machine makes it slow; only a closed port says that it is gone.
    while port_is_open(&url).await {
        if answers(&url).await {
            return Ok(Some(url));
        }
        ensure!(
            begin.elapsed() < Duration::from_mins(1),
            "the shared broker at {url} listens but does not answer; see {}",
            address.display()
        );
    }
    Ok(None)
}

async fn port_is_open(url: &str) -> bool {
    let host_and_port = url.rsplit('@').next().and_then(|rest| rest.split('/').next());
    match host_and_port {
        Some(place) => TcpStream::connect(place).await.is_ok(),
        None => false,
    }
}

async fn start_at(folder: &Path, address: &Path, linger: Duration) -> Result<String> {
    let mut attempt = 1;
    loop {
        remove_leftovers(folder)?;
        match start_on(Ports::find()?, folder, address, linger).await {
            Ok(url) => return Ok(url),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => attempt += 1,
        }
    }
}

async fn start_on(ports: Ports, folder: &Path, address: &Path, linger: Duration) -> Result<String> {
    let data = folder.join(format!("node-{}", uuid::Uuid::new_v4().simple()));
    private_files::make_folder(&data).with_context(|| format!("cannot create {}", data.display()))?;
    let life = Life::Users {
        gate: folder.join("gate"),
        users: folder.join("users"),
        address: address.to_owned(),
        linger,
    };
    let mut node = Node::launch(&data, &ports, &life)?;
    node.wait_until_it_answers(&data, &ports).await.context("the shared broker did not start")?;
    private_files::write_file(address, ports.url()).context("cannot write the shared broker's address")?;
    node.release();
    Ok(ports.url())
}

/// A node leaves its folder behind only if its keeper was killed together with it.
fn remove_leftovers(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).context("cannot read the shared broker's folder")?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("node-") {
            // Its own keeper may be removing it at this moment; then either of us succeeds.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

fn open_lock(path: &PathBuf) -> Result<File> {
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open the lock {}", path.display()))
}
