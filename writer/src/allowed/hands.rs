//! Who may be given an asset, and from whom one may be taken (P20, P21, P22).

use amfj_sync_config::{Assignment, FirstAssignment, WhenGone};
use amfj_sync_model::amfj::Holder;
use amfj_sync_model::ids::RecordId;
use amfj_sync_model::messages::{Action, PrimaryUser, Restored, UserEntry};
use amfj_sync_model::names::email_key;
use amfj_sync_projection::rows::DeviceRow;

use super::{Asked, Judged, NotAllowed};

/// From whom to whom, and whose record that settles.
struct Hands<'a> {
    from: Option<&'a RecordId>,
    to: Option<&'a RecordId>,
    primary: Option<&'a RecordId>,
    /// Made again as it once was: what was settled since says nothing against it (P29).
    again: bool,
}

impl<'a> Hands<'a> {
    fn of(action: &'a Action) -> Option<Self> {
        let id = |holder: &'a Option<Holder>| holder.as_ref().map(|holder| &holder.id);
        match action {
            Action::Assign { expected, to, primary, .. } => {
                Some(Self { from: id(expected), to: id(to), primary: primary.as_ref(), again: false })
            }
            Action::Restore { again: Restored::Holder { found, holder, primary, .. } } => {
                Some(Self { from: id(found), to: id(holder), primary: primary.as_ref(), again: true })
            }
            _ => None,
        }
    }

    /// Only noted: nothing is written.
    fn stay(&self) -> bool {
        self.from == self.to
    }
}

impl Asked<'_> {
    /// What the settings alone say: with `auto_checkout` off, assets of gone devices are checked in at most.
    pub(super) fn hands_by_setting(&self) -> Judged {
        let Some(hands) = Hands::of(&self.change.action) else { return Ok(()) };
        let sync = &self.config.sync;
        let checks_in = hands.to.is_none() && sync.when_gone == WhenGone::CheckIn;
        if sync.auto_checkout || checks_in { Ok(()) } else { Err(NotAllowed::NoAutoCheckout) }
    }

    pub(super) fn hands(&self, row: &DeviceRow) -> Judged {
        match Hands::of(&self.change.action) {
            Some(hands) if !hands.stay() => match hands.to {
                Some(to) => self.hands_to(row, to, &hands),
                None => self.takes_back(row, &hands),
            },
            _ => Ok(()),
        }
    }

    fn hands_to(&self, row: &DeviceRow, to: &RecordId, hands: &Hands<'_>) -> Judged {
        let user = self.primary_user(row).filter(|user| self.has_record(user, to));
        let settled = self.settled();
        let was_theirs = hands.again && settled.as_ref().is_some_and(|settled| settled.as_ref() == Some(to));
        if hands.primary != Some(to) || (user.is_none() && !was_theirs) {
            return Err(NotAllowed::NotThePrimaryUser);
        }
        if self.is_barred(user.as_ref(), to) {
            return Err(NotAllowed::BarredUser);
        }
        if hands.again || self.config.sync.assignment == Assignment::Enforce {
            return Ok(());
        }
        match settled {
            Some(Some(settled)) if settled == *to => Err(NotAllowed::SamePrimaryUser),
            None if self.config.sync.first_assignment == FirstAssignment::Keep && hands.from.is_some() => {
                Err(NotAllowed::KeepsTheHolder)
            }
            _ => Ok(()),
        }
    }

    fn takes_back(&self, row: &DeviceRow, hands: &Hands<'_>) -> Judged {
        let sync = &self.config.sync;
        let is_gone = row.missing.is_some() || row.entry.removed;
        if is_gone && sync.when_gone == WhenGone::CheckIn {
            return Ok(());
        }
        if !sync.auto_checkout {
            return Err(NotAllowed::NoAutoCheckout);
        }
        let of_before = hands.again || self.settled().flatten().as_ref() == hands.from;
        let allowed = match &row.entry.user {
            PrimaryUser::Nobody => of_before || sync.assignment == Assignment::Enforce,
            PrimaryUser::Person { .. } => of_before && self.has_barred_user(row),
            PrimaryUser::Unusable { .. } => false,
        };
        if allowed { Ok(()) } else { Err(NotAllowed::NoCheckIn) }
    }

    /// What the last assignment settled; none where there was none.
    #[expect(clippy::option_option, reason = "settled with nobody is something else than not settled")]
    fn settled(&self) -> Option<Option<RecordId>> {
        self.view.memory(&self.change.key).settled.map(|settled| settled.primary)
    }

    fn primary_user(&self, row: &DeviceRow) -> Option<UserEntry> {
        let PrimaryUser::Person { key } = &row.entry.user else { return None };
        self.view.user(key).map(|row| row.entry)
    }

    fn has_record(&self, user: &UserEntry, record: &RecordId) -> bool {
        user.ids.iter().any(|id| self.view.user_link(id).is_some_and(|link| link.record == *record))
    }

    /// Whether the primary user may not have the asset, so that it is taken from whom it was with before.
    fn has_barred_user(&self, row: &DeviceRow) -> bool {
        let Some(user) = self.primary_user(row) else { return false };
        let links = user.ids.iter().filter_map(|id| self.view.user_link(id));
        links.into_iter().any(|link| self.is_barred(Some(&user), &link.record))
    }

    fn is_barred(&self, user: Option<&UserEntry>, record: &RecordId) -> bool {
        let listed = |email: Option<&str>| {
            email.and_then(email_key).is_some_and(|email| self.config.sync.no_checkout_users.contains(&email))
        };
        let record = self.view.record(record).and_then(|row| row.record.email);
        user.is_some_and(|user| user.archived || listed(user.email.as_deref())) || listed(record.as_deref())
    }
}
