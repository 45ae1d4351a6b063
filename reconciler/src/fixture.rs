//! An integration and its state stream, for tests of what the worker makes of them.

use std::collections::BTreeMap;
use std::path::Path;

use amfj_sync_config::{Integration, Tokens, parse};
use amfj_sync_model::ids::IntegrationId;
use amfj_sync_model::messages::{
    Event, Fact, InventoryCounts, MassCounts, Origin, ReadingReport, RunStarted,
};
use amfj_sync_projection::Projection;
use jiff::Timestamp;
use uuid::Uuid;

const SETTINGS: &str = include_str!("../../shared/config/src/fixture.toml");

/// An integration with these settings in `[integration.sync]`.
pub(crate) fn config(sync: &str) -> Integration {
    let text = format!("{SETTINGS}{sync}\n");
    let loaded = parse(Path::new("amfj-sync.toml"), text, &BTreeMap::new(), Tokens::None)
        .unwrap_or_else(|errors| panic!("{errors}"));
    loaded.config.integrations.into_iter().next().unwrap()
}

/// A state stream of two partitions.
pub(crate) struct Stream {
    pub(crate) view: Projection,
    offset: u64,
}

impl Stream {
    pub(crate) fn new() -> Self {
        let mut stream = Self { view: Projection::in_memory(None), offset: 0 };
        stream.say(Fact::StreamOpened { stream: Uuid::nil(), format: 2, partitions: 2 });
        stream
    }

    pub(crate) fn say(&mut self, fact: Fact) {
        self.offset += 1;
        let origin = Origin {
            source: "reconciler/1".into(),
            integration: IntegrationId::new("acme").unwrap(),
            run: None,
            sequence: None,
            traceparent: None,
        };
        let event = Event::fact(&origin, Timestamp::UNIX_EPOCH, fact);
        self.view.apply(&[(self.offset, event)]).unwrap();
    }

    /// A run that is read to its end, and that no partition has decided.
    pub(crate) fn read(&mut self, number: u64, mapping: &BTreeMap<String, String>) {
        self.read_with(number, mapping, Vec::new());
    }

    /// The same, with what is listed in it.
    pub(crate) fn read_with(&mut self, number: u64, mapping: &BTreeMap<String, String>, listed: Vec<Fact>) {
        self.say(Fact::RunStarted(RunStarted {
            number,
            leader: "fetcher/1".into(),
            at: Timestamp::UNIX_EPOCH,
            first_sync: false,
            applies_to_all: true,
            auto_checkout: true,
            list_delay_ms: 0,
            judged: false,
            mapping: mapping.clone(),
        }));
        for fact in listed {
            self.say(fact);
        }
        let (counts, report) = (InventoryCounts::default(), Box::<ReadingReport>::default());
        self.say(Fact::InventoryComplete { number, counts, report });
    }

    pub(crate) fn decide(&mut self, number: u64, partition: u16) {
        let counts = MassCounts { overwritten: 1, recorded: 2, linked: 3 };
        self.say(Fact::PartitionDecided { number, partition, complete: true, staged: 4, counts });
    }
}
