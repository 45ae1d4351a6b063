//! The order of everything that concerns one device, seen from AMFJ.
//!
//! Every round gives every device a value and an owner that bear the round's number. Whatever happens to
//! the writers meanwhile, no request of an earlier round may be carried out after one of a later round.

use std::collections::BTreeMap;
use std::time::Duration;

use amfj_sync_tests::harness::{Proxy, Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;

use super::support::{FAILPOINTS, begin, email, everything, fetch, join, stamp, tag, waits_at};

/// Counts changes that were answered before.
const REPEATS: &str = "amfj_sync_repeats_total";

const ROUNDS: u32 = 10;
const DEVICES: usize = 24;

fn round_of(text: &str) -> Option<u32> {
    let number = text.strip_prefix("round").and_then(|rest| rest.get(1..4))?;
    number.parse().ok()
}

/// Writers that come and go.
struct Crowd {
    proxy: Proxy,
    happened: BTreeMap<&'static str, u32>,
}

impl Crowd {
    fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// Another writer, half of them through the proxy.
    async fn spawn(&mut self, pipeline: &mut Pipeline, chance: &mut StdRng) -> Result<()> {
        let url = chance.random_bool(0.5).then(|| format!("{}?heartbeat=2", self.proxy.url()));
        join(pipeline, Role::Writer, |launch| match url {
            Some(url) => launch.env("AMFJ_SYNC__BROKER__URL", url),
            None => launch,
        })
        .await?;
        self.count("hired");
        Ok(())
    }

    async fn disturb(&mut self, pipeline: &mut Pipeline, chance: &mut StdRng) -> Result<()> {
        let writers = pipeline.writers.len();
        match chance.random_range(0..7) {
            0 | 1 if writers < 3 => self.spawn(pipeline, chance).await?,
            2 if writers > 1 => {
                let status = pipeline.writers.remove(0).terminate().await?;
                ensure!(status.success(), "a writer ended with {status}");
                self.count("dismissed");
            }
            3 => {
                pipeline.writers.remove(chance.random_range(0..writers)).kill9().map(drop)?;
                self.count("killed");
                if writers == 1 {
                    self.spawn(pipeline, chance).await?;
                }
            }
            4 => {
                if self.proxy.cut("consuming") > 0 {
                    self.count("cut off from consuming");
                }
            }
            5 => {
                if self.proxy.cut("publishing") > 0 {
                    self.count("cut off from publishing");
                }
            }
            _ => {
                let frozen = chance.random_range(0..writers);
                pipeline.writers[frozen].freeze();
                let behind = self.proxy.silence("writer/");
                let pause = chance.random_range(200..5000);
                tokio::time::sleep(Duration::from_millis(pause)).await;
                pipeline.writers[frozen].thaw();
                self.proxy.speak();
                self.count(if behind > 0 { "frozen and silenced" } else { "frozen" });
            }
        }
        Ok(())
    }
}

/// No older change lands after a newer one, whatever becomes of the partitions.
#[tokio::test]
async fn no_older_change_lands_after_a_newer_one_through_hand_overs_and_rebalancing() -> Result<()> {
    let seed: u64 = std::env::var("AMFJ_SYNC_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(151);
    let mut chance = StdRng::seed_from_u64(seed);
    let services = Services::plain(DEVICES, 151).await?;
    let workers = Workers { reconcilers: 1, writers: 1 };
    let mut pipeline =
        Pipeline::with(workers, vec![("acme", everything(&services))], |config| config).await?;
    pipeline.run().await?;
    services.amfj.set_latency(Duration::from_millis(25));
    let mut crowd = Crowd { proxy: Proxy::before(pipeline.broker().url()).await?, happened: BTreeMap::new() };
    crowd.spawn(&mut pipeline, &mut chance).await?;
    for round in 1..=ROUNDS {
        begin(&services, round)?;
        fetch(&pipeline).await?;
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(chance.random_range(0..600))).await;
            crowd.disturb(&mut pipeline, &mut chance).await?;
        }
    }
    services.amfj.set_latency(Duration::ZERO);
    pipeline.settle().await?;
    // What was found out of date on the way is decided again.
    pipeline.run().await?;
    println!("seed {seed}: {:?}", crowd.happened);
    ensure_in_order(&services)?;
    ensure!(crowd.happened.len() >= 4, "too little happened: {:?}", crowd.happened);
    let rounds = rounds_written(&services)?;
    ensure!(rounds >= 3, "only {rounds} rounds were written: nothing could have come too late");
    for asset in services.amfj.assets() {
        let notes = asset.fields.get("Notes").cloned().unwrap_or_default();
        ensure!(notes == json!(stamp(ROUNDS)), "{} was left with {notes}", asset.name);
        let holder = asset.holder.as_ref().and_then(|id| services.amfj.user(id)).and_then(|user| user.email);
        ensure!(holder.as_deref() == Some(&email(ROUNDS)), "{} was left with {holder:?}", asset.name);
    }
    ensure!(pipeline.dead_letters().await? == 0);
    Ok(())
}

fn ensure_in_order(services: &Services) -> Result<()> {
    let mut fields: BTreeMap<String, u32> = BTreeMap::new();
    for write in services.amfj.writes() {
        let round = write.body["fields"]["Notes"].as_str().and_then(round_of);
        let (Some(round), Some(asset)) = (round, write.result["id"].as_str()) else { continue };
        let newest = fields.entry(asset.to_owned()).or_default();
        ensure!(round >= *newest, "asset {asset}: round {round} was written after round {newest}");
        *newest = round;
    }
    let mut holders: BTreeMap<String, u32> = BTreeMap::new();
    for handover in services.amfj.handovers() {
        let Some(to) = handover.to else { continue };
        let email = services.amfj.user(&to).and_then(|user| user.email).unwrap_or_default();
        let Some(round) = round_of(&email) else { continue };
        let newest = holders.entry(handover.asset_id.clone()).or_default();
        ensure!(
            round >= *newest,
            "asset {}: the owner of round {round} got it after the one of round {newest}",
            handover.asset_id
        );
        *newest = round;
    }
    Ok(())
}

/// In how many different rounds some asset was written.
fn rounds_written(services: &Services) -> Result<usize> {
    let writes = services.amfj.writes();
    let mut rounds: Vec<u32> =
        writes.iter().filter_map(|write| write.body["fields"]["Notes"].as_str().and_then(round_of)).collect();
    rounds.sort_unstable();
    rounds.dedup();
    (!rounds.is_empty()).then_some(rounds.len()).context("nothing was written")
}

/// Two rounds, the second while the first request for each of the assets takes that long: in order, and the second stays.
async fn two_rounds_of_which_the_first_takes(ms: u64, seed: u64) -> Result<Services> {
    let services = Services::plain(6, seed).await?;
    let workers = Workers { reconcilers: 1, writers: 1 };
    let pipeline = Pipeline::with(workers, vec![("acme", everything(&services))], |config| config).await?;
    pipeline.run().await?;
    services.amfj.clear_requests();
    let slow = services.amfj.fault(Rule::new(Action::Delay { ms }).on("PATCH", "/assets/*").times(6));
    begin(&services, 1)?;
    fetch(&pipeline).await?;
    eventually(RUN_LIMIT, "six slow requests under way", async || {
        ensure!(services.amfj.faults().active().iter().all(|(id, _)| *id != slow), "not yet");
        Ok(())
    })
    .await?;
    begin(&services, 2)?;
    fetch(&pipeline).await?;
    pipeline.settle().await?;
    ensure_in_order(&services)?;
    for asset in services.amfj.assets() {
        let notes = asset.fields.get("Notes").cloned().unwrap_or_default();
        ensure!(notes == json!(stamp(2)), "{} was left with {notes}", asset.name);
    }
    Ok(services)
}

/// AMFJ takes long over a change, and the next one of the same device is right behind it: it waits, and neither
/// overtakes nor is lost.
#[tokio::test]
async fn a_change_waits_for_the_one_before_it_however_slow_that_is() -> Result<()> {
    // Within the time-out of a request; the ones after them are fast.
    let services = two_rounds_of_which_the_first_takes(1_800, 152).await?;
    let rounds = rounds_written(&services)?;
    ensure!(rounds == 2, "{rounds} rounds were written");
    Ok(())
}

/// AMFJ carries a change out after the writer has given up waiting for the answer: whatever comes next is sent only when
/// the first request can no longer be under way, so that it stays.
#[tokio::test]
async fn a_change_that_is_carried_out_after_its_time_out_does_not_undo_the_next() -> Result<()> {
    // The time-out is two seconds, the list delay half a second.
    let services = two_rounds_of_which_the_first_takes(2_300, 154).await?;
    let requests = services.amfj.requests();
    let sent = requests.iter().filter(|request| request.method == "PATCH").count();
    // The first change comes a second time where the second decision is not known yet by then.
    ensure!((12..=18).contains(&sent), "{sent} requests for two changes of six assets");
    Ok(())
}

/// The same where the pause after the time-out is cut short, because other devices' failures open the circuit and the
/// change goes back to the queue.
#[tokio::test]
async fn a_time_out_is_not_forgotten_when_the_circuit_opens() -> Result<()> {
    let services = Services::plain(6, 159).await?;
    let settings = everything(&services).set("amfj.list_delay", "4s");
    let workers = Workers { reconcilers: 1, writers: 1 };
    let pipeline = Pipeline::with(workers, vec![("acme", settings)], |config| {
        config.set("timing.probe_interval", "50ms")
    })
    .await?;
    pipeline.run().await?;
    services.amfj.clear_requests();
    let slow = services.amfj.assets().pop().context("an asset")?.id;
    // Carried out three and a half seconds after the time-out.
    let late = Rule::new(Action::Delay { ms: 5_500 }).on("PATCH", &format!("/assets/{slow}")).times(1);
    let late = services.amfj.fault(late);
    let others = services.amfj.assets().into_iter().filter(|asset| asset.id != slow).map(|asset| {
        let path = format!("/assets/{}", asset.id);
        services.amfj.fault(Rule::new(Action::Status { code: 503, body: None }).on("PATCH", &path))
    });
    let mut others: Vec<_> = others.collect();
    // The run reads the locations once; the probe that the failures give rise to fails.
    let probe = Rule::new(Action::Status { code: 503, body: None }).on("GET", "/locations").after(1);
    others.push(services.amfj.fault(probe));
    tag(&services, 1)?;
    fetch(&pipeline).await?;
    eventually(RUN_LIMIT, "a slow request under way and an open circuit", async || {
        ensure!(services.amfj.faults().active().iter().all(|(id, _)| *id != late), "it is not under way");
        ensure!(pipeline.writers[0].log().contains("AMFJ is paused"), "{}", pipeline.writers[0].log_tail());
        Ok(())
    })
    .await?;
    // The time-out of a request.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    for rule in others {
        services.amfj.faults().remove(rule);
    }
    tag(&services, 2)?;
    fetch(&pipeline).await?;
    eventually(RUN_LIMIT, "the slow request carried out", async || {
        let writes = services.amfj.writes();
        let mut own = writes.iter().filter(|write| write.result["id"] == json!(slow));
        ensure!(own.any(|write| write.body["fields"]["Notes"] == json!(stamp(1))));
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    ensure_in_order(&services)?;
    let asset = services.amfj.asset(&slow).context("the asset")?;
    ensure!(asset.fields.get("Notes") == Some(&json!(stamp(2))), "{asset:?}");
    Ok(())
}

/// A reconciler stands still after it has decided and before it has published, until another one has decided the same
/// and the next run. What it publishes then was answered long ago: nothing of it reaches AMFJ, or alters what is known.
#[tokio::test]
async fn what_a_reconciler_publishes_after_a_newer_run_changes_nothing() -> Result<()> {
    let services = Services::plain(6, 153).await?;
    let workers = Workers { reconcilers: 1, writers: 1 };
    let mut pipeline =
        Pipeline::with(workers, vec![("acme", everything(&services))], |config| config).await?;
    pipeline.run().await?;
    ensure!(pipeline.reconcilers.remove(0).terminate().await?.success());
    let proxy = Proxy::before(pipeline.broker().url()).await?;
    let url = proxy.url().to_owned();
    let late = join(&mut pipeline, Role::Reconciler, |launch| {
        launch.env("AMFJ_SYNC__BROKER__URL", url).env(FAILPOINTS, "reconciler.concluded=wait@1:2s")
    })
    .await?;
    let late = pipeline.reconcilers.remove(late);
    tag(&services, 1)?;
    fetch(&pipeline).await?;
    waits_at(&late, "reconciler.concluded").await?;
    late.freeze();
    // The proxy stands for the broker that notices the loss.
    ensure!(proxy.cut("reconciler/") == 2, "both connections go through the proxy");
    join(&mut pipeline, Role::Reconciler, |launch| launch).await?;
    pipeline.settle().await?;
    tag(&services, 2)?;
    pipeline.run().await?;
    let passed_over = async || pipeline.writers[0].metrics().await.map(|page| page.sum(REPEATS, &[]));
    let before = passed_over().await?;
    let writes = services.amfj.write_count();
    late.thaw();
    pipeline.reconcilers.push(late);
    eventually(RUN_LIMIT, "changes that come late", async || {
        ensure!(passed_over().await? > before, "none has come");
        Ok(())
    })
    .await?;
    pipeline.settle().await?;
    ensure!(services.amfj.write_count() == writes, "a late change was written");
    ensure_in_order(&services)?;
    services.take_writes();
    pipeline.run().await?;
    let writes = services.take_writes();
    ensure!(writes.is_empty(), "the next run wrote {writes:?}");
    Ok(())
}
