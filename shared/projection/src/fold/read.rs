//! Assets that were looked up between two runs, because an event said that something had happened to them (P34).
//!
//! **The age rule.** A look-up is true as of the offset that the view had when it began: whatever came into the stream since
//! may have been written after AMFJ was asked. So what is younger than that is kept, and whoever looked looks again.

use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::AssetId;

use super::super::rows::{Age, AssetRow};
use super::super::store::StoreError;
use super::outcome::held_by_asset;
use super::{Projector, Verdict};

impl Projector<'_, '_> {
    /// An asset as AMFJ showed it counts like a listed one, at once.
    pub(super) fn asset_read(&mut self, asset: &Asset, as_of: u64) -> Result<Verdict, StoreError> {
        let old = self.asset(&asset.id)?;
        if let Some(why) = self.is_younger_than_look(old.as_ref(), as_of) {
            return Ok(Verdict::Rejected(why.to_owned()));
        }
        // What was written a moment before is still not to be taken back by a list that is late.
        let written = old.as_ref().and_then(|row| row.age.written);
        // Later than all that was known, and no later than what came next: a run that was known to have started lists what
        // was there before.
        let mut row = AssetRow::new(asset.clone(), Age { offset: as_of.saturating_add(1), written });
        if let Some(old) = old {
            row.found = old.found;
            row.doubt = old.doubt.filter(|doubt| doubt.offset > as_of);
            let confirmed = old.age.was_shown_by(self.meta.in_force.as_ref());
            let (was, is) = (&old.asset, &row.asset);
            row.claims = old.claims.read(
                confirmed,
                old.age.offset,
                &|field| held_by_asset(was, field).unwrap_or_default(),
                &|field| held_by_asset(is, field).unwrap_or_default(),
            );
        }
        self.put_asset(&row)?;
        Ok(Verdict::Accepted)
    }

    /// AMFJ has no asset of this id, as it says: doubtful, until a run has looked (P8).
    pub(super) fn asset_not_found(&mut self, id: &AssetId, as_of: u64) -> Result<Verdict, StoreError> {
        let Some(row) = self.asset(id)? else {
            return Ok(Verdict::Rejected("the asset is unknown".into()));
        };
        if let Some(why) = self.is_younger_than_look(Some(&row), as_of) {
            return Ok(Verdict::Rejected(why.to_owned()));
        }
        self.doubt_asset(id)?;
        Ok(Verdict::Accepted)
    }

    /// Why a look-up that began at `as_of` says nothing about an asset, if it does not.
    fn is_younger_than_look(&self, row: Option<&AssetRow>, as_of: u64) -> Option<&'static str> {
        if as_of >= self.offset {
            return Some("nobody has read so far");
        }
        if row.is_some_and(|row| row.age.offset > as_of) {
            return Some("something later is known of the asset");
        }
        // An inventory in force that began later knows every asset, the absent ones included.
        let listed = self.meta.in_force.as_ref().is_some_and(|run| run.offset > as_of);
        listed.then_some("a list that began later is in force")
    }
}
