//! Several nodes as one broker, behind one address that leads to whichever of them lives.

use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use amfj_sync_security::private_files;
use anyhow::{Context as _, Result, ensure};

use super::node::{Ports, port_mapper, server};
use super::{ATTEMPTS, Member, PrivateBroker};
use crate::harness::Proxy;
use crate::harness::watchdog::{Watchdog, kill_group};

/// How long a node may take to end in good order: one of a cluster hands over what it leads first.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// What the nodes of a cluster have in common.
#[derive(Debug)]
pub(super) struct Shared {
    door: Proxy,
    _port_mapper: PortMapper,
}

impl Shared {
    pub(super) fn url(&self) -> String {
        self.door.url().to_owned()
    }
}

impl PrivateBroker {
    /// Starts a cluster of `size` nodes and waits until all of them answer.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub async fn start_cluster(size: usize) -> Result<Self> {
        let mut attempt = 1;
        loop {
            match Self::start_cluster_on(Ports::find_several(size)?).await {
                Ok(cluster) => return Ok(cluster),
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => attempt += 1,
            }
        }
    }

    async fn start_cluster_on(ports: Vec<Ports>) -> Result<Self> {
        let port_mapper = PortMapper::start(ports.first().context("a cluster has nodes")?)?;
        let peers = ports.iter().enumerate().map(|(at, ports)| {
            format!("cluster_formation.classic_config.nodes.{} = {}\n", at + 1, ports.node_name())
        });
        let settings = format!(
            "cluster_formation.peer_discovery_backend = classic_config\n{}",
            peers.collect::<String>()
        );
        let urls: Vec<String> = ports.iter().map(Ports::url).collect();
        let mut members = Vec::new();
        for ports in ports {
            let mut member = Member::new(ports)?;
            prepare(&member, &settings).context("cannot prepare the folder of a node")?;
            // One after the other: each finds those before it and joins them.
            member.launch()?;
            member.wait_until_it_answers().await?;
            members.push(member);
        }
        let door = Proxy::before_any_of(&urls).await?;
        Ok(Self { members, shared: Some(Shared { door, _port_mapper: port_mapper }) })
    }

    /// How many nodes there are, dead or alive.
    #[must_use]
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// What a node is called in its cluster.
    #[must_use]
    pub fn node_name(&self, node: usize) -> Option<String> {
        self.members.get(node).map(|member| member.ports.node_name())
    }

    /// Kills one node as a power failure would; its data stays for [`Self::restart_node`].
    pub fn kill_node(&mut self, node: usize) {
        if let Some(member) = self.members.get_mut(node) {
            member.node = None;
        }
    }

    /// Ends one node in good order; its data stays for [`Self::restart_node`].
    ///
    /// # Errors
    /// If it had to be killed because it did not end in time.
    pub async fn stop_node(&mut self, node: usize) -> Result<()> {
        match self.members.get_mut(node).and_then(|member| member.node.take()) {
            Some(node) => node.stop(STOP_LIMIT).await,
            None => Ok(()),
        }
    }

    /// Starts one node again with its data, if it does not run, and waits until it answers.
    ///
    /// # Errors
    /// If it does not come up.
    pub async fn restart_node(&mut self, node: usize) -> Result<()> {
        let member = self.members.get_mut(node).with_context(|| format!("there is no node {node}"))?;
        member.launch()?;
        member.wait_until_it_answers().await
    }
}

fn prepare(member: &Member, settings: &str) -> Result<()> {
    let folder = member.folder.path();
    private_files::make_folder(&folder.join("conf.d"))?;
    private_files::write_file(&folder.join("conf.d").join("cluster.conf"), settings)?;
    Ok(())
}

/// The port mapper of all nodes: that of one node would die with it, and nobody could find the others.
#[derive(Debug)]
struct PortMapper {
    process: Child,
    _watchdog: Watchdog,
}

impl PortMapper {
    fn start(ports: &Ports) -> Result<Self> {
        let port = ports.port_mapper();
        let process = Command::new(port_mapper(&server()?))
            .args(["-address", "127.0.0.1", "-port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("cannot start epmd, which tells nodes where the others are")?;
        let watchdog = Watchdog::over(process.id())?;
        let mapper = Self { process, _watchdog: watchdog };
        // Before a node: its keeper would start one of its own.
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            ensure!(begin.elapsed() < Duration::from_secs(30), "epmd does not listen on port {port}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(mapper)
    }
}

impl Drop for PortMapper {
    fn drop(&mut self) {
        kill_group(self.process.id());
        // Only the record of a process that was just killed is collected here.
        let _ = self.process.wait();
    }
}
