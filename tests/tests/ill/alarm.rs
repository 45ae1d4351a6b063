//! A broker in a memory alarm takes nothing from those who publish: workers are not ready and say why, commands say it
//! within seconds, and everything goes on by itself afterwards.

use std::time::Duration;

use amfj_sync_tests::harness::{
    ConfigBuilder, IntegrationBuilder, Launch, PrivateBroker, Role, Scratch, Worker, eventually,
};
use anyhow::{Result, ensure};

/// What a person is promised, and a worker is no slower.
const SAID_WITHIN: Duration = Duration::from_secs(5);

const LIMIT: Duration = Duration::from_mins(1);

const SAYS: &str = "short of memory or disk";

async fn answers(worker: &Worker, status: u16, within: Duration, piece: &str) -> Result<()> {
    eventually(within, "the worker to say how it is", async || {
        let (found, body) = worker.get("/readyz").await?;
        ensure!(found == status && body.contains(piece), "it answers {found}: {body}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn workers_are_not_ready_during_an_alarm_and_commands_say_what_they_wait_for() -> Result<()> {
    let broker = PrivateBroker::start().await?;
    let scratch = Scratch::new()?;
    let integration = IntegrationBuilder::new("acme", "http://127.0.0.1:9", "http://127.0.0.1:9/v1");
    let config = ConfigBuilder::new(&broker.url(), "t-alarm").set("broker.partitions", 2);
    let config = config.integration(integration).write(&scratch)?;
    let mut workers = Vec::new();
    for role in Role::ALL {
        let mut worker = Launch::with(role, &config).spawn()?;
        worker.wait_ready().await?;
        workers.push(worker);
    }
    broker.ctl(&["set_vm_memory_high_watermark", "0.000001"]).await?;
    for worker in &workers {
        answers(worker, 503, LIMIT, SAYS).await?;
        let wrong = worker.status().await?["wrong"].to_string();
        ensure!(wrong.contains(SAYS), "{wrong}");
    }
    let mut commands = Vec::new();
    for name in ["status", "trigger", "history"] {
        commands.push(Launch::command(&config, [name]).spawn()?);
    }
    for command in &commands {
        // From its start on, which takes a while on a machine that is busy.
        eventually(SAID_WITHIN * 3, "a command to say what it waits for", async || {
            ensure!(command.log().contains(SAYS), "it says: {}", command.log());
            Ok(())
        })
        .await?;
    }
    broker.ctl(&["set_vm_memory_high_watermark", "0.6"]).await?;
    for worker in &workers {
        answers(worker, 200, LIMIT, "ready").await?;
    }
    for mut command in commands {
        let status = command.wait(LIMIT).await?;
        // Where something else is wrong, `status` says so with 3.
        ensure!(matches!(status.code(), Some(0 | 3)), "{status}: {}{}", command.stdout(), command.log());
    }
    Ok(())
}
