//! Decisions of a person: they stand above every rule.

use amfj_sync_model::ids::{AssetId, DeviceId, Key};
use amfj_sync_model::messages::{OperatorDecision, OperatorOrder, Rule};
use jiff::Timestamp;

use super::super::keys::table;
use super::super::rows::{LinkRow, Pause, PersonRow, UserLinkRow};
use super::super::store::StoreError;
use super::{Projector, Verdict};

impl Projector<'_, '_> {
    /// A decision counts once. Its message says the same when it is published again, by a publisher that was not answered or
    /// by somebody who kept it: a signature stays right for ever, and what a person wanted then is not what they want now.
    pub(super) fn person_decided(&mut self, decision: &OperatorDecision) -> Result<Verdict, StoreError> {
        let id = self.event.id.to_string();
        if self.batch.row::<Timestamp>(table::SAID, &id)?.is_some() {
            return Ok(Verdict::Rejected("the decision took effect before".into()));
        }
        let verdict = self.obey(decision)?;
        if verdict == Verdict::Accepted {
            self.batch.put(table::SAID, &id, &self.event.time);
        }
        Ok(verdict)
    }

    fn obey(&mut self, decision: &OperatorDecision) -> Result<Verdict, StoreError> {
        match &decision.order {
            OperatorOrder::Link { device, asset } => self.link_by_person(device, asset, decision),
            OperatorOrder::Unlink { device } => {
                self.delete_link(device)?;
                self.forget(device);
                self.keep(&format!("device/{device}"), decision);
                Ok(Verdict::Accepted)
            }
            OperatorOrder::LinkUser { ids, record } => {
                if self.record(record)?.is_none() {
                    return Ok(Verdict::Rejected(format!("AMFJ has no user record {record}")));
                }
                let row = UserLinkRow { record: record.clone(), rule: Rule::Person, since: self.event.time };
                for id in ids {
                    self.put_user_link(id, &row)?;
                    self.keep(&format!("kandji-user/{id}"), decision);
                }
                Ok(Verdict::Accepted)
            }
            OperatorOrder::UnlinkUser { ids } => {
                for id in ids {
                    self.delete_user_link(id)?;
                    self.keep(&format!("kandji-user/{id}"), decision);
                }
                Ok(Verdict::Accepted)
            }
            OperatorOrder::Release => {
                // A run that its leader held took no effect: the release lets the next one pass, now.
                // Where the run after it has failed or still goes on, its hold is only not said again yet.
                let vanished = format!("{}/", table::VANISHED);
                let before = !self.batch.keys(vanished.as_bytes())?.is_empty();
                if self
                    .meta
                    .latest
                    .as_ref()
                    .is_some_and(|run| (run.held.is_some() || before) && run.counts.is_none())
                {
                    self.meta.released = Some(self.offset);
                    self.meta.requested = Some(self.offset);
                }
                for run in [&mut self.meta.latest, &mut self.meta.in_force].into_iter().flatten() {
                    run.allowed |= run.held.take().is_some();
                }
                self.apply_in_force();
                Ok(Verdict::Accepted)
            }
            OperatorOrder::Rematch => {
                self.meta.first_sync_over = false;
                self.meta.rematch = Some(self.offset);
                Ok(Verdict::Accepted)
            }
            OperatorOrder::Pause { reason, until } => {
                let (by, since) = (decision.by.clone(), self.event.time);
                self.meta.pause = Some(Pause { by, reason: reason.clone(), since, until: *until });
                Ok(Verdict::Accepted)
            }
            OperatorOrder::Resume => {
                self.meta.pause = None;
                Ok(Verdict::Accepted)
            }
            // For whichever writer has the change in hand; the view has nothing to learn of it.
            OperatorOrder::TryStopped { .. } | OperatorOrder::DropStopped { .. } => Ok(Verdict::Accepted),
        }
    }

    fn link_by_person(
        &mut self,
        device: &DeviceId,
        asset: &AssetId,
        decision: &OperatorDecision,
    ) -> Result<Verdict, StoreError> {
        if self.asset(asset)?.is_none() {
            return Ok(Verdict::Rejected(format!("AMFJ has no asset {asset}")));
        }
        let others = self.devices_linked_to(asset)?;
        if let Some(other) = others.iter().find(|other| *other != device.as_str()) {
            return Ok(Verdict::Rejected(format!(
                "asset {asset} is linked to device {other}; unlink that first"
            )));
        }
        if self.link(device)?.is_none_or(|row| row.asset != *asset) {
            self.forget(device);
        }
        let row = LinkRow { asset: asset.clone(), rule: Rule::Person, since: self.event.time, run: None };
        self.put_link(device, &row)?;
        self.keep(&format!("device/{device}"), decision);
        Ok(Verdict::Accepted)
    }

    /// What was learnt with the old asset says nothing about the new one.
    fn forget(&mut self, device: &DeviceId) {
        self.batch.delete(table::MEMORY, &Key::Device(device.clone()).to_string());
    }

    /// The last decision about a device or Kandji user: whose it was, and what stands against the rules.
    fn keep(&mut self, subject: &str, decision: &OperatorDecision) {
        let row = PersonRow { decision: decision.clone(), at: self.event.time };
        self.batch.put(table::PERSON, subject, &row);
    }
}
