//! The permissions of docs/security.md: the commands are taken from the page, and the whole pipeline works under them.

use std::time::Duration;

use amfj_sync_tests::harness::workers::Finished;
use amfj_sync_tests::harness::{
    ConfigBuilder, Launch, PrivateBroker, Role, Scratch, Worker, WrittenConfig, eventually,
};
use amfj_sync_tests::pipeline::Services;
use anyhow::{Context as _, Result, ensure};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::{Value, json};

const PAGE: &str = include_str!("../../../docs/security.md");
const LIMIT: Duration = Duration::from_mins(2);

/// Every `rabbitmqctl` line of the section about permissions, split as a shell splits it.
fn commands() -> Vec<Vec<String>> {
    let section = PAGE.lines().skip_while(|line| *line != "### Least permissions").skip(1);
    let section = section.take_while(|line| !line.starts_with('#'));
    let lines = section.filter(|line| line.starts_with("rabbitmqctl "));
    lines.map(|line| words(line).into_iter().skip(1).collect()).collect()
}

fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars().chain([' ']) {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(c),
        }
    }
    words
}

/// The address with user and password of the page.
fn url(broker: &PrivateBroker, user: &str) -> Result<String> {
    let added = commands().into_iter().find(|words| words[0] == "add_user" && words[1] == user);
    let password = added.context("the page adds no such user")?[2].clone();
    let plain = broker.url();
    let host = plain.rsplit('@').next().and_then(|rest| rest.split('/').next()).context("no host")?;
    Ok(format!("amqp://{user}:{password}@{host}/amfj-sync"))
}

struct OneOfEach {
    broker: PrivateBroker,
    config: WrittenConfig,
    workers: Vec<Worker>,
}

impl OneOfEach {
    fn call(&self, role: Role, user: &str) -> Result<Launch> {
        Ok(Launch::with(role, &self.config).env("AMFJ_SYNC__BROKER__URL", url(&self.broker, user)?))
    }

    async fn said(&self, user: &str, arguments: &[&str]) -> Result<Finished> {
        self.call(Role::Operator, user)?.args(arguments.iter().copied()).finish(LIMIT).await
    }

    async fn at_rest(&self) -> Result<Value> {
        let mut status = Value::Null;
        eventually(LIMIT, "everything decided and written", async || {
            let done = self.said("amfj-reader", &["status", "--json"]).await?;
            status = serde_json::from_str(&done.stdout).with_context(|| done.stderr.clone())?;
            let own = &status["integrations"][0];
            ensure!(own["devices"]["in sync"].as_u64().is_some_and(|count| count >= 3), "{own}");
            Ok(())
        })
        .await?;
        Ok(status)
    }
}

#[tokio::test]
async fn the_pipeline_works_under_the_permissions_of_the_page() -> Result<()> {
    let services = Services::plain(3, 99).await?;
    let broker = PrivateBroker::start().await?;
    for words in commands() {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        broker.ctl(&words).await?;
    }
    let scratch = Scratch::new()?;
    let config = ConfigBuilder::new(&broker.url(), "amfj-sync")
        .set("broker.partitions", 2)
        .set("timing.ownership_interval", "100ms")
        .integration(
            services.integration("acme").field("Notes", "model").field("Serial Number", "serial_number"),
        )
        .write(&scratch)?;
    let mut all = OneOfEach { broker, config, workers: Vec::new() };

    // Whoever may not make the queues says so, and which.
    let early = all.said("amfj-reader", &["status"]).await?;
    ensure!(early.status.code() == Some(1) && early.stderr.contains("docs/security.md"), "{}", early.stderr);
    let made = all.said("amfj-setup", &["status"]).await?;
    ensure!(made.status.code() == Some(3), "{}{}", made.stdout, made.stderr);

    for role in [Role::Fetcher, Role::Reconciler, Role::Writer] {
        let user = format!("amfj-{}", role.name());
        let mut worker = all.call(role, &user)?.arg("run").spawn()?;
        worker.wait_ready().await?;
        all.workers.push(worker);
    }
    let status = all.at_rest().await?;
    ensure!(status["reports"].as_array().is_some_and(|reports| reports.len() == 3), "{status}");
    ensure!(services.take_writes().len() >= 3);

    let device = services.kandji.devices()[0].clone();
    for arguments in [vec!["plan"], vec!["explain", device.serial_number.as_str()], vec!["history"]] {
        let done = all.said("amfj-reader", &arguments).await?;
        ensure!(done.status.success(), "{arguments:?}: {}{}", done.stdout, done.stderr);
    }
    let history = all.said("amfj-reader", &["history"]).await?;
    ensure!(history.stdout.contains("Notes"), "{}", history.stdout);

    // A reader writes nothing: no decision of a person, no change.
    let unlink = all.said("amfj-reader", &["unlink", &device.serial_number]).await?;
    ensure!(
        unlink.status.code() == Some(1) && unlink.stderr.contains("does not permit"),
        "{}",
        unlink.stderr
    );
    ensure!(!may_publish(&url(&all.broker, "amfj-reader")?).await?, "a reader published into an apply queue");
    ensure!(may_publish(&url(&all.broker, "amfj-operator")?).await?);
    let letters = async || -> Result<Finished> { all.said("amfj-operator", &["dead", "list"]).await };
    eventually(LIMIT, "the dead letter", async || {
        let listed = letters().await?;
        ensure!(listed.stdout.contains("not a CloudEvents message"), "{}{}", listed.stdout, listed.stderr);
        Ok(())
    })
    .await?;
    let refused = all.said("amfj-reader", &["dead", "list"]).await?;
    ensure!(refused.status.code() == Some(1), "a reader saw dead letters: {}", refused.stdout);

    // An operator acts, and the workers do what follows.
    let acted = all.said("amfj-operator", &["unlink", &device.serial_number]).await?;
    ensure!(acted.status.success(), "{}", acted.stderr);
    services.kandji.set(&services.kandji.devices()[1].device_id, "serial_number", json!("CHANGED"))?;
    let asked = all.said("amfj-operator", &["trigger"]).await?;
    ensure!(asked.status.success(), "{}{}", asked.stdout, asked.stderr);
    eventually(LIMIT, "the change", async || {
        ensure!(services.amfj.writes().iter().any(|write| write.body.to_string().contains("CHANGED")));
        Ok(())
    })
    .await?;
    for worker in all.workers.drain(..) {
        let log = worker.log();
        ensure!(!log.contains("ACCESS_REFUSED") && !log.contains("does not permit"), "{log}");
        ensure!(worker.terminate().await?.success());
    }
    Ok(())
}

/// Whether something arrives in an apply queue.
async fn may_publish(url: &str) -> Result<bool> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let publish =
        channel.basic_publish("".into(), "amfj-sync.acme.apply.00".into(), options, b"forged", properties);
    let confirmed = match publish.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    Ok(confirmed.is_ok_and(|confirm| confirm.is_ack()))
}
