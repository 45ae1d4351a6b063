//! Whether a folder can be written to, and what keeps it from being.

use std::io::{Error, ErrorKind, Write as _};
use std::path::Path;

use amfj_sync_security::private_files;
use nix::sys::statvfs::{Statvfs, statvfs};

/// What a store needs to begin with, so that it does not fail again at once.
const ROOM: usize = 1 << 20;

/// With less than this left, in bytes, it is looked at more closely.
const SCARCE: u64 = 4 << 20;

/// Written to try it out, and gone at once.
const TRIAL: &str = "room.trial";

/// Makes the folder if it is not there, and writes as much there as a store needs to begin with. Blocks.
pub(super) fn try_out(folder: &Path) -> Result<(), Error> {
    private_files::make_folder(folder)?;
    let trial = folder.join(TRIAL);
    let written = private_files::make_file(&trial).and_then(|mut file| {
        file.write_all(&vec![0xa5; ROOM])?;
        file.sync_data()
    });
    let removed = std::fs::remove_file(&trial);
    written.and(match removed {
        // Two workers that begin side by side try out the same folder.
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

/// Whether so little room is left that it has to be tried out whether any is: sled writes into room that it took long
/// before, and would notice only when it needs more.
pub(super) fn is_scarce(folder: &Path) -> bool {
    let room = |disk: Statvfs| disk.blocks_available().saturating_mul(disk.fragment_size());
    // What cannot be told is left to the trial of the store itself.
    statvfs(folder).is_ok_and(|disk| room(disk) < SCARCE)
}

/// Whether that comes right without anybody changing the settings: room is made, or the disk is mended.
pub(super) fn may_pass(error: &Error) -> bool {
    /// The disk itself fails; the kernel makes the file system read-only next.
    const EIO: i32 = 5;
    use ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StaleNetworkFileHandle, StorageFull};
    matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StaleNetworkFileHandle | StorageFull)
        || error.raw_os_error() == Some(EIO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_tried_out_and_nothing_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        try_out(&inner).unwrap();
        assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 0);
        let error = try_out(Path::new("/proc/nothing-can-be-made-here")).unwrap_err();
        assert!(!may_pass(&error), "{error}");
        assert!(may_pass(&Error::from(ErrorKind::StorageFull)) && may_pass(&Error::from_raw_os_error(5)));
    }
}
