//! When the circuit opens and closes (P28).

use amfj_sync_http::{BodyForm, Limiter};
use amfj_sync_security::secrets::ServiceWords;
use url::Url;

use super::*;
use crate::blame::Limits;

const EVERY: Duration = Duration::from_secs(15);

struct World {
    circuit: Arc<Circuit>,
    blame: Blame,
    client: AmfjClient,
}

impl World {
    fn new() -> Self {
        let id = || IntegrationId::new("acme").expect("not blank");
        let limits = Limits {
            initial: Duration::from_secs(1),
            max: Duration::from_secs(1),
            give_up_after: Duration::from_mins(1),
            longest: EVERY,
        };
        let base: Url = "http://127.0.0.1:1/v1".parse().expect("an address");
        let limiter = Limiter::new(100.0);
        let client = AmfjClient::new(base, "token".to_owned().into(), EVERY, limiter).expect("a client");
        Self { circuit: Circuit::new(id(), EVERY), blame: Blame::new(id(), limits), client }
    }

    fn probed(&self, answer: Result<(), CallError>) -> Position {
        self.circuit.probed(answer, Instant::now(), &self.blame, &self.client);
        self.circuit.position()
    }

    /// How long until the next probe.
    fn pause(&self) -> Duration {
        let at = self.circuit.story.lock().probe_at.expect("it is open");
        at.saturating_duration_since(Instant::now()) + Duration::from_millis(500)
    }
}

fn status(status: u16, form: BodyForm, retry_after: Option<u64>) -> CallError {
    CallError::Status {
        call: "AMFJ, list locations".to_owned(),
        status,
        wire_status: status,
        retry_after: retry_after.map(Duration::from_secs),
        body: ServiceWords::default(),
        field: None,
        form,
    }
}

#[test]
fn p28_a_probe_decides_and_a_refusal_in_amfjs_own_form_is_a_sign_of_life() {
    for (answer, expected) in [
        (Ok(()), Position::Closed),
        (Err(status(403, BodyForm::Json, None)), Position::Closed),
        (Err(status(404, BodyForm::Json, None)), Position::Closed),
        (Err(status(404, BodyForm::Html, None)), Position::Open),
        (Err(status(401, BodyForm::Json, None)), Position::Open),
        (Err(status(302, BodyForm::Empty, None)), Position::Open),
        (Err(status(500, BodyForm::Json, None)), Position::Open),
        (Err(status(429, BodyForm::Json, Some(5))), Position::Closed),
        (Err(status(429, BodyForm::Json, Some(1800))), Position::Open),
        (Err(status(503, BodyForm::Json, Some(5))), Position::Open),
    ] {
        assert_eq!(World::new().probed(answer.clone()), expected, "{answer:?}");
    }
}

#[test]
fn half_open_closes_with_a_write_and_opens_again_only_with_a_bad_probe() {
    let world = World::new();
    world.circuit.open("401");
    assert_eq!(world.probed(Ok(())), Position::HalfOpen);
    assert_eq!(world.probed(Ok(())), Position::HalfOpen, "a read proves nothing about writes");
    assert_eq!(world.probed(Err(status(502, BodyForm::Html, None))), Position::Open);
    assert_eq!(world.probed(Ok(())), Position::HalfOpen);
    world.circuit.wrote();
    assert_eq!(world.circuit.position(), Position::Closed);
    assert_eq!(world.circuit.report().since, None);
}

#[test]
fn a_pause_that_was_asked_for_opens_it_until_then() {
    let world = World::new();
    let asked = |pause, out_of_order| {
        world.circuit.asked_to_wait(Some(Duration::from_secs(pause)), out_of_order, "503")
    };
    assert_eq!(asked(20, false), Asked::Slower(Duration::from_secs(20)));
    assert_eq!(world.circuit.position(), Position::Closed);
    assert_eq!(asked(1800, false), Asked::Opened);
    assert_eq!(world.circuit.position(), Position::Open);
    assert_eq!(world.pause().as_secs(), 1800);
    let next = world.circuit.report().next.expect("it says until when");
    assert!(next > Timestamp::now());
    assert_eq!(asked(5, true), Asked::Opened);
}

#[test]
fn the_pauses_grow_with_each_relapse() {
    let world = World::new();
    world.circuit.open("503");
    assert_eq!(world.pause().as_secs(), EVERY.as_secs(), "an outage alone is probed at the same pace");
    for relapse in 1..=10_u32 {
        world.probed(Ok(()));
        world.probed(Err(status(503, BodyForm::Json, None)));
        let expected = EVERY * 2_u32.pow(relapse.min(5));
        assert_eq!(world.pause().as_secs(), expected.as_secs(), "relapse {relapse}");
    }
    world.probed(Ok(()));
    world.circuit.wrote();
    world.circuit.open("503");
    assert_eq!(world.pause().as_secs(), EVERY.as_secs());
}

#[tokio::test]
async fn in_half_open_position_one_that_has_not_failed_goes_first() {
    let world = World::new();
    world.circuit.open("503");
    world.probed(Ok(()));
    let turn = world.circuit.turn(true).await.expect("a turn").expect("of its own");
    let failed = world.circuit.turn(true);
    let fresh = world.circuit.turn(false);
    tokio::pin!(failed, fresh);
    let soon = Duration::from_millis(20);
    assert!(tokio::time::timeout(soon, &mut failed).await.is_err(), "one at a time");
    assert!(tokio::time::timeout(soon, &mut fresh).await.is_err(), "one at a time");
    drop(turn);
    assert!(tokio::time::timeout(soon, &mut failed).await.is_err(), "not before one that has not failed");
    let turn = tokio::time::timeout(soon, &mut fresh).await.expect("its turn").expect("not open");
    world.circuit.wrote();
    assert!(failed.await.expect("closed").is_none(), "no turns are needed any more");
    drop(turn);
}
