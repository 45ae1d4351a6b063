//! Rows of the local store: a disk that lies, or somebody who writes into the data directory.

use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::{Catalogue, Decision, Fact, Outcome, ReadingReport};
use amfj_sync_projection::coding::{decode, encode};
use amfj_sync_projection::rows::{
    Answered, AssetRow, DeviceRow, IntentRow, LinkRow, Memory, Meta, PersonRow, RecordRow, UserLinkRow,
    UserRow,
};
use amfj_sync_projection::{Indexes, MemoryStore, Projection, Store as _};
use amfj_sync_service::status::SiteStatus;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::separated;
use crate::site::config;

/// Tables of the store, each beside what its rows are.
const TABLES: [&str; 15] = [
    "meta",
    "catalogue",
    "asset",
    "record",
    "device",
    "user",
    "link",
    "user-link",
    "memory",
    "answered",
    "decision",
    "intent",
    "person",
    "kandji-requests",
    "staged",
];

/// One row as each type of rows; and a store whose tables hold the parts of the input.
pub(crate) fn stored(input: &[u8]) {
    one(input);
    let mut store = MemoryStore::default();
    let rows = separated(input).enumerate().map(|(at, part)| {
        let (table, row) = part.split_first().map_or((at, part), |(table, row)| (usize::from(*table), row));
        let id = ["", "device/d1", "d1", "18446744073709551615"][at % 4];
        (format!("{}/{id}", TABLES[table % TABLES.len()]).into_bytes(), Some(row.to_vec()))
    });
    if store.apply(rows.collect()).is_err() {
        return;
    }
    let Ok(view) = Projection::open(Box::new(store), Indexes::All { serial_field: Some("Serial Number") })
    else {
        return;
    };
    drop(serde_json::to_vec(&SiteStatus::of(config(), &view, Timestamp::UNIX_EPOCH)));
    if let Some(key) = Key::parse("device/d1") {
        drop((view.memory(&key), view.decision(&key), view.answered(&key)));
    }
    drop((view.reading_report(), view.kandji_requests(), view.vanished_devices()));
    assert!(view.copy().is_ok());
}

fn one(row: &[u8]) {
    is_the_same_again::<AssetRow>(row);
    is_the_same_again::<RecordRow>(row);
    is_the_same_again::<DeviceRow>(row);
    is_the_same_again::<UserRow>(row);
    is_the_same_again::<LinkRow>(row);
    is_the_same_again::<UserLinkRow>(row);
    is_the_same_again::<Memory>(row);
    is_the_same_again::<Answered>(row);
    is_the_same_again::<IntentRow>(row);
    is_the_same_again::<PersonRow>(row);
    is_the_same_again::<Meta>(row);
    is_the_same_again::<Catalogue>(row);
    is_the_same_again::<Decision>(row);
    is_the_same_again::<Outcome>(row);
    is_the_same_again::<ReadingReport>(row);
    is_the_same_again::<Vec<Fact>>(row);
    is_the_same_again::<Value>(row);
}

fn is_the_same_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(row: &[u8]) {
    let Ok(read) = decode::<T>(row) else { return };
    match decode::<T>(&encode(&read)) {
        Ok(again) => assert_eq!(again, read),
        Err(error) => panic!("{read:?} cannot be read again: {error}"),
    }
}
