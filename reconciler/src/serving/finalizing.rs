//! Decides, and publishes what follows: the changes, then the decisions.

use amfj_sync_broker::{BrokerError, Outgoing, Stage, WINDOW};
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Event, Fact, Origin, Payload};
use amfj_sync_projection::rows::RunRow;
use amfj_sync_projection::{Projection, Unreadable};
use amfj_sync_rules::{self as rules, Draft, Site};
use amfj_sync_stream::with_views;
use amfj_sync_telemetry::{Span, SpanKind};
use jiff::Timestamp;

use super::{LeaseLost, Partition, Subject, Task};
use crate::events;
use crate::final_decision::{Before, ByEvent, Changes, FinalDecision, finalize, is_as_run, says_the_same};

/// A decision that is being published.
struct Step {
    /// Ends when all of it is published.
    _span: Span,
    traceparent: Option<String>,
    conclusion: FinalDecision,
}

impl Partition<'_> {
    /// Changes first, then decisions: a crash in between repeats the changes with the same ids.
    pub(super) async fn decide(&self, subjects: Vec<Task>) -> Result<(), LeaseLost> {
        for chunk in subjects.chunks(usize::from(WINDOW)) {
            let mut steps = self.steps(chunk).await?;
            if steps.iter().any(|step| !step.conclusion.publish.is_empty()) {
                reach(Failpoint::ReconcilerConcluded).await;
            }
            let published = self.publish_changes(&steps).await;
            self.fit(published, &mut steps).await?;
            reach(Failpoint::ReconcilerChangesPublished).await;
            // The next decision about a key must see this one.
            let facts = steps.iter().map(|step| self.decided(step)).collect();
            let decided = self.context.state.publish_and_read_all_back(facts).await;
            if self.fit(decided, &mut steps).await? {
                let facts = steps.iter().map(|step| self.decided(step)).collect();
                self.context.state.publish_and_read_all_back(facts).await?;
            }
        }
        Ok(())
    }

    async fn publish_changes(&self, steps: &[Step]) -> Result<(), BrokerError> {
        let changes = steps.iter().flat_map(|step| &step.conclusion.publish);
        self.context.publisher.publish(changes.map(|event| self.outgoing(event)).collect()).await
    }

    /// Where something was larger than a message may be, leaves that out of the decisions, and publishes the changes of the
    /// others; answers whether it did. The same would be refused again and again (P30).
    async fn fit(
        &self,
        published: Result<(), BrokerError>,
        steps: &mut Vec<Step>,
    ) -> Result<bool, LeaseLost> {
        let Err(error) = published else { return Ok(false) };
        let BrokerError::TooLarge { limit, .. } = error else { return Err(error.into()) };
        steps.retain_mut(|step| {
            if self.fits(step, limit) {
                return true;
            }
            let id = &self.context.integration.id;
            let key = step.conclusion.decision.key.to_string();
            tracing::warn!(integration = %id, key, limit, "what is to be written is larger than a message may be; it is left out");
            step.conclusion.leave_out_what_is_too_large(limit);
            self.fits(step, limit)
        });
        self.publish_changes(steps).await?;
        Ok(true)
    }

    fn fits(&self, step: &Step, limit: usize) -> bool {
        let fits = |event: &Event| event.encode().len() <= limit;
        step.conclusion.publish.iter().all(fits) && fits(&self.decided(step))
    }

    fn outgoing(&self, event: &Event) -> Outgoing {
        let partition = match &event.payload {
            Payload::Change(change) => change.key.partition(self.context.partitions),
            _ => self.lease.id.partition,
        };
        let queue = self.context.names.work(&self.context.integration.id, Stage::Apply, partition);
        // The writer's view may lag behind this one: it must have read what this was decided on.
        let read = self.context.state.read(|view| view.meta().offset).unwrap_or_default();
        Outgoing::to_queue(queue, event).with_header(Outgoing::DECIDED_ON, &read.to_string())
    }

    /// Nothing is decided on a view that cannot be read: it is built anew, and then all of it is decided.
    async fn steps(&self, tasks: &[Task]) -> Result<Vec<Step>, LeaseLost> {
        loop {
            let steps: Result<Vec<Option<Step>>, Unreadable> =
                tasks.iter().map(|task| self.step(task)).collect();
            match steps {
                Ok(steps) => return Ok(steps.into_iter().flatten().collect()),
                Err(Unreadable) => self.until_readable().await?,
            }
        }
    }

    /// Waits until the views that decisions are made on can be read.
    pub(super) async fn until_readable(&self) -> Result<(), LeaseLost> {
        let readable = async {
            for state in self.context.siblings.iter().chain([&self.context.state]) {
                state.ready().await?;
            }
            Ok(())
        };
        tokio::select! {
            readable = readable => readable,
            () = self.lease.over() => Err(LeaseLost),
        }
    }

    /// Looks at the view for something that follows from it; waits where it cannot be read.
    pub(super) async fn look<R>(&self, look: impl Fn(&Projection) -> R) -> Result<R, LeaseLost> {
        loop {
            match self.context.state.try_read(&look) {
                Ok(found) => return Ok(found),
                Err(Unreadable) => self.until_readable().await?,
            }
        }
    }

    /// None where nothing new was found out.
    fn step(&self, task: &Task) -> Result<Option<Step>, Unreadable> {
        let id = &self.context.integration.id;
        let run = self.context.state.read(|view| view.meta().in_force.as_ref().map(|run| run.run_id(id)));
        let span = Span::on(task.cause.as_deref(), SpanKind::Consumer, "decide");
        let span = span.about(id, run.as_ref(), Some(&task.subject.key()));
        let traceparent = span.traceparent().or_else(|| task.cause.clone());
        let Some(conclusion) = self.finalize(task, traceparent.as_ref())? else { return Ok(None) };
        span.set("amfj_sync.state", conclusion.decision.state.as_str());
        events::decided(id, run.as_ref(), &conclusion.decision);
        Ok(Some(Step { _span: span, traceparent, conclusion }))
    }

    fn decided(&self, step: &Step) -> Event {
        let Step { traceparent, conclusion, .. } = step;
        if let Some(traceparent) = &traceparent
            && conclusion.decision.changes.iter().any(|decided| decided.staged)
        {
            self.staged.lock().insert(conclusion.decision.key.clone(), traceparent.clone());
        }
        let mut origin = Origin { traceparent: traceparent.clone(), ..self.context.state.origin() };
        origin.sequence = Some(conclusion.decision.snapshot);
        Event::fact(&origin, Timestamp::now(), Fact::DecisionMade(Box::new(conclusion.decision.clone())))
    }

    fn finalize(
        &self,
        task: &Task,
        traceparent: Option<&String>,
    ) -> Result<Option<FinalDecision>, Unreadable> {
        let siblings: Vec<_> = self.context.siblings.iter().collect();
        with_views(&siblings, &mut Vec::new(), &mut |views| {
            let failed = || views.iter().map(|view| view.failed_reads()).sum::<u64>();
            let before = failed();
            let finalized =
                self.context.state.try_read(|view| self.finalize_on(view, views, task, traceparent))?;
            let readable = failed() == before && siblings.iter().all(|sibling| sibling.is_caught_up());
            if readable { Ok(finalized) } else { Err(Unreadable) }
        })
    }

    fn finalize_on(
        &self,
        view: &Projection,
        siblings: &[&Projection],
        task: &Task,
        traceparent: Option<&String>,
    ) -> Option<FinalDecision> {
        let now = Timestamp::now();
        let snapshot = task.snapshot;
        let site = Site { view, siblings, config: &self.context.integration, now };
        let draft: Draft = match &task.subject {
            Subject::Device(device) => rules::decide_device(&site, device, snapshot),
            Subject::User(user) => rules::decide_user(&site, user, snapshot),
            Subject::Missing(device) => rules::decide_missing(&site, &view.device(device)?),
        };
        let key = draft.decision.key.clone();
        let previous = view.decision(&key);
        let run = view.meta().in_force.as_ref()?;
        let answered = view.answered(&key);
        let between_runs = is_between_runs(run, self.lease.id.partition, task.by_person);
        // What an event left to the run is not done because of what the rest of it led to.
        let by_event = task.by_event || previous.as_ref().is_some_and(|previous| previous.waits_for_run);
        let before = Before {
            decision: previous.as_ref(),
            answered: &answered,
            run: run.started.number,
            now,
            has_link: matches!(&key, Key::Device(device) if view.link(device).is_some()),
            changes: match (&run.held, run.allowed) {
                (Some(reason), _) => Changes::Held(reason),
                (None, true) => Changes::Allowed,
                (None, false) => Changes::Staged,
            },
            between_runs,
            by_event: (between_runs && by_event)
                .then(|| ByEvent { is_as_run: is_as_run(&run.started, &self.context.integration) }),
            change_lost_after: self.context.change_lost_after,
        };
        let origin = Origin {
            run: Some(run.run_id(&self.context.integration.id)),
            traceparent: traceparent.cloned(),
            ..self.context.state.origin()
        };
        let conclusion = finalize(&self.context.integration, &origin, draft, &before);
        let known = previous.is_some_and(|previous| says_the_same(&conclusion.decision, &previous));
        (!known || !conclusion.publish.is_empty()).then_some(conclusion)
    }
}

/// Whether what is decided now is between runs: what is decided before the partition has spoken counts for the run, and a
/// person may decide at any time.
fn is_between_runs(run: &RunRow, partition: u16, by_person: bool) -> bool {
    !by_person && run.decided.contains_key(&partition)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use amfj_sync_model::messages::RunStarted;

    use super::*;

    #[test]
    fn p8_a_partition_that_has_spoken_decides_between_runs_unless_a_person_does() {
        let started = RunStarted {
            number: 1,
            leader: "fetcher/1".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            first_sync: false,
            applies_to_all: true,
            auto_checkout: true,
            list_delay_ms: 0,
            judged: false,
            mapping: BTreeMap::new(),
        };
        let mut run = RunRow {
            started,
            offset: 1,
            counts: None,
            inventory_at: None,
            published_ms: None,
            decided: BTreeMap::from([(0, true)]),
            staged: BTreeMap::new(),
            amounts: BTreeMap::new(),
            allowed: true,
            failed: None,
            configuration: false,
            held: None,
        };
        assert!(is_between_runs(&run, 0, false));
        assert!(!is_between_runs(&run, 1, false), "the other partition has not spoken yet");
        assert!(!is_between_runs(&run, 0, true));
        run.decided.clear();
        assert!(!is_between_runs(&run, 0, false));
    }
}
