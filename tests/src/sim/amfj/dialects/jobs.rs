//! Jobs: what a write comes to that is answered before it is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::sim::personality::Oddity;

/// The jobs that were given out.
#[derive(Debug, Default)]
pub(super) struct Jobs(BTreeMap<u64, Job>);

#[derive(Debug)]
struct Job {
    /// When it shows what came of it.
    ends: Instant,
    /// How it is shown then.
    ended: Value,
}

impl Jobs {
    /// Keeps a job, which is pending for as long as the oddities that its request met say.
    pub(super) fn begin(&mut self, number: u64, ended: Value, met: &[Oddity]) {
        let pending = met.iter().filter_map(|oddity| match oddity {
            Oddity::JobTakes { ms } => Some(*ms),
            _ => None,
        });
        let ends = Instant::now() + Duration::from_millis(pending.sum());
        self.0.insert(number, Job { ends, ended });
    }

    /// A job as it is shown now.
    pub(super) fn shown(&self, number: u64) -> Option<Value> {
        let job = self.0.get(&number)?;
        let is_over = job.ends <= Instant::now();
        Some(if is_over { job.ended.clone() } else { json!({ "state": "running" }) })
    }
}

/// Whether a refusal comes with the job and not with the answer to the write.
pub(super) fn refuse(met: &[Oddity]) -> bool {
    met.contains(&Oddity::JobRefuses)
}
