//! Check-out and check-in. Nobody loses an asset to a check-out: where the interface takes it from whoever has it, it is read first, and left
//! alone where somebody else has it.

use amfj_sync_http::CallError;
use amfj_sync_model::amfj::{Asset, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::names::email_key;
use serde_json::{Value, json};

use super::kept::Of;
use super::writing::{Before, ROUNDS};
use super::{called, invalid, not_it};
use crate::client::{AmfjClient, Assigned};
use crate::profile::types::Update;
use crate::profile::{Names, Op};

impl AmfjClient {
    /// Checks an asset out, or in where there is no user.
    pub(crate) async fn assign(
        &self,
        id: &AssetId,
        user: Option<&RecordId>,
        note: Option<&str>,
    ) -> Result<Assigned, CallError> {
        let op = if user.is_some() { Op::CheckOut } else { Op::CheckIn };
        let operation = self.operation(op)?;
        let by_holder = operation.update == Update::Holder;
        let by_email = self.profile().asset.holder.as_ref().is_some_and(|holder| holder.email.is_some());
        let needs_user = user.is_some()
            && (operation.looks_up("user.email") || operation.looks_up("user.name") || by_holder && by_email);
        let person = match user.filter(|_| needs_user) {
            Some(user) => Some(self.person(op, user).await?),
            None => None,
        };
        if let (Some(person), Some(user)) = (&person, user) {
            // What the answer shows is understood by it.
            self.learn(person.email.as_deref(), user);
        }
        let takes_over = user.is_some() && (operation.takes_over || by_holder);
        let reads = takes_over || operation.if_match || operation.looks_up("record");
        let writes = if by_holder { Op::UpdateAsset } else { op };
        let mut round = 0;
        loop {
            round += 1;
            // Whoever called has waited for one request alone.
            if reads && (person.is_some() || round > 1) {
                self.wait_further().await;
            }
            let before =
                if reads { Some(self.before(&self.side(Of::Assets), op, id.as_str()).await?) } else { None };
            if let Some(before) = before.as_ref().filter(|_| takes_over)
                && let Some(conflict) = self.taken(op, id, before).await?
            {
                return Ok(conflict);
            }
            let answer = if by_holder {
                self.write_holder(op, id, (user, person.as_ref()), before).await
            } else {
                self.act(op, id, (user, person.as_ref()), note, before).await
            };
            // Whoever has it by now is seen when it is read again.
            if reads && round < ROUNDS && self.changed_meanwhile(writes, &answer)? {
                continue;
            }
            return match answer {
                Ok(asset) => Ok(Assigned::Done(Box::new(asset))),
                Err(error) if error.is_conflict() => Ok(Assigned::Conflict { reason: error.to_string() }),
                Err(error) => Err(error),
            };
        }
    }

    /// Whether somebody has it, or may have.
    async fn taken(&self, op: Op, id: &AssetId, before: &Before) -> Result<Option<Assigned>, CallError> {
        let definitions = self.asset_definitions().await.map_err(|error| error.before(&called(op)))?;
        let understood = self.understood::<Asset>(op, &before.value, id.as_str(), &definitions).await;
        let (asset, _) = understood.map_err(|error| error.before(&called(op)))?;
        Ok(asset.checked_out_to.map(|holder| Assigned::Conflict {
            reason: format!("AMFJ, check out: {} has the asset", holder.name),
        }))
    }

    async fn act(
        &self,
        op: Op,
        id: &AssetId,
        (user, person): (Option<&RecordId>, Option<&UserRecord>),
        note: Option<&str>,
        before: Option<Before>,
    ) -> Result<Asset, CallError> {
        let definitions = self.asset_definitions().await.map_err(|error| error.before(&called(op)))?;
        let operation = self.operation(op)?;
        let mut names = Names::new();
        names.insert("id".to_owned(), self.id_value(id.as_str()));
        names.insert("note".to_owned(), json!(note));
        if let Some(user) = user {
            let email = person.and_then(|person| person.email.clone());
            let name = person.map(|person| person.name.clone());
            names.insert(
                "user".to_owned(),
                json!({"id": self.id_value(user.as_str()), "email": email, "name": name}),
            );
        }
        let is_further = before.is_some() || person.is_some();
        let (record, etag) = before.map_or((Value::Null, None), |before| (before.value, before.etag));
        names.insert("record".to_owned(), record);
        let mut call = self.request(op, &names)?;
        if let Some(etag) = etag.filter(|_| operation.if_match) {
            call = call.header("If-Match", etag);
        }
        let sent = if is_further { self.send_further(call).await? } else { self.send(call).await? };
        let answer = self.judged(op, sent)?;
        self.shown::<Asset>(op, answer, Some(id.as_str()), &definitions).await
    }

    /// The holder is a member like any other. What was read to see that nobody has the asset is what is written over, so that an
    /// interface that compares does so with that.
    async fn write_holder(
        &self,
        op: Op,
        id: &AssetId,
        (user, person): (Option<&RecordId>, Option<&UserRecord>),
        before: Option<Before>,
    ) -> Result<Asset, CallError> {
        let profile = self.profile();
        let Some(pointer) = &profile.asset.write.holder else {
            return Err(invalid(op, "the profile does not say where the holder is written"));
        };
        let by_email = profile.asset.holder.as_ref().is_some_and(|holder| holder.email.is_some());
        let value = match (user, person) {
            (Some(_), Some(person)) if by_email => person.email.clone().map(Value::String),
            (Some(user), _) => Some(self.id_value(user.as_str())),
            (None, _) => self.nobody(),
        };
        let members = vec![(pointer, value)];
        if before.is_none() {
            let nothing = std::collections::BTreeMap::new();
            return self.update::<Asset>(Op::UpdateAsset, id.as_str(), members, &nothing).await;
        }
        let definitions = self.asset_definitions().await.map_err(|error| error.before(&called(op)))?;
        self.update_once::<Asset>(Op::UpdateAsset, id.as_str(), (&members, &[]), &definitions, before).await
    }

    /// What is written for nobody, where that is more than nothing.
    pub(super) fn nobody(&self) -> Option<Value> {
        let nobody = self.profile().asset.holder.as_ref()?.nobody.as_ref()?;
        Some(self.id_value(nobody))
    }

    /// The user record of this id, with an email where the interface tells people by that.
    async fn person(&self, op: Op, user: &RecordId) -> Result<UserRecord, CallError> {
        let found = self.user_by_id(user).await.map_err(|error| error.before(&called(op)))?;
        let Some(person) = found else {
            return Err(not_it(op.label(), "no user record of this id").before(&called(op)));
        };
        let by_email =
            self.operation(op)?.looks_up("user.email") || self.operation(op)?.update == Update::Holder;
        if by_email && person.email.as_deref().and_then(email_key).is_none() {
            return Err(invalid(
                op,
                "the user record shows no email, and the interface tells people by their email",
            ));
        }
        Ok(person)
    }

    async fn user_by_id(&self, user: &RecordId) -> Result<Option<UserRecord>, CallError> {
        if self.profile().has(Op::ReadUser) {
            return self.user(user).await;
        }
        let mut found = None;
        self.each_user(&mut |record| {
            let is_it = record.id == *user;
            if is_it {
                found = Some(record);
            }
            !is_it
        })
        .await?;
        Ok(found)
    }
}
