//! Workers of different releases at one broker: what one of them does not understand is kept for a
//! person, with a word that says so, and stops nothing.

use std::path::{Path, PathBuf};
use std::time::Duration;

use amfj_sync_tests::harness::eventually;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers, newcomers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::json;

fn of_version_2(kind: &str) -> Vec<u8> {
    let message = json!({
        "specversion": "1.0",
        "id": uuid::Uuid::new_v4(),
        "source": "reconciler/of-a-later-release",
        "type": format!("dev.amfj-sync.{kind}.v2"),
        "subject": "device/1",
        "time": "2030-01-01T00:00:00Z",
        "datacontenttype": "application/json",
        "integrationid": "acme",
        "sequence": "0001764000000000.00003",
        "data": {"all": "different"},
    });
    message.to_string().into_bytes()
}

#[tokio::test]
async fn a_message_of_a_future_version_is_a_dead_letter_that_says_so() -> Result<()> {
    let services = Services::plain(6, 191).await?;
    let integration = services.integration("acme").field("Notes", "asset_tag");
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    pipeline.run().await?;
    let connection = Connection::connect(pipeline.broker().url(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let prefix = pipeline.broker().prefix();
    for (queue, kind) in
        [("apply.00", "change"), ("reconcile.01", "device-snapshot"), ("state", "fact"), ("state", "change")]
    {
        let name = format!("{prefix}.acme.{queue}");
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        channel
            .basic_publish("".into(), name.as_str().into(), options, &of_version_2(kind), properties)
            .await?;
    }
    eventually(RUN_LIMIT, "two dead letters", async || {
        let dead = pipeline.dead_letters().await?;
        ensure!(dead == 2, "{dead} dead letters");
        Ok(())
    })
    .await?;
    let letters = pipeline.command(["dead", "list", "--json"]).finish(RUN_LIMIT);
    let letters = letters.await?;
    for kind in ["dev.amfj-sync.change.v2", "dev.amfj-sync.device-snapshot.v2"] {
        ensure!(letters.stdout.contains(kind), "{}", letters.stdout);
    }
    ensure!(letters.stdout.contains("unknown to this release"), "{}", letters.stdout);
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        let passed_over = worker.metrics().await?.sum("amfj_sync_unreadable_facts_total", &[]);
        ensure!(passed_over >= 2.0, "{passed_over} records were passed over");
    }
    // It goes on as before.
    let device = services.kandji.devices().pop().ok_or_else(|| anyhow::anyhow!("no devices"))?;
    services.kandji.set(&device.device_id, "asset_tag", json!("after the other release"))?;
    services.take_writes();
    pipeline.run().await?;
    ensure!(services.take_writes().len() == 1);
    Ok(())
}

/// A folder with the three binaries of an earlier release. Without it the tests below have nothing to do.
const EARLIER: &str = "AMFJ_SYNC_EARLIER_BIN_DIR";

/// How the workers of two releases take over from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All of them are ended first, as docs/operating.md says.
    AllAtOnce,
    /// One after the other, with both releases side by side in between.
    WritersFirst,
    /// The same in the other order.
    ReconcilersFirst,
}

/// A fleet that is in step, by the workers of an earlier release.
struct Upgraded {
    services: Services,
    pipeline: Pipeline,
    earlier: PathBuf,
}

impl Upgraded {
    /// None where no earlier release is at hand.
    async fn from_earlier(seed: u64) -> Result<Option<Self>> {
        let Some(earlier) = std::env::var_os(EARLIER).map(PathBuf::from) else { return Ok(None) };
        let services = Services::start(&newcomers(40, seed)).await?;
        let integration = services.everything("acme").field("OS Version", "os_version");
        let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| config).await?;
        pipeline.use_binaries(Some(&earlier));
        pipeline.spawn(Workers::default()).await?;
        let upgraded = Self { services, pipeline, earlier };
        upgraded.run_to_rest().await?;
        Ok(Some(upgraded))
    }

    /// Runs until one writes nothing. What the status pages of an earlier release are like does not matter.
    async fn run_to_rest(&self) -> Result<()> {
        for _ in 0..5 {
            self.services.take_writes();
            self.pipeline.fetch_all().await?;
            let mut calm = 0;
            let mut seen = 0;
            eventually(RUN_LIMIT, "nothing to move", async || {
                tokio::time::sleep(Duration::from_millis(200)).await;
                let mut waiting = self.services.amfj.request_count();
                let same = waiting == seen;
                seen = waiting;
                waiting = 0;
                for stage in ["reconcile", "apply"] {
                    waiting += self.pipeline.waiting("acme", stage).await? as usize;
                }
                calm = if waiting == 0 && same { calm + 1 } else { 0 };
                ensure!(calm >= 10, "{waiting} messages wait");
                Ok(())
            })
            .await?;
            if self.services.amfj.write_count() == 0 {
                return Ok(());
            }
        }
        anyhow::bail!("five runs in a row wrote something: {:?}", self.services.take_writes())
    }

    /// Every device has one asset that is with its owner and in step, and everybody has one record.
    fn ensure_right(&self, when: &str) -> Result<()> {
        let (devices, assets) = (self.services.kandji.devices(), self.services.amfj.assets());
        ensure!(
            assets.len() == devices.len(),
            "{when}: {} assets for {} devices",
            assets.len(),
            devices.len()
        );
        for device in &devices {
            let own: Vec<_> = assets
                .iter()
                .filter(|asset| asset.fields.get("Serial Number") == Some(&json!(device.serial_number)))
                .collect();
            ensure!(own.len() == 1, "{when}: {} has {} assets", device.device_name, own.len());
            let version = device.to_json()["os_version"].clone();
            ensure!(own[0].fields.get("OS Version") == Some(&version), "{when}: {}", device.device_name);
            let holder = own[0].holder.as_ref().and_then(|id| self.services.amfj.user(id));
            let holder = holder.and_then(|user| user.email).map(|email| email.to_lowercase());
            let owner = device.email().map(str::to_lowercase);
            ensure!(holder == owner, "{when}: {} is with {holder:?}, not {owner:?}", device.device_name);
        }
        let mut emails: Vec<_> =
            self.services.amfj.users().into_iter().filter_map(|user| user.email).collect();
        let all = emails.len();
        emails.sort_unstable();
        emails.dedup();
        ensure!(emails.len() == all, "{when}: somebody has two records");
        Ok(())
    }

    /// AMFJ takes nothing while much changes, and the writers end with all of that in the queue.
    async fn queue_changes(&mut self, version: &str) -> Result<()> {
        for method in ["POST", "PATCH"] {
            self.services.amfj.fault(Rule::new(Action::Status { code: 503, body: None }).on(method, "*"));
        }
        let devices = self.services.kandji.devices();
        for device in devices.iter().take(10) {
            self.services.kandji.set(&device.device_id, "os_version", json!(version))?;
        }
        let next = format!("next.{}@example.com", version.replace(' ', "."));
        self.services.kandji.give_to(&devices[11].device_id, "Next Owner", &next)?;
        self.pipeline.fetch_all().await?;
        eventually(RUN_LIMIT, "changes in the queue", async || {
            let waiting = self.pipeline.waiting("acme", "reconcile").await?;
            ensure!(waiting == 0, "{waiting} snapshots wait");
            Ok(())
        })
        .await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    /// Other binaries take over, in this way.
    async fn hand_over(&mut self, to: Option<&Path>, way: Way) -> Result<()> {
        self.pipeline.use_binaries(to);
        let (reconciler, writer) =
            (Workers { reconcilers: 1, writers: 0 }, Workers { reconcilers: 0, writers: 1 });
        if way == Way::AllAtOnce {
            self.pipeline.dismiss().await?;
            return self.pipeline.spawn(Workers::default()).await;
        }
        let order = if way == Way::WritersFirst { [writer, reconciler] } else { [reconciler, writer] };
        for workers in order {
            self.pipeline.spawn(workers).await?;
            let of_kind =
                if workers.writers > 0 { &mut self.pipeline.writers } else { &mut self.pipeline.reconcilers };
            let status = of_kind.remove(0).terminate().await?;
            ensure!(status.success(), "it ended with {status}");
            // Side by side for a while.
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
        Ok(())
    }

    async fn ensure_clean(&self, when: &str) -> Result<()> {
        let dead = self.pipeline.dead_letters().await?;
        ensure!(dead == 0, "{when}: {dead} dead letters");
        self.ensure_right(when)
    }
}

/// With changes of the earlier release in the queue: nothing is made twice, no link is lost, what was queued is written or
/// decided anew. Then the way back, with changes of this release in the queue.
async fn there_and_back(seed: u64, way: Way) -> Result<()> {
    let Some(mut upgraded) = Upgraded::from_earlier(seed).await? else { return Ok(()) };
    upgraded.ensure_clean("before").await?;
    upgraded.queue_changes("new 1").await?;
    upgraded.hand_over(None, way).await?;
    upgraded.services.amfj.faults().clear();
    upgraded.run_to_rest().await?;
    upgraded.ensure_clean("after").await?;
    let unreadable =
        upgraded.pipeline.writers[0].metrics().await?.sum("amfj_sync_unreadable_facts_total", &[]);
    ensure!(unreadable == 0.0, "{unreadable} facts of the earlier release are not understood");
    let status = upgraded.pipeline.said(&["status"]).await?;
    println!("{status}");

    upgraded.queue_changes("new 2").await?;
    let earlier = upgraded.earlier.clone();
    upgraded.hand_over(Some(&earlier), way).await?;
    upgraded.services.amfj.faults().clear();
    upgraded.run_to_rest().await?;
    println!("{}", upgraded.pipeline.logs());
    upgraded.ensure_clean("back").await?;
    // And here again.
    upgraded.hand_over(None, way).await?;
    upgraded.run_to_rest().await?;
    upgraded.ensure_clean("once more").await
}

#[tokio::test]
async fn an_earlier_release_is_replaced_all_at_once_and_comes_back() -> Result<()> {
    there_and_back(192, Way::AllAtOnce).await
}

#[tokio::test]
async fn an_earlier_release_is_replaced_one_worker_after_the_other_writers_first() -> Result<()> {
    there_and_back(193, Way::WritersFirst).await
}

#[tokio::test]
async fn an_earlier_release_is_replaced_one_worker_after_the_other_reconcilers_first() -> Result<()> {
    there_and_back(194, Way::ReconcilersFirst).await
}
