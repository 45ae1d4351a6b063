//! The one interface that AMFJ documents: an HTTP request for each thing that happens to an asset. And how it may be odd:
//! nothing is documented of ids, repeats or order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::store::Store;
use crate::harness::http_client;
use crate::sim::fleet::SiteAsset;

/// Requests at the same time.
const AT_ONCE: usize = 32;

/// Whether events have the id of their asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum EventIds {
    /// At `/id`.
    AtTop,
    /// At `/asset/id`.
    Within,
    /// None has it; the name is all that there is.
    None,
    /// Every second one has it.
    Some,
}

/// How events are sent: the settings of AMFJ's page *Events*, and its oddities.
#[derive(Debug, Clone)]
pub struct EventOptions {
    /// *Events Request URL*.
    pub url: String,
    /// Whether they have ids.
    pub ids: EventIds,
    /// Whether what a client writes is an event too.
    pub of_clients: bool,
    /// How late each is sent.
    pub late: Duration,
    /// How often each is sent.
    pub copies: usize,
    /// So many are kept back and sent in another order.
    pub shuffled: usize,
    /// How often one that is not answered with 2xx is sent again, with growing pauses.
    pub repeats: u32,
    /// The first of these pauses.
    pub pause: Duration,
}

impl EventOptions {
    /// Events as one hopes that they are.
    #[must_use]
    pub fn to(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ids: EventIds::AtTop,
            of_clients: true,
            late: Duration::ZERO,
            copies: 1,
            shuffled: 1,
            repeats: 8,
            pause: Duration::from_millis(200),
        }
    }
}

/// Sends events until it is dropped.
#[derive(Debug)]
pub struct Events {
    sent: Arc<Sent>,
    sending: JoinHandle<()>,
    outbox: Arc<Outbox>,
}

/// What became of them.
#[derive(Debug, Default)]
struct Sent {
    made: AtomicU64,
    requests: AtomicU64,
    taken: AtomicU64,
    given_up: AtomicU64,
    statuses: Mutex<Vec<u16>>,
}

impl Events {
    /// How many things happened.
    #[must_use]
    pub fn made(&self) -> u64 {
        self.sent.made.load(Ordering::SeqCst)
    }

    /// How many requests were made for them.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.sent.requests.load(Ordering::SeqCst)
    }

    /// How many were answered with 2xx.
    #[must_use]
    pub fn taken(&self) -> u64 {
        self.sent.taken.load(Ordering::SeqCst)
    }

    /// How many were never taken.
    #[must_use]
    pub fn given_up(&self) -> u64 {
        self.sent.given_up.load(Ordering::SeqCst)
    }

    /// The status of every answer; 0 where there was none.
    #[must_use]
    pub fn statuses(&self) -> Vec<u16> {
        self.sent.statuses.lock().clone()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.outbox.close();
        self.sending.abort();
    }
}

/// What happened and is not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Option<Vec<Value>>>,
    of_clients: std::sync::atomic::AtomicBool,
    come: Notify,
}

impl Outbox {
    fn open(&self, of_clients: bool) {
        self.of_clients.store(of_clients, Ordering::SeqCst);
        *self.waiting.lock() = Some(Vec::new());
    }

    fn close(&self) {
        *self.waiting.lock() = None;
    }

    fn take(&self, at_least: usize) -> Vec<Value> {
        let mut waiting = self.waiting.lock();
        match waiting.as_mut() {
            Some(events) if events.len() >= at_least => std::mem::take(events),
            _ => Vec::new(),
        }
    }
}

impl Store {
    /// Something happened to an asset.
    pub(crate) fn happened(&self, event_type: &str, asset: &SiteAsset) {
        if self.by_client && !self.outbox.of_clients.load(Ordering::SeqCst) {
            return;
        }
        let mut waiting = self.outbox.waiting.lock();
        let Some(events) = waiting.as_mut() else { return };
        let shown = self.show_asset(asset);
        events.push(json!({
            "event_type": event_type,
            "id": asset.id,
            "name": asset.name,
            "assettype": shown["asset_type"],
            "location": shown["location"],
        }));
        drop(waiting);
        self.outbox.come.notify_one();
    }
}

/// Begins to send.
pub(super) fn start(outbox: &Arc<Outbox>, options: EventOptions, seed: u64) -> anyhow::Result<Events> {
    outbox.open(options.of_clients);
    let sent = Arc::new(Sent::default());
    let sending = Sending {
        client: http_client()?,
        options,
        sent: sent.clone(),
        outbox: outbox.clone(),
        number: AtomicUsize::new(0),
    };
    let sending = tokio::spawn(sending.run(StdRng::seed_from_u64(seed)));
    Ok(Events { sent, sending, outbox: outbox.clone() })
}

struct Sending {
    client: reqwest::Client,
    options: EventOptions,
    sent: Arc<Sent>,
    outbox: Arc<Outbox>,
    number: AtomicUsize,
}

impl Sending {
    async fn run(self, mut random: StdRng) {
        let this = Arc::new(self);
        let room = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let mut requests = tokio::task::JoinSet::new();
        loop {
            let mut events = this.outbox.take(this.options.shuffled);
            if events.is_empty() {
                // What is kept back to be shuffled goes out after a while all the same.
                let come = this.outbox.come.notified();
                if tokio::time::timeout(Duration::from_millis(300), come).await.is_err() {
                    events = this.outbox.take(1);
                }
            }
            this.sent.made.fetch_add(events.len() as u64, Ordering::SeqCst);
            let mut events: Vec<Value> =
                events.into_iter().flat_map(|event| vec![event; this.options.copies.max(1)]).collect();
            if this.options.shuffled > 1 {
                events.shuffle(&mut random);
            }
            for event in events {
                let event = this.dressed(event);
                let Ok(place) = room.clone().acquire_owned().await else { return };
                let this = this.clone();
                requests.spawn(async move {
                    this.send(&event).await;
                    drop(place);
                });
                while requests.try_join_next().is_some() {}
            }
        }
    }

    /// The event with its id where this site has it.
    fn dressed(&self, mut event: Value) -> Value {
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let id = event["id"].take();
        if let Some(event) = event.as_object_mut() {
            event.remove("id");
        }
        match self.options.ids {
            EventIds::AtTop => event["id"] = id,
            EventIds::Within => event["asset"] = json!({ "id": id }),
            EventIds::Some if number.is_multiple_of(2) => event["id"] = id,
            EventIds::Some | EventIds::None => {}
        }
        event
    }

    async fn send(&self, event: &Value) {
        tokio::time::sleep(self.options.late).await;
        let mut pause = self.options.pause;
        for attempt in 0..=self.options.repeats {
            if attempt > 0 {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
            self.sent.requests.fetch_add(1, Ordering::SeqCst);
            let answered = self.client.post(&self.options.url).json(event).send().await;
            let status = answered.map_or(0, |answer| answer.status().as_u16());
            self.sent.statuses.lock().push(status);
            if (200..300).contains(&status) {
                self.sent.taken.fetch_add(1, Ordering::SeqCst);
                return;
            }
        }
        self.sent.given_up.fetch_add(1, Ordering::SeqCst);
    }
}
