//! The calls: a page of the device list, and the details of one device.

use std::time::Duration;

use amfj_sync_config::KandjiConfig;
use amfj_sync_config::Token;
use amfj_sync_http::json::{self, Rows, kind};
use amfj_sync_http::{Answer, Api, Call, CallError, Credentials, SetupError};
use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::messages::Unusable;
use amfj_sync_security::secrets::ServiceWords;
use serde_json::Value;
use url::Url;

use super::device::Device;
use super::error::KandjiError;
use super::limits::Limits;

/// The most rows that Kandji returns in one page.
pub const PAGE: u32 = 300;
/// The longest pause between two looks at the budget, so that a share that opens early is used.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What a call reads, and what it needs for that.
#[derive(Clone, Copy)]
pub(super) struct Purpose {
    what: &'static str,
    permission: &'static str,
}

const LIST: Purpose = Purpose { what: "the device list", permission: "Device list" };
const DETAILS: Purpose = Purpose { what: "the details of a device", permission: "Device details" };

pub(super) const PRISM: Purpose =
    Purpose { what: "Prism's device information", permission: "Prism: Device information" };

/// One page of the device list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Page {
    /// Rows received, usable or not: by these the next offset advances.
    pub rows: u64,
    /// The devices, in Kandji's order.
    pub devices: Vec<Device>,
    /// The rows that cannot be used at all.
    pub malformed: Vec<Unusable>,
    /// Properties that cannot be used, of devices that can.
    pub odd: Vec<Unusable>,
}

/// A client for one Kandji tenant. Clones share connections and limits.
#[derive(Clone, Debug)]
pub struct KandjiClient {
    api: Api,
    pub(super) limits: Limits,
}

impl KandjiClient {
    /// A client for the tenant at `base` (without `/api/v1`); one call may take `timeout`.
    pub fn new(
        base: &Url,
        token: impl Into<Token>,
        timeout: Duration,
        limits: Limits,
    ) -> Result<Self, SetupError> {
        let api = Api::new("Kandji", base.clone(), &Credentials::bearer(token), timeout)?;
        Ok(Self { api, limits })
    }

    /// A client as the configuration describes it.
    pub fn from_config(config: &KandjiConfig, limits: Limits) -> Result<Self, SetupError> {
        let token = config.token.as_ref().ok_or_else(|| SetupError::without_token("Kandji"))?;
        Self::new(&config.api_url, token.to_token(), config.request_timeout, limits)
    }

    /// The service as its calls show it: how it answers, and the token in use.
    #[must_use]
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The limits that all calls draw on.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One page of the devices from `offset` on, in the order of their ids, which is the only order
    /// that stays while devices come and go. Empty past the end. Waits while this hour's share is
    /// used up.
    pub async fn devices(&self, offset: u64) -> Result<Page, KandjiError> {
        self.wait_for_budget().await;
        let call = Call::get("list devices", ["api", "v1", "devices"])
            .query("limit", &PAGE)
            .query("offset", &offset)
            .query("ordering", "device_id");
        let answer = self.send(call, LIST).await?;
        match answer.read(Page::read).map_err(|error| self.explain(error, LIST))? {
            Ok(page) => Ok(page),
            Err(other) => Err(self.unexpected("a list of devices", &other)),
        }
    }

    /// The details of one device; `None` if Kandji itself says that it does not know it (404). A refusal (401, 403) is an
    /// error of its own and says nothing about the device (P22). Fails at once when this hour's
    /// share is used up, because details can wait for another run.
    pub async fn details(&self, device: &DeviceId) -> Result<Option<Value>, KandjiError> {
        self.limits.take().map_err(|until| KandjiError::BudgetSpent { until })?;
        let call = Call::get("read device details", ["api", "v1", "devices", device.as_str(), "details"]);
        let body = match self.send(call, DETAILS).await?.read(json::value) {
            Ok(body) => body,
            Err(error) if says_that_it_is_gone(&error) => return Ok(None),
            Err(error) => return Err(self.explain(error, DETAILS)),
        };
        match body {
            mut details @ Value::Object(_) => {
                json::cut_texts(&mut details);
                Ok(Some(details))
            }
            other => Err(self.unexpected("the details of a device", &other)),
        }
    }

    pub(super) async fn send(&self, call: Call, purpose: Purpose) -> Result<Answer, KandjiError> {
        self.limits.space().await;
        let answer = self.api.execute(call).await.map_err(|error| self.explain(error, purpose))?;
        self.limits.learn(&answer);
        Ok(answer)
    }

    async fn wait_for_budget(&self) {
        while let Err(until) = self.limits.take() {
            tracing::warn!(host = self.api.host(), %until, "this hour's share of Kandji requests is used up; waiting");
            let wait = until.duration_since(jiff::Timestamp::now());
            let wait = Duration::try_from(wait).unwrap_or_default();
            tokio::time::sleep(wait.clamp(Duration::from_secs(1), LOOK_AGAIN)).await;
        }
    }

    /// Adds the cure to a failed call. Only the status counts: the bodies come in seven shapes.
    pub(super) fn explain(&self, cause: CallError, Purpose { what, permission }: Purpose) -> KandjiError {
        let (host, cause) = (self.api.host().to_owned(), Box::new(cause));
        match &*cause {
            CallError::NotJson { html: true, .. } => KandjiError::NotTheApi { host, cause },
            CallError::Status { status, .. } => match status {
                300..=399 => KandjiError::NotTheApi { host, cause },
                401 => KandjiError::Unauthorized { what, permission, cause },
                403 => KandjiError::Forbidden { what, permission, cause },
                404 => KandjiError::NoSuchTenant { host, cause },
                _ => KandjiError::Call(*cause),
            },
            _ => KandjiError::Call(*cause),
        }
    }

    pub(super) fn unexpected(&self, expected: &'static str, found: &Value) -> KandjiError {
        let mut description = kind(found).to_owned();
        if let Value::Object(members) = found {
            let names: Vec<_> = members.keys().take(5).map(|name| format!("“{name}”")).collect();
            if !names.is_empty() {
                description = format!("{description} with {}", names.join(", "));
            }
        }
        KandjiError::Unexpected {
            host: self.api.host().to_owned(),
            expected,
            found: ServiceWords::of(&description).to_string(),
        }
    }
}

/// Whether Kandji itself says that there is no such device. Its bodies come in many shapes, none among them; a page for
/// people is not one, and comes from something in between (P22).
fn says_that_it_is_gone(error: &CallError) -> bool {
    let CallError::Status { status: 404 | 410, body, .. } = error else { return false };
    body.is_empty() || serde_json::from_str::<serde::de::IgnoredAny>(body.as_str()).is_ok()
}

impl Page {
    /// The rows of a page: all of it as it is, or else row by row, so that what is broken in one costs no other (P30). Or
    /// what came instead of a list.
    pub fn read(body: &[u8]) -> serde_json::Result<Result<Self, Value>> {
        let is_unusual = json::has_nul(body) || json::has_too_many_values(body);
        match if is_unusual { None } else { serde_json::from_slice(body).ok() } {
            Some(Value::Array(rows)) => return Ok(Ok(page_of(rows.into_iter().map(Ok), false))),
            Some(other) => return Ok(Err(other)),
            None => {}
        }
        let (text, mended) = json::mend(body);
        match serde_json::from_str::<Rows<'_>>(&text) {
            // A row that reads as nothing at all is reported as what it is: no device.
            Ok(rows) => {
                let read = |row: Result<&str, String>| row.map(|text| json::read(text).unwrap_or_default());
                Ok(Ok(page_of(rows.each().map(read), mended)))
            }
            Err(error) if text.trim_start().starts_with('[') => Err(error),
            Err(_) => json::read(&text).map(Err),
        }
    }
}

/// The page of these rows, or of why they were not read.
fn page_of(rows: impl Iterator<Item = Result<Value, String>>, mended: bool) -> Page {
    let mut page = Page::default();
    for row in rows {
        page.rows += 1;
        let row = match row {
            Ok(row) => row,
            Err(why) => {
                page.malformed.push(Unusable::new("device", None, None, &why));
                continue;
            }
        };
        match Device::parse(row) {
            Ok(mut device) => {
                if mended && json::has_unreadable(&device.raw) {
                    device.odd.push(
                        "a text in it has characters that cannot be read; U+FFFD stands for them".into(),
                    );
                }
                let (id, name) = (device.device_id.as_str(), device.name.as_deref());
                let odd = device.odd.iter().map(|why| Unusable::new("device", Some(id), name, why));
                page.odd.extend(odd);
                page.devices.push(device);
            }
            Err(malformed) => page.malformed.push(malformed.into()),
        }
    }
    page
}
