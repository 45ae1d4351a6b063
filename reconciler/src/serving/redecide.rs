//! What is decided again without a message: because of an outcome, of what a person decided, or because a worker that
//! died may have left it.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_broker::WINDOW;
use amfj_sync_model::ids::{AssetId, Key, RunId};
use amfj_sync_model::messages::{
    Decision, DeviceStatus, Ending, Fact, OperatorOrder, Outcome, Payload, PrimaryUser, Sequence,
};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::rows::Open;
use amfj_sync_projection::{Projection, Verdict};
use amfj_sync_stream::AppliedFact;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use super::in_flight_batches::InFlightBatches;
use super::{LeaseLost, Partition, Subject, Task};
use crate::events;

/// Devices of one name that are decided again because of one asset.
const MOST_OF_A_NAME: usize = 64;

/// Why a key is to be decided again.
#[derive(Debug, Clone, Default)]
struct Cause {
    /// `traceparent` of what gave rise to it.
    traceparent: Option<String>,
    by_person: bool,
    by_event: bool,
}

/// Keys that are to be decided again.
type Causes = BTreeMap<Key, Cause>;

/// What the facts of the stream give rise to.
pub(super) struct Listening {
    pub(super) folded: broadcast::Receiver<AppliedFact>,
    /// The run that was said to be decided last.
    pub(super) told: Option<u64>,
}

impl Partition<'_> {
    /// Decides what an outcome or a person completed: nobody waits for it while holding a message.
    pub(super) async fn follow_up(
        &self,
        first: Result<AppliedFact, RecvError>,
        listening: &mut Listening,
        under_way: &mut InFlightBatches<'_>,
    ) -> Result<(), LeaseLost> {
        let mut keys = Causes::new();
        let mut next = first.map_err(|error| match error {
            RecvError::Lagged(_) => TryRecvError::Lagged(1),
            RecvError::Closed => TryRecvError::Closed,
        });
        let mut looked_at = 0;
        loop {
            match next {
                Ok(folded) => {
                    self.collect(&folded, &mut keys);
                    if let Payload::Fact(Fact::PartitionDecided { .. }) = &folded.event.payload {
                        self.judge_mass_changes().await?;
                        self.tell_if_decided(&folded, listening);
                    }
                }
                Err(TryRecvError::Lagged(_)) => {
                    self.finish_all(under_way).await?;
                    self.decide_open_ones().await?;
                }
                Err(TryRecvError::Closed) => return Err(LeaseLost),
                Err(TryRecvError::Empty) => break,
            }
            looked_at += 1;
            if looked_at > usize::from(WINDOW) {
                break;
            }
            next = listening.folded.try_recv();
        }
        if !keys.is_empty() {
            self.finish_all(under_way).await?;
        }
        self.redecide(keys).await
    }

    fn collect(&self, folded: &AppliedFact, keys: &mut Causes) {
        if folded.verdict != Verdict::Accepted {
            return;
        }
        let Payload::Fact(fact) = &folded.event.payload else { return };
        let mut touched = Vec::new();
        match fact {
            // What was found out of date is decided again in the next run, on what is read then (P21).
            Fact::ChangeEnded(outcome)
                if matches!(outcome.ending, Ending::Stale { .. })
                    && !self.found_something(folded.offset, outcome) => {}
            Fact::ChangeEnded(outcome) => {
                touched.push(outcome.key.clone());
                let is_stale = matches!(outcome.ending, Ending::Stale { .. });
                if (outcome.user_link.is_some() || is_stale)
                    && let Key::User(user) = &outcome.key
                {
                    touched.extend(
                        self.context.state.read(|view| view.devices_of(user)).into_iter().map(Key::Device),
                    );
                }
            }
            Fact::AssetRead { asset, renamed_from, .. } => {
                self.touched_by_look_up(&asset.id, [Some(&asset.name), renamed_from.as_ref()], &mut touched);
            }
            Fact::AssetNotFound { asset, .. } => self.touched_by_look_up(asset, [None, None], &mut touched),
            Fact::OperatorDecided { decision, .. } => self.touched_by_person(&decision.order, &mut touched),
            Fact::MassChangesAllowed { .. } | Fact::RunHeld { .. } => touched.extend(self.kept_back()),
            Fact::DecisionMade(decision) if self.is_judged_meanwhile(decision) => {
                touched.push(decision.key.clone());
            }
            _ => {}
        }
        let by_person = matches!(fact, Fact::OperatorDecided { .. });
        let by_event = matches!(fact, Fact::AssetRead { .. } | Fact::AssetNotFound { .. });
        let is_judged = matches!(fact, Fact::MassChangesAllowed { .. } | Fact::RunHeld { .. });
        for key in touched.into_iter().filter(|key| self.is_ours(key)) {
            let staged = if is_judged { self.staged.lock().remove(&key) } else { None };
            let cause = keys.entry(key).or_default();
            let traceparent = staged.or_else(|| folded.event.traceparent.clone());
            cause.traceparent = traceparent.or(cause.traceparent.take());
            cause.by_person |= by_person;
            cause.by_event |= by_event;
        }
    }

    /// Whether an outcome brought a record that the view did not have, or made one doubtful: what follows from that is
    /// decided at once. A record is new once, so that happens at most once for each.
    fn found_something(&self, offset: u64, outcome: &Outcome) -> bool {
        self.context.state.read(|view| {
            let asset = outcome.asset.as_ref().and_then(|asset| view.asset(&asset.id));
            let record = outcome.record.as_ref().and_then(|record| view.record(&record.id));
            let doubted = outcome.asset_deleted.as_ref().and_then(|id| view.asset(id));
            asset.is_some_and(|row| row.found == Some(offset))
                || record.is_some_and(|row| row.found == Some(offset))
                || doubted.is_some_and(|row| row.doubt.is_some_and(|doubt| doubt.offset == offset))
        })
    }

    /// Whether a decision was made before the run was judged, and came into the stream only after that: nothing of it may
    /// stay staged.
    fn is_judged_meanwhile(&self, decision: &Decision) -> bool {
        decision.changes.iter().any(|decided| decided.staged)
            && self.context.state.read(|view| {
                let run = view.meta().in_force.as_ref();
                run.is_some_and(|run| match run.held {
                    Some(_) => decision.state != DeviceStatus::Held,
                    None => run.allowed,
                })
            })
    }

    /// The devices that an asset is about which was looked up between runs: the one that has it, and those without an asset
    /// that are called as it is or was. Of very many that are called alike none is taken: the next run decides them.
    fn touched_by_look_up(&self, asset: &AssetId, names: [Option<&String>; 2], touched: &mut Vec<Key>) {
        self.context.state.read(|view| {
            let has_it = view.linked_device(asset).or_else(|| view.promised_to(asset));
            touched.extend(has_it.map(Key::Device));
            for name in names.into_iter().flatten().filter_map(|name| NameKey::of(name)) {
                let called = view.devices_named(&name);
                if called.len() > MOST_OF_A_NAME {
                    continue;
                }
                let unlinked = called.into_iter().filter(|device| view.link(device).is_none());
                touched.extend(unlinked.map(Key::Device));
            }
        });
    }

    fn touched_by_person(&self, order: &OperatorOrder, touched: &mut Vec<Key>) {
        self.context.state.read(|view| match order {
            OperatorOrder::Link { device, .. } | OperatorOrder::Unlink { device } => {
                touched.push(Key::Device(device.clone()));
                let user = view.device(device).map(|row| row.entry.user);
                if let Some(PrimaryUser::Person { key }) = user {
                    touched.push(Key::User(key));
                }
            }
            OperatorOrder::LinkUser { ids, .. } | OperatorOrder::UnlinkUser { ids } => {
                for user in ids.iter().filter_map(|id| view.user_of(id)) {
                    touched.extend(view.devices_of(&user).into_iter().map(Key::Device));
                    touched.push(Key::User(user));
                }
            }
            OperatorOrder::Release
            | OperatorOrder::Rematch
            | OperatorOrder::Pause { .. }
            | OperatorOrder::Resume
            | OperatorOrder::TryStopped { .. }
            | OperatorOrder::DropStopped { .. } => {}
        });
        if *order == OperatorOrder::Release {
            touched.extend(self.kept_back());
        }
    }

    /// What a worker that died may have left: decisions that wait for something that has come since.
    pub(super) async fn decide_open_ones(&self) -> Result<(), LeaseLost> {
        self.judge_mass_changes().await?;
        self.until_readable().await?;
        let mut open = self.open_decisions(Open::Awaiting);
        open.extend(self.open_decisions(Open::WithChanges));
        self.redecide(open.into_iter().map(|key| (key, Cause::default())).collect()).await
    }

    /// The owner of the first partition says once that a run is decided.
    fn tell_if_decided(&self, folded: &AppliedFact, listening: &mut Listening) {
        let id = &self.context.integration.id;
        if self.lease.id.partition == 0
            && folded.verdict == Verdict::Accepted
            && let Payload::Fact(Fact::PartitionDecided { number, .. }) = &folded.event.payload
            // The view may be further than this fact: then several of them see the run decided.
            && listening.told != Some(*number)
            && self.context.state.read(|view| {
                let run = view.meta().in_force.as_ref().filter(|run| run.started.number == *number);
                run.is_some_and(|run| run.decided.len() == usize::from(self.context.partitions))
            })
        {
            events::run_decided(id, &RunId::of(id, *number));
            listening.told = Some(*number);
        }
    }

    /// Keys of this partition whose decision is open in this way.
    pub(super) fn open_decisions(&self, open: Open) -> BTreeSet<Key> {
        let open = self.context.state.read(|view| view.open_decisions(open));
        open.into_iter().filter(|key| self.is_ours(key)).collect()
    }

    async fn redecide(&self, keys: Causes) -> Result<(), LeaseLost> {
        let look = |view: &Projection| {
            let known = keys.iter().filter_map(|(key, cause)| known_subject(view, key, cause.clone()));
            known.collect::<Vec<_>>()
        };
        let subjects = self.look(look).await?;
        self.decide(subjects).await
    }
}

/// How a key stands in the view, to be decided again. Rows are as the inventory in force has them, so the
/// decision answers that run's snapshot, although that may still be in the queue: no older run's word comes after it.
fn known_subject(view: &Projection, key: &Key, cause: Cause) -> Option<Task> {
    let Cause { traceparent: cause, by_person, by_event } = cause;
    let decided = view.decision(key).map(|decision| decision.snapshot).unwrap_or_default();
    let listed = view.meta().number_in_force().map(Sequence::first).unwrap_or_default();
    let snapshot = decided.max(listed);
    match key {
        Key::Device(id) => {
            let row = view.device(id)?;
            let subject = if row.is_listed() {
                Subject::Device(Box::new(row.entry))
            } else {
                Subject::Missing(id.clone())
            };
            Some(Task { subject, snapshot, cause, by_person, by_event })
        }
        Key::User(key) => {
            let row = view.user(key).filter(|row| !row.missing)?;
            let subject = Subject::User(Box::new(row.entry));
            Some(Task { subject, snapshot, cause, by_person, by_event })
        }
    }
}
