//! One dead letter, as it is shown.

use std::fmt::Write as _;

use amfj_sync_broker::dead_letter::header as named;
use amfj_sync_broker::{Names, Received, Stage};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{Change, Event, Payload};
use amfj_sync_security::screen::{Screen, Style, escaped_json, sanitize};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::format;

/// Bytes of an unreadable body that are shown.
const SHOWN: usize = 4_096;

/// A message that could not be done.
#[derive(Debug, Clone, Serialize)]
pub(super) struct DeadLetter {
    /// Id of the message.
    pub(super) id: String,
    pub(super) integration: Option<String>,
    /// `apply` or `reconcile`: where it died.
    pub(super) stage: Option<String>,
    /// `device/ID` or `user/KEY`; none where it could not be read.
    pub(super) key: Option<String>,
    pub(super) label: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) reason: String,
    /// Requests over all replays; none where the broker itself gave it up.
    pub(super) attempts: Option<u32>,
    /// When it died.
    pub(super) time: Option<Timestamp>,
    /// When it died first, where it was replayed since.
    pub(super) since: Option<Timestamp>,
    /// Whether the broker itself gave it up, and no worker.
    pub(super) by_broker: bool,
    /// The queue that it came from.
    pub(super) queue: Option<String>,
    /// The message, as far as it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) message: Option<Value>,
    #[serde(skip)]
    pub(super) change: Option<Change>,
    #[serde(skip)]
    pub(super) body: Vec<u8>,
}

/// A dead letter as `list` and `show` say it, one after the other.
#[must_use]
pub fn as_text(received: &Received, names: &Names, known: &[IntegrationId], screen: &Screen) -> String {
    let letter = DeadLetter::of(received, names, known);
    let mut out = String::new();
    letter.line(screen, &mut out);
    out.push_str(&letter.whole(screen));
    out
}

impl DeadLetter {
    pub(super) fn of(received: &Received, names: &Names, known: &[IntegrationId]) -> Self {
        let header = |name: &str| received.header(name).filter(|text| !text.trim().is_empty());
        let moment = |name: &str| header(name).and_then(|time| time.parse::<Timestamp>().ok());
        let event = Event::decode(&received.body).ok();
        let change = event.as_ref().and_then(|event| match &event.payload {
            Payload::Change(change) => Some(change.clone()),
            _ => None,
        });
        let death = received.broker_death();
        let queue = header(named::QUEUE).or_else(|| death.as_ref().map(|death| death.queue.clone()));
        let of_queue = || {
            let queue = queue.as_ref()?;
            known.iter().find(|id| queue.starts_with(&names.of_integration(id))).map(ToString::to_string)
        };
        let stage_of_queue = || {
            let stages = [Stage::Reconcile, Stage::Apply];
            let queue = queue.as_ref()?;
            stages.iter().map(|stage| stage.as_str()).find(|stage| queue.contains(&format!(".{stage}.")))
        };
        // Whatever stands on it then is not ours.
        let unsigned = death.as_ref().is_some_and(|death| death.reason == "rejected");
        let broker_reason = || match &death {
            Some(death) if unsigned => format!(
                "it was refused unread, from {}: it bears no right signature (broker.signing_key)",
                death.queue
            ),
            Some(death) if death.reason == "delivery_limit" => {
                format!("the broker gave it up: delivered too often from {}", death.queue)
            }
            Some(death) => format!("the broker gave it up: {}, from {}", death.reason, death.queue),
            None => "no reason was given".to_owned(),
        };
        let by_broker = header(named::REASON).is_none();
        let time = moment(named::TIME).or_else(|| death.as_ref().and_then(|death| death.time));
        Self {
            id: received.id.clone().or(event.as_ref().map(|event| event.id.to_string())).unwrap_or_default(),
            integration: header(named::INTEGRATION)
                .or_else(of_queue)
                .or(event.as_ref().map(|event| event.integration.to_string())),
            stage: header(named::STAGE).or_else(|| stage_of_queue().map(str::to_owned)),
            key: header(named::KEY).or_else(|| event.as_ref().map(|event| event.subject.clone())),
            label: change.as_ref().map(|change| change.label.clone()),
            kind: change.as_ref().map(|change| change.action.kind().to_owned()),
            reason: header(named::REASON).filter(|_| !unsigned).unwrap_or_else(broker_reason),
            attempts: header(named::ATTEMPTS).and_then(|count| count.parse().ok()),
            time,
            since: moment(named::SINCE).or(time),
            by_broker,
            queue,
            message: None,
            change,
            body: received.body.clone(),
        }
    }

    pub(super) fn with_message(mut self) -> Self {
        let text = || Value::String(String::from_utf8_lossy(&self.body).into_owned());
        self.message = Some(serde_json::from_slice(&self.body).unwrap_or_else(|_| text()));
        self
    }

    /// What should have happened to whom.
    pub(super) fn what(&self) -> String {
        let kind = self.kind.as_deref().unwrap_or("a message");
        let label = self.label.as_deref().map(|label| format!(" for \"{}\"", sanitize(label)));
        let key = self.key.as_deref().map(|key| format!(" ({})", sanitize(key)));
        format!("{kind}{}{}", label.unwrap_or_default(), key.unwrap_or_default())
    }

    /// When it died; and first, if it was replayed since.
    fn when(&self) -> String {
        let shown = |time: Option<Timestamp>| time.map_or("at an unknown time".to_owned(), format::time);
        match self.since.filter(|since| self.time.is_some_and(|time| time > *since)) {
            Some(since) => format!("{}, first {}", shown(self.time), shown(Some(since))),
            None => shown(self.time),
        }
    }

    pub(super) fn line(&self, screen: &Screen, out: &mut String) {
        let id = sanitize(&self.id.chars().take(8).collect::<String>());
        let integration = self.integration.as_deref().unwrap_or("no integration");
        let what = format!("{}, {}: {}", sanitize(integration), self.when(), self.what());
        let _ =
            writeln!(out, "{}  {}", screen.ink(Style::Bold, &format!("{id:<8}")), screen.sentence(10, &what));
        let tried = match self.attempts {
            None | Some(0) => String::new(),
            Some(1) => "tried once: ".to_owned(),
            Some(times) => format!("tried {times} times: "),
        };
        let why = format!("{tried}{}", sanitize(&self.reason));
        let _ = writeln!(out, "          {}", screen.sentence(10, &why));
    }

    pub(super) fn whole(&self, screen: &Screen) -> String {
        let mut out = String::new();
        let mut row = |name: &str, text: &str| {
            let _ = writeln!(out, "{name:<13}{}", screen.sentence(13, &sanitize(text)));
        };
        row("id", &self.id);
        row("integration", self.integration.as_deref().unwrap_or("unknown"));
        row("what", &self.what());
        row("why not", &self.reason);
        row("since", &self.when());
        row("tried", &self.attempts.map_or("unknown".to_owned(), |times| format!("{times} times")));
        row("died in", self.stage.as_deref().unwrap_or("the broker"));
        if self.by_broker {
            row("given up by", "the broker, not by a worker");
        }
        row("came from", self.queue.as_deref().unwrap_or("unknown"));
        let body = if let Some(change) = &self.change {
            // Our own types with text keys: they always serialise.
            escaped_json(&serde_json::to_string_pretty(&change.action).unwrap_or_default())
        } else {
            let shown = &self.body[..self.body.len().min(SHOWN)];
            let more = if shown.len() < self.body.len() { " …" } else { "" };
            format!("{} bytes: {}{more}", self.body.len(), sanitize(&String::from_utf8_lossy(shown)))
        };
        let _ = write!(out, "\n{body}");
        out
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::dead) fn letter(integration: &str, kind: &str, reason: &str, time: &str) -> DeadLetter {
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
            since: time.parse().ok(),
            by_broker: false,
            queue: None,
            message: None,
            change: None,
            body: b"{".to_vec(),
        }
    }

    #[test]
    fn a_letter_says_who_what_when_why_and_how_often() {
        let mut out = String::new();
        let mut letter = letter("acme", "update-asset", "AMFJ answered 500", "2026-11-30T12:00:00Z");
        letter.line(&Screen::plain(), &mut out);
        assert_eq!(
            out,
            "3f2a9c1e  acme, 2026-11-30 12:00:00 UTC: update-asset for \"Ana·[31m\" (device/d1)\n          tried \
             3 times: AMFJ answered 500\n"
        );
        letter.since = "2026-11-28T09:00:00Z".parse().ok();
        assert_eq!(letter.when(), "2026-11-30 12:00:00 UTC, first 2026-11-28 09:00:00 UTC");
    }
}
