//! `up --config FILE`: the same three workers against the services that the file names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use amfj_sync_config::{self as config, Config, ConfigErrors, Loaded, Tokens, process_environment};
use amfj_sync_model::messages::DeviceStatus;
use amfj_sync_security::private_files;
use amfj_sync_security::screen::{for_a_shell, say_error};
use amfj_sync_tests::harness::ports::free_ports;
use amfj_sync_tests::harness::{MetricsPage, http_client};
use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::time::Instant;

use crate::up::consent::{self, Consent};
use crate::up::process::Program;
use crate::up::processes::Processes;
use crate::up::screen::Screen;
use crate::up::showcase::paste::assignment;
use crate::up::stop::Stop;
use crate::up::workers;

/// The variable that sets `broker.url`.
const BROKER_VARIABLE: &str = "AMFJ_SYNC__BROKER__URL";

/// What every program of ours says of a wrong configuration or call.
const WRONG_USAGE: u8 = 2;

/// A script must not hang at a question.
const CANNOT_ASK: &str = "error: nobody can be asked whether that may be written, as standard input is no terminal; \
    add --yes, or set mode = \"plan\"";

/// Links live in the broker; without them the next start would match by name again (P5).
const FORGETS: &str =
    "It forgets links and history when it ends: set url in [broker] for anything but a trial.";

/// Between two looks at the workers.
const LOOK: Duration = Duration::from_secs(1);

/// Whether neither the file nor the environment names a broker. A file that cannot be read needs none:
/// it is refused soon enough.
pub(crate) fn needs_private_broker(path: &Path) -> bool {
    let names_one = process_environment().get(BROKER_VARIABLE).is_some_and(|url| !url.is_empty());
    let text = std::fs::read_to_string(path).unwrap_or_default();
    !names_one && text.parse::<toml::Table>().is_ok_and(|table| !has_broker_url(&table))
}

fn has_broker_url(table: &toml::Table) -> bool {
    table.get("broker").and_then(|broker| broker.get("url")).is_some()
}

/// Runs until somebody wants the end, or something ends by itself. Before anything is written to AMFJ a person
/// is asked, unless they said `yes` beforehand.
pub(crate) async fn run(path: &Path, yes: bool, processes: &mut Processes, stop: &Stop) -> Result<ExitCode> {
    let screen = Screen::new();
    let mut variables = process_environment();
    let mut config = match load(path, &variables) {
        Ok(loaded) => loaded.config,
        Err(errors) => {
            say_error(&errors.to_string());
            return Ok(ExitCode::from(WRONG_USAGE));
        }
    };
    let written = consent::what_is_written(&config);
    if !written.is_empty() && !yes && !consent::can_be_asked() {
        say_error(&format!("{}\n{CANNOT_ASK}", written.join("\n")));
        return Ok(ExitCode::from(WRONG_USAGE));
    }
    processes.keep_logs_in(logs_beside_data(&config)?)?;
    let mut overrides = BTreeMap::new();
    if needs_private_broker(path) {
        let began = Instant::now();
        let url = processes.start_broker().await?;
        screen.done("RabbitMQ", "a private node, as the configuration names none", began.elapsed());
        if !written.is_empty() {
            screen.detail(FORGETS);
        }
        overrides.insert(BROKER_VARIABLE.to_owned(), url);
    }
    let for_commands = write_settings_for_commands(path, &overrides, processes)?;
    pick_ports(&config, &mut overrides)?;
    variables.extend(overrides.clone());
    let loaded = load(path, &variables).context("the configuration changed meanwhile")?;
    config = loaded.config;

    screen.heading("Checking the configuration against the real services");
    if let Some(code) = failed_check(path, &overrides).await? {
        say_error("the check failed, so nothing was started; mend what it says and try again");
        return Ok(code);
    }
    if !written.is_empty() {
        screen.heading("This writes to AMFJ");
        for line in &written {
            screen.detail(line);
        }
        if !yes && consent::ask().await != Consent::Given {
            say_error(
                "nothing was started; with mode = \"plan\", `amfj-sync plan` shows what would be written",
            );
            return Ok(ExitCode::FAILURE);
        }
    }

    screen.heading("Running");
    let began = Instant::now();
    workers::start(path, &overrides, &loaded.token_variables, processes)?;
    workers::wait_ready(&config, processes).await?;
    screen.done("workers", "three processes: fetcher, reconciler, writer", began.elapsed());
    show_places(&config, processes, &screen)?;
    if let Some(file) = for_commands {
        // Not wrapped, so that it can be pasted.
        screen
            .say(&format!("Paste this line into another terminal, and every command works there:\n. {file}"));
    }
    screen.say("Control-C stops everything.\n");
    stop.is_the_way_out();
    watch(&config, processes, &screen).await
}

/// Commands find a private broker through the file whose name this returns, for a shell to read: its password is new at
/// every start, and to be shown on no screen. None where the configuration names a broker.
fn write_settings_for_commands(
    config: &Path,
    overrides: &BTreeMap<String, String>,
    processes: &Processes,
) -> Result<Option<String>> {
    let (Some(url), Some(folder)) = (overrides.get(BROKER_VARIABLE), processes.broker_folder()) else {
        return Ok(None);
    };
    let config = std::path::absolute(config).context("cannot tell in which folder this was started")?;
    let settings =
        [assignment("AMFJ_SYNC_CONFIG", &config.display().to_string()), assignment(BROKER_VARIABLE, url)];
    let programs = for_a_shell(&Program::folder()?.display().to_string());
    let lines = format!("export {}\nexport PATH={programs}:\"$PATH\"\n", settings.join(" "));
    let file = folder.join("commands.sh");
    private_files::write_file(&file, lines).with_context(|| format!("cannot write {}", file.display()))?;
    Ok(Some(for_a_shell(&file.display().to_string())))
}

/// Calls `amfj-sync check`, which prints for itself; what it ended with, if it found something wrong.
async fn failed_check(path: &Path, overrides: &BTreeMap<String, String>) -> Result<Option<ExitCode>> {
    let check = Program::new("amfj-sync")
        .arg("--quiet")
        .arg("--config")
        .arg(path)
        .arg("check")
        .envs(overrides)
        .command()?;
    // A signal to this process alone ends it too.
    let mut check = tokio::process::Command::from(check);
    let status = check.kill_on_drop(true).status().await.context("cannot start `amfj-sync check`")?;
    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
    Ok((!status.success()).then(|| ExitCode::from(code)))
}

/// Where everything is while it runs.
fn show_places(config: &Config, processes: &Processes, screen: &Screen) -> Result<()> {
    for (name, address) in workers::addresses(config) {
        screen.detail(&format!("{name:<11} http://{address}/status  http://{address}/metrics"));
    }
    for (name, folder) in [
        ("fetcher", &config.fetcher.data_dir),
        ("reconciler", &config.reconciler.data_dir),
        ("writer", &config.writer.data_dir),
    ] {
        let folder = std::path::absolute(folder).context("cannot tell in which folder this was started")?;
        screen.detail(&format!("{:<11} {} (of the {name})", "data", folder.display()));
    }
    screen.detail(&format!("{:<11} {}", "logs", processes.logs()?.display()));
    for integration in &config.integrations {
        screen.detail(&format!("{:<11} mode = \"{}\"", integration.id.as_str(), integration.mode.as_str()));
    }
    Ok(())
}

/// Logs stay beside the data of the workers: `var/logs`, as long as nobody sets `data_dir`.
fn logs_beside_data(config: &Config) -> Result<PathBuf> {
    let beside = config.fetcher.data_dir.parent().unwrap_or(Path::new("")).join("logs");
    std::path::absolute(beside).context("cannot tell in which folder this was started")
}

fn load(path: &Path, variables: &BTreeMap<String, String>) -> Result<Loaded, ConfigErrors> {
    config::load(Some(path), variables, Tokens::Both)
}

/// Port 0 means any, but the status line has to know which.
fn pick_ports(config: &Config, overrides: &mut BTreeMap<String, String>) -> Result<()> {
    for (name, address) in workers::addresses(config) {
        if address.port() == 0 {
            let port = free_ports(1)?.first().copied().context("no free port")?;
            let variable = format!("AMFJ_SYNC__{}__LISTEN", name.to_uppercase());
            overrides.insert(variable, std::net::SocketAddr::new(address.ip(), port).to_string());
        }
    }
    Ok(())
}

/// Says how each integration stands: in place on a terminal, and printed on change elsewhere.
async fn watch(config: &Config, processes: &mut Processes, screen: &Screen) -> Result<ExitCode> {
    let http = http_client()?;
    let [fetcher, reconciler, writer] = workers::addresses(config);
    let moving = screen.moving_whole("status");
    let mut last = String::new();
    loop {
        processes.still_runs()?;
        let fetcher = workers::status(&http, fetcher.1).await;
        let reconciler = workers::status(&http, reconciler.1).await;
        let changes = workers::metrics(&http, writer.1).await;
        let line = config
            .integrations
            .iter()
            .map(|one| describe(one.id.as_str(), &fetcher, &reconciler, &changes))
            .collect::<Vec<_>>()
            .join("\n");
        moving.show(&screen.wrapped(&line));
        if !screen.is_terminal() && line != last {
            screen.say(&line);
        }
        last = line;
        tokio::time::sleep(LOOK).await;
    }
}

/// `acme: run published, 262 in sync, 3 ambiguous; 541 changes made, 1 failed`
fn describe(id: &str, fetcher: &Value, reconciler: &Value, changes: &MetricsPage) -> String {
    let (run, devices) = (&fetcher["integrations"][id], &reconciler["integrations"][id]["devices"]);
    let last = &run["last_run"];
    let mut parts = vec![match (run["running"].as_bool(), last["result"].as_str()) {
        (Some(true), _) => "a run is going on".to_owned(),
        (_, Some(result)) => match last["reason"].as_str() {
            Some(reason) => format!("the last run {result}: {reason}"),
            None => format!("the last run {result}"),
        },
        _ => "no run yet".to_owned(),
    }];
    for state in DeviceStatus::ALL.map(DeviceStatus::as_str) {
        if let Some(count) = devices[state].as_u64().filter(|count| *count > 0) {
            parts.push(format!("{count} {state}"));
        }
    }
    let made = changes.sum("amfj_sync_changes_total", &[("integration", id)]);
    let failed = changes.sum("amfj_sync_changes_total", &[("integration", id), ("result", "failed")]);
    parts.push(format!("{} changes made", made - failed));
    if failed > 0.0 {
        parts.push(format!("{failed} failed"));
    }
    format!("{id}: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_broker_is_needed_where_none_is_named() {
        let table = |text: &str| text.parse::<toml::Table>().unwrap();
        assert!(has_broker_url(&table("[broker]\nurl = \"amqps://b/%2f\"")));
        assert!(!has_broker_url(&table("[broker]\npartitions = 2")));
        assert!(!has_broker_url(&table("[[integration]]\nid = \"acme\"")));
    }

    #[test]
    fn the_status_line_says_what_is_not_zero() {
        let fetcher = json!({ "integrations": { "acme": {
            "running": false, "last_run": { "result": "failed", "reason": "the token was refused" },
        } } });
        let reconciler = json!({ "integrations": { "acme": { "devices": { "ambiguous": 2, "in sync": 7, "failed": 0 } } } });
        let page = "amfj_sync_changes_total{integration=\"acme\",kind=\"assign\",result=\"applied\"} 5\n\
            amfj_sync_changes_total{integration=\"acme\",kind=\"assign\",result=\"failed\"} 1\n\
            amfj_sync_changes_total{integration=\"other\",kind=\"assign\",result=\"failed\"} 9\n";
        let changes = MetricsPage::parse(page).unwrap();
        assert_eq!(
            describe("acme", &fetcher, &reconciler, &changes),
            "acme: the last run failed: the token was refused, 7 in sync, 2 ambiguous, 5 changes made, 1 failed"
        );
        let nothing = describe("acme", &Value::Null, &Value::Null, &MetricsPage::default());
        assert_eq!(nothing, "acme: no run yet, 0 changes made");
    }
}
