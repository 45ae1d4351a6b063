//! Messages that nobody should have published, in every queue and on both streams.
//!
//! In the work queues they become dead letters, unchanged; among the dead letters they stay, and every command can
//! read past them; among the run requests, whose loss costs nothing, and where workers are counted, they are dropped; on
//! the streams, from which nothing can be taken out, they are passed over. Well-formed nonsense is answered like any
//! change or snapshot that is out of date.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use futures::future::LocalBoxFuture;
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use rand::{Rng, rngs::StdRng};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::campaign::stage::{Expected, INTEGRATION, PARTITIONS, PREFIX, work_queue, workers_queue};
use crate::harness::Role;

pub(super) struct Poison;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Reconcile,
    Apply,
    Triggers,
    Counted,
    Dead,
    State,
    History,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NoJson,
    WrongType,
    FutureVersion,
    TenMegabytes,
    DeepNesting,
    UnknownType,
    WrongMembers,
    HugeNumbers,
    Absurd,
}

const PLACES: [(Place, &str); 7] = [
    (Place::Reconcile, "reconcile queue"),
    (Place::Apply, "apply queue"),
    (Place::Triggers, "run requests"),
    (Place::Counted, "where workers are counted"),
    (Place::Dead, "dead letters"),
    (Place::State, "state stream"),
    (Place::History, "history stream"),
];

const KINDS: [(Kind, &str); 9] = [
    (Kind::NoJson, "no JSON"),
    (Kind::WrongType, "wrong type"),
    (Kind::FutureVersion, "future version"),
    (Kind::TenMegabytes, "10 MB"),
    (Kind::DeepNesting, "deep nesting"),
    (Kind::UnknownType, "unknown type"),
    (Kind::WrongMembers, "members of wrong types"),
    (Kind::HugeNumbers, "numbers that are too large"),
    (Kind::Absurd, "absurd values"),
];

impl Family for Poison {
    fn name(&self) -> &'static str {
        "poison"
    }

    fn faults(&self) -> Vec<String> {
        let of = |place: &'static str| KINDS.iter().map(move |(_, kind)| format!("{place}: {kind}"));
        PLACES.iter().flat_map(|(_, place)| of(place)).collect()
    }

    fn at_once(&self) -> usize {
        8
    }

    fn draw(&self, fault: &str, _stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let (place, kind) = fault.split_once(": ").with_context(|| format!("no fault {fault}"))?;
        let place = PLACES.iter().find(|(_, name)| *name == place).with_context(|| format!("no {place}"))?.0;
        let kind = KINDS.iter().find(|(_, name)| *name == kind).with_context(|| format!("no {kind}"))?.0;
        let partition = rng.random_range(0..PARTITIONS);
        let queue = match place {
            Place::Reconcile => work_queue("reconcile", partition),
            Place::Apply => work_queue("apply", partition),
            Place::Triggers => format!("{PREFIX}.triggers"),
            Place::Counted => workers_queue(Role::ALL[rng.random_range(0..Role::ALL.len())]),
            Place::Dead => format!("{PREFIX}.dead"),
            Place::State => format!("{PREFIX}.{INTEGRATION}.state"),
            Place::History => format!("{PREFIX}.{INTEGRATION}.history"),
        };
        let after = Duration::from_millis(rng.random_range(0..200));
        Ok(Box::new(Swallowed { name: fault.to_owned(), place, kind, queue, after, published: 0 }))
    }
}

struct Swallowed {
    name: String,
    place: Place,
    kind: Kind,
    queue: String,
    after: Duration,
    published: u64,
}

impl Fault for Swallowed {
    fn tell(&self) -> String {
        format!("poison in {}: {}", self.queue, self.name)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.pass(self.after).await;
            let bodies = bodies(self.place, self.kind);
            let channel = stage.channel().await?;
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            for body in bodies {
                let properties = BasicProperties::default().with_delivery_mode(2);
                let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
                let publish =
                    channel.basic_publish("".into(), self.queue.as_str().into(), options, &body, properties);
                ensure!(publish.await?.await?.is_ack(), "the broker did not take the poison");
                // The writer believes no change blindly, and the reconciler takes absurd devices for what is not listed.
                let dies = match self.place {
                    Place::Apply => true,
                    Place::Reconcile => self.kind != Kind::Absurd,
                    _ => false,
                };
                if dies || self.place == Place::Dead {
                    stage.expected.push(Expected::Body { body, at_least: 1 });
                }
                self.published += 1;
            }
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            match self.place {
                Place::History => drop(command(stage, &["history", "--json"]).await?),
                Place::Dead => {
                    let listed = command(stage, &["dead", "list", "--json"]).await?;
                    let listed: Vec<Value> =
                        serde_json::from_str(&listed).context("the list of dead letters")?;
                    ensure!(
                        listed.len() as u64 >= self.published,
                        "{} dead letters are listed",
                        listed.len()
                    );
                }
                Place::Reconcile | Place::Apply | Place::Triggers | Place::Counted | Place::State => {}
            }
            Ok(Struck(self.published))
        })
    }
}

/// What a command prints.
async fn command(stage: &Stage, arguments: &[&str]) -> Result<String> {
    let done = stage.workers.command(arguments).finish(Duration::from_mins(1)).await?;
    let command = arguments.join(" ");
    ensure!(done.status.success(), "`amfj-sync {command}` ended with {}: {}", done.status, done.stderr);
    Ok(done.stdout)
}

fn envelope(kind: &str, sequence: &str, data: &Value) -> Vec<u8> {
    let event = json!({
        "specversion": "1.0",
        "id": Uuid::new_v4(),
        "source": "campaign",
        "type": kind,
        "subject": "poison",
        "time": Timestamp::now(),
        "integrationid": INTEGRATION,
        "sequence": sequence,
        "data": data,
    });
    event.to_string().into_bytes()
}

const USUAL: &str = "0001764000000000.00003";
/// The largest there can be.
const LAST: &str = "18446744073709551615.4294967295";

fn bodies(place: Place, kind: Kind) -> Vec<Vec<u8>> {
    // Two dead letters are told apart by their bodies.
    let own = Uuid::new_v4();
    match kind {
        Kind::NoJson => vec![[b"\xff\x00\xfe no JSON ".as_slice(), own.as_bytes()].concat()],
        Kind::WrongType => {
            // A run request belongs nowhere but among the run requests.
            let (kind, data) = match place {
                Place::Triggers => ("dev.amfj-sync.end-of-run.v1", json!({ "partition": 0 })),
                _ => ("dev.amfj-sync.run-request.v1", json!({})),
            };
            vec![envelope(kind, USUAL, &data)]
        }
        Kind::FutureVersion => {
            let kinds = ["change", "device-snapshot", "fact", "run-request"];
            let of =
                |kind: &str| envelope(&format!("dev.amfj-sync.{kind}.v99"), USUAL, &json!({ "new": true }));
            kinds.into_iter().map(of).collect()
        }
        Kind::TenMegabytes => {
            let much = "x".repeat(10_000_000);
            vec![envelope("dev.amfj-sync.device-snapshot.v1", USUAL, &json!({ "device": much }))]
        }
        Kind::DeepNesting => {
            let deep = [b"[".repeat(100_000), own.to_string().into_bytes()].concat();
            let within = r#"{"specversion":"1.0","source":"campaign","type":"dev.amfj-sync.change.v1","subject":"poison","#;
            let closed = format!(
                r#"{within}"id":"{own}","time":"{}","integrationid":"{INTEGRATION}","sequence":"{USUAL}","data":{}1{}}}"#,
                Timestamp::now(),
                r#"{"key":"#.repeat(20_000),
                "}".repeat(20_000)
            );
            vec![deep, closed.into_bytes()]
        }
        Kind::UnknownType => vec![envelope("dev.amfj-sync.wish.v1", USUAL, &json!({ "own": own }))],
        Kind::WrongMembers => malformed(&own, &json!([{ "a": null }])),
        Kind::HugeNumbers => malformed(&own, &json!(1e300)),
        Kind::Absurd => absurd(place),
    }
}

/// Of every type a message whose members are not what they should be. Of those without members even the place among the
/// others is not: a request for a run has to be about an integration that is one.
fn malformed(own: &Uuid, wrong: &Value) -> Vec<Vec<u8>> {
    let typed = [
        ("change", json!({ "key": wrong, "label": wrong, "action": { "do": "break_link", "asset": wrong } })),
        ("device-snapshot", json!({ "device": { "device_id": wrong, "values": wrong, "in_scope": wrong } })),
        ("user-snapshot", json!({ "user": { "key": wrong, "ids": wrong, "name": wrong } })),
        ("end-of-run", json!({ "partition": wrong })),
        ("fact", json!({ "fact": "run_started", "number": wrong, "at": wrong, "own": own })),
        ("fact", json!({ "fact": wrong, "own": own })),
    ];
    typed.iter().map(|(kind, data)| envelope(&format!("dev.amfj-sync.{kind}.v1"), USUAL, data)).collect()
}

/// The right shape, and nothing in it can be.
fn absurd(place: Place) -> Vec<Vec<u8>> {
    let fact = |data: Value| envelope("dev.amfj-sync.fact.v1", USUAL, &data);
    let largest = u64::MAX;
    match place {
        Place::Reconcile => {
            let device = json!({
                "device_id": "absurd", "name": "\u{0}\u{202e}", "serial": "'; --", "platform": "Toaster",
                "user": { "is": "person", "key": "@" }, "in_scope": true, "removed": true,
                "values": { "": [[], {}], "os_version": -1e308 },
            });
            vec![
                envelope("dev.amfj-sync.device-snapshot.v1", LAST, &json!({ "device": device })),
                envelope("dev.amfj-sync.device-snapshot.v1", "0.0", &json!({ "device": device })),
                envelope("dev.amfj-sync.end-of-run.v1", LAST, &json!({ "partition": 65535 })),
            ]
        }
        Place::Apply | Place::Dead => {
            let change = |action: Value| {
                let data = json!({
                    "key": { "device": "absurd" }, "label": "", "serial": "\u{0}", "action": action,
                });
                envelope("dev.amfj-sync.change.v1", LAST, &data)
            };
            let edit = json!({ "old": [null], "new": { "a": 1e308 } });
            vec![
                change(
                    json!({ "do": "update_asset", "asset": "absurd", "write": { "fields": { "": edit } } }),
                ),
                change(json!({ "do": "break_link", "asset": "absurd" })),
                change(json!({ "do": "assign", "asset": "absurd", "expected": null,
                    "to": { "id": "absurd", "name": "" }, "primary": null })),
            ]
        }
        Place::Triggers | Place::Counted => {
            // An integration that nobody has.
            let text = String::from_utf8_lossy(&envelope("dev.amfj-sync.run-request.v1", LAST, &json!({})))
                .replace(&format!("\"{INTEGRATION}\""), "\"no such integration\"");
            // No queue can have its name.
            let long = text.replace("no such integration", &"long".repeat(100));
            vec![text.into_bytes(), long.into_bytes()]
        }
        Place::State => vec![
            fact(
                json!({ "fact": "run_started", "number": largest, "leader": "", "at": "-009998-01-01T00:00:00Z",
                "first_sync": true, "applies_to_all": true, "auto_checkout": false, "list_delay_ms": largest }),
            ),
            fact(
                json!({ "fact": "partition_decided", "number": largest, "partition": 65535, "complete": true,
                "staged": 4_294_967_295_u32 }),
            ),
            fact(json!({ "fact": "kandji_requests", "minute": largest, "count": 4_294_967_295_u32,
                "token": Uuid::nil() })),
            fact(
                json!({ "fact": "checkpoint_begun", "checkpoint": Uuid::nil(), "as_of": largest, "format": 1 }),
            ),
            fact(
                json!({ "fact": "checkpoint_ended", "checkpoint": Uuid::nil(), "parts": 4_294_967_295_u32 }),
            ),
            fact(json!({ "fact": "asset_listed", "number": largest, "asset": { "id": "absurd", "name": "",
                "asset_type": { "id": "", "name": "" }, "fields": {} } })),
            fact(json!({ "fact": "intended", "change": Uuid::nil(), "key": { "device": "absurd" },
                "worker": "", "at": "9999-12-30T22:00:00Z" })),
            fact(
                json!({ "fact": "ended", "change": Uuid::nil(), "sequence": LAST, "key": { "device": "absurd" },
                "label": "", "kind": "", "ending": { "is": "failed", "reason": "" }, "attempts": 4_294_967_295_u32 }),
            ),
        ],
        Place::History => vec![
            fact(json!({ "fact": "run_failed", "number": largest, "reason": "", "configuration": true })),
            fact(
                json!({ "fact": "ended", "change": Uuid::nil(), "sequence": LAST, "key": { "device": "absurd" },
                "label": "", "kind": "", "ending": { "is": "applied" }, "attempts": 0,
                "edits": { "": { "old": [[]], "new": null } } }),
            ),
        ],
    }
}
