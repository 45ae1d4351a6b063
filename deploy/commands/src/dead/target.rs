//! Where a dead letter came from, and what goes back there.

use std::collections::BTreeSet;

use amfj_sync_broker::dead_letter::{Replay, header};
use amfj_sync_broker::{Headers, Names, Outgoing, Received, Stage};
use amfj_sync_config::Config;
use amfj_sync_model::ids::{IntegrationId, Key};
use uuid::Uuid;

use super::letter::DeadLetter;

/// The work queues of a configuration.
#[derive(Debug)]
pub(super) struct Origins {
    names: Names,
    partitions: u16,
    integrations: Vec<IntegrationId>,
    queues: BTreeSet<String>,
}

impl Origins {
    pub(super) fn of(config: &Config, names: &Names) -> Self {
        let integrations: Vec<IntegrationId> =
            config.integrations.iter().map(|integration| integration.id.clone()).collect();
        let partitions = config.broker.partitions;
        let mut queues = BTreeSet::new();
        for id in &integrations {
            for stage in [Stage::Reconcile, Stage::Apply] {
                queues.extend((0..partitions).map(|partition| names.work(id, stage, partition)));
            }
        }
        Self { names: names.clone(), partitions, integrations, queues }
    }

    /// The queue that a letter goes back to; else why there is none.
    fn queue_of(&self, letter: &DeadLetter) -> Result<String, String> {
        if let Some(queue) = &letter.queue {
            return self.queues.get(queue).cloned().ok_or_else(|| {
                format!("it came from {queue}, which is no work queue of this configuration")
            });
        }
        // Of a release that did not write the queue down: the key tells.
        let integration =
            self.integrations.iter().find(|id| Some(id.as_str()) == letter.integration.as_deref());
        let stage = [Stage::Reconcile, Stage::Apply].into_iter();
        let stage = stage.into_iter().find(|stage| Some(stage.as_str()) == letter.stage.as_deref());
        let key = letter.key.as_deref().and_then(Key::parse);
        match (integration, stage, key) {
            (Some(id), Some(stage), Some(key)) => {
                Ok(self.names.work(id, stage, key.partition(self.partitions)))
            }
            (None, ..) => Err("its integration is not in this configuration".to_owned()),
            _ => Err("it does not say where it came from".to_owned()),
        }
    }

    /// The message that a letter was, for the queue that it came from.
    pub(super) fn back(
        &self,
        letter: &DeadLetter,
        received: &Received,
        most_bytes: usize,
    ) -> Result<Outgoing, String> {
        if letter.body.len() > most_bytes {
            return Err(format!("its {} bytes are more than the broker takes", letter.body.len()));
        }
        let mut message = Outgoing {
            exchange: String::new(),
            routing_key: self.queue_of(letter)?,
            id: letter.id.parse().unwrap_or_else(|_| Uuid::new_v4()),
            body: received.body.clone(),
            headers: Headers::default(),
            packable: false,
        };
        if let Some(offset) = received.header(Outgoing::DECIDED_ON) {
            message = message.with_header(Outgoing::DECIDED_ON, &offset);
        }
        let since = received.header(header::SINCE).and_then(|time| time.parse().ok()).or(letter.time);
        let replay = Replay { token: Uuid::new_v4(), attempts: letter.attempts.unwrap_or(0), since };
        Ok(replay.put_on(message))
    }
}
