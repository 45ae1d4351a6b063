//! The showcase: a simulated fleet flows from Kandji through three workers and a real RabbitMQ into a
//! simulated AMFJ; then the fleet changes, and the changes arrive.

mod changes;
mod lines;
pub(crate) mod paste;
mod settings;
mod simulation;
mod sums;
mod table;
pub(crate) mod watching;

use std::process::ExitCode;
use std::time::Duration;

use amfj_sync_config::Config;
use amfj_sync_tests::harness::{WrittenConfig, http_client};
use anyhow::{Context as _, Result, bail, ensure};
use tokio::time::Instant;

use crate::up::UpArgs;
use crate::up::process::Program;
use crate::up::processes::Processes;
use crate::up::screen::Screen;
use crate::up::stop::Stop;
use crate::up::workers;
use changes::Change;
use lines::Lines;
use simulation::Simulation;
use table::RunReport;
use watching::{Progress, Tally, Watching};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(100);

/// No news for so long means that something is wrong.
const STUCK: Duration = Duration::from_secs(90);

/// Everything that the steps need.
struct Showcase<'a> {
    screen: Screen,
    processes: &'a mut Processes,
    simulation: Simulation,
    written: WrittenConfig,
    config: Config,
    http: reqwest::Client,
    runs: Vec<RunReport>,
}

/// Shows it. Ends with the table where nobody sits in front, else on Control-C.
pub(crate) async fn run(arguments: &UpArgs, processes: &mut Processes, stop: &Stop) -> Result<ExitCode> {
    let began = Instant::now();
    let screen = Screen::new();
    screen.say("amfj-sync: a simulated fleet on its way from Kandji to Asset Management for Jira");
    processes.use_temporary_folder()?;
    let mut showcase = prepare(arguments, processes, screen).await?;
    showcase.first_run().await?;
    showcase.idle_run().await?;
    showcase.run_after_changes().await?;
    showcase.simulation.contract_was_kept().await?;
    showcase.report(began)?;
    if arguments.once || !(arguments.stay || showcase.screen.is_terminal()) {
        return Ok(ExitCode::SUCCESS);
    }
    showcase.stay(stop).await
}

async fn prepare<'a>(
    arguments: &UpArgs,
    processes: &'a mut Processes,
    screen: Screen,
) -> Result<Showcase<'a>> {
    screen.heading("Starting");
    let began = Instant::now();
    let simulation = Simulation::start(arguments.devices(), arguments.seed(), processes).await?;
    let [devices, assets, users] = simulation.sizes;
    let detail = format!("Kandji: {devices} devices; AMFJ: {assets} assets, {users} user records");
    screen.done("simulators", &detail, began.elapsed());

    let began = Instant::now();
    let broker = {
        let mut moving = screen.moving("RabbitMQ");
        moving.say("starting a private node");
        processes.start_broker().await?
    };
    let (written, loaded) = settings::write(processes.temporary_folder()?, &broker, &simulation)?;
    let config = loaded.config;
    screen.done("RabbitMQ", "a private node, on loopback only", began.elapsed());

    let began = Instant::now();
    let integration = settings::INTEGRATION.to_owned().try_into()?;
    processes.watching = Some(Watching::start(config.clone(), &integration).await?);
    {
        let mut moving = screen.moving("workers");
        moving.say("starting");
        workers::start(&written.path, &written.environment, &loaded.token_variables, processes)?;
        workers::wait_ready(&config, processes).await?;
    }
    let started: Vec<String> =
        processes.workers.iter().map(|worker| format!("{} {}", worker.name(), worker.id())).collect();
    screen.done("workers", &format!("processes {}", started.join(", ")), began.elapsed());
    Ok(Showcase { screen, processes, simulation, written, config, http: http_client()?, runs: Vec::new() })
}

impl Showcase<'_> {
    fn watching(&self) -> Result<&Watching> {
        self.processes.watching.as_ref().context("nobody watches the broker")
    }

    async fn first_run(&mut self) -> Result<()> {
        self.screen.heading("First run: everything");
        let tally = self.follow("first run", 0).await?.0;
        ensure!(tally.applied("link-asset") > 0, "the first run linked no device to an asset");
        nothing_failed(&tally)
    }

    async fn idle_run(&mut self) -> Result<()> {
        self.screen.heading("Second run: nothing has changed");
        let after = self.trigger()?;
        let (_, writes) = self.follow("nothing changed", after).await?;
        ensure!(writes == 0, "nothing had changed, and AMFJ received {writes} writes");
        Ok(())
    }

    async fn run_after_changes(&mut self) -> Result<()> {
        self.screen.heading(&format!("Third run: {} things have changed", changes::COUNT));
        let changes = changes::make(self.watching()?, &self.simulation).await?;
        for change in &changes {
            self.screen.detail(&format!("{}: {}", change.title, change.label));
        }
        let people = self.watching()?.people();
        let after = self.trigger()?;
        let (tally, _) = self.follow("six changes", after).await?;
        if let Some(moves) = sums::came_and_left(&people, &self.watching()?.people()) {
            self.screen.detail(&moves);
        }
        nothing_failed(&tally)?;
        let amfj = self.simulation.amfj.get("state").await?;
        let watching = self.watching()?;
        let unmet: Vec<String> = changes.iter().flat_map(|change| change.unmet(watching, &amfj)).collect();
        ensure!(unmet.is_empty(), "not everything arrived in AMFJ:\n  {}", unmet.join("\n  "));
        self.show_arrivals(&changes, &tally)
    }

    fn show_arrivals(&self, changes: &[Change], tally: &Tally) -> Result<()> {
        self.screen.heading("What arrived in AMFJ, read from there");
        let watching = self.watching()?;
        for change in changes {
            self.screen.say(&format!("  {}: {}", change.title, change.label));
            for (field, old, new) in change.edits(tally) {
                self.screen.detail(&format!("{field:<15} {old} → {new}"));
            }
            if change.asset(watching).is_none()
                && let Some(decision) = change.decision(watching)
            {
                self.screen.detail(&format!("{}: {}", decision.state.as_str(), decision.reason));
            }
        }
        Ok(())
    }

    /// Asks the fetcher for a run, as a person would. Returns the number of the run before.
    fn trigger(&self) -> Result<u64> {
        // The last decision that followed from the run before may have come after its end was seen.
        self.watching()?.take_tally();
        let before = self.watching()?.progress().run;
        let mut command = Program::new("amfj-sync")
            .arg("--quiet")
            .arg("--config")
            .arg(&self.written.path)
            .arg("trigger")
            .envs(&self.written.environment)
            .command()?;
        let output = command.output().context("cannot start `amfj-sync trigger`")?;
        ensure!(
            output.status.success(),
            "`amfj-sync trigger` ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
        self.screen.detail("$ amfj-sync trigger");
        Ok(before)
    }

    /// Follows the run after `before` to its end, and keeps what it did.
    async fn follow(&mut self, title: &'static str, before: u64) -> Result<(Tally, usize)> {
        let began = Instant::now();
        let writes = self.simulation.amfj.count("writes").await?;
        let requests = self.simulation.kandji.count("requests").await?;
        let (progress, took) = self.until_settled(before).await?;
        let tally = self.watching()?.take_tally();
        let writes = self.simulation.amfj.count("writes").await? - writes;
        let requests = self.simulation.kandji.count("requests").await? - requests;
        let counts = progress.inventory.unwrap_or_default();
        self.screen.done("fetcher", &sums::read(&counts, progress.details.1), took[0]);
        self.screen.done("reconciler", &sums::decided(&counts, &tally), took[1]);
        self.screen.done("writer", &sums::made(&tally, writes), took[2]);
        let seconds = began.elapsed().as_secs_f64();
        self.runs.push(RunReport { title, tally: tally.clone(), writes, requests, seconds });
        Ok((tally, writes))
    }

    /// Returns how the run stood in the end, and when each worker was done.
    async fn until_settled(&mut self, before: u64) -> Result<(Progress, [Duration; 3])> {
        let mut lines = Lines::new(&self.screen);
        let requests = workers::requests_to_kandji(&self.http, self.config.fetcher.listen).await;
        let (mut last, mut news) = (String::new(), Instant::now());
        loop {
            self.processes.still_runs()?;
            let watching = self.watching()?;
            let progress = watching.progress();
            if progress.run > before {
                watching.no_trouble()?;
                lines.show(&progress, watching.counts());
            }
            if progress.run <= before || progress.inventory.is_none() {
                lines.show_reading(
                    workers::requests_to_kandji(&self.http, self.config.fetcher.listen).await - requests,
                );
            }
            if watching.is_settled(before) {
                return Ok((progress, lines.took()));
            }
            let now = format!("{progress:?}");
            if now != last {
                (last, news) = (now, Instant::now());
            }
            if news.elapsed() > STUCK {
                bail!("nothing has moved for {} s: {last}", STUCK.as_secs());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn report(&self, began: Instant) -> Result<()> {
        let watching = self.watching()?;
        self.screen.heading("What was done");
        self.screen.say(&table::of_runs(&self.runs));
        self.screen.heading("How devices and people stand now");
        self.screen.say(&table::of_standings(&watching.devices_by_state(), &watching.people_by_state()));
        self.screen.say("");
        self.screen
            .say(&format!("All of it arrived, {:.0} s after the start.", began.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Leaves everything running until somebody wants the end.
    async fn stay(&mut self, stop: &Stop) -> Result<ExitCode> {
        self.screen.heading("Where to look while it runs");
        let rows = [
            ("fetcher", format!("http://{}/status", self.config.fetcher.listen)),
            ("reconciler", format!("http://{}/status", self.config.reconciler.listen)),
            ("writer", format!("http://{}/metrics", self.config.writer.listen)),
            ("Kandji", format!("{}/_sim/state", self.simulation.kandji.control)),
            ("AMFJ", format!("{}/_sim/writes", self.simulation.amfj.control)),
            ("controls", "what else the two can do: docs/simulators.md".to_owned()),
            ("logs", self.processes.logs()?.display().to_string()),
            ("settings", self.written.path.display().to_string()),
        ];
        for (what, place) in rows {
            self.screen.detail(&format!("{what:<11} {place}"));
        }
        self.screen.heading("Paste these two lines into another terminal, and every command works there");
        self.screen.say_with_tokens(&paste::lines(&self.written, &Program::folder()?)?);
        self.screen
            .say("For instance: amfj-sync status · amfj-sync plan · amfj-sync history · amfj-sync check");
        self.screen.say("\nControl-C stops everything.");
        stop.is_the_way_out();
        loop {
            self.processes.still_runs()?;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
}

fn nothing_failed(tally: &Tally) -> Result<()> {
    ensure!(!tally.is_incomplete, "this process was too slow to follow the workers");
    match tally.failed().next() {
        None => Ok(()),
        Some(failed) => bail!("a change of \"{}\" failed: {:?}", failed.label, failed.ending),
    }
}
