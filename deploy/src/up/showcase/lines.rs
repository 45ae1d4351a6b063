//! What moves while a run goes on.

use std::time::Duration;

use tokio::time::Instant;

use super::watching::Progress;
use crate::up::screen::{Moving, Screen};

/// Three lines that move while a run goes on, one for each worker.
pub(super) struct Lines {
    began: Instant,
    moving: [Moving; 3],
    done: [Option<Duration>; 3],
}

impl Lines {
    /// One each for fetcher, reconciler and writer.
    pub(super) fn new(screen: &Screen) -> Self {
        let moving = ["fetcher", "reconciler", "writer"].map(|name| screen.moving(name));
        Self { began: Instant::now(), moving, done: [None; 3] }
    }

    /// Shows how far the run is.
    pub(super) fn show(&mut self, progress: &Progress, (new, answered): (usize, usize)) {
        let (read, devices) = progress.details;
        let is_read = progress.inventory.is_some() && read == devices;
        let people = progress.inventory.map_or(0, |counts| usize::try_from(counts.users).unwrap_or(0));
        let [reading, deciding, writing] = &mut self.moving;
        let Some(counts) = progress.inventory else { return };
        // The totals are those that the end will say; of changes nobody knows how many there will be.
        let listed = usize::try_from(counts.devices).unwrap_or(devices);
        reading.progress(read + listed.saturating_sub(devices), listed, "devices read");
        let all = listed + people;
        deciding.progress(
            if progress.decided { all } else { new.min(all) },
            all,
            "devices and people decided",
        );
        writing.say(&format!("{answered} changes made so far, {} on their way", progress.on_their_way));
        let now = self.began.elapsed();
        let states = [is_read, is_read && progress.decided, progress.decided && progress.on_their_way == 0];
        for (done, is_done) in self.done.iter_mut().zip(states) {
            // What is done may go on: details that come late lead to new decisions.
            *done = is_done.then(|| done.unwrap_or(now));
        }
    }

    /// Shows that the fetcher reads: the others know nothing of the run before all of it was read.
    pub(super) fn show_reading(&mut self, requests: f64) {
        let [reading, deciding, writing] = &mut self.moving;
        reading.say(&format!("reading, {requests} requests to Kandji so far"));
        deciding.show("waiting for the fetcher");
        writing.show("waiting for the reconciler");
    }

    /// When each of them was done.
    pub(super) fn took(&self) -> [Duration; 3] {
        self.done.map(|done| done.unwrap_or_else(|| self.began.elapsed()))
    }
}
