//! What goes wrong on the first day: one clear message each, the right exit status, nothing done.

use amfj_sync_tests::harness::ports::free_ports;
use amfj_sync_tests::harness::{Launch, Role};
use amfj_sync_tests::model::Settings;
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Result, ensure};

async fn services() -> Result<(Services, Pipeline)> {
    let services = Services::plain(3, 1).await?;
    let integration = Settings::default().field("Model", "model").configure(services.integration("acme"));
    Ok((services, Pipeline::start(vec![("acme", integration)]).await?))
}

/// The run fails with status 1; what it says names all of these, and nothing was written.
async fn fails_saying(services: &Services, pipeline: &Pipeline, words: &[&str]) -> Result<()> {
    let done = pipeline.fetch(&[]).await?;
    ensure!(done.status.code() == Some(1), "{done:?}");
    let said = format!("{}{}", done.stdout, done.stderr);
    for word in words {
        ensure!(said.contains(word), "{word:?} is not in:\n{said}");
    }
    ensure!(services.amfj.write_count() == 0, "{:?}", services.take_writes());
    ensure!(!said.contains("panicked"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_kandji_token_is_said_so() -> Result<()> {
    let (services, pipeline) = services().await?;
    services.kandji.rotate_token("another");
    fails_saying(&services, &pipeline, &["Kandji", "401", "token"]).await
}

#[tokio::test]
async fn a_wrong_amfj_token_is_said_so() -> Result<()> {
    let (services, pipeline) = services().await?;
    services.amfj.rotate_token("another");
    fails_saying(&services, &pipeline, &["AMFJ", "401", "token"]).await
}

#[tokio::test]
async fn a_console_host_is_told_from_an_api_host() -> Result<()> {
    let (services, pipeline) = services().await?;
    services.kandji.fault(Rule::new(Action::Html).on("GET", "/devices"));
    fails_saying(&services, &pipeline, &["HTML", "api_url"]).await
}

#[tokio::test]
async fn an_unknown_key_is_found_before_anything_is_connected() -> Result<()> {
    let (services, pipeline) = services().await?;
    let text = std::fs::read_to_string(&pipeline.config.path)?;
    let wrong = pipeline.config.path.with_file_name("wrong.toml");
    std::fs::write(&wrong, text.replace("default_asset_type", "default_aset_type"))?;
    services.kandji.clear_requests();
    for role in Role::ALL {
        let done = Launch::new(role, &wrong).finish(RUN_LIMIT).await?;
        ensure!(done.status.code() == Some(2), "{done:?}");
        let said = done.stderr;
        ensure!(said.contains("default_aset_type") && said.contains("default_asset_type"), "{said}");
        ensure!(said.contains("wrong.toml:"), "no line in:\n{said}");
    }
    ensure!(services.kandji.request_count() == 0 && services.amfj.request_count() == 0);
    Ok(())
}

#[tokio::test]
async fn a_missing_asset_type_is_named_with_the_nearest() -> Result<()> {
    let services = Services::plain(3, 1).await?;
    let settings = Settings { default_asset_type: "Laptops".to_owned(), ..Settings::default() };
    let integration = settings.configure(services.integration("acme"));
    let pipeline = Pipeline::start(vec![("acme", integration)]).await?;
    fails_saying(&services, &pipeline, &["Laptops", "Laptop", "amfj-sync.toml:"]).await
}

#[tokio::test]
async fn a_broker_that_is_not_there_is_said_so() -> Result<()> {
    let services = Services::plain(3, 1).await?;
    let integration = Settings::default().configure(services.integration("acme"));
    let port = free_ports(1)?[0];
    let pipeline = Pipeline::idle(vec![("acme", integration)], |config| {
        config.set("broker.url", format!("amqp://guest:guest@127.0.0.1:{port}/%2f").as_str())
    })
    .await?;
    fails_saying(&services, &pipeline, &["broker", "RabbitMQ"]).await
}

#[tokio::test]
async fn another_number_of_partitions_is_refused() -> Result<()> {
    let (services, pipeline) = services().await?;
    pipeline.run().await?;
    services.amfj.clear_writes();
    let text = std::fs::read_to_string(&pipeline.config.path)?;
    // More queues than there are could be on their way, which takes the product five seconds to see.
    let patient = text.replace("connect_timeout = \"3s\"", "connect_timeout = \"10s\"");
    for partitions in ["1", "3"] {
        let wrong = pipeline.config.path.with_file_name("wrong.toml");
        std::fs::write(&wrong, patient.replace("partitions = 2", &format!("partitions = {partitions}")))?;
        let mut launch = Launch::new(Role::Fetcher, &wrong).args(["run", "--once"]);
        for (name, value) in &pipeline.config.environment {
            launch = launch.env(name, value);
        }
        let done = launch.finish(RUN_LIMIT).await?;
        ensure!(done.status.code() == Some(2), "{done:?}");
        ensure!(done.stderr.contains("set broker.partitions = 2"), "{}", done.stderr);
        ensure!(services.amfj.write_count() == 0);
    }
    Ok(())
}
