//! Several integrations of one AMFJ site: they make no second link to an asset (P4) and no second record of a
//! person or device (P7, P11).
//!
//! Each says in its own stream what it claims, and then reads the streams of the others to their ends: of two
//! that begin at the same time at least one sees the other. Who sees a claim waits until it is closed. Where
//! both see each other, the one with the larger id says that it waits, and the smaller goes first.

use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{Key, UserKey};
use amfj_sync_model::messages::{Action, Outcome};
use amfj_sync_model::names::{NameKey, email_key, serial_in};
use amfj_sync_service::worker::serial_field;
use amfj_sync_stream::StateHandle;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Applying, LeaseLost};
use crate::claims::{Claim, LOOK_EVERY, is_lost};
use crate::creating::Looked;
use crate::outcomes::stale;

/// A claim of another integration on something that this change is about.
#[derive(Debug, Clone)]
struct Theirs {
    sibling: StateHandle,
    key: Key,
    /// Whether it goes before ours whatever it knows of us.
    goes_first: bool,
    /// Whether it lets us go first.
    waits: bool,
}

/// What became of those who may go first.
#[derive(Debug)]
enum Course {
    /// There is none, or none any more.
    Clear,
    /// These were waited for.
    Waited(Vec<Theirs>),
    /// It takes too long.
    Busy,
}

impl Applying<'_> {
    /// What integrations of one site exclude each other by, besides the asset.
    pub(super) fn shared_subjects(&self) -> Vec<String> {
        if self.context.siblings.is_empty() {
            return Vec::new();
        }
        match &self.change.action {
            Action::CreateUser { name, email, .. } => {
                let email = email.as_deref().and_then(email_key).map(|email| format!("email/{email}"));
                let name = || NameKey::of(name).map(|name| format!("name/{}", name.as_str()));
                email.or_else(name).into_iter().collect()
            }
            Action::CreateAsset { fields, .. } => {
                let serial = serial_field(&self.context.integration).and_then(|field| fields.get(field));
                let serial = serial.and_then(serial_in);
                serial.map(|serial| format!("serial/{serial}")).into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    /// Waits until no other integration of the site is at what this change is about. An outcome where nothing
    /// is to be sent then.
    pub(super) async fn let_siblings_go_first(
        &mut self,
        claim: &Claim,
    ) -> Result<Option<Outcome>, LeaseLost> {
        let mut subjects = claim.subjects.clone();
        if let Action::LinkAsset { asset, .. } = &self.change.action {
            subjects.push(format!("asset/{asset}"));
        }
        if subjects.is_empty() || self.context.siblings.is_empty() {
            return Ok(None);
        }
        let began = Instant::now();
        let mut waited_for = Vec::new();
        loop {
            for sibling in &self.context.siblings {
                sibling.read_to_end().await?;
            }
            match self.wait_for_siblings(claim, &subjects, began).await? {
                Course::Clear => break,
                // What they have done since is not in AMFJ's lists yet, perhaps.
                Course::Waited(theirs) => {
                    self.looked = Looked::NotYetAndNow;
                    waited_for.extend(theirs);
                }
                Course::Busy => {
                    let why = "another integration of this AMFJ site is at the same; the next run decides";
                    return Ok(Some(stale(self.event, self.change, why)));
                }
            }
        }
        Ok(self.made_by_siblings(&waited_for))
    }

    /// What another integration has for the same person or device, and this one does not know.
    fn made_by_siblings(&self, waited_for: &[Theirs]) -> Option<Outcome> {
        let mut outcome = stale(
            self.event,
            self.change,
            "another integration of this AMFJ site has made it meanwhile: it is decided anew with that",
        );
        match &self.change.action {
            Action::CreateUser { name, email, .. } => {
                let made = waited_for.iter().filter_map(|theirs| record_of(&theirs.sibling, &theirs.key));
                let email = email.as_deref().and_then(email_key);
                let known = email.as_ref().and_then(|email| UserKey::new(email.as_str()).ok());
                let known = known.map(Key::User).into_iter().flat_map(|key| {
                    self.context.siblings.iter().filter_map(move |sibling| record_of(sibling, &key))
                });
                let email_of = |record: &UserRecord| record.email.as_deref().and_then(email_key);
                let same = |record: &UserRecord| match &email {
                    Some(email) => email_of(record).as_ref() == Some(email),
                    None => NameKey::of(&record.name) == NameKey::of(name),
                };
                let unknown = |record: &UserRecord| {
                    let row = self.context.state.read(|view| view.record(&record.id));
                    row.is_none_or(|row| !same(&row.record))
                };
                outcome.record = Some(made.chain(known).filter(same).find(unknown)?);
            }
            Action::CreateAsset { fields, .. } => {
                let made = waited_for.iter().filter_map(|theirs| asset_of(&theirs.sibling, &theirs.key));
                // One that was done before this looked has nothing to wait for, and its asset may not be listed yet.
                let serial = serial_field(&self.context.integration).and_then(|field| fields.get(field));
                let known = serial.and_then(serial_in).into_iter().flat_map(|serial| {
                    let of =
                        move |sibling: &StateHandle| sibling.read(|view| view.assets_with_serial(&serial));
                    self.context.siblings.iter().flat_map(of).map(|row| row.asset)
                });
                let unknown = |asset: &Asset| self.context.state.read(|view| view.asset(&asset.id).is_none());
                outcome.asset = Some(made.chain(known).find(unknown)?);
            }
            _ => return None,
        }
        Some(outcome)
    }

    /// Waits once for whoever may go first.
    async fn wait_for_siblings(
        &mut self,
        claim: &Claim,
        subjects: &[String],
        began: Instant,
    ) -> Result<Course, LeaseLost> {
        let goes_before = |theirs: &Theirs| theirs.goes_first || !theirs.waits;
        let in_the_way = |theirs: Vec<Theirs>| theirs.into_iter().filter(goes_before).collect::<Vec<_>>();
        let seen = in_the_way(self.claims_of_siblings(subjects)?);
        if seen.is_empty() {
            return Ok(Course::Clear);
        }
        let mut said = false;
        loop {
            let theirs = in_the_way(self.claims_of_siblings(subjects)?);
            if theirs.is_empty() {
                break;
            }
            if !said && theirs.iter().any(|theirs| theirs.goes_first) {
                said = true;
                let waiting = Claim { waits: true, ..claim.clone() };
                waiting.publish(self.context, self.event).await?;
            }
            if began.elapsed() >= self.context.settling_time() {
                return Ok(Course::Busy);
            }
            let look = tokio::time::sleep(LOOK_EVERY);
            self.requests.wait_for(look).await.map_err(|_| LeaseLost)?;
        }
        if said {
            claim.publish(self.context, self.event).await?;
        }
        Ok(Course::Waited(seen))
    }

    /// A claim that cannot be read does not count as none: the change goes back to the queue, and the state is built anew.
    fn claims_of_siblings(&self, subjects: &[String]) -> Result<Vec<Theirs>, LeaseLost> {
        let now = Timestamp::now();
        let mut theirs = Vec::new();
        for sibling in &self.context.siblings {
            let goes_first = sibling.integration() < &self.context.integration.id;
            let read = sibling.try_read(|view| {
                for row in subjects.iter().flat_map(|subject| view.claims(subject)) {
                    if !is_lost(row.intent.at, now) {
                        let (sibling, key, waits) = (sibling.clone(), row.intent.key, row.intent.waits);
                        theirs.push(Theirs { sibling, key, goes_first, waits });
                    }
                }
            });
            read.map_err(|_| LeaseLost)?;
        }
        Ok(theirs)
    }
}

/// The record that an integration has linked a person to.
fn record_of(sibling: &StateHandle, key: &Key) -> Option<UserRecord> {
    let Key::User(key) = key else { return None };
    sibling.read(|view| {
        let ids = view.user(key)?.entry.ids;
        let link = ids.iter().find_map(|id| view.user_link(id))?;
        view.record(&link.record).map(|row| row.record)
    })
}

/// The asset that an integration has linked a device to.
fn asset_of(sibling: &StateHandle, key: &Key) -> Option<Asset> {
    let Key::Device(device) = key else { return None };
    sibling.read(|view| view.asset(&view.link(device)?.asset).map(|row| row.asset))
}
