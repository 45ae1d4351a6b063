//! Why there is no connection: each cause in one line, with its own cure, at once where waiting cannot help.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Context as _, Result, ensure};

use crate::calling::ensure_says;

const LIMIT: Duration = Duration::from_mins(1);

/// A port at which everybody is answered with these bytes; none is a port that never answers.
fn port(answer: Option<&'static [u8]>) -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let Some(answer) = answer else {
                kept.push(stream);
                continue;
            };
            // Whoever hangs up first is no matter of this port.
            drop(stream.read(&mut [0; 64]));
            drop(stream.write_all(answer));
        }
    });
    Ok(port)
}

#[tokio::test]
async fn each_cause_of_a_missing_broker_has_its_own_line_and_cure() -> Result<()> {
    let services = Services::plain(1, 94).await?;
    let pipeline = Pipeline::idle(vec![("acme", services.integration("acme"))], |config| config).await?;
    let url = pipeline.broker().url().to_owned();
    let (login, place) = url.trim_start_matches("amqp://").split_once('@').context("no login")?;
    let (user, _) = login.split_once(':').context("no password")?;
    let (host, _) = place.split_once('/').context("no virtual host")?;
    let (web, tls) =
        (port(Some(b"HTTP/1.1 400 Bad Request\r\n\r\n"))?, port(Some(b"\x15\x03\x03\x00\x02\x02\x0a"))?);
    let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let table: [(String, &[&str]); 8] = [
        (format!("amqp://{user}:wrong@{place}"), &["refuses user", "rabbitmqctl change_password"]),
        (
            format!("amqp://{login}@{host}/no%20where"),
            &["no virtual host `no where`", "add_vhost 'no where'"],
        ),
        (format!("amqp://{login}@127.0.0.1:{closed}/%2f"), &["nothing listens at", "start RabbitMQ"]),
        (format!("amqp://{login}@nowhere.invalid/%2f"), &["no host `nowhere.invalid`"]),
        (format!("amqps://{login}@{place}"), &["speaks no TLS on this port", "write amqp://"]),
        (format!("amqp://{login}@127.0.0.1:{tls}/%2f"), &["speaks TLS", "write amqps://"]),
        (format!("amqp://{login}@127.0.0.1:{web}/%2f"), &["is no RabbitMQ", "like a web server"]),
        (format!("amqps://{login}@127.0.0.1:{web}/%2f"), &["is no RabbitMQ"]),
    ];
    for (url, words) in table {
        let asked = pipeline.command(["status"]).env("AMFJ_SYNC__BROKER__URL", &url);
        let done = asked.finish(LIMIT).await?;
        // A machine without name servers cannot tell that a name does not exist.
        if url.contains("invalid") && done.stderr.contains("Temporary failure") {
            continue;
        }
        ensure!(done.status.code() == Some(1), "{url}: {done:?}");
        ensure!(done.stderr.trim_end().lines().count() == 1, "{url}: {}", done.stderr);
        ensure_says(&done.stderr, words)?;
        ensure!(!done.stderr.contains("wrong"), "a password is said: {}", done.stderr);
    }
    Ok(())
}

/// Nothing answers: everything is asked side by side, so it takes as long as the slowest, and the order is always the same.
#[tokio::test]
async fn a_check_of_what_never_answers_asks_side_by_side_and_reports_in_order() -> Result<()> {
    let services = Services::plain(1, 95).await?;
    let silent = format!("http://127.0.0.1:{}", port(None)?);
    let integration = |id: &str| {
        services.integration(id).set("kandji.api_url", silent.as_str()).set("amfj.api_url", silent.as_str())
    };
    let pipeline =
        Pipeline::idle(vec![("acme", integration("acme")), ("beta", integration("beta"))], |config| config)
            .await?;
    let broker = format!("amqp://a:b@127.0.0.1:{}/%2f", port(None)?);
    let check = pipeline.command(["check", "--patience", "4"]);
    let began = Instant::now();
    let done = check.env("AMFJ_SYNC__BROKER__URL", &broker).finish(LIMIT).await?;
    let took = began.elapsed();
    ensure!(done.status.code() == Some(1) && done.stderr.contains("5 checks failed"), "{done:?}");
    ensure!(took < Duration::from_secs(8), "{took:?}: one after the other they take 20 seconds");
    let text = done.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let places = ["✗ broker", "acme ✗ Kandji", "✗ AMFJ", "beta ✗ Kandji"].map(|part| text.find(part));
    ensure!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} {text}");
    ensure_says(&text, &["no answer from 127.0.0.1", "within 4 s", "--patience"])
}
