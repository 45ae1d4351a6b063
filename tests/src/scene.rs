//! Both services and the workers between them, with what tests of odd services begin and end with.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use crate::harness::{IntegrationBuilder, Worker, eventually};
pub use crate::pipeline::newcomers;
use crate::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, spec};
use crate::sim::amfj::AmfjSim;
use crate::sim::fleet::{Fleet, SiteAsset};
use crate::sim::personality::{Personality, PersonalityId};

/// Runs in a row after which nothing may be left to do: an asset may be found missing twice, a value may be sent twice.
const MOST_RUNS: usize = 5;

/// Both services and the workers between them.
pub struct Scene {
    /// Kandji and AMFJ.
    pub services: Services,
    /// The workers.
    pub pipeline: Pipeline,
}

/// A fleet whose assets are all laptops, the type with a field of every kind.
#[must_use]
pub fn laptops(devices: usize, seed: u64) -> Fleet {
    let mut fleet = Fleet::generate(spec(devices, seed));
    let laptop = fleet.site.type_id("Laptop").unwrap_or_default().to_owned();
    for asset in &mut fleet.site.assets {
        asset.asset_type_id.clone_from(&laptop);
    }
    fleet
}

/// Values of the device alone.
#[must_use]
pub fn values(services: &Services) -> IntegrationBuilder {
    services.integration("acme").field("Serial Number", "serial_number").field("OS Version", "os_version")
}

/// The same, and everything is created and assigned.
#[must_use]
pub fn everything(services: &Services) -> IntegrationBuilder {
    services.everything("acme").field("OS Version", "os_version")
}

impl Scene {
    /// One worker of each kind, which gives a change up after so long, for instance `"2s"`.
    ///
    /// # Errors
    /// When the broker or a worker does not come up.
    pub async fn open(services: Services, settings: IntegrationBuilder, give_up_after: &str) -> Result<Self> {
        let pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| {
            config
                .set("retry.initial", "20ms")
                .set("retry.max", "200ms")
                .set("retry.give_up_after", give_up_after)
                .set("timing.probe_interval", "100ms")
        })
        .await?;
        Ok(Self { services, pipeline })
    }

    /// The simulated AMFJ.
    #[must_use]
    pub fn amfj(&self) -> &AmfjSim {
        &self.services.amfj
    }

    /// From now on AMFJ is odd in this way too.
    #[expect(clippy::must_use_candidate, reason = "most oddities last as long as their test")]
    pub fn odd(&self, personality: Personality) -> PersonalityId {
        self.services.amfj.personality(personality)
    }

    /// A complete run that nobody waits for.
    ///
    /// # Errors
    /// When the run is not complete.
    pub async fn publish(&self) -> Result<()> {
        let done = self.pipeline.fetch(&[]).await?;
        ensure!(done.status.success(), "the run failed with {}:\n{}", done.status, done.stderr);
        Ok(())
    }

    /// Waits until an oddity has struck so often.
    ///
    /// # Errors
    /// After a limit.
    pub async fn struck(&self, id: PersonalityId, times: u64) -> Result<()> {
        eventually(RUN_LIMIT, "an oddity to strike", async || {
            let strikes = self.services.amfj.personalities().strikes(id);
            ensure!(strikes >= times, "it struck {strikes} times, not {times}");
            Ok(())
        })
        .await
    }

    /// Waits until so many assets have this in the field for the version of the system.
    ///
    /// # Errors
    /// After a limit, with how many have it.
    pub async fn versions(&self, version: &str, assets: usize) -> Result<()> {
        eventually(RUN_LIMIT, "the new version of the healthy ones", async || {
            let have = self.with_version(version);
            ensure!(have == assets, "{have} of {assets} assets have it");
            Ok(())
        })
        .await
    }

    /// How many assets have this in the field for the version of the system.
    #[must_use]
    pub fn with_version(&self, version: &str) -> usize {
        self.amfj()
            .assets()
            .iter()
            .filter(|asset| asset.fields.get("OS Version") == Some(&json!(version)))
            .count()
    }

    /// Gives every device this version of its system.
    ///
    /// # Errors
    /// When Kandji refuses the value.
    pub fn new_versions(&self, version: &str) -> Result<()> {
        for device in self.services.kandji.devices() {
            self.services.kandji.set(&device.device_id, "os_version", json!(version))?;
        }
        Ok(())
    }

    /// The asset of a device, by the serial that is written to it.
    ///
    /// # Errors
    /// When none has it, or several.
    pub fn asset_of(&self, serial: &str) -> Result<SiteAsset> {
        let of_serial = |asset: &SiteAsset| asset.fields.get("Serial Number") == Some(&json!(serial));
        let mut assets = self.amfj().assets().into_iter().filter(of_serial);
        let asset = assets.next().with_context(|| format!("no asset has the serial {serial}"))?;
        ensure!(assets.next().is_none(), "two assets have the serial {serial}");
        Ok(asset)
    }

    /// Kills the writers in the middle of what they do, and starts as many again.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn replace_writers(&mut self) -> Result<()> {
        let writers = self.pipeline.writers.len();
        self.pipeline.writers.drain(..).try_for_each(|worker| Worker::kill9(worker).map(drop))?;
        self.pipeline.spawn(Workers { reconcilers: 0, writers }).await
    }

    /// Stops the writers in good order, and starts as many again.
    ///
    /// # Errors
    /// When one does not end in good order, or come up.
    pub async fn relieve_writers(&mut self) -> Result<()> {
        let writers = self.pipeline.writers.len();
        for worker in self.pipeline.writers.drain(..).collect::<Vec<_>>() {
            let status = worker.terminate().await?;
            ensure!(status.success(), "a writer that was to end: {status}");
        }
        self.pipeline.spawn(Workers { reconcilers: 0, writers }).await
    }

    /// Kills the reconcilers, and starts as many again: whoever comes next decides again.
    ///
    /// # Errors
    /// When one does not come up.
    pub async fn replace_reconcilers(&mut self) -> Result<()> {
        let reconcilers = self.pipeline.reconcilers.len();
        self.pipeline.reconcilers.drain(..).try_for_each(|worker| Worker::kill9(worker).map(drop))?;
        self.pipeline.spawn(Workers { reconcilers, writers: 0 }).await
    }

    /// Runs until one finds nothing to write.
    ///
    /// # Errors
    /// When every one of several writes something.
    pub async fn to_rest(&self) -> Result<()> {
        for _ in 0..MOST_RUNS {
            self.amfj().clear_writes();
            self.pipeline.run().await?;
            if self.amfj().write_count() == 0 {
                return Ok(());
            }
        }
        let writes = self.services.take_writes();
        anyhow::bail!("{MOST_RUNS} runs in a row wrote something, at last:\n{}", writes.join("\n"))
    }

    /// A further run writes nothing, and looks at a record at most once.
    ///
    /// # Errors
    /// When it writes, or looks more often.
    pub async fn ensure_idle(&self) -> Result<()> {
        self.amfj().clear_writes();
        self.amfj().clear_requests();
        self.pipeline.run().await?;
        let writes = self.services.take_writes();
        ensure!(writes.is_empty(), "an idle run wrote:\n{}", writes.join("\n"));
        let mut looks: BTreeMap<String, usize> = BTreeMap::new();
        for request in self.amfj().requests() {
            let parts: Vec<&str> = request.path.trim_start_matches("/v1/").split('/').collect();
            let record = match parts.as_slice() {
                [_, id, ..] => (*id).to_owned(),
                _ if request.method == "POST" => request.body.unwrap_or_default()["name"].to_string(),
                _ if request.query.starts_with("name=") || request.query.starts_with("email=") => {
                    request.query
                }
                _ => continue,
            };
            *looks.entry(record).or_default() += 1;
        }
        looks.retain(|_, count| *count > 1);
        ensure!(looks.is_empty(), "an idle run asked more than once about: {looks:?}");
        Ok(())
    }

    /// Every device is in this state.
    ///
    /// # Errors
    /// When one is not.
    pub async fn ensure_all(&self, state: &str) -> Result<()> {
        let all = self.services.kandji.devices().len() as u64;
        self.ensure_devices(state, all).await
    }

    /// So many devices are in this state.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub async fn ensure_devices(&self, state: &str, wanted: u64) -> Result<()> {
        let status = self.pipeline.reconcilers[0].status().await?;
        let found = status["integrations"]["acme"]["devices"][state].as_u64().unwrap_or(0);
        let all = &status["integrations"]["acme"]["devices"];
        ensure!(found == wanted, "{found} devices are {state}, not {wanted}: {all}");
        Ok(())
    }

    /// So many changes are given up.
    ///
    /// # Errors
    /// When there are more or fewer.
    pub async fn ensure_dead_letters(&self, wanted: u32) -> Result<()> {
        let found = self.pipeline.dead_letters().await?;
        ensure!(found == wanted, "{found} dead letters instead of {wanted}:\n{}", self.letters().await);
        Ok(())
    }

    async fn letters(&self) -> String {
        self.said(&["dead", "list"]).await.unwrap_or_default()
    }

    /// What a command that must succeed prints.
    ///
    /// # Errors
    /// When it fails.
    pub async fn said(&self, arguments: &[&str]) -> Result<String> {
        self.pipeline.said(arguments).await
    }

    /// No device has two assets and nobody two records, and there is one asset for each device.
    ///
    /// # Errors
    /// When something is there twice, or missing.
    pub fn ensure_nothing_twice(&self) -> Result<()> {
        let (devices, assets) = (self.services.kandji.devices(), self.amfj().assets());
        ensure!(assets.len() == devices.len(), "{} assets for {} devices", assets.len(), devices.len());
        let serials: BTreeSet<String> = assets
            .iter()
            .filter_map(|asset| asset.fields.get("Serial Number"))
            .map(ToString::to_string)
            .collect();
        ensure!(serials.len() == assets.len(), "only {} serials on {} assets", serials.len(), assets.len());
        ensure_people_once(self.amfj())
    }

    /// Every owned device's asset is with its owner.
    ///
    /// # Errors
    /// When one is not.
    pub fn ensure_with_owners(&self) -> Result<()> {
        let owned = self.services.owned_devices();
        ensure!(!owned.is_empty(), "nobody owns a device");
        for device in owned {
            let holder = self.asset_of(&device.serial_number)?.holder;
            let holder = holder.and_then(|id| self.amfj().user(&id)).and_then(|user| user.email);
            let same = |email: &str| device.email().is_some_and(|own| own.eq_ignore_ascii_case(email));
            ensure!(
                holder.as_deref().is_some_and(same),
                "{} is with {holder:?}, not with {:?}",
                device.device_name,
                device.email()
            );
        }
        Ok(())
    }
}

/// Nobody has two records.
///
/// # Errors
/// When somebody has.
pub fn ensure_people_once(amfj: &AmfjSim) -> Result<()> {
    let mut emails = BTreeMap::new();
    for user in amfj.users() {
        let Some(email) = user.email else { continue };
        let first = emails.insert(email.trim().to_lowercase(), user.id.clone());
        ensure!(first.is_none(), "{email} has two records: {} and {}", first.unwrap_or_default(), user.id);
    }
    Ok(())
}
