//! Serving one partition: changes of one key one after the other, different keys side by side.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_shared::backlog::counting::{self, InFlight};
use amfj_sync_shared::broker::{Acknowledged, Intake, Lease, Outgoing, Received, Stage};
use amfj_sync_shared::failpoint::{Failpoint, reach};
use amfj_sync_shared::ids::Key;
use amfj_sync_shared::messages::{Change, Event};
use amfj_sync_shared::telemetry::{Span, SpanKind};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::applying::{Applied, apply, read_change};
use crate::circuit::Position;
use crate::dead_letters::bury;
use crate::site::Site;

/// Changes of a partition that may be taken before the first is done. More would only wait here.
const PREFETCH: u16 = 64;

/// The most of them, where many stand aside.
const MOST: u16 = 4_096;

/// With fewer than this that do not stand aside, more are taken.
const USEFUL: usize = 16;

/// How long a full window is kept while one change at a time is tried: more would only wait, until it shows that none
/// of these is the one that succeeds.
const ONE_BY_ONE: Duration = Duration::from_secs(10);

/// How long a change is kept in hand: the broker takes away what is not acknowledged for half an hour.
const KEPT: Duration = Duration::from_mins(20);

/// Between two looks at how many stand aside.
const LOOK_EVERY: Duration = Duration::from_millis(200);

struct Job {
    received: Received,
    event: Event,
    change: Change,
    in_flight: InFlight,
}

/// Serves a partition until its lease is over.
pub(crate) async fn serve(site: Arc<Site>, lease: Lease) {
    // What is in hand is known by its missing outcome; only that it is served is said here.
    let _serving = site.in_hand.serving(&lease.id, Stage::Apply);
    let mut window = PREFETCH;
    while !lease.is_over() {
        tokio::select! {
            () = site.circuit.passable() => {}
            () = lease.over() => return,
        }
        let intake = match lease.intake(window).await {
            Ok(intake) => intake,
            Err(error) => {
                lease.session.give_up(&error);
                return;
            }
        };
        // What is taken on this channel is given back with it.
        let taken = Lease { stop: lease.stop.child_token(), ..lease.clone() };
        let (intake, next) = Partition::new(&site, &taken, window).take(intake).await;
        intake.close().await;
        window = next;
    }
}

struct Partition<'a> {
    site: &'a Arc<Site>,
    lease: &'a Lease,
    running: JoinSet<(Key, Applied)>,
    /// Changes behind the running one of their key.
    behind: HashMap<Key, VecDeque<Job>>,
    /// How many may be taken before the first is done.
    window: u16,
    /// How many are taken and not done.
    taken: usize,
    since: Instant,
}

impl<'a> Partition<'a> {
    fn new(site: &'a Arc<Site>, lease: &'a Lease, window: u16) -> Self {
        let (running, behind, since) = (JoinSet::new(), HashMap::new(), Instant::now());
        Self { site, lease, running, behind, window, taken: 0, since }
    }

    /// Takes messages until the lease is over, the circuit opens, the window is to be another, or the channel dies;
    /// then lets what is under way end. What was not acknowledged is delivered again, in order, once the channel is
    /// closed. Answers the next window.
    async fn take(mut self, mut intake: Intake) -> (Intake, u16) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut next = self.window;
        loop {
            tokio::select! {
                biased;
                () = self.lease.over() => break,
                () = self.site.circuit.opened() => break,
                Some(ended) = self.running.join_next() => {
                    // A task that panicked is delivered again with everything behind it.
                    let Ok((key, Applied::Done)) = ended else { break };
                    self.taken = self.taken.saturating_sub(1);
                    self.start_next(&key);
                }
                received = intake.next() => {
                    let Some(received) = received else { break };
                    if !self.accept(received).await {
                        break;
                    }
                }
                _ = look.tick() => {
                    if let Some(window) = self.other_window() {
                        next = window;
                        break;
                    }
                }
            }
        }
        self.behind.clear();
        self.lease.stop.cancel();
        while self.running.join_next().await.is_some() {}
        (intake, next)
    }

    /// The window that is wanted instead: those that stand aside must not keep back the others, nor be kept for too
    /// long.
    fn other_window(&self) -> Option<u16> {
        let aside = self.site.blame.aside_in(&self.lease.queue);
        let half_open = self.site.circuit.position() == Position::HalfOpen;
        let patience = if half_open { ONE_BY_ONE } else { Duration::ZERO };
        let full = self.taken >= usize::from(self.window) && self.since.elapsed() >= patience;
        if full && aside > 0 && self.window < MOST && self.running.len().saturating_sub(aside) < USEFUL {
            return Some(self.window.saturating_mul(4).min(MOST));
        }
        if self.window > PREFETCH && self.taken < usize::from(PREFETCH / 2) {
            return Some(PREFETCH);
        }
        (aside > 0 && self.since.elapsed() > KEPT).then_some(self.window)
    }

    /// `false` where the channel turned out dead.
    async fn accept(&mut self, received: Received) -> bool {
        if received.redelivered {
            counting::redelivered(Stage::Apply, 1);
        }
        match read_change(&received.body) {
            Ok((event, change)) => {
                self.taken += 1;
                let in_flight = InFlight::of(&self.site.integration.id, Stage::Apply, 1);
                let job = Job { received, event, change, in_flight };
                if let Some(behind) = self.behind.get_mut(&job.change.key) {
                    behind.push_back(job);
                } else {
                    self.behind.insert(job.change.key.clone(), VecDeque::new());
                    self.start(job);
                }
                true
            }
            Err(reason) => {
                let buried = bury(self.site, &self.lease.queue, &received, "", &reason, 0).await;
                buried.is_ok() && received.acknowledge().await == Acknowledged::Yes
            }
        }
    }

    fn start_next(&mut self, key: &Key) {
        match self.behind.get_mut(key).and_then(VecDeque::pop_front) {
            Some(job) => self.start(job),
            None => {
                self.behind.remove(key);
            }
        }
    }

    fn start(&mut self, job: Job) {
        let site = self.site.clone();
        let lease = self.lease.clone();
        self.running.spawn(async move {
            // Counted until the end of this task, whichever it is.
            let Job { received, event, change, in_flight: _in_flight } = job;
            let key = change.key.clone();
            let span = Span::on(event.traceparent.as_deref(), SpanKind::Consumer, change.action.kind());
            let span = span.about(&site.integration.id, event.run.as_ref(), Some(&key));
            if !has_read_enough(&site, &lease, &received).await {
                return (key, Applied::HandBack);
            }
            let applying = Box::pin(apply(&site, &lease, &event, &change, &received));
            let applied = span.around(applying).await;
            if applied == Applied::Done && received.acknowledge().await == Acknowledged::Yes {
                counting::done(&site.integration.id, Stage::Apply, 1);
                reach(Failpoint::WriterAcknowledged).await;
                (key, Applied::Done)
            } else {
                (key, Applied::HandBack)
            }
        });
    }
}

/// How long the view may lag behind the one that a change was decided on. Longer only if the stream was
/// declared anew; then the change is judged by what is known.
const LAG: Duration = Duration::from_secs(30);

/// Waits until this worker has read everything that the change was decided on: on less, a record that
/// was just listed would look deleted. `false` where the partition is given up meanwhile.
async fn has_read_enough(site: &Site, lease: &Lease, received: &Received) -> bool {
    let decided_on = received.header(Outgoing::DECIDED_ON).and_then(|offset| offset.parse().ok());
    tokio::select! {
        _ = site.state.has_read(decided_on.unwrap_or(0), LAG) => true,
        () = lease.over() => false,
    }
}
