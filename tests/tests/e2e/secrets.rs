//! P27: no secret in a log, an error, a metric, a queue or a state file.

use std::fmt::Write as _;
use std::path::Path;

use amfj_sync_tests::harness::Role;
use amfj_sync_tests::model::{CreateDevices, Settings};
use amfj_sync_tests::pipeline::{Crew, Pipeline, Services};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};
use futures::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};

#[tokio::test]
async fn p27_no_secret_leaves_the_environment() -> Result<()> {
    let services = Services::plain(12, 27).await?;
    // A body that shows the token back is the worst that a service could answer.
    let echo = |token: String| Some(format!("unexpected Bearer {token} in this request"));
    let refuse = Action::Status { code: 422, body: echo(services.amfj.token()) };
    services.amfj.fault(Rule::new(refuse).on("PATCH", "/assets/*").times(2));
    let settings =
        Settings { create_devices: CreateDevices::Always, auto_checkout: true, ..Settings::default() }
            .field("Model", "model")
            .field("Memory", "details.hardware_overview.memory");
    let integration = settings.configure(services.integration("acme"));
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], |config| config).await?;
    pipeline.extra_argument("-vv");
    pipeline.hire(Crew::default()).await?;

    let mut said = Vec::new();
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    ensure!(done.stderr.contains("DEBUG") || done.stderr.contains("TRACE"), "-vv says no more than usual");
    said.push(("the fetcher", format!("{}{}", done.stdout, done.stderr)));
    pipeline.settle().await?;
    let refuse = Action::Status { code: 400, body: echo(services.kandji.token()) };
    services.kandji.fault(Rule::new(refuse).on("GET", "/devices"));
    let failed = pipeline.fetch(&[]).await?;
    ensure!(failed.status.code() == Some(1));
    said.push(("a failed run", format!("{}{}", failed.stdout, failed.stderr)));
    let checked =
        pipeline.call(Role::Fetcher).arg("check").finish(amfj_sync_tests::pipeline::RUN_LIMIT).await?;
    said.push(("fetcher check", format!("{}{}", checked.stdout, checked.stderr)));
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers) {
        said.push(("a log", worker.log() + &worker.stdout()));
        for endpoint in ["/metrics", "/status", "/readyz"] {
            said.push((endpoint, worker.get(endpoint).await?.1));
        }
    }
    let broker = pipeline.broker();
    let (_, rest) = broker.url().split_once("//").unwrap();
    let credentials = format!("{}@", rest.split_once('@').unwrap().0);
    let queues = ["acme.state", "acme.history"].map(|name| format!("{}.{name}", broker.prefix()));
    for queue in &queues {
        said.push(("a stream", everything_in(broker.url(), queue, true).await?));
    }
    let dead = everything_in(broker.url(), &format!("{}.dead", broker.prefix()), false).await?;
    ensure!(!dead.is_empty(), "the refused writes left no dead letters to look into");
    said.push(("dead letters", dead));
    pipeline.dismiss().await?;
    let folder = pipeline.config.path.parent().unwrap_or(Path::new("."));
    let files = files_below(folder)?;
    ensure!(files.len() > 3, "no state files: {}", files.len());
    said.extend(files);

    let secrets = [services.kandji.token(), services.amfj.token(), credentials];
    for (place, text) in &said {
        for secret in &secrets {
            // The file is where the broker's address has to be.
            let is_config = secret.contains('@') && text.contains("[broker]");
            ensure!(is_config || !text.contains(secret.as_str()), "P27: {place} shows {secret}");
        }
    }
    Ok(())
}

/// Everything that a queue or stream holds, as text.
async fn everything_in(url: &str, queue: &str, is_stream: bool) -> Result<String> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(500, BasicQosOptions::default()).await?;
    let mut arguments = FieldTable::default();
    if is_stream {
        arguments.insert("x-stream-offset".into(), AMQPValue::LongString("first".into()));
    }
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(queue.into(), "".into(), options, arguments).await?;
    let mut text = String::new();
    let pause = std::time::Duration::from_secs(1);
    while let Ok(Some(delivery)) = tokio::time::timeout(pause, consumer.next()).await {
        let delivery = delivery?;
        text.push_str(&String::from_utf8_lossy(&delivery.data));
        write!(text, "{:?}", delivery.properties)?;
        delivery.ack(lapin::options::BasicAckOptions::default()).await?;
    }
    Ok(text)
}

fn files_below(folder: &Path) -> Result<Vec<(&'static str, String)>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(("a file", String::from_utf8_lossy(&std::fs::read(&path)?).into_owned()));
        }
    }
    Ok(files)
}
