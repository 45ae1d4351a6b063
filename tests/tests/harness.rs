//! The harness itself: what it starts works, listens on loopback only, and leaves nothing behind.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use amfj_sync_tests::harness::{Launch, PrivateBroker, Role, Scratch, eventually, shared_broker};
use anyhow::{Context, Result, ensure};
use futures::StreamExt as _;
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use tokio::io::{AsyncBufReadExt as _, BufReader};

#[tokio::test]
async fn broker_carries_messages_on_loopback_only_and_leaves_nothing() -> Result<()> {
    let broker = PrivateBroker::start().await?;
    let folder = broker.folder().to_owned();
    let channel = channel(&broker.url()).await?;
    publish(&channel, "first").await?;
    ensure!(consume(&channel).await? == "first");

    let processes = processes_of(&folder);
    ensure!(processes.len() >= 3, "keeper, port mapper and node expected, found {processes:?}");
    let addresses = listening(&processes);
    ensure!(addresses.len() >= 3, "AMQP, distribution and port mapper expected, found {addresses:?}");
    let elsewhere: Vec<_> = addresses.iter().filter(|address| !is_loopback(address)).collect();
    ensure!(elsewhere.is_empty(), "the broker listens on {elsewhere:?}");
    only_its_owner_gets_in(&broker, &processes).await?;

    drop(broker);
    nothing_left(&folder).await
}

/// Every user of the machine reaches the ports of a private broker, and sees command lines.
async fn only_its_owner_gets_in(broker: &PrivateBroker, processes: &[u32]) -> Result<()> {
    let url = broker.url();
    let (login, place) = url
        .strip_prefix("amqp://")
        .and_then(|rest| rest.split_once('@'))
        .context("no login in the address")?;
    let (user, password) = login.split_once(':').context("no password in the address")?;
    ensure!(password.len() >= 40, "a short password: {}", password.len());
    for login in ["guest:guest", "amfj-sync:broker-password-0d4e", "amfj-sync:amfj-sync"] {
        let stranger = format!("amqp://{login}@{place}");
        let refused = Connection::connect(&stranger, ConnectionProperties::default()).await;
        ensure!(refused.is_err(), "{login} is let in");
    }
    let users = broker.ctl(&["-q", "list_users", "--no-table-headers"]).await?;
    ensure!(users.split_whitespace().next() == Some(user) && users.lines().count() == 1, "{users}");
    let cookie = fs::read_to_string(broker.folder().join(".erlang.cookie"))?;
    ensure!(cookie.len() >= 40 && cookie != password, "the cookie can be guessed");
    for id in processes {
        for page in ["cmdline", "environ"] {
            let shown = fs::read(format!("/proc/{id}/{page}")).unwrap_or_default();
            let shown = String::from_utf8_lossy(&shown);
            ensure!(!shown.contains(password) && !shown.contains(&cookie), "{page} of {id}: {shown}");
        }
    }
    let open = open_to_others(broker.folder())?;
    ensure!(open.is_empty() && fs::metadata(broker.folder())?.mode() & 0o777 == 0o700, "{open:?}");
    Ok(())
}

/// What is below a folder that others than its owner have any right to. What goes away meanwhile counts for nothing.
fn open_to_others(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut open = Vec::new();
    for entry in fs::read_dir(folder)?.flatten() {
        let Ok(about) = entry.metadata() else { continue };
        if about.mode() & 0o077 != 0 {
            open.push(entry.path());
        }
        if about.is_dir() {
            open.extend(open_to_others(&entry.path()).unwrap_or_default());
        }
    }
    Ok(open)
}

#[tokio::test]
async fn broker_keeps_what_was_confirmed_over_a_stop_and_a_kill() -> Result<()> {
    let mut broker = PrivateBroker::start().await?;
    let url = broker.url();
    publish(&channel(&url).await?, "before the stop").await?;
    broker.stop().await?;
    ensure!(!broker.is_running(), "it still runs after the stop");
    ensure!(Connection::connect(&url, ConnectionProperties::default()).await.is_err(), "it still answers");
    broker.restart().await?;
    ensure!(broker.url() == url, "it came back at another address");
    publish(&channel(&url).await?, "before the kill").await?;
    broker.kill();
    ensure!(!broker.is_running(), "it still runs after the kill");
    broker.restart().await?;
    let channel = channel(&url).await?;
    ensure!(consume(&channel).await? == "before the stop");
    ensure!(consume(&channel).await? == "before the kill");
    Ok(())
}

#[tokio::test]
async fn broker_ends_with_an_owner_that_is_killed() -> Result<()> {
    let mut owner = tokio::process::Command::new(env!("CARGO_BIN_EXE_private-broker"))
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut lines = BufReader::new(owner.stdout.take().context("no output")?).lines();
    let url = lines.next_line().await?.context("no address")?;
    let folder = PathBuf::from(lines.next_line().await?.context("no folder")?);
    ensure!(!processes_of(&folder).is_empty());
    channel(&url).await?;
    // SIGKILL: nothing in the owner can run any more.
    owner.kill().await?;
    nothing_left(&folder).await
}

#[tokio::test]
async fn broker_that_is_not_installed_is_said_so() -> Result<()> {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_private-broker"))
        .env("AMFJ_SYNC_RABBITMQ_SERVER", "/nowhere/rabbitmq-server")
        .output()
        .await?;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success());
    ensure!(message.contains("AMFJ_SYNC_RABBITMQ_SERVER names /nowhere/rabbitmq-server"), "{message}");
    Ok(())
}

#[tokio::test]
async fn shared_broker_is_one_for_all_and_ends_after_the_last() -> Result<()> {
    let scratch = Scratch::new()?;
    let folder = scratch.path().join("shared");
    let linger = Duration::from_secs(1);
    // At the same moment: one starts it, the other waits for it.
    let (first, second) =
        tokio::join!(shared_broker::join_at(&folder, linger), shared_broker::join_at(&folder, linger));
    let ((url, first), (same_url, second)) = (first?, second?);
    ensure!(url == same_url, "two brokers: {url} and {same_url}");

    drop(first);
    tokio::time::sleep(linger * 3).await;
    publish(&channel(&url).await?, "still there").await.context("it ended while the second used it")?;
    drop(second);
    eventually(Duration::from_secs(30), "the end of the shared broker", async || {
        let left = processes_of(&folder);
        ensure!(left.is_empty(), "{left:?} still run");
        ensure!(!folder.join("address").exists(), "its address is still there");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn worker_is_found_by_its_log_and_asked() -> Result<()> {
    let endpoints = axum::Router::new()
        .route("/readyz", axum::routing::get(async || "ready"))
        .route("/status", axum::routing::get(async || r#"{"role":"fetcher"}"#))
        .route("/metrics", axum::routing::get(async || "amfj_sync_workers{role=\"fetcher\"} 2\n"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, endpoints).await });

    let scratch = Scratch::new()?;
    let log =
        format!(r#"echo '{{"level":"INFO","fields":{{"message":"serving","listen":"{address}"}}}}' >&2"#);
    let mut worker = stand_in(&scratch, &format!("{log}; sleep 60 & wait"))?.spawn()?;
    worker.wait_ready().await?;
    assert_eq!(worker.listen()?, address);
    assert_eq!(worker.status().await?["role"], "fetcher");
    assert_eq!(worker.metrics().await?.get("amfj_sync_workers", &[("role", "fetcher")]), Some(2.0));
    ensure!((100_000..100_000_000).contains(&worker.peak_rss_bytes()?));
    Ok(())
}

#[tokio::test]
async fn worker_ends_when_told_to_and_reports_how() -> Result<()> {
    let scratch = Scratch::new()?;
    let orderly = stand_in(&scratch, "trap 'exit 0' TERM; echo up; sleep 60 & wait")?.spawn()?;
    eventually(Duration::from_secs(5), "the stand-in to be up", async || {
        ensure!(orderly.stdout() == "up\n", "{:?}", orderly.stdout());
        Ok(())
    })
    .await?;
    ensure!(orderly.terminate().await?.success());

    let killed = stand_in(&scratch, "sleep 60")?.spawn()?;
    let id = killed.id();
    ensure!(std::os::unix::process::ExitStatusExt::signal(&killed.kill9()?) == Some(9));
    ensure!(!Path::new(&format!("/proc/{id}")).exists(), "it is still there");

    let dropped = stand_in(&scratch, "sleep 60")?.spawn()?;
    let id = dropped.id();
    drop(dropped);
    ensure!(!Path::new(&format!("/proc/{id}")).exists(), "it outlived its owner");
    Ok(())
}

#[tokio::test]
async fn worker_that_fails_at_start_shows_its_log() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut worker = stand_in(&scratch, "echo 'unknown key' >&2; exit 2")?.spawn()?;
    let error = format!("{:#}", worker.wait_ready().await.err().context("it got ready")?);
    ensure!(error.contains("unknown key") && error.contains("exit status: 2"), "{error}");

    let finished = stand_in(&scratch, "echo \"$KANDJI $@\"; exit 3")?
        .env("KANDJI", "token")
        .arg("check")
        .finish(Duration::from_secs(10))
        .await?;
    assert_eq!(finished.status.code(), Some(3));
    ensure!(finished.stdout.starts_with("token --config ") && finished.stdout.ends_with("json check\n"));
    Ok(())
}

/// A worker whose binary is a shell script.
fn stand_in(scratch: &Scratch, script: &str) -> Result<Launch> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = scratch.path().join(format!("worker-{}", uuid::Uuid::new_v4().simple()));
    fs::write(&path, format!("#!/bin/sh\n{script}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(Launch::new(Role::Fetcher, &scratch.path().join("amfj-sync.toml")).program(&path))
}

async fn channel(url: &str) -> Result<Channel> {
    let connection = Connection::connect(url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare("queue".into(), QueueDeclareOptions::durable(), arguments).await?;
    Ok(channel)
}

async fn publish(channel: &Channel, text: &str) -> Result<()> {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm =
        channel.basic_publish("".into(), "queue".into(), options, text.as_bytes(), persistent).await?.await?;
    ensure!(matches!(confirm, Confirmation::Ack(None)), "not confirmed: {confirm:?}");
    Ok(())
}

async fn consume(channel: &Channel) -> Result<String> {
    channel.basic_qos(1, lapin::options::BasicQosOptions::default()).await?;
    let tag = uuid::Uuid::new_v4().to_string();
    let options = BasicConsumeOptions::default();
    let mut consumer =
        channel.basic_consume("queue".into(), tag.clone().into(), options, FieldTable::default()).await?;
    let delivery =
        tokio::time::timeout(Duration::from_secs(20), consumer.next()).await?.context("no message")??;
    channel.basic_cancel(tag.into(), lapin::options::BasicCancelOptions::default()).await?;
    ensure!(delivery.ack(BasicAckOptions::default()).await?, "not acknowledged");
    Ok(String::from_utf8(delivery.data)?)
}

/// Every process of a private node has its folder in its environment, whatever group it is in.
fn processes_of(folder: &Path) -> Vec<u32> {
    let needle = folder.to_string_lossy().into_owned();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|id: &u32| *id != std::process::id())
        .filter(|id| {
            let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(&needle)
        })
        .collect()
}

async fn nothing_left(folder: &Path) -> Result<()> {
    eventually(Duration::from_secs(10), "the end of all processes", async || {
        let left = processes_of(folder);
        ensure!(left.is_empty(), "{left:?} still run");
        ensure!(!folder.exists(), "{} is still there", folder.display());
        Ok(())
    })
    .await
}

/// The addresses, as the kernel writes them, on which these processes accept connections.
fn listening(processes: &[u32]) -> BTreeSet<String> {
    let descriptors = processes.iter().filter_map(|id| fs::read_dir(format!("/proc/{id}/fd")).ok());
    let sockets: BTreeSet<String> = descriptors
        .flat_map(Iterator::flatten)
        .filter_map(|entry| fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|target| Some(target.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    rows.map(|row| row.split_whitespace().collect::<Vec<_>>())
        .filter(|row| row.len() > 9 && row[3] == "0A" && sockets.contains(row[9]))
        .map(|row| row[1].to_owned())
        .collect()
}

fn is_loopback(address: &str) -> bool {
    address.starts_with("0100007F:") || address.starts_with("00000000000000000000000001000000:")
}
