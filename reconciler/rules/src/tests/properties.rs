//! Properties of random worlds, small enough that everything collides with everything.

use std::collections::{BTreeMap, BTreeSet};

use amfj_sync_model::ids::{AssetId, DeviceId, KandjiUserId, Key, RecordId};
use amfj_sync_model::messages::{Action, Change, DeviceStatus, OperatorOrder};
use amfj_sync_model::names::{NameKey, email_key};
use proptest::prelude::*;
use proptest::sample::select;

use super::World;

const NAMES: [&str; 4] = ["Mac", "MAC ", "Zoé", ""];
const SERIALS: [&str; 4] = ["S1", "s1", "S2", ""];
const PEOPLE: [&str; 3] = ["Sam", "Kim", ""];
const EMAILS: [Option<&str>; 4] = [Some("sam@x.com"), Some("SAM@x.com"), Some("kim@x.com"), None];

/// What a world is made of.
#[derive(Debug, Clone)]
struct Plan {
    settings: Vec<&'static str>,
    maps_serial: bool,
    maps_name: bool,
    first_sync: bool,
    /// Name, serial, owner, in scope, removed.
    devices: Vec<(&'static str, &'static str, Option<usize>, bool, bool)>,
    /// Name, serial, holder.
    assets: Vec<(&'static str, &'static str, Option<usize>)>,
    /// Name, email, archived.
    people: Vec<(&'static str, Option<&'static str>, bool)>,
    /// Name, email.
    records: Vec<(&'static str, Option<&'static str>)>,
    /// What happens after the first run: see [`disturb`].
    later: Vec<(u8, usize, usize)>,
    /// In which order keys are decided.
    order: Vec<usize>,
}

fn settings() -> impl Strategy<Value = Vec<&'static str>> {
    (
        select(vec!["never", "first-sync", "always"]),
        any::<bool>(),
        select(vec!["linked", "all", "never"]),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(devices, until_linked, users, checkout, keep, enforce, check_in)| {
            let devices = match devices {
                "never" => "create_devices = \"never\"",
                "always" => "create_devices = \"always\"",
                _ => "create_devices = \"first-sync\"",
            };
            let users = match users {
                "linked" => "create_users = \"linked\"",
                "all" => "create_users = \"all\"",
                _ => "create_users = \"never\"",
            };
            let mut settings = vec![devices, users, "no_checkout_users = [\"kim@x.com\"]"];
            let flags = [
                (until_linked, "name_matching = \"until-linked\""),
                (checkout, "auto_checkout = true"),
                (keep, "first_assignment = \"keep\""),
                (enforce, "assignment = \"enforce\""),
                (check_in, "when_gone = \"check-in\""),
            ];
            settings.extend(flags.into_iter().filter(|(on, _)| *on).map(|(_, text)| text));
            settings
        })
}

fn plans() -> impl Strategy<Value = Plan> {
    let device = (
        select(&NAMES[..]),
        select(&SERIALS[..]),
        prop::option::of(0..4_usize),
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.1),
    );
    let asset = (select(&NAMES[..]), select(&SERIALS[..]), prop::option::of(0..3_usize));
    let person = (select(&PEOPLE[..]), select(&EMAILS[..]), prop::bool::weighted(0.2));
    let record = (select(&PEOPLE[..]), select(&EMAILS[..]));
    (
        (settings(), any::<bool>(), any::<bool>(), any::<bool>()),
        prop::collection::vec(device, 0..6),
        prop::collection::vec(asset, 0..5),
        prop::collection::vec(person, 4),
        prop::collection::vec(record, 0..4),
        prop::collection::vec((0..13_u8, 0..6_usize, 0..4_usize), 0..5),
        prop::collection::vec(0..64_usize, 16),
    )
        .prop_map(|(given, devices, assets, people, records, later, order)| {
            let (settings, maps_serial, maps_name, first_sync) = given;
            Plan {
                settings,
                maps_serial,
                maps_name,
                first_sync,
                devices,
                assets,
                people,
                records,
                later,
                order,
            }
        })
}

fn build(plan: &Plan) -> World {
    let mut tables = String::from("[integration.fields]\nOS = \"os_version\"\n");
    if plan.maps_serial {
        tables.push_str("\"Serial Number\" = \"serial_number\"\n");
    }
    if plan.maps_name {
        tables.push_str("[integration.user_fields]\nName = \"user.name\"\n");
    }
    let mut world = World::new(&plan.settings.join("\n"), &tables);
    world.first_sync = plan.first_sync;
    for (at, (name, email)) in plan.records.iter().enumerate() {
        world.record(&format!("r{at}"), name, *email);
    }
    for (at, (name, serial, holder)) in plan.assets.iter().enumerate() {
        world.asset_with_serial(&format!("a{at}"), name, serial);
        let holder = holder.filter(|holder| *holder < plan.records.len()).map(|at| format!("r{at}"));
        world.hand_to(&format!("a{at}"), holder.as_deref());
    }
    for (at, (name, email, archived)) in plan.people.iter().enumerate() {
        world.person(&format!("k{at}"), name, *email).archived = *archived;
    }
    for (at, (name, serial, owner, in_scope, removed)) in plan.devices.iter().enumerate() {
        let device = world.device(&format!("d{at}"), name, serial);
        (device.in_scope, device.removed) = (*in_scope, *removed);
        if let Some(owner) = owner {
            world.owns(&format!("k{owner}"), &format!("d{at}"));
        }
    }
    world.run();
    world
}

/// Something happens on one of the sides.
fn disturb(world: &mut World, (what, which, other): (u8, usize, usize)) {
    let device = world.devices.get(which).map(|device| device.device_id.to_string());
    let asset = world.assets.keys().nth(which).map(ToString::to_string);
    let record = world.records.keys().nth(other).map(ToString::to_string);
    match (what, device, asset, record) {
        (0, Some(device), ..) => world.unenrol(&device),
        (1, Some(device), ..) => world.owns(&format!("k{other}"), &device),
        (2, Some(device), ..) => world.nobody_owns(&device),
        (3, Some(device), ..) => {
            world.entry(&device).values.insert("os_version".into(), "16".into());
        }
        (4, _, Some(asset), _) => drop(world.assets.remove(asset.as_str())),
        (5, _, Some(asset), record) => world.hand_to(&asset, record.as_deref()),
        (6, _, _, Some(record)) => {
            // AMFJ deletes no user who has an asset.
            for asset in world.assets.values_mut() {
                asset.checked_out_to.take_if(|holder| holder.id.as_str() == record);
            }
            world.records.remove(record.as_str());
        }
        (7, ..) => {
            let id = format!("later{}{which}{other}", world.devices.len());
            world.device(&id, NAMES[other], SERIALS[which % 4]);
        }
        (8, ..) => world.first_sync = false,
        (9, Some(device), ..) => world.entry(&device).name = NAMES[other].to_owned(),
        (10, Some(device), ..) => {
            let device = DeviceId::new(device).unwrap();
            world.order(OperatorOrder::Unlink { device });
        }
        (11, ..) => {
            let person = world.people.get_mut(&format!("k{other}")).unwrap();
            person.name = PEOPLE[which % 3].to_owned();
        }
        (12, ..) => {
            let person = world.people.get_mut(&format!("k{other}")).unwrap();
            person.archived = !person.archived;
        }
        _ => {}
    }
}

/// Keys in an order that the plan chooses.
fn shuffled(mut keys: Vec<Key>, order: &[usize]) -> Vec<Key> {
    for (at, with) in order.iter().enumerate() {
        if let Some(last) = keys.len().checked_sub(1) {
            keys.swap(at.min(last), with % (last + 1));
        }
    }
    keys
}

/// No asset gets two devices: neither from the view nor from what was just decided.
fn check_links(world: &World, made: &[Change]) -> Result<(), TestCaseError> {
    let mut taken: BTreeMap<AssetId, String> = BTreeMap::new();
    for change in made {
        if let Action::LinkAsset { asset, takes_over, .. } = &change.action {
            let before = taken.insert(asset.clone(), change.key.to_string());
            prop_assert_eq!(before, None, "{} is linked twice", asset);
            if let Some(holder) = world.view.linked_device(asset) {
                prop_assert_eq!(takes_over.as_ref(), Some(&holder), "{} is taken", asset);
            }
        }
    }
    Ok(())
}

/// A rule links a person only where exactly one record and one person fit (P10).
fn check_users(world: &World, key: &Key, changes: &[Change]) -> Result<(), TestCaseError> {
    let Key::User(user) = key else { return Ok(()) };
    let Some(entry) = world.users().remove(user) else { return Ok(()) };
    let email = entry.email.as_deref().and_then(email_key);
    let of_email: BTreeSet<&RecordId> = world
        .records
        .values()
        .filter(|record| email.is_some() && record.email.as_deref().and_then(email_key) == email)
        .map(|record| &record.id)
        .collect();
    let named: Vec<_> = world
        .records
        .values()
        .filter(|record| NameKey::of(&record.name).is_some_and(|name| NameKey::of(&entry.name) == Some(name)))
        .collect();
    for change in changes {
        match &change.action {
            Action::LinkUser { record, rule: amfj_sync_model::messages::Rule::Email, .. } => {
                prop_assert_eq!(of_email.iter().copied().collect::<Vec<_>>(), [record]);
            }
            Action::LinkUser { record, rule: amfj_sync_model::messages::Rule::UserName, .. } => {
                prop_assert!(of_email.is_empty());
                prop_assert!(named.iter().any(|one| one.id == *record));
                let is_there = |id: &KandjiUserId| world.view.user_of(id).is_some_and(|key| key != *user);
                let taken = world.view.linked_users(record).iter().any(is_there);
                prop_assert!(!taken, "{} has a Kandji user who is still there", record);
            }
            Action::CreateUser { ids, .. } => {
                prop_assert!(of_email.is_empty(), "a second record for {}", user);
                let linked = |id: &KandjiUserId| world.view.user_link(id).is_some();
                prop_assert!(!ids.iter().any(linked), "created again");
            }
            _ => {}
        }
    }
    Ok(())
}

fn drafts(world: &World, keys: &[Key]) -> Result<BTreeMap<Key, Vec<Change>>, TestCaseError> {
    let mut drafts = BTreeMap::new();
    for key in keys {
        let draft = world.draft(key);
        prop_assert!(!draft.decision.reason.is_empty() && draft.decision.reason.ends_with('.'));
        if draft.decision.state == DeviceStatus::InSync || draft.decision.state == DeviceStatus::Ambiguous {
            let breaks = |change: &Change| matches!(change.action, Action::BreakLink { .. });
            prop_assert!(draft.changes.iter().all(breaks), "{:?}", draft);
        }
        check_users(world, key, &draft.changes)?;
        drafts.insert(key.clone(), draft.changes);
    }
    let all: Vec<Change> = drafts.values().flatten().cloned().collect();
    check_links(world, &all)?;
    Ok(drafts)
}

/// What AMFJ holds, and who is linked to what; ids of new assets and records replaced by their names.
fn end_state(world: &World) -> Vec<String> {
    let mut lines = Vec::new();
    for asset in world.assets.values() {
        let device = world.view.linked_device(&asset.id);
        let holder = asset.checked_out_to.as_ref().map(|holder| &world.records[&holder.id].name);
        lines.push(format!("{:?} {:?} {device:?} {holder:?}", asset.name, asset.fields));
    }
    for record in world.records.values() {
        let users = world.view.linked_users(&record.id);
        lines.push(format!("{:?} {:?} {users:?}", record.name, record.email));
    }
    lines.sort_unstable();
    lines
}

/// Two people can differ in nothing but their ids; then the ids of what was made for them do not say.
fn runs_to_the_same_end(plan: &Plan) -> Result<(), TestCaseError> {
    let (mut one, mut other) = (build(plan), build(plan));
    for step in std::iter::once(None).chain(plan.later.iter().copied().map(Some)) {
        for world in [&mut one, &mut other] {
            if let Some(step) = step {
                disturb(world, step);
                world.run();
            }
            drafts(world, &world.keys())?;
        }
        let keys = one.keys();
        one.decide_all(&keys);
        one.settle();
        let reordered = shuffled(keys, &plan.order);
        other.decide_all(&reordered);
        other.settle();
        prop_assert_eq!(end_state(&one), end_state(&other), "after {:?}", step);
        prop_assert_eq!(one.settle(), 0, "deciding again yields nothing");
        for world in [&mut one, &mut other] {
            // What is missing twice is gone or deleted (P11, P22); after that, an idle run writes nothing (P3).
            world.run();
            world.settle();
            world.run();
            prop_assert_eq!(world.settle(), 0, "an idle run writes nothing");
        }
        prop_assert_eq!(end_state(&one), end_state(&other), "after {:?} and an idle run", step);
    }
    Ok(())
}

/// The pure decisions of one moment, which no order of listing may change.
fn same_in_any_listing(plan: &Plan) -> Result<(), TestCaseError> {
    let mut reversed = plan.clone();
    reversed.order.reverse();
    let world = build(plan);
    let mut other = World::new(&plan.settings.join("\n"), "");
    std::mem::swap(&mut other.config, &mut build(&reversed).config);
    let field = other.config.fields.field_of("serial_number").map(str::to_owned);
    other.view = amfj_sync_projection::Projection::in_memory(field.as_deref());
    (other.assets, other.records) = (world.assets.clone(), world.records.clone());
    (other.people, other.owners) = (world.people.clone(), world.owners.clone());
    other.first_sync = plan.first_sync;
    other.devices = world.devices.iter().rev().cloned().collect();
    other.run();
    for key in world.keys() {
        let (draft, again) = (world.draft(&key), other.draft(&key));
        prop_assert_eq!(draft, again);
    }
    Ok(())
}

/// A created asset never stands beside another of its device's serial (P7, P9).
fn one_asset_a_serial(plan: &Plan) -> Result<(), TestCaseError> {
    let mut world = build(plan);
    world.settle();
    let mut created = BTreeSet::new();
    for device in &world.devices {
        let asset = world.view.link(&device.device_id).map(|link| link.asset);
        let is_new = asset.is_some_and(|asset| asset.as_str().starts_with("new-asset"));
        // What more than two devices have says nothing (P6).
        if let (true, Some(serial)) = (is_new, world.view.telling_serial(device)) {
            prop_assert!(created.insert(serial), "two assets for one machine");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_order_of_deciding_never_matters_and_deciding_again_yields_nothing(plan in plans()) {
        runs_to_the_same_end(&plan)?;
    }

    #[test]
    fn the_order_of_listing_never_matters(plan in plans()) {
        same_in_any_listing(&plan)?;
    }

    #[test]
    fn p9_one_machine_never_gets_two_new_assets(plan in plans()) {
        one_asset_a_serial(&plan)?;
    }
}
