//! First sync, change, hand-over, a device that leaves, a link by name: what the model says, in every dialect.

use amfj_sync_tests::model::{CreateDevices, CreateUsers, Model, Settings};
use amfj_sync_tests::pipeline::{Pipeline, Services, spec};
use amfj_sync_tests::sim::amfj::Dialect;
use amfj_sync_tests::sim::fleet::{Device, Fleet};
use amfj_sync_tests::sim::kandji::{NewDevice, NewOwner};
use anyhow::{Context as _, Result, ensure};
use serde_json::json;

/// Both services, the workers, and what should be.
struct Job {
    services: Services,
    pipeline: Pipeline,
    settings: Settings,
    model: Model,
}

/// Everything that can be written is written, values of every type among it.
fn settings() -> Settings {
    let settings = Settings {
        create_devices: CreateDevices::Always,
        until_linked: true,
        create_users: CreateUsers::All,
        auto_checkout: true,
        clear_on_empty: true,
        check_in_gone: true,
        default_location: Some("HQ".to_owned()),
        ..Settings::default()
    };
    settings
        .field("Serial Number", "serial_number")
        .field("OS Version", "os_version")
        .field("Asset Tag", "asset_tag")
        .field("Cores", "details.hardware_overview.total_number_of_cores")
        .field("Managed", "mdm_enabled")
        .field("Enrolled On", "first_enrollment")
        .field("Platform", "platform")
        .field("Name", "device_name")
        .user_field("Kandji User", "user.name")
}

impl Job {
    /// Two thirds of the devices have an asset of their name, the others get one.
    async fn begin(dialect: Dialect, seed: u64) -> Result<Self> {
        let mut fleet = Fleet::generate(spec(24, seed));
        fleet.site.assets.truncate(16);
        let services = Services::speaking(dialect, &fleet).await?;
        let settings = settings();
        let integration = settings.configure(services.integration("acme"));
        let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
        Ok(Self { services, pipeline, settings, model: Model::default() })
    }

    /// A run, after which AMFJ holds what the model says.
    async fn run(&mut self, what: &str) -> Result<()> {
        let prediction = self.model.run(&self.settings, &self.services.content(), &self.services.amfj.site());
        self.services.amfj.clear_writes();
        self.pipeline.run().await.with_context(|| what.to_owned())?;
        let agreed = self.model.agree(&prediction, &self.services.amfj.site());
        agreed.map_err(anyhow::Error::msg).with_context(|| format!("after {what}"))
    }

    /// The same, and it writes nothing.
    async fn idle(&mut self, after: &str) -> Result<()> {
        self.run(&format!("an idle run after {after}")).await?;
        let writes = self.services.take_writes();
        ensure!(writes.is_empty(), "an idle run after {after} wrote:\n{}", writes.join("\n"));
        Ok(())
    }

    fn owned(&self) -> Result<Device> {
        self.services.owned_devices().into_iter().next().context("nobody owns a device")
    }

    fn holder_of(&self, device: &str) -> Result<Option<String>> {
        let asset = self.model.links.get(device).context("it has no asset")?;
        Ok(self.services.amfj.asset(asset).context("its asset is gone")?.holder)
    }
}

async fn main_job(dialect: Dialect, seed: u64) -> Result<()> {
    let mut job = Job::begin(dialect, seed).await?;
    job.run("the first sync").await?;
    ensure!(job.services.amfj.assets().len() == 24, "one asset a device");
    job.idle("the first sync").await?;

    let devices = job.services.kandji.devices();
    for device in &devices[..3] {
        job.services.kandji.set(&device.device_id, "os_version", json!("99.1 & <beta>"))?;
        job.services.kandji.set(&device.device_id, "asset_tag", json!(""))?;
    }
    job.services.kandji.rename(&devices[4].device_id, "Sam's “new” / Mac")?;
    let handed = job.owned()?;
    let before = job.holder_of(&handed.device_id)?;
    job.services.kandji.give_to(&handed.device_id, "Next Owner", "next.owner@example.com")?;
    job.run("changes and a hand-over").await?;
    let now = job.holder_of(&handed.device_id)?;
    ensure!(before.is_some() && now.is_some() && now != before, "{before:?} had it, {now:?} has it");
    job.idle("changes and a hand-over").await?;

    // By hand: somebody else's asset is left alone, and what a newcomer is called is linked and not created.
    let kept = job.services.owned_devices().pop().context("nobody owns a device")?;
    let asset = job.model.links.get(&kept.device_id).context("it has no asset")?.clone();
    let other = job.services.amfj.users().remove(0);
    job.services.amfj.check_out(&asset, &other.id)?;
    let by_hand = job.services.amfj.add_asset("The newcomer", "Laptop")?;
    let owner = NewOwner { name: "A Newcomer".to_owned(), ..NewOwner::default() };
    let new = NewDevice { name: "The newcomer".to_owned(), owner: Some(owner), ..NewDevice::default() };
    let newcomer = job.services.kandji.add_device(new)?;
    job.run("a newcomer, and a check-out by hand").await?;
    ensure!(job.model.links.get(&newcomer.device_id) == Some(&by_hand), "{:?}", job.model.links);
    ensure!(job.holder_of(&kept.device_id)?.as_ref() == Some(&other.id), "what was done by hand stays");
    job.idle("a newcomer").await?;

    let leaver = job.owned()?;
    job.services.kandji.remove_device(&leaver.device_id)?;
    job.run("a device that is missing").await?;
    ensure!(job.holder_of(&leaver.device_id)?.is_some(), "missing once is not gone");
    job.run("a device that is gone").await?;
    ensure!(job.holder_of(&leaver.device_id)?.is_none(), "what is gone is with nobody");
    job.idle("a device that is gone").await?;
    let breaches = job.services.amfj.violations();
    ensure!(breaches.is_empty(), "what {} does not have was asked of it: {breaches:?}", dialect.name());
    ensure!(job.pipeline.dead_letters().await? == 0, "there are dead letters");
    Ok(())
}

#[tokio::test]
async fn the_main_job_under_offset_put() -> Result<()> {
    main_job(Dialect::OffsetPut, 2101).await
}

#[tokio::test]
async fn the_main_job_under_envelope_jobs() -> Result<()> {
    main_job(Dialect::EnvelopeJobs, 2102).await
}

#[tokio::test]
async fn the_main_job_under_prefix_members() -> Result<()> {
    main_job(Dialect::PrefixMembers, 2103).await
}
