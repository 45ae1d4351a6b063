//! What must hold after every episode.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::{Stage, flapping};
use crate::model::{KandjiContent, Model, Prediction};
use crate::sim::fleet::Site;

/// Runs after a fault until nothing is left to do; more means that it does not converge. Two are needed
/// for a device that is gone, and one that writes nothing.
const MOST_RUNS: usize = 4;

/// For one command.
const EXPLAIN_LIMIT: Duration = Duration::from_secs(20);

/// How both sides stood when the run of the episode began.
pub(super) struct Before {
    site: Site,
    content: KandjiContent,
    /// Kandji after faults and people changed more: runs may have been decided on each of these.
    meanwhile: Vec<KandjiContent>,
}

impl Before {
    pub(super) fn now(stage: &Stage) -> Self {
        Self { site: stage.services.amfj.site(), content: stage.services.content(), meanwhile: Vec::new() }
    }

    /// A run may begin now.
    pub(super) fn look_again(&mut self, stage: &Stage) {
        self.meanwhile.push(stage.services.content());
    }

    fn contents(&self) -> impl Iterator<Item = &KandjiContent> {
        std::iter::once(&self.content).chain(&self.meanwhile)
    }
}

/// Everything is as the rules say, nothing moves, an idle run writes nothing, and no value went to and
/// fro since AMFJ held `before`.
pub(super) async fn all_is_well(stage: &mut Stage, before: &Before) -> Result<()> {
    let mut known = stage.model.clone();
    known.keeps_otherwise(stage.services.amfj.kept_otherwise());
    let known = known;
    let mut differences = String::new();
    for _ in 0..MOST_RUNS {
        let written = stage.services.amfj.write_count();
        stage.complete_run().await?;
        let idle = stage.services.amfj.write_count() == written;
        match agreed(&known, stage, before) {
            Ok(model) if idle => {
                stage.model = model;
                return orderly(stage, before).await;
            }
            Ok(_) => differences.clear(),
            Err(found) => differences = found,
        }
    }
    ensure!(!differences.is_empty(), "{MOST_RUNS} complete runs in a row wrote something");
    let explained = explained(stage, &differences).await;
    bail!("after {MOST_RUNS} complete runs AMFJ is not as the rules say:\n{differences}\n{explained}")
}

/// What the product says about the first devices that the text names.
async fn explained(stage: &Stage, differences: &str) -> String {
    let word = |letter: char| letter != '-' && !letter.is_ascii_hexdigit();
    let devices: BTreeSet<&str> =
        differences.split(word).filter(|word| uuid::Uuid::try_parse(word).is_ok()).collect();
    let mut all = String::new();
    for device in devices.into_iter().take(3) {
        let call = stage.workers.command(&["explain", device]);
        match call.finish(EXPLAIN_LIMIT).await {
            Ok(done) => all.extend([done.stdout, done.stderr]),
            Err(error) => all.extend([format!("{error:#}")]),
        }
    }
    all
}

/// The model as it is afterwards, if AMFJ holds what it says. Where a fault changed the fleet while it was
/// read, a run may have been decided on the fleet before that, or none.
fn agreed(known: &Model, stage: &Stage, before: &Before) -> Result<Model, String> {
    let now = stage.services.content();
    let actual = stage.services.amfj.site();
    let mut model = known.clone();
    let prediction = in_the_end(&mut model, stage, &[&now], &before.site);
    let Err(differences) = model.agree(&prediction, &actual) else { return Ok(model) };
    if before.contents().all(|content| same_devices(&now, content)) {
        return Err(differences);
    }
    let mut disagreement = String::new();
    for content in before.contents() {
        // Those that left may have left before their details were read.
        let mut unread = content.clone();
        unread.details.retain(|id, _| now.devices.iter().any(|row| row["device_id"] == **id));
        for earlier in [content, &unread] {
            let mut model = known.clone();
            let prediction = in_the_end(&mut model, stage, &[earlier, &now], &before.site);
            match model.agree(&prediction, &actual) {
                Ok(()) => return Ok(model),
                Err(differences) => disagreement = differences,
            }
        }
    }
    Err(disagreement)
}

fn same_devices(one: &KandjiContent, other: &KandjiContent) -> bool {
    let ids = |content: &KandjiContent| {
        content.devices.iter().map(|row| row["device_id"].to_string()).collect::<BTreeSet<_>>()
    };
    ids(one) == ids(other)
}

/// What the rules say, however many runs it takes.
fn in_the_end(model: &mut Model, stage: &Stage, contents: &[&KandjiContent], before: &Site) -> Prediction {
    let mut prediction = Prediction { site: before.clone(), classes: BTreeMap::new() };
    for content in contents {
        // A device is gone with the second run that does not see it (P22).
        for _ in 0..3 {
            prediction = model.run(&stage.settings, content, &prediction.site);
        }
    }
    prediction
}

/// The assets whose device was there before and is there no more.
fn left(stage: &Stage, before: &KandjiContent) -> BTreeSet<String> {
    let serials = |content: &KandjiContent| -> BTreeSet<String> {
        content.devices.iter().filter_map(|row| row["serial_number"].as_str().map(str::to_owned)).collect()
    };
    let gone = &serials(before) - &serials(&stage.services.content());
    let is_gone = |serial: &str| gone.contains(serial);
    let assets = stage.services.amfj.assets().into_iter();
    assets
        .filter(|asset| asset.fields.get("Serial Number").and_then(Value::as_str).is_some_and(is_gone))
        .map(|asset| asset.id)
        .collect()
}

async fn orderly(stage: &mut Stage, before: &Before) -> Result<()> {
    let writes = stage.services.amfj.writes();
    stage.tally.writes += writes.len() as u64;
    let flapping = flapping::find(&before.site, &writes, &left(stage, &before.content));
    ensure!(flapping.is_empty(), "values were written to and fro:\n{}", flapping.join("\n"));
    let idle = stage.services.amfj.idle_patches();
    let may_be = idle.is_empty() || stage.may_repeat_writes;
    ensure!(may_be, "assets were written that were as they should be already: {idle:?}");
    ensure_created_once(stage)?;
    for (service, breaches) in
        [("AMFJ", stage.services.amfj.violations()), ("Kandji", stage.services.kandji.violations())]
    {
        ensure!(breaches.is_empty(), "requests to {service} broke the contract: {breaches:?}");
    }
    only_expected_dead_letters(stage).await?;
    let exits = stage.workers.deaths().iter().filter(|(_, death)| matches!(death, super::Death::Exit(_)));
    let exits: Vec<_> = exits.collect();
    ensure!(stage.may_exit || exits.is_empty(), "workers ended by themselves: {exits:?}");
    Ok(())
}

/// No asset and no user record was created twice in this episode.
fn ensure_created_once(stage: &Stage) -> Result<()> {
    let mut seen = BTreeMap::new();
    for write in stage.services.amfj.writes().iter().filter(|write| write.method == "POST") {
        let subject = match write.path.rsplit('/').next() {
            Some("assets") => format!("asset with serial {}", write.body["fields"]["Serial Number"]),
            Some("users") => {
                format!("user record with email {} and name {}", write.body["email"], write.body["name"])
            }
            _ => continue,
        };
        let id = write.result["id"].to_string();
        if let Some(first) = seen.insert(subject.clone(), id.clone()) {
            bail!("one {subject} was created twice: as {first} and as {id}");
        }
    }
    Ok(())
}

/// How long a worker may take to count dead letters, also where they are large.
const COUNTED_WITHIN: Duration = Duration::from_secs(15);

async fn only_expected_dead_letters(stage: &mut Stage) -> Result<()> {
    let expected = std::mem::take(&mut stage.expected);
    let mut letters = stage.take_dead_letters().await?;
    let begin = Instant::now();
    let missing = |letters: &[_]| expected.iter().any(|one| one.count(letters) < one.at_least());
    // A worker that counts them holds them for a moment.
    while missing(&letters) && begin.elapsed() < COUNTED_WITHIN {
        tokio::time::sleep(Duration::from_millis(200)).await;
        letters.extend(stage.take_dead_letters().await?);
    }
    for letter in &letters {
        ensure!(
            expected.iter().any(|expected| expected.fits(letter)),
            "a dead letter that nobody expected: key {:?}, reason {:?}, body {}",
            letter.key,
            letter.reason,
            String::from_utf8_lossy(&letter.body[..letter.body.len().min(2_000)])
        );
    }
    for expected in &expected {
        let found = expected.count(&letters);
        ensure!(found >= expected.at_least(), "{found} dead letters instead of {expected:?}");
    }
    stage.tally.dead_letters += letters.len() as u64;
    Ok(())
}

/// A change that was made just now arrives with the next run.
pub(super) async fn a_fresh_change_goes_through(stage: &mut Stage) -> Result<()> {
    let (device, asset) = stage.any_linked_device()?;
    let version = format!("fresh {}", stage.tally.runs);
    stage.services.kandji.set(&device, "os_version", json!(version))?;
    let before = stage.services.amfj.site();
    stage.complete_run().await?;
    let held = stage.services.amfj.asset(&asset).context("the asset is gone")?;
    let held = held.fields.get("OS Version").cloned();
    ensure!(held == Some(json!(version)), "a fresh change of {device} did not arrive: {asset} has {held:?}");
    let prediction = stage.model.run(&stage.settings, &stage.services.content(), &before);
    let agreed = stage.model.agree(&prediction, &stage.services.amfj.site());
    agreed.map_err(anyhow::Error::msg).context("after a fresh change AMFJ is not as the rules say")
}
