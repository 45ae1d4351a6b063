//! The REST client of Asset Management for Jira.
//!
//! # What this rests on
//!
//! **AMFJ publishes no documentation of a REST interface.** Everything here is this project's own
//! assumption, chosen to ask as little of the server as possible; nothing outside this module and
//! the records in [`amfj_sync_model::amfj`] knows it, and addresses, header and paths are adjustable
//! ([`Contract`]). Assumed is:
//!
//! - JSON in and out below one base address, `Authorization: Bearer <token>`, opaque ids.
//! - Lists come as `{"results": […], "next_cursor": …}`, at most 100 a page, until the cursor is
//!   null. A write may show in lists only some time later.
//! - `POST` creates, `PATCH` merges (a null clears a field), and there are two actions, `check-out`
//!   and `check-in`, which answer 409 when the asset is checked out already, or not at all.
//! - Errors are `{"error": {"code", "message", "field"?}}`, but anything may come from a proxy.
//! - **Nothing protects against repeats**: no idempotency key, no unique name or email. A `POST`
//!   whose answer was lost may have happened.
//!
//! So no method repeats a call. Each says through [`CallError`] whether the call may have happened,
//! and the caller decides. Walking a list is the exception, since reading twice does no harm.

use std::time::Duration;

use amfj_sync_backoff::{Policy, Stopped, retry};
use amfj_sync_config::Token;
use amfj_sync_config::{AmfjConfig, AmfjPaths};
use amfj_sync_http::cursors::Cursors;
use amfj_sync_http::{
    Answer, Api, Call, CallError, Credentials, Limiter, Method, Responder, SetupError, StatusCode,
};
use amfj_sync_model::amfj::{Asset, AssetType, Field, Named, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use amfj_sync_model::messages::Unusable;
use amfj_sync_security::secrets::ServiceWords;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;
use url::Url;

pub use super::lenient::Page;
use super::lenient::{self, Record};

mod answers;
mod requests;

use answers::{ASSET_SHOWS, assigned, user_shows, written};
pub use requests::{AssetPatch, NewAsset, NewUser, UserPatch};
use requests::{CheckIn, CheckOut};

/// The most records that a page may have.
const PAGE: u32 = 100;
/// The pause after a 429 that does not say how long.
const UNSTATED_PAUSE: Duration = Duration::from_secs(1);

/// Where things are and how the token is shown, should AMFJ turn out to differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contract {
    /// Header that carries the token.
    pub header: String,
    /// Word before the token in that header; may be blank.
    pub scheme: String,
    /// Where the lists are, below the base address.
    pub paths: AmfjPaths,
}

impl Default for Contract {
    fn default() -> Self {
        Self { header: "Authorization".to_owned(), scheme: "Bearer".to_owned(), paths: AmfjPaths::default() }
    }
}

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

/// A client for one AMFJ site. Clones share connections and limiter.
#[derive(Clone, Debug)]
pub struct AmfjClient {
    api: Api,
    contract: Contract,
    limiter: Limiter,
    limited_by_caller: bool,
}

impl AmfjClient {
    /// The service as its calls show it: how it answers, and the token in use.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// A client for the site at `base` (with `/v1` and the like), under the contract as assumed. One
    /// call may take `timeout`; the limiter spaces the calls and carries out the pauses AMFJ asks for.
    pub fn new(
        base: Url,
        token: SecretString,
        timeout: Duration,
        limiter: Limiter,
    ) -> Result<Self, SetupError> {
        Self::with_contract(base, token, timeout, limiter, Contract::default())
    }

    /// A client as the configuration describes it.
    pub fn from_config(config: &AmfjConfig, limiter: Limiter) -> Result<Self, SetupError> {
        let contract = Contract {
            header: config.auth_header.clone(),
            scheme: config.auth_scheme.clone(),
            paths: config.paths.clone(),
        };
        let token = token_of(config)?;
        Self::of(config.api_url.clone(), token, config.request_timeout, limiter, contract)
    }

    /// A client of a site in this process, as the configuration describes it otherwise: so that the work
    /// around the requests can be measured without them.
    pub fn in_process(
        config: &AmfjConfig,
        limiter: Limiter,
        responder: Box<Responder>,
    ) -> Result<Self, SetupError> {
        let credentials = Credentials::bearer(token_of(config)?);
        let (base, timeout) = (config.api_url.clone(), config.request_timeout);
        let api = Api::answered_by("AMFJ", base, &credentials, timeout, Some(responder))?;
        let contract = Contract { paths: config.paths.clone(), ..Contract::default() };
        Ok(Self { api, contract, limiter, limited_by_caller: false })
    }

    /// The same under another contract.
    pub fn with_contract(
        base: Url,
        token: SecretString,
        timeout: Duration,
        limiter: Limiter,
        contract: Contract,
    ) -> Result<Self, SetupError> {
        Self::of(base, token.into(), timeout, limiter, contract)
    }

    fn of(
        base: Url,
        token: Token,
        timeout: Duration,
        limiter: Limiter,
        contract: Contract,
    ) -> Result<Self, SetupError> {
        let credentials = Credentials::header(contract.header.clone(), contract.scheme.clone(), token);
        let api = Api::new("AMFJ", base, &credentials, timeout)?;
        Ok(Self { api, contract, limiter, limited_by_caller: false })
    }

    /// The same client for a caller that waits for [`AmfjClient::limiter`] itself before each call, and
    /// so can give up waiting. Only the further pages of a search still wait in here.
    #[must_use]
    pub fn limited_by_caller(self) -> Self {
        Self { limited_by_caller: true, ..self }
    }

    /// The limiter, to change its rate when writers come and go.
    #[must_use]
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// One page of the assets; `None` is the first.
    pub async fn assets_page(&self, cursor: Option<&str>) -> Result<Page<Asset>, CallError> {
        self.page("list assets", &self.contract.paths.assets, None, cursor).await
    }

    /// One page of the user records; `None` is the first.
    pub async fn users_page(&self, cursor: Option<&str>) -> Result<Page<UserRecord>, CallError> {
        self.page("list users", &self.contract.paths.users, None, cursor).await
    }

    /// All assets, page by page, each page tried again as the policy says. Returns their number.
    pub async fn all_assets(
        &self,
        policy: &Policy,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(Vec<Asset>) + Send),
    ) -> Result<u64, Stopped<CallError>> {
        self.walk("list assets", &self.contract.paths.assets, policy, cancel, sink).await
    }

    /// All user records, page by page, each page tried again as the policy says. Returns their number.
    pub async fn all_users(
        &self,
        policy: &Policy,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(Vec<UserRecord>) + Send),
    ) -> Result<u64, Stopped<CallError>> {
        self.walk("list users", &self.contract.paths.users, policy, cancel, sink).await
    }

    /// The assets of exactly this name.
    pub async fn find_assets_by_name(&self, name: &str) -> Result<Vec<Asset>, CallError> {
        self.find("find assets by name", &self.contract.paths.assets, ("name", name)).await
    }

    /// One asset; `None` if AMFJ itself says that there is none of this id (404 or 410 with JSON, P8).
    pub async fn asset(&self, id: &AssetId) -> Result<Option<Asset>, CallError> {
        Ok(self.asset_as_it_is(id).await?.map(|(asset, _)| asset))
    }

    /// The same, with what could not be read of it (P30).
    pub async fn asset_as_it_is(&self, id: &AssetId) -> Result<Option<(Asset, Vec<Unusable>)>, CallError> {
        let call = Call::get("read asset", segments(&[&self.contract.paths.assets], &[id.as_str()]));
        match self.send(call).await?.read(lenient::one::<Asset>) {
            Ok(read) => Ok(Some(read)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Creates an asset. Read [`CallError::may_have_happened`] before doing it again.
    pub async fn create_asset(&self, asset: &NewAsset) -> Result<Asset, CallError> {
        let call = Call::new("create asset", Method::POST, segments(&[&self.contract.paths.assets], &[]));
        let shows = ASSET_SHOWS.iter().copied();
        written(self.send(call.json(asset)).await?, None, shows)
    }

    /// Changes what the patch names.
    pub async fn update_asset(&self, id: &AssetId, patch: &AssetPatch) -> Result<Asset, CallError> {
        let address = segments(&[&self.contract.paths.assets], &[id.as_str()]);
        let call = Call::new("update asset", Method::PATCH, address).json(patch);
        written(self.send(call).await?, Some(id.as_str()), ASSET_SHOWS.iter().copied())
    }

    /// Checks an asset out to a user record.
    pub async fn check_out(
        &self,
        id: &AssetId,
        user: &RecordId,
        note: Option<&str>,
    ) -> Result<Assigned, CallError> {
        let address = segments(&[&self.contract.paths.assets], &[id.as_str(), "check-out"]);
        let call = Call::new("check out", Method::POST, address);
        assigned(self.send(call.json(&CheckOut { user_id: user, note })).await?, id)
    }

    /// Checks an asset in from whoever has it.
    pub async fn check_in(&self, id: &AssetId, note: Option<&str>) -> Result<Assigned, CallError> {
        let address = segments(&[&self.contract.paths.assets], &[id.as_str(), "check-in"]);
        let call = Call::new("check in", Method::POST, address);
        assigned(self.send(call.json(&CheckIn { note })).await?, id)
    }

    /// The user records of exactly this email.
    pub async fn find_users_by_email(&self, email: &str) -> Result<Vec<UserRecord>, CallError> {
        self.find("find users by email", &self.contract.paths.users, ("email", email)).await
    }

    /// Creates a local user record. Read [`CallError::may_have_happened`] before doing it again.
    pub async fn create_user(&self, user: &NewUser) -> Result<UserRecord, CallError> {
        let call = Call::new("create user", Method::POST, segments(&[&self.contract.paths.users], &[]));
        written(self.send(call.json(user)).await?, None, user_shows(&user.fields))
    }

    /// Changes what the patch names. 403 may mean a Jira user, whom nobody but Jira may change.
    pub async fn update_user(&self, id: &RecordId, patch: &UserPatch) -> Result<UserRecord, CallError> {
        let address = segments(&[&self.contract.paths.users], &[id.as_str()]);
        let call = Call::new("update user", Method::PATCH, address).json(patch);
        written(self.send(call).await?, Some(id.as_str()), user_shows(&patch.fields))
    }

    /// The custom fields of user records.
    pub async fn user_fields(&self) -> Result<Page<Field>, CallError> {
        self.whole("list user fields", &self.contract.paths.user_fields).await
    }

    /// The asset types with their custom fields.
    pub async fn asset_types(&self) -> Result<Page<AssetType>, CallError> {
        self.whole("list asset types", &self.contract.paths.asset_types).await
    }

    /// The locations.
    pub async fn locations(&self) -> Result<Page<Named>, CallError> {
        self.whole("list locations", &self.contract.paths.locations).await
    }

    async fn send(&self, call: Call) -> Result<Answer, CallError> {
        if !self.limited_by_caller {
            self.limiter.acquire().await;
        }
        let answer = self.api.execute(call).await?;
        // Who waits for the limiter also pauses it: it may know better whom the pause is about.
        if answer.status() == StatusCode::TOO_MANY_REQUESTS && !self.limited_by_caller {
            self.limiter.pause_for(answer.retry_after().unwrap_or(UNSTATED_PAUSE));
        }
        Ok(answer)
    }

    async fn page<T: Record>(
        &self,
        operation: &'static str,
        list: &str,
        filter: Option<(&'static str, &str)>,
        cursor: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        let mut call = Call::get(operation, segments(&[list], &[]));
        call = match filter {
            Some((name, value)) => call.query(name, value),
            None => call.query("limit", &PAGE),
        };
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        self.send(call).await?.read(lenient::page)
    }

    async fn walk<T: Record>(
        &self,
        operation: &'static str,
        list: &str,
        policy: &Policy,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(Vec<T>) + Send),
    ) -> Result<u64, Stopped<CallError>> {
        let mut cursors = Cursors::new(operation);
        let mut count = 0;
        loop {
            let read = retry(policy, cancel, || self.page(operation, list, None, cursors.current()));
            // A read may be dropped half-way.
            let page = cancel.run_until_cancelled(read).await.unwrap_or(Err(Stopped::Cancelled))?;
            count += page.results.len() as u64;
            sink(page.results);
            if !cursors.advance(page.next, page.rows, page.rows).map_err(Stopped::Failed)? {
                return Ok(count);
            }
        }
    }

    async fn find<T: Record>(
        &self,
        operation: &'static str,
        list: &str,
        filter: (&'static str, &str),
    ) -> Result<Vec<T>, CallError> {
        let mut cursors = Cursors::new(operation);
        let mut found = Vec::new();
        loop {
            let page = self.page(operation, list, Some(filter), cursors.current()).await?;
            // It may be the one that is looked for: whoever looks before creating must not take it for nothing.
            if let Some(lost) = page.lost.first() {
                return Err(not_it(operation, &format!("something that cannot be used: {lost}")));
            }
            found.extend(page.results);
            if !cursors.advance(page.next, page.rows, page.rows)? {
                return Ok(found);
            }
            if self.limited_by_caller {
                self.limiter.acquire().await;
            }
        }
    }

    /// A list that is assumed to come in one piece; further pages are read should there be any.
    async fn whole<T: Record>(&self, operation: &'static str, list: &str) -> Result<Page<T>, CallError> {
        let mut cursors = Cursors::new(operation);
        let mut all = Page { results: Vec::new(), next: None, rows: 0, lost: Vec::new(), odd: Vec::new() };
        loop {
            let mut call = Call::get(operation, segments(&[list], &[]));
            if let Some(cursor) = cursors.current() {
                call = call.query("cursor", cursor);
            }
            let page: Page<T> = self.send(call).await?.read(lenient::page)?;
            all.results.extend(page.results);
            all.lost.extend(page.lost);
            all.odd.extend(page.odd);
            all.rows += page.rows;
            if !cursors.advance(page.next, page.rows, page.rows)? {
                return Ok(all);
            }
        }
    }
}

fn token_of(config: &AmfjConfig) -> Result<Token, SetupError> {
    let token = config.token.as_ref().ok_or_else(|| SetupError::without_token("AMFJ"))?;
    Ok(token.to_token())
}

/// A successful answer about something else.
fn not_it(operation: &str, reason: &str) -> CallError {
    CallError::NotJson {
        call: format!("AMFJ, {operation}"),
        status: 200,
        reason: reason.into(),
        html: false,
        body: ServiceWords::default(),
    }
}

/// Segments of configured paths, which may have slashes, and of ids, which may not be taken apart.
fn segments(configured: &[&str], ids: &[&str]) -> Vec<String> {
    let configured = configured.iter().flat_map(|path| path.split('/')).filter(|s| !s.is_empty());
    configured.chain(ids.iter().copied()).map(ToOwned::to_owned).collect()
}
