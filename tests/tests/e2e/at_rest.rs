//! What others on the machine of a worker see of it: nothing.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use amfj_sync_tests::harness::{
    ConfigBuilder, IntegrationBuilder, Launch, Role, Scratch, Worker, WrittenConfig, eventually,
};
use amfj_sync_tests::model::Settings;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use anyhow::{Context as _, Result, ensure};

/// Everything below a folder that others than its owner have any right to.
fn open_to_others(folder: &Path) -> Result<Vec<String>> {
    let mut open = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let about = fs::symlink_metadata(&path)?;
        if about.mode() & 0o077 != 0 {
            open.push(format!("{} {:o}", path.display(), about.mode()));
        }
        if about.is_dir() {
            open.extend(open_to_others(&path)?);
        }
    }
    Ok(open)
}

/// What the kernel says of a process.
fn of_process(id: u32, page: &str, line: &str) -> Result<String> {
    let text = fs::read_to_string(format!("/proc/{id}/{page}"))?;
    let found = text.lines().find_map(|one| one.strip_prefix(line)).context("no such line")?;
    Ok(found.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn what_workers_hold_is_their_owners_alone_on_disk_and_in_memory() -> Result<()> {
    let services = Services::plain(5, 1).await?;
    let integration = Settings::default().field("Model", "model").configure(services.integration("acme"));
    let mut pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    let mut fetcher = Worker::spawn(Role::Fetcher, &pipeline.config)?;
    fetcher.wait_ready().await?;
    pipeline.settle().await?;
    for worker in pipeline.reconcilers.iter().chain(&pipeline.writers).chain([&fetcher]) {
        let (id, name) = (worker.id(), worker.role().name());
        ensure!(of_process(id, "limits", "Max core file size")? == "0 0 bytes", "{name} may dump core");
        ensure!(of_process(id, "status", "Umask:")? == "0077", "{name}");
    }
    let data = pipeline.config.path.with_file_name("var");
    let names: Vec<_> = fs::read_dir(&data)?.flatten().map(|entry| entry.file_name()).collect();
    ensure!(names.len() == 3, "three data directories expected: {names:?}");
    let open = open_to_others(&data)?;
    ensure!(open.is_empty() && fs::metadata(&data)?.mode() & 0o777 == 0o700, "{open:?}");
    let plan = data.with_file_name("plan.csv");
    let asked = ["plan", "--csv", "--out"].map(str::to_owned).into_iter().chain([plan.display().to_string()]);
    let done = pipeline.command(asked).finish(RUN_LIMIT).await?;
    ensure!(done.status.success(), "{}", done.stderr);
    ensure!(fs::metadata(&plan)?.mode() & 0o777 == 0o600);
    fetcher.terminate().await?;
    pipeline.dismiss().await
}

/// A worker with a data directory of its own, and no broker: the directory comes first.
fn with_data_dir(scratch: &Scratch, role: Role, data: &Path) -> Result<WrittenConfig> {
    let integration = IntegrationBuilder::new("acme", "http://127.0.0.1:1", "http://127.0.0.1:2/v1");
    ConfigBuilder::new("amqp://nobody:nothing@127.0.0.1:1/%2f", "t-1")
        .set(&format!("{}.data_dir", role.name()), data.display().to_string())
        .integration(integration)
        .write(scratch)
}

/// The folder of a worker, made beforehand by somebody.
fn made_beforehand(scratch: &Scratch, name: &str, mode: u32) -> Result<PathBuf> {
    let folder = scratch.path().join(name);
    fs::create_dir(&folder)?;
    fs::set_permissions(&folder, fs::Permissions::from_mode(mode))?;
    Ok(folder)
}

#[tokio::test]
async fn a_data_directory_that_somebody_else_put_there_is_refused() -> Result<()> {
    let scratch = Scratch::new()?;
    let victim = made_beforehand(&scratch, "victim", 0o700)?;
    let link = scratch.path().join("link");
    symlink(&victim, &link)?;
    let mut refused = vec![(link, "symbolic link")];
    // Only root can give a folder away.
    if fs::metadata("/proc/self")?.uid() == 0 {
        let theirs = made_beforehand(&scratch, "theirs", 0o777)?;
        std::os::unix::fs::chown(&theirs, Some(12_345), None)?;
        refused.push((theirs, "belongs to another user (user id 12345"));
    }
    for (data, why) in &refused {
        for role in Role::ALL {
            let config = with_data_dir(&scratch, role, data)?;
            let done = Launch::with(role, &config).finish(RUN_LIMIT).await?;
            let said = done.stderr;
            ensure!(done.status.code() == Some(1), "{} started on {}: {said}", role.name(), data.display());
            ensure!(said.contains(why) && said.contains("data_dir"), "{said}");
            ensure!(said.contains(&data.display().to_string()), "{said}");
        }
    }
    ensure!(fs::read_dir(&victim)?.next().is_none(), "something was written through the link");
    Ok(())
}

#[tokio::test]
async fn a_data_directory_that_others_can_look_into_is_told_of_once_with_the_cure() -> Result<()> {
    let scratch = Scratch::new()?;
    let wide = made_beforehand(&scratch, "wide", 0o755)?;
    let config = with_data_dir(&scratch, Role::Writer, &wide)?;
    let writer = Worker::spawn(Role::Writer, &config)?;
    let command = format!("chmod 700 {}", wide.display());
    eventually(RUN_LIMIT, "the writer to use its directory", async || {
        ensure!(wide.join("db").exists(), "{}", writer.log());
        Ok(())
    })
    .await?;
    let log = writer.log();
    ensure!(log.matches(&command).count() == 1, "{log}");
    writer.terminate().await?;
    Ok(())
}
