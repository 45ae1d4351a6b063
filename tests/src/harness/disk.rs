//! A small disk of one's own, which can be filled, become read-only, and be mended: an ext4 image mounted through a
//! loop device, which takes root.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

use super::waiting::eventually;

/// Bytes of a disk: room for a worker's state and little more.
const SIZE: u64 = 24 << 20;

/// How long a worker may go on holding files of a disk that is to be mended.
const LET_GO_WITHIN: Duration = Duration::from_secs(30);

const FILLER: &str = "filler";

/// A mounted disk. Dropping it unmounts it, also when a test panics.
#[derive(Debug)]
pub struct SmallDisk {
    image: PathBuf,
    place: PathBuf,
    _folder: TempDir,
}

impl SmallDisk {
    /// Whether this process may mount disks; tests that need one are left out where it may not.
    #[must_use]
    pub fn can_be_made() -> bool {
        static CAN: OnceLock<bool> = OnceLock::new();
        *CAN.get_or_init(|| Self::new().is_ok())
    }

    /// An empty disk, mounted in a folder for temporary files.
    ///
    /// # Errors
    /// Where this process may not do that.
    pub fn new() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("amfj-sync-disk-").tempdir()?;
        let place = folder.path().join("mounted");
        fs::create_dir(&place)?;
        Self::make(folder, place)
    }

    /// An empty disk, mounted in place of what is in this folder.
    ///
    /// # Errors
    /// Where this process may not do that.
    pub fn over(place: &Path) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("amfj-sync-disk-").tempdir()?;
        fs::create_dir_all(place)?;
        Self::make(folder, place.to_owned())
    }

    fn make(folder: TempDir, place: PathBuf) -> Result<Self> {
        let image = folder.path().join("image");
        File::create(&image)?.set_len(SIZE)?;
        call(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(&image))?;
        let disk = Self { image, place, _folder: folder };
        disk.mount()?;
        Ok(disk)
    }

    /// Where it is mounted.
    #[must_use]
    pub fn place(&self) -> &Path {
        &self.place
    }

    /// Takes all room that is left.
    ///
    /// # Errors
    /// When that cannot be done, for another reason than that it is done.
    pub fn fill(&self) -> Result<()> {
        let mut filler = File::options().create(true).append(true).open(self.place.join(FILLER))?;
        for bytes in [1 << 16, 1 << 10, 1] {
            let block = vec![b'.'; bytes];
            while let Ok(written) = filler.write(&block) {
                ensure!(written > 0, "nothing was written and nothing failed");
            }
        }
        Ok(())
    }

    /// Gives it back.
    ///
    /// # Errors
    /// When nothing had been taken.
    pub fn make_room(&self) -> Result<()> {
        fs::remove_file(self.place.join(FILLER)).context("the disk was not full")
    }

    /// What the kernel does with a disk that fails: files that are open cannot be written to any more either.
    ///
    /// # Errors
    /// When it does not.
    pub fn become_read_only(&self) -> Result<()> {
        call(Command::new("mount").args(["-o", "remount,abort"]).arg(&self.place))
    }

    /// Mounts it anew, once nobody holds files of it.
    ///
    /// # Errors
    /// When somebody does.
    pub async fn mend(&self) -> Result<()> {
        let what = "nobody to hold files of the broken disk";
        eventually(LET_GO_WITHIN, what, async || call(Command::new("umount").arg(&self.place))).await?;
        self.mount()
    }

    fn mount(&self) -> Result<()> {
        call(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).arg(&self.image).arg(&self.place))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a worker that was just killed may still be on its way out.
        if let Err(error) = call(Command::new("umount").arg("--lazy").arg(&self.place)) {
            eprintln!("{error:#}");
        }
    }
}

fn call(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}: {said}", output.status);
    Ok(())
}
