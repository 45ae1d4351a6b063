//! A small, hand-made world for one rule: nothing is in it but what the test puts there.

use amfj_sync_tests::harness::workers::Finished;
use amfj_sync_tests::model::Settings;
use amfj_sync_tests::pipeline::{Pipeline, Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site, SiteAsset};
use amfj_sync_tests::sim::kandji::{NewDevice, NewOwner};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Two empty services and, once [`start`](Bench::start)ed, the workers between them.
pub(crate) struct Bench {
    pub(crate) services: Services,
    pub(crate) settings: Settings,
    pipeline: Option<Pipeline>,
}

impl Bench {
    pub(crate) async fn new(settings: Settings) -> Result<Self> {
        let mut fleet = Fleet::generate(spec(0, 1));
        (fleet.people, fleet.site) = (Vec::new(), Site::empty());
        Ok(Self { services: Services::start(&fleet).await?, settings, pipeline: None })
    }

    /// Starts one worker of each kind.
    pub(crate) async fn start(&mut self) -> Result<()> {
        let integration = self.settings.configure(self.services.integration("acme"));
        self.pipeline = Some(Pipeline::start(vec![("acme", integration)]).await?);
        Ok(())
    }

    pub(crate) fn pipeline(&self) -> &Pipeline {
        self.pipeline.as_ref().expect("start() comes first")
    }

    /// Reads other settings from now on.
    pub(crate) async fn change_settings(&mut self, settings: Settings) -> Result<()> {
        let integration = settings.configure(self.services.integration("acme"));
        self.settings = settings;
        self.pipeline.as_mut().context("start() comes first")?.reconfigure(vec![("acme", integration)]).await
    }

    /// A complete run and all that follows; returns what was written, sorted.
    pub(crate) async fn run(&self) -> Result<Vec<String>> {
        self.services.amfj.clear_writes();
        self.pipeline().run().await?;
        Ok(self.services.take_writes())
    }

    /// A run that must change nothing.
    pub(crate) async fn run_writes_nothing(&self, why: &str) -> Result<()> {
        let writes = self.run().await?;
        ensure!(writes.is_empty(), "{why}, but this was written:\n{}", writes.join("\n"));
        Ok(())
    }

    /// A run that must fail: status 1 or 2, no decision, no write. Returns what was said.
    pub(crate) async fn run_fails(&self) -> Result<String> {
        let Finished { status, stderr, stdout } = self.pipeline().fetch(&[]).await?;
        ensure!(matches!(status.code(), Some(1 | 2)), "it ended with {status}:\n{stdout}{stderr}");
        ensure!(
            self.services.amfj.write_count() == 0,
            "a failed run wrote: {:?}",
            self.services.take_writes()
        );
        Ok(format!("{stdout}{stderr}"))
    }

    /// Enrols a Mac; its owner, if it has one, as name and email.
    pub(crate) fn enrol(&self, name: &str, owner: Option<(&str, &str)>) -> Result<String> {
        let owner = owner.map(|(name, email)| NewOwner {
            name: name.to_owned(),
            email: Some(email.to_owned()),
            ..NewOwner::default()
        });
        let new = NewDevice { name: name.to_owned(), owner, ..NewDevice::default() };
        Ok(self.services.kandji.add_device(new)?.device_id)
    }

    /// Enrols a Mac without owner and enters a laptop of its name.
    pub(crate) fn pair(&self, name: &str) -> Result<(String, String)> {
        Ok((self.enrol(name, None)?, self.services.amfj.add_asset(name, "Laptop")?))
    }

    /// The same with an owner.
    pub(crate) fn owned_pair(&self, name: &str, owner: (&str, &str)) -> Result<(String, String)> {
        Ok((self.enrol(name, Some(owner))?, self.services.amfj.add_asset(name, "Laptop")?))
    }

    /// A local user record.
    pub(crate) fn record(&self, name: &str, email: &str) -> Result<String> {
        self.services.amfj.add_user(name, Some(email), false)
    }

    pub(crate) fn asset(&self, id: &str) -> SiteAsset {
        self.services.amfj.asset(id).expect("the asset is there")
    }

    pub(crate) fn field(&self, asset: &str, field: &str) -> Value {
        self.asset(asset).fields.get(field).cloned().unwrap_or_default()
    }

    pub(crate) fn holder(&self, asset: &str) -> Option<String> {
        self.asset(asset).holder
    }

    /// How many devices of a state `/status` counts.
    pub(crate) async fn devices(&self, state: &str) -> Result<u64> {
        let status = self.pipeline().reconcilers[0].status().await?;
        Ok(status["integrations"]["acme"]["devices"][state].as_u64().unwrap_or(0))
    }
}
