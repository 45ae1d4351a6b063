//! User records that are created and looked for.

use amfj_sync_amfj::client::{NewUser, Page};
use amfj_sync_amfj::profile::Op;
use amfj_sync_http::CallError;
use amfj_sync_model::amfj::UserRecord;
use amfj_sync_model::names::{NameKey, email_key};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::IntentRow;

use super::resembling::name_resembles;
use super::{Creatable, Walks};
use crate::answers::unescaped;
use crate::context::IntegrationContext;

fn email_of(email: Option<&str>) -> Option<String> {
    email.and_then(|email| email_key(&unescaped(email)))
}

impl Creatable for NewUser {
    type Record = UserRecord;

    const WHAT: &'static str = "user record";
    const LIST: &'static str = "list users";

    async fn create(&self, context: &IntegrationContext) -> Result<UserRecord, CallError> {
        context.client.create_user(self).await
    }

    fn id(found: &UserRecord) -> &str {
        found.id.as_str()
    }

    /// There is no search by name, and not everywhere one by email.
    async fn search(&self, context: &IntegrationContext) -> Result<Option<Vec<UserRecord>>, CallError> {
        match &self.email {
            Some(email) if context.client.can(Op::FindUsersByEmail) => {
                context.client.find_users_by_email(email).await.map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Where no record can be asked for by its id, nor by its email, the walk has the word.
    async fn again(
        context: &IntegrationContext,
        found: &UserRecord,
    ) -> Result<Option<UserRecord>, CallError> {
        if context.client.can(Op::ReadUser) {
            return context.client.user(&found.id).await;
        }
        match &found.email {
            Some(email) if context.client.can(Op::FindUsersByEmail) => {
                let all = context.client.find_users_by_email(email).await?;
                Ok(all.into_iter().find(|record| record.id == found.id))
            }
            _ => Ok(Some(found.clone())),
        }
    }

    async fn page(
        context: &IntegrationContext,
        cursor: Option<String>,
    ) -> Result<Page<UserRecord>, CallError> {
        context.client.users_page(cursor.as_deref()).await
    }

    fn walks(context: &IntegrationContext) -> &Walks<UserRecord> {
        &context.record_walks
    }

    fn expected(view: &Projection) -> (u64, u64) {
        let counts = view.meta().in_force.as_ref().and_then(|run| run.counts).unwrap_or_default();
        let (mut links, mut known) = (0, 0);
        view.each_user_link(&mut |_, _| {
            links += 1;
            true
        });
        view.each_record_id(&mut |_| {
            known += 1;
            true
        });
        (counts.users.saturating_sub(links), counts.records.max(known))
    }

    fn is_unknown(_context: &IntegrationContext, view: &Projection, found: &UserRecord) -> bool {
        view.record(&found.id).is_none_or(|row| {
            NameKey::of(&row.record.name) != NameKey::of(&found.name)
                || email_of(row.record.email.as_deref()) != email_of(found.email.as_deref())
        })
    }

    fn is_namesake(&self, _context: &IntegrationContext, found: &UserRecord) -> bool {
        match (email_of(self.email.as_deref()), email_of(found.email.as_deref())) {
            (None, None) => NameKey::of(&found.name) == NameKey::of(&self.name),
            (sent, held) => sent == held,
        }
    }

    fn is_young_and_free(context: &IntegrationContext, found: &UserRecord, first: &IntentRow) -> bool {
        context.state.read(|view| {
            let before = view.record(&found.id).is_some_and(|row| row.age.offset < first.offset);
            !before && view.linked_users(&found.id).is_empty()
        })
    }

    fn holds_what_was_sent(&self, found: &UserRecord) -> bool {
        NameKey::of(&found.name) == NameKey::of(&self.name)
            && email_of(found.email.as_deref()) == email_of(self.email.as_deref())
    }

    /// A record with another email is another person's, unless that is a beginning of theirs.
    fn resembles(&self, _context: &IntegrationContext, found: &UserRecord) -> bool {
        match (email_of(self.email.as_deref()), email_of(found.email.as_deref())) {
            (Some(sent), Some(held)) => name_resembles(&sent, &held),
            _ => name_resembles(&self.name, &found.name),
        }
    }
}
