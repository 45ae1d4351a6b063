//! One look-up: AMFJ is asked, and what is news becomes a fact.

use std::time::Duration;

use amfj_sync_broker::{BrokerError, Received};
use amfj_sync_http::CallError;
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::AssetId;
use amfj_sync_model::messages::{Event, Fact, Outcome};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::Verdict;
use amfj_sync_projection::rows::AssetRow;
use jiff::Timestamp;
use tokio::time::Instant;

use super::pending::{QUIET, Subject, Waiting};
use super::{LookUps, REMEMBERED};
use crate::events::LookUp;
use crate::run::{asset_differs, completed, is_of_service, last};

/// Assets of one name that are looked at because of an event. A run looks at all.
const MOST_OF_A_NAME: usize = 8;

/// How long a search may take, all of its pages.
const SEARCHED_WITHIN: Duration = Duration::from_secs(10);

/// How long nothing is searched for where the search does not search.
const NO_SEARCH: Duration = Duration::from_hours(1);

/// The least time before a record is looked at again that may not show what was written a moment ago.
const LEAST_PAUSE: Duration = Duration::from_millis(200);

/// How a look-up ended.
pub(super) enum End {
    /// It is done with.
    Done(LookUp),
    /// It was not clear; look again after so long.
    Again(Duration),
    /// AMFJ does not answer.
    Outage,
    /// The broker does not.
    Broken(BrokerError),
}

/// A look-up that ended.
pub(super) struct Looked {
    pub(super) subject: Subject,
    pub(super) waiting: Waiting<Received>,
    /// When it began.
    pub(super) began: Timestamp,
    /// The assets that it showed.
    pub(super) shown: Vec<AssetId>,
    pub(super) end: End,
}

impl LookUps<'_> {
    pub(super) async fn look(&self, subject: Subject, waiting: Waiting<Received>) -> Looked {
        let began = Timestamp::now();
        let mut shown = Vec::new();
        let end = match &subject {
            Subject::Asset(asset) => self.look_by_id(asset).await,
            Subject::Name(name) => self.look_by_name(name, waiting.attempts, &mut shown).await,
        };
        Looked { subject, waiting, began, shown, end }
    }

    /// Everything up to this offset is known before AMFJ is asked.
    fn known_up_to(&self) -> u64 {
        self.leader.state.read(|view| view.meta().offset).unwrap_or_default()
    }

    async fn look_by_id(&self, id: &AssetId) -> End {
        let as_of = self.known_up_to();
        let amfj = &self.leader.amfj;
        match self.ask(|| amfj.asset_as_it_is(id)).await {
            Ok(None) => self.tell_not_found(id, as_of).await,
            Ok(Some((asset, _))) if asset.id != *id => End::Done(LookUp::Failed),
            Ok(Some((asset, _))) => self.tell(asset, as_of).await,
            Err(end) => end,
        }
    }

    /// All assets of that name, and those that were known by it and are not called so any more.
    async fn look_by_name(&self, name: &str, attempts: u32, shown: &mut Vec<AssetId>) -> End {
        let Some(key) = NameKey::of(name) else { return End::Done(LookUp::Failed) };
        let as_of = self.known_up_to();
        let found = match self.search(name, &key).await {
            Ok(found) => found,
            Err(end) => return end,
        };
        let mut known = self.leader.state.read(|view| view.assets_named(&key));
        known.retain(|id| found.iter().all(|asset| asset.id != *id));
        let count = found.len() + known.len();
        if count > MOST_OF_A_NAME {
            return End::Done(LookUp::Failed);
        }
        if count == 0 && attempts == 0 {
            // A search is a list, which may be late.
            return End::Again(self.leader.config.amfj.list_delay.max(QUIET));
        }
        let mut end = LookUp::Unchanged;
        for asset in found {
            let id = asset.id.clone();
            let told = if self.is_written_lately(&id) {
                self.look_by_id(&id).await
            } else {
                self.tell(asset, as_of).await
            };
            match told {
                End::Done(came_of_it) if came_of_it != LookUp::Unchanged => end = came_of_it,
                End::Done(_) => {}
                other => return other,
            }
            shown.push(id);
        }
        for id in known {
            match self.look_by_id(&id).await {
                End::Done(came_of_it) if came_of_it != LookUp::Unchanged => end = came_of_it,
                End::Done(_) => {}
                other => return other,
            }
            shown.push(id);
        }
        End::Done(end)
    }

    /// The assets that a search by name shows and that are called so. Where it shows all kinds of others too, it is no
    /// search, and each would read a whole list: it is left alone for a while.
    async fn search(&self, name: &str, key: &NameKey) -> Result<Vec<Asset>, End> {
        if self.no_search_until.lock().is_some_and(|until| Instant::now() < until) {
            return Ok(Vec::new());
        }
        let amfj = &self.leader.amfj;
        let searching = self.ask(|| amfj.find_assets_by_name(name));
        let searched = tokio::time::timeout(SEARCHED_WITHIN, searching).await;
        let is_no_search = |all: usize, found: usize| all > 10 * (found + MOST_OF_A_NAME);
        match searched {
            Ok(Err(end)) => Err(end),
            Ok(Ok(all)) => {
                let rows = all.len();
                let found: Vec<Asset> =
                    all.into_iter().filter(|asset| NameKey::of(&asset.name).as_ref() == Some(key)).collect();
                if is_no_search(rows, found.len()) {
                    self.leave_search_alone();
                }
                Ok(found)
            }
            Err(_) => {
                self.leave_search_alone();
                Ok(Vec::new())
            }
        }
    }

    fn leave_search_alone(&self) {
        tracing::warn!(integration = %self.leader.config.id,
            "AMFJ's search by name shows more than assets of that name, so events without an id are left to the next run; \
             amfj.event_asset_id can say where an event has the id");
        *self.no_search_until.lock() = Some(Instant::now() + NO_SEARCH);
    }

    fn is_written_lately(&self, id: &AssetId) -> bool {
        let row = self.leader.state.read(|view| view.asset(id));
        row.is_some_and(|row| self.still_late(&row).is_some())
    }

    /// AMFJ shows what was written last.
    fn is_shown(&self, asset: &AssetId, as_of: u64) {
        let mut shown = self.shown.lock();
        if shown.len() >= REMEMBERED {
            shown.clear();
        }
        shown.insert(asset.clone(), as_of);
    }

    /// For how long AMFJ may not show what was written last; none where it has shown it.
    fn still_late(&self, row: &AssetRow) -> Option<Duration> {
        if self.shown.lock().get(&row.asset.id) == Some(&row.age.offset) {
            return None;
        }
        let since = Duration::try_from(Timestamp::now().duration_since(row.age.written?)).unwrap_or_default();
        self.leader.config.amfj.list_delay.checked_sub(since).filter(|left| !left.is_zero())
    }

    /// Says what AMFJ shows, if it is news.
    async fn tell(&self, asset: Asset, as_of: u64) -> End {
        let known = self.leader.state.read(|view| view.asset(&asset.id));
        let asset = completed(asset, known.as_ref());
        if let Some(row) = &known {
            let differs = asset_differs(&asset, Some(row));
            if !differs {
                self.is_shown(&asset.id, row.age.offset);
            }
            if !differs && !row.claims.wait_to_be_seen() {
                return End::Done(LookUp::Unchanged);
            }
            if let Some(left) = self.still_late(row).filter(|_| differs && may_predate(row, &asset)) {
                return End::Again(left.max(LEAST_PAUSE));
            }
        }
        let before = known.map(|row| row.asset.name).filter(|name| *name != asset.name);
        let id = asset.id.clone();
        let end = self.publish(Fact::AssetRead { asset, as_of, renamed_from: before }, LookUp::Changed).await;
        if let (End::Done(_), Some(row)) = (&end, self.leader.state.read(|view| view.asset(&id))) {
            self.is_shown(&id, row.age.offset);
        }
        end
    }

    /// Says that AMFJ has no such asset, where one was known: the next run finds out (P8).
    async fn tell_not_found(&self, id: &AssetId, as_of: u64) -> End {
        let known = self.leader.state.read(|view| view.asset(id));
        if known.is_none_or(|row| row.doubt.is_some()) {
            return End::Done(LookUp::NotFound);
        }
        self.publish(Fact::AssetNotFound { asset: id.clone(), as_of }, LookUp::NotFound).await
    }

    async fn publish(&self, fact: Fact, came_of_it: LookUp) -> End {
        let state = &self.leader.state;
        let fact = Event::fact(&state.origin(), Timestamp::now(), fact);
        match state.publish_and_read_back(fact).await {
            Ok(Verdict::Accepted) => End::Done(came_of_it),
            // Something was written, or a run began, while AMFJ was asked.
            Ok(Verdict::Rejected(_)) => End::Again(QUIET),
            Err(BrokerError::TooLarge { .. }) => End::Done(LookUp::Failed),
            Err(error) => End::Broken(error),
        }
    }

    /// One question, tried again for a moment.
    async fn ask<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, End>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        self.leader.read_with(&self.leader.details, attempt).await.map_err(|stopped| match last(&stopped) {
            None => End::Broken(BrokerError::Stopping),
            Some(error) if is_of_service(error) || error.is_transient() => End::Outage,
            Some(error) => {
                tracing::debug!(integration = %self.leader.config.id, %error, "an asset cannot be looked up; the next run reads it");
                End::Done(LookUp::Failed)
            }
        })
    }
}

/// Whether a record may be older than what was written to it last: it shows what was there before, or another holder.
fn may_predate(row: &AssetRow, asset: &Asset) -> bool {
    let was = |field: &str| Outcome::shown_by_asset(&row.asset, field);
    let is = |field: &str| Outcome::shown_by_asset(asset, field);
    row.asset.checked_out_to != asset.checked_out_to || row.claims.may_predate(&was, &is)
}
