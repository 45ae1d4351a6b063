//! Every metric that a worker exports: name, type, labels and help, in one place. `docs/messages.md` has
//! the same list for people.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// The Prometheus type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows while the worker runs.
    Counter,
    /// How it is now.
    Gauge,
    /// Durations in buckets.
    Histogram,
}

impl MetricKind {
    /// The word of the Prometheus text format.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricKind,
    /// Its labels; their values come from the configuration or from lists in the code, never from data.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: MetricKind::Histogram, labels, help }
}

/// All metrics.
pub const METRICS: &[Metric] = &[
    gauge(
        "amfj_sync_queue_messages",
        &["integration", "stage"],
        "Messages ready in the broker, in all partitions of a stage; the same on every worker",
    ),
    gauge(
        "amfj_sync_oldest_message_age_seconds",
        &["integration", "stage"],
        "Age of the oldest message of a stage that is not done with, 0 when there is none; the largest of all workers counts",
    ),
    gauge(
        "amfj_sync_in_flight",
        &["integration", "stage"],
        "Messages taken from the broker and not finished",
    ),
    gauge(
        "amfj_sync_dead_letters",
        &["integration"],
        "Dead letters that wait for a person; the largest of all workers counts",
    ),
    counter(
        "amfj_sync_refused_messages_total",
        &["reason"],
        "Messages that were refused unread for their signature: `unsigned` or `wrong`; only with broker.signing_key",
    ),
    counter("amfj_sync_dead_lettered_total", &["integration"], "Messages that this worker made dead letters"),
    counter(
        "amfj_sync_dead_letters_dropped_total",
        &["integration"],
        "Dead letters that this worker dropped, as they had waited longer than broker.dead_letter_keep",
    ),
    gauge(
        "amfj_sync_run_last_success_timestamp_seconds",
        &["integration"],
        "Start of the last complete run in seconds since 1970, 0 before the first; the same on every worker",
    ),
    gauge(
        "amfj_sync_run_interval_seconds",
        &["integration"],
        "Time from run to run, as configured; the same on every worker",
    ),
    counter("amfj_sync_runs_total", &["integration", "result"], "Runs that this fetcher ended, by result"),
    histogram("amfj_sync_run_duration_seconds", &[], "How long the runs of this fetcher took"),
    gauge("amfj_sync_held", &["integration"], "1 while a run is held; the same on every worker"),
    gauge(
        "amfj_sync_paused",
        &["integration"],
        "1 while a person has paused the integration; the same on every worker",
    ),
    gauge("amfj_sync_devices", &["integration", "state"], "Devices by state"),
    counter(
        "amfj_sync_changes_total",
        &["integration", "kind", "result"],
        "Changes that this writer ended, by kind and result",
    ),
    counter(
        "amfj_sync_api_requests_total",
        &["api", "operation", "status"],
        "Requests to Kandji and AMFJ by HTTP status, or why there was none",
    ),
    histogram(
        "amfj_sync_api_request_duration_seconds",
        &["api", "operation"],
        "How long requests to Kandji and AMFJ took",
    ),
    gauge(
        "amfj_sync_kandji_requests_remaining_hour",
        &["integration"],
        "Requests to Kandji that may still be made in this hour; known to the leading fetcher",
    ),
    gauge(
        "amfj_sync_circuit_open",
        &["integration", "api"],
        "1 while a service counts as out of order: AMFJ for the writer, Kandji for the leading fetcher",
    ),
    gauge(
        "amfj_sync_kind_waiting",
        &["integration", "operation"],
        "1 while this writer makes a kind of request wait, because AMFJ refuses all of that kind and no other",
    ),
    gauge(
        "amfj_sync_stopped_changes",
        &["integration"],
        "Changes in this writer's hand that AMFJ refused, and that are tried again with growing pauses",
    ),
    counter(
        "amfj_sync_events_total",
        &["integration", "result"],
        "Requests to where this fetcher takes AMFJ's events, by what became of them; without a right key of no integration",
    ),
    counter(
        "amfj_sync_event_look_ups_total",
        &["integration", "result"],
        "What came of AMFJ's events at the leading fetcher: assets looked up and what that showed",
    ),
    gauge(
        "amfj_sync_events_waiting",
        &["integration"],
        "AMFJ's events that wait to be looked into; known to the leading fetcher",
    ),
    counter(
        "amfj_sync_messages_done_total",
        &["integration", "stage"],
        "Messages that this worker finished: snapshots decided, changes ended",
    ),
    counter("amfj_sync_redeliveries_total", &["stage"], "Messages that came to this worker a second time"),
    counter("amfj_sync_repeats_total", &["stage"], "Messages that turned out to be answered already"),
    counter(
        "amfj_sync_adopted_total",
        &["integration", "what"],
        "Records that were found after the answer to their creation was lost",
    ),
    gauge("amfj_sync_workers", &["role"], "Live workers; the same on every worker"),
    gauge("amfj_sync_ready", &[], "1 while this worker can work, 0 while /readyz says what is missing"),
    gauge("amfj_sync_start_timestamp_seconds", &[], "When this worker was started, in seconds since 1970"),
    counter(
        "amfj_sync_unreadable_facts_total",
        &["integration"],
        "Records of the state stream that were passed over",
    ),
];

/// Gives every metric its help text; call it once the recorder is installed.
pub(super) fn describe() {
    for metric in METRICS {
        match (metric.kind, metric.name.ends_with("_seconds")) {
            (MetricKind::Counter, _) => describe_counter!(metric.name, metric.help),
            (MetricKind::Gauge, true) => describe_gauge!(metric.name, Unit::Seconds, metric.help),
            (MetricKind::Gauge, false) => describe_gauge!(metric.name, metric.help),
            (MetricKind::Histogram, _) => describe_histogram!(metric.name, Unit::Seconds, metric.help),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_is_named_once_and_says_what_it_is() {
        let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), METRICS.len());
        for metric in METRICS {
            assert!(metric.help.len() > 15, "{} needs a help text", metric.name);
            assert_eq!(
                metric.name.ends_with("_total"),
                metric.kind == MetricKind::Counter,
                "{}",
                metric.name
            );
        }
    }
}
