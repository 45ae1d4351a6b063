//! The processes of one RabbitMQ node: its keeper, its port mapper and the node itself.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use amfj_sync_security::private_files;
use anyhow::{Context as _, Result, bail};
use lapin::{Connection, ConnectionProperties};
use rand::Rng as _;
use rand::distr::Alphanumeric;

use super::SERVER_VARIABLE;
use crate::harness::ports::free_ports;
use crate::harness::watchdog::{kill_group, wait_until_gone};

const KEEPER: &str = include_str!("keeper.sh");

/// Not the one in `/usr/sbin`: that one changes to the user `rabbitmq` and its folder.
const DEBIAN_SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/// On two cores a node takes 6 to 20 seconds; where others build beside it, minutes.
const START_LIMIT: Duration = Duration::from_mins(4);

/// Where one node listens, and what it lets somebody in for.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    amqp: u16,
    distribution: u16,
    epmd: u16,
    secrets: Secrets,
}

/// What only the owner of a node knows: every user of the machine reaches its ports, and whoever may publish there writes
/// to AMFJ. New for each broker; never on a command line, and in no file that others can read.
#[derive(Clone)]
struct Secrets {
    /// Of the one user, who may do everything.
    password: String,
    /// What nodes and `rabbitmqctl` know each other by: whoever has it runs code in the node.
    cookie: String,
}

impl Secrets {
    fn new() -> Self {
        Self { password: random_word(), cookie: random_word() }
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// 43 letters and digits: as hard to guess as 256 bits.
fn random_word() -> String {
    rand::rng().sample_iter(Alphanumeric).take(43).map(char::from).collect()
}

impl Ports {
    pub(crate) fn find() -> Result<Self> {
        match free_ports(3)?.as_slice() {
            &[amqp, distribution, epmd] => Ok(Self { amqp, distribution, epmd, secrets: Secrets::new() }),
            other => bail!("asked for three ports and got {}", other.len()),
        }
    }

    /// Ports of nodes that find each other: they share a port mapper and the secrets.
    pub(crate) fn find_several(count: usize) -> Result<Vec<Self>> {
        let free = free_ports(2 * count + 1)?;
        let Some((&epmd, own)) = free.split_first() else { bail!("there are no free ports") };
        let secrets = Secrets::new();
        let of_pair =
            |pair: &[u16]| Self { amqp: pair[0], distribution: pair[1], epmd, secrets: secrets.clone() };
        Ok(own.chunks_exact(2).map(of_pair).collect())
    }

    /// What the node is called in its cluster.
    pub(crate) fn node_name(&self) -> String {
        format!("amfj-sync-{}@localhost", self.amqp)
    }

    pub(crate) fn port_mapper(&self) -> u16 {
        self.epmd
    }

    pub(crate) fn url(&self) -> String {
        format!("amqp://{USER}:{}@127.0.0.1:{}/%2f", self.secrets.password, self.amqp)
    }
}

/// Who may do everything on a node. `guest`, whose password everybody knows, is not made where another user is named.
const USER: &str = "amfj-sync";

/// What ends a node by itself.
#[derive(Debug)]
pub(crate) enum Life {
    /// The death of this process.
    Owner,
    /// That no process holds the lock `users` any more; see `keeper.sh`.
    Users { gate: PathBuf, users: PathBuf, address: PathBuf, linger: Duration },
}

impl Life {
    fn arguments(&self) -> Vec<OsString> {
        match self {
            Self::Owner => vec!["owner".into()],
            Self::Users { gate, users, address, linger } => vec![
                "users".into(),
                gate.into(),
                users.into(),
                address.into(),
                linger.as_secs().to_string().into(),
            ],
        }
    }
}

/// A node's process group. Dropping it kills the group, unless it was [released](Self::release).
#[derive(Debug)]
pub(crate) struct Node {
    keeper: Child,
    /// The keeper waits for this pipe to end.
    leash: Option<ChildStdin>,
    released: bool,
}

impl Node {
    /// Starts the processes in `folder`, which may hold the data of an earlier node.
    pub(crate) fn launch(folder: &Path, ports: &Ports, life: &Life) -> Result<Self> {
        let server = server()?;
        write_settings(folder, ports).with_context(|| format!("cannot write to {}", folder.display()))?;
        let mut command = Command::new("sh");
        let epmd = port_mapper(&server);
        command.args(["-c", KEEPER, "keeper"]).arg(folder).arg(server).arg(epmd).args(life.arguments());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("RABBITMQ_") || text.starts_with("ERL_") || text == "NOTIFY_SOCKET" {
                command.env_remove(name);
            }
        }
        let stdin = if matches!(life, Life::Owner) { Stdio::piped() } else { Stdio::null() };
        let mut keeper = command
            .envs(environment(folder, ports))
            .current_dir(folder)
            .stdin(stdin)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start sh, which keeps the broker")?;
        let leash = keeper.stdin.take();
        Ok(Self { keeper, leash, released: false })
    }

    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.keeper.try_wait(), Ok(None))
    }

    /// Waits until an AMQP connection can be opened.
    pub(crate) async fn wait_until_it_answers(&mut self, folder: &Path, ports: &Ports) -> Result<()> {
        let begin = Instant::now();
        loop {
            if answers(&ports.url()).await {
                return Ok(());
            }
            if !self.is_running() {
                bail!(
                    "the private RabbitMQ node ended while starting; its log ends with:\n{}",
                    log_tail(folder)
                );
            }
            if begin.elapsed() > START_LIMIT {
                bail!(
                    "the private RabbitMQ node does not answer after {START_LIMIT:?}; its log ends with:\n{}",
                    log_tail(folder)
                );
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the node in good order, or kills it after `limit`.
    pub(crate) async fn stop(mut self, limit: Duration) -> Result<()> {
        let Some(mut leash) = self.leash.take() else { bail!("a shared node ends with its last user") };
        // If the keeper is gone there is nobody to write to, and nothing to stop.
        let _ = leash.write_all(b"stop\n");
        let begin = Instant::now();
        while self.is_running() {
            if begin.elapsed() > limit {
                bail!("the private RabbitMQ node did not end within {limit:?} and was killed");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Leaves the node to its users: it lives on without this process.
    pub(crate) fn release(mut self) {
        self.released = true;
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.released {
            return;
        }
        kill_group(self.keeper.id());
        // Only the record of a process that was just killed is collected here.
        let _ = self.keeper.wait();
        // The others of the group hold the ports until they are gone, and a restart needs them.
        wait_until_gone(self.keeper.id(), Duration::from_secs(3));
    }
}

/// Whether an AMQP connection can be opened at `url` within two seconds.
pub(crate) async fn answers(url: &str) -> bool {
    let connecting = Connection::connect(url, ConnectionProperties::default());
    match tokio::time::timeout(Duration::from_secs(2), connecting).await {
        Ok(Ok(connection)) => {
            // It answered; how it says goodbye does not matter.
            let _ = connection.close(200, "looked".into()).await;
            true
        }
        _ => false,
    }
}

/// `rabbitmqctl`, which lies beside the server, at a node.
pub(crate) async fn ctl(folder: &Path, ports: &Ports, arguments: &[&str]) -> Result<String> {
    let program = server()?.with_file_name("rabbitmqctl");
    let output = tokio::process::Command::new(&program)
        .args(arguments)
        .envs(environment(folder, ports))
        // Where Erlang leaves a dump if it is killed.
        .current_dir(folder)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| format!("cannot start {}", program.display()))?;
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if !output.status.success() {
        bail!(
            "rabbitmqctl {} failed with {}: {}{}",
            arguments.join(" "),
            output.status,
            said(&output.stderr),
            said(&output.stdout)
        );
    }
    Ok(said(&output.stdout))
}

pub(crate) fn log_tail(folder: &Path) -> String {
    let mut tail = String::new();
    for name in ["epmd.log", "node.log"] {
        let text = fs::read_to_string(folder.join(name)).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        for line in &lines[lines.len().saturating_sub(30)..] {
            tail.push_str(line);
            tail.push('\n');
        }
    }
    tail
}

pub(super) fn server() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(SERVER_VARIABLE) {
        let path = PathBuf::from(path);
        if !path.is_file() {
            bail!("{SERVER_VARIABLE} names {}, which is not a file", path.display());
        }
        return Ok(path);
    }
    let path = PathBuf::from(DEBIAN_SERVER);
    if !path.is_file() {
        bail!(
            "RabbitMQ is not installed: {DEBIAN_SERVER} is missing. Run ./tests/run, which installs it, or set \
             {SERVER_VARIABLE} to another rabbitmq-server"
        );
    }
    Ok(path)
}

/// The port mapper that came with a server of its own, as `tests/lib/rabbitmq-4` lays it out; else the
/// machine's.
pub(super) fn port_mapper(server: &Path) -> PathBuf {
    let beside = server.with_file_name("epmd");
    if beside.is_file() { beside } else { PathBuf::from("epmd") }
}

fn write_settings(folder: &Path, ports: &Ports) -> std::io::Result<()> {
    private_files::make_folder(&folder.join("conf.d"))?;
    let plugins = folder.join("enabled_plugins");
    if !plugins.exists() {
        private_files::write_file(&plugins, "[].\n")?;
    }
    private_files::write_file(&folder.join(".erlang.cookie"), &ports.secrets.cookie)?;
    private_files::write_file(
        &folder.join("rabbitmq.conf"),
        // A small write-ahead log keeps the folder small.
        format!(
            "default_user = {USER}\ndefault_pass = {}\nlisteners.tcp.1 = 127.0.0.1:{}\nlog.console = true\nlog.file = false\nraft.wal_max_size_bytes = 67108864\n",
            ports.secrets.password, ports.amqp
        ),
    )
}

/// Everything that would make the node look at the machine's own configuration or data.
fn environment(folder: &Path, ports: &Ports) -> Vec<(&'static str, OsString)> {
    let inside = |name: &str| folder.join(name).into_os_string();
    vec![
        ("HOME", folder.into()),
        ("ERL_EPMD_PORT", ports.epmd.to_string().into()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".into()),
        // The keeper runs the port mapper, or uses that of the cluster; see keeper.sh.
        ("ERL_AFLAGS", "-start_epmd false".into()),
        // Makes the script become the node instead of staying in between, so signals reach it.
        ("RUNNING_UNDER_SYSTEMD", "true".into()),
        ("RABBITMQ_NODENAME", ports.node_name().into()),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1".into()),
        ("RABBITMQ_NODE_PORT", ports.amqp.to_string().into()),
        ("RABBITMQ_DIST_PORT", ports.distribution.to_string().into()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false".into(),
        ),
        ("RABBITMQ_MNESIA_BASE", inside("mnesia")),
        ("RABBITMQ_LOG_BASE", inside("log")),
        ("RABBITMQ_CONFIG_FILE", inside("rabbitmq.conf")),
        ("RABBITMQ_CONFIG_FILES", inside("conf.d")),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", inside("advanced.config")),
        ("RABBITMQ_CONF_ENV_FILE", inside("rabbitmq-env.conf")),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", inside("enabled_plugins")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_brokers_have_the_same_secrets_and_nodes_of_one_have() {
        let [one, other] = [Ports::find().unwrap().secrets, Ports::find().unwrap().secrets];
        let words = [one.password.clone(), one.cookie.clone(), other.password, other.cookie];
        let different: std::collections::BTreeSet<&String> = words.iter().collect();
        assert_eq!(different.len(), 4);
        assert!(words.iter().all(|word| word.len() == 43 && word.chars().all(|c| c.is_ascii_alphanumeric())));
        assert_eq!(format!("{one:?}"), "***");
        let nodes = Ports::find_several(2).unwrap();
        assert_eq!(nodes[0].secrets.cookie, nodes[1].secrets.cookie);
        assert_eq!(nodes[0].secrets.password, nodes[1].secrets.password);
    }
}
