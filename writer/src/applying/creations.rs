//! Creating what AMFJ does not have (P7, P11, P12).

use std::collections::BTreeMap;

use amfj_sync_amfj::client::{NewAsset, NewUser};
use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::messages::{Action, Edit, LinkOutcome, Outcome, Rule, UserLinkOutcome};
use amfj_sync_projection::rows::IntentRow;
use serde_json::Value;

use super::Applying;
use crate::creating::{Creatable, Created, Creation, Looked, looking};
use crate::outcomes::{With, stale};
use crate::requests::Trouble;
use crate::updating::{Fields, Refused};

type Edits = BTreeMap<String, Edit>;

fn first_value(new: impl Into<Value>) -> Edit {
    Edit { old: Value::Null, new: new.into() }
}

fn first_values(fields: &BTreeMap<String, Value>) -> Edits {
    fields.iter().map(|(field, value)| (field.clone(), first_value(value.clone()))).collect()
}

impl Applying<'_> {
    pub(super) async fn create_asset(
        &mut self,
        mut asset: NewAsset,
        first: &IntentRow,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let mut refused = Refused::default();
        match self.create(&mut asset, first, tried_before, &mut refused).await? {
            Created::Made(made) => Ok(self.asset_made(&asset, made, refused)),
            Created::Found { record, doubtful } => Ok(self.asset_found(*record, doubtful)),
            Created::NotShown => Ok(self.not_shown()),
        }
    }

    /// What AMFJ has already in place of the asset that is to be created.
    pub(super) async fn asset_in_the_way(&mut self, asset: &NewAsset) -> Result<Option<Outcome>, Trouble> {
        let found = looking::look(&mut self.looked, self.context, &mut self.requests, asset).await?;
        Ok(found.map(|record| self.asset_found(record, false)))
    }

    /// What AMFJ has already in place of the user record that is to be created.
    pub(super) async fn user_in_the_way(&mut self, user: &NewUser) -> Result<Option<Outcome>, Trouble> {
        let found = looking::look(&mut self.looked, self.context, &mut self.requests, user).await?;
        Ok(found.map(|record| self.user_found(record, false)))
    }

    fn asset_found(&self, record: Asset, doubtful: bool) -> Outcome {
        let what = format!("asset \"{}\" ({})", record.name, record.id);
        self.found(doubtful, &what).with_asset(record)
    }

    fn user_found(&self, record: UserRecord, doubtful: bool) -> Outcome {
        let mut outcome = self.found(doubtful, &format!("user record \"{}\" ({})", record.name, record.id));
        outcome.record = Some(record);
        outcome
    }

    fn asset_made(&self, asset: &NewAsset, made: Asset, mut refused: Refused) -> Outcome {
        let mut sent = first_values(&asset.fields);
        sent.insert(Outcome::NAME.to_owned(), first_value(asset.name.clone()));
        if let (Some(_), Action::CreateAsset { location: Some(location), .. }) =
            (&asset.location_id, &self.change.action)
        {
            sent.insert(Outcome::LOCATION.to_owned(), first_value(location.name.clone()));
        }
        let outcome = self.created_with(sent, &mut refused, |field| Outcome::shown_by_asset(&made, field));
        let link = LinkOutcome::Linked { asset: made.id.clone(), rule: Rule::Created, takes_over: None };
        let mut outcome = outcome.with_link(link);
        outcome.refused = refused.fields;
        outcome.with_asset(made)
    }

    pub(super) async fn create_user(
        &mut self,
        mut user: NewUser,
        first: &IntentRow,
        tried_before: bool,
    ) -> Result<Outcome, Trouble> {
        let Action::CreateUser { ids, .. } = &self.change.action else {
            return Err(Trouble::Requeue);
        };
        let mut refused = Refused::default();
        match self.create(&mut user, first, tried_before, &mut refused).await? {
            Created::Made(made) => {
                let link = UserLinkOutcome { record: made.id.clone(), rule: Rule::Created, ids: ids.clone() };
                Ok(self.record_made(&user, made, refused).with_user_link(link))
            }
            Created::Found { record, doubtful } => Ok(self.user_found(*record, doubtful)),
            Created::NotShown => Ok(self.not_shown()),
        }
    }

    fn record_made(&self, user: &NewUser, made: UserRecord, mut refused: Refused) -> Outcome {
        let mut sent = first_values(&user.fields);
        sent.insert(Outcome::NAME.to_owned(), first_value(user.name.clone()));
        sent.insert(Outcome::EMAIL.to_owned(), first_value(user.email.clone()));
        let mut outcome =
            self.created_with(sent, &mut refused, |field| Outcome::shown_by_record(&made, field));
        outcome.refused = refused.fields;
        outcome.record = Some(made);
        outcome
    }

    /// Creates it without the fields that AMFJ refuses.
    async fn create<C: Creatable + Fields>(
        &mut self,
        wanted: &mut C,
        first: &IntentRow,
        tried_before: bool,
        refused: &mut Refused,
    ) -> Result<Created<C::Record>, Trouble> {
        let mut creation = Creation::new(first, tried_before, self.looked);
        loop {
            match creation.make(self.context, &mut self.requests, wanted).await {
                Err(Trouble::Fail { reason, field: Some(field) }) => {
                    if !refused.leave_out(wanted, &field, &reason) {
                        self.requests.refused(&reason).await?;
                    }
                }
                answer => return answer,
            }
            creation.looked = Looked::Already;
        }
    }

    /// Nothing is created beside what AMFJ has and the view does not know.
    fn found(&self, doubtful: bool, what: &str) -> Outcome {
        let reason = if doubtful {
            format!(
                "a creation was interrupted, and {what} may have come of it, although it does not hold all that \
                 was sent: nothing is created again beside it; link it by hand, or delete it in AMFJ"
            )
        } else {
            format!("AMFJ has {what} by now, which was not known: it is decided anew with that")
        };
        let mut outcome = stale(self.event, self.change, reason);
        outcome.doubtful = doubtful;
        outcome
    }

    fn not_shown(&self) -> Outcome {
        let why = "AMFJ said that it was created, and does not show it; the next run decides";
        stale(self.event, self.change, why)
    }
}
