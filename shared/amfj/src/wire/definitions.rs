//! Definitions of custom fields: what a key stands for, and what type a value has. They are read once and kept for a while, where the
//! profile needs them.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use amfj_sync_http::CallError;
use amfj_sync_model::amfj::{AssetType, Field};
use amfj_sync_model::ids::RecordId;
use amfj_sync_model::names::email_key;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::{called, invalid};
use crate::client::AmfjClient;
use crate::lenient::Page;
use crate::profile::Op;
use crate::profile::types::{FieldsShape, Label};

/// How long definitions are good for; every run reads them anew.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// Between two walks through the list of user records for an email that is not known, so many times as long as a walk takes goes by:
/// whoever was entered since has to be told from whoever is in no list at all, and one may have thousands of the latter.
const WALKS_APART: u32 = 10;
/// The least and the most of that time.
const LEAST_APART: Duration = Duration::from_millis(500);
const MOST_APART: Duration = Duration::from_secs(30);

/// One custom field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) field: Field,
    /// What records call it.
    pub(crate) key: String,
    /// Keys and names of the options.
    pub(crate) options: Vec<(String, String)>,
    /// The ids of the asset types that have it; all where none are named.
    pub(crate) asset_types: Option<Vec<String>>,
}

impl Definition {
    pub(crate) fn is_of(&self, asset_type: &str) -> bool {
        self.asset_types.as_ref().is_none_or(|types| types.iter().any(|known| known == asset_type))
    }
}

/// All custom fields of one kind of record.
pub(crate) type Definitions = Vec<Definition>;

/// The one that is meant by a name or key, on a record of this type where that is known.
pub(crate) enum Meant<'d> {
    One(&'d Definition),
    /// It depends on the type.
    Several,
    None,
}

/// Looks for the definition that a label stands for.
pub(crate) fn meant<'d>(
    definitions: &'d [Definition],
    asset_type: Option<&str>,
    is_it: impl Fn(&Definition) -> bool,
) -> Meant<'d> {
    let mut found = definitions.iter().filter(|one| is_it(one));
    match asset_type {
        Some(asset_type) => found.find(|one| one.is_of(asset_type)).map_or(Meant::None, Meant::One),
        None => match (found.next(), found.next()) {
            (None, _) => Meant::None,
            (Some(first), None) => Meant::One(first),
            (Some(first), Some(second)) => {
                let is_same = |other: &Definition| {
                    (&other.key, &other.field.field_type, &other.options)
                        == (&first.key, &first.field.field_type, &first.options)
                };
                if is_same(second) && found.all(is_same) { Meant::One(first) } else { Meant::Several }
            }
        },
    }
}

/// What was read of an interface to understand the rest.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    assets: Held<OfAssets>,
    users: Held<Definitions>,
    people: Mutex<People>,
    /// Had by whoever walks through the list of people.
    walking: tokio::sync::Mutex<()>,
}

/// What the list of asset types says.
#[derive(Debug)]
pub(crate) struct OfAssets {
    definitions: Arc<Definitions>,
    /// Names of the types, by id.
    types: HashMap<String, String>,
}

/// Definitions that one reads for all who ask meanwhile: a writer begins with many changes at once.
#[derive(Debug)]
struct Held<T> {
    known: Mutex<Option<(Instant, Arc<T>)>>,
    /// Had by whoever reads them, with when and how that failed last.
    reading: tokio::sync::Mutex<Option<(Instant, CallError)>>,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self { known: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }
}

impl<T> Held<T> {
    fn young(&self) -> Option<Arc<T>> {
        let known = self.known.lock();
        let (read, definitions) = known.as_ref()?;
        (read.elapsed() < GOOD_FOR).then(|| Arc::clone(definitions))
    }

    fn keep(&self, definitions: &Arc<T>) {
        *self.known.lock() = Some((Instant::now(), Arc::clone(definitions)));
    }

    /// What is known, or what is read now; who waited for somebody else's reading takes what came of that.
    async fn or_read(
        &self,
        read: impl AsyncFnOnce() -> Result<Arc<T>, CallError>,
    ) -> Result<Arc<T>, CallError> {
        if let Some(young) = self.young() {
            return Ok(young);
        }
        let asked = Instant::now();
        let mut failed = self.reading.lock().await;
        if let Some(young) = self.young() {
            return Ok(young);
        }
        if let Some((_, error)) = failed.as_ref().filter(|(at, _)| *at >= asked) {
            return Err(error.clone());
        }
        let read = read().await;
        *failed = read.as_ref().err().map(|error| (Instant::now(), error.clone()));
        read
    }
}

/// Record ids by email; none where several have it.
#[derive(Debug, Default)]
struct People {
    read: Option<Instant>,
    /// How long the walk took.
    took: Duration,
    by_email: HashMap<String, Option<RecordId>>,
}

impl People {
    /// Whether the list is to be walked before these emails can be told. What is known gets old: a record that is deleted leaves its
    /// email to another.
    fn must_be_read(&self, emails: &[String], now: Instant) -> bool {
        let Some(read) = self.read else { return true };
        let age = now.saturating_duration_since(read);
        let is_unknown = emails.iter().any(|email| !self.by_email.contains_key(email));
        let apart = (self.took * WALKS_APART).clamp(LEAST_APART, MOST_APART);
        age >= GOOD_FOR || (is_unknown && age >= apart)
    }

    /// Notes whose email it is. Where it was another's, the list has to tell.
    fn learn(&mut self, email: String, id: &RecordId) {
        let known = self.by_email.entry(email).or_insert_with(|| Some(id.clone()));
        if known.as_ref().is_some_and(|known| known != id) {
            *known = None;
            self.read = None;
        }
    }
}

/// Who an email stands for.
pub(crate) type Directory = HashMap<String, Option<RecordId>>;

impl AmfjClient {
    /// Whether records cannot be understood without definitions.
    fn needs_definitions(&self, shape: Option<&FieldsShape>) -> bool {
        let values = &self.profile().values;
        shape.is_some_and(|shape| {
            shape.label == Label::Key || shape.options == Label::Key || !super::values::are_plain(values)
        })
    }

    /// The custom fields of assets, where the profile needs them.
    pub(crate) async fn asset_definitions(&self) -> Result<Arc<Definitions>, CallError> {
        if !self.needs_definitions(self.profile().asset.fields.as_ref()) {
            return Ok(Arc::default());
        }
        Ok(Arc::clone(&self.of_assets().await?.definitions))
    }

    /// The custom fields of user records, where the profile needs them.
    pub(crate) async fn user_definitions(&self) -> Result<Arc<Definitions>, CallError> {
        if !self.needs_definitions(self.profile().user.fields.as_ref())
            || !self.profile().has(Op::ListUserFields)
        {
            return Ok(Arc::default());
        }
        let read = async || self.read_user_fields().await.map(|(_, definitions)| definitions);
        self.cache().users.or_read(read).await
    }

    /// What the list of asset types says, read a while ago or now.
    async fn of_assets(&self) -> Result<Arc<OfAssets>, CallError> {
        let read = async || self.read_asset_types().await.map(|(_, all)| all);
        self.cache().assets.or_read(read).await
    }

    /// All asset types with their fields, and what is kept of them.
    pub(crate) async fn read_asset_types(&self) -> Result<(Page<AssetType>, Arc<OfAssets>), CallError> {
        let (mut page, mut definitions) = self.read_types_alone().await?;
        if let Some(op) = self.profile().operation(Op::ListAssetFields) {
            if op.looks_up("asset_type") {
                for asset_type in &page.results {
                    let names = serde_json::json!({"id": asset_type.id, "name": asset_type.name});
                    let names = crate::profile::Names::from_iter([("asset_type".to_owned(), names)]);
                    let mut own = self.read_definitions(Op::ListAssetFields, &names).await?;
                    for definition in &mut own.results {
                        definition.asset_types.get_or_insert_with(|| vec![asset_type.id.clone()]);
                    }
                    definitions.extend(own.results);
                    page.lost.extend(own.lost);
                    page.odd.extend(own.odd);
                }
            } else {
                let all = self.read_definitions(Op::ListAssetFields, &crate::profile::Names::new()).await?;
                definitions.extend(all.results);
                page.lost.extend(all.lost);
                page.odd.extend(all.odd);
            }
            for asset_type in &mut page.results {
                let own = definitions.iter().filter(|one| one.is_of(&asset_type.id));
                asset_type.fields = own.map(|one| one.field.clone()).collect();
            }
        }
        let types = page.results.iter().map(|kind| (kind.id.clone(), kind.name.clone())).collect();
        let all = Arc::new(OfAssets { definitions: Arc::new(definitions), types });
        self.cache().assets.keep(&all);
        Ok((page, all))
    }

    /// What an asset type is called. The list is read again where it was read before there was such a type.
    pub(crate) async fn name_of_type(&self, op: Op, id: &str) -> Result<String, CallError> {
        let known = self.of_assets().await.map_err(|error| error.before(&called(op)))?;
        if let Some(name) = known.types.get(id) {
            return Ok(name.clone());
        }
        let (_, now) = self.read_asset_types().await.map_err(|error| error.before(&called(op)))?;
        let name = now.types.get(id).cloned();
        name.ok_or_else(|| invalid(op, "the interface lists no asset type of this id"))
    }

    /// All custom fields of user records.
    pub(crate) async fn read_user_fields(&self) -> Result<(Page<Field>, Arc<Definitions>), CallError> {
        let page = self.read_definitions(Op::ListUserFields, &crate::profile::Names::new()).await?;
        let fields = page.results.iter().map(|definition| definition.field.clone()).collect();
        let definitions = Arc::new(page.results);
        self.cache().users.keep(&definitions);
        let page = Page { results: fields, next: None, rows: page.rows, lost: page.lost, odd: page.odd };
        Ok((page, definitions))
    }

    /// Notes whose email it is.
    pub(crate) fn learn(&self, email: Option<&str>, id: &RecordId) {
        if let Some(key) = email.and_then(email_key) {
            self.cache().people.lock().learn(key, id);
        }
    }

    /// Who these emails stand for. The list of user records is walked where one is not known, and was not a moment ago.
    pub(crate) async fn directory(&self, emails: &[String]) -> Result<Directory, CallError> {
        let must_be_read = || self.cache().people.lock().must_be_read(emails, Instant::now());
        let walking = if must_be_read() { Some(self.cache().walking.lock().await) } else { None };
        // Whoever went through it meanwhile did so for all who wait.
        if walking.is_some() && must_be_read() {
            let mut found = Directory::new();
            let began = Instant::now();
            self.each_user(&mut |record| {
                if let Some(key) = record.email.as_deref().and_then(email_key) {
                    let known = found.entry(key).or_insert_with(|| Some(record.id.clone()));
                    if known.as_ref().is_some_and(|known| *known != record.id) {
                        *known = None;
                    }
                }
                true
            })
            .await?;
            let mut people = self.cache().people.lock();
            people.by_email = found;
            (people.read, people.took) = (Some(Instant::now()), began.elapsed());
        }
        let people = self.cache().people.lock();
        let known =
            emails.iter().filter_map(|email| Some((email.clone(), people.by_email.get(email)?.clone())));
        Ok(known.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_email_it_is_is_asked_anew_when_it_may_have_become_anothers() {
        let id = |text: &str| RecordId::new(text).unwrap();
        let emails = ["sam@example.com".to_owned()];
        let read = Instant::now();
        let mut people = People::default();
        assert!(people.must_be_read(&emails, read), "nothing was read yet");
        people.read = Some(read);
        assert!(!people.must_be_read(&emails, read), "a moment ago nobody had it");
        assert!(people.must_be_read(&emails, read + LEAST_APART), "by now somebody may");
        for (took, apart) in [(2, 20), (600, 30)] {
            people.took = Duration::from_secs(took);
            let then = read + Duration::from_secs(apart);
            assert!(!people.must_be_read(&emails, then - Duration::from_secs(1)), "it takes {took} s");
            assert!(people.must_be_read(&emails, then), "it takes {took} s");
        }
        people.learn(emails[0].clone(), &id("u1"));
        people.learn(emails[0].clone(), &id("u1"));
        assert!(!people.must_be_read(&emails, read + MOST_APART));
        assert!(people.must_be_read(&emails, read + GOOD_FOR), "the record may be gone by now");
        people.learn(emails[0].clone(), &id("u2"));
        assert_eq!(people.by_email[&emails[0]], None);
        assert!(people.must_be_read(&emails, read), "the one, the other or both: the list says");
    }
}
