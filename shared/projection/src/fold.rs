//! What each fact does to the view.
//!
//! **The age rule.** A listed record is true as of its run's *started* fact, an outcome as of its own
//! place in the stream; the view keeps the later. A list may lag behind a write by AMFJ's list delay,
//! so an outcome from shortly before the run's start is kept as well.

mod amfj;
mod import;
mod inventory;
mod outcome;
mod person;
mod read;
mod rows;
mod runs;

use std::borrow::Borrow;

use amfj_sync_model::messages::{Catalogue, Event, Fact, Payload};

use super::batch::Batch;
use super::keys::table;
use super::rows::Meta;
use super::store::StoreError;
use super::view::Projection;

/// Whether a fact had an effect. A worker acts on its own fact only if it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It took effect, or is staged.
    Accepted,
    /// It came too late or contradicts an earlier fact; the view is unchanged.
    Rejected(String),
}

impl Verdict {
    fn unless(refused: Option<&str>) -> Self {
        refused.map_or(Self::Accepted, |why| Self::Rejected(why.to_owned()))
    }
}

/// One fact being applied: where it stands, and what it may read and write.
struct Projector<'a, 'b> {
    batch: &'a mut Batch<'b>,
    meta: &'a mut Meta,
    catalogue: &'a mut Catalogue,
    offset: u64,
    /// Which of the facts at this offset it is.
    place: usize,
    event: &'a Event,
}

impl Projection {
    /// Applies facts with their offsets, in one step: all of them are in the store afterwards, with the
    /// last offset, or none. Facts at offsets that the view already has are passed over. Several facts may
    /// share an offset, as they shared a message; they come in one call.
    ///
    /// Fails when the store does; the view must be rebuilt then.
    pub fn apply<E: Borrow<Event>>(&mut self, facts: &[(u64, E)]) -> Result<Vec<Verdict>, StoreError> {
        let mut meta = self.meta.clone();
        let mut batch = Batch::new(self.store.as_mut());
        let mut verdicts = Vec::with_capacity(facts.len());
        let mut last: Option<(u64, usize)> = None;
        for (offset, event) in facts {
            let event: &Event = event.borrow();
            let beside = last.filter(|(last, _)| last == offset);
            if beside.is_none() && meta.offset.is_some_and(|seen| *offset <= seen) {
                verdicts.push(Verdict::Rejected("seen before".into()));
                continue;
            }
            let place = beside.map_or(0, |(_, place)| place + 1);
            last = Some((*offset, place));
            let mut projector = Projector {
                batch: &mut batch,
                meta: &mut meta,
                catalogue: &mut self.catalogue,
                offset: *offset,
                place,
                event,
            };
            verdicts.push(projector.fold()?);
            meta.offset = Some(*offset);
            meta.last_fact = Some(event.id);
        }
        batch.put(table::META, "", &meta);
        batch.commit()?;
        self.meta = meta;
        Ok(verdicts)
    }

    /// Empties the view, to read the stream from its beginning.
    pub fn reset(&mut self) -> Result<(), StoreError> {
        self.store.clear()?;
        self.meta = Meta::default().indexed_as(&self.meta);
        self.catalogue = Catalogue::default();
        Ok(())
    }
}

impl Projector<'_, '_> {
    fn fold(&mut self) -> Result<Verdict, StoreError> {
        let event = self.event;
        let Payload::Fact(fact) = &event.payload else {
            return Ok(Verdict::Rejected("not a fact".into()));
        };
        if let Some(number) = fact.staged_for() {
            return Ok(self.stage(number, fact));
        }
        match fact {
            Fact::StreamOpened { stream, partitions, .. } => Ok(self.stream_opened(*stream, *partitions)),
            Fact::RunRequested { .. } => {
                self.meta.requested = Some(self.offset);
                Ok(Verdict::Accepted)
            }
            Fact::RunStarted(started) => self.run_started(started),
            Fact::RunFailed { number, reason, configuration } => {
                Ok(self.run_failed(*number, reason, *configuration))
            }
            Fact::InventoryComplete { number, counts, report } => {
                self.inventory_complete(*number, *counts, report)
            }
            Fact::RunPublished { number, took_ms } => Ok(self.run_published(*number, *took_ms)),
            Fact::DetailsRead { device, details } => self.details_read(device, details),
            Fact::AssetRead { asset, as_of, .. } => self.asset_read(asset, *as_of),
            Fact::AssetNotFound { asset, as_of } => self.asset_not_found(asset, *as_of),
            Fact::KandjiRequests { minute, count, .. } => self.kandji_requests(*minute, *count),
            Fact::PartitionDecided { number, partition, complete, staged, counts } => {
                Ok(self.partition_decided(*number, *partition, *complete, (*staged, *counts)))
            }
            Fact::MassChangesAllowed { number } => Ok(self.mass_changes_allowed(*number)),
            Fact::RunHeld { number, reason } => Ok(self.run_held(*number, reason)),
            Fact::DevicesVanished { number, vanished, back } => {
                Ok(self.devices_vanished(*number, vanished, back))
            }
            Fact::DecisionMade(decision) => self.decided(decision),
            Fact::ChangeIntended(intent) => self.intended(intent),
            Fact::IntentWithdrawn { change, key, worker, refused, .. } => {
                self.withdrawn(*change, key, worker, *refused)
            }
            Fact::ChangeEnded(outcome) => self.ended(outcome),
            Fact::OperatorDecided { decision, .. } => self.person_decided(decision),
            Fact::CheckpointEnded { .. } => {
                self.meta.last_checkpoint = Some((event.time, self.offset));
                Ok(Verdict::Accepted)
            }
            Fact::ImportBegun { import, .. } => self.import_begun(*import),
            Fact::ImportRows { import, part, rows } => Ok(self.import_rows(*import, *part, rows)),
            Fact::ImportEnded { import, parts, standing } => self.import_ended(*import, *parts, standing),
            // A copy of what this view has already, and markers that say nothing.
            _ => Ok(Verdict::Accepted),
        }
    }

    /// Hands what was folded so far to the store, with its offset: what follows takes several steps.
    fn commit_so_far(&mut self) -> Result<(), StoreError> {
        self.batch.put(table::META, "", self.meta);
        self.batch.commit()
    }

    fn stream_opened(&mut self, stream: uuid::Uuid, partitions: u16) -> Verdict {
        // Several workers may open a new stream at once: the first record decides.
        if self.meta.stream.is_some() {
            return Verdict::Rejected("the stream is open already".into());
        }
        self.meta.stream = Some(stream);
        self.meta.opened = Some(self.event.time);
        self.meta.partitions = partitions;
        Verdict::Accepted
    }
}
