//! How a program is called.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::super::binaries::binary;
use super::super::config::WrittenConfig;
use super::super::room::temporary_folder;
use super::super::watchdog::Watchdog;
use super::{Role, Worker};

pub(super) const STDOUT: &str = "stdout";
pub(super) const STDERR: &str = "stderr";

/// A call of a program that is about to be made.
#[derive(Debug, Clone)]
pub struct Launch {
    role: Role,
    program: Option<PathBuf>,
    config: PathBuf,
    environment: BTreeMap<OsString, OsString>,
    arguments: Vec<OsString>,
    log_format: String,
}

/// What a command that ended by itself left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Its results.
    pub stdout: String,
    /// Its log.
    pub stderr: String,
}

impl Worker {
    /// Starts `ROLE run` with this configuration.
    ///
    /// # Errors
    /// If the binary cannot be built or started.
    pub fn spawn(role: Role, config: &WrittenConfig) -> Result<Self> {
        Launch::with(role, config).spawn()
    }
}

impl Launch {
    /// A call of the binary of `role` with a configuration file.
    #[must_use]
    pub fn new(role: Role, config: &Path) -> Self {
        Self {
            role,
            program: None,
            config: config.to_owned(),
            environment: BTreeMap::new(),
            arguments: Vec::new(),
            log_format: "json".into(),
        }
    }

    /// As [`Self::new`], together with those of the configuration's tokens in the environment that the program sends: it
    /// has to do without the others.
    #[must_use]
    pub fn with(role: Role, config: &WrittenConfig) -> Self {
        Self::new(role, &config.path).envs_that(config, |name| role.sends(name))
    }

    /// A command for people: `amfj-sync` with these arguments. Only `check` and `probe` ask the services, so only they have
    /// their tokens.
    #[must_use]
    pub fn command<I>(config: &WrittenConfig, arguments: I) -> Self
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        let launch = Self::with(Role::Operator, config).args(arguments);
        if launch.arguments.iter().any(|argument| argument == "check" || argument == "probe") {
            launch.envs_that(config, |_| true)
        } else {
            launch
        }
    }

    fn envs_that(mut self, config: &WrittenConfig, wanted: impl Fn(&str) -> bool) -> Self {
        let wanted = config.environment.iter().filter(|(name, _)| wanted(name));
        self.environment.extend(wanted.map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Another program than the binary that belongs to this source.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// How it logs; JSON unless this says otherwise.
    #[must_use]
    pub fn log_format(mut self, format: &str) -> Self {
        format.clone_into(&mut self.log_format);
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Adds an argument: the command (`run` if there is none) and what belongs to it.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item: Into<OsString>>,
    {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// Starts it and leaves it running.
    ///
    /// # Errors
    /// If the binary cannot be built or started.
    pub fn spawn(self) -> Result<Worker> {
        let program = match &self.program {
            Some(program) => program.clone(),
            None => binary(self.role)?,
        };
        let output = temporary_folder("amfj-sync-log-").context("no folder for the log")?;
        let file = |name| File::create(output.path().join(name)).context("no file for the log");
        let mut command = Command::new(&program);
        command
            .arg("--config")
            .arg(&self.config)
            .args(["--log-format", &self.log_format])
            .args(if self.arguments.is_empty() { vec!["run".into()] } else { self.arguments })
            .envs(self.environment)
            // Relative paths of the configuration stay in its own folder.
            .current_dir(self.config.parent().filter(|folder| folder.is_dir()).unwrap_or(Path::new(".")))
            .stdin(Stdio::null())
            .stdout(file(STDOUT)?)
            .stderr(file(STDERR)?)
            .process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {}", program.display()))?;
        let watchdog = Watchdog::over(child.id()).context("cannot start the watchdog of a worker")?;
        Ok(Worker {
            role: self.role,
            child,
            _watchdog: watchdog,
            output,
            listen: OnceLock::new(),
            http: super::super::http_client()?,
        })
    }

    /// Starts it, waits until it ends by itself, and returns what it printed.
    ///
    /// # Errors
    /// If it does not end within `limit`; then it is killed.
    pub async fn finish(self, limit: Duration) -> Result<Finished> {
        let mut worker = self.spawn()?;
        let status = worker.wait(limit).await?;
        let read = |path: PathBuf| {
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Finished { status, stdout: read(worker.stdout_path())?, stderr: read(worker.stderr_path())? })
    }
}
