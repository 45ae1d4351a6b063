//! Services that are merely odd: personalities strike at chosen records and kinds of requests, for a time or until a
//! change is given up, while workers are killed and people act.

use std::time::Duration;

use anyhow::{Result, bail};
use futures::future::LocalBoxFuture;
use rand::seq::IndexedRandom;
use rand::{Rng, rngs::StdRng};

use super::services::Side;
use super::{Family, Fault, Struck};
use crate::campaign::Stage;
use crate::harness::Role;
use crate::sim::personality::{
    Body, Form, Kind, Oddity, Personality, PersonalityId, RetryAfter, Search, Shape,
};

pub(super) struct Oddities;

const FOR_EVER: &str = "some assets refuse for ever";

/// How long it is waited for the first strike.
const PATIENCE: Duration = Duration::from_secs(6);

/// Until what is refused for ever has been given up.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(30);

/// When a change is given up that is refused for ever.
const GIVE_UP_AFTER: &str = "2s";
const GIVE_UP_SETTING: &str = "AMFJ_SYNC__RETRY__GIVE_UP_AFTER";

/// The ways in which a record is refused.
const WAYS: [(u16, Body); 10] = [
    (403, Body::Contract),
    (409, Body::Contract),
    (422, Body::Contract),
    (500, Body::Contract),
    (404, Body::Html),
    (405, Body::Html),
    (410, Body::Contract),
    (423, Body::Empty),
    (451, Body::Foreign),
    (504, Body::Html),
];

/// Records that oddities are about.
struct Chosen {
    /// Linked assets: a third of them.
    assets: Vec<String>,
    /// Linked user records: a third of them.
    users: Vec<String>,
    /// Listed devices: a third of them.
    devices: Vec<String>,
}

impl Chosen {
    fn of(stage: &Stage, rng: &mut StdRng) -> Self {
        let mut third = |all: Vec<String>| -> Vec<String> {
            let count = all.len().div_ceil(3);
            all.choose_multiple(rng, count).cloned().collect()
        };
        let assets = third(stage.model.links.values().cloned().collect());
        let users = third(stage.model.user_links.values().cloned().collect());
        let mut devices = stage.services.kandji.devices();
        devices.sort_by(|a, b| (&a.serial_number, &a.device_id).cmp(&(&b.serial_number, &b.device_id)));
        let devices = third(devices.into_iter().map(|device| device.device_id).collect());
        Self { assets, users, devices }
    }
}

fn refuse(status: u16, body: Body) -> Personality {
    Personality::new(Oddity::refuse(status).saying(body))
}

/// Name, side, and what is odd.
#[rustfmt::skip]
fn table(chosen: &Chosen) -> Vec<(&'static str, Side, Vec<Personality>)> {
    let assets = |personality: Personality| personality.of_all(chosen.assets.iter().cloned());
    let users = |personality: Personality| personality.of_all(chosen.users.iter().cloned());
    let devices = |personality: Personality| personality.of_all(chosen.devices.iter().cloned());
    vec![
        ("a page with 404 to writes", Side::Amfj, vec![refuse(404, Body::Html).at(Kind::Writes)]),
        ("404 to writes, in AMFJ's own form", Side::Amfj, vec![refuse(404, Body::Contract).at(Kind::Writes)]),
        ("410 to updates, 403 by id", Side::Amfj, vec![refuse(410, Body::Contract).at(Kind::UpdateAsset), refuse(403, Body::Contract).at(Kind::ReadAsset)]),
        ("a third of the assets, each in its way", Side::Amfj, each_in_its_way(&chosen.assets)),
        ("user records cannot be created", Side::Amfj, vec![refuse(403, Body::Contract).at(Kind::CreateUser)]),
        ("nothing can be checked out", Side::Amfj, vec![refuse(403, Body::Foreign).at(Kind::CheckOut)]),
        ("nothing can be created", Side::Amfj, vec![refuse(405, Body::Html).at(Kind::CreateAsset).at(Kind::CreateUser)]),
        ("maintenance, Retry-After", Side::Amfj, vec![Personality::new(Oddity::refuse(503).asking_to_wait(RetryAfter::Seconds(1))).at(Kind::Writes)]),
        ("success without a body", Side::Amfj, vec![Personality::new(Oddity::succeed(204, Body::Empty)).at(Kind::Writes)]),
        ("success with an id alone", Side::Amfj, vec![Personality::new(Oddity::succeed(201, Body::Id)).at(Kind::Writes)]),
        ("success with a page", Side::Amfj, vec![Personality::new(Oddity::succeed(202, Body::Html)).at(Kind::Writes)]),
        ("values kept in another form", Side::Amfj, forms(false)),
        ("values kept in another form, unsaid", Side::Amfj, forms(true)),
        ("values not kept", Side::Amfj, vec![assets(Personality::new(Oddity::ignores().in_field("Notes").in_field("Asset Tag")))]),
        ("values not kept, unsaid", Side::Amfj, vec![assets(Personality::new(Oddity::ignores().in_field("Notes").showing_what_was_sent()))]),
        ("answers of creations lost", Side::Amfj, vec![Personality::new(Oddity::Lose { done: true }).at(Kind::CreateAsset).at(Kind::CreateUser).times_each(1)]),
        ("searches find more than they should", Side::Amfj, vec![Personality::new(Search::Contains), Personality::new(Oddity::Lose { done: true }).at(Kind::CreateAsset).times_each(1)]),
        ("rows on no page, or on two", Side::Amfj, vec![assets(Personality::new(Oddity::Hide).at(Kind::ListAssets).times_each(1)), users(Personality::new(Oddity::Repeat).at(Kind::ListUsers))]),
        ("odd rows of assets", Side::Amfj, vec![assets(Personality::new(Shape::null("/name")).at(Kind::Lists)), assets(Personality::new(Shape::no_zone("/created_at")))]),
        ("rows that are none", Side::Amfj, first(&chosen.assets, Shape::NotAnObject("row".into())).into_iter().map(|p| p.at(Kind::Lists)).collect()),
        ("odd rows of user records", Side::Amfj, vec![users(Personality::new(Shape::null("/name")).at(Kind::Lists)), users(Personality::new(Shape::null("/fields")))]),
        ("odd rows of devices", Side::Kandji, vec![devices(Personality::new(Shape::null("/tags")).at(Kind::ListDevices)), devices(Personality::new(Shape::null("/asset_tag")).at(Kind::ListDevices))]),
        ("a broken name", Side::Kandji, first(&chosen.devices, Shape::null("/device_name")).into_iter().map(|p| p.at(Kind::ListDevices)).collect()),
        ("details of some devices refused", Side::Kandji, vec![devices(refuse(403, Body::Contract).at(Kind::ReadDetails))]),
        ("details of some devices are a page", Side::Kandji, vec![devices(refuse(200, Body::Html).at(Kind::ReadDetails))]),
    ]
}

fn each_in_its_way(assets: &[String]) -> Vec<Personality> {
    let way = |(number, asset): (usize, &String)| {
        let (status, body) = WAYS[number % WAYS.len()].clone();
        refuse(status, body).at(Kind::Writes).of(asset)
    };
    assets.iter().enumerate().map(way).collect()
}

fn forms(answers_lie: bool) -> Vec<Personality> {
    let forms = [("Notes", Form::HtmlEscape), ("Asset Tag", Form::LowerCase), ("Memory", Form::Cut(3))];
    let form = |(field, form): (&str, Form)| {
        let form = Oddity::stores_as(form).in_field(field);
        Personality::new(if answers_lie { form.showing_what_was_sent() } else { form })
    };
    forms.into_iter().map(form).collect()
}

/// Of one record alone.
fn first(records: &[String], shape: Shape) -> Option<Personality> {
    records.first().map(|record| Personality::new(shape).of(record))
}

impl Family for Oddities {
    fn name(&self) -> &'static str {
        "oddities"
    }

    fn faults(&self) -> Vec<String> {
        let nobody = Chosen { assets: Vec::new(), users: Vec::new(), devices: Vec::new() };
        let named = table(&nobody).into_iter().map(|(name, ..)| name.to_owned());
        named.chain([FOR_EVER.to_owned()]).collect()
    }

    fn goes_with_others(&self, fault: &str) -> bool {
        // Others might make a change fail for longer than it is tried here.
        fault != FOR_EVER
    }

    fn draw(&self, fault: &str, stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>> {
        let chosen = Chosen::of(stage, rng);
        if fault == FOR_EVER {
            return Ok(Box::new(ForEver { status: WAYS[rng.random_range(0..4)].0, refused: Vec::new() }));
        }
        let Some((name, side, personalities)) = table(&chosen).into_iter().find(|(name, ..)| *name == fault)
        else {
            bail!("no fault {fault}");
        };
        let lasts = Duration::from_millis(rng.random_range(500..2500));
        let killed = [None, Some(Role::Writer), Some(Role::Reconciler), None][rng.random_range(0..4)];
        Ok(Box::new(Odd { name, side, personalities, lasts, killed, given: Vec::new() }))
    }
}

/// A service is odd for a while.
struct Odd {
    name: &'static str,
    side: Side,
    personalities: Vec<Personality>,
    lasts: Duration,
    /// Who is killed in the middle of it.
    killed: Option<Role>,
    given: Vec<PersonalityId>,
}

impl Odd {
    fn strikes(&self, stage: &Stage) -> u64 {
        let personalities = self.side.controls(stage).personalities();
        self.given.iter().map(|id| personalities.strikes(*id)).sum()
    }

    /// Details are read of devices that have checked in alone.
    fn ask_for_details(&self, stage: &Stage) -> Result<()> {
        let about_details = |own: &&Personality| own.kinds.contains(&Kind::ReadDetails);
        for device in self.personalities.iter().filter(about_details).flat_map(|own| &own.records) {
            let memory = format!("{} GB", rand::random_range(1_000..2_000));
            // One that left meanwhile has none.
            if stage.services.kandji.device(device).is_some() {
                stage.services.kandji.set_detail(device, "hardware_overview.memory", memory.into())?;
            }
        }
        Ok(())
    }
}

impl Fault for Odd {
    fn tell(&self) -> String {
        let records =
            self.personalities.iter().map(|personality| personality.records.len()).max().unwrap_or(0);
        let killed =
            self.killed.map_or_else(String::new, |role| format!(", and the {} is killed", role.name()));
        let of = if records > 0 { format!(" ({records} records)") } else { String::new() };
        format!("odd: {}{of}, for {:?}{killed}", self.name, self.lasts)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let controls = self.side.controls(stage);
            self.given = self.personalities.iter().map(|own| controls.personality(own.clone())).collect();
            self.ask_for_details(stage)
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.wait_until(PATIENCE, |stage| self.strikes(stage) > 0).await;
            if let Some(role) = self.killed {
                stage.workers.kill9(role, 0).await?;
                stage.workers.revive()?;
            }
            stage.pass(self.lasts).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let struck = self.strikes(stage);
            let personalities = self.side.controls(stage).personalities();
            for id in &self.given {
                // One that was used up is gone already.
                personalities.remove(*id);
            }
            Ok(Struck(struck))
        })
    }
}

/// Updates of two linked assets are refused until they are given up; then a new value makes up for it.
struct ForEver {
    status: u16,
    /// Device and asset.
    refused: Vec<(String, String)>,
}

impl Fault for ForEver {
    fn tell(&self) -> String {
        format!("two assets answer {} to every update, for ever", self.status)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.refused = stage.linked_devices().into_iter().take(2).collect();
            for (device, asset) in &self.refused {
                stage
                    .services
                    .amfj
                    .personality(refuse(self.status, Body::Contract).at(Kind::UpdateAsset).of(asset));
                stage.expect_a_dead_letter(device);
                let version = format!("refused {}", rand::random_range(0..1_000_000));
                stage.set_version(device, &version)?;
            }
            stage.workers.set_environment(Role::Writer, GIVE_UP_SETTING, GIVE_UP_AFTER);
            renew_writers(stage).await
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let counted = |stage: &Stage| stage.workers.count("amfj_sync_dead_lettered_total");
            let before = counted(stage);
            let all = f64::from(u32::try_from(self.refused.len())?);
            stage.wait_until(GIVEN_UP_WITHIN, |stage| counted(stage) >= before + all).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            stage.services.amfj.personalities().clear();
            for (device, _) in &self.refused {
                // What was refused is not tried again; a value that differs is.
                let version = format!("taken {}", rand::random_range(0..1_000_000));
                stage.set_version(device, &version)?;
            }
            stage.workers.unset_environment(Role::Writer, GIVE_UP_SETTING);
            renew_writers(stage).await?;
            Ok(Struck(self.refused.len() as u64))
        })
    }
}

/// Ends all writers in good order, and starts as many with the environment as it is now.
async fn renew_writers(stage: &mut Stage) -> Result<()> {
    let writers = stage.workers.wanted(Role::Writer);
    stage.workers.scale(Role::Writer, 0).await?;
    stage.workers.scale(Role::Writer, writers).await?;
    stage.heal().await
}
