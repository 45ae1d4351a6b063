//! Room for what a private broker and its workers write: named at once where it is missing.
//!
//! RabbitMQ itself starts without it, takes messages from nobody, and says why in a log alone.

use std::env::temp_dir;
use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use amfj_sync_security::private_files;
use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;

/// The write-ahead log of a node takes 64 MB, and below 50 MB of free space it takes no messages.
const NEEDED_MB: u64 = 200;

/// Enough to notice that a folder, or the share that somebody has of it, is full.
static TRIAL: [u8; 65_536] = [b'.'; 65_536];

/// Makes an empty folder for temporary files that only its owner can look into, and that is removed with the value.
///
/// # Errors
/// If the folder for temporary files is not writable.
pub fn temporary_folder(prefix: &str) -> io::Result<TempDir> {
    // Left to the umask, others could read the password of a broker and the emails of a fleet there.
    let private = Permissions::from_mode(private_files::FOLDER_MODE);
    tempfile::Builder::new().prefix(prefix).permissions(private).tempdir()
}

/// Whether the folder for temporary files can hold a private broker.
///
/// # Errors
/// If it cannot be written to or has too little room, with the cure.
pub fn temporary_folder_has_room() -> Result<()> {
    has_room(&temp_dir(), NEEDED_MB)
}

fn has_room(folder: &Path, megabytes: u64) -> Result<()> {
    let named = folder.display();
    if let Err(error) = write_and_remove(folder) {
        let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        let state = if is_full { "is full" } else { "cannot be written to" };
        bail!(
            "the folder for temporary files, {named}, {state} ({error}); make room there, or set TMPDIR to another \
             folder"
        );
    }
    let free = nix::sys::statvfs::statvfs(folder)
        .with_context(|| format!("cannot tell how much room {named} has"))
        .map(|of| of.blocks_available().saturating_mul(of.fragment_size()) / 1_000_000)?;
    ensure!(
        free >= megabytes,
        "the folder for temporary files, {named}, is full: {free} MB are free, and a private RabbitMQ needs {megabytes} \
         MB; make room there, or set TMPDIR to another folder"
    );
    Ok(())
}

fn write_and_remove(folder: &Path) -> io::Result<()> {
    let mut trial = tempfile::Builder::new().prefix("amfj-sync-room-").tempfile_in(folder)?;
    trial.write_all(&TRIAL)?;
    trial.as_file().sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_folder_that_cannot_be_used_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        has_room(folder.path(), 0).unwrap();
        let error = has_room(folder.path(), u64::MAX).unwrap_err().to_string();
        assert!(error.contains("is full") && error.contains("TMPDIR"), "{error}");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let gone = folder.path().join("gone");
        let error = format!("{:#}", has_room(&gone, 0).unwrap_err());
        assert!(error.contains(&gone.display().to_string()) && error.contains("TMPDIR"), "{error}");
    }
}
