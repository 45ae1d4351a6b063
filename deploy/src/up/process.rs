//! One child process: its own process group, its log in a file, and a watchdog over it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use amfj_sync_security::private_files;
use amfj_sync_tests::harness::binaries::BINARIES_VARIABLE;
use amfj_sync_tests::harness::watchdog::{Watchdog, kill_group, signal_group};
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use tokio::time::Instant;

/// Lines of a log that an error shows.
const TAIL: usize = 15;

/// A program of this workspace with its arguments, before it is started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    name: &'static str,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    withheld: Vec<String>,
}

impl Program {
    /// The program of that name beside this one, or in the folder that `AMFJ_SYNC_BIN_DIR` names.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, arguments: Vec::new(), environment: Vec::new(), withheld: Vec::new() }
    }

    /// The folder where the programs are.
    pub(crate) fn folder() -> Result<PathBuf> {
        let folder = match std::env::var_os(BINARIES_VARIABLE) {
            Some(folder) => PathBuf::from(folder),
            None => std::env::current_exe()
                .context("cannot tell where this program is")?
                .parent()
                .map(Path::to_owned)
                .context("this program is in no folder")?,
        };
        std::path::absolute(folder).context("cannot tell in which folder this was started")
    }

    /// Adds an argument.
    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds environment variables.
    pub(crate) fn envs<'a>(mut self, more: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        self.environment.extend(more.into_iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Keeps environment variables of this process from it.
    pub(crate) fn without<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.withheld.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// Its path and everything that belongs to the call.
    pub(crate) fn command(&self) -> Result<Command> {
        let mut command = Command::new(path_of(self.name)?);
        command.args(&self.arguments).envs(self.environment.iter().cloned()).stdin(Stdio::null());
        for name in &self.withheld {
            command.env_remove(name);
        }
        Ok(command)
    }

    /// Starts it; what it prints goes to `NAME.out`, its log to the end of `NAME.log` in `logs`.
    pub(crate) fn start(&self, logs: &Path) -> Result<Process> {
        let log = logs.join(format!("{}.log", self.name));
        let cannot = |path: &Path| format!("cannot write {}", path.display());
        let appended = private_files::append_to_file(&log).with_context(|| cannot(&log))?;
        let mut command = self.command()?;
        let output = logs.join(format!("{}.out", self.name));
        let printed = private_files::make_file(&output).with_context(|| cannot(&output))?;
        command.stdout(printed).stderr(appended).process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start the {}", self.name))?;
        let watchdog = Watchdog::over(child.id()).context("cannot start the watchdog of a process")?;
        Ok(Process { name: self.name, child, _watchdog: watchdog, log, output })
    }
}

fn path_of(name: &str) -> Result<PathBuf> {
    let path = Program::folder()?.join(name);
    ensure!(path.is_file(), "{} is missing; start this with ./deploy/up, which builds it", path.display());
    Ok(path)
}

/// A running process. Dropping it kills it; so does the death of this process.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    _watchdog: Watchdog,
    log: PathBuf,
    output: PathBuf,
}

impl Process {
    /// The name of the program.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Fails once it has ended, with the end of its log.
    pub(crate) fn still_runs(&mut self) -> Result<()> {
        let ended = self.child.try_wait().with_context(|| format!("cannot look after the {}", self.name))?;
        match ended {
            None => Ok(()),
            Some(status) => {
                anyhow::bail!("the {} ended with {status}; its log ends:\n{}", self.name, self.log_tail())
            }
        }
    }

    /// The last lines of its log.
    pub(crate) fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }

    /// Asks it to end in good order.
    pub(crate) fn ask_to_stop(&self) {
        signal_group(self.child.id(), Signal::SIGTERM);
    }

    /// Waits for its end until `deadline`; then it is killed. Returns how it ended by itself.
    pub(crate) async fn gone_by(mut self, deadline: Instant) -> Option<ExitStatus> {
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Once the end was seen, the number may belong to somebody else.
        if matches!(self.child.try_wait(), Ok(None)) {
            kill_group(self.child.id());
            // Only the record of a process that was just killed is collected here.
            let _ = self.child.wait();
        }
    }
}
