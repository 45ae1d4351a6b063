//! Prism: values of all devices, 300 a request, in categories that each need a permission of their own.
//!
//! Envelope, cursor and filter as Kandji's API answers them: `{offset, limit, total, data, cursor}`, the end
//! at a cursor that is null, blank or missing, and `updated_at` as the only filter for changes.

use amfj_sync_http::Call;
use amfj_sync_http::json;
use amfj_sync_model::ids::DeviceId;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::client::{KandjiClient, PAGE, PRISM};
use super::error::KandjiError;

/// One device's row.
#[derive(Debug, Clone, PartialEq)]
pub struct PrismRow {
    /// The device.
    pub device: DeviceId,
    /// Its columns.
    pub columns: Map<String, Value>,
}

/// One page of a category.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PrismPage {
    /// Rows that name a device.
    pub rows: Vec<PrismRow>,
    /// Where the next page begins; none at the end.
    pub next: Option<String>,
}

impl KandjiClient {
    /// One page of *device information*, from `cursor` on; with `since`, only rows that were updated at or
    /// after it. Fails at once when this hour's share is used up, because details can wait.
    pub async fn device_information(
        &self,
        since: Option<Timestamp>,
        cursor: Option<&str>,
    ) -> Result<PrismPage, KandjiError> {
        self.limits.take().map_err(|until| KandjiError::BudgetSpent { until })?;
        let call = Call::get("read Prism's device information", ["api", "v1", "prism", "device_information"]);
        let mut call = call.query("limit", &PAGE);
        if let Some(since) = since {
            call = call.query("filter", &serde_json::json!({ "updated_at": { "gte": since.to_string() } }));
        }
        if let Some(cursor) = cursor {
            call = call.query("cursor", cursor);
        }
        let page = self.send(call, PRISM).await?.read(PrismPage::read);
        let page = page.map_err(|error| self.explain(error, PRISM))?;
        page.map_err(|other| self.unexpected("an object with a list in “data”", &other))
    }
}

impl PrismPage {
    /// What a body says, or what came instead of an object with rows.
    pub fn read(body: &[u8]) -> serde_json::Result<Result<Self, Value>> {
        let mut body = json::value(body)?;
        let Some(Value::Array(data)) = body.get_mut("data").map(Value::take) else { return Ok(Err(body)) };
        let rows = data.into_iter().filter_map(|row| {
            let mut row = row;
            json::cut_texts(&mut row);
            let Value::Object(columns) = row else { return None };
            let device = DeviceId::new(columns.get("device_id")?.as_str()?).ok()?;
            Some(PrismRow { device, columns })
        });
        let next = body.get("cursor").and_then(Value::as_str).filter(|next| !next.trim().is_empty());
        Ok(Ok(Self { rows: rows.collect(), next: next.map(str::to_owned) }))
    }
}
