//! When the circuit opens and closes (P28).

use amfj_sync_shared::ids::DeviceId;

use super::*;

fn circuit() -> Arc<Circuit> {
    Circuit::new(IntegrationId::new("acme").expect("not blank"))
}

fn key(number: u32) -> Key {
    Key::Device(DeviceId::new(number.to_string()).expect("not blank"))
}

#[test]
fn p28_many_failures_in_a_row_of_several_devices_open_it() {
    let circuit = circuit();
    for number in 0..FAILURES {
        assert_eq!(circuit.position(), Position::Closed, "after {number} failures");
        circuit.failed(&key(number % 3), "503");
    }
    assert_eq!(circuit.position(), Position::Open);
    assert_eq!(circuit.reason().as_deref(), Some("503"));
}

#[test]
fn one_device_that_always_fails_does_not_open_it() {
    let circuit = circuit();
    for _ in 0..FAILURES * 3 {
        circuit.failed(&key(1), "500");
    }
    assert_eq!(circuit.position(), Position::Closed, "a probe decides, not one bad device");
}

#[test]
fn an_answer_in_between_starts_the_count_anew() {
    let circuit = circuit();
    for number in 0..FAILURES * 3 {
        circuit.failed(&key(number), "503");
        if number % 4 == 3 {
            circuit.answered(false);
        }
    }
    assert_eq!(circuit.position(), Position::Closed);
}

#[test]
fn half_open_closes_with_a_write_and_opens_with_a_failure() {
    let circuit = circuit();
    circuit.open("401");
    circuit.move_to(Position::HalfOpen, circuit.reason());
    circuit.answered(false);
    assert_eq!(circuit.position(), Position::HalfOpen, "a read proves nothing about writes");
    circuit.failed(&key(1), "503");
    assert_eq!(circuit.position(), Position::Open);
    circuit.move_to(Position::HalfOpen, circuit.reason());
    circuit.answered(true);
    assert_eq!(circuit.position(), Position::Closed);
}

#[test]
fn the_pauses_grow_while_reads_go_well_and_writes_do_not() {
    let (circuit, every) = (circuit(), Duration::from_secs(15));
    circuit.open("503");
    assert_eq!(circuit.pause(every), every, "an outage alone is probed at the same pace");
    for relapse in 1..=10_u32 {
        circuit.move_to(Position::HalfOpen, circuit.reason());
        circuit.failed(&key(1), "503");
        assert_eq!(circuit.pause(every), every * 2_u32.pow(relapse.min(5)), "relapse {relapse}");
    }
    circuit.move_to(Position::HalfOpen, circuit.reason());
    circuit.answered(true);
    assert_eq!(circuit.pause(every), every);
}
