//! What each program does to itself before anything else, so that others on its machine see nothing of what it holds.

use nix::sys::resource::{Resource, setrlimit};
use nix::sys::stat::{Mode, umask};

/// Makes what this process writes its user's alone, and keeps its memory, which holds tokens, out of core dumps and away
/// from debuggers of the same user. Call it first in every `main`.
///
/// Umask and limit go on to child processes. That the memory cannot be read does not: a program that is started anew says
/// so for itself.
pub fn harden_process() {
    umask(Mode::S_IRWXG | Mode::S_IRWXO);
    // Lowering limits is always allowed, and a kernel that knows no such word has no core dumps to keep from.
    let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_dumpable(false);
}
