//! What an event of AMFJ leads to (P34): the asset is looked up, and what that shows is a fact like any listed row, if it
//! is news. An event is a hint and never the truth, so all that a forged one can do is have an asset looked up.
//!
//! Whoever leads the runs of an integration takes its events, so that all reads of AMFJ share one limit. What waits stays in
//! RabbitMQ until it is done with: the next leader goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_backoff::Backoff;
use amfj_sync_broker::{Acknowledged, BrokerError, Intake, Received, Session};
use amfj_sync_model::ids::{AssetId, Key};
use amfj_sync_model::messages::{AssetEvent, AssetEventKind, Event, Payload};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::Projection;
use amfj_sync_service::worker::Worker;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::events::{self, LookUp};
use crate::leadership::Lead;
use crate::run::Leader;
use crate::status::Board;

mod looking;
mod pending;

use looking::{End, Looked};
use pending::{Pending, QUIET, Subject, Waiting};

/// Events that are taken before the first is done with. What is beyond waits in RabbitMQ.
const PREFETCH: u16 = 1_024;

/// Look-ups at the same time; the limit of requests a second holds for all of them.
const AT_ONCE: usize = 4;

/// So often an asset is looked up that is never clear.
const MOST_ATTEMPTS: u32 = 20;

/// Between two looks at how many events wait in the broker, and before it is tried again to take them.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Look-ups that are remembered, to tell which events came before them.
const REMEMBERED: usize = 10_000;

/// How far the clocks of two machines that run fetchers may differ.
const SKEW: SignedDuration = SignedDuration::from_secs(5);

/// Takes the events of one integration, as long as it is led here.
pub(crate) struct LookUps<'a> {
    worker: &'a Worker,
    leader: &'a Leader,
    board: &'a Board,
    /// When the latest look-up of each asset began, by this machine's clock.
    looked_up: Mutex<BTreeMap<Subject, Timestamp>>,
    /// Which writes of ours AMFJ has shown since, by the age of the row: what it shows later is no late answer.
    shown: Mutex<BTreeMap<AssetId, u64>>,
    /// Until then nothing is searched for by name, for the search shows whatever there is.
    no_search_until: Mutex<Option<Instant>>,
}

impl<'a> LookUps<'a> {
    pub(crate) fn of(worker: &'a Worker, leader: &'a Leader, board: &'a Board) -> Self {
        Self {
            worker,
            leader,
            board,
            looked_up: Mutex::default(),
            shown: Mutex::default(),
            no_search_until: Mutex::default(),
        }
    }

    /// Looks into events until told to stop, or until the lead is lost. Does nothing where none are taken.
    pub(crate) async fn run(&self, lead: &Lead, stop: &CancellationToken) {
        if self.leader.config.amfj.events.is_none() {
            return;
        }
        while !lead.is_lost() {
            let Some(Ok(session)) = stop.run_until_cancelled(self.worker.broker.session()).await else {
                return;
            };
            if lead.is_lost() {
                return;
            }
            if let Err(error) = self.take_on(&session, stop).await {
                // Not the end of the connection: the runs go on without events.
                tracing::warn!(integration = %self.leader.config.id, %error, "AMFJ's events cannot be taken at the moment; trying again");
                stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await;
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    async fn take_on(&self, session: &Arc<Session>, stop: &CancellationToken) -> Result<(), BrokerError> {
        let queue = self.worker.broker.names().events(&self.leader.config.id);
        let mut intake = Intake::open_signed(session, &queue, PREFETCH).await?;
        let taken = self.take(session, &queue, &mut intake, stop).await;
        // Whatever is not acknowledged is delivered again, here or to the next leader.
        intake.close().await;
        taken
    }

    async fn take(
        &self,
        session: &Arc<Session>,
        queue: &str,
        intake: &mut Intake,
        stop: &CancellationToken,
    ) -> Result<(), BrokerError> {
        let mut agenda = Agenda::new(self.leader)?;
        let mut looking = FuturesUnordered::new();
        let mut waiting_in_broker = 0;
        let mut look_at = Instant::now();
        loop {
            self.show(agenda.pending.len() + looking.len(), waiting_in_broker);
            let due = agenda.next_due().filter(|_| looking.len() < AT_ONCE);
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                Some(looked) = looking.next(), if !looking.is_empty() => {
                    if !self.settle(looked, &mut agenda).await? {
                        return Ok(());
                    }
                }
                () = until(due) => {
                    if let Some((subject, waiting)) = self.next(&mut agenda) {
                        looking.push(self.look(subject, waiting).boxed());
                    }
                }
                received = intake.next() => {
                    let Some(received) = received else { return Ok(()) };
                    if !self.receive(received, &mut agenda).await {
                        return Ok(());
                    }
                }
                () = tokio::time::sleep_until(look_at) => {
                    waiting_in_broker = session.inspect(queue).await?.map_or(0, |depth| depth.messages);
                    look_at = Instant::now() + LOOK_EVERY;
                }
            }
        }
    }

    /// Takes an event in. Answers whether the channel lives.
    async fn receive(&self, received: Received, agenda: &mut Agenda) -> bool {
        let event = match Event::decode(&received.body) {
            Ok(Event { payload: Payload::AssetEvent(event), integration, time, source, .. })
                if integration == self.leader.config.id =>
            {
                Some((event, time, source))
            }
            Ok(_) => {
                tracing::warn!(integration = %self.leader.config.id, "a message among AMFJ's events is none; it is dropped");
                None
            }
            Err(error) => {
                tracing::warn!(integration = %self.leader.config.id, %error, "an event cannot be read; it is dropped");
                None
            }
        };
        let Some((event, time, source)) = event else { return is_acknowledged(&received).await };
        self.came(time);
        let Some(subject) = self.subject(&event) else { return is_acknowledged(&received).await };
        // By the clock of another machine nobody can tell what came first.
        let received_at = if source == self.worker.id { time } else { Timestamp::now() };
        if self.is_covered(&subject, received_at, time) {
            events::looked_up(&self.leader.config.id, LookUp::Covered);
            return is_acknowledged(&received).await;
        }
        match agenda.pending.add(subject, received, received_at, Instant::now()) {
            Some(before) => is_acknowledged(&before).await,
            None => true,
        }
    }

    /// What is to be looked up. A name that one asset has is that asset, unless another one of that name was made.
    fn subject(&self, event: &AssetEvent) -> Option<Subject> {
        if let Some(asset) = &event.asset {
            return Some(Subject::Asset(asset.clone()));
        }
        let name = event.name.clone()?;
        let key = NameKey::of(&name)?;
        let known = if event.kind == AssetEventKind::Created {
            Vec::new()
        } else {
            self.leader.state.read(|view| view.assets_named(&key))
        };
        match <[AssetId; 1]>::try_from(known) {
            Ok([asset]) => Some(Subject::Asset(asset)),
            Err(_) => Some(Subject::Name(name)),
        }
    }

    /// Whether what the event is about was read after it came: by a look-up, or by the run whose inventory is in force.
    fn is_covered(&self, subject: &Subject, received: Timestamp, said: Timestamp) -> bool {
        if self.looked_up.lock().get(subject).is_some_and(|began| received < *began) {
            return true;
        }
        let late =
            SignedDuration::try_from(self.leader.config.amfj.list_delay).unwrap_or(SignedDuration::MAX);
        let listed_from = said.checked_add(late).and_then(|from| from.checked_add(SKEW));
        let run = self.leader.state.read(|view| view.meta().in_force.as_ref().map(|run| run.started.at));
        listed_from.is_ok_and(|from| run.is_some_and(|started| started > from))
    }

    /// The next that can be looked up now. What our own change touches waits until that is done.
    fn next(&self, agenda: &mut Agenda) -> Option<(Subject, Waiting<Received>)> {
        let now = Instant::now();
        let (subject, waiting) = agenda.pending.take_due(now)?;
        let wait = self.leader.state.read(|view| {
            view.meta().in_force.is_none() || waiting.may_wait(now) && is_change_under_way(view, &subject)
        });
        if !wait {
            return Some((subject, waiting));
        }
        // Nothing took its place: it was taken out just now.
        drop(agenda.pending.put_off(subject, waiting, now + QUIET));
        None
    }

    /// Takes note of what a look-up showed. Answers whether the channel lives.
    async fn settle(&self, looked: Looked, agenda: &mut Agenda) -> Result<bool, BrokerError> {
        let Looked { subject, waiting, began, shown, end } = looked;
        let id = &self.leader.config.id;
        let done = match end {
            End::Done(came_of_it) => came_of_it,
            End::Again(_) if waiting.attempts >= MOST_ATTEMPTS => LookUp::Failed,
            End::Again(pause) => {
                events::looked_up(id, LookUp::Again);
                return Ok(agenda.put_off(subject, waiting.tried(), pause).await);
            }
            // That says nothing about the asset, and counts for nothing.
            End::Outage => {
                events::looked_up(id, LookUp::Again);
                let pause = agenda.pause();
                return Ok(agenda.put_off(subject, waiting, pause).await);
            }
            End::Broken(error) => return Err(error),
        };
        agenda.is_well();
        events::looked_up(id, done);
        let mut alive = is_acknowledged(&waiting.message).await;
        for asset in &shown {
            if let Some(message) = agenda.pending.take_shown(asset, began) {
                events::looked_up(id, LookUp::Covered);
                alive &= is_acknowledged(&message).await;
            }
        }
        self.remember(subject, shown, began);
        Ok(alive)
    }

    fn remember(&self, subject: Subject, shown: Vec<AssetId>, began: Timestamp) {
        let mut looked_up = self.looked_up.lock();
        if looked_up.len() >= REMEMBERED {
            looked_up.clear();
        }
        looked_up.extend(shown.into_iter().map(|asset| (Subject::Asset(asset), began)));
        looked_up.insert(subject, began);
    }

    fn came(&self, time: Timestamp) {
        self.board.update(&self.leader.config.id, |standing| {
            let events = standing.events.get_or_insert_default();
            events.last = events.last.max(Some(time));
        });
    }

    fn show(&self, here: usize, in_broker: u32) {
        let waiting = u32::try_from(here).unwrap_or(u32::MAX).saturating_add(in_broker);
        events::events_waiting(&self.leader.config.id, waiting);
        self.board.update(&self.leader.config.id, |standing| {
            standing.events.get_or_insert_default().waiting = waiting;
        });
    }
}

/// What waits here, and whether AMFJ answers.
struct Agenda {
    pending: Pending<Received>,
    pauses: Backoff,
    /// AMFJ does not answer: nothing is looked up before.
    resume_at: Option<Instant>,
}

impl Agenda {
    fn new(leader: &Leader) -> Result<Self, BrokerError> {
        let pauses = Backoff::try_new(Duration::from_secs(1), Duration::from_mins(1));
        let pauses = pauses.map_err(|error| BrokerError::Client(format!("{}: {error}", leader.config.id)))?;
        Ok(Self { pending: Pending::default(), pauses, resume_at: None })
    }

    fn next_due(&self) -> Option<Instant> {
        self.pending.next_due().map(|due| self.resume_at.map_or(due, |resume| due.max(resume)))
    }

    fn pause(&mut self) -> Duration {
        let pause = self.pauses.next();
        self.resume_at = Some(Instant::now() + pause);
        pause
    }

    fn is_well(&mut self) {
        self.pauses.reset();
        self.resume_at = None;
    }

    async fn put_off(&mut self, subject: Subject, waiting: Waiting<Received>, pause: Duration) -> bool {
        match self.pending.put_off(subject, waiting, Instant::now() + pause) {
            Some(message) => is_acknowledged(&message).await,
            None => true,
        }
    }
}

/// Whether a change of the device that has the asset, or of its user, is published and not carried out: the event may be of
/// that, and so may the next one.
fn is_change_under_way(view: &Projection, subject: &Subject) -> bool {
    let Subject::Asset(asset) = subject else { return false };
    let Some(device) = view.linked_device(asset).or_else(|| view.promised_to(asset)) else { return false };
    let key = Key::Device(device);
    let awaited = view.decision(&key).and_then(|decision| decision.awaits).map(Key::User);
    view.is_change_under_way(&key) || awaited.is_some_and(|user| view.is_change_under_way(&user))
}

async fn is_acknowledged(received: &Received) -> bool {
    received.acknowledge().await == Acknowledged::Yes
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
