//! Whether mapped details that Kandji does not document are on any device (P18). Each costs a request, so it takes a while
//! until all were read; until then the runs go on, and say what is not proven yet.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_config::Integration;
use amfj_sync_kandji::KandjiError;
use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::Unusable;
use serde_json::Value;

use super::fleet::ListedDevice;
use super::properties::Unproven;
use super::walk::Fleet;
use super::{Halt, Run};

/// Devices that are looked at once more before a property counts as unknown: what is kept of details does not tell nothing
/// from absent.
const SAMPLE: usize = 3;
/// Devices among which they are chosen, of different platforms.
const SAMPLE_FROM: usize = 300;

/// What a leader learns about such details while it reads.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    /// Present on some device, whatever it says there.
    present: BTreeSet<String>,
    /// On no device any more, and so never read to the end.
    pub(super) left_out: BTreeSet<String>,
    /// Devices that were read for a run which failed because none of them has a property, with their check-ins: they are
    /// not read again for the next try.
    looked_at: BTreeMap<DeviceId, String>,
}

impl Proofs {
    /// Takes note of the details of a device.
    pub(super) fn see(&mut self, config: &Integration, details: &Value) {
        let unproven = Unproven::of(config);
        let present = unproven.details().iter().filter(|path| path.lookup(details).is_some());
        self.present.extend(present.map(ToString::to_string));
    }

    /// Whether the details of this check-in were read for nothing.
    pub(super) fn has_looked_at(&self, listed: &ListedDevice) -> bool {
        self.looked_at.get(&listed.entry.device_id) == Some(&listed.check_in)
    }
}

impl Run<'_> {
    /// A mapped detail that is neither documented nor on any device is a mistake, once all were read.
    pub(super) async fn prove_details(&self, fleet: &mut Fleet) -> Result<(), Halt> {
        fleet.unproven.were_present(&self.leader.proofs.lock().present);
        if !fleet.unproven.needs_details() {
            self.go_on(fleet);
            return Ok(());
        }
        let unread = self.look_at_what_was_read(fleet)?;
        let missing = fleet.unproven.missing_from_details(&self.names_in_use());
        self.leave_out(fleet, &missing);
        if unread > 0 {
            self.say_what_is_unproven(fleet, unread);
            self.go_on(fleet);
            return Ok(());
        }
        if fleet.unproven.needs_details() && !self.look_once_more(fleet).await? {
            self.go_on(fleet);
            return Ok(());
        }
        let mut details = fleet.unproven.clone();
        details.give_list_up();
        let problems = details.problems(&self.leader.config);
        if problems.is_empty() {
            self.go_on(fleet);
            return Ok(());
        }
        self.remember_what_was_looked_at(fleet)?;
        Err(Halt::configuration(&problems))
    }

    fn go_on(&self, fleet: &Fleet) {
        let mut proofs = self.leader.proofs.lock();
        proofs.looked_at.clear();
        proofs.left_out.clone_from(&fleet.left_out);
    }

    /// What the details say that were read in this run or before; answers how many devices are still to be read.
    fn look_at_what_was_read(&self, fleet: &mut Fleet) -> Result<usize, Halt> {
        let mut unread = 0;
        for id in &fleet.ids {
            let Some(listed) = self.leader.listed(id)? else { continue };
            if !listed.entry.in_scope
                || listed.entry.removed
                || self.leader.proofs.lock().has_looked_at(&listed)
            {
                continue;
            }
            let known = || self.leader.state.read(|view| view.device(id)).and_then(|row| row.entry.details);
            match listed.entry.details.clone().or_else(known) {
                Some(details) => {
                    unread += usize::from(!fleet.unproven.are_all_in(&details));
                    fleet.unproven.know_details(&details);
                }
                None => unread += 1,
            }
            if !fleet.unproven.needs_details() {
                return Ok(0);
            }
        }
        Ok(unread)
    }

    fn say_what_is_unproven(&self, fleet: &Fleet, unread: usize) {
        for path in fleet.unproven.details() {
            let settings = Unproven::settings_with(&self.leader.config, path).join(", ");
            let why = format!(
                "no device whose details were read has the property \"{path}\", and {unread} are still to be read; if none \
                 of them has it, it is a mistake"
            );
            self.report(Unusable::new("setting", None, Some(&settings), &why));
        }
    }

    /// What is kept of details does not tell nothing from absent: a few are read again.
    /// Answers whether any could be.
    async fn look_once_more(&self, fleet: &mut Fleet) -> Result<bool, Halt> {
        let mut answers = 0;
        for id in self.sample(fleet)? {
            match self.leader.details_of(&id).await {
                Ok(Some(details)) => {
                    answers += 1;
                    fleet.unproven.see_details(&details);
                    self.leader.proofs.lock().see(&self.leader.config, &details);
                }
                Ok(None) => {}
                Err(KandjiError::Cancelled) => return Err(Halt::Stopping),
                Err(error) => {
                    tracing::warn!(integration = %self.leader.config.id, run = self.run_id(), device = %id, %error,
                        "the details cannot be read, so mapped details cannot be checked");
                    break;
                }
            }
        }
        Ok(answers > 0)
    }

    /// A few devices in scope, of different platforms if there are.
    fn sample(&self, fleet: &Fleet) -> Result<Vec<DeviceId>, Halt> {
        let mut by_platform: BTreeMap<String, Vec<DeviceId>> = BTreeMap::new();
        for id in fleet.ids.iter().take(SAMPLE_FROM) {
            if let Some(listed) = self.leader.listed(id)?.filter(|listed| listed.entry.in_scope) {
                by_platform.entry(listed.entry.platform).or_default().push(id.clone());
            }
        }
        let firsts = by_platform.values().filter_map(|ids| ids.first());
        let others = by_platform.values().flat_map(|ids| ids.iter().skip(1));
        Ok(firsts.chain(others).take(SAMPLE).cloned().collect())
    }

    fn remember_what_was_looked_at(&self, fleet: &Fleet) -> Result<(), Halt> {
        for id in &fleet.ids {
            if let Some(listed) = self.leader.listed(id)?.filter(|listed| listed.entry.details.is_some()) {
                self.leader.proofs.lock().looked_at.insert(id.clone(), listed.check_in);
            }
        }
        Ok(())
    }
}
