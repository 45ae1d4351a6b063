//! A change that a newer decision overtakes after a writer has begun with it: it is not sent any more,
//! and what became of the attempt is found out.

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::amfj::Write;
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::support::{
    a_while, armed_writer, decided, email, everything, fetch, join, killed_at, queued, run_to_the_end, sent,
    stamp, tag, writes_by_asset,
};

const DEVICES: u32 = 3;

/// Everything is in step, and then the first round's values are decided and wait for a writer.
async fn first_round_queued(seed: u64) -> Result<(Services, Pipeline)> {
    let services = Services::plain(DEVICES as usize, seed).await?;
    let workers = Workers { reconcilers: 1, writers: 1 };
    let mut pipeline =
        Pipeline::with(workers, vec![("acme", everything(&services))], |config| config).await?;
    tag(&services, 0)?;
    run_to_the_end(&pipeline, &services).await?;
    ensure!(pipeline.writers.remove(0).terminate().await?.success());
    services.amfj.clear_requests();
    tag(&services, 1)?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, DEVICES).await?;
    Ok((services, pipeline))
}

/// A writer dies there with the first round's values, and the second round's are decided before another one comes.
async fn killed_in_the_first_round(failpoint: &str, seed: u64) -> Result<(Services, Pipeline)> {
    let (services, mut pipeline) = first_round_queued(seed).await?;
    let writer = armed_writer(&mut pipeline, &format!("{failpoint}=kill")).await?;
    killed_at(&mut pipeline, writer, failpoint).await?;
    tag(&services, 2)?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    Ok((services, pipeline))
}

fn notes(write: &Write) -> Value {
    write.body["fields"]["Notes"].clone()
}

#[tokio::test]
async fn what_was_announced_and_not_sent_is_not_sent_later() -> Result<()> {
    let (services, mut pipeline) = killed_in_the_first_round("writer.turn", 155).await?;
    ensure!(sent(&services, "PATCH", "") == 0, "it should have died before its first request");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    let writes = writes_by_asset(&services);
    ensure!(writes.len() == DEVICES as usize, "{writes:?}");
    for (asset, writes) in &writes {
        let notes: Vec<Value> = writes.iter().map(notes).collect();
        ensure!(notes == [json!(stamp(2))], "{asset} got {notes:?}");
    }
    Ok(())
}

/// While the first round waits for a writer, Kandji gets the values of another: its inventory is in force, and its
/// snapshots wait, when a reconciler comes that first looks at what is open. Answers what each asset got then.
async fn newcomer_before_the_snapshots(after: u32, seed: u64) -> Result<Vec<Vec<Value>>> {
    let (services, mut pipeline) = first_round_queued(seed).await?;
    ensure!(pipeline.reconcilers.remove(0).terminate().await?.success());
    tag(&services, after)?;
    fetch(&pipeline).await?;
    join(&mut pipeline, Role::Reconciler, |launch| launch).await?;
    decided(&pipeline).await?;
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    Ok(writes_by_asset(&services).into_values().map(|writes| writes.iter().map(notes).collect()).collect())
}

#[tokio::test]
async fn what_a_newcomer_decides_before_the_snapshots_overtakes_older_runs() -> Result<()> {
    let written = newcomer_before_the_snapshots(2, 159).await?;
    ensure!(written == vec![vec![json!(stamp(2))]; DEVICES as usize], "{written:?}");
    Ok(())
}

/// Nothing is to be done any more, which a decision says by asking for nothing.
#[tokio::test]
async fn what_is_back_to_what_it_was_before_the_newcomer_is_not_written() -> Result<()> {
    let written = newcomer_before_the_snapshots(0, 160).await?;
    ensure!(written.is_empty(), "{written:?}");
    Ok(())
}

#[tokio::test]
async fn p26_what_was_carried_out_is_found_out_and_is_in_the_history() -> Result<()> {
    let (services, mut pipeline) = killed_in_the_first_round("writer.answered", 156).await?;
    let first = services.amfj.writes();
    let assets: Vec<String> =
        first.iter().filter_map(|write| write.result["id"].as_str().map(str::to_owned)).collect();
    ensure!(!assets.is_empty(), "it should have died after a write");
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    for (asset, writes) in writes_by_asset(&services) {
        let notes: Vec<Value> = writes.iter().map(notes).collect();
        let both = [json!(stamp(1)), json!(stamp(2))];
        let expected = if assets.contains(&asset) { &both[..] } else { &both[1..] };
        ensure!(notes == expected, "{asset} got {notes:?}");
    }
    let said = pipeline.command(["history", "--json"]).finish(RUN_LIMIT).await?.stdout;
    let history: Value = serde_json::from_str(&said).context(said.clone())?;
    for asset in &assets {
        let own = history.as_array().context("a list")?.iter().filter(|one| one["asset"] == json!(asset));
        let edits: Vec<&Value> = own.filter_map(|one| one.pointer("/edits/Notes/new")).collect();
        let tail = edits.get(edits.len().saturating_sub(2)..).unwrap_or_default();
        ensure!(tail == [&json!(stamp(1)), &json!(stamp(2))], "{asset} has the history {said}");
    }
    Ok(())
}

/// The first round under way and refused by AMFJ again and again, and then the second round decided: as
/// soon as that is known the first is not tried any more. Answers how many handovers there were before.
async fn overtaken_while_refused(
    refused: &[(&str, &str)],
    change: impl Fn(&Services, u32) -> Result<()>,
    seed: u64,
) -> Result<(Services, usize)> {
    let services = Services::plain(2, seed).await?;
    let workers = Workers { reconcilers: 1, writers: 1 };
    let pipeline = Pipeline::with(workers, vec![("acme", everything(&services))], |config| config).await?;
    run_to_the_end(&pipeline, &services).await?;
    services.amfj.clear_requests();
    for (method, path) in refused {
        services.amfj.fault(Rule::new(Action::Status { code: 503, body: None }).on(method, path));
    }
    let handed_over = services.amfj.handovers().len();
    change(&services, 1)?;
    fetch(&pipeline).await?;
    eventually(RUN_LIMIT, "attempts at everything", async || {
        let tried =
            |(method, path): &(&str, &str)| sent(&services, method, path.trim_start_matches("/assets/*"));
        let tried: usize = refused.iter().map(tried).sum();
        ensure!(tried >= 6, "{tried} so far");
        Ok(())
    })
    .await?;
    change(&services, 2)?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    a_while().await;
    services.amfj.faults().clear();
    pipeline.settle().await?;
    ensure!(!services.amfj.writes().is_empty(), "nothing was written");
    Ok((services, handed_over))
}

#[tokio::test]
async fn values_that_go_out_of_date_between_two_attempts_are_not_tried_again() -> Result<()> {
    let (services, _) = overtaken_while_refused(&[("PATCH", "/assets/*")], tag, 157).await?;
    let old: Vec<Write> =
        services.amfj.writes().into_iter().filter(|write| notes(write) == json!(stamp(1))).collect();
    ensure!(old.is_empty(), "values that were out of date: {old:?}");
    for asset in services.amfj.assets() {
        ensure!(asset.fields.get("Notes") == Some(&json!(stamp(2))), "{asset:?}");
    }
    Ok(())
}

#[tokio::test]
async fn p21_an_owner_who_goes_out_of_date_between_two_attempts_never_gets_the_asset() -> Result<()> {
    let give = |services: &Services, round: u32| {
        let devices = services.kandji.devices();
        devices.iter().try_for_each(|device| {
            services.kandji.give_to(&device.device_id, &stamp(round), &email(round)).map(drop)
        })
    };
    let refused = [("POST", "/assets/*/check-in"), ("POST", "/assets/*/check-out")];
    let (services, handed_over) = overtaken_while_refused(&refused, give, 158).await?;
    let email_of = |id: &String| services.amfj.user(id).and_then(|user| user.email);
    for handover in services.amfj.handovers().into_iter().skip(handed_over) {
        let to = handover.to.as_ref().and_then(email_of);
        ensure!(to.as_deref() != Some(&email(1)), "an owner who was out of date: {handover:?}");
    }
    for asset in services.amfj.assets() {
        let holder = asset.holder.as_ref().and_then(email_of);
        ensure!(holder.as_deref() == Some(&email(2)), "{} was left with {holder:?}", asset.name);
    }
    Ok(())
}
