//! The machine that a worker runs on: its disk and its clock.
//!
//! A data directory is full or cannot be written because a file system of its own is mounted there, which
//! takes root; the clock is moved by libfaketime, if it is installed. What cannot be done here is left out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures::future::LocalBoxFuture;
use rand::{Rng, rngs::StdRng};

use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::harness::{Role, SmallDisk};

pub(super) struct Machine;

const FULL: &str = "data directory full";
const READ_ONLY: &str = "data directory not writable";
const FILLS: &str = "disk fills while running";
const TURNS_READ_ONLY: &str = "disk becomes read-only while running";
const CORRUPT: &str = "data directory corrupt";
const DELETED: &str = "data directory deleted";
const DELETED_ALIVE: &str = "data directory deleted under the worker";
const FILE: &str = "a file in place of the data directory";
const FORWARD: &str = "clock two days forward, then right again";
const BACK: &str = "clock two days back, then right again";

/// Where distributions put it.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
];

fn faketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|path| Path::new(path).is_file())
}

/// Whether this process may mount file systems.
fn can_mount() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| {
        let Ok(place) = tempfile::tempdir() else { return false };
        let mounted = mount(place.path(), "size=64k").is_ok();
        mounted && unmount(place.path()).is_ok()
    })
}

/// The worker may make a file just when the folder is empty; then it is not gone yet.
fn delete_under_the_worker(folder: &Path) -> Result<()> {
    let mut tries = 0;
    loop {
        match std::fs::remove_dir_all(folder) {
            Err(error) if error.kind() == std::io::ErrorKind::DirectoryNotEmpty && tries < 100 => tries += 1,
            done => return done.with_context(|| format!("{} cannot be deleted", folder.display())),
        }
    }
}

fn mount(place: &Path, options: &str) -> Result<()> {
    call(Command::new("mount").args(["-t", "tmpfs", "-o", options, "amfj-sync-campaign"]).arg(place))
}

fn unmount(place: &Path) -> Result<()> {
    // Lazily: a process that just died may still be on its way out.
    call(Command::new("umount").arg("--lazy").arg(place))
}

fn call(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(
        output.status.success(),
        "{command:?} ended with {}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

impl Family for Machine {
    fn name(&self) -> &'static str {
        "machine"
    }

    fn faults(&self) -> Vec<String> {
        let mut faults = vec![CORRUPT, DELETED, DELETED_ALIVE, FILE];
        if can_mount() {
            faults.extend([FULL, READ_ONLY]);
        }
        if SmallDisk::can_be_made() {
            faults.extend([FILLS, TURNS_READ_ONLY]);
        }
        if faketime().is_some() {
            faults.extend([FORWARD, BACK]);
        }
        let each = |fault: &&str| Role::ALL.map(|role| format!("{fault} ({})", role.name()));
        faults.iter().flat_map(each).collect()
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let role = Role::ALL.into_iter().find(|role| fault.ends_with(&format!("({})", role.name())));
        let role = role.with_context(|| format!("no fault {fault}"))?;
        let pause = Duration::from_millis(rng.random_range(500..1_500));
        let way = match fault.split(" (").next() {
            Some(FULL) => Way::Mounted { options: format!("size={}k", rng.random_range(16..=700)) },
            Some(READ_ONLY) => Way::Mounted { options: "ro,size=64k".to_owned() },
            Some(CORRUPT) => Way::Corrupt,
            Some(DELETED) => Way::Deleted,
            Some(DELETED_ALIVE) => Way::DeletedAlive,
            Some(FILE) => Way::File,
            Some(FILLS) => return Ok(Box::new(Failing { role, pause, fills: true, disk: None })),
            Some(TURNS_READ_ONLY) => return Ok(Box::new(Failing { role, pause, fills: false, disk: None })),
            Some(FORWARD) => return Ok(Box::new(Clock { role, days: 2, pause })),
            Some(BACK) => return Ok(Box::new(Clock { role, days: -2, pause })),
            _ => bail!("no fault {fault}"),
        };
        Ok(Box::new(Disk { role, way, pause }))
    }
}

#[derive(Debug)]
enum Way {
    Mounted { options: String },
    Corrupt,
    Deleted,
    DeletedAlive,
    File,
}

/// Something is wrong with where a worker keeps its data.
struct Disk {
    role: Role,
    way: Way,
    pause: Duration,
}

impl Disk {
    fn folder(&self, stage: &Stage) -> PathBuf {
        stage.data().join(self.role.name())
    }
}

impl Fault for Disk {
    fn tell(&self) -> String {
        format!("the data directory of the {}: {:?}, for {:?}", self.role.name(), self.way, self.pause)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.may_exit = true;
            let folder = self.folder(stage);
            if matches!(self.way, Way::DeletedAlive) {
                delete_under_the_worker(&folder)?;
                stage.pass(self.pause).await;
                return stage.workers.kill9(self.role, 0).await;
            }
            let wanted = stage.workers.wanted(self.role);
            stage.workers.stop(self.role).await?;
            match &self.way {
                Way::Mounted { options } => mount(&folder, options)?,
                Way::Corrupt => corrupt(&folder)?,
                Way::Deleted | Way::DeletedAlive => std::fs::remove_dir_all(&folder)?,
                Way::File => {
                    std::fs::rename(&folder, folder.with_extension("aside"))?;
                    std::fs::write(&folder, "not a folder")?;
                }
            }
            stage.workers.scale(self.role, wanted).await?;
            stage.ask_for_a_run().await?;
            stage.pass(self.pause).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let folder = self.folder(stage);
            if matches!(self.way, Way::Mounted { .. } | Way::File) {
                let wanted = stage.workers.wanted(self.role);
                stage.workers.stop(self.role).await?;
                if matches!(self.way, Way::File) {
                    // The worker may have moved it away and gone on.
                    if folder.is_file() {
                        std::fs::remove_file(&folder)?;
                        std::fs::rename(folder.with_extension("aside"), &folder)?;
                    }
                } else {
                    unmount(&folder)?;
                }
                stage.workers.scale(self.role, wanted).await?;
            }
            Ok(Struck(1))
        })
    }
}

/// How soon a worker says that it is ill, and that it is well again.
const TOLD_WITHIN: Duration = Duration::from_mins(1);

/// The disk of one worker fails while it works; others of its kind have their own.
struct Failing {
    role: Role,
    pause: Duration,
    fills: bool,
    disk: Option<SmallDisk>,
}

impl Failing {
    /// Waits until one worker of the role says that it is ill, or all say that they are not.
    async fn told(&self, stage: &mut Stage, ill: bool) -> Result<()> {
        let begin = std::time::Instant::now();
        loop {
            let mut reasons = Vec::new();
            for worker in stage.workers.of(self.role) {
                match worker.get("/readyz").await {
                    Ok((503, body)) if body.contains("data directory") => reasons.push(body),
                    _ => {}
                }
            }
            if reasons.is_empty() != ill {
                return Ok(());
            }
            let name = self.role.name();
            ensure!(
                begin.elapsed() < TOLD_WITHIN,
                "a {name} says nothing of its disk, or still does: {reasons:?}"
            );
            stage.pass(self.pause).await;
        }
    }
}

impl Fault for Failing {
    fn tell(&self) -> String {
        let how = if self.fills { "fills up" } else { "becomes read-only" };
        format!("the disk of a {} {how} while it runs, for {:?}", self.role.name(), self.pause)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let folder = stage.data().join(self.role.name());
            let wanted = stage.workers.wanted(self.role);
            stage.workers.stop(self.role).await?;
            let disk = SmallDisk::over(&folder)?;
            stage.workers.scale(self.role, wanted).await?;
            stage.ask_for_a_run().await?;
            stage.pass(self.pause).await;
            if self.fills {
                disk.fill()?;
            } else {
                disk.become_read_only()?;
            }
            self.disk = Some(disk);
            stage.ask_for_a_run().await?;
            self.told(stage, true).await
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let disk = self.disk.take().context("no disk failed")?;
            if self.fills {
                disk.make_room()?;
            } else {
                disk.mend().await?;
            }
            self.told(stage, false).await?;
            // The worker is well by itself. What was under the disk comes back only for the next fault.
            let wanted = stage.workers.wanted(self.role);
            stage.workers.stop(self.role).await?;
            drop(disk);
            stage.workers.scale(self.role, wanted).await?;
            Ok(Struck(1))
        })
    }
}

/// Overwrites the middle of every file.
fn corrupt(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).context("no data directory")?.flatten() {
        let path = entry.path();
        if path.is_file() {
            let mut bytes = std::fs::read(&path)?;
            let (from, to) = (bytes.len() / 8, bytes.len() - bytes.len() / 8);
            bytes[from..to].fill(0xA5);
            std::fs::write(&path, bytes)?;
        }
    }
    Ok(())
}

/// A worker's clock is wrong, then right again.
struct Clock {
    role: Role,
    days: i32,
    pause: Duration,
}

impl Fault for Clock {
    fn tell(&self) -> String {
        format!("the clock of the {} is {:+} days off for {:?}", self.role.name(), self.days, self.pause)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let library = faketime().context("libfaketime is not installed")?;
            let offset = format!("{:+}d", self.days);
            for (name, value) in
                [("LD_PRELOAD", library), ("FAKETIME", &offset), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]
            {
                stage.workers.set_environment(self.role, name, value);
            }
            stage.workers.kill_all(self.role).await?;
            stage.workers.revive()
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.pause).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            for name in ["LD_PRELOAD", "FAKETIME", "FAKETIME_DONT_FAKE_MONOTONIC"] {
                stage.workers.unset_environment(self.role, name);
            }
            stage.workers.kill_all(self.role).await?;
            stage.workers.revive()?;
            Ok(Struck(1))
        })
    }
}
