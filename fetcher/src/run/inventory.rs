//! Reading AMFJ to the end. What differs from the view is kept aside: a run that fails says none of it.

use std::collections::HashSet;

use amfj_sync_amfj::lenient::Page;
use amfj_sync_amfj::profile::Op;
use amfj_sync_backoff::{Policy, Stopped, retry};
use amfj_sync_config::CreateUsers;
use amfj_sync_http::CallError;
use amfj_sync_http::cursors::Cursors;
use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::{Fact, InventoryCounts, Unusable};
use amfj_sync_projection::rows::AssetRow;

use super::difference::{asset_differs, record_differs};
use super::unusable::{Lost, is_of_service, last};
use super::{Halt, Leader, Run};

/// User records of which a site does not lose all at once: a list that shows none of them is not believed.
const NOT_LOST_AT_ONCE: u64 = 5;

/// What AMFJ has.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Site {
    pub(crate) assets: u64,
    pub(crate) records: u64,
}

impl Run<'_> {
    pub(super) async fn read_amfj(&self) -> Result<Site, Halt> {
        self.leader.progress.say("reading AMFJ".into());
        self.read_catalogue().await?;
        // Side by side: the cursors are opaque, so the pages of one list can only be read one after the other.
        let (assets, records) = tokio::try_join!(self.read_assets(), self.read_records())?;
        Ok(Site { assets, records })
    }

    /// How many there were of what in the last complete run.
    pub(super) fn counted_last(&self) -> InventoryCounts {
        let counts = |run: &amfj_sync_projection::rows::RunRow| run.counts;
        self.leader.state.read(|view| view.meta().in_force.as_ref().and_then(counts)).unwrap_or_default()
    }

    fn longest_list(&self) -> u64 {
        self.leader.config.sync.longest_list
    }

    async fn read_assets(&self) -> Result<u64, Halt> {
        let Leader { amfj, state, progress, .. } = self.leader;
        let number = self.started.number;
        let mut listed: HashSet<AssetId> = HashSet::new();
        let (mut rows, mut lost) = (0, Lost::default());
        let mut cursors = Cursors::after("list assets", self.counted_last().assets, self.longest_list());
        loop {
            let page = self.read(|| amfj.assets_page(cursors.current())).await?;
            let before = listed.len();
            listed.extend(page.results.iter().map(|asset| asset.id.clone()));
            let differing = page.results.into_iter().filter_map(|asset| {
                let known = state.read(|view| view.asset(&asset.id));
                let asset = completed(asset, known.as_ref());
                asset_differs(&asset, known.as_ref()).then_some(Fact::AssetListed { number, asset })
            });
            self.keep_aside(&differing.collect::<Vec<_>>())?;
            lost.take(self, page.lost, page.odd);
            rows += page.rows;
            progress.say(format!("reading assets: {}", listed.len()));
            if !cursors.advance(page.next, page.rows, (listed.len() - before) as u64)? {
                break;
            }
        }
        lost.judge("assets", rows)?;
        self.look_for_missing_assets(&listed).await?;
        Ok(listed.len() as u64)
    }

    async fn read_records(&self) -> Result<u64, Halt> {
        let Leader { amfj, state, progress, .. } = self.leader;
        if !amfj.can(Op::ListUsers) {
            // No setting needs them: that was looked at before the run.
            return Ok(0);
        }
        let number = self.started.number;
        let last_time = self.counted_last().records;
        let mut listed: HashSet<RecordId> = HashSet::new();
        let (mut rows, mut lost) = (0, Lost::default());
        let mut cursors = Cursors::after("list users", last_time, self.longest_list());
        loop {
            let Some(page) = self.read_records_page(cursors.current()).await? else { return Ok(last_time) };
            let before = listed.len();
            listed.extend(page.results.iter().map(|record| record.id.clone()));
            let differs = |record: &UserRecord| {
                state.read(|view| record_differs(record, view.record(&record.id).as_ref()))
            };
            let differing = page.results.into_iter().filter(differs);
            self.keep_aside(
                &differing.map(|record| Fact::RecordListed { number, record }).collect::<Vec<_>>(),
            )?;
            lost.take(self, page.lost, page.odd);
            rows += page.rows;
            progress.say(format!("reading user records: {}", listed.len()));
            if !cursors.advance(page.next, page.rows, (listed.len() - before) as u64)? {
                break;
            }
        }
        lost.judge("user records", rows)?;
        if rows == 0 && last_time >= NOT_LOST_AT_ONCE {
            let why = format!(
                "AMFJ lists none at all, where it had {last_time}; that is not believed, and they stay as they were known"
            );
            self.report(Unusable::new("list of user records", None, None, &why));
            return Ok(last_time);
        }
        self.say_which_records_are_absent(&listed, &lost)?;
        Ok(listed.len() as u64)
    }

    /// None where the list cannot be had and nothing needs it: what is known of the records stays (P18).
    async fn read_records_page(&self, cursor: Option<&str>) -> Result<Option<Page<UserRecord>>, Halt> {
        let Leader { amfj, config, reads, details, .. } = self.leader;
        let needed = config.sync.auto_checkout
            || config.sync.create_users != CreateUsers::Never
            || !config.user_fields.is_empty();
        let policy = if needed { reads } else { details };
        match self.read_with(policy, || amfj.users_page(cursor)).await {
            Ok(page) => Ok(Some(page)),
            Err(stopped) if !needed && last(&stopped).is_some_and(|error| !is_of_service(error)) => {
                let why = format!("it cannot be read ({stopped}); nothing needs it, and what is known stays");
                self.report(Unusable::new("list of user records", None, None, &why));
                Ok(None)
            }
            Err(stopped) => Err(stopped.into()),
        }
    }

    /// The second complete list without a record deletes it (P11). A list with rows that cannot be used may have shown
    /// it all the same.
    fn say_which_records_are_absent(&self, listed: &HashSet<RecordId>, lost: &Lost) -> Result<(), Halt> {
        let number = self.started.number;
        let mut facts = Vec::new();
        self.leader.state.read(|view| {
            view.each_record_id(&mut |id| {
                let unlisted = (!listed.contains(id)).then(|| RecordId::new(id).ok()).flatten();
                if let Some(row) = unlisted.and_then(|id| view.record(&id))
                    && !row.age.is_younger_than_list(self.offset, &self.started)
                    && !lost.may_be(&row.record.name, row.record.email.as_deref())
                {
                    facts.push(Fact::RecordAbsent { number, record: row.record.id });
                }
                true
            });
        });
        self.keep_aside(&facts)
    }

    /// One read of AMFJ, tried again for a while, dropped when the worker stops.
    pub(super) async fn read<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        Ok(self.read_with(&self.leader.reads, attempt).await?)
    }

    /// The same, for as long as a policy says.
    pub(super) async fn read_with<T, F>(
        &self,
        policy: &Policy,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Stopped<CallError>>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        self.leader.read_with(policy, attempt).await
    }
}

impl Leader {
    /// One read, tried again for as long as a policy says, dropped when the worker stops.
    pub(crate) async fn read_with<T, F>(
        &self,
        policy: &Policy,
        attempt: impl FnMut() -> F,
    ) -> Result<T, Stopped<CallError>>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let stop = &self.stop;
        stop.run_until_cancelled(retry(policy, stop, attempt)).await.unwrap_or(Err(Stopped::Cancelled))
    }
}

/// An asset with what could not be read of it as it was known: unknown overwrites nothing.
pub(crate) fn completed(mut asset: Asset, known: Option<&AssetRow>) -> Asset {
    let Some(known) = known.map(|row| &row.asset) else { return asset };
    if asset.asset_type.id.is_empty() {
        asset.asset_type = known.asset_type.clone();
    }
    if asset.location.as_ref().is_some_and(|location| location.id.is_empty()) {
        asset.location = known.location.clone().or(asset.location);
    }
    asset
}

#[cfg(test)]
mod tests {
    use amfj_sync_amfj::lenient;
    use amfj_sync_projection::rows::Age;
    use serde_json::json;

    use super::*;

    fn asset(body: &serde_json::Value) -> Asset {
        lenient::one::<Asset>(body.to_string().as_bytes()).unwrap().0
    }

    #[test]
    fn p30_what_cannot_be_read_of_an_asset_stays_as_it_was_known() {
        let known = json!({
            "id": "a1", "name": "Sam’s Mac", "asset_type": {"id": "t1", "name": "Laptop"},
            "location": {"id": "l1", "name": "HQ"}, "fields": {"Memory": "8 GB"}
        });
        let row = AssetRow::new(asset(&known), Age { offset: 1, written: None });
        let mut odd = known.clone();
        odd["asset_type"] = json!(["t1"]);
        odd["location"] = json!({"name": "HQ"});
        assert_eq!(completed(asset(&odd), Some(&row)), row.asset);
        let mut moved = known.clone();
        moved["location"] = json!(null);
        assert_eq!(completed(asset(&moved), Some(&row)).location, None, "nowhere is an answer");
        assert_eq!(completed(asset(&odd), None).asset_type.id, "");
    }
}
