//! A simulated Kandji tenant and AMFJ site that belong together.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};

use crate::harness::IntegrationBuilder;
use crate::model::KandjiContent;
use crate::sim::amfj::{AmfjOptions, AmfjSim, Dialect, Write};
use crate::sim::faults::{Action, Rule};
use crate::sim::fleet::{Device, Fleet, FleetSpec, Traps};
use crate::sim::kandji::{KandjiOptions, KandjiSim};

/// Both services of one integration.
#[derive(Debug, Clone)]
pub struct Services {
    /// Where devices are.
    pub kandji: KandjiSim,
    /// Where assets are.
    pub amfj: AmfjSim,
}

/// The spec of a fleet without traps.
#[must_use]
pub fn spec(devices: usize, seed: u64) -> FleetSpec {
    FleetSpec { devices, seed, traps: Traps::None }
}

/// A fleet without traps whose AMFJ site has types and locations, and neither assets nor users.
#[must_use]
pub fn newcomers(devices: usize, seed: u64) -> Fleet {
    let mut fleet = Fleet::generate(spec(devices, seed));
    fleet.site.assets.clear();
    fleet.site.users.clear();
    fleet
}

impl Services {
    /// Serves a fleet, with tokens that no other services have, and without limits a second, in the dialect that the
    /// environment names.
    ///
    /// # Errors
    /// When there is no free port, or no such dialect.
    pub async fn start(fleet: &Fleet) -> Result<Self> {
        Self::speaking(Dialect::chosen()?, fleet).await
    }

    /// The same with an AMFJ that is spoken to in this way.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn speaking(dialect: Dialect, fleet: &Fleet) -> Result<Self> {
        let mut fleet = fleet.clone();
        dialect.suit(&mut fleet);
        let own = uuid::Uuid::new_v4().simple().to_string();
        let kandji = KandjiOptions {
            token: format!("kandji-{own}"),
            per_second: None,
            per_hour: None,
            ..KandjiOptions::default()
        };
        let amfj = AmfjOptions { token: format!("amfj-{own}"), dialect, ..AmfjOptions::default() };
        Ok(Self {
            kandji: KandjiSim::start(&fleet, kandji).await?,
            amfj: AmfjSim::start(&fleet.site, amfj).await?,
        })
    }

    /// Serves a generated fleet without traps.
    ///
    /// # Errors
    /// When there is no free port.
    pub async fn plain(devices: usize, seed: u64) -> Result<Self> {
        Self::start(&Fleet::generate(spec(devices, seed))).await
    }

    /// The configuration of an integration between these two, with short pauses.
    #[must_use]
    pub fn integration(&self, id: &str) -> IntegrationBuilder {
        IntegrationBuilder::new(id, &self.kandji.url(), &self.amfj.url())
            .speaking(self.amfj.dialect())
            .tokens(&self.kandji.token(), &self.amfj.token())
            .set("kandji.requests_per_hour", 1_000_000)
            .set("amfj.requests_per_second", 2000)
            .set("amfj.list_delay", "500ms")
            .set("amfj.request_timeout", "2s")
    }

    /// The same, in which everything is created, assigned and kept in step.
    #[must_use]
    pub fn everything(&self, id: &str) -> IntegrationBuilder {
        self.integration(id)
            .set("sync.create_devices", "always")
            .set("sync.create_users", "all")
            .set("sync.auto_checkout", true)
            .field("Serial Number", "serial_number")
    }

    /// From now on AMFJ answers every change of the asset of the device at this place like that.
    ///
    /// # Errors
    /// When that device has no asset of its name.
    pub fn refuse_asset(&self, place: usize, refusal: Action) -> Result<()> {
        let devices = self.kandji.devices();
        let device = devices.get(place).context("no such device")?;
        let asset = self.amfj.assets_named(&device.device_name).pop().context("it has no asset")?;
        self.amfj.fault(Rule::new(refusal).on("PATCH", &format!("/assets/{}", asset.id)));
        Ok(())
    }

    /// The same for the first device whose asset does not hold this field yet, so that it is to be written.
    ///
    /// # Errors
    /// When all assets hold it.
    pub fn refuse_asset_without(&self, field: &str, refusal: Action) -> Result<()> {
        let devices = self.kandji.devices();
        let lacks = |name: &str| {
            let asset = self.amfj.assets_named(name).pop();
            asset.is_some_and(|asset| asset.fields.get(field).is_none_or(serde_json::Value::is_null))
        };
        let place = devices.iter().position(|device| lacks(&device.device_name));
        self.refuse_asset(place.context("every asset holds it")?, refusal)
    }

    /// The devices of somebody with an email.
    #[must_use]
    pub fn owned_devices(&self) -> Vec<Device> {
        self.kandji.devices().into_iter().filter(|device| device.email().is_some()).collect()
    }

    /// What Kandji would answer now.
    #[must_use]
    pub fn content(&self) -> KandjiContent {
        let devices = self.kandji.devices();
        let details: BTreeMap<_, _> = devices
            .iter()
            .filter_map(|device| Some((device.device_id.clone(), self.kandji.details(&device.device_id)?)))
            .collect();
        KandjiContent { devices: devices.iter().map(Device::to_json).collect(), details }
    }

    /// The writes since the last call, each as `METHOD path body`, in order of the path.
    #[expect(clippy::must_use_candidate, reason = "some only want them forgotten")]
    pub fn take_writes(&self) -> Vec<String> {
        let show = |write: &Write| format!("{} {} {}", write.method, write.path, write.body);
        let mut writes: Vec<String> = self.amfj.writes().iter().map(show).collect();
        self.amfj.clear_writes();
        writes.sort();
        writes
    }
}
