//! A broker that is short of memory or disk takes nothing from those who publish until that is over, and tells a
//! connection so only once it has tried. So each connection publishes a message to nobody every two seconds: whoever
//! has nothing else to publish learns of the alarm as well, and says so.

use std::time::Duration;

use amfj_sync_security::screen::say_error;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel};
use tokio::time::Instant;

use super::names::Names;
use super::supervisor::{Caller, Session};

/// What a person reads.
pub(super) const ALARM: &str = "RabbitMQ takes no messages at the moment, because it is short of memory or disk \
                                (`rabbitmq-diagnostics alarms` says which); everything goes on by itself once that is over";

/// Between two messages to nobody.
const ASK_EVERY: Duration = Duration::from_secs(2);

/// For opening a channel, or a publish, which waits for nothing but the socket.
const LIMIT: Duration = Duration::from_secs(1);

/// Whether the broker of one session takes messages.
#[derive(Debug)]
pub(super) struct AlarmWatch {
    caller: Caller,
    nobody: String,
    channel: Option<Channel>,
    ask_at: Instant,
    is_blocked: bool,
}

impl AlarmWatch {
    pub(super) fn new(caller: Caller, names: &Names) -> Self {
        Self { caller, nobody: names.nobody(), channel: None, ask_at: Instant::now(), is_blocked: false }
    }

    /// Looks at the session, tells what is new, and asks the broker if it is time.
    pub(super) async fn look(&mut self, session: &Session) {
        let is_blocked = session.is_blocked();
        if std::mem::replace(&mut self.is_blocked, is_blocked) != is_blocked {
            self.tell();
        }
        if !is_blocked && Instant::now() >= self.ask_at {
            self.ask_at = Instant::now() + ASK_EVERY;
            // A connection that is dead is noticed elsewhere.
            drop(tokio::time::timeout(LIMIT, self.ask(session)).await);
        }
    }

    async fn ask(&mut self, session: &Session) {
        let channel = match self.channel.take().filter(|channel| channel.status().connected()) {
            Some(channel) => channel,
            None => match session.publishing_channel().await {
                Ok(channel) => channel,
                Err(_) => return,
            },
        };
        let options = BasicPublishOptions::default();
        let publish = channel.basic_publish(
            "".into(),
            self.nobody.as_str().into(),
            options,
            b"",
            BasicProperties::default(),
        );
        if publish.await.is_ok() {
            self.channel = Some(channel);
        }
    }

    fn tell(&self) {
        match (self.caller, self.is_blocked) {
            (Caller::Worker, true) => tracing::warn!("{ALARM}"),
            (Caller::Worker, false) => tracing::info!("RabbitMQ takes messages again"),
            // Not a log line: whoever waits at a terminal is to know why, however little is logged.
            (Caller::Command, true) => say_error(ALARM),
            (Caller::Command, false) => say_error("RabbitMQ takes messages again"),
        }
    }
}
