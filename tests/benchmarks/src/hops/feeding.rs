//! Puts the facts and messages of a run where the workers find them, as a fetcher would.

use amfj_sync_benchmarks::synthetic::{self, Place};
use amfj_sync_broker::{Outgoing, Stage};
use amfj_sync_model::ids::{IntegrationId, Key};
use amfj_sync_model::messages::{
    Action, Change, DeviceSnapshot, EndOfRun, Event, Fact, Origin, Payload, Sequence,
};
use amfj_sync_service::worker::{Shutdown, Worker};
use amfj_sync_stream::StateHandle;
use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;

/// Messages that are published together.
const AT_ONCE: usize = 1_024;

/// A client of the pipeline's own kind that only publishes.
pub(super) struct Feeder {
    worker: Worker,
    state: StateHandle,
    id: IntegrationId,
    partitions: u16,
}

impl Feeder {
    pub(super) async fn start(place: Place<'_>) -> Result<Self> {
        let config = synthetic::config(place, std::path::Path::new("/nowhere"))?;
        let started = Worker::start("bench", config, None, Shutdown::default()).await;
        let worker = started.map_err(|error| anyhow!("{error}"))?;
        let state = worker.states.values().next().context("one integration")?.clone();
        state.caught_up().await?;
        Ok(Self { worker, state, id: IntegrationId::new(synthetic::ID)?, partitions: place.partitions })
    }

    pub(super) async fn say(&self, facts: Vec<Fact>) -> Result<()> {
        let mut facts = facts.into_iter().peekable();
        while facts.peek().is_some() {
            let window = facts.by_ref().take(AT_ONCE).map(synthetic::event).collect::<Result<_>>()?;
            self.state.publish(window).await?;
        }
        Ok(())
    }

    /// A snapshot of every device, and the end of the run.
    pub(super) async fn snapshots(&self, run: u64, devices: usize) -> Result<()> {
        let origin = Origin { sequence: Some(Sequence::first(run)), ..synthetic::origin()? };
        let mut messages = Vec::new();
        for number in 0..devices {
            let device = synthetic::device(number)?;
            let key = Key::Device(device.device_id.clone());
            let payload = Payload::DeviceSnapshot(DeviceSnapshot { device });
            messages.push(self.message(&origin, Stage::Reconcile, &key, payload));
            if messages.len() == AT_ONCE {
                self.worker.publisher.publish(std::mem::take(&mut messages)).await?;
            }
        }
        for partition in 0..self.partitions {
            let event = Event::new(
                &origin,
                format!("run/{run}"),
                Timestamp::now(),
                Payload::EndOfRun(EndOfRun { partition }),
            );
            let queue = self.worker.broker.names().work(&self.id, Stage::Reconcile, partition);
            messages.push(Outgoing::to_queue(queue, &event));
        }
        Ok(self.worker.publisher.publish(messages).await?)
    }

    /// A change for every device: its asset is created.
    pub(super) async fn changes(&self, devices: usize) -> Result<()> {
        let origin = Origin { sequence: Some(Sequence { run: 1, step: 1 }), ..synthetic::origin()? };
        let mut messages = Vec::new();
        for number in 0..devices {
            let asset = synthetic::asset(number, true)?;
            let device = synthetic::device(number)?;
            let key = Key::Device(device.device_id);
            let change = Change {
                key: key.clone(),
                label: device.name,
                serial: device.serial,
                serials: Vec::new(),
                action: Action::CreateAsset {
                    name: asset.name,
                    asset_type: asset.asset_type,
                    location: None,
                    fields: asset.fields,
                },
            };
            messages.push(self.message(&origin, Stage::Apply, &key, Payload::Change(change)));
            if messages.len() == AT_ONCE {
                self.worker.publisher.publish(std::mem::take(&mut messages)).await?;
            }
        }
        Ok(self.worker.publisher.publish(messages).await?)
    }

    fn message(&self, origin: &Origin, stage: Stage, key: &Key, payload: Payload) -> Outgoing {
        let queue = self.worker.broker.names().work(&self.id, stage, key.partition(self.partitions));
        Outgoing::to_queue(queue, &Event::new(origin, key.to_string(), Timestamp::now(), payload))
    }

    /// Lets go of the broker: what follows is measured without this client.
    pub(super) async fn stop(self) {
        self.worker.finish().await;
    }
}
