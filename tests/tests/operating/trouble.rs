//! What the operator is told while something fails, on every page, and when it is over.

use std::time::Duration;

use amfj_sync_tests::harness::{Role, Worker, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use toml::{Table, Value as Setting};

use crate::calling::{call, ensure_says};

/// Workers and a fetcher that take both tokens from files.
async fn watched(services: &Services) -> Result<(Pipeline, Worker, [std::path::PathBuf; 2])> {
    let folder = tempfile::Builder::new().prefix("amfj-sync-tokens-").tempdir()?.keep();
    let files = [folder.join("kandji"), folder.join("amfj")];
    let mut integration = services.integration("acme").field("Notes", "device_id");
    for (section, file) in ["kandji", "amfj"].into_iter().zip(&files) {
        let path = Setting::String(file.display().to_string());
        integration = integration
            .set(&format!("{section}.token"), Setting::Table(Table::from_iter([("file".to_owned(), path)])));
    }
    write(&files[0], services.kandji.token().as_str())?;
    write(&files[1], services.amfj.token().as_str())?;
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", integration)], |config| {
        // A token that is replaced is not to wait for these.
        config
            .set("timing.run_retry_initial", "10m")
            .set("timing.run_retry_max", "10m")
            .set("timing.probe_interval", "10m")
    })
    .await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    Ok((pipeline, fetcher, files))
}

fn write(file: &std::path::Path, token: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(file, token)?;
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600))?;
    Ok(())
}

/// The status, and its exit code.
async fn status(pipeline: &Pipeline) -> Result<(Option<i32>, String, Value)> {
    let text = call(pipeline, &["status"]).await?;
    let json = call(pipeline, &["status", "--json"]).await?;
    ensure!(text.status.code() == json.status.code(), "{} and {}", text.status, json.status);
    Ok((json.status.code(), text.stdout, serde_json::from_str(&json.stdout).context(json.stdout.clone())?))
}

async fn well(pipeline: &Pipeline) -> Result<()> {
    eventually(RUN_LIMIT, "a status without trouble", async || {
        let (code, text, json) = status(pipeline).await?;
        ensure!(code == Some(0) && json["wrong"].as_array().is_some_and(Vec::is_empty), "{code:?} {text}");
        ensure!(!text.contains("wrong now"), "{text}");
        Ok(())
    })
    .await
}

/// Every page of every worker, and the command, name the service that fails, since when, and the cause.
async fn all_pages_say(pipeline: &Pipeline, fetcher: &Worker, what: &str, words: &[&str]) -> Result<()> {
    let pages: Vec<&Worker> =
        pipeline.reconcilers.iter().chain(&pipeline.writers).chain(std::iter::once(fetcher)).collect();
    eventually(RUN_LIMIT, &format!("{what} on all pages"), async || {
        let (code, text, json) = status(pipeline).await?;
        ensure!(code == Some(3), "{code:?} {text}");
        let wrong = json["wrong"].as_array().context("a list")?;
        ensure!(wrong.iter().any(|one| one["what"] == what && one["since"].is_string()), "{json}");
        let folded = text.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure_says(&folded, words)?;
        ensure_says(&text, &["wrong now"])?;
        for page in &pages {
            let shown = page.status().await?["wrong"].to_string();
            ensure!(shown.contains(what), "{shown}");
            for path in ["/health", "/healthz", "/readyz"] {
                let (status, body) = page.get(path).await?;
                ensure!(status == 200, "{path}: {status}");
                ensure_says(&body, words)?;
            }
        }
        Ok(())
    })
    .await
}

/// Kandji is away: said at once by everybody, without blaming address or token, and over as soon as it is.
#[tokio::test]
async fn p35_a_service_that_fails_and_a_token_that_is_replaced_are_told_alike_on_all_pages() -> Result<()> {
    let services = Services::plain(4, 91).await?;
    let (pipeline, fetcher, [kandji, amfj]) = watched(&services).await?;
    well(&pipeline).await?;

    let away = services.kandji.fault(Rule::new(Action::Status { code: 503, body: None }));
    ensure!(call(&pipeline, &["trigger"]).await?.status.success());
    all_pages_say(&pipeline, &fetcher, "kandji", &["503", "neither token nor address"]).await?;
    let (_, text, _) = status(&pipeline).await?;
    ensure!(!text.contains("going on") && !text.contains("check kandji.api_url"), "{text}");
    ensure_says(&fetcher.log(), &["the service fails", "503"])?;
    services.kandji.faults().remove(away);
    well(&pipeline).await?;

    services.kandji.rotate_token("the-next-kandji-token");
    ensure!(call(&pipeline, &["trigger"]).await?.status.success());
    all_pages_say(&pipeline, &fetcher, "kandji", &["401", "kandji.token"]).await?;
    write(&kandji, "the-next-kandji-token")?;
    well(&pipeline).await?;

    services.amfj.rotate_token("the-next-amfj-token");
    ensure!(call(&pipeline, &["trigger"]).await?.status.success());
    all_pages_say(&pipeline, &fetcher, "amfj", &["401", "amfj.token"]).await?;
    let (_, text, _) = status(&pipeline).await?;
    ensure!(!text.contains("takes changes") && !text.contains("amfj.api_url"), "{text}");
    write(&amfj, "the-next-amfj-token")?;
    well(&pipeline).await?;
    ensure!(fetcher.log().contains("a token was replaced"), "{}", fetcher.log_tail());
    Ok(())
}

/// A request that nobody would answer is not made.
#[tokio::test]
async fn a_trigger_that_no_fetcher_serves_fails_and_says_what_to_do() -> Result<()> {
    let services = Services::plain(2, 92).await?;
    let integrations = vec![("acme", services.integration("acme")), ("beta", services.integration("beta"))];
    let pipeline = Pipeline::idle(integrations, |config| config).await?;
    let trigger = async |arguments: &[&str]| call(&pipeline, arguments).await;
    let none = trigger(&["trigger"]).await?;
    ensure!(none.status.code() == Some(1), "{none:?}");
    ensure_says(
        &none.stderr,
        &["acme, beta: no run was requested", "no fetcher runs", "start `fetcher run`"],
    )?;

    let mut fetcher = pipeline.call(Role::Fetcher).args(["run", "acme"]).spawn()?;
    fetcher.wait_ready().await?;
    let served = trigger(&["trigger", "acme"]).await?;
    ensure!(served.status.success(), "{served:?}");
    ensure_says(&served.stdout, &["acme: a run was requested", "no reconciler runs"])?;
    let both = trigger(&["trigger"]).await?;
    ensure!(both.status.code() == Some(1) && both.stdout.contains("acme: a run was requested"), "{both:?}");
    ensure_says(&both.stderr, &["beta: no run was requested", "no fetcher that runs serves it"])?;
    ensure!(pipeline.waiting("beta", "reconcile").await? == 0);
    ensure!(fetcher.wait_ready().await.is_ok() && fetcher.terminate().await?.success());
    Ok(())
}

/// A second worker on one machine, and a number of partitions that is not that of the queues.
#[tokio::test]
async fn a_taken_port_and_other_partitions_say_what_to_do() -> Result<()> {
    let services = Services::plain(3, 93).await?;
    let pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| config).await?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    for role in Role::ALL {
        let listen = format!("AMFJ_SYNC__{}__LISTEN", role.name().to_uppercase());
        let done =
            pipeline.call(role).arg("run").env(&listen, &address).finish(Duration::from_mins(1)).await?;
        ensure!(done.status.code() == Some(1), "{done:?}");
        let another = format!("another {}", role.name());
        ensure_says(&done.stderr, &[&address, &listen, &another, "ss -ltnp", "127.0.0.1:0"])?;
    }
    ensure!(pipeline.fetch(&[]).await?.status.success());
    let changed = pipeline.command(["status"]).env("AMFJ_SYNC__BROKER__PARTITIONS", "7");
    let done = changed.finish(Duration::from_mins(1)).await?;
    ensure!(done.status.code() == Some(2), "{done:?}");
    let words =
        ["were declared with 2: set broker.partitions = 2", "messages to be decided", "stop the fetchers"];
    ensure_says(&done.stderr, &words)
}
