//! Reading AMFJ to the end. What differs from the view is staged at once: nothing of it takes effect
//! before the inventory marker, and nothing at all if the run fails.

use std::collections::HashSet;

use amfj_sync_shared::amfj::{Asset, UserRecord};
use amfj_sync_shared::catalogue::problems;
use amfj_sync_shared::http::CallError;
use amfj_sync_shared::ids::{AssetId, RecordId};
use amfj_sync_shared::messages::{Catalogue, Fact};
use amfj_sync_shared::retry::retry;
use futures::{FutureExt, StreamExt, stream};

use super::difference::{asset_differs, is_younger_than_list, record_differs};
use super::{Halt, Leader, Run};

/// Missing assets that are asked for at the same time.
const AT_ONCE: usize = 4;

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

    /// The configuration is checked against the site before anything is written (P18).
    async fn read_catalogue(&self) -> Result<(), Halt> {
        let amfj = &self.leader.amfj;
        let (asset_types, locations, user_fields) = tokio::try_join!(
            self.read(|| amfj.asset_types()),
            self.read(|| amfj.locations()),
            self.read(|| amfj.user_fields())
        )?;
        let catalogue = Catalogue { asset_types, locations, user_fields };
        let problems = problems(&self.leader.config, &catalogue);
        if !problems.is_empty() {
            return Err(Halt::configuration(&problems));
        }
        if self.leader.state.read(|view| *view.catalogue() != catalogue) {
            let number = self.started.number;
            self.say(vec![Fact::CatalogueListed { number, catalogue }]).await?;
        }
        Ok(())
    }

    async fn read_assets(&self) -> Result<u64, Halt> {
        let Leader { amfj, state, progress, .. } = self.leader;
        let number = self.started.number;
        let mut listed: HashSet<AssetId> = HashSet::new();
        let mut cursors = Cursors::default();
        loop {
            let page = self.read(|| amfj.assets_page(cursors.current())).await?;
            listed.extend(page.results.iter().map(|asset| asset.id.clone()));
            let differs =
                |asset: &Asset| state.read(|view| asset_differs(asset, view.asset(&asset.id).as_ref()));
            let differing = page.results.into_iter().filter(differs);
            self.say(differing.map(|asset| Fact::AssetListed { number, asset }).collect()).await?;
            progress.say(format!("reading assets: {}", listed.len()));
            if !cursors.advance(page.next)? {
                break;
            }
        }
        self.say_which_assets_are_absent(&listed).await?;
        Ok(listed.len() as u64)
    }

    /// A missing asset is absent only if AMFJ does not know its id either (P8).
    async fn say_which_assets_are_absent(&self, listed: &HashSet<AssetId>) -> Result<(), Halt> {
        let mut missing = Vec::new();
        self.leader.state.read(|view| {
            view.each_asset_id(&mut |id| {
                let unlisted = (!listed.contains(id)).then(|| AssetId::new(id).ok()).flatten();
                missing.extend(unlisted.and_then(|id| view.asset(&id)));
                true
            });
        });
        missing.retain(|row| !is_younger_than_list(&row.age, self.offset, &self.started));
        let missing = missing.into_iter().map(|row| row.asset.id);
        let mut facts = Vec::new();
        let mut answers = stream::iter(missing).map(|id| self.look_for(id).boxed()).buffer_unordered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            facts.extend(answer?);
        }
        drop(answers);
        self.say(facts).await
    }

    async fn look_for(&self, id: AssetId) -> Result<Option<Fact>, Halt> {
        let number = self.started.number;
        let Leader { amfj, state, .. } = self.leader;
        let Some(asset) = self.read(|| amfj.asset(&id)).await? else {
            return Ok(Some(Fact::AssetAbsent { number, asset: id }));
        };
        // In no list and there all the same: what it says now counts.
        let differs = state.read(|view| asset_differs(&asset, view.asset(&id).as_ref()));
        Ok(differs.then_some(Fact::AssetListed { number, asset }))
    }

    async fn read_records(&self) -> Result<u64, Halt> {
        let Leader { amfj, state, progress, .. } = self.leader;
        let number = self.started.number;
        let mut listed: HashSet<RecordId> = HashSet::new();
        let mut cursors = Cursors::default();
        loop {
            let page = self.read(|| amfj.users_page(cursors.current())).await?;
            listed.extend(page.results.iter().map(|record| record.id.clone()));
            let differs = |record: &UserRecord| {
                state.read(|view| record_differs(record, view.record(&record.id).as_ref()))
            };
            let differing = page.results.into_iter().filter(differs);
            self.say(differing.map(|record| Fact::RecordListed { number, record }).collect()).await?;
            progress.say(format!("reading user records: {}", listed.len()));
            if !cursors.advance(page.next)? {
                break;
            }
        }
        self.say_which_records_are_absent(&listed).await?;
        Ok(listed.len() as u64)
    }

    /// The second complete list without a record deletes it (P11).
    async fn say_which_records_are_absent(&self, listed: &HashSet<RecordId>) -> Result<(), Halt> {
        let number = self.started.number;
        let mut facts = Vec::new();
        self.leader.state.read(|view| {
            view.each_record_id(&mut |id| {
                let unlisted = (!listed.contains(id)).then(|| RecordId::new(id).ok()).flatten();
                if let Some(row) = unlisted.and_then(|id| view.record(&id))
                    && !is_younger_than_list(&row.age, self.offset, &self.started)
                {
                    facts.push(Fact::RecordAbsent { number, record: row.record.id });
                }
                true
            });
        });
        self.say(facts).await
    }

    /// One read of AMFJ, tried again for a while, dropped when the worker stops.
    async fn read<T, F>(&self, attempt: impl FnMut() -> F) -> Result<T, Halt>
    where
        F: Future<Output = Result<T, CallError>>,
    {
        let Leader { reads, stop, .. } = self.leader;
        let read = retry(reads, stop, attempt);
        Ok(stop.run_until_cancelled(read).await.ok_or(Halt::Stopping)??)
    }
}

/// The cursors of one list; none may come twice, or the list would never end.
#[derive(Debug, Default)]
struct Cursors {
    seen: HashSet<String>,
    current: Option<String>,
}

impl Cursors {
    fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Whether there is another page.
    fn advance(&mut self, next: Option<String>) -> Result<bool, Halt> {
        let Some(next) = next else { return Ok(false) };
        if !self.seen.insert(next.clone()) {
            return Err(Halt::failed(
                "a list of AMFJ does not end: it gave the same cursor twice; check that amfj.api_url is that of the API",
            ));
        }
        self.current = Some(next);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_never_ends_fails_the_run() {
        let mut cursors = Cursors::default();
        assert_eq!(cursors.current(), None);
        assert!(cursors.advance(Some("a".into())).unwrap());
        assert_eq!(cursors.current(), Some("a"));
        assert!(cursors.advance(Some("b".into())).unwrap());
        assert!(matches!(cursors.advance(Some("a".into())), Err(Halt::Failed { .. })));
        assert!(!cursors.advance(None).unwrap());
    }
}
