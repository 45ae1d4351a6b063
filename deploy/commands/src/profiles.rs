//! `amfj-sync profile` and `amfj-sync probe`: what AMFJ's interface looks like, and whether it does.

use std::path::Path;

use amfj_sync_amfj::client::AmfjClient;
use amfj_sync_amfj::probe::{self, Report, Verdict};
use amfj_sync_amfj::profile::{self, draft};
use amfj_sync_config::{BUILT_IN_PROFILES, Config, Integration};
use amfj_sync_http::Limiter;
use amfj_sync_security::screen::{say, say_json, say_line};
use amfj_sync_service::worker::Exit;
use serde_json::json;

/// The largest document that a draft is made of.
const LARGEST: u64 = 32 << 20;

/// Prints a built-in profile, to be changed in a file of its own.
pub(crate) fn show(name: Option<&str>) -> Result<(), Exit> {
    let name = name.unwrap_or(BUILT_IN_PROFILES[0]);
    let text = profile::show(name).ok_or_else(|| {
        let known = BUILT_IN_PROFILES.join(", ");
        Exit::Configuration(format!("no profile of this name is built in; there is {known}"))
    })?;
    say(text.trim_end());
    Ok(())
}

/// Prints a first draft of a profile.
pub(crate) fn draft(document: &Path) -> Result<(), Exit> {
    let failed = |why: String| Exit::Configuration(format!("{}: {why}", document.display()));
    let about = std::fs::metadata(document).map_err(|error| failed(error.to_string()))?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(failed(format!("it is no file, or one of more than {} MiB", LARGEST >> 20)));
    }
    let text = std::fs::read_to_string(document).map_err(|error| failed(error.to_string()))?;
    say(draft::from_openapi(&text).map_err(failed)?.trim_end());
    Ok(())
}

/// How an interface is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner<'a> {
    /// The asset that may be written to.
    pub(crate) scratch: Option<&'a str>,
    /// Print JSON.
    pub(crate) json: bool,
}

/// Tries the interface of every integration; fails where something is not as its profile says.
pub(crate) async fn probe(config: &Config, manner: Manner<'_>) -> Result<(), Exit> {
    profile::check(config).map_err(Exit::Configuration)?;
    if manner.scratch.is_some() && config.integrations.len() > 1 {
        return Err(Exit::Configuration("say which integration: amfj-sync probe ID --write …".into()));
    }
    let mut differ = Vec::new();
    for integration in &config.integrations {
        let report = try_one(integration, manner.scratch).await?;
        if !report.is_fine() {
            differ.push(integration.id.to_string());
        }
        print(integration, &report, manner.json);
    }
    if differ.is_empty() {
        return Ok(());
    }
    Err(Exit::Failed(format!(
        "{}: the interface is not what the profile says; correct it where a line begins with !! (docs/amfj-profile.md)",
        differ.join(", ")
    )))
}

async fn try_one(integration: &Integration, scratch: Option<&str>) -> Result<Report, Exit> {
    let limiter = Limiter::new(f64::from(integration.amfj.requests_per_second));
    let client = AmfjClient::from_config(&integration.amfj, limiter)
        .map_err(|error| Exit::Configuration(error.to_string()))?;
    client.api().pulse().be_quiet();
    match scratch {
        Some(name) => probe::write(&client, name).await.map_err(Exit::Failed),
        None => Ok(probe::read(&client).await),
    }
}

fn print(integration: &Integration, report: &Report, as_json: bool) {
    if as_json {
        let lines: Vec<_> = report.lines.iter().map(line).collect();
        say_json(&json!({"integration": integration.id, "lines": lines, "settings": report.settings}));
        return;
    }
    say_line(&format!("{}: {}", integration.id, integration.amfj.api_url));
    say(report.to_string().trim_end());
}

fn line(line: &probe::Line) -> serde_json::Value {
    let verdict = match line.verdict {
        Verdict::Found => "found",
        Verdict::Differs => "differs",
        Verdict::Absent => "absent",
        Verdict::Measured => "measured",
    };
    json!({"verdict": verdict, "what": line.what, "said": line.said})
}
