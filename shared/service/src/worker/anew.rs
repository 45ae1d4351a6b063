//! The process that takes the place of one that cannot go on.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};

/// Where the endpoints of a worker are served, for the process that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// `fetcher`, `reconciler` or `writer`.
    pub role: String,
    /// The bound address.
    pub address: SocketAddr,
    /// Whether any free port was asked for.
    pub by_chance: bool,
}

/// Starts this program again in place of this process, with the same arguments: nothing that failed is left, no
/// supervisor has to count it as a crash, and where it is served stays the same. Returns only if that fails.
#[must_use]
pub(super) fn start_anew(served: Option<&Served>, told: Option<(&str, String)>) -> std::io::Error {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    if let Some(Served { role, address, .. }) = served.filter(|served| served.by_chance) {
        // Where any free port was asked for, those who have found it go on asking there.
        command.env(format!("AMFJ_SYNC__{}__LISTEN", role.to_uppercase()), address.to_string());
    }
    if let Some((variable, value)) = told {
        command.env(variable, value);
    }
    hold_hang_ups();
    command.exec()
}

/// Whoever asks for a reload at this very moment would end the program that comes, before it listens: the signal waits until then
/// ([`listen_to_hang_ups`]). Supervisors take that end for an orderly one, and start nothing again.
fn hold_hang_ups() {
    // It cannot fail for a signal that there is.
    let _ = hang_ups().thread_block();
}

/// Lets SIGHUP through that waited; something listens for it by now.
pub(crate) fn listen_to_hang_ups() {
    let _ = hang_ups().thread_unblock();
}

fn hang_ups() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGHUP);
    set
}
