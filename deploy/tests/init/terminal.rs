//! A person at a terminal: waits for a question, then types.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use parking_lot::Mutex;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_mins(1);

/// A call of `amfj-sync init` on a terminal; killed when dropped.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    seen: Arc<Mutex<Vec<u8>>>,
    /// Ends when nobody has the terminal open any more.
    reading: Option<JoinHandle<()>>,
    /// What was answered already.
    read: usize,
}

impl Terminal {
    /// Starts it in a folder, on a terminal so wide.
    pub(crate) fn start(folder: &Path, columns: u16, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = openpty(Some(&size), None).unwrap();
        let own = || Stdio::from(pair.slave.try_clone().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_amfj-sync"));
        command.arg("init").args(arguments).current_dir(folder);
        command.env_remove("AMFJ_SYNC_CONFIG").env("NO_COLOR", "1").env("TERM", "xterm");
        command.stdin(own()).stdout(own()).stderr(own());
        let child = command.spawn().unwrap();
        drop((command, pair.slave));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut reading, written) = (File::from(pair.master.try_clone().unwrap()), seen.clone());
        let reading = std::thread::spawn(move || {
            let mut buffer = [0_u8; 4096];
            while let Ok(count @ 1..) = reading.read(&mut buffer) {
                written.lock().extend_from_slice(&buffer[..count]);
            }
        });
        Self { child, keyboard: File::from(pair.master), seen, reading: Some(reading), read: 0 }
    }

    /// Everything on it so far.
    pub(crate) fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock()).replace("\r\n", "\n")
    }

    /// Waits until a question is asked that has these words in it, after those that were answered, and is ready to be answered.
    pub(crate) fn waits_for(&mut self, question: &str) {
        let began = Instant::now();
        loop {
            let seen = self.seen();
            let new = seen.get(self.read..).unwrap_or_default();
            // A question may be folded; it ends with a colon and no end of line.
            let flat = new.split_whitespace().collect::<Vec<_>>().join(" ");
            if flat.contains(question) && new.ends_with(": ") {
                self.read = seen.len();
                return;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() && began.elapsed() < LIMIT, "no {question:?} ({ended:?}) in:\n{seen}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a question and answers it with a line.
    pub(crate) fn answer(&mut self, question: &str, line: &str) {
        self.waits_for(question);
        self.press(format!("{line}\n").as_bytes());
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).unwrap();
    }

    /// Whether what is typed is shown.
    pub(crate) fn shows_what_is_typed(&self) -> bool {
        tcgetattr(&self.keyboard).unwrap().local_flags.contains(LocalFlags::ECHO)
    }

    /// The process.
    pub(crate) fn id(&self) -> nix::unistd::Pid {
        nix::unistd::Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Waits for its end.
    pub(crate) fn ends(&mut self) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                self.reading.take().unwrap().join().unwrap();
                return status;
            }
            assert!(began.elapsed() < LIMIT, "it does not end:\n{}", self.seen());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
