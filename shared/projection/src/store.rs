//! Where a view keeps its rows: sled on disk, or a map in memory for commands and tests.
//!
//! The only module that touches sled. Nothing here is the only copy of anything: the stream is.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use amfj_sync_security::private_files;

use super::room;
use crate::illness::Illness;

/// Why the local store failed. The view is rebuilt from the stream after that.
#[derive(Debug, thiserror::Error)]
#[error("the local state cannot be read or written: {reason}")]
pub struct StoreError {
    reason: String,
    /// Whether what is there is nothing that this release can read.
    undecodable: bool,
    /// Whether it comes right when there is room again.
    passes: bool,
}

impl StoreError {
    /// A row that is not what its table holds.
    pub(super) fn undecodable(table: &str, error: &dyn std::fmt::Display) -> Self {
        Self { reason: format!("a row of `{table}`: {error}"), undecodable: true, passes: false }
    }

    /// Whether what is there is nothing that this release can read; else reading or writing failed.
    pub(super) fn is_undecodable(&self) -> bool {
        self.undecodable
    }

    fn because(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), undecodable: false, passes: false }
    }

    /// The folder cannot be written to.
    fn of_folder(folder: &Path, error: &std::io::Error) -> Self {
        let passes = room::may_pass(error);
        let cure =
            if passes { "make room there, or see that it can be written to" } else { "set `data_dir`" };
        let reason = format!("the data directory {} cannot be used: {error}; {cure}", folder.display());
        Self { reason, undecodable: false, passes }
    }

    /// Whether it comes right by itself when somebody makes room: it is waited for.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.passes
    }

    /// Somebody could not read a row.
    #[must_use]
    pub fn unreadable() -> Self {
        Self::because("a row could not be read")
    }

    /// For stores that fail on purpose.
    #[cfg(test)]
    pub(super) fn on_purpose() -> Self {
        Self::because("on purpose")
    }
}

impl From<sled::Error> for StoreError {
    fn from(error: sled::Error) -> Self {
        Self::because(error.to_string())
    }
}

/// One write: a key with its new value, or none to delete it.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// An ordered map of bytes that takes several writes in one step.
pub trait Store: Send + Sync {
    /// Looks at the value of a key where it is; not called where there is none.
    fn look(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> Result<(), StoreError>;

    /// Calls `visit` for every row whose key has the prefix and comes after `after`, in order, until it
    /// says `false`. So a long scan can be done in steps.
    fn scan_after(
        &self,
        prefix: &[u8],
        after: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError>;

    /// A copy of the value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut found = None;
        self.look(key, &mut |value| found = Some(value.to_vec()))?;
        Ok(found)
    }

    /// Calls `visit` for every row whose key has the prefix, in order, until it says `false`.
    fn scan(&self, prefix: &[u8], visit: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        self.scan_after(prefix, b"", visit)
    }

    /// Writes all rows or none.
    fn apply(&mut self, writes: Vec<(Vec<u8>, Option<Vec<u8>>)>) -> Result<(), StoreError>;

    /// Deletes everything.
    fn clear(&mut self) -> Result<(), StoreError>;

    /// Waits until what was written is on the disk. Blocks.
    fn flush(&self) -> Result<(), StoreError>;
}

/// Rows in memory.
#[derive(Debug, Default)]
pub struct MemoryStore(BTreeMap<Vec<u8>, Vec<u8>>);

impl Store for MemoryStore {
    fn look(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        self.0.get(key).into_iter().for_each(|value| look(value));
        Ok(())
    }

    fn scan_after(
        &self,
        prefix: &[u8],
        after: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        for (key, value) in self.0.range::<[u8], _>(first_key(prefix, after)) {
            if !key.starts_with(prefix) || !visit(key, value) {
                break;
            }
        }
        Ok(())
    }

    fn apply(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        for (key, value) in writes {
            match value {
                Some(value) => self.0.insert(key, value),
                None => self.0.remove(&key),
            };
        }
        Ok(())
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.0.clear();
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Where a scan begins: at the prefix, or behind the last row that was seen.
fn first_key<'a>(prefix: &'a [u8], after: &'a [u8]) -> (Bound<&'a [u8]>, Bound<&'a [u8]>) {
    let first = if after.is_empty() { Bound::Included(prefix) } else { Bound::Excluded(after) };
    (first, Bound::Unbounded)
}

/// Rows on disk. The first failure makes the worker ill: sled goes on failing, whatever becomes of the disk.
#[derive(Debug)]
pub struct SledStore {
    tree: sled::Tree,
    health: Health,
}

impl SledStore {
    fn open(db: &sled::Db, tree: &str, health: Health) -> Result<Self, StoreError> {
        Ok(Self { tree: health.of(db.open_tree(tree))?, health })
    }
}

impl Store for SledStore {
    fn look(&self, key: &[u8], look: &mut dyn FnMut(&[u8])) -> Result<(), StoreError> {
        if let Some(value) = self.health.of(self.tree.get(key))? {
            look(&value);
        }
        Ok(())
    }

    fn scan_after(
        &self,
        prefix: &[u8],
        after: &[u8],
        visit: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        for row in self.tree.range::<&[u8], _>(first_key(prefix, after)) {
            let (key, value) = self.health.of(row)?;
            if !key.starts_with(prefix) || !visit(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn apply(&mut self, writes: Vec<Write>) -> Result<(), StoreError> {
        let mut batch = sled::Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.health.of(self.tree.apply_batch(batch))
    }

    fn clear(&mut self) -> Result<(), StoreError> {
        self.health.of(self.tree.clear())
    }

    fn flush(&self) -> Result<(), StoreError> {
        // Plain `flush` on a blocking thread: `flush_async` of sled 0.34 deadlocks from 16 callers on.
        self.health.of(self.tree.flush()).map(drop)
    }
}

/// Whether a database still works, and who is told when it does not.
#[derive(Debug, Clone)]
struct Health {
    folder: std::path::PathBuf,
    illness: Illness,
}

impl Health {
    fn of<T>(&self, done: Result<T, sled::Error>) -> Result<T, StoreError> {
        done.map_err(|error| {
            let failed = match &error {
                sled::Error::Io(error) => StoreError::of_folder(&self.folder, error),
                error => {
                    StoreError::because(format!("the data directory {}: {error}", self.folder.display()))
                }
            };
            self.illness.strike(|| failed.reason.clone());
            failed
        })
    }
}

/// A worker's data directory: locked for one process, moved aside when it is broken.
#[derive(Debug)]
pub struct DataDir {
    db: sled::Db,
    path: std::path::PathBuf,
    illness: Illness,
}

/// How many directories beside the configured one are tried before giving up.
const MOST_WORKERS_A_DIRECTORY: u32 = 64;

/// The format of the rows. Raise it whenever rows are written differently, an index is added, or a new
/// kind of fact alters the view: a release that did not know the fact passed it over, so what it left
/// in its directory lacks it. Other formats are moved aside.
pub const STATE_FORMAT: u32 = 8;

/// The tree that says what the others are.
const ABOUT: &str = "about";
const FORMAT_KEY: &str = "format";
const TRIED_KEY: &str = "tried";

/// Where a worker keeps its rows, and how much of them in memory as well.
#[derive(Debug, Clone, Copy)]
pub struct OnDisk<'a> {
    /// The data directory.
    pub path: &'a Path,
    /// Bytes of pages that sled keeps in memory.
    pub cache: u64,
    /// Whether rows can be looked up by what matching looks for (`Indexes::All`).
    pub for_matching: bool,
}

impl<'a> OnDisk<'a> {
    /// With few indexes and little of it in memory: enough for who mostly writes rows, or reads them once and in order.
    #[must_use]
    pub fn at(path: &'a Path) -> Self {
        Self { path, cache: 4 << 20, for_matching: false }
    }
}

impl DataDir {
    /// Opens `path`, or `path.2`, `path.3`, … where it is in use by another worker. A directory that
    /// cannot be read, or that another release wrote in another format, is moved aside
    /// (`….broken-<time>`, `….format-1-<time>`) and started anew: its content is rebuilt from the stream.
    /// Blocks.
    pub fn open(OnDisk { path, cache, .. }: OnDisk<'_>) -> Result<Self, StoreError> {
        make_room(path).map_err(|error| StoreError::of_folder(path, &error))?;
        for number in 1..=MOST_WORKERS_A_DIRECTORY {
            let candidate = numbered(path, number);
            match open_db(&candidate, cache) {
                Ok(db) => match format_of(&db) {
                    Ok(STATE_FORMAT) => return Ok(Self::of(db, candidate)),
                    Ok(format) => {
                        drop(db);
                        tracing::warn!(
                            directory = %candidate.display(), format, expected = STATE_FORMAT,
                            "the local state was written by another release"
                        );
                        return Self::open_anew(&candidate, cache, &format!("format-{format}"));
                    }
                    Err(sled::Error::Io(error)) if !is_corruption(&error) => {
                        return Err(StoreError::of_folder(&candidate, &error));
                    }
                    Err(error) => {
                        drop(db);
                        return Self::open_anew_because(&candidate, cache, &error);
                    }
                },
                Err(error) if in_use(&error) => {}
                Err(sled::Error::Io(error)) if !is_corruption(&error) => {
                    return Err(StoreError::of_folder(&candidate, &error));
                }
                Err(error) => return Self::open_anew_because(&candidate, cache, &error),
            }
        }
        Err(StoreError::because(format!(
            "{} and {MOST_WORKERS_A_DIRECTORY} beside it are in use",
            path.display()
        )))
    }

    fn open_anew_because(path: &Path, cache: u64, broken: &sled::Error) -> Result<Self, StoreError> {
        tracing::warn!(directory = %path.display(), error = %broken, "the local state is broken");
        Self::open_anew(path, cache, "broken")
    }

    fn open_anew(path: &Path, cache: u64, mark: &str) -> Result<Self, StoreError> {
        let stamp = jiff::Timestamp::now().as_millisecond();
        let aside = path.with_file_name(format!(
            "{}.{mark}-{stamp}",
            path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()
        ));
        tracing::warn!(
            directory = %path.display(), moved_to = %aside.display(),
            "the local state is moved aside and rebuilt from the broker, which has all of it; the directory moved \
             aside can be deleted"
        );
        match std::fs::rename(path, &aside) {
            Ok(()) => private_files::close_to_others(&aside)
                .map_err(|error| StoreError::of_folder(&aside, &error))?,
            Err(error) => {
                // A file system of its own is mounted there, or the folder above belongs to somebody else.
                tracing::warn!(directory = %path.display(), %error, "it cannot be moved, and is emptied instead");
                empty(path).map_err(|error| StoreError::of_folder(path, &error))?;
            }
        }
        let db = open_db(path, cache)?;
        format_of(&db)?;
        Ok(Self::of(db, path.to_owned()))
    }

    fn of(db: sled::Db, path: std::path::PathBuf) -> Self {
        Self { db, path, illness: Illness::default() }
    }

    /// What ails it.
    #[must_use]
    pub fn illness(&self) -> &Illness {
        &self.illness
    }

    /// Writes something, to the disk, so that one that cannot be written to is noticed also where nothing is to be
    /// written. Blocks.
    pub fn try_out(&self) {
        let health = self.health();
        let room = if room::is_scarce(&self.path) { room::try_out(&self.path) } else { Ok(()) };
        let room = health.of(room.map_err(sled::Error::Io));
        let about = room.and_then(|()| health.of(self.db.open_tree(ABOUT)));
        let written = about.and_then(|about| {
            let now = jiff::Timestamp::now().as_second().to_be_bytes();
            health.of(about.insert(TRIED_KEY, &now))?;
            health.of(about.flush())
        });
        // Whoever is to know has been told.
        drop(written);
    }

    fn health(&self) -> Health {
        Health { folder: self.path.clone(), illness: self.illness.clone() }
    }

    /// The directory that was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The rows of one integration.
    pub fn store(&self, integration: &str) -> Result<SledStore, StoreError> {
        SledStore::open(&self.db, &format!("view/{integration}"), self.health())
    }

    /// A tree for work in progress that may be lost at any time.
    pub fn scratch(&self, name: &str) -> Result<SledStore, StoreError> {
        SledStore::open(&self.db, &format!("scratch/{name}"), self.health())
    }
}

/// The format of what is in there; an empty database gets this release's.
fn format_of(db: &sled::Db) -> Result<u32, sled::Error> {
    let about = db.open_tree(ABOUT)?;
    if let Some(format) = about.get(FORMAT_KEY)? {
        let format = format.as_ref().try_into().map(u32::from_be_bytes);
        // Not four bytes: whoever wrote that is not known here.
        return Ok(format.unwrap_or(0));
    }
    let before_formats = db.tree_names().iter().any(|name| name.starts_with(b"view/"));
    if before_formats {
        return Ok(1);
    }
    about.insert(FORMAT_KEY, &STATE_FORMAT.to_be_bytes())?;
    Ok(STATE_FORMAT)
}

/// Sees that there is room for what is to be kept in the folder. What was moved aside before goes first.
fn make_room(path: &Path) -> Result<(), std::io::Error> {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match room::try_out(path) {
        Err(error) if matches!(error.kind(), QuotaExceeded | StorageFull) && remove_moved_aside(path) => {
            room::try_out(path)
        }
        tried => tried,
    }
}

/// Removes broken directories that were moved aside: on a full disk they are in the way. Answers whether there were any.
fn remove_moved_aside(path: &Path) -> bool {
    let Some((folder, name)) = path.parent().zip(path.file_name()) else { return false };
    let mark = format!("{}.broken-", name.to_string_lossy());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let aside = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&mark));
    let removed = aside.filter(|entry| {
        tracing::warn!(directory = %entry.path().display(), "removed, because the disk is full");
        std::fs::remove_dir_all(entry.path()).is_ok()
    });
    removed.count() > 0
}

/// Removes all that is in a folder.
fn empty(folder: &Path) -> Result<(), std::io::Error> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { std::fs::remove_dir_all(&path)? } else { std::fs::remove_file(&path)? }
    }
    Ok(())
}

fn numbered(path: &Path, number: u32) -> std::path::PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

#[expect(clippy::disallowed_methods, reason = "this module stands before it")]
fn open_db(path: &Path, cache: u64) -> Result<sled::Db, sled::Error> {
    private_files::make_folder(path)?;
    sled::Config::new().path(path).cache_capacity(cache).flush_every_ms(Some(1_000)).open()
}

/// sled answers a lock held by another process with an `Io` error that has only a text.
fn in_use(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.kind() == std::io::ErrorKind::WouldBlock
        || io.to_string().contains("could not acquire lock"))
}

fn is_corruption(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
    matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
}
