//! Building outcomes: everything that a change taught, in one message.

use std::collections::BTreeMap;

use amfj_sync_http::json;
use amfj_sync_model::amfj::{Asset, Holder};
use amfj_sync_model::ids::{Key, RecordId};
use amfj_sync_model::mapping::fingerprint::{of_asset_field, of_record_field};
use amfj_sync_model::messages::{
    Change, Edit, Ending, Event, LinkOutcome, Outcome, Settled, UserLinkOutcome,
};
use amfj_sync_projection::claims::Claims;
use serde_json::Value;

use crate::context::IntegrationContext;

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

/// Notes what the fields were like whose values AMFJ refused, or did not keep before: once that changes, they are tried
/// again (P15).
pub(crate) fn remember_definitions(context: &IntegrationContext, outcome: &mut Outcome) {
    let config = &context.integration;
    let (fingerprints, refused) = context.state.read(|view| {
        let rematch = view.meta().rematch;
        let asset = match &outcome.key {
            Key::Device(device) => {
                let made = match &outcome.link {
                    Some(LinkOutcome::Linked { asset, .. }) => Some(asset.clone()),
                    _ => view.link(device).map(|link| link.asset),
                };
                let id = outcome.asset.as_ref().map(|asset| asset.id.clone()).or(made);
                id.and_then(|id| view.asset(&id))
            }
            Key::User(_) => None,
        };
        let record = outcome.record.as_ref().and_then(|record| view.record(&record.id));
        let asset_type =
            outcome.asset.as_ref().or(asset.as_ref().map(|row| &row.asset)).map(|asset| &asset.asset_type);
        let now = |field: &str| match &outcome.key {
            Key::Device(_) => of_asset_field(
                &config.fields,
                view.catalogue(),
                asset_type.map_or("", |named| &named.id),
                field,
                rematch,
            ),
            Key::User(_) => of_record_field(&config.user_fields, view.catalogue(), field, rematch),
        };
        let claims = asset.as_ref().map(|row| &row.claims).or(record.as_ref().map(|row| &row.claims));
        let contradicted = claims.into_iter().flat_map(Claims::contradicted_fields);
        let contradicted = contradicted.filter(|field| outcome.edits.contains_key(*field));
        let fingerprints: BTreeMap<String, String> =
            contradicted.filter_map(|field| Some((field.to_owned(), now(field)?))).collect();
        let refused: Vec<(String, String)> =
            outcome.refused.keys().filter_map(|field| Some((field.clone(), now(field)?))).collect();
        (fingerprints, refused)
    });
    outcome.fingerprints = fingerprints;
    for (field, fingerprint) in refused {
        if let Some(refusal) = outcome.refused.get_mut(&field) {
            refusal.fingerprint.get_or_insert(fingerprint);
        }
    }
}

/// What an outcome goes without, one step after the other, where it is larger than a message may be. What AMFJ holds is read
/// by the next run; how the change ended is always said.
pub(crate) const SHORTER: [fn(&mut Outcome); 3] = [cut_edits, forget_records, forget_values];

/// Bytes of a value, and of a reason, of an outcome that is too large.
const SHORT: usize = 512;

fn cut_edits(outcome: &mut Outcome) {
    for edit in outcome.edits.values_mut() {
        for value in [&mut edit.old, &mut edit.new] {
            json::cut_to(value, SHORT);
        }
    }
}

fn forget_records(outcome: &mut Outcome) {
    (outcome.asset, outcome.record) = (None, None);
}

fn forget_values(outcome: &mut Outcome) {
    outcome.action = None;
    outcome.edits.clear();
    outcome.refused.clear();
    outcome.fingerprints.clear();
    if let Ending::Failed { reason } | Ending::Stale { reason } = &mut outcome.ending {
        reason.truncate(reason.floor_char_boundary(SHORT));
    }
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
