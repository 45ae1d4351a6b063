//! What people and devices do between two runs, on both sides, each told in a line.

use std::time::Duration;

use anyhow::Result;
use rand::seq::IndexedRandom;
use rand::{Rng, rngs::StdRng};
use serde_json::json;

use super::Stage;
use crate::sim::fleet::{Device, SiteAsset};
use crate::sim::kandji::{KandjiSim, NewDevice, NewOwner};

/// More devices than this make way for new ones.
const MOST_DEVICES: usize = 45;

/// Changes that lead to a creation, an update and a hand-over, and some more.
pub(super) fn make(rng: &mut StdRng, stage: &Stage) -> Result<Vec<String>> {
    let kandji = &stage.services.kandji;
    let mut story = vec![
        join(rng, kandji)?,
        join(rng, kandji)?,
        new_version(rng, kandji)?,
        give_to_newcomer(rng, kandji)?,
        give_to_colleague(rng, kandji)?,
    ];
    for _ in 0..rng.random_range(2..6) {
        let change = if rng.random_bool(0.6) { in_kandji(rng, kandji)? } else { in_amfj(rng, stage)? };
        story.extend(change);
    }
    while kandji.devices().len() > MOST_DEVICES {
        story.push(leave(rng, kandji)?);
    }
    Ok(story)
}

/// Changes of values alone, which may come while an earlier run is still being worked on: they lead to
/// the same end whether or not what they replace was written.
pub(super) fn make_more(rng: &mut StdRng, stage: &Stage) -> Result<Vec<String>> {
    let kandji = &stage.services.kandji;
    (0..rng.random_range(3..8)).map(|_| new_version(rng, kandji)).collect()
}

/// A pause before these.
pub(super) fn pause_before_more(rng: &mut StdRng) -> Option<Duration> {
    rng.random_bool(0.5).then(|| Duration::from_millis(rng.random_range(200..2_000)))
}

fn any_device(rng: &mut StdRng, kandji: &KandjiSim) -> Device {
    let mut devices = kandji.devices();
    devices.sort_by(|a, b| (&a.serial_number, &a.device_id).cmp(&(&b.serial_number, &b.device_id)));
    devices[rng.random_range(0..devices.len())].clone()
}

fn any_asset(rng: &mut StdRng, stage: &Stage) -> Option<SiteAsset> {
    // Ids depend on the order of creations, which no seed decides.
    let mut assets = stage.services.amfj.assets();
    assets.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    assets.choose(rng).cloned()
}

fn join(rng: &mut StdRng, kandji: &KandjiSim) -> Result<String> {
    let number = rng.random_range(0..10_000_000);
    let owner = NewOwner {
        name: format!("Joiner {number}"),
        email: Some(format!("joiner{number}@example.com")),
        ..NewOwner::default()
    };
    // Last in Kandji's order: a fault takes the first ones away, and who comes and goes within one episode is checked
    // out and in again, which would look like a value that goes to and fro.
    let id = Some(format!("ffffffff-ffff-4fff-8fff-{number:012}"));
    let new = NewDevice { id, name: format!("Joined {number}"), owner: Some(owner), ..NewDevice::default() };
    let device = kandji.add_device(new)?;
    Ok(format!("Kandji: {} (Joined {number}) enrolled for Joiner {number}", device.device_id))
}

/// What became of a change to a device. A fault lets devices leave while their list is read, at any moment, also
/// between choosing one and changing it: then there is nothing to change any more, and the story says so.
fn told<T>(kandji: &KandjiSim, id: &str, change: Result<T>, what: &str) -> Result<String> {
    match change {
        Ok(_) => Ok(format!("Kandji: {id} {what}")),
        Err(_) if kandji.device(id).is_none() => {
            Ok(format!("Kandji: {id} left, before it was to be: {what}"))
        }
        Err(error) => Err(error),
    }
}

fn leave(rng: &mut StdRng, kandji: &KandjiSim) -> Result<String> {
    let id = any_device(rng, kandji).device_id;
    told(kandji, &id, kandji.remove_device(&id), "left")
}

fn new_version(rng: &mut StdRng, kandji: &KandjiSim) -> Result<String> {
    let id = any_device(rng, kandji).device_id;
    let version = format!("{}.{}", rng.random_range(10..40), rng.random_range(0..1_000_000));
    told(kandji, &id, kandji.set(&id, "os_version", json!(version)), &format!("has OS {version}"))
}

fn give_to_newcomer(rng: &mut StdRng, kandji: &KandjiSim) -> Result<String> {
    let id = any_device(rng, kandji).device_id;
    let number = rng.random_range(0..10_000_000);
    let given = kandji.give_to(&id, &format!("Newcomer {number}"), &format!("new{number}@example.com"));
    told(kandji, &id, given, &format!("given to Newcomer {number}"))
}

fn give_to_colleague(rng: &mut StdRng, kandji: &KandjiSim) -> Result<String> {
    let id = any_device(rng, kandji).device_id;
    let other = any_device(rng, kandji);
    let given = kandji.set_user(&id, other.user.person().cloned());
    told(kandji, &id, given, &format!("given to the owner of {}", other.device_id))
}

fn in_kandji(rng: &mut StdRng, kandji: &KandjiSim) -> Result<Option<String>> {
    let id = any_device(rng, kandji).device_id;
    let number = rng.random_range(0..10_000_000);
    let (change, what) = match rng.random_range(0..8) {
        0 => {
            let name = format!("Renamed {number}");
            (kandji.rename(&id, &name), format!("renamed to {name}"))
        }
        1 => (kandji.set_user(&id, None), "has no owner any more".to_owned()),
        2 => return leave(rng, kandji).map(Some),
        3 => match kandji.reenroll(&id) {
            Ok(device) => (Ok(()), format!("wiped, is now {}", device.device_id)),
            Err(error) => (Err(error), "wiped".to_owned()),
        },
        4 => {
            let tag = format!("TAG-{number}");
            (kandji.set(&id, "asset_tag", json!(tag)), format!("has asset tag {tag}"))
        }
        5 => {
            let memory = format!("{} GB", number % 1_000);
            (kandji.set_detail(&id, "hardware_overview.memory", json!(memory)), format!("has {memory}"))
        }
        6 => return give_to_colleague(rng, kandji).map(Some),
        _ => return new_version(rng, kandji).map(Some),
    };
    told(kandji, &id, change, &what).map(Some)
}

fn in_amfj(rng: &mut StdRng, stage: &Stage) -> Result<Option<String>> {
    let amfj = &stage.services.amfj;
    let Some(asset) = any_asset(rng, stage) else { return Ok(None) };
    let (id, name) = (asset.id.as_str(), &asset.name);
    let number = rng.random_range(0..10_000_000);
    let told = match rng.random_range(0..5) {
        0 => {
            amfj.rename_asset(id, &format!("By hand {number}"))?;
            format!("AMFJ: {id} ({name}) renamed to By hand {number}")
        }
        1 => {
            let mut users = amfj.users();
            users.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
            let Some(user) = users.choose(rng) else { return Ok(None) };
            amfj.check_out(id, &user.id)?;
            format!("AMFJ: {id} ({name}) checked out to {} ({}) by hand", user.id, user.name)
        }
        2 => {
            amfj.check_in(id)?;
            format!("AMFJ: {id} ({name}) checked in by hand")
        }
        3 => {
            amfj.delete_asset(id)?;
            format!("AMFJ: {id} ({name}) deleted")
        }
        _ => {
            // Some types have no such field.
            if amfj.set_field(id, "Asset Tag", json!(format!("by hand {number}"))).is_err() {
                return Ok(None);
            }
            format!("AMFJ: Asset Tag of {id} ({name}) edited by hand")
        }
    };
    Ok(Some(told))
}
