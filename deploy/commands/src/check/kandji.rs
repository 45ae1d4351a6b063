//! Kandji: address, token, permissions, what is left of the hour, and the people.

use std::collections::BTreeMap;

use amfj_sync_backoff::{Policy, retry};
use amfj_sync_config::{Bulk, Integration};
use amfj_sync_kandji::{Device, KandjiClient, KandjiError, Limits, PAGE};
use amfj_sync_model::ids::UserKey;
use amfj_sync_model::messages::{Outcome, PrimaryUser};
use amfj_sync_service::worker::Exit;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::Asking;
use super::report::{Report, counted};
use amfj_sync_fetcher::reading::{Mapped, Person, columns, read_row};

/// Devices whose details are looked at.
const DETAILS: usize = 6;
/// Below this many requests, an hour is nearly used up.
const FEW: u32 = 100;

/// A few devices, as they came.
#[derive(Debug)]
pub(crate) struct Sample {
    /// Rows of the device list.
    pub(crate) rows: Vec<Value>,
    /// Details of some of them; empty where they are not needed or could not be read.
    pub(crate) details: Vec<Value>,
    /// Whether these are all rows there are: what a few do not have others may (P18).
    pub(crate) whole: bool,
}

/// None where the list cannot be read, so that nothing can be said about the mapping. `left` is what the leading fetcher
/// says of the hour's requests.
pub(super) async fn check(
    integration: &Integration,
    asking: &Asking,
    left: impl Future<Output = Option<u32>>,
    report: &mut Report,
) -> Result<Option<Sample>, Exit> {
    look(integration, asking, left, integration.fields.needs_details(), report).await
}

/// The same; `is_needed` says whether details are looked at that no mapped property needs yet.
pub(crate) async fn look(
    integration: &Integration,
    asking: &Asking,
    left: impl Future<Output = Option<u32>>,
    is_needed: bool,
    report: &mut Report,
) -> Result<Option<Sample>, Exit> {
    let limits = Limits::new(&integration.id, integration.kandji.requests_per_hour, Vec::new());
    let client = KandjiClient::from_config(&integration.kandji, limits)
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    let Asking { reads, stop, .. } = asking;
    let listed = retry(&asking.first, stop, || client.devices(0));
    let page = match asking.first(client.api(), listed).await {
        Ok(Ok(page)) => page,
        Ok(Err(stopped)) => {
            let (said, cure) = KandjiError::from(stopped).parts();
            let (said, cure) = match cure {
                Some(cure) => (format!("Kandji: the device list cannot be read: {said}"), cure),
                None => ("Kandji: the device list cannot be read".to_owned(), said),
            };
            report.failed(said, cure);
            return Ok(None);
        }
        Err((said, cure)) => {
            report.failed_with(format!("Kandji: the device list cannot be read: {said}"), cure);
            return Ok(None);
        }
    };
    let more = if page.rows >= u64::from(PAGE) { " or more" } else { "" };
    if page.devices.is_empty() && !integration.sync.allow_empty {
        report.failed(
            "Kandji: the device list is empty",
            "check that kandji.api_url and kandji.token are those of the right tenant, or set allow_empty = true",
        );
    } else {
        let rows = usize::try_from(page.rows).unwrap_or(usize::MAX);
        let visible = counted(rows, more, "device", "devices");
        report.ok(format!("Kandji: token and permission “Device list”: {visible} visible"));
    }
    for reason in page.malformed.iter().take(3) {
        report.warning(format!("Kandji: {reason}"), "it is left out; ask Kandji's support about it");
    }
    report_people(integration, &page.devices, report);
    let details = check_details(&client, &page.devices, is_needed, reads, stop, report).await;
    check_prism(integration, &client, reads, stop, report).await;
    report_budget(integration, &client, left.await, report);
    let whole = page.rows < u64::from(PAGE);
    Ok(Some(Sample { rows: page.devices.into_iter().map(Value::from).collect(), details, whole }))
}

/// Without this permission nothing can be said of a device that leaves the list either (P22).
async fn check_details(
    client: &KandjiClient,
    devices: &[Device],
    is_needed: bool,
    reads: &Policy,
    stop: &CancellationToken,
    report: &mut Report,
) -> Vec<Value> {
    let looked_at = varied(devices, if is_needed { DETAILS } else { 1 });
    let mut found = Vec::new();
    for device in &looked_at {
        let id = &device.device_id;
        match retry(reads, stop, || client.details(id)).await.map_err(KandjiError::from) {
            Ok(details) => found.extend(details),
            Err(error) if is_needed => {
                report.failed("Kandji: the details of a device cannot be read", error.to_string());
                return found;
            }
            Err(error) => {
                report.warning(
                    "Kandji: the details of a device cannot be read; no mapped property needs them, but \
                     a device that leaves Kandji is then never taken for gone",
                    error.to_string(),
                );
                return found;
            }
        }
    }
    if !looked_at.is_empty() {
        let read = if is_needed { "" } else { "; no mapped property needs them" };
        report.ok(format!("Kandji: permission “Device details”{read}"));
    }
    found
}

/// Without it the details are read one by one, so nothing of this is an error.
async fn check_prism(
    integration: &Integration,
    client: &KandjiClient,
    reads: &Policy,
    stop: &CancellationToken,
    report: &mut Report,
) {
    if integration.kandji.bulk == Bulk::Off {
        return;
    }
    match columns(integration) {
        Err(property) => report.warning(
            format!("Kandji: kandji.bulk has no effect: Prism does not have the mapped {property}"),
            "the details of each device are read anyway; leave kandji.bulk out, or do not map it",
        ),
        Ok(columns) if columns.is_empty() => {
            report.ok("Kandji: kandji.bulk has no effect: no mapped property needs details".to_owned());
        }
        Ok(_) => {
            let read = retry(reads, stop, || client.device_information(None, None)).await;
            match read.map_err(KandjiError::from) {
                Ok(_) => report.ok("Kandji: permission “Prism: Device information”".to_owned()),
                Err(error) => report.warning(
                    "Kandji: Prism cannot be read, so the details of each device are",
                    error.to_string(),
                ),
            }
        }
    }
}

/// A few devices, of each platform one before any has two: details differ by platform.
fn varied(devices: &[Device], most: usize) -> Vec<&Device> {
    let mut seen: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, &Device)> = devices
        .iter()
        .map(|device| {
            let rank = seen.entry(device.platform.as_deref()).or_default();
            *rank += 1;
            (*rank, device)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().take(most).map(|(_, device)| device).collect()
}

/// `left` is what the leading fetcher says, which knows what it has used; none where none runs.
fn report_budget(integration: &Integration, client: &KandjiClient, left: Option<u32>, report: &mut Report) {
    let (own, share) = (client.limits().available(), integration.kandji.requests_per_hour);
    let left = left.map_or(own, |left| left.min(own));
    let line = format!("Kandji: {left} requests left in this hour, of a share of {share}");
    if left < FEW {
        report.warning(line, "other tools of the tenant use the same 10,000 an hour; details will wait");
    } else {
        report.ok(line);
    }
}

/// Emails are what most people are matched by (P10).
fn report_people(integration: &Integration, devices: &[Device], report: &mut Report) {
    let mapped = Mapped::of(integration);
    let mut people: BTreeMap<UserKey, Person> = BTreeMap::new();
    let mut unusable = 0_usize;
    for device in devices {
        let row = read_row(device.clone(), &integration.scope, &mapped);
        unusable += usize::from(matches!(row.listed.entry.user, PrimaryUser::Unusable { .. }));
        if let Some(named) = row.person {
            people.entry(named.key.clone()).or_default().meet(named);
        }
    }
    let without = people.iter().filter(|(key, person)| person.entry(key).email.is_none()).count();
    let with =
        if without == 0 { "all of them with email".into() } else { format!("{without} without email") };
    let line = format!("Kandji: {} on these devices, {with}", counted(people.len(), "", "person", "people"));
    if without > 0 {
        let cure = if integration.user_fields.maps(Outcome::NAME, "user.name") {
            "they are matched by name, as user_fields maps Name from user.name"
        } else {
            "they are matched by name only if user_fields maps Name from user.name"
        };
        report.warning(line, cure);
    } else {
        report.ok(line);
    }
    if unusable > 0 {
        report.warning(
            format!("Kandji: {} no id of the user", counted(unusable, "", "device names", "devices name")),
            "such users are ignored; assign these devices to their users anew in Kandji",
        );
    }
}
