//! One episode: changes, faults, and a look at what came of them.

use anyhow::{Context as _, Result};
use rand::{SeedableRng, rngs::StdRng};

use super::checks::{self, Before};
use super::plan::{Drawn, Plan};
use super::tally::Row;
use super::{Options, Stage, changes};

/// Spreads the seeds of the episodes.
const STRIDE: u64 = 0x9E37_79B9_7F4A_7C15;

/// The first sync, in peace: later episodes have something to lose.
pub(super) async fn first_sync(stage: &mut Stage, options: &Options) -> Result<()> {
    let before = Before::now(stage);
    stage.heal().await?;
    checks::all_is_well(stage, &before).await.context("the first sync, before any fault")?;
    say(options, || format!("first sync: {} writes", stage.tally.writes));
    Ok(())
}

pub(super) async fn play(stage: &mut Stage, plan: &mut Plan, options: &Options, number: u32) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(options.seed.wrapping_add(u64::from(number).wrapping_mul(STRIDE)));
    let begin = std::time::Instant::now();
    stage.begin_episode();
    let mut drawn = plan.draw(stage, &mut rng)?;
    stage.may_repeat_writes = drawn.iter().any(|drawn| drawn.fault.may_repeat_writes());
    let mut story: Vec<String> = drawn.iter().map(|drawn| format!("fault: {}", drawn.fault.tell())).collect();
    say(options, || format!("{number:>3}  {}", story.join("; ")));
    let acted = act(stage, &mut drawn, &mut rng, &mut story, plan).await;
    let told = |story: &[String]| format!("the story of episode {number}:\n  {}", story.join("\n  "));
    let before = acted.with_context(|| told(&story))?;
    let played = begin.elapsed();
    look(stage, &before).await.with_context(|| told(&story))?;
    stage.take_deaths();
    for drawn in &drawn {
        row(stage, drawn).survived += 1;
    }
    say(options, || {
        let (broken, all) = (played.as_secs_f64(), begin.elapsed().as_secs_f64());
        format!("     survived: {broken:.1} s of faults, {:.1} s of checks", all - broken)
    });
    Ok(())
}

async fn act(
    stage: &mut Stage,
    drawn: &mut [Drawn],
    rng: &mut StdRng,
    story: &mut Vec<String>,
    plan: &mut Plan,
) -> Result<Before> {
    story.extend(changes::make(rng, stage)?);
    let mut before = Before::now(stage);
    for drawn in &mut *drawn {
        row(stage, drawn).episodes += 1;
        drawn.fault.before(stage).await.with_context(|| format!("before: {}", drawn.name))?;
    }
    before.look_again(stage);
    stage.ask_for_a_run().await?;
    if let Some(pause) = changes::pause_before_more(rng) {
        stage.pass(pause).await;
        story.push(format!("while the run is under way, after {pause:?}:"));
        story.extend(changes::make_more(rng, stage)?);
        before.look_again(stage);
        stage.ask_for_a_run().await?;
    }
    for drawn in &mut *drawn {
        drawn.fault.during(stage).await.with_context(|| format!("during: {}", drawn.name))?;
    }
    for drawn in &mut *drawn {
        let struck = drawn.fault.after(stage).await.with_context(|| format!("after: {}", drawn.name))?;
        row(stage, drawn).struck += struck.0;
        if struck.0 == 0 {
            plan.put_back(drawn.family, &drawn.name);
        }
    }
    stage.make_up_for_the_refusal()?;
    Ok(before)
}

async fn look(stage: &mut Stage, before: &Before) -> Result<()> {
    stage.heal().await?;
    checks::all_is_well(stage, before).await?;
    checks::a_fresh_change_goes_through(stage).await
}

fn row<'a>(stage: &'a mut Stage, drawn: &Drawn) -> &'a mut Row {
    stage.tally.faults.entry((drawn.family.to_owned(), drawn.name.clone())).or_default()
}

fn say(options: &Options, text: impl FnOnce() -> String) {
    if options.verbose {
        eprintln!("{}", text());
    }
}
