//! Who has an asset (P20–P22).

use std::collections::BTreeMap;

use super::{Model, Run, kandji::Listed, words};

impl Model {
    /// Checks assets out and in; `records` names the record of each person.
    pub(super) fn assign(&mut self, run: &mut Run, records: &BTreeMap<String, String>) {
        if run.settings.auto_checkout {
            for (device, asset) in self.links.clone() {
                let Some(listed) = run.device(&device).filter(|device| device.is_live()).cloned() else {
                    continue;
                };
                let Some(holder) = run.asset(&asset).map(|asset| asset.holder.clone()) else { continue };
                if let Some((to, primary)) = self.decide(run, &listed, holder.as_deref(), records) {
                    // A record that is missing from one list only may still be known: AMFJ refuses.
                    if to.as_ref().is_some_and(|to| !run.site.users.iter().any(|user| user.id == *to)) {
                        continue;
                    }
                    if let Some(asset) = run.asset_mut(&asset) {
                        asset.holder = to;
                    }
                    self.settled.insert(device, primary);
                }
            }
        }
        if run.settings.check_in_gone {
            for (device, missing) in self.missing.clone() {
                let Some(asset) = self.links.get(&device).filter(|_| missing >= 2).cloned() else { continue };
                if let Some(asset) = run.asset_mut(&asset) {
                    asset.holder = None;
                }
                self.settled.insert(device, None);
            }
        }
    }

    /// The holder to be and the primary user that is settled with it; `None` to leave all as it is.
    fn decide(
        &self,
        run: &Run,
        device: &Listed,
        holder: Option<&str>,
        records: &BTreeMap<String, String>,
    ) -> Option<(Option<String>, Option<String>)> {
        let settled = self.settled.get(&device.id);
        let owned = |record: Option<&str>| record.map(str::to_owned);
        let Some(user) = &device.user else {
            return match settled {
                Some(Some(old)) if holder == Some(old) => Some((None, None)),
                _ if run.settings.enforce => Some((None, None)),
                Some(Some(_)) => Some((owned(holder), None)),
                _ => None,
            };
        };
        let record = records.get(&user.key()?)?.as_str();
        let email = words::email(&user.email);
        let may_have = !user.archived
            && !run.settings.no_checkout_users.iter().any(|other| words::email(other) == email);
        if !may_have {
            // Somebody else had it: that one no longer does. Nothing new is given out.
            return match settled {
                Some(Some(old)) if old != record && holder == Some(old) => Some((None, None)),
                Some(Some(old)) if old != record => Some((owned(holder), None)),
                _ => None,
            };
        }
        let to_primary = Some((Some(record.to_owned()), Some(record.to_owned())));
        match settled {
            None if run.settings.keep_first_holder && holder.is_some() && !run.settings.enforce => {
                Some((owned(holder), Some(record.to_owned())))
            }
            Some(Some(old)) if old == record && !run.settings.enforce => None,
            _ => to_primary,
        }
    }
}
