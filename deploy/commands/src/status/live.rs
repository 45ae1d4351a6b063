//! `amfj-sync status --watch`: the status again and again, on a screen of its own, until `q`, Escape or
//! Control-C. The terminal is left as it was found, however this ends.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

use amfj_sync_security::screen::{Screen, Style, passed};
use amfj_sync_security::secrets::scrub;
use amfj_sync_service::worker::Exit;
use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use crossterm::terminal::{self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{execute, queue};
use jiff::Timestamp;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Looking, Status, text};
use crate::{CommandContext, format};

/// Between two looks at the broker.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// How soon the reader of keys notices that it is to end.
const KEYS_EVERY: Duration = Duration::from_millis(200);

pub(super) fn require_terminal() -> Result<(), Exit> {
    if std::io::stdout().is_terminal() && std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Exit::Configuration(
        "--watch needs a terminal; without --watch the status is printed once, with --json for machines"
            .to_owned(),
    ))
}

/// Shows the status until somebody has seen enough.
pub(super) async fn watch(context: &CommandContext) -> Result<(), Exit> {
    let stop = context.worker.shutdown.soft.clone();
    let restored = Terminal::take().map_err(|error| failed(&error))?;
    let (keys, mut pressed) = mpsc::channel(16);
    let reading = tokio::task::spawn_blocking({
        let stop = stop.clone();
        move || read_keys(&keys, &stop)
    });
    let shown = show_until_seen(context, &stop, &mut pressed).await;
    stop.cancel();
    drop(reading.await);
    drop(restored);
    shown
}

async fn show_until_seen(
    context: &CommandContext,
    stop: &CancellationToken,
    pressed: &mut mpsc::Receiver<Key>,
) -> Result<(), Exit> {
    let mut looking = Looking::default();
    let mut page = Page::default();
    loop {
        // What is going on at the broker is let end: consumers are closed, not dropped.
        match looking.look(context).await {
            Ok(status) => page.status = Some(status),
            Err(error) => page.trouble = Some(error.to_string()),
        }
        let again = tokio::time::sleep(LOOK_EVERY);
        tokio::pin!(again);
        loop {
            page.draw().map_err(|error| failed(&error))?;
            tokio::select! {
                () = &mut again => break,
                () = stop.cancelled() => return Ok(()),
                key = pressed.recv() => match key {
                    None | Some(Key::Enough) => return Ok(()),
                    Some(Key::Scroll(lines)) => page.scroll(lines),
                    Some(Key::Other) => {}
                },
            }
        }
        page.trouble = context.worker.broker.trouble();
        if page.trouble.is_some() {
            page.draw().map_err(|error| failed(&error))?;
        }
    }
}

fn failed(error: &std::io::Error) -> Exit {
    Exit::Failed(format!("the terminal cannot be used: {error}"))
}

/// What is on the screen.
#[derive(Debug, Default)]
struct Page {
    status: Option<Status>,
    /// Why the status is not of now.
    trouble: Option<String>,
    /// Lines that are above the screen.
    above: usize,
    /// Lines that there are.
    lines: usize,
}

impl Page {
    fn scroll(&mut self, lines: isize) {
        let most = self.lines.saturating_sub(1);
        self.above = self.above.saturating_add_signed(lines).min(most);
    }

    fn draw(&mut self) -> std::io::Result<()> {
        let screen = Screen::stdout();
        let height = usize::from(terminal::size()?.1).max(4);
        let now = Timestamp::now();
        let text = self.status.as_ref().map_or_else(String::new, |status| text::show(&screen, status, now));
        let lines: Vec<&str> = text.lines().collect();
        self.lines = lines.len();
        let room = height - 2;
        self.above = self.above.min(lines.len().saturating_sub(room));
        let seen = lines.iter().skip(self.above).take(room);
        let mut out = std::io::stdout().lock();
        queue!(out, MoveTo(0, 0))?;
        for line in seen {
            write!(out, "{}", passed(&scrub(line)))?;
            queue!(out, Clear(ClearType::UntilNewLine))?;
            write!(out, "\r\n")?;
        }
        queue!(out, Clear(ClearType::FromCursorDown))?;
        let last = u16::try_from(height - 1).unwrap_or(u16::MAX);
        queue!(out, MoveTo(0, last))?;
        write!(out, "{}", passed(&scrub(&self.footer(&screen, now, lines.len() > room))))?;
        out.flush()
    }

    fn footer(&self, screen: &Screen, now: Timestamp, is_longer: bool) -> String {
        if let Some(trouble) = &self.trouble {
            return screen.ink(Style::Red, &screen.line(&format!("not of now: {trouble}")));
        }
        let keys = if is_longer { "↑ ↓ move, q ends" } else { "q ends" };
        screen.ink(Style::Faint, &screen.line(&format!("{}, every 2 s; {keys}", format::time(now))))
    }
}

/// What a key means.
#[derive(Debug)]
enum Key {
    Enough,
    Scroll(isize),
    Other,
}

impl Key {
    fn of(event: &Event) -> Option<Self> {
        let Event::Key(KeyEvent { code, modifiers, kind: KeyEventKind::Press, .. }) = event else {
            // Another size of the window: everything is drawn anew.
            return matches!(event, Event::Resize(..)).then_some(Self::Other);
        };
        Some(match code {
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => Self::Enough,
            KeyCode::Char('c' | 'd') if modifiers.contains(KeyModifiers::CONTROL) => Self::Enough,
            KeyCode::Up | KeyCode::Char('k') => Self::Scroll(-1),
            KeyCode::Down | KeyCode::Char('j') => Self::Scroll(1),
            KeyCode::PageUp => Self::Scroll(-20),
            KeyCode::PageDown | KeyCode::Char(' ') => Self::Scroll(20),
            _ => Self::Other,
        })
    }
}

/// Blocks until it is to end.
fn read_keys(keys: &mpsc::Sender<Key>, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        match crossterm::event::poll(KEYS_EVERY) {
            Ok(false) => {}
            Ok(true) => {
                let Ok(event) = crossterm::event::read() else { return };
                let Some(key) = Key::of(&event) else { continue };
                if keys.blocking_send(key).is_err() {
                    return;
                }
            }
            // No keys any more: the terminal is gone.
            Err(_) => return,
        }
    }
}

/// The terminal while it shows the status; as before when this is dropped.
#[derive(Debug)]
struct Terminal;

impl Terminal {
    fn take() -> std::io::Result<Self> {
        terminal::enable_raw_mode()?;
        let taken = Self;
        execute!(std::io::stdout(), EnterAlternateScreen, Hide)?;
        Ok(taken)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        drop(execute!(std::io::stdout(), Show, LeaveAlternateScreen));
        drop(terminal::disable_raw_mode());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Event {
        Event::Key(KeyEvent::new(code, modifiers))
    }

    #[test]
    fn q_escape_and_control_c_end_it() {
        let none = KeyModifiers::NONE;
        for (event, ends) in [
            (key(KeyCode::Char('q'), none), true),
            (key(KeyCode::Esc, none), true),
            (key(KeyCode::Char('c'), KeyModifiers::CONTROL), true),
            (key(KeyCode::Char('c'), none), false),
            (key(KeyCode::Down, none), false),
        ] {
            assert_eq!(matches!(Key::of(&event), Some(Key::Enough)), ends, "{event:?}");
        }
    }

    #[test]
    fn scrolling_stays_within_what_there_is() {
        let mut page = Page { lines: 10, ..Page::default() };
        page.scroll(-3);
        assert_eq!(page.above, 0);
        page.scroll(20);
        assert_eq!(page.above, 9);
    }
}
