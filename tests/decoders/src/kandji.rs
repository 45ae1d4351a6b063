//! Rows of Kandji: whoever enrols a device chooses most of what is in them.

use amfj_sync_http::json::{self, LONGEST_RECORD, LONGEST_TEXT, LONGEST_VALUE};
use amfj_sync_kandji::{Device, Page, PrismPage, parse_timestamp};
use amfj_sync_model::mapping::PropertyPath;
use amfj_sync_model::messages::Unusable;
use serde_json::Value;

use crate::screen::is_on_one_line;

/// Bytes of the longest id that is one.
pub(crate) const LONGEST_ID: usize = 512;

/// Characters of what is said of something that cannot be used; its parts are cut to 300 and an ellipsis each.
const LONGEST_NOTE: usize = 1_000;

pub(crate) fn devices(body: &[u8]) {
    let Ok(Ok(page)) = Page::read(body) else { return };
    assert_eq!(page.rows, (page.devices.len() + page.malformed.len()) as u64);
    page.malformed.iter().chain(&page.odd).for_each(is_short);
    for device in page.devices {
        is_bounded(&device);
        let mut again = match Device::parse(Value::from(device.clone())) {
            Ok(again) => again,
            Err(error) => panic!("a row that was read cannot be read again: {error}"),
        };
        // What was cut is short by now.
        again.odd.clone_from(&device.odd);
        assert_eq!(again, device);
    }
}

fn is_bounded(device: &Device) {
    let id = device.device_id.as_str();
    assert!(id.len() <= LONGEST_ID && !id.trim().is_empty() && !id.contains('\0'), "{id:?}");
    let texts = [&device.name, &device.serial, &device.platform, &device.model, &device.os_version];
    for text in texts.into_iter().flatten() {
        assert!(text.len() <= LONGEST_TEXT && !text.contains('\0') && text.trim() == text, "{text:?}");
        assert!(!text.is_empty());
    }
    let size: usize = device.raw.values().map(json::length).sum();
    assert!(size <= LONGEST_RECORD, "{size} bytes of values");
    assert!(device.raw.values().all(|value| json::length(value) <= LONGEST_VALUE));
    if let Some(user) = &device.user {
        assert!(user.id.as_ref().is_none_or(|id| id.as_str().len() <= LONGEST_ID));
    }
    if let Some(check_in) = &device.last_check_in {
        let key = device.check_in_key();
        assert!(
            key.is_some()
                && key
                    == key
                        .as_deref()
                        .and_then(|key| parse_timestamp(key).map(|t| t.to_string()))
                        .or(Some(check_in.clone()))
        );
    }
    let raw = Value::Object(device.raw.clone());
    for path in ["user.email", "tags[0]", "os_version", "mdm.enabled", "a.0.b"] {
        if let Ok(path) = PropertyPath::parse(path) {
            let _: Option<&Value> = path.lookup(&raw);
        }
    }
}

pub(crate) fn is_short(note: &Unusable) {
    let said = note.to_string();
    assert!(said.chars().count() <= LONGEST_NOTE, "{said}");
    is_on_one_line(&amfj_sync_security::screen::sanitize(&said));
}

pub(crate) fn details(body: &[u8]) {
    if let Ok(Ok(page)) = PrismPage::read(body) {
        for row in &page.rows {
            assert!(!row.device.as_str().trim().is_empty());
        }
    }
    let Ok(mut details) = json::value(body) else { return };
    json::cut_texts(&mut details);
    assert!(!json::cut_texts(&mut details), "it is cut once and for all");
    for path in
        ["details.general.model", "details.volumes[0].capacity", "details.users.regular_users[0].username"]
    {
        if let Ok(path) = PropertyPath::parse(path) {
            let mut value = path.lookup(&details).cloned().unwrap_or_default();
            json::cut_value(&mut value);
            assert!(json::length(&value) <= LONGEST_VALUE, "{} bytes", json::length(&value));
        }
    }
}
