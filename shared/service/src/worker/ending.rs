//! How a program begins and ends.

use std::panic::PanicHookInfo;
use std::process::ExitCode;
use std::time::Duration;

use amfj_sync_security::screen::say_error;

use super::Exit;
use super::anew::start_anew;

/// Before a worker that was ill starts anew.
const PAUSE: Duration = Duration::from_secs(1);

/// Does all the work of a program. A panic anywhere ends it, see [`end_at_a_panic`]. The runtime is left as it is at the
/// end, for the process ends with it: a name that is still being looked up must not hold that up, and lapin's thread panics
/// where what it waits for is cancelled.
///
/// # Errors
/// As `work`, or if the runtime cannot be started.
pub fn block_on(work: impl Future<Output = Result<(), Exit>>) -> Result<(), Exit> {
    end_at_a_panic();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::Failed(format!("the runtime cannot be started: {error}")))?;
    Box::leak(Box::new(runtime)).block_on(work)
}

/// Ends a `main`: prints what went wrong and gives the exit status.
#[must_use]
pub fn finish(result: Result<(), Exit>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Exit::Ill { reason, served }) => {
            say_error(&format!("{reason}; starting anew"));
            // Not as fast as it can, should it be ill again at once.
            std::thread::sleep(PAUSE);
            let error = start_anew(served.as_ref(), None);
            say_error(&format!("this program cannot be started anew: {error}"));
            ExitCode::FAILURE
        }
        Err(Exit::Anew { served, kept }) => {
            let error = start_anew(served.as_ref(), Some(kept));
            say_error(&format!("this program cannot be started anew: {error}"));
            ExitCode::FAILURE
        }
        Err(exit) => {
            if !matches!(exit, Exit::Trouble) {
                say_error(&exit.to_string());
            }
            ExitCode::from(exit.code())
        }
    }
}

/// Ends the process with status 1 at any panic, in whatever task or thread of ours or of a library, and says where and
/// why. A task that is gone would leave a worker that looks well and does half of its work; what was under way is as
/// after `kill -9`, which costs nothing, and whoever supervises workers starts it again.
///
/// This is instead of watching each task that is spawned: none can be forgotten, and the threads of sled and lapin are
/// watched too.
fn end_at_a_panic() {
    std::panic::set_hook(Box::new(|panic| {
        let (message, place) = (message_of(panic), panic.location().map(ToString::to_string));
        let thread = std::thread::current().name().unwrap_or("without a name").to_owned();
        tracing::error!(
            reason = message,
            place,
            thread,
            "this program panicked; it ends, to be started again"
        );
        if !tracing::event_enabled!(tracing::Level::ERROR) {
            let place = place.as_deref().unwrap_or("an unknown place");
            say_error(&format!("this program panicked at {place}: {message}"));
        }
        std::process::exit(1);
    }));
}

fn message_of(panic: &PanicHookInfo<'_>) -> String {
    panic.payload_as_str().unwrap_or("without a message").to_owned()
}
