//! Times in every form, and what orders messages.

use std::time::{Duration, SystemTime};

use amfj_sync_config::Percent;
use amfj_sync_config::values::{parse_duration, show_duration};
use amfj_sync_http::{LONGEST_RETRY_AFTER, parse_retry_after};
use amfj_sync_kandji::parse_timestamp;
use amfj_sync_model::messages::Sequence;

pub(crate) fn read(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(time) = parse_timestamp(&text) {
        assert_eq!(parse_timestamp(&time.to_string()), Some(time));
    }
    for seconds in [0, 1_795_000_000] {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        if let Some(pause) = parse_retry_after(&text, now) {
            assert!(pause <= LONGEST_RETRY_AFTER, "{pause:?}");
        }
    }
    if let Ok(place) = text.parse::<Sequence>() {
        assert_eq!(place.to_string().parse(), Ok(place));
        let next = place.next();
        assert!(next > place || place.step == u32::MAX);
        // As texts they stand in the same order.
        assert!(
            next.to_string() > place.to_string() || place.step >= 99_999 || place.run > 9_999_999_999_999_999
        );
    }
    if let Some(duration) = parse_duration(&text) {
        assert_eq!(parse_duration(&show_duration(duration)), Some(duration));
    }
    if let Some(percent) = Percent::parse(&text) {
        assert_eq!(Percent::parse(&percent.to_string()), Some(percent));
    }
}
