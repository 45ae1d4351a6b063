//! Serving one partition: changes of one key one after the other, different keys side by side.
//!
//! More changes are taken than are worked on, so that those which wait for better times hold up nobody behind them. What
//! is only taken stays as it came, unread.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_broker::{Acknowledged, Intake, Lease, Outgoing, Received, Stage};
use amfj_sync_config::Config;
use amfj_sync_failpoint::{Failpoint, reach};
use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Change, Event};
use amfj_sync_service::backlog::counting::{self, InflightGuard};
use amfj_sync_telemetry::{Span, SpanKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::applying::{Applied, apply, read_change};
use crate::context::IntegrationContext;
use crate::dead_letters::dead_letter_message;
use crate::working::Working;

/// Changes of one partition that may be taken before the first is done: hundreds may wait for better times, for as long
/// as half an hour, and those behind them go on.
const MOST_OF_ONE: usize = 1_024;

/// With many partitions, so few.
const LEAST_OF_ONE: usize = 64;

/// Of all partitions together: some 20 MB.
const MOST_OF_ALL: usize = 8_192;

/// How many changes of a partition may be taken before the first is done.
pub(crate) fn window(config: &Config) -> u16 {
    let partitions = config.integrations.len() * usize::from(config.broker.partitions);
    let each = (MOST_OF_ALL / partitions.max(1)).clamp(LEAST_OF_ONE, MOST_OF_ONE);
    u16::try_from(each).unwrap_or(u16::MAX)
}

/// A change as it came.
struct Unread {
    received: Received,
    in_flight: InflightGuard,
}

/// How long a change is kept in hand: the broker takes away what is not acknowledged for half an hour.
const KEPT: Duration = Duration::from_mins(20);

/// Between two looks at how many stand aside.
const LOOK_EVERY: Duration = Duration::from_secs(1);

struct Job {
    received: Received,
    event: Event,
    change: Change,
    in_flight: InflightGuard,
}

/// Serves a partition until its lease is over.
pub(crate) async fn serve(context: Arc<IntegrationContext>, lease: Lease) {
    // What is in hand is known by its missing outcome; only that it is served is said here.
    let _serving = context.inflight.serving(&lease.id, Stage::Apply);
    while !lease.is_over() {
        let may_be_sent = async {
            context.state.resumed().await;
            context.circuit.passable().await;
        };
        tokio::select! {
            () = may_be_sent => {}
            () = lease.over() => return,
        }
        let intake = match lease.intake(context.window).await {
            Ok(intake) => intake,
            Err(error) => {
                lease.session.give_up(&error);
                return;
            }
        };
        let intake = Partition::new(&context, &lease).take(intake).await;
        intake.close().await;
    }
}

struct Partition<'a> {
    context: &'a Arc<IntegrationContext>,
    /// Of what is taken on this channel: what waits goes back with it.
    lease: Lease,
    /// Taken and not read, oldest first.
    unread: VecDeque<Unread>,
    running: JoinSet<(Key, Applied)>,
    working: Arc<Working>,
    /// Changes behind the running one of their key.
    behind: HashMap<Key, VecDeque<Job>>,
    /// When this channel began to take.
    since: Instant,
}

impl<'a> Partition<'a> {
    fn new(context: &'a Arc<IntegrationContext>, lease: &Lease) -> Self {
        Self {
            context,
            lease: lease.part(),
            unread: VecDeque::new(),
            running: JoinSet::new(),
            working: Arc::default(),
            behind: HashMap::new(),
            since: Instant::now(),
        }
    }

    /// Takes messages until the lease is over, the circuit opens, a person pauses the integration, or the channel dies; then
    /// lets what is started end. What was not acknowledged is delivered again, in order, once the channel is closed.
    async fn take(mut self, mut intake: Intake) -> Intake {
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            tokio::select! {
                biased;
                () = self.lease.over() => break,
                () = self.context.circuit.opened() => break,
                () = self.context.state.paused() => break,
                Some(ended) = self.running.join_next() => {
                    // A task that panicked is delivered again with everything behind it.
                    let Ok((key, Applied::Done)) = ended else { break };
                    self.start_next(&key);
                }
                () = self.working.has_room(), if !self.unread.is_empty() => {
                    if !self.read_next().await {
                        break;
                    }
                }
                received = intake.next() => {
                    let Some(received) = received else { break };
                    self.keep(received);
                }
                // What stands aside must not be kept for too long.
                _ = look.tick() => {
                    if self.since.elapsed() > KEPT && self.context.blame.aside_in(&self.lease.queue) > 0 {
                        break;
                    }
                }
            }
        }
        // What is under way ends; what waits goes back at once.
        self.lease.stop.cancel();
        self.unread.clear();
        self.behind.clear();
        while self.running.join_next().await.is_some() {}
        intake
    }

    fn keep(&mut self, received: Received) {
        if received.redelivered {
            counting::redelivered(Stage::Apply, 1);
        }
        let in_flight = InflightGuard::of(&self.context.integration.id, Stage::Apply, 1);
        self.unread.push_back(Unread { received, in_flight });
    }

    /// Reads the oldest change and starts it, or puts it behind the one of its key. `false` where the channel turned out
    /// dead.
    async fn read_next(&mut self) -> bool {
        let Some(Unread { received, in_flight }) = self.unread.pop_front() else { return true };
        match read_change(&received.body) {
            Ok((event, change)) => {
                let job = Job { received, event, change, in_flight };
                if let Some(behind) = self.behind.get_mut(&job.change.key) {
                    self.working.holds_up(&job.change.key);
                    behind.push_back(job);
                } else {
                    self.behind.insert(job.change.key.clone(), VecDeque::new());
                    self.start(job);
                }
                true
            }
            Err(reason) => {
                let buried =
                    dead_letter_message(self.context, &self.lease.queue, &received, "", &reason, 0).await;
                buried.is_ok() && received.acknowledge().await == Acknowledged::Yes
            }
        }
    }

    fn start_next(&mut self, key: &Key) {
        let mut behind = self.behind.get_mut(key);
        let next = behind.as_mut().and_then(|behind| behind.pop_front());
        if behind.is_none_or(|behind| behind.is_empty()) {
            self.working.holds_up_none(key);
        }
        match next {
            Some(job) => self.start(job),
            None => {
                self.behind.remove(key);
            }
        }
    }

    fn start(&mut self, job: Job) {
        let context = self.context.clone();
        let lease = self.lease.clone();
        let (working, at_work) = (self.working.clone(), self.working.begin());
        self.running.spawn(async move {
            let _at_work = at_work;
            // Counted until the end of this task, whichever it is.
            let Job { received, event, change, in_flight: _in_flight } = job;
            let key = change.key.clone();
            let span = Span::on(event.traceparent.as_deref(), SpanKind::Consumer, change.action.kind());
            let span = span.about(&context.integration.id, event.run.as_ref(), Some(&key));
            if !has_read_enough(&context, &lease, &received).await {
                return (key, Applied::Requeued);
            }
            let applying = Box::pin(apply(&context, &lease, &event, &change, &received, &working));
            let applied = span.around(applying).await;
            if applied == Applied::Done && received.acknowledge().await == Acknowledged::Yes {
                counting::done(&context.integration.id, Stage::Apply, 1);
                reach(Failpoint::WriterAcknowledged).await;
                (key, Applied::Done)
            } else {
                (key, Applied::Requeued)
            }
        });
    }
}

/// How long the view may lag behind the one that a change was decided on before this worker reads to the end of the stream:
/// usually it has read as far by then.
const LAG: Duration = Duration::from_millis(500);

/// Waits until this worker has read everything that the change was decided on: on less, a record that was just listed would
/// look deleted. `false` where the partition is given up meanwhile.
async fn has_read_enough(context: &IntegrationContext, lease: &Lease, received: &Received) -> bool {
    let decided_on = received.header(Outgoing::DECIDED_ON).and_then(|offset| offset.parse().ok());
    tokio::select! {
        () = read_as_far(context, decided_on.unwrap_or(0)) => true,
        () = lease.over() => false,
    }
}

/// What a change was decided on is in the stream before the change is in its queue. A place beyond the end of the stream is
/// one of another stream, which was there before, or of somebody who made it up: then what is known is all.
async fn read_as_far(context: &IntegrationContext, offset: u64) {
    if !context.state.has_read(offset, LAG).await {
        // Fails only when the worker stops.
        drop(context.state.read_to_end().await);
    }
}
