//! Ends a process group when this process dies without having had time to.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// Waits for the end of its standard input, which comes with the death of whoever holds the other
/// end, and kills the group. Ignores what a terminal sends.
const SCRIPT: &str = "trap '' INT HUP TERM; read -r _; kill -s KILL -- \"-$1\"";

/// A small process that kills a process group once this process is gone, also after `SIGKILL`.
///
/// The kernel could do it by itself (`PR_SET_PDEATHSIG`), but not without unsafe code.
#[derive(Debug)]
pub struct Watchdog {
    process: Child,
}

impl Watchdog {
    /// Guards the process group `group`.
    ///
    /// # Errors
    /// If `sh` cannot be started.
    pub fn over(group: u32) -> io::Result<Self> {
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog", &group.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self { process })
    }
}

impl Drop for Watchdog {
    /// Calls the watchdog off: the group's number may soon belong to somebody else.
    fn drop(&mut self) {
        kill_group(self.process.id());
        // Only the record of a process that was just killed is collected here.
        let _ = self.process.wait();
    }
}

/// Kills a process group that this process started. One that is gone already is fine.
pub fn kill_group(group: u32) {
    signal_group(group, Signal::SIGKILL);
}

/// Sends a signal to a process group that this process started.
pub fn signal_group(group: u32, signal: Signal) {
    // A number of 0 or 1 would mean our own group or every process.
    if let Ok(id) = i32::try_from(group)
        && id > 1
    {
        // The only possible error on a group of ours is that it is gone.
        let _ = killpg(Pid::from_raw(id), signal);
    }
}

/// Waits until no process of a killed group is left, at most `limit`.
pub(crate) fn wait_until_gone(group: u32, limit: Duration) {
    let Ok(id) = i32::try_from(group) else { return };
    let begin = Instant::now();
    while id > 1 && killpg(Pid::from_raw(id), None).is_ok() && begin.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").process_group(0).spawn().unwrap()
    }

    #[test]
    fn kills_the_group_when_its_owner_is_gone() {
        use std::os::unix::process::ExitStatusExt as _;
        let mut guarded = sleeper();
        let mut watchdog = Watchdog::over(guarded.id()).unwrap();
        // What the kernel does to the pipe when this process dies.
        drop(watchdog.process.stdin.take());
        assert_eq!(guarded.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn does_nothing_once_it_is_called_off() {
        let mut guarded = sleeper();
        drop(Watchdog::over(guarded.id()).unwrap());
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(guarded.try_wait().unwrap(), None);
        kill_group(guarded.id());
        guarded.wait().unwrap();
    }
}
