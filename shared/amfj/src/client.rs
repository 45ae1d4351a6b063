//! The client of Asset Management for Jira: operations and records, and what may have happened.
//!
//! # What this rests on
//!
//! **AMFJ publishes no documentation of a REST interface.** What its interface looks like stands in a [`Profile`]; the one that is
//! built in, `assumed-v1`, is this project's own assumption, chosen to ask as little of the server as possible. The rest of this
//! crate interprets it, and nothing outside knows the wire.
//!
//! **Nothing protects against repeats**: no idempotency key, no unique name or email. A `POST` whose answer was lost may have
//! happened. So no method repeats a write. Each says through [`CallError`] whether the write may have happened, and the caller
//! decides. What has to be read before a write is, and a failure of that says that nothing was written. Walking a list is the
//! exception, since reading twice does no harm.

use std::sync::Arc;
use std::time::Duration;

use amfj_sync_backoff::{Policy, Stopped};
use amfj_sync_config::{AmfjConfig, Token};
use amfj_sync_http::{Api, CallError, Credentials, Limiter, OAuth, Responder, SetupError};
use amfj_sync_model::amfj::{Asset, AssetType, Field, Named, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::Unusable;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use super::lenient::Page;
use crate::profile::{self, Names, Op, Profile};
use crate::wire::answers::Refusals;
use crate::wire::definitions::Cache;
use crate::wire::{Plain, names};

pub(crate) mod answers;
mod requests;

use answers::{asset_shows, user_shows, written};
pub use requests::{AssetPatch, NewAsset, NewUser, UserPatch};

/// The pause after a 429 that does not say how long.
pub(crate) const UNSTATED_PAUSE: Duration = Duration::from_secs(1);

/// What became of a check-out or check-in.
#[derive(Debug, Clone, PartialEq)]
pub enum Assigned {
    /// Done; this is the asset now.
    Done(Box<Asset>),
    /// 409: at a check-out somebody has it, at a check-in nobody has it. Read the asset to see who.
    Conflict {
        /// What AMFJ said.
        reason: String,
    },
}

/// A client for one AMFJ site. Clones share connections, limiter, and what was read of the interface.
#[derive(Clone)]
pub struct AmfjClient {
    shared: Arc<Shared>,
    limited_by_caller: bool,
}

struct Shared {
    api: Api,
    profile: Arc<Profile>,
    plain: Plain,
    limiter: Limiter,
    cache: Cache,
}

impl std::fmt::Debug for AmfjClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AmfjClient")
            .field("api", &self.shared.api)
            .field("profile", &self.shared.profile.name)
            .finish_non_exhaustive()
    }
}

/// What a client is built of.
struct Parts {
    base: Url,
    token: Token,
    timeout: Duration,
    client_id: Option<String>,
    token_url: Option<Url>,
    responder: Option<Box<Responder>>,
}

impl AmfjClient {
    /// The service as its calls show it: how it answers, and the token in use.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.shared.api
    }

    /// What the interface looks like.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        &self.shared.profile
    }

    /// Whether the interface has this operation.
    #[must_use]
    pub fn can(&self, op: Op) -> bool {
        self.profile().has(op)
    }

    pub(crate) fn plain(&self) -> Plain {
        self.shared.plain
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.shared.cache
    }

    pub(crate) fn is_limited_by_caller(&self) -> bool {
        self.limited_by_caller
    }

    /// A client for the site at `base` (with `/v1` and the like), under the contract as assumed. One
    /// call may take `timeout`; the limiter spaces the calls and carries out the pauses AMFJ asks for.
    pub fn new(
        base: Url,
        token: SecretString,
        timeout: Duration,
        limiter: Limiter,
    ) -> Result<Self, SetupError> {
        let profile = profile::assumed().map_err(|errors| SetupError::because("AMFJ", errors.to_string()))?;
        Self::with_profile(base, token, timeout, limiter, profile)
    }

    /// The same for an interface of another shape.
    pub fn with_profile(
        base: Url,
        token: SecretString,
        timeout: Duration,
        limiter: Limiter,
        profile: Arc<Profile>,
    ) -> Result<Self, SetupError> {
        let token = token.into();
        let parts = Parts { base, token, timeout, client_id: None, token_url: None, responder: None };
        Self::of(parts, limiter, profile)
    }

    /// A client as the configuration describes it.
    pub fn from_config(config: &AmfjConfig, limiter: Limiter) -> Result<Self, SetupError> {
        Self::configured(config, limiter, None)
    }

    /// A client of a site in this process, as the configuration describes it otherwise: so that the work
    /// around the requests can be measured without them.
    pub fn in_process(
        config: &AmfjConfig,
        limiter: Limiter,
        responder: Box<Responder>,
    ) -> Result<Self, SetupError> {
        Self::configured(config, limiter, Some(responder))
    }

    fn configured(
        config: &AmfjConfig,
        limiter: Limiter,
        responder: Option<Box<Responder>>,
    ) -> Result<Self, SetupError> {
        let profile = profile::load(&config.profile);
        let profile = profile.map_err(|errors| SetupError::because("AMFJ", errors.to_string()))?;
        let parts = Parts {
            base: config.api_url.clone(),
            token: token_of(config)?,
            timeout: config.request_timeout,
            client_id: config.client_id.clone(),
            token_url: config.token_url.clone(),
            responder,
        };
        Self::of(parts, limiter, profile)
    }

    fn of(parts: Parts, limiter: Limiter, profile: Arc<Profile>) -> Result<Self, SetupError> {
        let credentials = credentials(&parts, &profile)?;
        let Parts { base, timeout, responder, .. } = parts;
        let interpreter = Refusals::of(&profile, &limiter);
        let api = Api::interpreted("AMFJ", base, &credentials, timeout, responder, interpreter)?;
        let plain = Plain::of(&profile);
        let shared = Shared { api, profile, plain, limiter, cache: Cache::default() };
        Ok(Self { shared: Arc::new(shared), limited_by_caller: false })
    }

    /// The same client for a caller that waits for [`AmfjClient::limiter`] itself before each call, and
    /// so can give up waiting. Only further requests of a call, such as the pages of a search, still wait in here.
    #[must_use]
    pub fn limited_by_caller(self) -> Self {
        Self { limited_by_caller: true, ..self }
    }

    /// The limiter, to change its rate when writers come and go.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.shared.limiter
    }

    /// One page of the assets; `None` is the first.
    pub async fn assets_page(&self, cursor: Option<&str>) -> Result<Page<Asset>, CallError> {
        self.page(Op::ListAssets, &Names::new(), cursor).await
    }

    /// One page of the user records; `None` is the first.
    pub async fn users_page(&self, cursor: Option<&str>) -> Result<Page<UserRecord>, CallError> {
        self.page(Op::ListUsers, &Names::new(), cursor).await
    }

    /// All assets, page by page, each page tried again as the policy says. Returns their number.
    pub async fn all_assets(
        &self,
        policy: &Policy,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(Vec<Asset>) + Send),
    ) -> Result<u64, Stopped<CallError>> {
        self.walk(Op::ListAssets, policy, cancel, sink).await
    }

    /// All user records, page by page, each page tried again as the policy says. Returns their number.
    pub async fn all_users(
        &self,
        policy: &Policy,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(Vec<UserRecord>) + Send),
    ) -> Result<u64, Stopped<CallError>> {
        self.walk(Op::ListUsers, policy, cancel, sink).await
    }

    /// The assets of exactly this name. Where the interface has no such search ([`AmfjClient::can`]), the list is walked by whoever
    /// knows what else it is good for.
    pub async fn find_assets_by_name(&self, name: &str) -> Result<Vec<Asset>, CallError> {
        self.find(Op::FindAssetsByName, &names([("name", name)])).await
    }

    /// One asset; `None` if AMFJ itself says that there is none of this id (404 or 410 with JSON, P8).
    pub async fn asset(&self, id: &AssetId) -> Result<Option<Asset>, CallError> {
        Ok(self.asset_as_it_is(id).await?.map(|(asset, _)| asset))
    }

    /// The same, with what could not be read of it (P30).
    pub async fn asset_as_it_is(&self, id: &AssetId) -> Result<Option<(Asset, Vec<Unusable>)>, CallError> {
        match self.one::<Asset>(Op::ReadAsset, id.as_str()).await {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// One user record, where the interface has such a read; `None` if AMFJ itself says that there is none of this id.
    pub async fn user(&self, id: &RecordId) -> Result<Option<UserRecord>, CallError> {
        match self.one::<UserRecord>(Op::ReadUser, id.as_str()).await {
            Ok((record, _)) => Ok(Some(record)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an asset. Read [`CallError::may_have_happened`] before doing it again.
    pub async fn create_asset(&self, asset: &NewAsset) -> Result<Asset, CallError> {
        let op = Op::CreateAsset;
        let location = asset.location_id.as_deref();
        if self.plain().writes_assets {
            let call = self.call(op, &Names::new())?.json(asset);
            return written(self.send(call).await?, None, asset_shows());
        }
        let write = &self.profile().asset.write;
        let asset_type = self.id_value(&asset.asset_type_id);
        let type_name = if self.operation(op)?.looks_up("asset_type.name") {
            Some(self.name_of_type(op, &asset.asset_type_id).await?)
        } else {
            None
        };
        let location = location.map(|location| self.id_value(location));
        let names = Names::from_iter([
            ("name".to_owned(), json!(asset.name)),
            ("asset_type".to_owned(), json!({"id": asset_type, "name": type_name})),
            ("location".to_owned(), json!({"id": location})),
        ]);
        let members = [
            (&write.name, Some(Value::String(asset.name.clone()))),
            (&write.asset_type, Some(asset_type)),
            (&write.location, location),
        ];
        self.create(op, &names, placed(members), &asset.fields, Some(&asset.asset_type_id)).await
    }

    /// Changes what the patch names.
    pub async fn update_asset(&self, id: &AssetId, patch: &AssetPatch) -> Result<Asset, CallError> {
        let op = Op::UpdateAsset;
        if self.plain().writes_assets {
            let call = self.call(op, &names([("id", id.as_str())]))?.json(patch);
            return written(self.send(call).await?, Some(id.as_str()), asset_shows());
        }
        let write = &self.profile().asset.write;
        let location = patch.location_id.as_deref().map(|location| self.id_value(location));
        let members = [(&write.name, patch.name.clone().map(Value::String)), (&write.location, location)];
        self.update(op, id.as_str(), placed(members), &patch.fields).await
    }

    /// Checks an asset out to a user record.
    pub async fn check_out(
        &self,
        id: &AssetId,
        user: &RecordId,
        note: Option<&str>,
    ) -> Result<Assigned, CallError> {
        self.assign(id, Some(user), note).await
    }

    /// Checks an asset in from whoever has it.
    pub async fn check_in(&self, id: &AssetId, note: Option<&str>) -> Result<Assigned, CallError> {
        self.assign(id, None, note).await
    }

    /// The user records of exactly this email. Where the interface has no such search, see [`AmfjClient::find_assets_by_name`].
    pub async fn find_users_by_email(&self, email: &str) -> Result<Vec<UserRecord>, CallError> {
        self.find(Op::FindUsersByEmail, &names([("email", email)])).await
    }

    /// Creates a local user record. Read [`CallError::may_have_happened`] before doing it again.
    pub async fn create_user(&self, user: &NewUser) -> Result<UserRecord, CallError> {
        let op = Op::CreateUser;
        if self.plain().writes_users {
            let call = self.call(op, &Names::new())?.json(user);
            return written(self.send(call).await?, None, user_shows(!user.fields.is_empty()));
        }
        let write = &self.profile().user.write;
        let names = Names::from_iter([
            ("name".to_owned(), json!(user.name)),
            ("email".to_owned(), json!(user.email)),
        ]);
        let members = [
            (&write.name, Some(Value::String(user.name.clone()))),
            (&write.email, user.email.clone().map(Value::String)),
        ];
        self.create(op, &names, placed(members), &user.fields, None).await
    }

    /// Changes what the patch names. 403 may mean a Jira user, whom nobody but Jira may change.
    pub async fn update_user(&self, id: &RecordId, patch: &UserPatch) -> Result<UserRecord, CallError> {
        let op = Op::UpdateUser;
        if self.plain().writes_users {
            let call = self.call(op, &names([("id", id.as_str())]))?.json(patch);
            return written(self.send(call).await?, Some(id.as_str()), user_shows(!patch.fields.is_empty()));
        }
        let write = &self.profile().user.write;
        let members = [
            (&write.name, patch.name.clone().map(Value::String)),
            (&write.email, patch.email.clone().map(Value::String)),
        ];
        self.update(op, id.as_str(), placed(members), &patch.fields).await
    }

    /// The custom fields of user records.
    pub async fn user_fields(&self) -> Result<Page<Field>, CallError> {
        if !self.can(Op::ListUserFields) {
            return Ok(Page::empty());
        }
        Box::pin(self.read_user_fields()).await.map(|(page, _)| page)
    }

    /// The asset types with their custom fields.
    pub async fn asset_types(&self) -> Result<Page<AssetType>, CallError> {
        Box::pin(self.read_asset_types()).await.map(|(page, _)| page)
    }

    /// The locations; none where the interface has no list of them.
    pub async fn locations(&self) -> Result<Page<Named>, CallError> {
        if !self.can(Op::ListLocations) {
            return Ok(Page::empty());
        }
        Box::pin(self.read_locations()).await
    }

    /// A cheap read that says whether the service is well.
    pub async fn probe(&self) -> Result<(), CallError> {
        let op = if self.can(Op::Probe) { Op::Probe } else { Op::ListAssetTypes };
        self.is_answered(op).await
    }
}

/// What is written, and where; what the profile has no place for is not.
fn placed<const N: usize>(
    members: [(&Option<profile::Pointer>, Option<Value>); N],
) -> Vec<(&profile::Pointer, Option<Value>)> {
    let placed = members.into_iter().filter(|(_, value)| value.is_some());
    placed.filter_map(|(pointer, value)| Some((pointer.as_ref()?, value))).collect()
}

fn token_of(config: &AmfjConfig) -> Result<Token, SetupError> {
    let token = config.token.as_ref().ok_or_else(|| SetupError::without_token("AMFJ"))?;
    Ok(token.to_token())
}

/// How calls prove who sends them. Access tokens come from the host of the service, or from one that the configuration names.
fn credentials(parts: &Parts, profile: &Profile) -> Result<Credentials, SetupError> {
    let failed = |why: &str| SetupError::because("AMFJ", why);
    let authentication = &profile.authentication;
    let oauth = authentication.oauth.as_ref();
    let client_id = parts.client_id.clone().or_else(|| oauth.and_then(|oauth| oauth.client_id.clone()));
    let shown = &authentication.shown;
    let named = shown.headers.iter().chain(&shown.query).any(|(_, pattern)| pattern.has_client_id())
        || shown
            .basic
            .as_ref()
            .is_some_and(|(user, password)| user.has_client_id() || password.has_client_id());
    if client_id.is_none() && (named || oauth.is_some()) {
        return Err(failed("the profile's authentication needs client_id in [integration.amfj]"));
    }
    let client_id = client_id.unwrap_or_default();
    let credentials = Credentials::new(shown.clone(), parts.token.clone()).of_client(client_id.clone());
    let Some(shape) = oauth else { return Ok(credentials) };
    let endpoint = if let Some(url) = &parts.token_url {
        url.clone()
    } else {
        let joined = parts.base.join(&shape.token_path).ok();
        let own = joined.filter(|url| url.origin() == parts.base.origin());
        own.ok_or_else(|| failed("token_path in the profile is no path of the host of api_url"))?
    };
    let mut oauth = OAuth::new(endpoint, client_id, shape.client_authentication);
    oauth.parameters.clone_from(&shape.parameters);
    oauth.pointers.clone_from(&shape.pointers);
    Ok(credentials.through(oauth))
}
