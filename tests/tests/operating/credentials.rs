//! Who needs which token: whoever looks at the state needs none, and says so by just working.

use std::time::Duration;

use amfj_sync_tests::harness::Role;
use amfj_sync_tests::harness::workers::{Finished, Launch};
use amfj_sync_tests::pipeline::{Pipeline, Services};
use anyhow::{Result, ensure};

/// A call from a shell in which no token is set.
async fn from_a_fresh_shell(pipeline: &Pipeline, role: Role, arguments: &[&str]) -> Result<Finished> {
    let call = Launch::new(role, &pipeline.config.path).args(arguments.iter().copied());
    call.finish(Duration::from_mins(2)).await
}

/// Somebody on call has the configuration file and the broker, and no access to either service.
#[tokio::test]
async fn commands_that_only_ask_the_broker_need_no_token() -> Result<()> {
    let services = Services::plain(3, 71).await?;
    let pipeline = Pipeline::start(vec![("acme", services.integration("acme"))]).await?;
    pipeline.run().await?;
    let free: [&[&str]; 5] = [
        &["plan"],
        &["rematch", "acme"],
        &["dead", "list"],
        &["history"],
        &["replay", "--since", "1h", "--dry-run"],
    ];
    for arguments in free {
        let done = from_a_fresh_shell(&pipeline, Role::Operator, arguments).await?;
        ensure!(done.status.success(), "{arguments:?}: {}", done.stderr);
    }
    // Both see that no fetcher runs, and neither asks for a token.
    for (command, code) in [("trigger", 1), ("status", 3)] {
        let done = from_a_fresh_shell(&pipeline, Role::Operator, &[command]).await?;
        let said = format!("{}{}", done.stdout, done.stderr);
        ensure!(done.status.code() == Some(code) && said.contains("no fetcher runs"), "{command}: {said}");
    }
    let bound: [(Role, &[&str], &str); 3] = [
        (Role::Operator, &["check"], "kandji.token"),
        (Role::Fetcher, &["run", "--once"], "kandji.token"),
        (Role::Writer, &["run"], "amfj.token"),
    ];
    for (role, arguments, section) in bound {
        let done = from_a_fresh_shell(&pipeline, role, arguments).await?;
        ensure!(done.status.code() == Some(2), "{} {arguments:?}: {}", role.name(), done.status);
        let service = section.split('.').next().unwrap_or_default();
        ensure!(done.stderr.contains("is not set") && done.stderr.contains(service), "{}", done.stderr);
    }
    Ok(())
}
