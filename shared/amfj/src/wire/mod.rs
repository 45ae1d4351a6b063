//! The interpreter of profiles: how an operation becomes a request, and an answer a record. Nothing outside of this crate knows the wire.

use std::sync::Arc;

use amfj_sync_backoff::{Policy, Stopped, retry};
use amfj_sync_http::cursors::Cursors;
use amfj_sync_http::{Answer, BodyForm, Call, CallError, StatusCode};
use amfj_sync_model::amfj::UserRecord;
use amfj_sync_model::messages::Unusable;
use amfj_sync_security::secrets::ServiceWords;
use serde::de::Error as _;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::client::{AmfjClient, UNSTATED_PAUSE};
use crate::lenient::{self, Page, Record};
use crate::profile::types::{ListForm, ListShape, Operation, Paging};
use crate::profile::{Names, Op};

pub(crate) mod answers;
mod assigning;
mod before;
mod bodies;
mod catalogue;
pub(crate) mod definitions;
mod jobs;
mod kept;
mod lists;
pub(crate) mod records;
mod shown;
mod values;
mod writing;

use definitions::{Definitions, Directory};
pub(crate) use kept::Plain;
use kept::{Kept, Of};
use lists::{Heading, RawPage, page_of};
use records::{Lens, Row, holders_email};

/// Whether a list is one that the records themselves know how to read.
fn is_plain_list(shape: &ListShape) -> bool {
    let cursor = match &shape.paging {
        Paging::Cursor { next, more: None, .. } => next.as_str() == "/next_cursor",
        _ => false,
    };
    cursor && shape.form == ListForm::List && shape.rows.as_str() == "/results"
}

/// The same of the list of an operation, whose statuses have the meaning that HTTP gives them.
fn lists_plainly(operation: &Operation) -> bool {
    operation.list.as_ref().is_some_and(is_plain_list)
        && operation.empty.is_empty()
        && operation.success.is_empty()
}

/// A successful answer about something else.
pub(crate) fn not_it(operation: &str, reason: &str) -> CallError {
    CallError::NotJson {
        call: format!("AMFJ, {operation}"),
        status: 200,
        reason: reason.into(),
        html: false,
        body: ServiceWords::default(),
    }
}

/// Success, and nothing that shows what AMFJ holds now: that is to be read.
pub(crate) fn unshown(op: Op) -> CallError {
    not_it(op.label(), "nothing that shows what was written")
}

/// A request that cannot be written down.
pub(crate) fn invalid(op: Op, reason: &str) -> CallError {
    CallError::Invalid { call: called(op), reason: reason.into() }
}

/// The name of an operation as errors have it.
pub(crate) fn called(op: Op) -> String {
    format!("AMFJ, {}", op.label())
}

/// Names of a template that are texts.
pub(crate) fn names<const N: usize>(pairs: [(&str, &str); N]) -> Names {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value.to_owned()))).collect()
}

impl AmfjClient {
    pub(crate) fn operation(&self, op: Op) -> Result<&Operation, CallError> {
        let profile = self.profile();
        profile
            .operation(op)
            .ok_or_else(|| invalid(op, &format!("the profile {} has no {}", profile.name, op.key())))
    }

    /// The id as bodies have it.
    pub(crate) fn id_value(&self, id: &str) -> Value {
        match (self.profile().ids, id.parse::<i64>()) {
            (crate::profile::types::Ids::Number, Ok(number)) if number.to_string() == id => number.into(),
            _ => id.into(),
        }
    }

    /// The request of an operation, without a body.
    pub(crate) fn call(&self, op: Op, names: &Names) -> Result<Call, CallError> {
        let operation = self.operation(op)?;
        let wrong = |why: String| invalid(op, &format!("a template of the profile fails: {why}"));
        let mut path = Vec::with_capacity(operation.path.len());
        for segment in &operation.path {
            let text = segment.text(names).map_err(wrong)?;
            let text = text.ok_or_else(|| {
                invalid(op, &format!("{} in its path stands for nothing", segment.as_str()))
            })?;
            path.push(text);
        }
        let mut call = Call::new(op.label(), operation.method.clone(), path);
        for (name, template) in &operation.query {
            if let Some(text) = template.text(names).map_err(wrong)? {
                call = call.query(name.clone(), &text);
            }
        }
        for (name, template) in &operation.headers {
            if let Some(text) = template.text(names).map_err(wrong)? {
                call = call.header(name.clone(), text);
            }
        }
        Ok(call)
    }

    /// The body that the profile itself has for an operation.
    pub(crate) fn own_body(&self, op: Op, names: &Names) -> Result<Option<Value>, CallError> {
        let Some(body) = &self.operation(op)?.body else { return Ok(None) };
        body.fill(names).map_err(|why| invalid(op, &format!("a template of the profile fails: {why}")))
    }

    /// The request of an operation, with the body that the profile itself has for it.
    pub(crate) fn request(&self, op: Op, names: &Names) -> Result<Call, CallError> {
        let call = self.call(op, names)?;
        Ok(match self.own_body(op, names)? {
            Some(body) => call.json(&body),
            None => call,
        })
    }

    /// The request for the page of a list that begins at a cursor, and how that list looks.
    fn page_request(
        &self,
        op: Op,
        names: &Names,
        cursor: Option<&str>,
    ) -> Result<(Call, &ListShape), CallError> {
        let Some(shape) = &self.operation(op)?.list else { return Err(invalid(op, "it does not list")) };
        let call = lists::ask(self.api(), self.request(op, names)?, op, shape, cursor)?;
        Ok((call, shape))
    }

    /// Sends a call, at the rate that is allowed.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, CallError> {
        if !self.is_limited_by_caller() {
            self.limiter().acquire().await;
        }
        let answer = self.api().execute(call).await?;
        // Who waits for the limiter also pauses it: it may know better whom the pause is about.
        if answer.status() == StatusCode::TOO_MANY_REQUESTS && !self.is_limited_by_caller() {
            self.limiter().pause_for(answer.retry_after().unwrap_or(UNSTATED_PAUSE));
        }
        Ok(answer)
    }

    /// Waits for a further request of a call, for which nobody outside waited.
    pub(crate) async fn wait_further(&self) {
        if self.is_limited_by_caller() {
            self.limiter().acquire().await;
        }
    }

    /// Sends a further request of a call.
    pub(crate) async fn send_further(&self, call: Call) -> Result<Answer, CallError> {
        self.wait_further().await;
        self.send(call).await
    }

    /// An answer that counts as the profile says.
    pub(crate) fn judged(&self, op: Op, mut answer: Answer) -> Result<Answer, CallError> {
        let operation = self.operation(op)?;
        if operation.success.is_empty() {
            return Ok(answer);
        }
        let status = answer.status();
        if operation.success.contains(&status.as_u16()) {
            answer.means(StatusCode::OK);
        } else if status.is_success() {
            let promised: Vec<String> = operation.success.iter().map(u16::to_string).collect();
            let reason =
                format!("answered {} where the profile has {}", status.as_u16(), promised.join(" or "));
            return Err(CallError::NotJson {
                call: called(op),
                status: 502,
                reason: reason.into(),
                html: false,
                body: ServiceWords::default(),
            });
        }
        Ok(answer)
    }

    pub(crate) async fn definitions_of(&self, of: Of) -> Result<Arc<Definitions>, CallError> {
        match of {
            Of::Assets => self.asset_definitions().await,
            Of::Users => self.user_definitions().await,
        }
    }

    /// One page of records.
    pub(crate) async fn page<T: Kept>(
        &self,
        op: Op,
        names: &Names,
        cursor: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        if lists_plainly(self.operation(op)?) && T::is_plain(self.plain()) {
            return self.plain_page(op, names, cursor).await;
        }
        let definitions = self.definitions_of(T::OF).await?;
        let raw = self.raw_page(op, names, cursor).await?;
        let people = self.people_in(T::OF, &raw).await?;
        let lens = Lens { profile: self.profile(), definitions: &definitions, people: &people };
        Ok(page_of(raw, T::WHAT, |key, value| records::read(&lens, &Row { value, key })))
    }

    /// One page of records that are those of the assumed contract.
    async fn plain_page<T: Record>(
        &self,
        op: Op,
        names: &Names,
        cursor: Option<&str>,
    ) -> Result<Page<T>, CallError> {
        let (call, _) = self.page_request(op, names, cursor)?;
        self.send(call).await?.read(lenient::page)
    }

    /// Who the emails of holders on a page stand for, where holders are told by email.
    async fn people_in(&self, of: Of, raw: &RawPage) -> Result<Directory, CallError> {
        if of != Of::Assets {
            return Ok(Directory::new());
        }
        let rows = raw.rows.iter().filter_map(|row| row.as_ref().ok());
        let emails: Vec<String> = rows
            .filter_map(|(key, value)| holders_email(self.profile(), &Row { value, key: key.as_deref() }))
            .collect();
        self.directory_of(&emails).await
    }

    pub(crate) async fn directory_of(&self, emails: &[String]) -> Result<Directory, CallError> {
        if emails.is_empty() { Ok(Directory::new()) } else { Box::pin(self.directory(emails)).await }
    }

    /// One page of whatever an operation lists, unread.
    pub(crate) async fn raw_page(
        &self,
        op: Op,
        names: &Names,
        cursor: Option<&str>,
    ) -> Result<RawPage, CallError> {
        let operation = self.operation(op)?;
        let (call, shape) = self.page_request(op, names, cursor)?;
        let mut answer = self.judged(op, self.send(call).await?)?;
        if operation.empty.contains(&answer.status().as_u16()) {
            answer.means(StatusCode::OK);
            return Ok(RawPage { rows: Vec::new(), next: None });
        }
        let heading = Heading::of(&answer, shape);
        answer.read(|body| lists::read(body, shape, &heading, cursor, self.api()))
    }

    /// All pages of a list that is short, with what `read` makes of each row.
    pub(super) async fn whole<R>(
        &self,
        op: Op,
        names: &Names,
        what: &'static str,
        mut read: impl FnMut(Option<&str>, &Value) -> Result<(R, Vec<Unusable>), Unusable>,
    ) -> Result<Page<R>, CallError> {
        let mut cursors = Cursors::new(op.label());
        let mut all = Page::empty();
        loop {
            let page = page_of(self.raw_page(op, names, cursors.current()).await?, what, &mut read);
            let rows = page.rows;
            if !cursors.advance(all.append(page), rows, rows)? {
                return Ok(all);
            }
            self.wait_further().await;
        }
    }

    /// The same of records that are those of the assumed contract.
    pub(super) async fn whole_plainly<T: Record>(&self, op: Op) -> Result<Page<T>, CallError> {
        let mut cursors = Cursors::new(op.label());
        let mut all = Page::empty();
        loop {
            let page: Page<T> = self.plain_page(op, &Names::new(), cursors.current()).await?;
            let rows = page.rows;
            if !cursors.advance(all.append(page), rows, rows)? {
                return Ok(all);
            }
        }
    }

    /// Whether an operation that only reads is answered: with a list, where the profile says so, and with anything but a web page
    /// otherwise.
    pub(crate) async fn is_answered(&self, op: Op) -> Result<(), CallError> {
        let names = Names::new();
        if self.operation(op)?.list.is_some() {
            return self.raw_page(op, &names, None).await.map(drop);
        }
        let answer = self.judged(op, self.send(self.request(op, &names)?).await?)?.success()?;
        if answer.form() == BodyForm::Html { answer.read(|_| Ok(())) } else { Ok(()) }
    }

    /// The body of the first page of a list, as it came.
    pub(crate) async fn first_page(&self, op: Op, names: &Names) -> Result<Value, CallError> {
        let (call, _) = self.page_request(op, names, None)?;
        self.judged(op, self.send(call).await?)?.read(amfj_sync_http::json::value)
    }

    pub(super) fn is_plain_op(&self, op: Op) -> bool {
        self.profile().operation(op).is_some_and(lists_plainly)
    }

    /// One record by its id.
    pub(crate) async fn one<T: Kept>(&self, op: Op, id: &str) -> Result<(T, Vec<Unusable>), CallError> {
        let operation = self.operation(op)?;
        let call = self.request(op, &Names::from_iter([("id".to_owned(), self.id_value(id))]))?;
        if T::is_plain(self.plain()) && operation.record.as_str().is_empty() && operation.success.is_empty() {
            return self.send(call).await?.read(lenient::one::<T>);
        }
        let definitions = self.definitions_of(T::OF).await?;
        let answer = self.judged(op, self.send(call).await?)?;
        let value = answer.read(|body| record_in(body, operation))?;
        self.understood::<T>(op, &value, id, &definitions).await
    }

    /// A record that was asked for by its id, and is that one.
    pub(crate) async fn understood<T: Kept>(
        &self,
        op: Op,
        value: &Value,
        id: &str,
        definitions: &Definitions,
    ) -> Result<(T, Vec<Unusable>), CallError> {
        let row = Row { value, key: Some(id) };
        let emails: Vec<String> = match T::OF {
            Of::Assets => holders_email(self.profile(), &row).into_iter().collect(),
            Of::Users => Vec::new(),
        };
        let people = self.directory_of(&emails).await?;
        let lens = Lens { profile: self.profile(), definitions, people: &people };
        let shown = T::show(&lens, &row);
        let shown_id = shown.members.get("id").and_then(lenient::as_text).unwrap_or_default();
        if shown_id.trim() != id {
            return Err(not_it(op.label(), "another record than the one that was asked for"));
        }
        records::read(&lens, &row).map_err(|lost| not_it(op.label(), &lost.why))
    }

    /// Goes through all user records, until `keep` says `false`.
    pub(crate) async fn each_user(
        &self,
        keep: &mut (dyn FnMut(UserRecord) -> bool + Send),
    ) -> Result<(), CallError> {
        let mut cursors = Cursors::new(Op::ListUsers.label());
        loop {
            let page: Page<UserRecord> = self.page(Op::ListUsers, &Names::new(), cursors.current()).await?;
            let fresh = page.results.len() as u64;
            for record in page.results {
                if !keep(record) {
                    return Ok(());
                }
            }
            if !cursors.advance(page.next, page.rows, fresh)? {
                return Ok(());
            }
            self.wait_further().await;
        }
    }

    /// A whole list, each page tried again as the policy says.
    pub(crate) async fn walk<T: Kept>(
        &self,
        op: Op,
        policy: &Policy,
        cancel: &CancellationToken,
        sink: &mut (dyn FnMut(Vec<T>) + Send),
    ) -> Result<u64, Stopped<CallError>> {
        let names = Names::new();
        let mut cursors = Cursors::new(op.label());
        let mut count = 0;
        loop {
            let read = retry(policy, cancel, || self.page(op, &names, cursors.current()));
            // A read may be dropped half-way.
            let page = cancel.run_until_cancelled(read).await.unwrap_or(Err(Stopped::Cancelled))?;
            count += page.results.len() as u64;
            sink(page.results);
            if !cursors.advance(page.next, page.rows, page.rows).map_err(Stopped::Failed)? {
                return Ok(count);
            }
        }
    }

    pub(crate) async fn find<T: Kept>(&self, op: Op, names: &Names) -> Result<Vec<T>, CallError> {
        let mut cursors = Cursors::new(op.label());
        let mut found = Vec::new();
        loop {
            let page: Page<T> = self.page(op, names, cursors.current()).await?;
            // It may be the one that is looked for: whoever looks before creating must not take it for nothing.
            if let Some(lost) = page.lost.first() {
                return Err(not_it(op.label(), &format!("something that cannot be used: {lost}")));
            }
            found.extend(page.results);
            if !cursors.advance(page.next, page.rows, page.rows)? {
                return Ok(found);
            }
            self.wait_further().await;
        }
    }
}

/// The record in an answer.
pub(crate) fn record_in(body: &[u8], operation: &Operation) -> serde_json::Result<Value> {
    let value = amfj_sync_http::json::value(body)?;
    if operation.record.as_str().is_empty() {
        return Ok(value);
    }
    operation.record.get(&value).cloned().ok_or_else(|| {
        serde_json::Error::custom(format!(
            "there is nothing at \"{}\", where the record is to be",
            operation.record.as_str()
        ))
    })
}
