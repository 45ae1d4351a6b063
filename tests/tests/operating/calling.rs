//! Calling the commands of a pipeline.

use std::time::Duration;

use amfj_sync_tests::harness::workers::Finished;
use amfj_sync_tests::pipeline::{Pipeline, Services, spec};
use amfj_sync_tests::sim::fleet::{Fleet, Site};
use amfj_sync_tests::sim::kandji::{NewDevice, NewOwner};
use anyhow::{Result, ensure};
use serde_json::Value;

const LIMIT: Duration = Duration::from_mins(2);

/// An empty tenant and an empty site.
pub(crate) async fn empty() -> Result<Services> {
    let mut fleet = Fleet::generate(spec(0, 1));
    (fleet.people, fleet.site) = (Vec::new(), Site::empty());
    Services::start(&fleet).await
}

/// Enrols a device, for somebody or nobody.
pub(crate) fn enrol(services: &Services, name: &str, owner: Option<(&str, &str)>) -> Result<String> {
    let owner = owner.map(|(name, email)| NewOwner {
        name: name.to_owned(),
        email: Some(email.to_owned()),
        ..NewOwner::default()
    });
    let new = NewDevice { name: name.to_owned(), owner, ..NewDevice::default() };
    Ok(services.kandji.add_device(new)?.device_id)
}

/// Calls a command to its end, however that is.
pub(crate) async fn call(pipeline: &Pipeline, arguments: &[&str]) -> Result<Finished> {
    pipeline.command(arguments).finish(LIMIT).await
}

/// What a command that must succeed prints.
pub(crate) async fn said(pipeline: &Pipeline, arguments: &[&str]) -> Result<String> {
    pipeline.said(arguments).await
}

/// The same as JSON.
pub(crate) async fn json_of(pipeline: &Pipeline, arguments: &[&str]) -> Result<Value> {
    pipeline.said_as_json(arguments).await
}

/// All of these words are in the text.
pub(crate) fn ensure_says(text: &str, words: &[&str]) -> Result<()> {
    for word in words {
        ensure!(text.contains(word), "{word:?} is missing in:\n{text}");
    }
    Ok(())
}
