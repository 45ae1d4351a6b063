//! Reading AMFJ to the end. What differs from the view is staged at once: nothing of it takes effect
//! before the inventory marker, and nothing at all if the run fails.

use std::collections::HashSet;

use amfj_sync_shared::catalogue::problems;
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
        let assets = self.read_assets().await?;
        self.is_current()?;
        let records = self.read_records().await?;
        Ok(Site { assets, records })
    }

    /// The configuration is checked against the site before anything is written (P18).
    async fn read_catalogue(&self) -> Result<(), Halt> {
        let (amfj, reads, stop) = (&self.leader.amfj, &self.leader.reads, &self.leader.stop);
        let reading = async {
            Ok::<_, Halt>(Catalogue {
                asset_types: retry(reads, stop, || amfj.asset_types()).await?,
                locations: retry(reads, stop, || amfj.locations()).await?,
                user_fields: retry(reads, stop, || amfj.user_fields()).await?,
            })
        };
        let catalogue = stop.run_until_cancelled(reading).await.ok_or(Halt::Stopping)??;
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
        let number = self.started.number;
        let mut listed: HashSet<AssetId> = HashSet::new();
        let (facts, publishing) = self.publish_as_they_come();
        let reading = async {
            let mut sink = |page: Vec<amfj_sync_shared::amfj::Asset>| {
                let differing: Vec<_> = self.leader.state.read(|view| {
                    let differs = |asset: &_| asset_differs(asset, view.asset(&asset.id).as_ref());
                    listed.extend(page.iter().map(|asset| asset.id.clone()));
                    page.into_iter().filter(differs).collect()
                });
                for asset in differing {
                    // The other end is gone only after an error, which is reported there.
                    drop(facts.send(Fact::AssetListed { number, asset }));
                }
                self.leader.progress.say(format!("reading assets: {}", listed.len()));
            };
            let read = self.leader.amfj.all_assets(&self.leader.reads, &self.leader.stop, &mut sink).await;
            drop(facts);
            read
        };
        let (read, published) = tokio::join!(reading, publishing);
        read?;
        published?;
        self.say_which_assets_are_absent(&listed).await?;
        Ok(listed.len() as u64)
    }

    /// A missing asset is absent only if AMFJ does not know its id either (P8).
    async fn say_which_assets_are_absent(&self, listed: &HashSet<AssetId>) -> Result<(), Halt> {
        let mut missing = Vec::new();
        self.leader.state.read(|view| {
            view.each_asset(&mut |row| {
                if !listed.contains(&row.asset.id)
                    && !is_younger_than_list(&row.age, self.offset, &self.started)
                {
                    missing.push(row.asset.id);
                }
                true
            });
        });
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
        let Leader { amfj, reads, stop, state, .. } = self.leader;
        let reading = retry(reads, stop, || amfj.asset(&id));
        let Some(asset) = stop.run_until_cancelled(reading).await.ok_or(Halt::Stopping)?? else {
            return Ok(Some(Fact::AssetAbsent { number, asset: id }));
        };
        // In no list and there all the same: what it says now counts.
        let differs = state.read(|view| asset_differs(&asset, view.asset(&id).as_ref()));
        Ok(differs.then_some(Fact::AssetListed { number, asset }))
    }

    async fn read_records(&self) -> Result<u64, Halt> {
        let number = self.started.number;
        let mut listed: HashSet<RecordId> = HashSet::new();
        let (facts, publishing) = self.publish_as_they_come();
        let reading = async {
            let mut sink = |page: Vec<amfj_sync_shared::amfj::UserRecord>| {
                let differing: Vec<_> = self.leader.state.read(|view| {
                    let differs = |record: &_| record_differs(record, view.record(&record.id).as_ref());
                    listed.extend(page.iter().map(|record| record.id.clone()));
                    page.into_iter().filter(differs).collect()
                });
                for record in differing {
                    drop(facts.send(Fact::RecordListed { number, record }));
                }
                self.leader.progress.say(format!("reading user records: {}", listed.len()));
            };
            let read = self.leader.amfj.all_users(&self.leader.reads, &self.leader.stop, &mut sink).await;
            drop(facts);
            read
        };
        let (read, published) = tokio::join!(reading, publishing);
        read?;
        published?;
        self.say_which_records_are_absent(&listed).await?;
        Ok(listed.len() as u64)
    }

    /// The second complete list without a record deletes it (P11).
    async fn say_which_records_are_absent(&self, listed: &HashSet<RecordId>) -> Result<(), Halt> {
        let number = self.started.number;
        let mut facts = Vec::new();
        self.leader.state.read(|view| {
            view.each_record(&mut |row| {
                if !listed.contains(&row.record.id)
                    && !is_younger_than_list(&row.age, self.offset, &self.started)
                {
                    facts.push(Fact::RecordAbsent { number, record: row.record.id });
                }
                true
            });
        });
        self.say(facts).await
    }
}
