//! Kandji: address, token, permissions, what is left of the hour, and the people.

use amfj_sync_shared::config::Integration;
use amfj_sync_shared::messages::PrimaryUser;
use amfj_sync_shared::retry::{Policy, retry};
use amfj_sync_shared::worker::Exit;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::report::Report;
use crate::kandji::{Device, KandjiClient, KandjiError, Limits, PAGE};
use crate::run::fleet::{Mapped, People, read_row};

/// Devices whose details are looked at.
const DETAILS: usize = 3;
/// Below this many requests, an hour is nearly used up.
const FEW: u32 = 100;

/// A few devices, as they came.
#[derive(Debug, Default)]
pub(super) struct Sample {
    /// Rows of the device list.
    pub(super) rows: Vec<Value>,
    /// Details of some of them; empty where they are not needed or could not be read.
    pub(super) details: Vec<Value>,
}

/// None where the list cannot be read, so that nothing can be said about the mapping.
pub(super) async fn check(
    integration: &Integration,
    reads: &Policy,
    stop: &CancellationToken,
    report: &mut Report,
) -> Result<Option<Sample>, Exit> {
    let limits = Limits::new(&integration.id, integration.kandji.requests_per_hour, Vec::new());
    let client = KandjiClient::from_config(&integration.kandji, limits)
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    let page = match retry(reads, stop, || client.devices(0)).await.map_err(KandjiError::from) {
        Ok(page) => page,
        Err(error) => {
            report.failed("Kandji: the device list cannot be read", error.to_string());
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
        report.ok(format!("Kandji: token and permission “Device list”: {}{more} devices visible", page.rows));
    }
    for reason in page.malformed.iter().take(3) {
        report.warning(format!("Kandji: {reason}"), "it is left out; ask Kandji's support about it");
    }
    report_people(integration, &page.devices, report);
    let mut sample = Sample::default();
    if integration.fields.needs_details() {
        sample.details = check_details(&client, &page.devices, reads, stop, report).await;
    } else {
        report.ok("Kandji: details are not needed by the mapping, so they are never requested");
    }
    report_budget(integration, &client, report);
    sample.rows = page.devices.into_iter().map(Value::from).collect();
    Ok(Some(sample))
}

async fn check_details(
    client: &KandjiClient,
    devices: &[Device],
    reads: &Policy,
    stop: &CancellationToken,
    report: &mut Report,
) -> Vec<Value> {
    let mut found = Vec::new();
    for device in devices.iter().take(DETAILS) {
        let id = &device.device_id;
        match retry(reads, stop, || client.details(id)).await.map_err(KandjiError::from) {
            Ok(details) => found.extend(details),
            Err(error) => {
                report.failed("Kandji: the details of a device cannot be read", error.to_string());
                return found;
            }
        }
    }
    if !devices.is_empty() {
        report.ok("Kandji: permission “Device details”");
    }
    found
}

fn report_budget(integration: &Integration, client: &KandjiClient, report: &mut Report) {
    let (left, share) = (client.limits().available(), integration.kandji.requests_per_hour);
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
    let mut people = People::default();
    let mut unusable = 0_usize;
    for device in devices {
        let row = read_row(device.clone(), &integration.scope, &mapped);
        unusable += usize::from(matches!(row.listed.entry.user, PrimaryUser::Unusable { .. }));
        row.person.into_iter().for_each(|person| people.meet(person));
    }
    let without = people.entries().filter(|person| person.email.is_none()).count();
    let line = format!("Kandji: {} people on these devices, {without} without email", people.len());
    if without > 0 {
        report.warning(line, "they are matched by name only if user_fields maps Name from user.name");
    } else {
        report.ok(line);
    }
    if unusable > 0 {
        report.warning(
            format!("Kandji: {unusable} devices name a user without id"),
            "these users are ignored; assign the devices to their users anew in Kandji",
        );
    }
}
