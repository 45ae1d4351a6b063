//! What was applied last.

use std::collections::BTreeMap;

use amfj_sync_model::ids::{AssetId, IntegrationId, Key, RecordId};
use amfj_sync_model::messages::{Edit, Event, Fact, Outcome, Payload};
use amfj_sync_service::worker::Exit;
use jiff::Timestamp;
use serde::Serialize;

use crate::CommandContext;

/// Applied changes that are shown, at most.
const LAST: usize = 5;

/// One applied change.
#[derive(Debug, Serialize)]
pub(super) struct Applied {
    pub(super) at: Timestamp,
    pub(super) kind: String,
    pub(super) edits: BTreeMap<String, Edit>,
}

/// Whose past is looked at.
pub(super) enum About<'a> {
    Key(&'a Key),
    Asset(&'a AssetId),
    Record(&'a RecordId),
}

impl About<'_> {
    /// Whether an outcome is about it.
    fn fits(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Key(key) => outcome.key == **key,
            Self::Asset(id) => outcome.asset_id() == Some(*id),
            Self::Record(id) => outcome.record_id() == Some(*id),
        }
    }

    /// Whether events of this subject may be.
    fn may_be(&self, subject: &str) -> bool {
        match self {
            Self::Key(key) => subject == key.to_string(),
            Self::Asset(_) => subject.starts_with("device/"),
            Self::Record(_) => subject.starts_with("user/"),
        }
    }
}

/// What was applied last, newest first.
pub(super) async fn last_applied(
    context: &CommandContext,
    integration: &IntegrationId,
    about: &About<'_>,
) -> Result<Vec<Applied>, Exit> {
    let broker = &context.worker.broker;
    let history = broker.names().history(integration);
    let mut last = Vec::new();
    let session = broker.session().await?;
    amfj_sync_broker::read_stream(
        &session,
        &context.worker.publisher,
        integration,
        &history,
        &|subject| about.may_be(subject),
        &mut |event| {
            if let Some(applied) = applied(event, about) {
                last.insert(0, applied);
                last.truncate(LAST);
            }
        },
    )
    .await?;
    Ok(last)
}

fn applied(event: Event, about: &About<'_>) -> Option<Applied> {
    let Payload::Fact(Fact::ChangeEnded(outcome)) = event.payload else { return None };
    let fits = about.fits(&outcome);
    let Outcome { edits, kind, .. } = *outcome;
    fits.then_some(Applied { at: event.time, kind, edits })
}
