//! Building outcomes: everything that a change taught, in one message.

use amfj_sync_shared::amfj::{Asset, Holder};
use amfj_sync_shared::ids::RecordId;
use amfj_sync_shared::messages::{
    Change, Edit, Ending, Event, LinkOutcome, Outcome, Settled, UserLinkOutcome,
};
use serde_json::Value;

/// An outcome with nothing in it but its identity and how it ended.
pub(crate) fn ended(event: &Event, change: &Change, ending: Ending) -> Outcome {
    Outcome::of(event.id, event.sequence.unwrap_or_default(), change, ending)
}

/// Found out of date: nothing was written, the next run decides again.
pub(crate) fn stale(event: &Event, change: &Change, reason: impl Into<String>) -> Outcome {
    ended(event, change, Ending::Stale { reason: reason.into() })
}

/// AMFJ was as wanted already.
pub(crate) fn unneeded(event: &Event, change: &Change) -> Outcome {
    ended(event, change, Ending::Unneeded)
}

/// The asset is with the wanted holder now, and was not before.
pub(crate) fn assigned(
    event: &Event,
    change: &Change,
    expected: Option<&Holder>,
    to: Option<&Holder>,
    primary: Option<RecordId>,
) -> Outcome {
    let name = |holder: Option<&Holder>| holder.map_or(Value::Null, |holder| holder.name.clone().into());
    let outcome = ended(event, change, Ending::Applied);
    let mut outcome = outcome.with_edit(Outcome::HOLDER, name(expected), name(to)).with_settled(primary);
    outcome.found_holder = expected.cloned();
    outcome
}

/// Parts that are put into an outcome one after the other.
pub(crate) trait With: Sized {
    fn with_link(self, link: LinkOutcome) -> Self;
    fn with_user_link(self, link: UserLinkOutcome) -> Self;
    fn with_settled(self, primary: Option<RecordId>) -> Self;
    fn with_edit(self, field: &str, old: Value, new: Value) -> Self;
    fn with_asset(self, asset: Asset) -> Self;
}

impl With for Outcome {
    fn with_link(mut self, link: LinkOutcome) -> Self {
        self.link = Some(link);
        self
    }

    fn with_user_link(mut self, link: UserLinkOutcome) -> Self {
        self.user_link = Some(link);
        self
    }

    fn with_settled(mut self, primary: Option<RecordId>) -> Self {
        self.settled = Some(Settled { primary });
        self
    }

    fn with_edit(mut self, field: &str, old: Value, new: Value) -> Self {
        self.edits.insert(field.to_owned(), Edit { old, new });
        self
    }

    fn with_asset(mut self, asset: Asset) -> Self {
        self.asset = Some(asset);
        self
    }
}
