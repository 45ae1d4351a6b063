//! What others could read or reach is said once at start, and a worker answers to its own names only.

use amfj_sync_tests::harness::{ConfigBuilder, IntegrationBuilder, Launch, Role, Scratch, SharedBroker};
use anyhow::{Result, ensure};

#[tokio::test]
async fn an_open_port_is_warned_of_once_and_answers_to_its_own_names() -> Result<()> {
    let broker = SharedBroker::join().await?;
    let scratch = Scratch::new()?;
    for (expose, warnings) in [(false, 1), (true, 0)] {
        let nowhere =
            IntegrationBuilder::new("acme", "http://127.0.0.1:1", "http://127.0.0.1:1").tokens("k", "a");
        let config = ConfigBuilder::new(broker.url(), broker.prefix())
            .integration(nowhere)
            .set("reconciler.listen", "0.0.0.0:0")
            .set("reconciler.expose", expose)
            .set("reconciler.hosts", vec!["status.example.com".to_owned()])
            .write(&scratch)?;
        let mut worker = Launch::with(Role::Reconciler, &config).arg("run").spawn()?;
        worker.wait_ready().await?;
        let log = worker.log();
        ensure!(log.matches("reconciler.expose = true").count() == warnings, "{log}");
        ensure!(!log.contains("allow_plain_text"), "the broker is on this machine: {log}");
        let url = format!("http://127.0.0.1:{}/healthz", worker.listen()?.port());
        let http = amfj_sync_tests::harness::http_client()?;
        let asked = async |host: &str| {
            http.get(&url).header("host", host).send().await.map(|got| got.status().as_u16())
        };
        for host in ["127.0.0.1:9465", "10.0.0.7", "localhost", "status.example.com"] {
            ensure!(asked(host).await? == 200, "{host}");
        }
        for path in ["/healthz", "/status", "/metrics", "/readyz", "/nothing"] {
            let got =
                http.get(url.replace("/healthz", path)).header("host", "evil.example:9465").send().await?;
            ensure!(got.status().as_u16() == 421, "{path}: {}", got.status());
            ensure!(got.text().await?.lines().count() == 1, "{path}");
        }
        ensure!(worker.terminate().await?.success());
    }
    Ok(())
}
