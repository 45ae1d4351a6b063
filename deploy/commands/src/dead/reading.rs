//! `amfj-sync dead list` and `amfj-sync dead show`.
//!
//! The letters are taken without being acknowledged, and the channels are closed: all are delivered
//! again, in order. One after the other is shown, so that there may be any number.

use std::time::Duration;

use amfj_sync_broker::{Broker, BrokerError, Caller, DeadLetters, Received};
use amfj_sync_config::{Config, Tokens};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_security::screen::{Screen, escaped_json, say, say_json};
use amfj_sync_service::command::required;
use amfj_sync_service::worker::{CommonArgs, Exit, Shutdown};
use uuid::Uuid;

use super::filter::{Admits, DeadFilter};
use super::letter::DeadLetter;

/// For whoever else reads the dead letters to end; counting them for the metrics takes milliseconds.
const LOCKED_AT_MOST: Duration = Duration::from_secs(20);

/// Letters whose id begins alike, of which all are named.
const ALIKE: usize = 20;

/// Shows all that the filter admits, oldest first.
pub(crate) async fn list(common: &CommonArgs, filter: &DeadFilter, json: bool) -> Result<(), Exit> {
    let config = common.load_all(Tokens::None)?;
    common.restrict(&mut config.clone())?;
    let admits = Admits::of(common, filter)?;
    let screen = Screen::stdout();
    let (mut all, mut shown) = (0_u32, 0_u32);
    let mut show = |letter: DeadLetter| {
        all += 1;
        if !admits.admits(&letter) {
            return;
        }
        if json {
            // Our own types with text keys: they always serialise.
            let text = serde_json::to_string_pretty(&letter).unwrap_or_default();
            say(&format!("{}{}", if shown == 0 { "[" } else { "," }, escaped_json(&text)));
        } else {
            let mut out = String::new();
            letter.line(&screen, &mut out);
            say(&out);
        }
        shown += 1;
    };
    read(config, &mut show).await?;
    if json {
        say(if shown == 0 { "[]" } else { "]" });
        return Ok(());
    }
    match (shown, all) {
        (0, 0) => say("There are no dead letters."),
        (0, all) => say(&format!("None of the {all} dead letters fits.")),
        (some, all) if some == all => {
            say(&format!("\n{all} in all; `amfj-sync dead show ID` shows one whole."));
        }
        (some, all) => say(&format!("\n{some} of {all}; `amfj-sync dead show ID` shows one whole.")),
    }
    Ok(())
}

/// Shows one, whose id begins with this.
pub(crate) async fn show(common: &CommonArgs, id: &str, json: bool) -> Result<(), Exit> {
    let admits = Admits::default().with_ids(&[id.to_owned()])?;
    let mut fitting: Vec<DeadLetter> = Vec::new();
    let mut keep = |letter: DeadLetter| {
        if fitting.len() < ALIKE && admits.admits(&letter) {
            fitting.push(letter);
        }
    };
    read(common.load_all(Tokens::None)?, &mut keep).await?;
    let ids: Vec<String> = fitting.iter().map(|letter| letter.id.clone()).collect();
    admits.unclear_ids(&ids)?;
    // The latest, if it was written twice.
    let Some(letter) = fitting.pop() else { return Ok(()) };
    if json {
        say_json(&letter.with_message());
    } else {
        say(&letter.whole(&Screen::stdout()));
    }
    Ok(())
}

/// Calls `visit` for every dead letter without taking one.
async fn read(config: Config, visit: &mut (dyn FnMut(DeadLetter) + Send)) -> Result<(), Exit> {
    let known = known(&config);
    let names = amfj_sync_broker::Names::new(&config.broker.prefix);
    with_letters(config, async |letters| {
        loop {
            let some = letters.next().await?;
            if some.is_empty() {
                return Ok(());
            }
            for received in &some {
                visit(DeadLetter::of(received, &names, &known));
            }
        }
    })
    .await
}

pub(super) fn known(config: &Config) -> Vec<IntegrationId> {
    config.integrations.iter().map(|integration| integration.id.clone()).collect()
}

/// Opens the dead letters, lets `work` go through them, and puts back what it did not take.
async fn with_letters<T>(
    config: Config,
    work: impl AsyncFnOnce(&mut DeadLetters) -> Result<T, BrokerError>,
) -> Result<T, Exit> {
    let shutdown = Shutdown::default();
    shutdown.on_signals()?;
    let name = format!("amfj-sync-dead/{}", Uuid::new_v4());
    let broker = Broker::start_for(Caller::Command, &config, &name, shutdown.soft.clone());
    let looked = async {
        let mut letters = open(&config, &broker).await?;
        let done = work(&mut letters).await;
        letters.close().await;
        done.map_err(Exit::from)
    };
    let looked = shutdown.soft.run_until_cancelled(looked).await;
    broker.close().await;
    looked.unwrap_or_else(|| Err(Exit::Failed("stopped before everything was read".into())))
}

/// The dead letters, once nobody else reads them.
pub(super) async fn open(config: &Config, broker: &Broker) -> Result<DeadLetters, Exit> {
    let session = required(broker, config.timing.connect_timeout).await?;
    let opened = DeadLetters::open(&session, broker.names(), LOCKED_AT_MOST).await?;
    opened.ok_or_else(|| {
        Exit::Failed("somebody else is reading the dead letters; try again in a moment".into())
    })
}

/// Whether a delivery was taken off the queue; else the channel is dead and it comes again.
pub(super) async fn take(received: &Received) -> Result<(), BrokerError> {
    match received.acknowledge().await {
        amfj_sync_broker::Acknowledged::Yes => Ok(()),
        amfj_sync_broker::Acknowledged::ChannelIsDead => Err(BrokerError::Client(
            "the connection broke while the dead letters were worked on; try again: what is done is not done twice"
                .to_owned(),
        )),
    }
}
