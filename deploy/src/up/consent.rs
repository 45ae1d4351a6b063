//! Asks a person before anything is written to their own AMFJ.

use std::io::{IsTerminal as _, stdin};

use amfj_sync_config::{Config, Mode};
use tokio::sync::oneshot;

/// What follows from what a person said, or could not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Go on.
    Given,
    /// Somebody said no.
    Refused,
    /// Nobody can be asked: standard input is no terminal.
    Unasked,
}

/// One line for each integration that writes; none if all of them only plan.
pub(crate) fn what_is_written(config: &Config) -> Vec<String> {
    let writes = config.integrations.iter().filter(|one| one.mode == Mode::Apply);
    writes
        .map(|one| {
            let which = match one.apply_only.len() {
                0 => "every change".to_owned(),
                1 => "the changes of 1 device (apply_only)".to_owned(),
                some => format!("the changes of {some} devices (apply_only)"),
            };
            format!("{}: mode = \"apply\" writes {which} to {}", one.id, one.amfj.api_url)
        })
        .collect()
}

/// Whether a person can be asked at all.
pub(crate) fn can_be_asked() -> bool {
    stdin().is_terminal()
}

/// Asks. Whoever closes standard input has said no.
pub(crate) async fn ask() -> Consent {
    if !can_be_asked() {
        return Consent::Unasked;
    }
    amfj_sync_security::screen::ask("Write to AMFJ? [y/N] ");
    let (answer, answered) = oneshot::channel();
    // A thread of its own: nothing may wait for it when Control-C ends this process.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = stdin().read_line(&mut line);
        answer.send(if read.is_ok() { line } else { String::new() })
    });
    consent_in(&answered.await.unwrap_or_default())
}

fn consent_in(line: &str) -> Consent {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" => Consent::Given,
        _ => Consent::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        for (line, consent) in [
            ("y\n", Consent::Given),
            (" YES \n", Consent::Given),
            ("\n", Consent::Refused),
            ("", Consent::Refused),
            ("yellow\n", Consent::Refused),
        ] {
            assert_eq!(consent_in(line), consent, "{line:?}");
        }
    }
}
