//! The process that takes the place of one that cannot go on.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Where the endpoints of a worker are served, for the process that takes its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// `fetcher`, `reconciler` or `writer`.
    pub role: String,
    /// The bound address.
    pub address: SocketAddr,
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
    if let Some(Served { role, address }) = served {
        // Where any free port was asked for, those who have found it go on asking there.
        command.env(format!("AMFJ_SYNC__{}__LISTEN", role.to_uppercase()), address.to_string());
    }
    if let Some((variable, value)) = told {
        command.env(variable, value);
    }
    command.exec()
}
