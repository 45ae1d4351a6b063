//! `amfj-sync reload`: every worker reads its configuration again, and says what came of it (P35).

use std::collections::BTreeMap;

use amfj_sync_broker::{Broker, Caller};
use amfj_sync_config::Config;
use amfj_sync_security::screen::{sanitize, say, say_line};
use amfj_sync_service::command::required;
use amfj_sync_service::reload::Reloaded;
use amfj_sync_service::status::{WorkerReport, have_all_reload};
use amfj_sync_service::worker::{Exit, Shutdown};
use uuid::Uuid;

use super::status::live_workers;

/// Asks all, and fails where one refused or did not answer.
pub(crate) async fn run(config: &Config, shutdown: Shutdown) -> Result<(), Exit> {
    let source = format!("amfj-sync-reload/{}", Uuid::new_v4());
    let broker = Broker::start_for(Caller::Command, config, &source, shutdown.soft.clone());
    let asked = ask(config, &broker).await;
    shutdown.hard.cancel();
    broker.close().await;
    let (running, reports) = asked?;
    let mut failed = Vec::new();
    for report in &reports {
        match told(report) {
            Ok(line) => say_line(&line),
            Err(line) => failed.push(line),
        }
        for line in &report.configuration {
            say(&format!("  {}", sanitize(line)));
        }
    }
    failed.extend(silent(&running, &reports));
    match (reports.is_empty(), failed.is_empty()) {
        (true, true) => Err(Exit::Failed("no worker runs, so there is nothing to reload".to_owned())),
        (_, true) => Ok(()),
        (_, false) => Err(Exit::Failed(failed.join("\n"))),
    }
}

async fn ask(
    config: &Config,
    broker: &Broker,
) -> Result<(BTreeMap<&'static str, u32>, Vec<WorkerReport>), Exit> {
    let session = required(broker, config.timing.connect_timeout).await?;
    let live = live_workers(&session, broker.names()).await?;
    let reports = have_all_reload(&session, broker.names(), &live).await?;
    Ok((live, reports))
}

/// What a worker made of it; an error where it could not.
fn told(report: &WorkerReport) -> Result<String, String> {
    let who = sanitize(&format!("{} on {}", report.role, report.host));
    match &report.reloaded {
        Some(Reloaded::Unchanged) => Ok(format!("{who}: nothing has changed")),
        Some(Reloaded::TakesEffect) => {
            Ok(format!("{who}: takes effect now; it finishes what is under way, and begins anew"))
        }
        Some(Reloaded::Refused(why)) => {
            Err(format!("{who}: refused, and the old configuration stays in force:\n{}", sanitize_lines(why)))
        }
        None => Err(format!(
            "{who}: its version ({}) reads its configuration only when it starts; restart it",
            sanitize(&report.version)
        )),
    }
}

fn sanitize_lines(text: &str) -> String {
    text.lines().map(|line| format!("  {}", sanitize(line))).collect::<Vec<_>>().join("\n")
}

/// Workers that live and did not answer.
fn silent(live: &BTreeMap<&'static str, u32>, reports: &[WorkerReport]) -> Option<String> {
    let silent: Vec<String> = live
        .iter()
        .filter_map(|(role, count)| {
            let heard = reports.iter().filter(|report| report.role == *role).count();
            let silent = usize::try_from(*count).unwrap_or(usize::MAX).saturating_sub(heard);
            (silent > 0).then(|| format!("{silent} {role}{}", if silent == 1 { "" } else { "s" }))
        })
        .collect();
    (!silent.is_empty()).then(|| {
        format!(
            "{} did not answer; whoever begins anew at this moment reads it by itself, and all look every ten seconds",
            silent.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn report(role: &str, reloaded: Option<Reloaded>) -> WorkerReport {
        let report = json!({ "role": role, "worker": "w/1", "host": "mini", "since": Timestamp::UNIX_EPOCH });
        WorkerReport { reloaded, ..serde_json::from_value(report).unwrap() }
    }

    #[test]
    fn each_worker_says_what_came_of_it() {
        assert!(
            told(&report("writer", Some(Reloaded::Unchanged))).unwrap().contains("writer on mini: nothing")
        );
        assert!(told(&report("writer", Some(Reloaded::TakesEffect))).unwrap().contains("takes effect"));
        let refused = told(&report("writer", Some(Reloaded::Refused("a.toml:3: no".into())))).unwrap_err();
        assert!(refused.contains("stays in force") && refused.contains("\n  a.toml:3: no"), "{refused}");
        assert!(told(&report("writer", None)).unwrap_err().contains("restart it"));
    }

    #[test]
    fn who_does_not_answer_is_told_of() {
        let live = BTreeMap::from([("fetcher", 1), ("writer", 3)]);
        let reports = [report("fetcher", None), report("writer", None)];
        assert!(silent(&live, &reports).unwrap().starts_with("2 writers did not answer"));
        assert_eq!(silent(&BTreeMap::from([("fetcher", 1)]), &reports), None);
    }
}
