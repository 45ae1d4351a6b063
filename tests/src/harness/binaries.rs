//! Where the programs are, and that they are of today's source.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use parking_lot::Mutex;

use super::workers::Role;

/// A folder with finished binaries, for instance of a package; they are used as they are.
pub const BINARIES_VARIABLE: &str = "AMFJ_SYNC_BIN_DIR";

/// One build at a time; Cargo's own lock would do, but says so on the terminal.
static BUILDING: Mutex<()> = Mutex::new(());

/// The path of a program, of the profile that this executable has. It is built first if it
/// is missing or older than its source.
///
/// # Errors
/// If it cannot be found or built.
pub fn binary(role: Role) -> Result<PathBuf> {
    static FETCHER: OnceLock<PathBuf> = OnceLock::new();
    static RECONCILER: OnceLock<PathBuf> = OnceLock::new();
    static WRITER: OnceLock<PathBuf> = OnceLock::new();
    static OPERATOR: OnceLock<PathBuf> = OnceLock::new();
    let known = match role {
        Role::Fetcher => &FETCHER,
        Role::Reconciler => &RECONCILER,
        Role::Writer => &WRITER,
        Role::Operator => &OPERATOR,
    };
    if let Some(path) = known.get() {
        return Ok(path.clone());
    }
    let path = find_or_build(role)?;
    Ok(known.get_or_init(|| path).clone())
}

fn find_or_build(role: Role) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os(BINARIES_VARIABLE) {
        let path = Path::new(&folder).join(role.name());
        ensure!(path.is_file(), "{BINARIES_VARIABLE} is set, but {} is missing", path.display());
        return Ok(path);
    }
    let path = profile_folder()?.join(role.name());
    let _turn = BUILDING.lock();
    if !is_current(&path, role) {
        build(role)?;
        ensure!(path.is_file(), "cargo built {} elsewhere than {}", role.name(), path.display());
    }
    Ok(path)
}

/// `target/debug`, `target/release` or the like.
fn profile_folder() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("cannot tell where this program is")?;
    let folder = executable.parent().ok_or_else(|| anyhow!("this program is in no folder"))?;
    // Tests are one level deeper than programs.
    let is_test = folder.file_name().is_some_and(|name| name == "deps");
    let profile = if is_test { folder.parent() } else { Some(folder) };
    profile.map(Path::to_owned).ok_or_else(|| anyhow!("{} is not in a target folder", executable.display()))
}

/// Cargo's target folder, of which this executable is a part.
pub(crate) fn target_folder() -> Result<PathBuf> {
    let profile = profile_folder()?;
    profile
        .parent()
        .map(Path::to_owned)
        .ok_or_else(|| anyhow!("{} is not in a target folder", profile.display()))
}

/// The top of the workspace this program was built from.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Running the tests of this package alone does not build the workers: Cargo knows nothing of the
/// dependency.
fn is_current(path: &Path, role: Role) -> bool {
    let Ok(built) = fs::metadata(path).and_then(|data| data.modified()) else { return false };
    let of_it: &[&str] = match role {
        Role::Fetcher => &["fetcher"],
        Role::Reconciler => &["reconciler"],
        Role::Writer => &["writer"],
        // It knows the readings of the one, the rules of the other and what the third makes again.
        Role::Operator => &["deploy", "fetcher", "reconciler", "writer"],
    };
    let folders = of_it.iter().chain(&["shared"]).map(|folder| workspace().join(folder));
    let sources: Vec<PathBuf> = folders.flat_map(|folder| sources_below(&folder)).collect();
    sources.iter().all(|folder| newest(folder).is_none_or(|changed| changed <= built))
}

/// The sources of a crate, and of those in folders of its own.
fn sources_below(folder: &Path) -> Vec<PathBuf> {
    let inner = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path().join("src"));
    inner.chain([folder.join("src")]).filter(|sources| sources.is_dir()).collect()
}

/// When the newest file below `folder` was changed.
fn newest(folder: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    entries
        .filter_map(|entry| {
            let data = entry.metadata().ok()?;
            if data.is_dir() { newest(&entry.path()) } else { data.modified().ok() }
        })
        .max()
}

fn build(role: Role) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let profile = profile_folder()?;
    let name = profile.file_name().and_then(|name| name.to_str()).unwrap_or("debug");
    let output = Command::new(cargo)
        // All of them, as `tests/run` does: with one alone its dependencies have other features, and are built again.
        .args(["build", "--quiet", "--workspace", "--bins", "--locked"])
        .args(["--profile", if name == "debug" { "dev" } else { name }])
        .arg("--target-dir")
        .arg(target_folder()?)
        .current_dir(workspace())
        .output()
        .with_context(|| format!("cannot run cargo to build {}", role.name()))?;
    if !output.status.success() {
        bail!("cannot build {}:\n{}", role.name(), String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
