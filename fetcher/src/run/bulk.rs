//! Mapped details that Kandji also has in Prism: read for 300 Macs at once, not for each on its own (P17).
//!
//! Only where Prism has all of them: as soon as one request a device is needed, it brings the others too.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use amfj_sync_backoff::retry;
use amfj_sync_config::{Bulk as Setting, Integration};
use amfj_sync_kandji::{KandjiError, PrismPage};
use amfj_sync_model::ids::DeviceId;
use amfj_sync_model::mapping::PropertyPath;
use amfj_sync_model::messages::Details;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use serde_json::{Map, Value};

use super::fleet::ListedDevice;
use super::{Halt, Leader};

/// A mapped detail and the column of Prism's *device information* with the same value. Source: the details
/// and the Prism row of one Mac. Of an iPad, Prism names a model where the details have none, so only Macs
/// count; `model_identifier` is null in Prism where the details have one.
const COLUMNS: [(&str, &str); 2] = [
    ("details.hardware_overview.model_name", "model_name"),
    ("details.network.local_hostname", "local_hostname"),
];

/// The platform that both describe alike.
const PLATFORM: &str = "Mac";

/// Kandji collects what Prism shows a little later than a device checks in, and clocks differ.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);

/// After this long everything is read again, whatever was updated since.
const WHOLE_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Pages in a row that may name no device that is wanted: those of other platforms, or out of scope.
const MOST_BARREN: u32 = 100;

/// What is read in bulk, and how far.
#[derive(Debug)]
pub(super) struct Bulk {
    /// Mapped properties with their columns; none where Prism is not to be used.
    columns: Vec<(String, &'static str)>,
    refused: AtomicBool,
    known: Mutex<Known>,
    /// What the present run read and has not said yet.
    reading: Mutex<Option<Reading>>,
}

/// What the runs before brought. Kept in memory only: whoever takes over reads everything once.
#[derive(Debug, Default)]
struct Known {
    /// When the last reading, and the last of everything, began.
    last: Option<Timestamp>,
    whole: Option<Timestamp>,
    /// Devices of which Prism has all mapped properties.
    devices: HashSet<DeviceId>,
}

/// What one reading brought.
#[derive(Debug)]
struct Reading {
    began: Timestamp,
    /// From when on rows were asked for; none for everything.
    since: Option<Timestamp>,
    /// Devices with all mapped properties, and those that lack one.
    complete: HashSet<DeviceId>,
    incomplete: HashSet<DeviceId>,
    /// Pages in a row without a device that was not read yet.
    barren: u32,
}

impl Reading {
    fn devices(&self) -> usize {
        self.complete.len() + self.incomplete.len()
    }
}

impl Known {
    /// From when on rows are asked for: everything where nothing, or nothing lately, was read as a whole.
    fn since(&self, now: Timestamp) -> Option<Timestamp> {
        self.whole.filter(|whole| now.duration_since(*whole).abs() < WHOLE_AFTER)?;
        self.last?.checked_sub(OVERLAP).ok()
    }

    /// Whether the rows of this device that were read last, or were not updated since, have everything.
    fn covers(&self, reading: &Reading, device: &DeviceId) -> bool {
        let before = || reading.since.is_some() && self.devices.contains(device);
        reading.complete.contains(device) || (!reading.incomplete.contains(device) && before())
    }

    fn take(&mut self, reading: Reading) {
        self.last = Some(reading.began);
        if reading.since.is_none() {
            self.whole = Some(reading.began);
            self.devices.clear();
        }
        self.devices.retain(|device| !reading.incomplete.contains(device));
        self.devices.extend(reading.complete);
    }
}

impl Bulk {
    pub(super) fn of(config: &Integration) -> Self {
        let columns = match columns(config) {
            Ok(columns) => columns,
            Err(property) => {
                tracing::info!(integration = %config.id, property,
                    "kandji.bulk has no effect: a mapped property is only in the details of each device");
                Vec::new()
            }
        };
        Self { columns, refused: AtomicBool::new(false), known: Mutex::default(), reading: Mutex::default() }
    }

    /// What was read has been said: the next reading begins there. A run that fails before reads it again.
    pub(super) fn is_said(&self) {
        if let Some(reading) = self.reading.lock().take() {
            self.known.lock().take(reading);
        }
    }

    fn is_used(&self) -> bool {
        !self.columns.is_empty() && !self.refused.load(Ordering::Relaxed)
    }

    /// The mapped values of a row; none unless it has all of them.
    fn details_of(&self, row: &Map<String, Value>, check_in: &str) -> Option<Details> {
        let value = |column: &str| row.get(column).filter(|value| !value.is_null()).cloned();
        let values = self.columns.iter().map(|(name, column)| Some((name.clone(), value(column)?)));
        Some(Details { check_in: check_in.to_owned(), values: values.collect::<Option<_>>()? })
    }
}

/// The mapped details with their columns, none without `kandji.bulk`; or a mapped detail that Prism lacks.
pub fn columns(config: &Integration) -> Result<Vec<(String, &'static str)>, String> {
    if config.kandji.bulk == Setting::Off {
        return Ok(Vec::new());
    }
    let details = config.fields.properties().into_iter().filter(PropertyPath::is_details);
    let with_column = details.map(|path| {
        let name = path.to_string();
        match COLUMNS.iter().find(|(mapped, _)| *mapped == name) {
            Some((_, column)) => Ok((name, *column)),
            None => Err(name),
        }
    });
    with_column.collect()
}

/// What came of it.
pub(super) enum BulkRead {
    /// These are still to be read one by one.
    Left(Vec<DeviceId>),
    /// Kandji fails for now, or the hour is used up: the next run tries again.
    Later,
}

impl Leader {
    /// Reads Prism if devices are due, and keeps what it says of all devices of the walk.
    pub(super) async fn read_in_bulk(&self, due: Vec<DeviceId>, reserve: u32) -> Result<BulkRead, Halt> {
        if due.is_empty() || !self.bulk.is_used() {
            return Ok(BulkRead::Left(due));
        }
        let began = Timestamp::now();
        let since = self.bulk.known.lock().since(began);
        let mut reading =
            Reading { began, since, complete: HashSet::new(), incomplete: HashSet::new(), barren: 0 };
        let mut cursors = HashSet::new();
        let mut cursor: Option<String> = None;
        loop {
            if self.requests_left() <= reserve {
                return Ok(BulkRead::Later);
            }
            let page = match self.prism_page(since, cursor.as_deref()).await {
                Ok(page) => page,
                Err(KandjiError::Cancelled) => return Err(Halt::Stopping),
                Err(error) => return Ok(self.without_prism(&error, due)),
            };
            let before = reading.devices();
            self.take_page(&page, &mut reading)?;
            reading.barren = if reading.devices() > before { 0 } else { reading.barren + 1 };
            if reading.barren > MOST_BARREN {
                // Of devices that nobody knows there are ever more: what was read is good, and the rest waits.
                tracing::warn!(integration = %self.config.id, run = self.latest_run(),
                    "Prism has no end: {MOST_BARREN} pages in a row name no device that was not read; mapped details of the \
                     others stay as they are until the next run");
                return Ok(BulkRead::Later);
            }
            self.progress.say(format!("reading Prism: {} devices", reading.complete.len()));
            match page.next {
                // A cursor that comes again leads nowhere.
                Some(next) if cursors.insert(next.clone()) => cursor = Some(next),
                _ => break,
            }
        }
        let left = self.left_by(&reading, due)?;
        *self.bulk.reading.lock() = Some(reading);
        Ok(BulkRead::Left(left))
    }

    /// The due devices that are still to be read one by one. A row that was not updated says what it said.
    fn left_by(&self, reading: &Reading, due: Vec<DeviceId>) -> Result<Vec<DeviceId>, Halt> {
        let mut left = Vec::new();
        for id in due {
            if !self.bulk.known.lock().covers(reading, &id) {
                left.push(id);
                continue;
            }
            if reading.complete.contains(&id) {
                continue;
            }
            let known = self.state.read(|view| view.device(&id)).and_then(|row| row.entry.details);
            let known = known.filter(|known| self.mapped.is_covered_by(known, &self.proofs.lock().left_out));
            match (self.listed(&id)?, known) {
                (Some(mut listed), Some(known)) => {
                    let check_in = listed.check_in.clone();
                    listed.entry.details = Some(Details { check_in, ..known });
                    self.keep_again(&listed)?;
                }
                _ => left.push(id),
            }
        }
        Ok(left)
    }

    async fn prism_page(
        &self,
        since: Option<Timestamp>,
        cursor: Option<&str>,
    ) -> Result<PrismPage, KandjiError> {
        let reading = retry(&self.details, &self.stop, || self.kandji.device_information(since, cursor));
        match self.stop.run_until_cancelled(reading).await {
            Some(read) => Ok(read?),
            None => Err(KandjiError::Cancelled),
        }
    }

    /// 403 and 404 say that the category is not to be had, which is no failure of the run.
    fn without_prism(&self, error: &KandjiError, due: Vec<DeviceId>) -> BulkRead {
        if error.is_not_to_be_had() {
            tracing::warn!(integration = %self.config.id, %error,
                "Prism cannot be read, so the details of each device are; give the permission, or set kandji.bulk = \"off\"");
            self.bulk.refused.store(true, Ordering::Relaxed);
            return BulkRead::Left(due);
        }
        tracing::warn!(integration = %self.config.id, run = self.latest_run(), %error,
            "Prism cannot be read now; mapped details stay as they are until the next run");
        BulkRead::Later
    }

    fn take_page(&self, page: &PrismPage, reading: &mut Reading) -> Result<(), Halt> {
        for row in &page.rows {
            let Some(mut listed) = self.listed(&row.device)?.filter(is_read) else { continue };
            let Some(details) = self.bulk.details_of(&row.columns, &listed.check_in) else {
                reading.incomplete.insert(row.device.clone());
                continue;
            };
            reading.complete.insert(row.device.clone());
            listed.entry.details = Some(details);
            self.keep_again(&listed)?;
        }
        Ok(())
    }
}

fn is_read(listed: &ListedDevice) -> bool {
    listed.entry.in_scope && !listed.entry.removed && listed.entry.platform == PLATFORM
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_hours(hours)
    }

    fn device(id: &str) -> DeviceId {
        DeviceId::new(id).unwrap_or_else(|_| unreachable!("{id} is an id"))
    }

    fn reading(
        began: Timestamp,
        since: Option<Timestamp>,
        complete: &[&str],
        incomplete: &[&str],
    ) -> Reading {
        let set = |ids: &[&str]| ids.iter().map(|id| device(id)).collect();
        Reading { began, since, complete: set(complete), incomplete: set(incomplete), barren: 0 }
    }

    #[test]
    fn everything_is_read_first_and_once_a_day_and_what_is_between_overlaps() {
        let mut known = Known::default();
        assert_eq!(known.since(at(100)), None);
        known.take(reading(at(100), None, &["a"], &[]));
        assert_eq!(known.since(at(101)), Some(at(99)), "an hour before the last reading");
        known.take(reading(at(101), Some(at(99)), &["b"], &[]));
        assert_eq!(known.since(at(102)), Some(at(100)));
        assert_eq!(known.since(at(124)), None, "a day after everything was read");
        assert_eq!(known.since(at(70)), None, "the clock was set back");
    }

    #[test]
    fn a_row_that_was_not_updated_says_what_it_said_unless_it_lacked_something() {
        let mut known = Known::default();
        let first = reading(at(100), None, &["a", "b"], &["c"]);
        assert!(known.covers(&first, &device("a")) && !known.covers(&first, &device("c")));
        assert!(!known.covers(&first, &device("d")), "Prism does not know it");
        known.take(first);
        let second = reading(at(101), Some(at(99)), &["c"], &["b"]);
        assert!(known.covers(&second, &device("a")), "it was not updated");
        assert!(!known.covers(&second, &device("b")), "it lost a value");
        assert!(known.covers(&second, &device("c")));
        known.take(second);
        let third = reading(at(102), Some(at(100)), &[], &[]);
        assert!(!known.covers(&third, &device("b")) && known.covers(&third, &device("c")));
        let whole = reading(at(130), None, &["b"], &[]);
        assert!(!known.covers(&whole, &device("a")), "it is gone from Prism");
    }
}
