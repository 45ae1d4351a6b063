//! Reading the configuration again while the worker serves (P35).
//!
//! **When.** At SIGHUP, when `amfj-sync reload` asks, and by itself once a file has changed and then stands still.
//!
//! **What.** The main file is taken whole or not at all, each file of the folder beside it by itself; where one is wrong, what it said
//! before stays in force, and the status names it. Tokens need none of this: their files are looked at before each request.
//!
//! **How.** Where something differs, the worker ends what is under way in good order, as at the end of a service, and the program takes
//! its own place: the same process, on the same port. There is no second way of starting or stopping an integration that could leave
//! something of the old configuration behind, and what other workers have in hand goes on meanwhile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_config::{
    self as config, Config, ConfigErrors, FileText, Files, KEPT_VARIABLE, Loaded, Tokens,
};
use amfj_sync_security::screen::sanitize;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::systemd;
use crate::worker::{CommonArgs, Exit};

/// Between two looks at the files. A mounted `ConfigMap` follows its change within a minute.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// For so long a file that has changed must stand still: half of what somebody writes may be right by itself.
const STANDS_STILL: Duration = Duration::from_secs(2);

/// Workers that find a change at the same time do not begin anew at the same time.
const APART: Duration = Duration::from_secs(2);

/// More of it does not fit into a variable: 128 KiB with its name, as Linux has it.
const LARGEST_KEPT: usize = 100 << 10;

/// What is asked of a configuration beside being right: what only a role knows.
pub type Examine = fn(&Config) -> Result<(), String>;

/// What came of reading the configuration again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", content = "says", rename_all = "snake_case")]
pub enum Reloaded {
    /// It says the same as before, but for files that are wrong.
    Unchanged,
    /// The worker begins anew with it.
    TakesEffect,
    /// It is wrong, and the old one stays in force.
    Refused(String),
}

/// The configuration of a worker that serves, as it is in force and as the files have it.
#[derive(Debug)]
pub struct Reload {
    common: CommonArgs,
    tokens: Tokens,
    examine: Examine,
    /// Those of the queues that there are.
    partitions: u16,
    /// The first part of their names.
    prefix: String,
    standing: Mutex<Standing>,
    /// Ends the worker in good order.
    stop: CancellationToken,
}

#[derive(Debug)]
struct Standing {
    /// What each file said that is in force.
    in_force: BTreeMap<PathBuf, FileText>,
    /// What is wrong with the files, a line for each.
    wrong: Vec<String>,
    /// What the program that takes the place of this one is to keep of files that are wrong; none while none is to.
    kept: Option<BTreeMap<PathBuf, FileText>>,
}

impl Reload {
    /// Reads the configuration of a worker that serves. `stop` ends the worker in good order.
    pub fn begin(
        common: &CommonArgs,
        tokens: Tokens,
        examine: Examine,
        stop: CancellationToken,
    ) -> Result<(Config, Arc<Self>), Exit> {
        let mut loaded = patiently(|| common.load_files(tokens))?;
        common.restrict(&mut loaded.config)?;
        let standing = Standing { wrong: lines(&loaded), in_force: everything(&loaded), kept: None };
        let (common, standing) = (common.clone(), Mutex::new(standing));
        let (partitions, prefix) = (loaded.config.broker.partitions, loaded.config.broker.prefix.clone());
        let reload = Self { common, tokens, examine, partitions, prefix, standing, stop };
        Ok((loaded.config, Arc::new(reload)))
    }

    /// What is wrong with the files, a line for each.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.standing.lock().wrong.clone()
    }

    /// Whether the worker ends to begin anew.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        self.standing.lock().kept.is_some()
    }

    /// What a program that begins anew has to be told; none where the worker ends for another reason.
    #[must_use]
    pub fn kept(&self) -> Option<(&'static str, String)> {
        let kept = self.standing.lock().kept.clone()?;
        // Texts with paths that are Unicode, or else those are not kept.
        let kept: BTreeMap<&str, &FileText> =
            kept.iter().filter_map(|(file, text)| Some((file.to_str()?, text))).collect();
        let json = serde_json::to_string(&kept).unwrap_or_default();
        if json.len() > LARGEST_KEPT {
            tracing::warn!(
                bytes = json.len(),
                limit = LARGEST_KEPT,
                "files that are wrong are too large for what they said before to be kept: their integrations are not served"
            );
            return Some((KEPT_VARIABLE, String::new()));
        }
        Some((KEPT_VARIABLE, json))
    }

    /// Reads the configuration now, and has the worker begin anew where it differs.
    pub fn reload(&self) -> Reloaded {
        let (reloaded, wrong) = self.look();
        for line in wrong.iter().filter(|line| !self.standing.lock().wrong.contains(line)) {
            tracing::error!(reason = %sanitize(line), "a file of the configuration is wrong");
        }
        self.standing.lock().wrong = wrong;
        match &reloaded {
            Reloaded::Unchanged => tracing::info!("the configuration was read again; nothing has changed"),
            Reloaded::TakesEffect => {
                tracing::info!(
                    "the configuration has changed; finishing what is in flight, then it takes effect"
                );
                self.stop.cancel();
            }
            Reloaded::Refused(_) => {}
        }
        reloaded
    }

    fn look(&self) -> (Reloaded, Vec<String>) {
        let read = match self.read() {
            Ok(read) => read,
            Err(errors) => {
                let first = errors.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
                let line = format!("{first}; the configuration that was read before stays in force");
                return (Reloaded::Refused(errors), vec![line]);
            }
        };
        let wrong = lines(&read);
        let mut standing = self.standing.lock();
        let now = everything(&read);
        if standing.kept.is_some() || now == standing.in_force {
            return (Reloaded::Unchanged, wrong);
        }
        let is_kept = |file: &PathBuf| read.config.rejected.iter().any(|one| one.kept && one.file == *file);
        standing.kept = Some(now.into_iter().filter(|(file, _)| is_kept(file)).collect());
        (Reloaded::TakesEffect, wrong)
    }

    /// What the files say now; all that is wrong where nothing of it can be taken.
    fn read(&self) -> Result<Loaded, String> {
        let variables = config::process_environment();
        let files = self.files().map_err(|errors| errors.to_string())?;
        let before = self.standing.lock().in_force.clone();
        let mut loaded =
            files.parse(&variables, self.tokens, &before).map_err(|errors| errors.to_string())?;
        self.common.restrict(&mut loaded.config).map_err(|exit| exit.to_string())?;
        (self.examine)(&loaded.config)?;
        self.refuse_other_queues(&loaded.config)?;
        Ok(loaded)
    }

    /// With another number of partitions no worker would start, and under other names all would begin from nothing.
    fn refuse_other_queues(&self, config: &Config) -> Result<(), String> {
        let (now, prefix) = (config.broker.partitions, &config.broker.prefix);
        if now != self.partitions {
            return Err(format!(
                "broker.partitions is {now}, and the queues have {}: what that takes is in docs/operating.md (another number of \
                 partitions); no reload does it",
                self.partitions
            ));
        }
        if *prefix != self.prefix {
            return Err(format!(
                "broker.prefix is \"{prefix}\", and the queues are those of \"{}\": restart the workers to begin with others",
                self.prefix
            ));
        }
        Ok(())
    }

    fn files(&self) -> Result<Files, ConfigErrors> {
        Files::read(&config::find(self.common.config.as_deref(), &config::process_environment()))
    }

    /// Reloads whenever somebody wants it or a file has changed, until the worker stops.
    pub(crate) fn watch(self: &Arc<Self>, hang_ups: Signal) {
        tokio::spawn(self.clone().keep_looking(hang_ups));
    }

    async fn keep_looking(self: Arc<Self>, mut hang_up: Signal) {
        let mut seen = self.files().ok();
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                Some(()) = hang_up.recv() => {
                    systemd::reloading();
                    if self.reload() != Reloaded::TakesEffect {
                        systemd::ready();
                    }
                    seen = self.files().ok();
                }
                () = tokio::time::sleep(LOOK_EVERY) => self.look_for_a_change(&mut seen).await,
            }
        }
    }

    async fn look_for_a_change(&self, seen: &mut Option<Files>) {
        let mut now = self.files().ok();
        if now == *seen {
            return;
        }
        loop {
            tokio::time::sleep(STANDS_STILL).await;
            let later = self.files().ok();
            if later == now {
                break;
            }
            now = later;
        }
        *seen = now;
        tokio::time::sleep(APART.mul_f64(rand::random::<f64>())).await;
        if self.reload() == Reloaded::TakesEffect {
            systemd::reloading();
        }
    }
}

/// From now on SIGHUP does not end the process.
pub(crate) fn hang_ups() -> Result<Signal, Exit> {
    signal(SignalKind::hangup()).map_err(|error| Exit::Failed(format!("signals cannot be received: {error}")))
}

/// A program that takes its own place does not end because of a mistake that somebody typed at that very moment: no supervisor starts one
/// again whose configuration is wrong.
fn patiently(load: impl Fn() -> Result<Loaded, Exit>) -> Result<Loaded, Exit> {
    let takes_its_own_place = std::env::var_os(KEPT_VARIABLE).is_some();
    loop {
        match load() {
            Err(Exit::Configuration(errors)) if takes_its_own_place => {
                tracing::error!(%errors, "the configuration is wrong by now; waiting until it is right");
                std::thread::sleep(LOOK_EVERY);
            }
            loaded => return loaded,
        }
    }
}

fn lines(loaded: &Loaded) -> Vec<String> {
    loaded.config.rejected.iter().map(config::Rejected::line).collect()
}

/// What all files say that count: those of the configuration, and the profiles that they name.
fn everything(loaded: &Loaded) -> BTreeMap<PathBuf, FileText> {
    let profiles = loaded.config.integrations.iter().filter_map(|one| match &one.amfj.profile {
        config::ProfileSource::File(file) => Some((file.clone(), std::fs::read_to_string(file).ok()?.into())),
        config::ProfileSource::BuiltIn(_) => None,
    });
    loaded.in_force.clone().into_iter().chain(profiles).collect()
}
