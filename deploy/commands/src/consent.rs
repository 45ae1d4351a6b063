//! Whether somebody agrees to what cannot be taken back.

use std::io::{BufRead as _, IsTerminal as _};

use amfj_sync_security::screen::ask_error;
use amfj_sync_service::worker::Exit;

/// Asks `question` on a terminal, and fails with `refused` unless the answer is yes. Where there is nobody to ask, `unasked` says
/// what to type: nobody is nobody who agrees.
pub(crate) fn ask(question: &str, unasked: String, refused: &str) -> Result<(), Exit> {
    if !std::io::stdin().is_terminal() {
        return Err(Exit::Configuration(unasked));
    }
    ask_error(question);
    let mut answer = String::new();
    // What cannot be read is no yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if answer.trim().eq_ignore_ascii_case("yes") { Ok(()) } else { Err(Exit::Failed(refused.to_owned())) }
}
