//! Who has the asset of a device (P20, P21).
//!
//! *Settled* is the primary user's record that the last successful assignment answered for; what
//! changed since is what Kandji says now against that, never against the asset's holder. So a
//! check-out made by hand stands as long as the primary user stays.

use amfj_sync_config::{Assignment, FirstAssignment};
use amfj_sync_model::amfj::{Asset, Holder, UserRecord};
use amfj_sync_model::ids::{RecordId, UserKey};
use amfj_sync_model::messages::{Action, DeviceEntry, DeviceStatus, PrimaryUser};
use amfj_sync_model::names::email_key;
use amfj_sync_projection::rows::Memory;

use super::Site;
use super::draft::Findings;
use super::plan::is_planned;
use super::users::{self, Standing};

/// What the last successful assignment answered for.
enum Settled<'a> {
    /// There was none: auto-checkout sees this device for the first time.
    Never,
    /// The device had no primary user, or none that may have it.
    Nobody,
    /// This record's.
    Record(&'a RecordId),
}

/// One linked device, with what its assignment depends on.
struct Case<'a> {
    site: &'a Site<'a>,
    asset: &'a Asset,
    memory: &'a Memory,
    settled: Settled<'a>,
}

/// Adds what is to be done about the holder of a linked device's asset.
pub(super) fn decide(
    site: &Site<'_>,
    device: &DeviceEntry,
    asset: &Asset,
    memory: &Memory,
    findings: &mut Findings,
) {
    if !site.config.sync.auto_checkout {
        return;
    }
    if asset.checked_out_to.as_ref().is_some_and(|holder| !holder.is_readable()) {
        let reason = format!(
            "Who has asset \"{}\" cannot be read from AMFJ, so nobody is checked out or in; look at that asset in AMFJ \
             (P30).",
            asset.name
        );
        return findings.find(DeviceStatus::UserProblem, reason);
    }
    let settled = match memory.settled.as_ref().map(|settled| &settled.primary) {
        None => Settled::Never,
        Some(None) => Settled::Nobody,
        Some(Some(record)) => Settled::Record(record),
    };
    let case = Case { site, asset, memory, settled };
    match &device.user {
        PrimaryUser::Nobody => case.without_user(findings),
        PrimaryUser::Unusable { reason } => {
            findings.find(DeviceStatus::UserProblem, super::draft::sentence(reason));
        }
        PrimaryUser::Person { key } => case.with_user(device, key, findings),
    }
    findings.takes = case.takes(findings);
}

/// Whether an asset that a device is to be linked to will leave somebody then (P23).
pub(super) fn will_take(site: &Site<'_>, device: &DeviceEntry, asset: &Asset, memory: &Memory) -> bool {
    let mut findings = Findings::new(DeviceStatus::InSync, String::new());
    decide(site, device, asset, memory, &mut findings);
    findings.takes
}

impl Case<'_> {
    fn holder(&self) -> Option<&Holder> {
        self.asset.checked_out_to.as_ref()
    }

    fn holds(&self, record: &RecordId) -> bool {
        self.holder().is_some_and(|holder| holder.id == *record)
    }

    /// Whether the asset leaves its holder at once, or as soon as the primary user has a record.
    fn takes(&self, findings: &Findings) -> bool {
        let Some(holder) = self.holder() else { return false };
        let keeps = !self.enforces()
            && self.site.config.sync.first_assignment == FirstAssignment::Keep
            && matches!(self.settled, Settled::Never);
        let waits = findings.awaits.is_some() && !keeps && findings.record.as_ref() != Some(&holder.id);
        waits || findings.assigns_away_from(&holder.id)
    }

    fn enforces(&self) -> bool {
        self.site.config.sync.assignment == Assignment::Enforce
    }

    fn with_user(&self, device: &DeviceEntry, key: &UserKey, findings: &mut Findings) {
        match users::standing(self.site, key) {
            Standing::Linked { record, archived, email } => {
                findings.record = Some(record.id.clone());
                match self.barred(&record, archived, email.as_deref()) {
                    None => self.to_user(&record, findings),
                    Some((state, why)) => self.not_to_user(&record, state, &why, findings),
                }
            }
            Standing::Pending { record } => {
                findings.record = record;
                findings.awaits = Some(key.clone());
                let planned = is_planned(self.site.config, device);
                let state = if planned { DeviceStatus::PlanOnly } else { DeviceStatus::Pending };
                let reason = format!(
                    "Asset \"{}\" is checked out to {key} once that user has a record in AMFJ.",
                    self.asset.name
                );
                findings.find(state, reason);
            }
            Standing::Problem(reason) => {
                let reason =
                    format!("The holder of asset \"{}\" is left as it is. {reason}", self.asset.name);
                findings.find(DeviceStatus::UserProblem, reason);
            }
        }
    }

    /// Why the asset is never newly checked out to this record (P20).
    fn barred(
        &self,
        record: &UserRecord,
        archived: bool,
        email: Option<&str>,
    ) -> Option<(DeviceStatus, String)> {
        let listed = |email: Option<&str>| {
            let key = email.and_then(email_key);
            key.is_some_and(|key| self.site.config.sync.no_checkout_users.contains(&key))
        };
        if archived {
            let why = format!("{} is archived in Kandji", record.name);
            Some((DeviceStatus::UserProblem, why))
        } else if listed(email) || listed(record.email.as_deref()) {
            Some((DeviceStatus::InSync, format!("{} is listed in no_checkout_users", record.name)))
        } else {
            None
        }
    }

    /// The primary user may have the asset.
    fn to_user(&self, record: &UserRecord, findings: &mut Findings) {
        let user = Holder { id: record.id.clone(), name: record.name.clone() };
        let has_it = self.holds(&record.id);
        let keeps = !self.enforces() && self.site.config.sync.first_assignment == FirstAssignment::Keep;
        match self.settled {
            Settled::Record(settled) if *settled == record.id => {
                if self.enforces() && !has_it {
                    self.assign(Some(user), Some(&record.id), findings);
                } else if !has_it {
                    findings.warn(self.left_alone(&record.name));
                }
            }
            Settled::Never if keeps && !has_it && self.holder().is_some() => {
                findings.warn(self.left_alone(&record.name));
                self.assign(self.holder().cloned(), Some(&record.id), findings);
            }
            _ => self.assign(Some(user), Some(&record.id), findings),
        }
    }

    fn left_alone(&self, user: &str) -> String {
        let holder = self.holder().map_or("nobody", |holder| holder.name.as_str());
        format!(
            "Asset \"{}\" is with {holder} while Kandji's primary user is {user}; it is left alone (P20, P21).",
            self.asset.name
        )
    }

    /// The primary user may not have the asset; whoever was settled before loses it.
    fn not_to_user(&self, record: &UserRecord, state: DeviceStatus, why: &str, findings: &mut Findings) {
        match self.settled {
            Settled::Record(settled) if *settled == record.id => {}
            Settled::Record(settled) => self.take_back(settled, findings),
            Settled::Never | Settled::Nobody if self.holds(&record.id) => {}
            Settled::Never | Settled::Nobody => {
                let reason = format!("Asset \"{}\" is not checked out: {why} (P20).", self.asset.name);
                if state == DeviceStatus::InSync {
                    findings.warn(reason);
                } else {
                    findings.find(state, reason);
                }
            }
        }
    }

    /// The device has no primary user.
    fn without_user(&self, findings: &mut Findings) {
        match self.settled {
            _ if self.enforces() && self.holder().is_some() => self.assign(None, None, findings),
            Settled::Record(settled) => self.take_back(settled, findings),
            Settled::Never | Settled::Nobody => {}
        }
    }

    /// Checks in, if the settled user still has it; in any case nobody is settled then.
    fn take_back(&self, settled: &RecordId, findings: &mut Findings) {
        let to = if self.holds(settled) { None } else { self.holder().cloned() };
        self.assign(to, None, findings);
    }

    fn assign(&self, to: Option<Holder>, primary: Option<&RecordId>, findings: &mut Findings) {
        let expected = self.holder().cloned();
        let id = |holder: &Option<Holder>| holder.as_ref().map(|holder| holder.id.clone());
        let asset = &self.asset.name;
        let why = match (&expected, &to) {
            _ if id(&expected) == id(&to) => {
                format!("The holder of asset \"{asset}\" is noted; nothing is written.")
            }
            (None, Some(to)) => format!("Asset \"{asset}\" is checked out to {}.", to.name),
            (Some(from), Some(to)) => {
                format!("Asset \"{asset}\" is checked in from {} and out to {}.", from.name, to.name)
            }
            (from, None) => {
                let from = from.as_ref().map_or("nobody", |holder| holder.name.as_str());
                format!("Asset \"{asset}\" is checked in from {from}.")
            }
        };
        let action = Action::Assign { asset: self.asset.id.clone(), expected, to, primary: primary.cloned() };
        findings.act(self.memory, action, &why);
    }
}
