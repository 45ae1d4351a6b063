//! Assets that AMFJ's list did not show: asked for by id. Only AMFJ's own word that there is none proves it (P8);
//! anything else leaves what is known as it is.

use std::collections::HashSet;

use amfj_sync_backoff::Stopped;
use amfj_sync_http::CallError;
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::AssetId;
use amfj_sync_model::messages::{Fact, Unusable};
use amfj_sync_projection::rows::AssetRow;
use futures::{FutureExt, StreamExt, stream};

use super::difference::asset_differs;
use super::inventory::completed;
use super::unusable::{is_of_service, last};
use super::{Halt, Leader, Run};

/// Missing assets that are asked for at the same time.
const AT_ONCE: usize = 4;
/// Failures in a row that say nothing about one asset, after which no more is asked for in this run.
const FAILURES: u32 = 5;
/// Answers that are kept in memory before they are put aside.
const BATCH: usize = 256;

/// What became of looking for one asset.
enum Looked {
    /// AMFJ has none of this id.
    Absent,
    /// It is in no list and there all the same: what it says now counts.
    There(Box<Asset>, Vec<Unusable>),
    /// Another one was answered with, which says nothing.
    Another(AssetId),
    /// Nothing can be said: the known row stays.
    Unknown(Stopped<CallError>),
}

impl Run<'_> {
    /// A missing asset is absent only if AMFJ does not know its id either (P8).
    pub(super) async fn look_for_missing_assets(&self, listed: &HashSet<AssetId>) -> Result<(), Halt> {
        let missing = self.missing(listed);
        let mut left = missing.len();
        let (mut facts, mut failures) = (Vec::new(), 0);
        let mut answers =
            stream::iter(missing).map(|row| self.look_for(row).boxed()).buffer_unordered(AT_ONCE);
        while let Some((row, looked)) = answers.next().await {
            left -= 1;
            failures = if is_trouble(&looked) { failures + 1 } else { 0 };
            facts.extend(self.learnt(row, looked)?);
            if facts.len() >= BATCH {
                self.keep_aside(&std::mem::take(&mut facts))?;
            }
            if failures >= FAILURES {
                break;
            }
        }
        drop(answers);
        if left > 0 {
            let why = format!(
                "{left} more that are in no list were not asked for by id, since AMFJ does not answer that now; they stay \
                 as they were known"
            );
            self.report(Unusable::new("assets", None, None, &why));
        }
        self.keep_aside(&facts)
    }

    fn missing(&self, listed: &HashSet<AssetId>) -> Vec<AssetRow> {
        let mut missing = Vec::new();
        self.leader.state.read(|view| {
            view.each_asset_id(&mut |id| {
                let unlisted = (!listed.contains(id)).then(|| AssetId::new(id).ok()).flatten();
                missing.extend(unlisted.and_then(|id| view.asset(&id)));
                true
            });
        });
        missing.retain(|row| !row.age.is_younger_than_list(self.offset, &self.started));
        missing
    }

    async fn look_for(&self, row: AssetRow) -> (AssetRow, Looked) {
        let Leader { amfj, details, .. } = self.leader;
        let looked = match self.read_with(details, || amfj.asset_as_it_is(&row.asset.id)).await {
            Ok(None) => Looked::Absent,
            Ok(Some((asset, _))) if asset.id != row.asset.id => Looked::Another(asset.id),
            Ok(Some((asset, odd))) => Looked::There(Box::new(asset), odd),
            Err(stopped) => Looked::Unknown(stopped),
        };
        (row, looked)
    }

    fn learnt(&self, row: AssetRow, looked: Looked) -> Result<Option<Fact>, Halt> {
        let number = self.started.number;
        match looked {
            Looked::Absent => Ok(Some(Fact::AssetAbsent { number, asset: row.asset.id })),
            Looked::There(asset, odd) => {
                for one in odd {
                    self.report(one);
                }
                let asset = completed(*asset, Some(&row));
                Ok(asset_differs(&asset, Some(&row)).then_some(Fact::AssetListed { number, asset }))
            }
            Looked::Another(other) => {
                self.report_unknown(&row, &format!("AMFJ answers with {other}"));
                Ok(None)
            }
            Looked::Unknown(stopped) => match last(&stopped) {
                Some(error) if !is_of_service(error) => {
                    self.report_unknown(&row, &error.to_string());
                    Ok(None)
                }
                _ => Err(stopped.into()),
            },
        }
    }
}

impl Run<'_> {
    fn report_unknown(&self, row: &AssetRow, said: &str) {
        let asset = &row.asset;
        let why = format!(
            "it is in no list, and whether it still exists is unknown ({said}); it stays as it was known"
        );
        self.report(Unusable::new("asset", Some(asset.id.as_str()), Some(&asset.name), &why));
    }
}

/// Whether an answer may be about all of them.
fn is_trouble(looked: &Looked) -> bool {
    matches!(looked, Looked::Unknown(stopped) if last(stopped).is_some_and(CallError::is_transient))
}
