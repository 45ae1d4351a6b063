//! Random changes between two runs, on both sides, each told in a line.

use crate::model::Model;
use crate::pipeline::Services;
use crate::sim::fleet::{Device, SiteAsset};
use crate::sim::kandji::{Mutation, NewDevice, NewOwner};
use anyhow::Result;
use rand::{Rng, rngs::StdRng};
use serde_json::json;

/// Makes up to a dozen changes; what does not apply is left out.
pub(super) fn random(rng: &mut StdRng, services: &Services, model: &Model) -> Result<Vec<String>> {
    let mut story = Vec::new();
    for _ in 0..rng.random_range(4..14) {
        let device = any(rng, &services.kandji.devices());
        let asset = any(rng, &services.amfj.assets());
        let change = if rng.random_bool(0.55) {
            in_kandji(rng, services, &device)?
        } else {
            in_amfj(rng, services, model, &asset)?
        };
        story.extend(change);
    }
    Ok(story)
}

fn any<T: Clone>(rng: &mut StdRng, all: &[T]) -> T {
    all[rng.random_range(0..all.len())].clone()
}

fn in_kandji(rng: &mut StdRng, services: &Services, device: &Device) -> Result<Option<String>> {
    let kandji = &services.kandji;
    let id = device.device_id.as_str();
    let number = rng.random_range(0..1_000_000);
    let told = match rng.random_range(0..16) {
        0 => {
            kandji.rename(id, &format!("Renamed {number}"))?;
            format!("Kandji: {id} renamed to Renamed {number}")
        }
        1 => {
            kandji.give_to(id, &format!("New Person {number}"), &format!("new{number}@example.com"))?;
            format!("Kandji: {id} given to new{number}@example.com")
        }
        2 => {
            let other = any(rng, &kandji.devices());
            kandji.set_user(id, other.user.person().cloned())?;
            format!("Kandji: {id} given to the owner of {}: {:?}", other.device_id, other.user)
        }
        3 => {
            kandji.set_user(id, None)?;
            format!("Kandji: {id} has no owner any more")
        }
        4 => {
            let owner = rng
                .random_bool(0.5)
                .then(|| NewOwner { name: format!("Joiner {number}"), ..NewOwner::default() });
            let name = if rng.random_bool(0.3) {
                any(rng, &services.amfj.assets()).name
            } else {
                format!("Joined {number}")
            };
            let new = NewDevice { name: name.clone(), owner, ..NewDevice::default() };
            format!("Kandji: new device {name:?}: {}", kandji.add_device(new)?.device_id)
        }
        5 => {
            kandji.remove_device(id)?;
            format!("Kandji: {id} left")
        }
        6 => format!("Kandji: {id} wiped, is now {}", kandji.reenroll(id)?.device_id),
        7 => {
            let version = format!("{}.{}", rng.random_range(10..30), rng.random_range(0..9));
            kandji.set(id, "os_version", json!(version))?;
            format!("Kandji: {id} has OS {version}")
        }
        8 => {
            let tag = if rng.random_bool(0.3) { String::new() } else { format!("TAG-{number}") };
            kandji.set(id, "asset_tag", json!(tag))?;
            format!("Kandji: {id} has asset tag {tag:?}")
        }
        9 => {
            let memory = any(rng, &["96 GB", "128 GB"]);
            kandji.set_detail(id, "hardware_overview.memory", json!(memory))?;
            format!("Kandji: {id} has {memory}")
        }
        10 => return archive_owner(services, device),
        11 => {
            let tags: Vec<String> = device.tags.iter().flatten().rev().cloned().collect();
            kandji.set(id, "tags", json!(tags))?;
            format!("Kandji: {id} lists its tags in another order: {tags:?}")
        }
        12 => {
            let name = any(rng, &services.amfj.assets()).name;
            let spelt = any(rng, &[format!("{name}!"), name.replace(['\'', '’'], "ʼ"), name.to_uppercase()]);
            kandji.rename(id, &spelt)?;
            format!("Kandji: {id} renamed to {spelt:?}, which is nearly {name:?}")
        }
        13 => {
            let serial = any(rng, &["unknown", "", "000000", "Default string", "LOT-2026-07"]);
            kandji.set(id, "serial_number", json!(serial))?;
            format!("Kandji: {id} has the serial {serial:?}")
        }
        14 => return another_id(services, device, number),
        _ => return rename_owner(services, device, number),
    };
    Ok(Some(told))
}

/// Another identity provider: the same person under a new id.
fn another_id(services: &Services, device: &Device, number: u32) -> Result<Option<String>> {
    let Some(person) = device.user.person().filter(|person| person.id_text().is_some()) else {
        return Ok(None);
    };
    let mut moved = person.clone();
    moved.id = json!(format!("moved-{number}"));
    services.kandji.set_user(&device.device_id, Some(moved))?;
    Ok(Some(format!("Kandji: owner of {} {person:?} has the id moved-{number}", device.device_id)))
}

fn archive_owner(services: &Services, device: &Device) -> Result<Option<String>> {
    let Some(person) = device.user.person().filter(|person| person.id_text().is_some()) else {
        return Ok(None);
    };
    let owner = NewOwner {
        id: Some(person.id.clone()),
        email: person.email.clone(),
        is_archived: !person.is_archived,
        ..NewOwner::default()
    };
    services.kandji.apply(Mutation::SetOwner { device: device.device_id.clone(), owner: Some(owner) })?;
    Ok(Some(format!("Kandji: owner of {} {person:?} archived or back", device.device_id)))
}

fn rename_owner(services: &Services, device: &Device, number: u32) -> Result<Option<String>> {
    let Some(person) = device.user.person().filter(|person| person.id_text().is_some()) else {
        return Ok(None);
    };
    let name = format!("Married {number}");
    let owner = NewOwner {
        id: Some(person.id.clone()),
        email: person.email.clone(),
        name: name.clone(),
        is_archived: person.is_archived,
    };
    services.kandji.apply(Mutation::SetOwner { device: device.device_id.clone(), owner: Some(owner) })?;
    Ok(Some(format!("Kandji: owner of {} {person:?} is now {name}", device.device_id)))
}

fn in_amfj(
    rng: &mut StdRng,
    services: &Services,
    model: &Model,
    asset: &SiteAsset,
) -> Result<Option<String>> {
    let amfj = &services.amfj;
    let id = asset.id.as_str();
    let number = rng.random_range(0..1_000_000);
    let told = match rng.random_range(0..7) {
        0 => {
            amfj.rename_asset(id, &format!("By hand {number}"))?;
            format!("AMFJ: {id} renamed to By hand {number}")
        }
        1 => {
            let user = any(rng, &amfj.users());
            amfj.check_out(id, &user.id)?;
            format!("AMFJ: {id} checked out to {} by hand", user.id)
        }
        2 => {
            amfj.check_in(id)?;
            format!("AMFJ: {id} checked in by hand")
        }
        3 => {
            amfj.delete_asset(id)?;
            format!("AMFJ: {id} deleted")
        }
        4 => {
            let field = any(rng, &["Notes", "Model", "Asset Tag"]);
            // Monitors have none of these.
            if amfj.set_field(id, field, json!(format!("by hand {number}"))).is_err() {
                return Ok(None);
            }
            format!("AMFJ: {field} of {id} edited by hand")
        }
        5 => {
            let linked: Vec<&String> = model.user_links.values().collect();
            if linked.is_empty() {
                return Ok(None);
            }
            let user = any(rng, &linked);
            if amfj.user(user).is_none() {
                return Ok(None);
            }
            amfj.delete_user(user)?;
            format!("AMFJ: user record {user} deleted")
        }
        _ => {
            let devices = services.kandji.devices();
            let name = any(rng, &devices).device_name;
            if name.trim().is_empty() {
                return Ok(None);
            }
            format!("AMFJ: new asset {name:?}: {}", amfj.add_asset(&name, "Laptop")?)
        }
    };
    Ok(Some(told))
}
