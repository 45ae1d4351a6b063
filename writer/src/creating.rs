//! Creating assets and user records exactly once, although AMFJ promises nothing about repeats.
//!
//! A creation whose outcome is unknown is never sent again blindly: AMFJ is searched for a record with
//! the values that were sent, younger than the first attempt and claimed by nothing else. One hit is
//! adopted. None: the list delay is waited out, then searched again, and only then it is sent again.
//! Several are left to a person.

use amfj_sync_shared::amfj::client::{NewAsset, NewUser};
use amfj_sync_shared::amfj::{Asset, UserRecord};
use amfj_sync_shared::http::CallError;
use amfj_sync_shared::names::{NameKey, email_key};
use amfj_sync_shared::state::rows::IntentRow;
use jiff::SignedDuration;
use serde_json::Value;

use crate::events;
use crate::requests::{Kind, Requests, Trouble};
use crate::site::Site;

/// How far AMFJ's clock may be behind the writer's before its own record looks too old.
const CLOCK_TOLERANCE: SignedDuration = SignedDuration::from_mins(10);

/// What a search for a possibly created record found.
enum Hit<T> {
    None,
    One(T),
    Several(usize),
}

fn hits<T>(mut found: Vec<T>) -> Hit<T> {
    match found.len() {
        0 => Hit::None,
        1 => found.pop().map_or(Hit::None, Hit::One),
        several => Hit::Several(several),
    }
}

/// A record that can be created and looked for.
pub(crate) trait Creatable: Sync {
    type Record: Send;

    fn what(&self) -> &'static str;

    fn create(&self, site: &Site) -> impl Future<Output = Result<Self::Record, CallError>> + Send;

    fn search(&self, site: &Site) -> impl Future<Output = Result<Vec<Self::Record>, CallError>> + Send;

    /// Whether a record found may be the one that the first attempt created.
    fn may_be_ours(&self, site: &Site, found: &Self::Record, first_attempt: &IntentRow) -> bool;
}

/// Creates a record, or finds the one that an earlier attempt created.
pub(crate) async fn create<C: Creatable>(
    site: &Site,
    requests: &mut Requests<'_>,
    wanted: &C,
    first_attempt: &IntentRow,
    tried_before: bool,
) -> Result<C::Record, Trouble> {
    let mut unknown = tried_before;
    loop {
        if unknown {
            for round in 0..2 {
                if round == 1 {
                    requests.wait(site.integration.amfj.list_delay).await?;
                }
                let found = requests.send(Kind::Read, || wanted.search(site)).await?;
                let ours =
                    found.into_iter().filter(|hit| wanted.may_be_ours(site, hit, first_attempt)).collect();
                match hits(ours) {
                    Hit::One(record) => {
                        events::adopted(&site.integration.id, wanted.what());
                        return Ok(record);
                    }
                    Hit::None => {}
                    Hit::Several(count) => {
                        let what = wanted.what();
                        let reason = format!(
                            "a creation was interrupted, and {count} new {what}s look like it; keep one, link it by \
                             hand, and delete the others"
                        );
                        return Err(Trouble::Fail { reason, field: None });
                    }
                }
            }
        }
        match requests.send(Kind::Creation, || wanted.create(site)).await {
            Err(Trouble::Unknown) => unknown = true,
            answer => return answer,
        }
    }
}

/// Whether AMFJ's value is the one that was sent, however it spells it.
fn same_value(sent: &Value, held: Option<&Value>) -> bool {
    let comparable = |value: &Value| match value {
        Value::String(text) => NameKey::of(text).map(|key| key.as_str().to_owned()).unwrap_or_default(),
        Value::Number(number) => number.as_f64().map(|number| number.to_string()).unwrap_or_default(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    comparable(sent) == held.map(comparable).unwrap_or_default()
}

impl Creatable for NewAsset {
    type Record = Asset;

    fn what(&self) -> &'static str {
        "asset"
    }

    async fn create(&self, site: &Site) -> Result<Asset, CallError> {
        site.client.create_asset(self).await
    }

    async fn search(&self, site: &Site) -> Result<Vec<Asset>, CallError> {
        site.client.find_assets_by_name(&self.name).await
    }

    fn may_be_ours(&self, site: &Site, found: &Asset, first_attempt: &IntentRow) -> bool {
        let young = found
            .created_at
            .is_none_or(|created| first_attempt.intent.at.duration_since(created) <= CLOCK_TOLERANCE);
        let (known_before, claimed) = site.state.read(|view| {
            let before = view.asset(&found.id).is_some_and(|row| row.age.offset < first_attempt.offset);
            let claimed = view.linked_device(&found.id).is_some()
                || view
                    .claims(&format!("asset/{}", found.id))
                    .iter()
                    .any(|row| row.intent.change != first_attempt.intent.change);
            (before, claimed)
        });
        let claimed = claimed
            || site.siblings.iter().any(|other| other.read(|view| view.linked_device(&found.id).is_some()));
        young
            && !known_before
            && !claimed
            && found.asset_type.id == self.asset_type_id
            && NameKey::of(&found.name) == NameKey::of(&self.name)
            && self.fields.iter().all(|(field, sent)| same_value(sent, found.fields.get(field)))
    }
}

impl Creatable for NewUser {
    type Record = UserRecord;

    fn what(&self) -> &'static str {
        "user record"
    }

    async fn create(&self, site: &Site) -> Result<UserRecord, CallError> {
        site.client.create_user(self).await
    }

    /// By email where there is one, else through the whole list: the contract has no search by name.
    async fn search(&self, site: &Site) -> Result<Vec<UserRecord>, CallError> {
        if let Some(email) = &self.email {
            return site.client.find_users_by_email(email).await;
        }
        let mut found = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let page = site.client.users_page(cursor.as_deref()).await?;
            found.extend(page.results);
            match page.next {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(found),
            }
        }
    }

    fn may_be_ours(&self, site: &Site, found: &UserRecord, first_attempt: &IntentRow) -> bool {
        let (known_before, claimed) = site.state.read(|view| {
            let before = view.record(&found.id).is_some_and(|row| row.age.offset < first_attempt.offset);
            (before, !view.linked_users(&found.id).is_empty())
        });
        !known_before
            && !claimed
            && NameKey::of(&found.name) == NameKey::of(&self.name)
            && found.email.as_deref().and_then(email_key) == self.email.as_deref().and_then(email_key)
    }
}
