//! Random fleets, random settings and random changes on both sides: after every run AMFJ holds what
//! the independent model says, and another run over the same content writes nothing (P3).

mod changes;
mod settings;

use std::ops::Range;

use anyhow::{Context as _, Result, ensure};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::model::{Class, Model, Prediction};
use crate::pipeline::{Pipeline, Services, Workers};
use crate::sim::amfj::Dialect;
use crate::sim::fleet::{Fleet, FleetSpec, Traps};

/// The seed that the environment names with `AMFJ_SYNC_SEED`, else this one.
#[must_use]
pub fn chosen_seed(seed: u64) -> u64 {
    std::env::var("AMFJ_SYNC_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed)
}

/// What story of a random fleet to play.
#[derive(Debug, Clone)]
pub struct Story {
    /// Decides everything.
    pub seed: u64,
    /// How many devices there may be.
    pub devices: Range<usize>,
    /// How many runs there are, each but the first after changes.
    pub runs: usize,
    /// How AMFJ is spoken to.
    pub dialect: Dialect,
}

impl Story {
    /// Plays it.
    ///
    /// # Errors
    /// When AMFJ does not hold what the model says, or an idle run writes something; with the whole story.
    pub async fn play(&self) -> Result<()> {
        let seed = self.seed;
        let mut rng = StdRng::seed_from_u64(seed);
        let devices = rng.random_range(self.devices.clone());
        let mut fleet = Fleet::generate(FleetSpec { devices, seed, traps: Traps::Realistic });
        self.dialect.suit(&mut fleet);
        let services = Services::speaking(self.dialect, &fleet).await?;
        let settings = settings::random(&mut rng, &fleet);
        let integration = settings.configure(services.integration("acme"));
        let workers = Workers { reconcilers: rng.random_range(1..=2), writers: rng.random_range(1..=2) };
        let pipeline = Pipeline::with(workers, vec![("acme", integration)], |config| config).await?;

        let mut model = Model::default();
        let mut story = vec![format!("{settings:#?}")];
        for run in 1..=self.runs {
            if run > 1 {
                story.push(format!("before run {run}:"));
                story.extend(changes::random(&mut rng, &services, &model)?);
            }
            let told = || format!("the story of seed {seed}:\n{}", story.join("\n"));
            let prediction = model.run(&settings, &services.content(), &services.amfj.site());
            services.amfj.clear_writes();
            pipeline.run().await.with_context(told)?;
            let actual = services.amfj.site();
            model
                .agree(&prediction, &actual)
                .map_err(anyhow::Error::msg)
                .with_context(|| format!("run {run} is not what the rules say; {}", told()))?;
        }
        let told = || format!("the story of seed {seed}:\n{}", story.join("\n"));
        // A device is gone, and a record lost, only with the second run that does not see it (P11, P22).
        for _ in 0..2 {
            let prediction = model.run(&settings, &services.content(), &services.amfj.site());
            services.amfj.clear_writes();
            pipeline.run().await?;
            model.agree(&prediction, &services.amfj.site()).map_err(anyhow::Error::msg).with_context(told)?;
            states_agree(&pipeline, &prediction).await.with_context(told)?;
        }
        let writes = services.take_writes();
        ensure!(writes.is_empty(), "P3: an idle run wrote\n{}\n{}", writes.join("\n"), told());
        let breaches = services.amfj.violations();
        ensure!(breaches.is_empty(), "the contract was broken: {breaches:?}");
        let has_lost_records = story.iter().any(|line| line.starts_with("AMFJ: user record"));
        ensure!(
            has_lost_records || pipeline.dead_letters().await? == 0,
            "there are dead letters\n{}",
            told()
        );
        Ok(())
    }
}

/// The states that the model tells apart (P24).
async fn states_agree(pipeline: &Pipeline, prediction: &Prediction) -> Result<()> {
    let status = pipeline.reconcilers[0].status().await?;
    let devices = &status["integrations"]["acme"]["devices"];
    for (class, word) in
        [(Class::Ambiguous, "ambiguous"), (Class::OutOfScope, "out of scope"), (Class::Gone, "gone")]
    {
        let of_class = |(device, is): (&String, &Class)| (*is == class).then(|| device.clone());
        let expected: Vec<String> = prediction.classes.iter().filter_map(of_class).collect();
        let either = if class == Class::Gone { count(prediction, Class::GoneUnlinked) } else { 0 };
        let counted = devices[word].as_u64().and_then(|counted| usize::try_from(counted).ok()).unwrap_or(0);
        let right = expected.len()..=expected.len() + either;
        ensure!(right.contains(&counted), "{counted} devices are {word} instead of {expected:#?}");
    }
    Ok(())
}

fn count(prediction: &Prediction, class: Class) -> usize {
    prediction.classes.values().filter(|is| **is == class).count()
}
