//! Where a campaign plays: a broker, both services, the workers, and what is known of them.

mod probe;
mod rest;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::tally::Tally;
use super::workers::Workers;
use crate::harness::{ConfigBuilder, PrivateBroker, Proxy, Role, Scratch, binaries};
use crate::model::{CreateDevices, CreateUsers, Model, Settings};
use crate::pipeline::Services;
use crate::sim::amfj::{AmfjOptions, AmfjSim, Dialect};
use crate::sim::faults::{Action, Rule};
use crate::sim::fleet::{Fleet, FleetSpec, Traps};
use crate::sim::kandji::{KandjiOptions, KandjiSim, Mutation};

use probe::Probe;
pub(super) use probe::{Expected, Letter};
pub(super) use rest::{work_queue, workers_queue};

/// The one integration.
pub(super) const INTEGRATION: &str = "acme";
/// First part of the names of its queues.
pub(super) const PREFIX: &str = "campaign";
/// Partitions of the integration.
pub(super) const PARTITIONS: u16 = 4;

/// Nodes of a cluster.
pub(super) const NODES: usize = 3;

const DEVICES: usize = 30;
/// So that the walk has several pages.
const PAGE: usize = 11;
/// Between two looks at something that is waited for.
const LOOK: Duration = Duration::from_millis(60);

/// Everything that takes part.
pub struct Stage {
    /// Kandji and AMFJ.
    pub services: Services,
    /// The broker.
    pub broker: PrivateBroker,
    /// The network between the workers of a role and the broker.
    pub proxies: BTreeMap<&'static str, Proxy>,
    /// The workers.
    pub workers: Workers,
    /// What the integration is set to.
    pub settings: Settings,
    /// What should be.
    pub model: Model,
    /// What happened.
    pub tally: Tally,
    /// Dead letters that there may be.
    pub(super) expected: Vec<Expected>,
    /// Whether a worker may end by itself in this episode: then it is started again, as always.
    pub may_exit: bool,
    /// Whether the broker takes no messages until a fault is over: then nobody can be asked for anything.
    pub(super) takes_no_messages: bool,
    /// Whether a fault of this episode may have writes made again that were carried out.
    pub(super) may_repeat_writes: bool,
    /// Devices and values of which a change was refused for good.
    refused: Option<String>,
    probe: Probe,
    scratch: Scratch,
}

impl Stage {
    /// Between two copies of the state in its stream.
    pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);
    /// After that a change without outcome counts as lost.
    pub const CHANGE_LOST_AFTER: Duration = Duration::from_secs(15);

    pub(super) async fn open(seed: u64, cluster: bool, dialect: Dialect) -> Result<Self> {
        let mut fleet = Fleet::generate(FleetSpec { devices: DEVICES, seed, traps: Traps::Realistic });
        dialect.suit(&mut fleet);
        let services = services(&fleet, seed, dialect).await?;
        services.kandji.apply(Mutation::SetPageLimit { limit: PAGE })?;
        let settings = settings();
        let broker =
            if cluster { PrivateBroker::start_cluster(NODES).await? } else { PrivateBroker::start().await? };
        let mut proxies = BTreeMap::new();
        for role in Role::ALL {
            proxies.insert(role.name(), Proxy::before(&broker.url()).await?);
        }
        let scratch = Scratch::new()?;
        let integration = settings
            .configure(services.integration(INTEGRATION))
            .set("interval", "6h")
            .set("kandji.request_timeout", "2s")
            .set("sync.longest_list", 2_000);
        let config = ConfigBuilder::new(&broker.url(), PREFIX)
            .set("broker.partitions", i64::from(PARTITIONS))
            .set("timing.ownership_interval", "100ms")
            .set("timing.checkpoint_every", format!("{}s", Self::CHECKPOINT_EVERY.as_secs()))
            .set("timing.change_lost_after", format!("{}s", Self::CHANGE_LOST_AFTER.as_secs()))
            .set("retry.max", "500ms")
            // Nothing that a campaign does lasts as long, so nothing may be given up.
            .set("retry.give_up_after", "10m")
            .integration(integration)
            .write(&scratch)?;
        let mut probe = Probe::new(&broker.url());
        probe.declare_state_stream().await?;
        let mut workers = Workers::new(config);
        for role in Role::ALL {
            let proxy = &proxies[role.name()];
            // A heartbeat of two seconds: a cut is noticed after twice as long.
            let url = format!("{}?heartbeat=2", proxy.url());
            workers.set_environment(role, "AMFJ_SYNC__BROKER__URL", &url);
        }
        workers.all_ready().await?;
        Ok(Self {
            services,
            broker,
            proxies,
            workers,
            settings,
            model: Model::default(),
            tally: Tally::default(),
            expected: Vec::new(),
            takes_no_messages: false,
            may_exit: false,
            may_repeat_writes: false,
            refused: None,
            probe,
            scratch,
        })
    }

    pub(super) async fn close(mut self) -> Result<()> {
        self.workers.dismiss().await
    }

    /// Where the workers keep their data: one folder a worker, beginning with its role.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.scratch.path().join("var")
    }

    /// The state is lost: what should be is worked out from what both sides hold.
    pub fn forget(&mut self) {
        self.model = Model::default();
    }

    /// Declares the stream of facts, as at the beginning.
    ///
    /// # Errors
    /// When the broker does not answer.
    pub async fn declare_state_stream(&mut self) -> Result<()> {
        self.probe.declare_state_stream().await
    }

    pub(super) fn begin_episode(&mut self) {
        for controls in [&*self.services.amfj, &*self.services.kandji] {
            controls.clear_requests();
        }
        self.services.amfj.clear_writes();
        self.may_exit = false;
        self.take_deaths();
    }

    pub(super) fn take_deaths(&mut self) {
        let deaths = self.workers.take_deaths();
        self.tally.count_deaths(&deaths);
    }

    /// Whether a fault has struck before.
    #[must_use]
    pub fn has_struck(&self, family: &str, fault: &str) -> bool {
        let row = self.tally.faults.get(&(family.to_owned(), fault.to_owned()));
        row.is_none_or(|row| row.episodes == 0 || row.struck > 0)
    }

    /// Lets time pass; whoever dies meanwhile is started again.
    pub async fn pass(&mut self, time: Duration) {
        let never = |_: &Self| false;
        self.wait_until(time, never).await;
    }

    /// Waits until something has happened, at most `limit`; whoever dies meanwhile is started again.
    pub async fn wait_until(&mut self, limit: Duration, happened: impl Fn(&Self) -> bool) -> bool {
        let begin = Instant::now();
        loop {
            // A worker that cannot be started shows when it is missed.
            drop(self.workers.revive());
            if happened(self) {
                return true;
            }
            if begin.elapsed() >= limit {
                return false;
            }
            self.workers.note_all().await;
            tokio::time::sleep(LOOK.min(limit.saturating_sub(begin.elapsed()))).await;
        }
    }

    /// Asks for a run, as an operator would, and does not wait for it. Where no fetcher runs, which is said, nothing is
    /// asked for: one that comes back begins by itself, and rest is waited for with a run anyway. Neither is it where the
    /// broker takes no messages, since the command waits until it does.
    ///
    /// # Errors
    /// When the request could not be made.
    pub async fn ask_for_a_run(&mut self) -> Result<()> {
        if self.takes_no_messages {
            return Ok(());
        }
        self.request_a_run().await.map(drop)
    }

    /// Asks for a run until a fetcher is there to hear it.
    ///
    /// # Errors
    /// When none hears it within a minute.
    pub async fn ask_until_heard(&mut self) -> Result<()> {
        let begin = Instant::now();
        while !self.request_a_run().await? {
            ensure!(begin.elapsed() < Duration::from_mins(1), "no fetcher hears a request for a run");
            self.pass(LOOK).await;
        }
        Ok(())
    }

    /// Whether a fetcher was there to hear it.
    async fn request_a_run(&mut self) -> Result<bool> {
        let begin = Instant::now();
        loop {
            let done = self.workers.command(&["trigger"]).finish(Duration::from_mins(1)).await?;
            let nobody = ["no fetcher runs", "is not ready"].iter().any(|why| done.stderr.contains(why));
            if done.status.success() || nobody {
                return Ok(done.status.success());
            }
            ensure!(
                begin.elapsed() < Duration::from_mins(1),
                "`amfj-sync trigger` fails with {}:\n{}",
                done.status,
                done.stderr
            );
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes AMFJ refuse the next change of one linked device for good, and changes that device.
    ///
    /// # Errors
    /// When no device is linked.
    pub fn refuse_one_change(&mut self) -> Result<()> {
        let (device, asset) = self.any_linked_device()?;
        let refusal = Rule::new(Action::Status { code: 422, body: None })
            .on("PATCH", &format!("/assets/{asset}"))
            .times(1);
        self.services.amfj.fault(refusal);
        self.expected.push(Expected::Key { key: format!("device/{device}"), at_least: 0 });
        let version = format!("422.{}", rand::random_range(0..1_000_000));
        self.set_version(&device, &version)?;
        self.refused = Some(device);
        Ok(())
    }

    /// A change of this device fails for good.
    pub(super) fn expect_a_dead_letter(&mut self, device: &str) {
        self.expected.push(Expected::Key { key: format!("device/{device}"), at_least: 1 });
    }

    /// A value that differs makes up for the refused one: that is not tried again (P15).
    pub(super) fn make_up_for_the_refusal(&mut self) -> Result<()> {
        if let Some(device) = self.refused.take() {
            let version = format!("423.{}", rand::random_range(0..1_000_000));
            self.set_version(&device, &version)?;
        }
        Ok(())
    }

    /// Gives a device this version of its system, unless it has left: a fault lets devices leave while their list is read.
    ///
    /// # Errors
    /// When the simulated Kandji refuses the value.
    pub fn set_version(&self, device: &str, version: &str) -> Result<()> {
        let set = self.services.kandji.set(device, "os_version", json!(version));
        if self.services.kandji.device(device).is_some() { set } else { Ok(()) }
    }

    /// Gives every linked device a version of its system that bears this word.
    ///
    /// # Errors
    /// When no device is linked.
    pub fn new_versions(&self, word: &str) -> Result<()> {
        let version = format!("{word} {}", rand::random_range(0..1_000_000));
        let linked = self.linked_devices();
        ensure!(!linked.is_empty(), "no device is linked");
        for (device, _) in linked {
            self.set_version(&device, &version)?;
        }
        Ok(())
    }

    /// Waits until an asset has a version with this word, at most `limit`; nobody is looked at or started meanwhile.
    pub async fn arrived(&self, word: &str, limit: Duration) -> bool {
        let begin = Instant::now();
        let has = |version: &Value| version.as_str().is_some_and(|version| version.starts_with(word));
        while begin.elapsed() < limit {
            if self.services.amfj.assets().iter().any(|asset| asset.fields.get("OS Version").is_some_and(has))
            {
                return true;
            }
            tokio::time::sleep(LOOK).await;
        }
        false
    }

    /// A listed device in scope with its asset, which has a field for the version of the system.
    pub(super) fn any_linked_device(&self) -> Result<(String, String)> {
        let linked = self.linked_devices().into_iter().next();
        linked.context("no device is linked to an asset with the field OS Version")
    }

    /// All of them.
    pub(super) fn linked_devices(&self) -> Vec<(String, String)> {
        let devices = self.services.kandji.devices();
        let site = self.services.amfj.site();
        let linked = devices.iter().filter(|device| !device.is_removed).filter_map(|device| {
            let asset = self.model.links.get(&device.device_id)?;
            let record = site.assets.iter().find(|record| record.id == *asset)?;
            let kind = site.asset_types.iter().find(|kind| kind.id == record.asset_type_id)?;
            let has_field = kind.fields.iter().any(|field| field.name == "OS Version");
            has_field.then(|| (device.device_id.clone(), asset.clone()))
        });
        linked.collect()
    }

    /// Writes the logs, what the workers say of themselves, and AMFJ's journal where a person finds them.
    pub(super) async fn keep_evidence(&self, seed: u64, episode: u32) -> Result<String> {
        let folder =
            binaries::target_folder()?.join("campaign").join(format!("seed-{seed}-episode-{episode}"));
        drop(std::fs::remove_dir_all(&folder));
        std::fs::create_dir_all(&folder)?;
        self.workers.keep_logs(&folder)?;
        self.workers.keep_states(&folder).await?;
        std::fs::write(folder.join("broker.log"), self.broker.log_tail())?;
        let requests: Vec<String> = self
            .services
            .amfj
            .requests()
            .iter()
            .map(|request| serde_json::to_string(request).unwrap_or_default())
            .collect();
        std::fs::write(folder.join("amfj-requests.jsonl"), requests.join("\n"))?;
        let requests: Vec<String> = self
            .services
            .kandji
            .requests()
            .iter()
            .map(|request| serde_json::to_string(request).unwrap_or_default())
            .collect();
        std::fs::write(folder.join("kandji-requests.jsonl"), requests.join("\n"))?;
        Ok(folder.display().to_string())
    }
}

async fn services(fleet: &Fleet, seed: u64, dialect: Dialect) -> Result<Services> {
    // Not the seed of the fleet: newcomers would get ids that are taken.
    let own = seed.wrapping_add(1_000_003);
    let kandji = KandjiOptions { per_second: None, per_hour: None, seed: own, ..KandjiOptions::default() };
    let amfj = AmfjOptions { seed, dialect, ..AmfjOptions::default() };
    Ok(Services {
        kandji: KandjiSim::start(fleet, kandji).await?,
        amfj: AmfjSim::start(&fleet.site, amfj).await?,
    })
}

/// Everything that can be written is written.
fn settings() -> Settings {
    let settings = Settings {
        create_devices: CreateDevices::Always,
        until_linked: true,
        create_users: CreateUsers::Linked,
        auto_checkout: true,
        check_in_gone: true,
        default_location: Some("HQ".to_owned()),
        asset_types: BTreeMap::from([("iPhone".to_owned(), "Phone".to_owned())]),
        ..Settings::default()
    };
    settings
        .field("Serial Number", "serial_number")
        .field("OS Version", "os_version")
        .field("Asset Tag", "asset_tag")
        .field("Notes", "{{ model }}, OS {{ os_version }}")
        .field("Memory", "details.hardware_overview.memory")
        .field("Name", "device_name")
}
