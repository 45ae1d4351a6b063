//! Reads along in the broker as any worker does: how far a run is, and what became of every change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_config::Config;
use amfj_sync_model::ids::{IntegrationId, Key};
use amfj_sync_model::messages::{Decision, DeviceStatus, Ending, Fact, InventoryCounts, Outcome, Payload};
use amfj_sync_projection::Projection;
use amfj_sync_service::worker::{Shutdown, Worker};
use amfj_sync_stream::StateHandle;
use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

/// Nothing new for so long, and whatever still says *pending* will go on saying so.
const QUIET: Duration = Duration::from_secs(4);

/// Between the last outcome and the decision that it causes lies less than this.
const SETTLING: Duration = Duration::from_millis(400);

/// How far the newest run is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    /// Number of the run; 0 before the first.
    pub(crate) run: u64,
    /// What was read, once all of it was.
    pub(crate) inventory: Option<InventoryCounts>,
    /// Why it failed or is held.
    pub(crate) trouble: Option<String>,
    /// Devices whose details are known, and of how many.
    pub(crate) details: (usize, usize),
    /// Changes that were published and not answered.
    pub(crate) on_their_way: usize,
    /// Devices that say *pending*.
    pub(crate) pending: usize,
    /// Whether everything was published and every partition has decided all of it.
    pub(crate) decided: bool,
}

/// What happened since the last look.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Outcomes in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// Devices and people about whom something new was decided.
    pub(crate) decided: BTreeSet<Key>,
    /// Whether some were missed, because this process was too slow.
    pub(crate) is_incomplete: bool,
}

impl Tally {
    /// Outcomes of that kind that were applied.
    pub(crate) fn applied(&self, kind: &str) -> usize {
        self.outcomes.iter().filter(|one| one.kind == kind && one.ending == Ending::Applied).count()
    }

    /// Outcomes that failed for good.
    pub(crate) fn failed(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|one| matches!(one.ending, Ending::Failed { .. }))
    }
}

/// Devices or people in one state, with one of them as the example.
#[derive(Debug, Clone)]
pub(crate) struct Standings {
    /// How many.
    pub(crate) count: usize,
    /// The reason that one of them gives.
    pub(crate) example: String,
}

#[derive(Debug)]
struct Journal {
    tally: Tally,
    last_fact: Instant,
}

/// Follows the state stream of one integration into memory.
#[derive(Debug)]
pub(crate) struct Watching {
    worker: Worker,
    state: StateHandle,
    journal: Arc<Mutex<Journal>>,
}

impl Watching {
    /// Connects to the broker and reads what there is.
    pub(crate) async fn start(config: Config, integration: &IntegrationId) -> Result<Self> {
        let worker = Worker::start("up", config, None, Shutdown::default()).await?;
        let state =
            worker.states.get(integration).cloned().context("the configuration lost its integration")?;
        let journal = Arc::new(Mutex::new(Journal { tally: Tally::default(), last_fact: Instant::now() }));
        tokio::spawn(keep(state.clone(), journal.clone()));
        worker.caught_up().await?;
        Ok(Self { worker, state, journal })
    }

    /// Lets go of the broker.
    pub(crate) async fn stop(self) {
        self.worker.finish().await;
    }

    /// Looks at what is known.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Projection) -> R) -> R {
        self.state.read(look)
    }

    /// What happened since the last call.
    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.journal.lock().tally)
    }

    /// How many devices and people were decided, and changes answered, since the last [`Self::take_tally`].
    pub(crate) fn counts(&self) -> (usize, usize) {
        let tally = &self.journal.lock().tally;
        (tally.decided.len(), tally.outcomes.len())
    }

    /// How far the newest run is.
    pub(crate) fn progress(&self) -> Progress {
        self.state.read(progress)
    }

    /// Whether run `after` has been followed by another and everything of that one is done.
    pub(crate) fn is_settled(&self, after: u64) -> bool {
        let progress = self.progress();
        let quiet = self.journal.lock().last_fact.elapsed();
        let limit = if progress.pending == 0 { SETTLING } else { QUIET };
        progress.run > after
            && progress.decided
            && progress.on_their_way == 0
            && progress.details.0 == progress.details.1
            && quiet >= limit
    }

    /// Fails if the newest run failed or is held.
    pub(crate) fn no_trouble(&self) -> Result<()> {
        match self.progress().trouble {
            Some(trouble) => bail!("the run came to nothing: {trouble}"),
            None => Ok(()),
        }
    }

    /// Devices by state.
    pub(crate) fn devices_by_state(&self) -> BTreeMap<DeviceStatus, Standings> {
        self.by_state(|key| matches!(key, Key::Device(_)))
    }

    /// People by state.
    pub(crate) fn people_by_state(&self) -> BTreeMap<DeviceStatus, Standings> {
        self.by_state(|key| matches!(key, Key::User(_)))
    }

    fn by_state(&self, wanted: impl Fn(&Key) -> bool) -> BTreeMap<DeviceStatus, Standings> {
        let mut reasons = BTreeMap::<DeviceStatus, Vec<String>>::new();
        for decision in self.decisions() {
            if wanted(&decision.key) {
                reasons.entry(decision.state).or_default().push(decision.reason);
            }
        }
        let standings = |reasons: Vec<String>| Standings { count: reasons.len(), example: typical(&reasons) };
        reasons.into_iter().map(|(state, reasons)| (state, standings(reasons))).collect()
    }

    /// The people whom a device names now, by key, with their names.
    pub(crate) fn people(&self) -> BTreeMap<String, String> {
        self.state.read(|view| {
            let mut people = BTreeMap::new();
            view.each_user(&mut |row| {
                if !row.missing {
                    people.insert(row.entry.key.to_string(), row.entry.name);
                }
                true
            });
            people
        })
    }

    /// What was decided last about every device and person.
    pub(crate) fn decisions(&self) -> Vec<Decision> {
        self.state.read(decisions)
    }
}

/// Keeps every outcome from now on.
async fn keep(state: StateHandle, journal: Arc<Mutex<Journal>>) {
    let mut facts = state.listen();
    loop {
        match facts.recv().await {
            Ok(applied) => {
                let mut journal = journal.lock();
                journal.last_fact = Instant::now();
                match &applied.event.payload {
                    Payload::Fact(Fact::ChangeEnded(outcome)) => {
                        journal.tally.outcomes.push((**outcome).clone());
                    }
                    Payload::Fact(Fact::DecisionMade(decision)) => {
                        journal.tally.decided.insert(decision.key.clone());
                    }
                    _ => {}
                }
            }
            Err(RecvError::Lagged(_)) => journal.lock().tally.is_incomplete = true,
            Err(RecvError::Closed) => return,
        }
    }
}

/// The shortest of the reasons of which there are most, names apart.
fn typical(reasons: &[String]) -> String {
    let mut kinds = BTreeMap::<String, Vec<&String>>::new();
    for reason in reasons {
        // What stands between quotation marks are names, and digits belong to ids.
        let words: String = reason.split('"').step_by(2).collect();
        let kind = words.chars().filter(|character| !character.is_ascii_digit()).collect();
        kinds.entry(kind).or_default().push(reason);
    }
    let most = kinds.into_values().max_by_key(Vec::len).unwrap_or_default();
    most.into_iter().min_by_key(|reason| reason.len()).cloned().unwrap_or_default()
}

fn decisions(view: &Projection) -> Vec<Decision> {
    let mut all = Vec::new();
    view.each_decision(&mut |decision| {
        all.push(decision);
        true
    });
    all
}

fn progress(view: &Projection) -> Progress {
    let meta = view.meta();
    let Some(latest) = &meta.latest else { return Progress::default() };
    let run = latest.started.number;
    let in_force = meta.in_force.as_ref().filter(|row| row.started.number == run);
    let mut progress = Progress {
        run,
        inventory: in_force.and_then(|row| row.counts),
        trouble: latest.failed.clone().or_else(|| latest.held.clone()),
        decided: in_force.is_some_and(|row| {
            row.published_ms.is_some() && row.decided.len() == usize::from(meta.partitions)
        }),
        ..Progress::default()
    };
    for decision in decisions(view) {
        let is_device = matches!(decision.key, Key::Device(_));
        if is_device && decision.state == DeviceStatus::Pending {
            progress.pending += 1;
        }
        let answered = view.answered(&decision.key);
        let open = |change: &&amfj_sync_model::messages::PlannedChange| {
            change.published.is_some() && !answered.covers(change.sequence, change.id)
        };
        progress.on_their_way += decision.changes.iter().filter(open).count();
    }
    view.each_device(&mut |row| {
        if row.is_listed() && row.entry.in_scope && !row.entry.removed {
            progress.details.1 += 1;
            progress.details.0 += usize::from(row.entry.details.is_some());
        }
        true
    });
    progress
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_is_the_shortest_of_the_commonest_reasons() {
        let reasons = [
            "\"Old Mac\" is removed.",
            "No asset is \"Reception iPad\"; `link \"A\" asset-1`.",
            "No asset is \"MAC-1\"; `link \"B\" asset-2`.",
        ];
        assert_eq!(typical(&reasons.map(str::to_owned)), "No asset is \"MAC-1\"; `link \"B\" asset-2`.");
        assert_eq!(typical(&[]), "");
    }
}
