//! Publishing in windows: first the facts that differ, then, once they are in force, every device and
//! person for the reconcilers.

use amfj_sync_broker::{BrokerError, Outgoing, Stage, WINDOW};
use amfj_sync_config::catalogue::narrowed_to;
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{
    DeviceSnapshot, EndOfRun, Event, Fact, Origin, Payload, Sequence, Unusable, UserSnapshot,
};
use jiff::Timestamp;

use super::difference::{device_differs, user_differs};
use super::walk::Fleet;
use super::{Halt, Leader, Run};

const AT_ONCE: usize = WINDOW as usize;

impl Run<'_> {
    /// Publishes facts of this run, in order.
    pub(super) async fn say(&self, facts: Vec<Fact>) -> Result<(), Halt> {
        let mut facts = facts.into_iter().peekable();
        while facts.peek().is_some() {
            self.is_current()?;
            let window: Vec<Event> = facts.by_ref().take(AT_ONCE).map(|fact| self.fact(fact)).collect();
            match self.leader.state.publish(window.clone()).await {
                Err(BrokerError::TooLarge { limit, .. }) => {
                    self.leader.state.publish(self.without_too_large(window, limit)?).await?;
                }
                published => published?,
            }
            reach(Failpoint::FetcherSaying).await;
        }
        Ok(())
    }

    /// Stages every device and person that the view does not know as they are.
    pub(super) async fn say_what_differs(&self, fleet: &Fleet) -> Result<(), Halt> {
        let number = self.started.number;
        self.leader.progress.say("comparing".into());
        for ids in fleet.ids.chunks(AT_ONCE) {
            let mut facts = Vec::new();
            for id in ids {
                let Some(mut listed) = self.leader.listed(id)? else { continue };
                fleet.strip(&mut listed.entry.values);
                listed.entry.details.iter_mut().for_each(|details| fleet.strip(&mut details.values));
                let known = self.leader.state.read(|view| view.device(id));
                if device_differs(&listed.entry, known.as_ref()) {
                    facts.push(Fact::DeviceListed { number, device: listed.entry });
                }
            }
            self.say(facts).await?;
        }
        let keys: Vec<_> = fleet.people.iter().collect();
        for keys in keys.chunks(AT_ONCE) {
            let mut facts = Vec::new();
            for key in keys {
                let mut user = self.leader.person(key)?.entry(key);
                fleet.strip(&mut user.values);
                let known = self.leader.state.read(|view| view.user(key));
                if user_differs(&user, known.as_ref()) {
                    facts.push(Fact::UserListed { number, user });
                }
            }
            self.say(facts).await?;
        }
        Ok(())
    }

    /// Hands everybody and everything to the reconcilers, as the inventory in force says they are, then
    /// ends the run in every partition.
    pub(super) async fn publish_snapshots(&self, fleet: &Fleet) -> Result<(), Halt> {
        let leader = self.leader;
        let origin = Origin { sequence: Some(Sequence::first(self.started.number)), ..self.origin.clone() };
        let all = fleet.people.len() + fleet.ids.len();
        let mut published = 0;
        let keys: Vec<_> = fleet.people.iter().collect();
        for keys in keys.chunks(AT_ONCE) {
            let users = leader.state.read(|view| {
                let rows = keys.iter().filter_map(|key| view.user(key));
                let snapshots = rows.map(|row| Payload::UserSnapshot(UserSnapshot { user: row.entry }));
                snapshots.filter_map(|snapshot| leader.to_reconcilers(&origin, snapshot)).collect()
            });
            self.hand_over(users).await?;
            published += keys.len();
            leader.progress.say(format!("publishing: {published} of {all}"));
        }
        for ids in fleet.ids.chunks(AT_ONCE) {
            // From the view, which has the details of earlier runs too.
            let devices = leader.state.read(|view| {
                let rows = ids.iter().filter_map(|id| view.device(id));
                let snapshots = rows.map(|row| Payload::DeviceSnapshot(DeviceSnapshot { device: row.entry }));
                snapshots.filter_map(|snapshot| leader.to_reconcilers(&origin, snapshot)).collect()
            });
            self.hand_over(devices).await?;
            published += ids.len();
            leader.progress.say(format!("publishing: {published} of {all}"));
        }
        let ends = (0..leader.partitions).map(|partition| {
            let subject = format!("run/{}", self.started.number);
            let payload = Payload::EndOfRun(EndOfRun { partition });
            let event = Event::new(&origin, subject, Timestamp::now(), payload);
            Outgoing::to_queue(leader.names.work(&leader.config.id, Stage::Reconcile, partition), &event)
        });
        self.hand_over(ends.collect()).await
    }

    /// Facts that the broker takes; the others are left out and named (P30).
    fn without_too_large(&self, facts: Vec<Event>, limit: usize) -> Result<Vec<Event>, Halt> {
        let mut fitting = Vec::with_capacity(facts.len());
        for mut event in facts {
            self.narrow(&mut event, limit)?;
            let bytes = event.encode().len();
            if bytes > limit {
                self.report_too_large(&event.subject, bytes, limit);
            } else {
                fitting.push(event);
            }
        }
        Ok(fitting)
    }

    /// What the site has is said as far as the settings name it, where the whole is too large. Without that nothing can be
    /// decided, so it is not left out.
    fn narrow(&self, event: &mut Event, limit: usize) -> Result<(), Halt> {
        if event.encode().len() <= limit {
            return Ok(());
        }
        let Payload::Fact(Fact::CatalogueListed { catalogue, .. }) = &mut event.payload else {
            return Ok(());
        };
        *catalogue = narrowed_to(catalogue, &self.leader.config);
        let bytes = event.encode().len();
        if bytes <= limit {
            return Ok(());
        }
        Err(Halt::failed(format!(
            "the asset types of AMFJ, and of their fields those that are mapped or required, take {bytes} bytes, and the broker \
             takes no message of more than {limit}: raise max_message_size in RabbitMQ"
        )))
    }

    fn report_too_large(&self, subject: &str, bytes: usize, limit: usize) {
        let (what, id) = subject.split_once('/').unwrap_or((subject, ""));
        let why = format!(
            "what is known of it takes {bytes} bytes, and the broker takes no message of more than {limit}; it is left out"
        );
        tracing::warn!(integration = %self.leader.config.id, run = self.run_id(), subject, bytes, limit,
            "a fact is larger than a message may be, and is left out");
        self.report(Unusable::new(what, Some(id), None, &why));
    }

    async fn hand_over(&self, mut messages: Vec<Outgoing>) -> Result<(), Halt> {
        self.is_current()?;
        // The inventory is in force by then, and its report said: these are named in the log.
        if let Err(error) = self.leader.publisher.publish(messages.clone()).await {
            let BrokerError::TooLarge { limit, .. } = error else { return Err(error.into()) };
            messages.retain(|message| {
                let bytes = message.body.len();
                if bytes > limit {
                    tracing::warn!(integration = %self.leader.config.id, run = self.run_id(), id = %message.id, bytes, limit,
                        "a snapshot is larger than a message may be, and is left out");
                }
                bytes <= limit
            });
            self.leader.publisher.publish(messages).await?;
        }
        self.leader.traces.batch_published();
        reach(Failpoint::FetcherHandingOver).await;
        Ok(())
    }
}

impl Leader {
    /// A snapshot on its way to the partition of its key; none for anything else.
    pub(super) fn to_reconcilers(&self, origin: &Origin, snapshot: Payload) -> Option<Outgoing> {
        let key = match &snapshot {
            Payload::DeviceSnapshot(snapshot) => Key::Device(snapshot.device.device_id.clone()),
            Payload::UserSnapshot(snapshot) => Key::User(snapshot.user.key.clone()),
            _ => return None,
        };
        let queue = self.names.work(&self.config.id, Stage::Reconcile, key.partition(self.partitions));
        let origin = Origin { traceparent: self.traces.publish(&key), ..origin.clone() };
        let event = Event::new(&origin, key.to_string(), Timestamp::now(), snapshot);
        Some(Outgoing::to_queue(queue, &event))
    }
}
