//! Traces of devices as far as the fetcher goes with them: from Kandji's list to the queue, one each.
//! Nothing is kept unless traces are sent.

use std::collections::HashMap;
use std::sync::Arc;

use amfj_sync_model::ids::{DeviceId, IntegrationId, Key, RunId};
use amfj_sync_telemetry::{Span, SpanKind};
use parking_lot::Mutex;

/// Devices between list and queue whose trace is kept; that of the others begins at the queue.
const MOST: usize = 10_000;

/// The traces that are open.
#[derive(Debug)]
pub(super) struct RunTraces {
    integration: IntegrationId,
    run: Mutex<(Arc<Span>, Option<RunId>)>,
    fetched: Mutex<HashMap<DeviceId, Arc<Span>>>,
    /// On the way into the queue, each before what it is a part of.
    published: Mutex<Vec<(Span, Arc<Span>)>>,
}

impl RunTraces {
    pub(super) fn of(integration: &IntegrationId) -> Self {
        Self {
            integration: integration.clone(),
            run: Mutex::default(),
            fetched: Mutex::default(),
            published: Mutex::default(),
        }
    }

    /// A run begins: what it reads for all devices at once is a trace of its own.
    pub(super) fn begin(&self) -> Arc<Span> {
        self.end();
        let span = Arc::new(Span::first(SpanKind::Internal, "run").about(&self.integration, None, None));
        *self.run.lock() = (span.clone(), None);
        span
    }

    /// The run has its id.
    pub(super) fn name_run(&self, id: &RunId) {
        let mut run = self.run.lock();
        run.0.set("amfj_sync.run", id.to_string());
        run.1 = Some(id.clone());
    }

    /// What belongs to the run, and to no device, says so with this.
    pub(super) fn run_traceparent(&self) -> Option<String> {
        self.run.lock().0.traceparent()
    }

    /// A device was met in Kandji's list.
    pub(super) fn device_seen(&self, id: &DeviceId) {
        if self.run.lock().0.is_sent() && self.fetched.lock().len() < MOST {
            drop(self.device(id));
        }
    }

    /// The trace of a device, which begins here where it was not met before.
    pub(super) fn device(&self, id: &DeviceId) -> Arc<Span> {
        if let Some(known) = self.fetched.lock().get(id) {
            return known.clone();
        }
        let begun = Arc::new(self.first("fetch device", &Key::Device(id.clone())));
        if begun.is_sent() {
            self.fetched.lock().insert(id.clone(), begun.clone());
        }
        begun
    }

    /// A snapshot goes into the queue, with this.
    pub(super) fn publish(&self, key: &Key) -> Option<String> {
        let whole = match key {
            Key::Device(id) => {
                let known = self.fetched.lock().remove(id);
                known.unwrap_or_else(|| Arc::new(self.first("fetch device", key)))
            }
            Key::User(_) => Arc::new(self.first("fetch user", key)),
        };
        let part = whole.part_of(SpanKind::Producer, "publish snapshot");
        let traceparent = part.traceparent()?;
        self.published.lock().push((part, whole));
        Some(traceparent)
    }

    /// Everything that was published is in the queue.
    pub(super) fn batch_published(&self) {
        self.published.lock().clear();
    }

    /// The run is over: what has not got into the queue does not get there any more.
    pub(super) fn end(&self) {
        self.fetched.lock().clear();
        self.published.lock().clear();
        *self.run.lock() = (Arc::default(), None);
    }

    fn first(&self, name: &'static str, key: &Key) -> Span {
        let run = self.run.lock();
        Span::first_from(&run.0, SpanKind::Internal, name).about(&self.integration, run.1.as_ref(), Some(key))
    }
}
