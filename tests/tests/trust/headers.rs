//! Properties of a message that the library which reads them could not survive, in every place where somebody may publish:
//! no worker ends, no connection is lost, and the message becomes of itself what becomes of any other that nobody understands.

use amfj_sync_tests::harness::raw_amqp::{RawPublisher, header, nested, text, with_headers};
use amfj_sync_tests::harness::{ConfigBuilder, Role, Worker};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::support::{know_the_key, letters, with_a_key};

/// Bytes of a frame that are not the headers of these messages.
const AROUND: usize = 64;

/// Levels that overflowed the stack of what reads them. RabbitMQ takes time with the square of them.
const DEEP: usize = 5_000;

/// Encoded properties that end a worker or its connection where they are read as they are.
fn hostile(frame_max: usize) -> Vec<(&'static str, Vec<u8>)> {
    let room = frame_max - AROUND;
    let binary = [b"\x02\xff\xfe".as_slice(), &[0; 4], b"\x03\xff\xfe\xfd"].concat();
    vec![
        ("lists in lists", with_headers(&[header(b"n", &nested(b'A', DEEP))])),
        ("tables in tables", with_headers(&[header(b"n", &nested(b'F', DEEP))])),
        ("deep where a text is read", with_headers(&[header(b"x-integration", &nested(b'A', DEEP))])),
        ("headers that fill a frame", with_headers(&[text(b"n", &vec![b'x'; room])])),
        ("a name that is no text", with_headers(&[text(b"\xff\xfe", b"x")])),
        // Content type, headers without any, message id.
        ("a type and an id that are no text", [&[0xa0, 0x80], binary.as_slice()].concat()),
    ]
}

/// Publishes each of them to each place. Answers how many dead letters they make.
async fn publish_everywhere(pipeline: &Pipeline) -> Result<usize> {
    let prefix = pipeline.broker().prefix();
    let mut raw = RawPublisher::connect(pipeline.broker().url()).await?;
    let mut dead = 0;
    for (story, properties) in hostile(raw.frame_max()) {
        for (queue, dies) in [
            ("acme.reconcile.00", true),
            ("acme.reconcile.01", true),
            ("acme.apply.00", true),
            ("acme.apply.01", true),
            ("dead", true),
            ("triggers", false),
            ("workers.fetcher", false),
            ("workers.reconciler", false),
            ("workers.writer", false),
            ("acme.state", false),
            ("acme.history", false),
        ] {
            let queue = format!("{prefix}.{queue}");
            raw.publish("", queue.as_bytes(), &properties, story.as_bytes()).await?;
            dead += usize::from(dies);
        }
        raw.publish(&format!("{prefix}.roll-call"), b"\xff", &properties, b"{}").await?;
    }
    let deepest = with_headers(&[header(b"n", &nested(b'A', (raw.frame_max() - AROUND) / 5))]);
    // Where it is delivered once: of a stream, RabbitMQ writes it anew for every reader.
    raw.publish("", format!("{prefix}.triggers").as_bytes(), &deepest, b"as deep as a frame holds").await?;
    // The exchange of the dead letters passes any routing key on; so does the broker, to whoever reads them.
    raw.publish(&format!("{prefix}.dead"), b"\xff\xfe", &[0, 0], b"a routing key that is no text").await?;
    Ok(dead + 1)
}

fn everybody_lives(mut workers: Vec<&mut Worker>) -> Result<()> {
    for worker in &mut workers {
        let (name, log) = (worker.role().name(), worker.log());
        let ended = worker.exited()?;
        ensure!(ended.is_none(), "the {name} ended with {ended:?}: {}", worker.log_tail());
        let lost =
            ["connection is lost", "no connection", "connection is given up", "parse error", "large frame"];
        ensure!(!lost.iter().any(|lost| log.contains(lost)), "the {name} lost its connection: {log}");
    }
    Ok(())
}

/// What a person asks, of everything that such a message lies in.
async fn commands_look(pipeline: &Pipeline, letters: &[Value]) -> Result<()> {
    // What was refused unread is as it was published, without an id.
    let id = letters.iter().filter_map(|letter| letter["id"].as_str()).find(|id| id.len() == 36);
    let shown = id.map(|id| vec!["dead", "show", id]);
    for arguments in [shown.unwrap_or(vec!["dead", "list"]), vec!["history"], vec!["status"], vec!["plan"]] {
        pipeline.said(&arguments).await?;
    }
    let check = pipeline.command(["check"]).finish(RUN_LIMIT).await?;
    ensure!(matches!(check.status.code(), Some(0 | 1)), "{}: {}{}", check.status, check.stdout, check.stderr);
    Ok(())
}

async fn survive(adapt: impl FnOnce(ConfigBuilder) -> ConfigBuilder, reason: &str) -> Result<()> {
    let services = Services::plain(4, 101).await?;
    let integration = services.integration("acme").field("Serial Number", "serial_number");
    let mut pipeline = Pipeline::idle(vec![("acme", integration)], adapt).await?;
    know_the_key(&mut pipeline);
    pipeline.spawn(Workers::default()).await?;
    let mut fetcher = pipeline.call(Role::Fetcher).arg("run").spawn()?;
    fetcher.wait_ready().await?;
    pipeline.run().await?;
    let count = publish_everywhere(&pipeline).await?;
    let there = letters(&pipeline, count).await?;
    let explained = there.iter().filter(|letter| letter["reason"].to_string().contains(reason)).count();
    // Those that lay among the dead letters from the beginning died of nothing.
    ensure!(explained >= count * 2 / 3, "{explained} of {count} are {reason:?}: {there:#?}");
    commands_look(&pipeline, &there).await?;
    // Others read the streams from their first record on.
    pipeline.spawn(Workers::default()).await?;
    let device = services.kandji.devices()[0].device_id.clone();
    services.kandji.set(&device, "serial_number", json!("AFTERWARDS"))?;
    services.take_writes();
    pipeline.run().await?;
    let made = services.take_writes();
    ensure!(made.len() == 1 && made[0].contains("AFTERWARDS"), "{made:?}");
    let (reconcilers, writers) = (pipeline.reconcilers.iter_mut(), pipeline.writers.iter_mut());
    everybody_lives(reconcilers.chain(writers).chain([&mut fetcher]).collect())
}

#[tokio::test]
async fn no_headers_end_a_worker_or_its_connection() -> Result<()> {
    survive(|config| config, "not a CloudEvents message").await
}

#[tokio::test]
async fn no_headers_end_a_worker_that_has_a_key() -> Result<()> {
    survive(with_a_key, "refused unread").await
}
