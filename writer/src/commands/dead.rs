//! `writer dead list` and `writer dead show`: what could not be done, and why.
//!
//! The letters are taken without being acknowledged, and the channel is closed: all are delivered again,
//! in order. While a look lasts, another one at the same time may see fewer.

use std::fmt::Write as _;
use std::time::Duration;

use amfj_sync_shared::broker::{Broker, DeadLetterLock, Intake, Received};
use amfj_sync_shared::command::required;
use amfj_sync_shared::config::Config;
use amfj_sync_shared::messages::{Change, Event, Payload};
use amfj_sync_shared::screen::{Ink, Screen, legible, say, say_json};
use amfj_sync_shared::worker::{CommonArgs, Exit, Shutdown};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::moments;

/// For whoever else reads the dead letters to end; counting them for the metrics takes milliseconds.
const LOCKED_AT_MOST: Duration = Duration::from_secs(20);

/// No more come after that: somebody else looks at the rest.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an unreadable body that are shown.
const SHOWN: usize = 4_096;

/// Which dead letters; all of the conditions must hold.
#[derive(Debug, Clone, Default, Args)]
pub struct Filter {
    /// Only this kind of change, for example `update-asset`
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only with this text in the reason
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Only those that died at least that long ago, for example `2h`
    #[arg(long, value_name = "SPAN")]
    pub older_than: Option<String>,
    /// Only those that died since then: a time, or a span such as `2h`
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
}

/// A message that could not be done.
#[derive(Debug, Clone, Serialize)]
struct DeadLetter {
    /// Id of the message.
    id: String,
    integration: Option<String>,
    /// `apply` or `reconcile`: where it died.
    stage: Option<String>,
    /// `device/ID` or `user/KEY`; none where it could not be read.
    key: Option<String>,
    label: Option<String>,
    kind: Option<String>,
    reason: String,
    attempts: Option<u32>,
    /// When it died; none where the broker itself gave it up.
    time: Option<Timestamp>,
    /// The message, as far as it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<Value>,
    #[serde(skip)]
    change: Option<Change>,
    #[serde(skip)]
    body: Vec<u8>,
}

/// Shows all that the filter admits, oldest first.
pub async fn list(common: &CommonArgs, filter: &Filter, json: bool) -> Result<(), Exit> {
    let config = common.load_all()?;
    common.restrict(&mut config.clone())?;
    let admits = Admits::of(common, filter)?;
    let letters = read(config).await?;
    let all = letters.len();
    let letters: Vec<DeadLetter> = letters.into_iter().filter(|letter| admits.admits(letter)).collect();
    if json {
        say_json(&letters);
        return Ok(());
    }
    let screen = Screen::stdout();
    let mut out = String::new();
    for letter in &letters {
        letter.line(&screen, &mut out);
    }
    let _ = match (letters.len(), all) {
        (0, 0) => write!(out, "There are no dead letters."),
        (0, all) => write!(out, "None of the {all} dead letters fits."),
        (some, all) if some == all => write!(out, "\n{all} in all; `writer dead show ID` shows one whole."),
        (some, all) => write!(out, "\n{some} of {all}; `writer dead show ID` shows one whole."),
    };
    say(&out);
    Ok(())
}

/// Shows one, whose id begins with this.
pub async fn show(common: &CommonArgs, id: &str, json: bool) -> Result<(), Exit> {
    let letters = read(common.load_all()?).await?;
    let wanted = id.trim().to_lowercase();
    let mut fitting: Vec<DeadLetter> =
        letters.into_iter().filter(|one| one.id.starts_with(&wanted)).collect();
    let letter = match fitting.len() {
        _ if wanted.is_empty() => return Err(Exit::Configuration("a blank id names no dead letter".into())),
        0 => return Err(Exit::Failed(format!("there is no dead letter {id}; `writer dead list` shows all"))),
        1 => fitting.remove(0),
        _ => {
            let ids: Vec<&str> = fitting.iter().map(|letter| letter.id.as_str()).collect();
            let ids = ids.join("\n  ");
            return Err(Exit::Failed(format!(
                "several dead letters begin with {id}; give more of the id:\n  {ids}"
            )));
        }
    };
    if json {
        say_json(&letter.with_message());
    } else {
        say(&letter.whole(&Screen::stdout()));
    }
    Ok(())
}

/// Reads all dead letters without taking one.
async fn read(config: Config) -> Result<Vec<DeadLetter>, Exit> {
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let name = format!("writer-dead/{}", Uuid::new_v4());
    let broker = Broker::start(&config, &name, shutdown.soft.clone());
    let looked = look(&config, &broker);
    let looked = shutdown.soft.run_until_cancelled(looked).await;
    broker.close().await;
    looked.unwrap_or_else(|| Err(Exit::Failed("stopped before everything was read".into())))
}

async fn look(config: &Config, broker: &Broker) -> Result<Vec<DeadLetter>, Exit> {
    let session = required(broker, config.timing.connect_timeout).await?;
    let waiting = DeadLetterLock::wait(&session, broker.names(), LOCKED_AT_MOST).await?;
    let Some(_only_reader) = waiting else {
        return Err(Exit::Failed("somebody else is reading the dead letters; try again in a moment".into()));
    };
    let queue = broker.names().dead();
    let there = session.inspect(&queue).await?.map_or(0, |depth| depth.messages);
    let mut letters = Vec::new();
    if there == 0 {
        return Ok(letters);
    }
    // No limit: nothing is acknowledged, so all must be allowed to come.
    let mut intake = Intake::open(&session, &queue, 0).await?;
    while letters.len() < there as usize {
        match tokio::time::timeout(PATIENCE, intake.next()).await {
            Ok(Some(received)) => letters.push(DeadLetter::of(&received)),
            Ok(None) => return Err(Exit::Failed("the broker connection broke; try again".into())),
            Err(_) => break,
        }
    }
    intake.close().await;
    Ok(letters)
}

impl DeadLetter {
    fn of(received: &Received) -> Self {
        let header = |name: &str| received.header(name).filter(|text| !text.trim().is_empty());
        let event = Event::decode(&received.body).ok();
        let change = event.as_ref().and_then(|event| match &event.payload {
            Payload::Change(change) => Some(change.clone()),
            _ => None,
        });
        let broker_reason = || {
            let queue = header("x-first-death-queue").unwrap_or_else(|| "its queue".to_owned());
            match header("x-first-death-reason").as_deref() {
                Some("delivery_limit") => format!("the broker gave it up: delivered too often from {queue}"),
                Some(other) => format!("the broker gave it up: {other}, from {queue}"),
                None => "no reason was given".to_owned(),
            }
        };
        Self {
            id: received.id.clone().or(event.as_ref().map(|event| event.id.to_string())).unwrap_or_default(),
            integration: header("x-integration")
                .or(event.as_ref().map(|event| event.integration.to_string())),
            stage: header("x-stage"),
            key: header("x-key").or_else(|| event.as_ref().map(|event| event.subject.clone())),
            label: change.as_ref().map(|change| change.label.clone()),
            kind: change.as_ref().map(|change| change.action.kind().to_owned()),
            reason: header("x-reason").unwrap_or_else(broker_reason),
            attempts: header("x-attempts").and_then(|count| count.parse().ok()),
            time: header("x-time").and_then(|time| time.parse().ok()),
            message: None,
            change,
            body: received.body.clone(),
        }
    }

    fn with_message(mut self) -> Self {
        let text = || Value::String(String::from_utf8_lossy(&self.body).into_owned());
        self.message = Some(serde_json::from_slice(&self.body).unwrap_or_else(|_| text()));
        self
    }

    /// What should have happened to whom.
    fn what(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("a message");
        let label = self.label.as_deref().map(|label| format!(" for \"{}\"", legible(label)));
        let key = self.key.as_deref().map(|key| format!(" ({})", legible(key)));
        format!("{kind}{}{}", label.unwrap_or_default(), key.unwrap_or_default())
    }

    fn line(&self, screen: &Screen, out: &mut String) {
        let id: String = self.id.chars().take(8).collect();
        let integration = self.integration.as_deref().unwrap_or("no integration");
        let when = self.time.map_or("at an unknown time".to_owned(), moments::shown);
        let what = format!("{}, {when}: {}", legible(integration), self.what());
        let _ =
            writeln!(out, "{}  {}", screen.ink(Ink::Bold, &format!("{id:<8}")), screen.sentence(10, &what));
        let tried = match self.attempts {
            None | Some(0) => String::new(),
            Some(1) => "tried once: ".to_owned(),
            Some(times) => format!("tried {times} times: "),
        };
        let why = format!("{tried}{}", legible(&self.reason));
        let _ = writeln!(out, "          {}", screen.sentence(10, &why));
    }

    fn whole(&self, screen: &Screen) -> String {
        let mut out = String::new();
        let mut row = |name: &str, text: &str| {
            let _ = writeln!(out, "{name:<13}{}", screen.sentence(13, &legible(text)));
        };
        row("id", &self.id);
        row("integration", self.integration.as_deref().unwrap_or("unknown"));
        row("what", &self.what());
        row("why not", &self.reason);
        row("since", &self.time.map_or("unknown".to_owned(), moments::shown));
        row("tried", &self.attempts.map_or("unknown".to_owned(), |times| format!("{times} times")));
        row("died in", self.stage.as_deref().unwrap_or("the broker"));
        let body = if let Some(change) = &self.change {
            // Our own types with text keys: they always serialise.
            serde_json::to_string_pretty(&change.action).unwrap_or_default()
        } else {
            let shown = &self.body[..self.body.len().min(SHOWN)];
            let more = if shown.len() < self.body.len() { " …" } else { "" };
            format!("{} bytes: {}{more}", self.body.len(), legible(&String::from_utf8_lossy(shown)))
        };
        let _ = write!(out, "\n{body}");
        out
    }
}

/// A filter with its moments worked out.
struct Admits {
    integration: Option<String>,
    kind: Option<String>,
    reason: Option<String>,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Admits {
    fn of(common: &CommonArgs, filter: &Filter) -> Result<Self, Exit> {
        let now = Timestamp::now();
        Ok(Self {
            integration: common.integration.clone(),
            kind: filter.kind.as_ref().map(|kind| kind.trim().to_lowercase()),
            reason: filter.reason.as_ref().map(|reason| reason.to_lowercase()),
            from: filter.since.as_deref().map(|text| moments::since(text, now)).transpose()?,
            to: filter.older_than.as_deref().map(|text| moments::ago(text, now)).transpose()?,
        })
    }

    fn admits(&self, letter: &DeadLetter) -> bool {
        let same = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
        same(&self.integration, &letter.integration)
            && same(&self.kind, &letter.kind)
            && self.reason.as_ref().is_none_or(|text| letter.reason.to_lowercase().contains(text))
            && self.from.is_none_or(|from| letter.time.is_some_and(|time| time >= from))
            && self.to.is_none_or(|to| letter.time.is_some_and(|time| time <= to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(integration: &str, kind: &str, reason: &str, time: &str) -> DeadLetter {
        DeadLetter {
            id: "3f2a9c1e-0000-5000-8000-000000000000".to_owned(),
            integration: Some(integration.to_owned()),
            stage: Some("apply".to_owned()),
            key: Some("device/d1".to_owned()),
            label: Some("Ana\u{1b}[31m".to_owned()),
            kind: Some(kind.to_owned()),
            reason: reason.to_owned(),
            attempts: Some(3),
            time: time.parse().ok(),
            message: None,
            change: None,
            body: b"{".to_vec(),
        }
    }

    #[test]
    fn all_conditions_of_a_filter_must_hold() {
        let letter = letter("acme", "update-asset", "AMFJ answered 500", "2026-11-30T12:00:00Z");
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let text = |text: &str| Some(text.to_owned());
        let every = || Admits { integration: None, kind: None, reason: None, from: None, to: None };
        let table = [
            (every(), true),
            (Admits { integration: text("acme"), ..every() }, true),
            (Admits { integration: text("other"), ..every() }, false),
            (Admits { kind: text("create-user"), ..every() }, false),
            (Admits { reason: text("amfj answered"), kind: text("update-asset"), ..every() }, true),
            (Admits { reason: text("refused"), ..every() }, false),
            (Admits { from: at("2026-11-30T11:00:00Z"), ..every() }, true),
            (Admits { from: at("2026-11-30T13:00:00Z"), ..every() }, false),
            (Admits { to: at("2026-11-30T11:00:00Z"), ..every() }, false),
        ];
        for (at, (admits, expected)) in table.into_iter().enumerate() {
            assert_eq!(admits.admits(&letter), expected, "row {at}");
        }
    }

    #[test]
    fn a_letter_says_who_what_when_why_and_how_often() {
        let mut out = String::new();
        letter("acme", "update-asset", "AMFJ answered 500", "2026-11-30T12:00:00Z")
            .line(&Screen::plain(), &mut out);
        assert_eq!(
            out,
            "3f2a9c1e  acme, 2026-11-30 12:00:00 UTC: update-asset for \"Ana·[31m\" (device/d1)\n          tried \
             3 times: AMFJ answered 500\n"
        );
    }
}
