//! The JSON Schemas of all messages, made from the Rust types. They are committed in `schemas/`, for
//! programs that read the queues; a test keeps them current.

use schemars::{JsonSchema, Schema, schema_for};

use super::event::Wire;
use super::{AssetEvent, Change, DeviceSnapshot, EndOfRun, Fact, UserSnapshot};

/// The data of a run request: nothing.
#[derive(JsonSchema)]
struct RunRequest {}

/// File name and schema of every message: the envelope around its data.
#[must_use]
pub fn schemas() -> Vec<(&'static str, Schema)> {
    vec![
        ("device-snapshot.v1.json", schema_for!(Wire<'static, DeviceSnapshot>)),
        ("user-snapshot.v1.json", schema_for!(Wire<'static, UserSnapshot>)),
        ("end-of-run.v1.json", schema_for!(Wire<'static, EndOfRun>)),
        ("change.v1.json", schema_for!(Wire<'static, Change>)),
        ("fact.v1.json", schema_for!(Wire<'static, Fact>)),
        ("run-request.v1.json", schema_for!(Wire<'static, RunRequest>)),
        ("asset-event.v1.json", schema_for!(Wire<'static, AssetEvent>)),
    ]
}
