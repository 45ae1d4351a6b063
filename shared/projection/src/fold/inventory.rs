//! The inventory of a run: staged fact by fact, in force all at once.

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, DeviceId, Key, RecordId};
use amfj_sync_model::messages::{
    Absence, Details, DeviceEntry, Fact, InventoryCounts, Outcome, ReadingReport,
};

use super::super::keys::table;
use super::super::rows::{AssetRow, DeviceRow, Missing, RecordRow, RunRow, UserRow};
use super::super::store::StoreError;
use super::super::view::parse_row;
use super::outcome::held_by_asset;
use super::{Projector, Verdict};

/// Rows of staged facts, a few kilobytes each, that take effect at once while a large inventory does: what is in memory
/// for it does not grow with the fleet.
const STEP: usize = 32;

impl Projector<'_, '_> {
    pub(super) fn stage(&mut self, number: u64, fact: &Fact) -> Verdict {
        if self.meta.latest.as_ref().is_none_or(|run| run.started.number != number) {
            return Verdict::Rejected("a newer run has started".into());
        }
        let place = format!("{number:016}/{:016}.{:04}", self.offset, self.place);
        self.batch.pile(table::STAGED, &place, fact);
        Verdict::Accepted
    }

    /// Everything staged for the run takes effect. A large inventory reaches the store in several steps,
    /// all before the offset of the marker does.
    pub(super) fn inventory_complete(
        &mut self,
        number: u64,
        counts: InventoryCounts,
        report: &ReadingReport,
    ) -> Result<Verdict, StoreError> {
        let Some(mut run) = self.meta.latest.clone().filter(|run| run.started.number == number) else {
            return Ok(Verdict::Rejected("a newer run has started".into()));
        };
        // After a crash in between, the marker is read again and finds what is left.
        self.commit_so_far()?;
        let staged = format!("{}/{number:016}/", table::STAGED);
        loop {
            let rows = self.batch.first_rows(staged.as_bytes(), STEP)?;
            if rows.is_empty() {
                break;
            }
            for (key, facts) in rows {
                for fact in parse_row::<Vec<Fact>>(table::STAGED, &facts)? {
                    self.promote(&run, fact)?;
                }
                self.batch.delete_row(key);
            }
            // With the counts that changed, still at the offset before the marker.
            self.commit_so_far()?;
        }
        // What was not seen is said device by device from here on.
        self.forget_rows(table::VANISHED)?;
        self.batch.put(table::REPORT, "", report);
        run.counts = Some(counts);
        run.inventory_at = Some(self.event.time);
        self.meta.latest = Some(run.clone());
        self.meta.in_force = Some(run);
        self.meta.runs = self.meta.runs.saturating_add(1);
        Ok(Verdict::Accepted)
    }

    fn promote(&mut self, run: &RunRow, fact: Fact) -> Result<(), StoreError> {
        match fact {
            Fact::CatalogueListed { catalogue, .. } => {
                self.batch.put(table::CATALOGUE, "", &catalogue);
                *self.catalogue = catalogue;
                Ok(())
            }
            Fact::AssetListed { asset, .. } => self.asset_listed(run, asset),
            Fact::AssetAbsent { asset, .. } => self.asset_absent(run, &asset),
            Fact::RecordListed { record, .. } => self.record_listed(run, record),
            Fact::RecordAbsent { record, .. } => self.record_absent(run, &record),
            Fact::DeviceListed { device, .. } => self.device_listed(device),
            Fact::DeviceMissing { device, absence, .. } => self.device_missing(run, &device, absence),
            Fact::UserListed { user, .. } => self.put_user(&UserRow { entry: user, missing: false }),
            Fact::UserMissing { user, .. } => match self.user(&user)? {
                Some(row) => {
                    self.delete_staged(&Key::User(user))?;
                    self.put_user(&UserRow { missing: true, ..row })
                }
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    fn asset_listed(&mut self, run: &RunRow, asset: Asset) -> Result<(), StoreError> {
        let old = self.asset(&asset.id)?;
        if let Some(row) = &old
            && (row.age.outlives_list_of(run) || row.age.is_listed() && row.asset == asset)
        {
            // It is there, as far as a list that began after it was doubted can say.
            let doubt = row.doubt.filter(|doubt| doubt.offset > run.offset);
            return self.put_asset(&AssetRow { doubt, ..row.clone() });
        }
        let mut row = AssetRow::new(asset, super::amfj::listed(run));
        if let Some(old) = old {
            row.doubt = old.doubt.filter(|doubt| doubt.offset > run.offset);
            let confirmed = old.age.was_shown_by(self.meta.in_force.as_ref());
            let (was, is) = (&old.asset, &row.asset);
            row.claims = old.claims.listed(
                confirmed,
                old.age.offset,
                &|field| held_by_asset(was, field).unwrap_or_default(),
                &|field| held_by_asset(is, field).unwrap_or_default(),
            );
        }
        self.put_asset(&row)
    }

    fn asset_absent(&mut self, run: &RunRow, id: &AssetId) -> Result<(), StoreError> {
        if self.asset(id)?.is_some_and(|row| row.age.outlives_list_of(run)) {
            return Ok(());
        }
        self.delete_asset(id)
    }

    fn record_listed(&mut self, run: &RunRow, record: UserRecord) -> Result<(), StoreError> {
        let old = self.record(&record.id)?;
        let in_force = self.meta.in_force.as_ref();
        let as_before =
            |row: &RecordRow| row.age.is_listed() && row.absent_since.is_none() && row.record == record;
        if old.as_ref().is_some_and(|row| row.age.outlives_list_of(run) || as_before(row)) {
            return Ok(());
        }
        let mut row = RecordRow::new(record, super::amfj::listed(run));
        if let Some(old) = old {
            row.ours = old.ours;
            let (was, is) = (&old.record, &row.record);
            row.claims = old.claims.listed(
                old.age.was_shown_by(in_force),
                old.age.offset,
                &|field| Outcome::shown_by_record(was, field),
                &|field| Outcome::shown_by_record(is, field),
            );
        }
        self.put_record(&row)
    }

    fn record_absent(&mut self, run: &RunRow, id: &RecordId) -> Result<(), StoreError> {
        let Some(mut row) = self.record(id)?.filter(|row| !row.age.outlives_list_of(run)) else {
            return Ok(());
        };
        match row.absent_since {
            // The second complete list without it (P11).
            Some(since) if since < run.started.number => self.delete_record(id),
            _ => {
                row.absent_since = Some(run.started.number);
                self.put_record(&row)
            }
        }
    }

    fn device_listed(&mut self, mut entry: DeviceEntry) -> Result<(), StoreError> {
        let old = self.device(&entry.device_id)?;
        // Details are read seldom; a list that says nothing about them leaves them as they are known.
        entry.details = entry.details.or_else(|| old.and_then(|row| row.entry.details));
        self.put_device(&DeviceRow { entry, missing: None })
    }

    fn device_missing(&mut self, run: &RunRow, id: &DeviceId, absence: Absence) -> Result<(), StoreError> {
        let Some(mut row) = self.device(id)? else { return Ok(()) };
        let runs = row.missing.map_or(0, |missing| missing.runs);
        // What left and was linked to nothing is in no state any more (P24).
        if self.link(id)?.is_none() {
            let key = Key::Device(id.clone());
            self.keep_first_sync(&key)?;
            self.delete_decision(&key)?;
        }
        row.missing = Some(Missing { runs: runs.saturating_add(1), latest: run.started.number, absence });
        self.put_device(&row)
    }

    /// Details that were read after the inventory took effect. Others are of an earlier run, and were said before: the
    /// message of a fact can be published again by whoever kept it.
    pub(super) fn details_read(&mut self, id: &DeviceId, details: &Details) -> Result<Verdict, StoreError> {
        let run = self.meta.in_force.as_ref();
        if run.is_some_and(|run| self.event.time < run.started.at) {
            return Ok(Verdict::Rejected("they were read before the inventory in force was".into()));
        }
        let Some(mut row) = self.device(id)? else {
            return Ok(Verdict::Rejected("the device is unknown".into()));
        };
        row.entry.details = Some(details.clone());
        self.put_device(&row)?;
        Ok(Verdict::Accepted)
    }
}
