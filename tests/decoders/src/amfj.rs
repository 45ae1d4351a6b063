//! Rows and answers of AMFJ.

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use amfj_sync_amfj::client::{AmfjClient, AssetPatch, Assigned, NewAsset, NewUser, UserPatch};
use amfj_sync_amfj::lenient::{self, Record};
use amfj_sync_config::{AmfjConfig, ProfileSource};
use amfj_sync_http::json::LONGEST_TEXT;
use amfj_sync_http::{CallError, Limiter, StatusCode};
use amfj_sync_model::amfj::{Asset, AssetType, Field, Named, UserRecord};
use amfj_sync_model::ids::{AssetId, RecordId};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use crate::answers::is_harmless;
use crate::kandji::{LONGEST_ID, is_short};
use crate::site::config;

/// A page of each kind of list, and one record of each kind.
pub(crate) fn rows(body: &[u8]) {
    read::<Asset>(body, |asset| {
        is_id(asset.id.as_str());
        assert!(asset.name.len() <= LONGEST_TEXT && !asset.name.contains('\0'));
        if let Some(holder) = &asset.checked_out_to {
            assert!(!holder.id.as_str().trim().is_empty());
        }
    });
    read::<UserRecord>(body, |record| {
        is_id(record.id.as_str());
        assert!(record.name.len() <= LONGEST_TEXT && !record.name.contains('\0'));
    });
    read::<AssetType>(body, |_| {});
    read::<Named>(body, |_| {});
    read::<Field>(body, |field| assert!(field.name.len() <= LONGEST_TEXT));
}

fn is_id(id: &str) {
    assert!(id.len() <= LONGEST_ID && !id.contains('\0') && !id.trim().is_empty(), "{id:?}");
}

fn read<T>(body: &[u8], holds: fn(&T))
where
    T: Record + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
{
    if let Ok(page) = lenient::page::<T>(body) {
        assert_eq!(page.rows, (page.results.len() + page.lost.len()) as u64);
        page.lost.iter().chain(&page.odd).for_each(is_short);
        for record in &page.results {
            holds(record);
            is_the_same_again(record);
        }
    }
    if let Ok((record, odd)) = lenient::one::<T>(body) {
        odd.iter().for_each(is_short);
        holds(&record);
        is_the_same_again(&record);
    }
}

/// What was read travels in messages, and is read there as the contract has it.
fn is_the_same_again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(record: &T) {
    let written = serde_json::to_vec(record).unwrap_or_default();
    match serde_json::from_slice::<T>(&written) {
        Ok(again) => assert_eq!(&again, record),
        Err(error) => panic!("{record:?} cannot be read again: {error}"),
    }
}

type Said = Arc<Mutex<(StatusCode, Vec<u8>)>>;

/// A client whose service says what it is told to.
static CLIENT: LazyLock<(AmfjClient, Said)> = LazyLock::new(|| {
    let said: Said = Arc::default();
    let says = said.clone();
    let respond = move |_: &_, _: &_, _: &[u8]| says.lock().clone();
    // Where nothing is said of it: the file that the settings name is nowhere.
    let amfj = AmfjConfig { profile: ProfileSource::default(), ..config().amfj.clone() };
    match AmfjClient::in_process(&amfj, Limiter::new(1e6), Box::new(respond)) {
        Ok(client) => (client, said),
        Err(error) => panic!("{error}"),
    }
});

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// All but 429, after which the client waits for a second.
const STATUSES: [u16; 15] = [200, 200, 200, 201, 204, 302, 400, 403, 404, 409, 410, 422, 401, 500, 503];

/// The first byte says which status, the rest is the body.
pub(crate) fn answers(input: &[u8]) {
    let Some((status, body)) = input.split_first() else { return };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let (client, said) = &*CLIENT;
    *said.lock() = (StatusCode::from_u16(status).unwrap_or_default(), body.to_vec());
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime =
            runtime.get_or_insert_with(|| match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => panic!("{error}"),
            });
        runtime.block_on(all(client, status));
    });
}

/// Every request; no list is without end.
async fn all(client: &AmfjClient, status: u16) {
    let (Ok(asset), Ok(record)) = (AssetId::new("AST-17"), RecordId::new("USR-5")) else { return };
    failed(client.find_assets_by_name("Mac").await, status);
    failed(client.find_users_by_email("sam.okafor@example.com").await, status);
    failed(client.asset_types().await, status);
    failed(client.locations().await, status);
    failed(client.user_fields().await, status);
    if let Some(Some((read, _))) = failed(client.asset_as_it_is(&asset).await, status) {
        is_id(read.id.as_str());
    }
    failed(client.create_asset(&new_asset()).await, status);
    let patch = AssetPatch { name: Some("Mac".to_owned()), ..AssetPatch::default() };
    if let Some(shown) = failed(client.update_asset(&asset, &patch).await, status) {
        assert_eq!(shown.id, asset, "the answer shows another one");
    }
    for assigned in
        [client.check_out(&asset, &record, Some("note")).await, client.check_in(&asset, None).await]
    {
        if let Some(Assigned::Done(shown)) = failed(assigned, status) {
            assert_eq!(shown.id, asset, "the answer shows another one");
        }
    }
    let user = NewUser { name: "Sam".to_owned(), email: None, fields: [].into() };
    failed(client.create_user(&user).await, status);
    let patch = UserPatch { name: Some("Sam".to_owned()), ..UserPatch::default() };
    if let Some(shown) = failed(client.update_user(&record, &patch).await, status) {
        assert_eq!(shown.id, record, "the answer shows another one");
    }
}

fn new_asset() -> NewAsset {
    NewAsset { name: "Mac".to_owned(), asset_type_id: "T1".to_owned(), location_id: None, fields: [].into() }
}

fn failed<T>(result: Result<T, CallError>, status: u16) -> Option<T> {
    match result {
        Ok(value) => {
            // 404 and 410 to a read are an answer: there is none; 409 to an assignment, too.
            assert!(matches!(status, 200..=299 | 404 | 409 | 410), "{status} is no success");
            Some(value)
        }
        Err(error) => {
            is_harmless(&error);
            None
        }
    }
}
