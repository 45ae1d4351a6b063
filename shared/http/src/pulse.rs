//! How a service answers at this moment, as its client sees it: what fails now, since when and why. Kept where every call
//! passes, so that no reader, writer or probe can forget to say it.

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_model::failing::Failing;
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

/// A call that has no answer for so long is said to have none yet: its time-out may be far away.
pub(super) const SILENT: Duration = Duration::from_secs(8);

/// The least time between two log lines about a service that fails and answers by turns; no failure is unsaid for ten seconds.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// What is known of a service from the calls that were made.
#[derive(Debug)]
pub struct Pulse {
    service: &'static str,
    host: String,
    beat: Mutex<Beat>,
}

#[derive(Debug, Default)]
struct Beat {
    /// The integration that the calls are for.
    integration: Option<String>,
    answered: Option<Timestamp>,
    failing: Option<Failing>,
    under_way: BTreeMap<u64, UnderWay>,
    calls: u64,
    /// When it was last logged that it fails.
    told: Option<Instant>,
    /// Whether the failure of now was logged.
    is_told: bool,
    /// Whether somebody else says what fails.
    is_quiet: bool,
}

#[derive(Debug)]
struct UnderWay {
    began: Instant,
    at: Timestamp,
    call: String,
}

impl Pulse {
    pub(super) fn new(service: &'static str, host: String) -> Self {
        Self { service, host, beat: Mutex::default() }
    }

    /// Names the integration in what is logged.
    pub fn belongs_to(&self, integration: &impl ToString) {
        self.beat.lock().integration = Some(integration.to_string());
    }

    /// Nothing is logged: a command says itself what fails.
    pub fn be_quiet(&self) {
        self.beat.lock().is_quiet = true;
    }

    /// What fails now: the last call, or one that is without an answer for long.
    #[must_use]
    pub fn failing(&self) -> Option<Failing> {
        let beat = self.beat.lock();
        beat.failing.clone().or_else(|| self.silent(&beat))
    }

    /// When the service answered last as it should.
    #[must_use]
    pub fn answered(&self) -> Option<Timestamp> {
        self.beat.lock().answered
    }

    fn silent(&self, beat: &Beat) -> Option<Failing> {
        let oldest = beat.under_way.values().min_by_key(|call| call.began)?;
        let is_silent = oldest.began.elapsed() >= SILENT && beat.answered.is_none_or(|at| at < oldest.at);
        is_silent.then(|| Failing { reason: self.no_answer(oldest), since: oldest.at, times: 1, next: None })
    }

    fn no_answer(&self, call: &UnderWay) -> String {
        let waited = call.began.elapsed().as_secs();
        format!("{}: no answer from {} for {waited} s, and it is still waited for", call.call, self.host)
    }

    /// A call is sent.
    pub(super) fn begin(&self, call: String) -> u64 {
        let mut beat = self.beat.lock();
        beat.calls += 1;
        let id = beat.calls;
        beat.under_way.insert(id, UnderWay { began: Instant::now(), at: Timestamp::now(), call });
        id
    }

    /// It has no answer for [`SILENT`].
    pub(super) fn still_waits(&self, id: u64) {
        let mut beat = self.beat.lock();
        if let Some(reason) = beat.under_way.get(&id).map(|call| self.no_answer(call)) {
            self.tell(&mut beat, &reason);
        }
    }

    /// It ended without being sent, or nobody waits for it any more.
    pub(super) fn forget(&self, id: u64) {
        self.beat.lock().under_way.remove(&id);
    }

    /// The service answered as it should, if only to refuse.
    pub(super) fn good(&self) {
        let mut beat = self.beat.lock();
        beat.answered = Some(Timestamp::now());
        let failed = beat.failing.take();
        if std::mem::take(&mut beat.is_told) {
            let since = failed.map(|failing| failing.since.to_string());
            tracing::info!(
                integration = beat.integration,
                service = self.service,
                host = self.host,
                since,
                "the service answers again"
            );
        }
    }

    /// The service failed, or refuses the token.
    pub(super) fn bad(&self, reason: String, began: Timestamp) {
        let mut beat = self.beat.lock();
        self.tell(&mut beat, &reason);
        let failing = beat.failing.get_or_insert_with(|| Failing {
            reason: String::new(),
            since: began,
            times: 0,
            next: None,
        });
        failing.times = failing.times.saturating_add(1);
        failing.reason = reason;
    }

    /// The first failure is logged at once; the rest is for status and metrics.
    fn tell(&self, beat: &mut Beat, reason: &str) {
        if beat.is_quiet || beat.is_told || beat.told.is_some_and(|told| told.elapsed() < TELL_EVERY) {
            return;
        }
        (beat.is_told, beat.told) = (true, Some(Instant::now()));
        tracing::warn!(
            integration = beat.integration,
            service = self.service,
            reason,
            "the service fails; it is tried again"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse() -> Pulse {
        Pulse::new("AMFJ", "amfj.example.com:443".to_owned())
    }

    #[test]
    fn what_fails_is_known_with_its_beginning_until_the_service_answers() {
        let pulse = pulse();
        assert_eq!((pulse.failing(), pulse.answered()), (None, None));
        let first = Timestamp::now();
        pulse.bad("503".to_owned(), first);
        pulse.bad("401".to_owned(), Timestamp::now());
        let failing = pulse.failing().unwrap();
        assert_eq!((failing.since, failing.times, failing.reason.as_str()), (first, 2, "401"));
        pulse.good();
        assert_eq!(pulse.failing(), None);
        assert!(pulse.answered().is_some());
    }

    /// A service that accepts connections and says nothing has no error before the time-out.
    #[test]
    fn silence_is_a_failure_unless_another_call_was_answered_meanwhile() {
        let pulse = pulse();
        let id = pulse.begin("AMFJ, list assets".to_owned());
        assert_eq!(pulse.failing(), None);
        let long_ago = |pulse: &Pulse| {
            let mut beat = pulse.beat.lock();
            let call = beat.under_way.get_mut(&id).unwrap();
            call.began = Instant::now().checked_sub(SILENT * 2).unwrap();
            call.at = Timestamp::now() - jiff::SignedDuration::from_secs(16);
        };
        long_ago(&pulse);
        let failing = pulse.failing().unwrap();
        assert!(failing.reason.contains("no answer from amfj.example.com:443 for 16 s"), "{failing:?}");
        pulse.good();
        assert_eq!(pulse.failing(), None);
        pulse.forget(id);
        assert!(pulse.beat.lock().under_way.is_empty());
    }
}
