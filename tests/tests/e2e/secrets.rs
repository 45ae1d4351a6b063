//! P27: no secret in a log, an error, a metric, a status, a command's answer, a queue or a state file.

use std::path::Path;

use amfj_sync_tests::harness::{ConfigBuilder, Role};
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::echo::{WAYS, found_in, refusal};
use amfj_sync_tests::sim::faults::{Action, Rule};
use amfj_sync_tests::sim::personality::{Body, Kind, Oddity, Personality, RetryAfter, Shape};
use anyhow::{Context as _, Result, ensure};

/// Everything that was said, with the place where.
type Said = Vec<(String, String)>;

/// Tokens with every sign that somebody escapes.
const KANDJI: &str = "Qd/7z+1Ww=X<9e&Rt\"y'U2~iOp5a:S-3Fg6";
const AMFJ: &str = "Zk/9q+7Rw=T<4v&Xy\"s'P1~kDm0u:J-8Hn2";

/// A service that shows a token back is the worst: each asset's write is answered with it in another way, most of them
/// blaming a field, so that it is a field's problem, some for good, so that it is a dead letter. To the fetcher, which holds
/// both, AMFJ shows that of Kandji too, in notes; the writer holds no other than AMFJ's, and could not tell it.
fn show_back(services: &Services) -> Result<()> {
    services.kandji.rotate_token(KANDJI);
    services.amfj.rotate_token(AMFJ);
    let devices = services.kandji.devices();
    ensure!(devices.len() >= WAYS.len(), "{} devices for {} ways", devices.len(), WAYS.len());
    for (at, (device, way)) in devices.iter().zip(WAYS).enumerate() {
        let field = (at % 4 != 1).then_some("Model");
        let body = Body::Text(refusal(way, AMFJ, field));
        let mut refuse =
            Personality::new(Oddity::refuse(422).saying(body)).at(Kind::Writes).of(&device.device_name);
        if field.is_some() {
            refuse = refuse.times(1);
        }
        services.amfj.personality(refuse);
    }
    let pause = RetryAfter::Text(format!("Bearer {AMFJ}"));
    services.amfj.personality(
        Personality::new(Oddity::refuse(429).asking_to_wait(pause)).at(Kind::ListUsers).times(1),
    );
    let notes = Shape::set("/fields/Notes", format!("the token is {AMFJ}, and {KANDJI}"));
    services.amfj.personality(Personality::new(Oddity::Shape(notes)).at(Kind::ListAssets));
    Ok(())
}

#[tokio::test]
async fn p27_no_secret_leaves_the_environment() -> Result<()> {
    let services = Services::plain(WAYS.len(), 27).await?;
    show_back(&services)?;
    let echo = |token: &str| Some(format!("unexpected Bearer {token} in this request"));
    let settings =
        Settings { create_devices: CreateDevices::Always, auto_checkout: true, ..Settings::default() }
            .field("Model", "model")
            .field("Memory", "details.hardware_overview.memory");
    let integration = settings.configure(services.integration("acme"));
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], patient).await?;
    pipeline.extra_argument("-vv");

    let mut said = Said::new();
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    ensure!(done.stderr.contains("TRACE"), "-vv says no more than usual");
    said.push(("the fetcher".into(), format!("{}{}", done.stdout, done.stderr)));
    // Each stage's queues while their messages are in them: nobody takes any before the workers are there.
    look_into(&pipeline, "reconcile", &mut said).await?;
    pipeline.spawn(Workers { reconcilers: 1, writers: 0 }).await?;
    amfj_sync_tests::harness::eventually(RUN_LIMIT, "changes in the queue", async || {
        let waiting = pipeline.waiting("acme", "apply").await?;
        ensure!(waiting > 0 && pipeline.waiting("acme", "reconcile").await? == 0, "{waiting}");
        Ok(())
    })
    .await?;
    look_into(&pipeline, "apply", &mut said).await?;
    pipeline.spawn(Workers { reconcilers: 0, writers: 1 }).await?;
    pipeline.settle().await?;

    let refuse = Action::Status { code: 400, body: echo(KANDJI) };
    services.kandji.fault(Rule::new(refuse).on("GET", "/devices"));
    for format in ["json", "text"] {
        let failed = pipeline.call(Role::Fetcher).log_format(format).args(["run", "--once"]);
        let failed = failed.finish(RUN_LIMIT).await?;
        ensure!(failed.status.code() == Some(1) && failed.stderr.contains("run failed"), "{}", failed.stderr);
        ensure!(failed.stderr.starts_with('{') == (format == "json"), "{}", failed.stderr);
        said.push((format!("a failed run in {format}"), format!("{}{}", failed.stdout, failed.stderr)));
    }
    let mut text = pipeline.call(Role::Fetcher).log_format("text").arg("run").spawn()?;
    text.wait_ready().await?;
    said.push(("/status of the fetcher".into(), text.get("/status").await?.1));
    said.push(("/metrics of the fetcher".into(), text.get("/metrics").await?.1));
    said.push(("the log of the fetcher as text".into(), text.log()));
    text.terminate().await?;
    commands(&pipeline, &services, &mut said).await?;
    for place in ["acme.state", "acme.history", "dead"] {
        let name = format!("{}.{place}", pipeline.broker().prefix());
        let text = pipeline.everything_in(&name).await?;
        ensure!(!text.is_empty(), "nothing is in {name} to look into");
        said.push((name, text));
    }
    again(&pipeline, &mut said).await?;
    a_broker_that_refuses(&pipeline, &mut said).await?;
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        let name = worker.role().name();
        said.push((format!("the log of the {name}"), worker.log() + &worker.stdout()));
        for endpoint in ["/metrics", "/status", "/readyz", "/healthz"] {
            said.push((format!("{endpoint} of the {name}"), worker.get(endpoint).await?.1));
        }
    }
    // A worker whose log is text, to its end.
    let again = pipeline.call(Role::Writer).log_format("text").arg("run").spawn()?;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    said.push(("the log of a writer as text".into(), again.log()));
    again.terminate().await?;
    pipeline.dismiss().await?;
    let folder = pipeline.config.path.parent().unwrap_or(Path::new("."));
    let files = files_below(folder)?;
    ensure!(files.len() > 3, "no state files: {}", files.len());
    said.extend(files);

    let (_, rest) = pipeline.broker().url().split_once("//").context("an address without a scheme")?;
    let credentials = rest.split_once('@').context("an address without a password")?.0;
    let password = credentials.split_once(':').context("a user without a password")?.1;
    ensure!(password.len() > 10, "the broker's password is a word that may stand anywhere: {password}");
    for (place, text) in &said {
        for secret in [KANDJI, AMFJ] {
            let found = found_in(text, secret);
            ensure!(found.is_none(), "P27: {place} shows {found:?} of {secret}");
        }
        // The file is where the broker's address has to be.
        ensure!(text.contains("[broker]") || !text.contains(password), "P27: {place} shows {password}");
    }
    // They were shown back, and are hidden: not merely never there.
    let hidden = said.iter().filter(|(_, text)| text.contains("what was sent with")).count();
    ensure!(hidden > 5, "what the services said is kept in {hidden} places only");
    Ok(())
}

/// Logging everything takes time on a busy machine.
fn patient(config: ConfigBuilder) -> ConfigBuilder {
    config.set("timing.connect_timeout", "30s").set("retry.give_up_after", "1s")
}

async fn look_into(pipeline: &Pipeline, stage: &str, said: &mut Said) -> Result<()> {
    let mut all = String::new();
    for partition in ["00", "01"] {
        let name = format!("{}.acme.{stage}.{partition}", pipeline.broker().prefix());
        all += &pipeline.everything_in(&name).await?;
    }
    ensure!(all.contains("specversion"), "the queues of {stage} are empty");
    said.push((format!("the queues of {stage}"), all));
    Ok(())
}

/// What the commands that only look answer and log, and those that keep a person's decision.
async fn commands(pipeline: &Pipeline, services: &Services, said: &mut Said) -> Result<()> {
    let device = services.kandji.devices()[0].device_id.clone();
    let asset = services.amfj.assets_named(&services.kandji.devices()[0].device_name);
    let asset = asset.into_iter().next().context("an asset for the first device")?.id;
    let person = services.kandji.people().into_iter().find_map(|person| person.email).context("a person")?;
    let record = services.amfj.users().into_iter().next().context("a user record")?.id;
    let letters = call(pipeline, &["dead", "list", "--json"], said).await?;
    let letters: serde_json::Value = serde_json::from_str(&letters)?;
    let letter = letters[0]["id"].as_str().context("a dead letter")?;
    let calls: [&[&str]; 24] = [
        &["check"],
        &["check", "--json"],
        &["trigger"],
        &["plan"],
        &["plan", "--json"],
        &["status"],
        &["status", "--json"],
        &["explain", &device],
        &["explain", &device, "--json"],
        &["explain", "no such device"],
        &["dead", "list"],
        &["dead", "show", letter],
        &["dead", "show", letter, "--json"],
        &["history"],
        &["history", "--json"],
        &["replay", "--since", "1h", "--dry-run"],
        &["unlink", &device],
        &["link", &device, &asset],
        &["link", &device, "no such asset"],
        &["link-user", &person, &record],
        &["unlink-user", &person],
        &["release", "acme"],
        &["rematch", "acme"],
        // No such command, so that a wrong call is looked at too.
        &["linc", &device],
    ];
    for arguments in calls {
        call(pipeline, arguments, said).await?;
    }
    Ok(())
}

/// The commands that put something on the queues again, or take it away.
async fn again(pipeline: &Pipeline, said: &mut Said) -> Result<()> {
    let calls: [&[&str]; 4] = [
        &["dead", "replay", "--all"],
        &["dead", "drop", "--all", "--yes"],
        &["replay", "--since", "1h", "--json"],
        &["dead", "list"],
    ];
    for arguments in calls {
        call(pipeline, arguments, said).await?;
    }
    Ok(())
}

/// A broker at which the password is wrong is the one whose address is most tempting to print.
async fn a_broker_that_refuses(pipeline: &Pipeline, said: &mut Said) -> Result<()> {
    let wrong = pipeline.broker().url().replacen("//", "//stranger-", 1);
    for (role, arguments) in [
        (Role::Operator, &["status"][..]),
        (Role::Operator, &["dead", "list"]),
        (Role::Operator, &["check"]),
        (Role::Fetcher, &["run", "--once"]),
    ] {
        let call = match role {
            Role::Operator => pipeline.command(arguments),
            role => pipeline.call(role).args(arguments),
        };
        let call = call.env("AMFJ_SYNC__BROKER__URL", &wrong);
        let refused = call.env("AMFJ_SYNC__TIMING__CONNECT_TIMEOUT", "2s").finish(RUN_LIMIT).await?;
        ensure!(refused.status.code() == Some(1), "{}{}", refused.stdout, refused.stderr);
        let place = format!("{} {} at a broker that refuses", role.name(), arguments.join(" "));
        said.push((place, format!("{}{}", refused.stdout, refused.stderr)));
    }
    Ok(())
}

/// Calls one, however it ends; what it answers and logs is to be searched.
async fn call(pipeline: &Pipeline, arguments: &[&str], said: &mut Said) -> Result<String> {
    let answered = pipeline.command(arguments).finish(RUN_LIMIT).await?;
    let place = format!("amfj-sync {}", arguments.join(" "));
    let is_wrong = arguments[0] == "linc";
    ensure!((answered.status.code() == Some(2)) == is_wrong, "{place}: {}", answered.stderr);
    ensure!(!answered.stderr.is_empty() || !answered.stdout.is_empty(), "{place} says nothing");
    said.push((place, format!("{}{}", answered.stdout, answered.stderr)));
    Ok(answered.stdout)
}

fn files_below(folder: &Path) -> Result<Said> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            let text = String::from_utf8_lossy(&std::fs::read(&path)?).into_owned();
            files.push((path.display().to_string(), text));
        }
    }
    Ok(files)
}
