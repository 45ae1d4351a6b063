//! A record as it is before a write: read by its id, or found in the list, and made complete where it is sent back whole.

use amfj_sync_http::CallError;
use amfj_sync_http::cursors::Cursors;
use amfj_sync_model::amfj::Asset;
use serde_json::Value;

use super::definitions::{Definitions, Directory};
use super::kept::{Kept, Of};
use super::records::{Described, Lens, Row, at, plain};
use super::writing::{Before, Side};
use super::{called, not_it, record_in};
use crate::client::AmfjClient;
use crate::lenient::as_text;
use crate::profile::types::Operation;
use crate::profile::{Names, Op};

impl AmfjClient {
    /// The record as it is before a write.
    pub(crate) async fn before(&self, side: &Side<'_>, op: Op, id: &str) -> Result<Before, CallError> {
        self.read_before(side, id).await.map_err(|error| error.before(&called(op)))
    }

    async fn read_before(&self, side: &Side<'_>, id: &str) -> Result<Before, CallError> {
        let Some(operation) = self.profile().operation(side.read) else {
            let value = self.found_in_list(side, id).await?;
            return Ok(Before { value, etag: None });
        };
        let names = Names::from_iter([("id".to_owned(), self.id_value(id))]);
        let answer = self.judged(side.read, self.send(self.request(side.read, &names)?).await?)?;
        let etag = answer.header("etag").map(str::to_owned);
        let value = answer.read(|body| record_in(body, operation))?;
        let shown = self.shown_id(side, &value, Some(id));
        if shown.as_deref() != Some(id) {
            return Err(not_it(side.read.label(), "another record than the one that was asked for"));
        }
        Ok(Before { value, etag })
    }

    fn shown_id(&self, side: &Side<'_>, value: &Value, key: Option<&str>) -> Option<String> {
        let profile = self.profile();
        let member = match side.of {
            Of::Assets => &profile.asset.id,
            Of::Users => &profile.user.id,
        };
        let found = at(member, &Row { value, key })?;
        as_text(&found).map(|id| id.trim().to_owned())
    }

    /// Where nothing is read by its id, the list is gone through.
    async fn found_in_list(&self, side: &Side<'_>, id: &str) -> Result<Value, CallError> {
        let mut cursors = Cursors::new(side.list.label());
        loop {
            let raw = self.raw_page(side.list, &Names::new(), cursors.current()).await?;
            let count = raw.rows.len() as u64;
            for (key, value) in raw.rows.into_iter().flatten() {
                if self.shown_id(side, &value, key.as_deref()).as_deref() == Some(id) {
                    return Ok(value);
                }
            }
            if !cursors.advance(raw.next, count, count)? {
                return Err(not_it(side.list.label(), "no record of this id"));
            }
            self.wait_further().await;
        }
    }

    pub(super) fn asset_type_in(&self, value: &Value, id: &str) -> Option<String> {
        let nothing = (Definitions::new(), Directory::new());
        let lens = Lens { profile: self.profile(), definitions: &nothing.0, people: &nothing.1 };
        let shown = Asset::show(&lens, &Row { value, key: Some(id) });
        shown.members.get("asset_type")?.get("id").and_then(as_text)
    }

    /// What is to be sent back whole has everything where it is written, and nothing that is not to be sent.
    pub(super) fn complete<T: Kept>(
        &self,
        side: &Side<'_>,
        operation: &Operation,
        record: &mut Value,
        id: &str,
        definitions: &Definitions,
    ) {
        let people = Directory::new();
        let lens = Lens { profile: self.profile(), definitions, people: &people };
        let row = Row { value: record, key: Some(id) };
        let shown = T::show(&lens, &row).members;
        let text = |name: &str| shown.get(name).and_then(as_text);
        let id_of = |name: &str| shown.get(name).and_then(|named| named.get("id")).and_then(as_text);
        // Who is told by their email is written by it.
        let email = self.profile().asset.holder.as_ref().and_then(|holder| holder.email.as_ref());
        let holder = match email.and_then(|email| at(email, &row)) {
            Some(email) => as_text(&email).map(Value::String),
            None => id_of("checked_out_to").map(|id| self.id_value(&id)).or_else(|| self.nobody()),
        };
        let write = side.write;
        let kept = [
            (&write.name, text("name").map(Value::String)),
            (&write.email, text("email").map(Value::String)),
            (&write.asset_type, id_of("asset_type").map(|id| self.id_value(&id))),
            (&write.location, id_of("location").map(|id| self.id_value(&id))),
            (&write.holder, holder),
        ];
        // What came with escapes is sent without them: the interface makes its own.
        *record = plain(self.profile(), record.take());
        for pointer in &operation.leave_out {
            pointer.remove(record);
        }
        for (pointer, value) in kept {
            if let (Some(pointer), Some(value)) = (pointer, value)
                && pointer.get(record).is_none()
            {
                pointer.set(record, value);
            }
        }
    }
}
