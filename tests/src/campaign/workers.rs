//! The workers of a campaign: whoever ends is started again, as a service manager would.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus};

use amfj_sync_failpoint::VARIABLE;
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;

use crate::harness::{Launch, Role, Worker, WrittenConfig};

/// Counters that are added up over all workers, the dead included.
pub(super) const COUNTED: [&str; 4] = [
    "amfj_sync_redeliveries_total",
    "amfj_sync_repeats_total",
    "amfj_sync_adopted_total",
    "amfj_sync_unreadable_facts_total",
];

/// How many logs of workers that are gone are kept as evidence.
const LOGS_KEPT: usize = 60;

/// How a worker ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Death {
    /// At a failpoint.
    Failpoint(String),
    /// By a signal from outside.
    Signal(i32),
    /// By itself, with a status.
    Exit(i32),
}

#[derive(Debug)]
struct Member {
    worker: Worker,
    armed: Option<String>,
    counts: BTreeMap<&'static str, f64>,
}

/// The workers that serve.
#[derive(Debug)]
pub struct Workers {
    config: WrittenConfig,
    members: Vec<Member>,
    /// How many of each role there should be.
    wanted: BTreeMap<&'static str, usize>,
    /// What the next workers of a role are armed with.
    armings: BTreeMap<&'static str, VecDeque<String>>,
    /// Environment that every worker of a role gets.
    environment: BTreeMap<&'static str, BTreeMap<String, String>>,
    deaths: Vec<(Role, Death)>,
    /// Sums of the counters of workers that are gone.
    past: BTreeMap<&'static str, f64>,
    logs: VecDeque<(String, String)>,
    started: u64,
}

impl Workers {
    pub(super) fn new(config: WrittenConfig) -> Self {
        Self {
            config,
            members: Vec::new(),
            wanted: Role::ALL.iter().map(|role| (role.name(), 1)).collect(),
            armings: BTreeMap::new(),
            environment: BTreeMap::new(),
            deaths: Vec::new(),
            past: BTreeMap::new(),
            logs: VecDeque::new(),
            started: 0,
        }
    }

    /// The living workers of a role.
    pub fn of(&self, role: Role) -> impl Iterator<Item = &Worker> {
        self.members.iter().map(|member| &member.worker).filter(move |worker| worker.role() == role)
    }

    /// All living workers.
    pub fn all(&self) -> impl Iterator<Item = &Worker> {
        self.members.iter().map(|member| &member.worker)
    }

    /// How many workers of a role there should be.
    #[must_use]
    pub fn wanted(&self, role: Role) -> usize {
        self.wanted.get(role.name()).copied().unwrap_or(0)
    }

    /// A call of one of the binaries with the campaign's configuration.
    #[must_use]
    pub fn call(&self, role: Role) -> Launch {
        Launch::with(role, &self.config)
    }

    /// A call of `amfj-sync` with these arguments and the campaign's configuration.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Launch {
        Launch::command(&self.config, arguments)
    }

    /// From now on workers of a role are started with this in their environment.
    pub fn set_environment(&mut self, role: Role, name: &str, value: &str) {
        self.environment.entry(role.name()).or_default().insert(name.to_owned(), value.to_owned());
    }

    /// No longer.
    pub fn unset_environment(&mut self, role: Role, name: &str) {
        self.environment.entry(role.name()).or_default().remove(name);
    }

    /// From now on there should be that many workers of a role: more are started by [`Self::revive`],
    /// surplus ones are ended with `SIGTERM` here.
    ///
    /// # Errors
    /// When one does not end in good order.
    pub async fn scale(&mut self, role: Role, count: usize) -> Result<()> {
        self.wanted.insert(role.name(), count);
        while self.of(role).count() > count {
            let Some(at) = self.members.iter().rposition(|member| member.worker.role() == role) else {
                break;
            };
            self.note(at).await;
            let member = self.members.remove(at);
            self.bury(&member);
            // One that was started just now has not said anything, and is not prepared for a signal.
            let has_begun = !member.worker.log().is_empty();
            let status = member.worker.terminate().await?;
            let in_order = status.code().is_some() || !has_begun;
            ensure!(in_order, "a {} ended with {status} after SIGTERM", role.name());
            // Whether that was to be expected, the checks know.
            if !status.success() {
                self.deaths.push((role, death(status, "")));
            }
        }
        self.revive()
    }

    /// Kills everybody of a role and starts nobody, until [`Self::scale`] says how many there should be.
    ///
    /// # Errors
    /// When the operating system does not tell that one is gone.
    pub async fn stop(&mut self, role: Role) -> Result<()> {
        self.wanted.insert(role.name(), 0);
        self.kill_all(role).await
    }

    /// Ends everybody with `SIGTERM`.
    ///
    /// # Errors
    /// When one does not end in good order.
    pub(super) async fn dismiss(&mut self) -> Result<()> {
        for role in Role::ALL {
            self.scale(role, 0).await?;
        }
        Ok(())
    }

    /// The next worker of the role that is started is armed with this; one that is not armed is killed to
    /// make place for it.
    ///
    /// # Errors
    /// When a worker cannot be started.
    pub async fn arm(&mut self, role: Role, arming: &str) -> Result<()> {
        self.armings.entry(role.name()).or_default().push_back(arming.to_owned());
        let unarmed = |member: &Member| member.worker.role() == role && member.armed.is_none();
        let armed = self.members.iter().any(|member| member.worker.role() == role && !unarmed(member));
        if !armed && let Some(at) = self.members.iter().position(unarmed) {
            self.kill_at(at).await?;
        }
        self.revive()
    }

    /// Takes back what has not happened: armed workers that still live are replaced.
    ///
    /// # Errors
    /// When a worker cannot be started.
    pub async fn disarm(&mut self, role: Role) -> Result<()> {
        self.armings.remove(role.name());
        while let Some(at) =
            self.members.iter().position(|member| member.worker.role() == role && member.armed.is_some())
        {
            self.kill_at(at).await?;
        }
        self.revive()
    }

    /// `kill -9` of a worker of a role; another is started in its place at the next [`Self::revive`].
    ///
    /// # Errors
    /// When there is none.
    pub async fn kill9(&mut self, role: Role, which: usize) -> Result<()> {
        let of_role: Vec<usize> =
            (0..self.members.len()).filter(|at| self.members[*at].worker.role() == role).collect();
        ensure!(!of_role.is_empty(), "there is no {} to kill", role.name());
        self.kill_at(of_role[which % of_role.len()]).await
    }

    /// `kill -9` of everybody of a role.
    ///
    /// # Errors
    /// When the operating system does not tell that one is gone.
    pub async fn kill_all(&mut self, role: Role) -> Result<()> {
        while let Some(at) = self.members.iter().position(|member| member.worker.role() == role) {
            self.kill_at(at).await?;
        }
        Ok(())
    }

    async fn kill_at(&mut self, at: usize) -> Result<()> {
        self.note(at).await;
        let member = self.members.remove(at);
        self.bury(&member);
        let role = member.worker.role();
        let status = member.worker.kill9()?;
        self.deaths.push((role, death(status, "")));
        Ok(())
    }

    /// Starts whoever is missing, and takes down who died and how.
    ///
    /// # Errors
    /// When a worker cannot be started.
    pub fn revive(&mut self) -> Result<()> {
        let mut at = 0;
        while at < self.members.len() {
            match self.members[at].worker.exited()? {
                None => at += 1,
                Some(status) => {
                    let member = self.members.remove(at);
                    self.bury(&member);
                    let death = death(status, &member.worker.log());
                    self.deaths.push((member.worker.role(), death));
                }
            }
        }
        for role in Role::ALL {
            while self.of(role).count() < self.wanted(role) {
                self.start(role)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, role: Role) -> Result<()> {
        let arming = self.armings.get_mut(role.name()).and_then(VecDeque::pop_front);
        let mut call = self.call(role).args(["run", "-v"]);
        for (name, value) in self.environment.get(role.name()).into_iter().flatten() {
            call = call.env(name, value);
        }
        if let Some(arming) = &arming {
            call = call.env(VARIABLE, arming);
        }
        self.started += 1;
        let worker = call.spawn()?;
        self.members.push(Member { worker, armed: arming, counts: BTreeMap::new() });
        Ok(())
    }

    /// Starts whoever is missing and waits until all are ready.
    ///
    /// # Errors
    /// When one does not get ready.
    pub async fn all_ready(&mut self) -> Result<()> {
        self.revive()?;
        for member in &mut self.members {
            member.worker.wait_ready().await?;
        }
        Ok(())
    }

    /// The deaths since the last call.
    #[must_use]
    pub fn take_deaths(&mut self) -> Vec<(Role, Death)> {
        std::mem::take(&mut self.deaths)
    }

    /// The deaths since the last [`Self::take_deaths`].
    #[must_use]
    pub fn deaths(&self) -> &[(Role, Death)] {
        &self.deaths
    }

    /// Looks at the counters of everybody, so that a sudden death loses little.
    pub async fn note_all(&mut self) {
        for at in 0..self.members.len() {
            self.note(at).await;
        }
    }

    async fn note(&mut self, at: usize) {
        let member = &mut self.members[at];
        // A worker that does not answer has its last counts.
        if let Ok(page) = member.worker.metrics().await {
            for name in COUNTED {
                member.counts.insert(name, page.sum(name, &[]));
            }
        }
    }

    fn bury(&mut self, member: &Member) {
        for (name, count) in &member.counts {
            *self.past.entry(name).or_default() += count;
        }
        let armed = member.armed.as_deref().map(|armed| format!("-{armed}")).unwrap_or_default();
        let name = format!("{}-{}{armed}", member.worker.role().name(), member.worker.id());
        self.logs.push_back((name, member.worker.log()));
        if self.logs.len() > LOGS_KEPT {
            self.logs.pop_front();
        }
    }

    /// The sum of a counter over all workers that there ever were, as far as they were looked at.
    #[must_use]
    pub fn count(&self, name: &str) -> f64 {
        let living: f64 = self.members.iter().filter_map(|member| member.counts.get(name)).sum();
        living + self.past.get(name).copied().unwrap_or(0.0)
    }

    /// Writes all logs into a folder.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub(super) fn keep_logs(&self, folder: &Path) -> Result<()> {
        let living = self.members.iter().map(|member| {
            let name = format!("{}-{}-living", member.worker.role().name(), member.worker.id());
            (name, member.worker.log())
        });
        for (at, (name, log)) in self.logs.iter().cloned().chain(living).enumerate() {
            let path = folder.join(format!("{at:03}-{}.log", name.replace([';', ':'], "_")));
            std::fs::write(&path, log).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Writes what each worker says of itself, and where it waits, into a folder.
    ///
    /// # Errors
    /// When the folder is not writable.
    pub(super) async fn keep_states(&self, folder: &Path) -> Result<()> {
        for Member { worker, .. } in &self.members {
            let name = format!("{}-{}", worker.role().name(), worker.id());
            let status = worker
                .status()
                .await
                .map_or_else(|error| format!("{error:#}"), |status| format!("{status:#}"));
            std::fs::write(folder.join(format!("{name}-status.json")), status)
                .context("cannot write a status")?;
            // Without a debugger there is nothing to be had.
            let debugger =
                ["--batch", "-ex", "thread apply all backtrace 30", "-p", &worker.id().to_string()];
            if let Ok(stacks) = Command::new("gdb").args(debugger).output() {
                std::fs::write(folder.join(format!("{name}-stacks.txt")), stacks.stdout)
                    .context("cannot write the stacks")?;
            }
        }
        Ok(())
    }
}

fn death(status: ExitStatus, log: &str) -> Death {
    let killed = status.signal();
    let at = log.lines().rev().find_map(|line| line.strip_prefix("killed at the failpoint "));
    match (killed, at) {
        (Some(signal), Some(at)) if signal == Signal::SIGKILL as i32 => Death::Failpoint(at.to_owned()),
        (Some(signal), _) => Death::Signal(signal),
        (None, _) => Death::Exit(status.code().unwrap_or(-1)),
    }
}
