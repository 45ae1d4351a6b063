//! Where AMFJ's events come in (P34): each is put into RabbitMQ before it is answered, whatever else is down, and looked at
//! by whoever leads the runs of its integration.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use amfj_sync_broker::{Outgoing, Publisher};
use amfj_sync_config::Integration;
use amfj_sync_http::json;
use amfj_sync_model::ids::{AssetId, IntegrationId};
use amfj_sync_model::messages::{AssetEvent, AssetEventKind, Event, Origin, Payload};
use amfj_sync_service::endpoints::{Inbox, InboxServer, Parcel, Receipt};
use amfj_sync_service::worker::{Exit, Worker};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use jiff::Timestamp;
use ring::{hmac, rand};
use serde_json::Value;
use uuid::Uuid;

use crate::events;

#[cfg(test)]
mod tests;

/// The setting that names where events are taken.
const SETTING: &str = "fetcher.events_listen";

/// How long the broker may take to confirm an event. Where it has not, the next ones are refused at once until it has: AMFJ
/// sends them again.
const CONFIRMED_WITHIN: Duration = Duration::from_secs(1);

/// Where an event has the id of its asset, where no setting says so. AMFJ documents none.
const USUAL_PLACES: [&str; 3] = ["/id", "/asset/id", "/asset_id"];

/// Bytes of the longest id and name that are looked up.
const LONGEST_ID: usize = 512;
const LONGEST_NAME: usize = 2_048;

/// Begins to take events, where the configuration says so.
pub(crate) async fn take_events(worker: &Arc<Worker>) -> Result<(), Exit> {
    let Some(listen) = worker.config.fetcher.events_listen else { return Ok(()) };
    let inbox = EventInbox::of(worker).map_err(Exit::Failed)?;
    start(listen, inbox, worker).await
}

async fn start(listen: SocketAddr, inbox: EventInbox, worker: &Worker) -> Result<(), Exit> {
    let stop = worker.shutdown.soft.clone();
    let started = InboxServer::start(listen, SETTING, Arc::new(inbox), stop).await;
    started.map(drop).map_err(|error| Exit::Failed(error.to_string()))
}

/// An integration whose events are taken.
struct Site {
    id: IntegrationId,
    /// What becomes of its key under [`Keys::secret`].
    tag: hmac::Tag,
    /// Where its events have the id of their asset.
    asset_id: Option<String>,
}

/// The keys by which events are known.
struct Keys {
    /// Of this process: what is compared tells nothing of a key, and takes as long for each.
    secret: hmac::Key,
    sites: Vec<Site>,
    /// What an integration that is not known is compared with.
    nobody: hmac::Tag,
}

impl Keys {
    fn of(integrations: &[Integration]) -> Result<Self, String> {
        let random = rand::SystemRandom::new();
        let secret = hmac::Key::generate(hmac::HMAC_SHA256, &random).map_err(|_| {
            "this machine gives no random numbers, without which no key can be kept".to_owned()
        })?;
        let nobody = hmac::sign(&secret, Uuid::new_v4().as_bytes());
        let site = |integration: &Integration| {
            let events = integration.amfj.events.as_ref()?;
            let key = events.key.as_ref()?;
            let tag = hmac::sign(&secret, key.expose().as_bytes());
            Some(Site { id: integration.id.clone(), tag, asset_id: events.asset_id.clone() })
        };
        let sites = integrations.iter().filter_map(site).collect();
        Ok(Self { secret, sites, nobody })
    }

    fn site(&self, id: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.id.as_str() == id)
    }

    /// Compared in constant time, also for an integration that is not known.
    fn addressee(&self, id: &str, key: &str) -> Option<IntegrationId> {
        let site = self.site(id);
        let tag = site.map_or(&self.nobody, |site| &site.tag);
        let is_right = hmac::verify(&self.secret, key.as_bytes(), tag.as_ref()).is_ok();
        site.filter(|_| is_right).map(|site| site.id.clone())
    }
}

/// Takes events and puts them into RabbitMQ.
struct EventInbox {
    worker: Arc<Worker>,
    keys: Keys,
    /// Its own: what a run publishes would stand in front of an event.
    publisher: Publisher,
    /// Whether the broker owes a confirm for longer than it may.
    owed: Arc<AtomicBool>,
}

impl EventInbox {
    fn of(worker: &Arc<Worker>) -> Result<Self, String> {
        let publisher = Publisher::start(worker.broker.clone(), worker.shutdown.hard.clone());
        Ok(Self {
            worker: worker.clone(),
            keys: Keys::of(&worker.config.integrations)?,
            publisher,
            owed: Arc::default(),
        })
    }

    /// AMFJ sends its events to one address: all integrations that feed the same site and take events have them from there.
    fn of_the_site<'a>(&'a self, id: &'a IntegrationId) -> impl Iterator<Item = &'a IntegrationId> {
        let config = &self.worker.config;
        let own = config.integration(id).into_iter();
        let others = own.flat_map(|own| config.siblings_of(own)).filter(|other| other.amfj.events.is_some());
        std::iter::once(id).chain(others.map(|other| &other.id))
    }

    async fn keep(&self, integration: &IntegrationId, event: AssetEvent) -> Receipt {
        if self.owed.load(Ordering::Relaxed) || self.worker.broker.trouble().is_some() {
            return Receipt::Unavailable;
        }
        let origin = Origin {
            source: self.worker.id.clone(),
            integration: integration.clone(),
            run: None,
            sequence: None,
            traceparent: None,
        };
        let message = Event::new(&origin, "asset-event".into(), Timestamp::now(), Payload::AssetEvent(event));
        let names = self.worker.broker.names();
        let publisher = self.publisher.clone();
        let outgoing = self.of_the_site(integration).map(|id| {
            let message = Event { integration: id.clone(), ..message.clone() };
            Outgoing::to_queue(names.events(id), &message)
        });
        let outgoing = outgoing.collect();
        // On its own, so that it goes on when this request is given up, and says when the broker is well again.
        let mut confirmed = tokio::spawn(async move { publisher.publish(outgoing).await.is_ok() });
        match tokio::time::timeout(CONFIRMED_WITHIN, &mut confirmed).await {
            Ok(Ok(true)) => Receipt::Taken,
            Ok(_) => Receipt::Unavailable,
            Err(_) => {
                self.owed.store(true, Ordering::Relaxed);
                let owed = self.owed.clone();
                tokio::spawn(async move {
                    drop(confirmed.await);
                    owed.store(false, Ordering::Relaxed);
                });
                Receipt::Unavailable
            }
        }
    }
}

impl Inbox for EventInbox {
    fn addressee(&self, id: &str, key: &str) -> Option<IntegrationId> {
        self.keys.addressee(id, key)
    }

    fn take(&self, parcel: Parcel) -> BoxFuture<'_, Receipt> {
        async move {
            let place = self.keys.site(parcel.integration.as_str()).and_then(|site| site.asset_id.as_deref());
            match read(&parcel.body, place) {
                Ok(event) => self.keep(&parcel.integration, event).await,
                Err(receipt) => receipt,
            }
        }
        .boxed()
    }

    fn note(&self, integration: Option<&IntegrationId>, receipt: Receipt) {
        events::event_received(integration, receipt);
    }
}

/// What an event says, as far as it counts.
fn read(body: &[u8], place: Option<&str>) -> Result<AssetEvent, Receipt> {
    let value = json::value(body).map_err(|_| Receipt::NotJson)?;
    let kind = value.get("event_type").and_then(Value::as_str).map(str::trim);
    let kind = kind.and_then(AssetEventKind::of_event_type);
    let Some(kind) = kind else { return Err(Receipt::NotKnown("its event_type is none that is known")) };
    let asset = match place {
        Some(place) => value.pointer(place).and_then(id),
        None => USUAL_PLACES.iter().find_map(|place| value.pointer(place).and_then(id)),
    };
    let name = value.get("name").and_then(Value::as_str).map(str::trim);
    let name = name.filter(|name| !name.is_empty() && name.len() <= LONGEST_NAME).map(str::to_owned);
    if asset.is_none() && name.is_none() {
        return Err(Receipt::NotKnown("it names no asset"));
    }
    Ok(AssetEvent { kind, asset, name, token: Uuid::new_v4() })
}

/// An id may be a number or a text.
fn id(value: &Value) -> Option<AssetId> {
    let id = match value {
        Value::String(id) => AssetId::new(id),
        Value::Number(id) if id.is_u64() || id.is_i64() => AssetId::new(id.to_string()),
        _ => return None,
    };
    id.ok().filter(|id| id.as_str().len() <= LONGEST_ID)
}
