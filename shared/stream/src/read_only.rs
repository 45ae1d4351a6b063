//! Following a stream as somebody who may not write to it: there is no fact of one's own to read up to.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use amfj_sync_broker::{BrokerError, Outgoing, Session, StreamOffset};
use amfj_sync_model::messages::Fact;
use uuid::Uuid;

use super::attaching::offset_found;
use super::{Shared, StateError};

/// A stream that has a record brings it within this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Nothing more comes after this long.
const QUIET: Duration = Duration::from_millis(400);

/// However much comes, what was there at the beginning has been read after this long.
const AT_MOST: Duration = Duration::from_secs(30);

/// Writes a marker, so that there is a record at all. A user who may not write reads without.
pub(super) async fn mark(shared: &Shared) -> Result<(), BrokerError> {
    if shared.read_only.load(Ordering::Relaxed) {
        return Ok(());
    }
    let marker = shared.fact(Fact::ReadMarker { token: Uuid::new_v4() });
    let marker = Outgoing::to_queue(shared.stream.clone(), &marker);
    match shared.publisher.publish(vec![marker]).await {
        Err(BrokerError::NotPermitted(_)) => {
            shared.read_only.store(true, Ordering::Relaxed);
            Ok(())
        }
        published => published,
    }
}

/// The offset of the record that comes first from there on; the first of all where there is none.
pub(super) async fn offset_or_none(
    shared: &Shared,
    session: &Arc<Session>,
    from: StreamOffset,
) -> Result<u64, BrokerError> {
    let found = offset_found(shared, session, from);
    if !shared.read_only.load(Ordering::Relaxed) {
        return found.await;
    }
    tokio::time::timeout(PATIENCE, found).await.unwrap_or(Ok(0))
}

/// Returns once the view has read what was there, and nothing more comes.
pub(super) async fn until_quiet(shared: &Shared, session: &Arc<Session>) -> Result<(), StateError> {
    let end = offset_or_none(shared, session, StreamOffset::Last).await?;
    let mut read = shared.read.subscribe();
    let reading = async {
        // A record that cannot be read does not show here.
        let there = read.wait_for(|read| end == 0 || read.is_some_and(|read| read >= end));
        drop(tokio::time::timeout(AT_MOST / 2, there).await);
        while tokio::time::timeout(QUIET, read.changed()).await.is_ok_and(|changed| changed.is_ok()) {}
    };
    drop(tokio::time::timeout(AT_MOST, reading).await);
    Ok(())
}
