//! Questions on a terminal, one at a time. What was typed or pasted before a question was shown is no answer to it: the second
//! line of a token that was pasted with one would answer the next question.

use std::io::{BufRead as _, IsTerminal as _, stdin};

use amfj_sync_security::screen::{Screen, Style, ask, say, steers};
use amfj_sync_service::worker::Exit;
use nix::sys::termios::{FlushArg, LocalFlags, SetArg, Termios, tcflush, tcgetattr, tcsetattr};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

/// Shows and asks, and knows whether there is anybody to be asked.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    screen: Screen,
    asks: bool,
    stop: CancellationToken,
}

impl Asker {
    /// Asks on the terminal, unless nothing is to be asked.
    pub(crate) fn new(is_silent: bool, stop: CancellationToken) -> Self {
        Self { screen: Screen::stdout(), asks: !is_silent && stdin().is_terminal(), stop }
    }

    /// Whether questions are asked at all.
    pub(crate) fn asks(&self) -> bool {
        self.asks
    }

    /// Where it shows.
    pub(crate) fn screen(&self) -> &Screen {
        &self.screen
    }

    /// Shows a heading over questions, where there are any.
    pub(crate) fn heading(&self, text: &str) {
        if self.asks {
            self.title(text);
        }
    }

    /// Shows a heading over what everybody is told.
    pub(crate) fn title(&self, text: &str) {
        say(&format!("\n{}", self.screen.ink(Style::Bold, text)));
    }

    /// Shows a sentence, where somebody reads it.
    pub(crate) fn explain(&self, text: &str) {
        if self.asks {
            self.tell(text);
        }
    }

    /// Shows a sentence.
    pub(crate) fn tell(&self, text: &str) {
        say(&format!("  {}", self.screen.sentence(2, text)));
    }

    /// Shows what is wrong with an answer.
    pub(crate) fn complain(&self, text: &str) {
        say(&format!("  {}", self.screen.inked(Style::Red, 2, text)));
    }

    /// Asks for a line until `read` takes it; without an answer, for the default.
    pub(crate) async fn line<T>(
        &self,
        question: &str,
        default: Option<&str>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Exit> {
        let shown = default.map(|default| format!(" [{default}]")).unwrap_or_default();
        let read = move |typed: &str| match (typed, default) {
            ("", Some(default)) => read(default),
            ("", None) => Err("an answer is needed here; Control-C leaves everything as it is".to_owned()),
            (answer, _) if answer.contains(steers) => {
                Err("there are signs in it that no name has, such as those of an arrow key".to_owned())
            }
            (answer, _) => read(answer),
        };
        self.until_taken(&format!("{question}{shown}"), read).await
    }

    /// Asks for one of these letters; without an answer, the first.
    pub(crate) async fn letter(&self, question: &str, letters: &[char]) -> Result<char, Exit> {
        let shown: Vec<String> = letters
            .iter()
            .enumerate()
            .map(|(at, letter)| if at == 0 { letter.to_uppercase().to_string() } else { letter.to_string() })
            .collect();
        let read = |answer: &str| {
            let typed = answer.chars().next().and_then(|letter| letter.to_lowercase().next());
            let chosen = letters.iter().copied().find(|letter| typed.is_none_or(|typed| typed == *letter));
            chosen.ok_or_else(|| format!("type one of {}", shown.join(", ")))
        };
        self.until_taken(&format!("{question} [{}]", shown.join("/")), read).await
    }

    /// Asks yes or no.
    pub(crate) async fn yes(&self, question: &str, default: bool) -> Result<bool, Exit> {
        let letters = if default { ['y', 'n'] } else { ['n', 'y'] };
        Ok(self.letter(question, &letters).await? == 'y')
    }

    /// Asks until `read` takes what was typed.
    async fn until_taken<T>(
        &self,
        question: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, Exit> {
        loop {
            let line = self.typed(question, false).await?;
            match read(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(why) => self.complain(&why),
            }
        }
    }

    /// Asks for a secret, which is not shown; none where nothing was typed and something is there already.
    pub(crate) async fn secret(&self, question: &str, is_there: bool) -> Result<Option<String>, Exit> {
        let shown = if is_there { " [Enter keeps the one that is there]" } else { "" };
        loop {
            let line = self.typed(&format!("{question}, not shown{shown}"), true).await?;
            // The end of the line was not shown either.
            say("");
            let token = as_token(&line);
            if token.is_empty() && is_there {
                return Ok(None);
            }
            match amfj_sync_config::token_fault(token) {
                None => return Ok(Some(token.to_owned())),
                Some(fault) => self.complain(&format!("what you typed {fault}")),
            }
        }
    }

    /// Asks, and answers the next line; an error at the end of the input, and where the program is told to stop. Whoever is
    /// quick answers as soon as the question is shown, so all is ready by then.
    async fn typed(&self, question: &str, hidden: bool) -> Result<String, Exit> {
        // What is no terminal has nothing to be thrown away.
        let _ = tcflush(stdin(), FlushArg::TCIFLUSH);
        let _echo = hidden.then(Hidden::new);
        ask(&format!("  {}: ", self.screen.sentence(2, question)));
        let (answer, answered) = oneshot::channel();
        // A thread of its own: nothing may wait for it when Control-C ends this process.
        std::thread::spawn(move || {
            let mut line = Vec::new();
            let read = stdin().lock().read_until(b'\n', &mut line);
            answer.send(if read.is_ok() { line } else { Vec::new() })
        });
        let line = self.stop.run_until_cancelled(answered).await.ok_or_else(stopped)?.unwrap_or_default();
        if line.is_empty() {
            say("");
            return Err(Exit::Failed("the input ended; nothing was written".into()));
        }
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

/// What is said where the program is told to stop.
pub(crate) fn stopped() -> Exit {
    Exit::Failed("stopped; nothing was written".into())
}

/// A token as people paste it: with blanks, in quotes, with the word of the header before it.
fn as_token(pasted: &str) -> &str {
    let bare = pasted.trim().trim_matches(['"', '\'', '`']).trim();
    let word = bare.get(..7).filter(|word| word.eq_ignore_ascii_case("bearer "));
    word.map_or(bare, |_| bare[7..].trim())
}

/// While it lives, the terminal does not show what is typed.
#[derive(Debug)]
struct Hidden(Option<Termios>);

impl Hidden {
    fn new() -> Self {
        let before = tcgetattr(stdin()).ok();
        if let Some(mut now) = before.clone() {
            now.local_flags.remove(LocalFlags::ECHO);
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, &now);
        }
        Self(before)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // A terminal that is gone shows nothing anyway.
            let _ = tcsetattr(stdin(), SetArg::TCSANOW, before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_as_people_paste_it() {
        for pasted in
            ["tok-1", " tok-1 \r\n", "\"tok-1\"", "`tok-1`", "Bearer tok-1", "bearer  tok-1\n", "\ttok-1"]
        {
            assert_eq!(as_token(pasted), "tok-1", "{pasted:?}");
        }
        assert_eq!(as_token("ünïcödé"), "ünïcödé");
        assert_eq!(as_token(" \n"), "");
    }
}
