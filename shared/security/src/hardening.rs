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

#[cfg(test)]
mod tests {
    use nix::sys::resource::getrlimit;

    use super::*;

    #[test]
    fn a_hardened_process_writes_for_its_user_alone_and_no_core_dumps() {
        harden_process();
        assert_eq!(getrlimit(Resource::RLIMIT_CORE).unwrap(), (0, 0));
        let umask_of_harden = Mode::S_IRWXG | Mode::S_IRWXO;
        assert_eq!(umask(umask_of_harden), umask_of_harden);
        #[cfg(target_os = "linux")]
        assert!(!nix::sys::prctl::get_dumpable().unwrap());
    }
}
