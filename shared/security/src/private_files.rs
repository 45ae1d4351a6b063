//! The one place where this product makes folders and files: they hold names, emails and serial numbers, so only their
//! owner may read them. `clippy.toml` bans the functions of `std::fs` that this stands for.
#![expect(clippy::disallowed_methods, reason = "this is the place that makes folders and files")]

use std::collections::BTreeSet;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

/// The rights of a folder that only its owner can look into.
pub const FOLDER_MODE: u32 = 0o700;

/// The rights of a file that only its owner can read.
pub const FILE_MODE: u32 = 0o600;

/// The user id of root, and the group id.
const ROOT: u32 = 0;

/// The right of a file's group to read it.
const GROUP_MAY_READ: u32 = 0o040;

/// The rights that people other than the owner have.
const OTHERS: u32 = 0o077;

/// Folders of which it was said that others can look into them: once is enough.
static TOLD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Makes a folder, with those that lead to it, which only its owner can look into. One that is there already is taken if
/// it is a folder of this user or of root; where others can look into it, a warning says so once, with the command that mends it.
///
/// # Errors
/// If it cannot be made, or if in its place is a symbolic link, a file, or a folder of somebody else: in a shared folder
/// such as `/tmp` that is how others make this process read or write something of theirs.
pub fn make_folder(path: &Path) -> Result<()> {
    // With a slash or a dot at its end the system would look at what a link leads to.
    let path = &path.components().collect::<PathBuf>();
    if let Some(there) = what_is_at(path)? {
        check_folder(&there)?;
    }
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path)?;
    // What is there now may have been made by somebody else meanwhile.
    let there = std::fs::symlink_metadata(path)?;
    check_folder(&there)?;
    if is_open_to_others(path) && TOLD.lock().insert(path.to_owned()) {
        tracing::warn!(
            folder = %path.display(),
            "others than its owner can look into this folder, which holds personal data; run: chmod 700 {}",
            path.display()
        );
    }
    Ok(())
}

/// Whether others than its owner have any right to what is there.
#[must_use]
pub fn is_open_to_others(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|there| there.mode() & OTHERS != 0)
}

/// Makes a file that only its owner can read, in place of what an earlier file there held.
///
/// # Errors
/// If it cannot be made, or if a symbolic link or a file of somebody else is in its place.
pub fn make_file(path: &Path) -> Result<File> {
    open(path, OpenOptions::new().write(true).create(true).truncate(false)).and_then(|file| {
        file.set_len(0)?;
        Ok(file)
    })
}

/// Opens a file to write at its end, and makes one that only its owner can read where there is none.
///
/// # Errors
/// As [`make_file`].
pub fn append_to_file(path: &Path) -> Result<File> {
    open(path, OpenOptions::new().append(true).create(true))
}

/// Writes a file that only its owner can read.
///
/// # Errors
/// As [`make_file`], or if it cannot be written whole.
pub fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    make_file(path)?.write_all(content.as_ref())
}

/// Writes to a place that a person named. A new file is its owner's alone; what is there already keeps its rights, and may
/// be a link or a device such as `/dev/stdout`.
///
/// # Errors
/// If it cannot be written.
pub fn write_where_told(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(content.as_ref())
}

/// Who may read a file that is replaced. One that is there keeps its owner, and its rights but for those of others to a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone: a secret.
    Owner,
    /// Its owner, and those whom root lets look into its folder: a file without secrets that a service of another user reads.
    OfTheFolder,
}

/// Replaces what a file holds, as a whole: whoever reads it finds what was there before, or all that is there now. A link
/// leads to the file that is replaced. What root makes belongs to whom its folder belongs, so that a service can read it.
///
/// # Errors
/// If it cannot be written; then what was there is still there.
pub fn replace_file(path: &Path, content: impl AsRef<[u8]>, readers: Readers) -> Result<()> {
    let path = match std::fs::canonicalize(path) {
        Ok(path) => path,
        Err(error) if error.kind() == ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let folder = match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(Error::new(ErrorKind::IsADirectory, "it is a folder")),
    };
    let like = std::fs::metadata(folder)?;
    let before = what_is_at(&path)?;
    let mut new = path.file_name().unwrap_or_default().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    let new = folder.join(new);
    let written = write_beside(&new, content.as_ref(), before.as_ref(), &like, readers);
    let written = written.and_then(|()| std::fs::rename(&new, &path));
    if written.is_err() {
        // Nobody reads it.
        drop(std::fs::remove_file(&new));
    }
    written
}

fn write_beside(
    new: &Path,
    content: &[u8],
    before: Option<&Metadata>,
    folder: &Metadata,
    readers: Readers,
) -> Result<()> {
    let not_a_link = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).custom_flags(not_a_link).open(new)?;
    file.write_all(content)?;
    let is_root = nix::unistd::geteuid().is_root();
    let for_others = readers == Readers::OfTheFolder && folder.mode() & GROUP_MAY_READ != 0;
    let mode = match before {
        Some(before) if readers == Readers::Owner => before.mode() & 0o700,
        Some(before) => before.mode() & 0o7777,
        None if for_others && is_root && folder.gid() != ROOT => FILE_MODE | GROUP_MAY_READ,
        None => FILE_MODE,
    };
    if is_root {
        let owner = before.unwrap_or(folder);
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// Opens without following a link, and makes the file its owner's alone before anything is written to it.
fn open(path: &Path, options: &mut OpenOptions) -> Result<File> {
    let not_a_link = nix::fcntl::OFlag::O_NOFOLLOW.bits();
    let file = options.mode(FILE_MODE).custom_flags(not_a_link).open(path).map_err(|error| {
        let is_link = what_is_at(path).is_ok_and(|there| there.is_some_and(|there| there.is_symlink()));
        if is_link { refused("it is a symbolic link, which may lead anywhere; remove it") } else { error }
    })?;
    let there = file.metadata()?;
    if !is_own(&there) {
        return Err(belongs_to_another(&there));
    }
    if there.is_file() && there.mode() & OTHERS != 0 {
        file.set_permissions(Permissions::from_mode(FILE_MODE))?;
    }
    Ok(file)
}

/// Closes a folder of this user to others, such as one that an earlier release left open and that is moved aside.
///
/// # Errors
/// If its rights cannot be changed.
pub fn close_to_others(folder: &Path) -> Result<()> {
    std::fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE))
}

fn what_is_at(path: &Path) -> Result<Option<Metadata>> {
    match std::fs::symlink_metadata(path) {
        Ok(there) => Ok(Some(there)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn check_folder(there: &Metadata) -> Result<()> {
    if there.is_symlink() {
        return Err(refused("it is a symbolic link, which may lead anywhere; name the folder itself"));
    }
    if !there.is_dir() {
        return Err(Error::new(ErrorKind::NotADirectory, "it is not a folder"));
    }
    // Root can do what it wants anyway; volumes of containers belong to it.
    if is_own(there) || there.uid() == ROOT { Ok(()) } else { Err(belongs_to_another(there)) }
}

fn is_own(there: &Metadata) -> bool {
    there.uid() == nix::unistd::geteuid().as_raw()
}

fn belongs_to_another(there: &Metadata) -> Error {
    let (owner, own) = (there.uid(), nix::unistd::geteuid());
    refused(&format!(
        "it belongs to another user (user id {owner}, and this runs as {own}), who could read what is written there"
    ))
}

fn refused(why: &str) -> Error {
    Error::new(ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests;
