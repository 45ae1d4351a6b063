//! Who has an asset, when people act between two requests of a writer (P21).

use amfj_sync_tests::harness::{Role, eventually};
use amfj_sync_tests::pipeline::{Pipeline, RUN_LIMIT, Services, Workers};
use amfj_sync_tests::sim::faults::{Action, Rule};
use anyhow::{Context as _, Result, ensure};

use super::support::{a_while, decided, fetch, join, queued, sent};

/// AMFJ refuses a check-in for a moment, and in the pause before the next attempt a person checks the
/// asset out to somebody else: the repeat must not take it from them.
#[tokio::test]
async fn p21_a_check_in_that_is_tried_again_takes_the_asset_from_nobody_else() -> Result<()> {
    let services = Services::plain(6, 141).await?;
    let settings =
        services.integration("acme").set("sync.create_users", "all").set("sync.auto_checkout", true);
    let pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| {
        config.set("retry.initial", "3s").set("retry.max", "5s")
    })
    .await?;
    pipeline.run().await?;
    let device = services.owned_devices().into_iter().next().context("a device with an owner")?;
    let asset = services.amfj.assets_named(&device.device_name).pop().context("its asset")?.id;
    let colleague = services.amfj.add_user("Hand Made", Some("hand@example.com"), false)?;
    services.kandji.give_to(&device.device_id, "Next Owner", "next@example.com")?;
    services.amfj.clear_requests();
    let refuse =
        Rule::new(Action::Status { code: 503, body: None }).on("POST", "/assets/*/check-in").times(1);
    services.amfj.fault(refuse);
    let before = pipeline.runs_in_force().await?;
    let fetched = pipeline.fetch(&[]).await?;
    ensure!(fetched.status.success(), "{}", fetched.stderr);
    eventually(RUN_LIMIT, "the refused check-in", async || {
        ensure!(sent(&services, "POST", "/check-in") > 0);
        Ok(())
    })
    .await?;
    services.amfj.check_in(&asset)?;
    services.amfj.check_out(&asset, &colleague)?;
    pipeline.settle_after(&before).await?;
    a_while().await;
    let holder = services.amfj.asset(&asset).context("the asset")?.holder;
    ensure!(holder.as_ref() == Some(&colleague), "the check-out by hand was undone by a repeat: {holder:?}");
    Ok(())
}

/// A person sees that somebody was taken for somebody else, and unlinks them, while the check-out waits for a
/// writer: nothing is to be done about the device any more, so it is not made.
#[tokio::test]
async fn p21_a_queued_check_out_to_somebody_who_was_unlinked_meanwhile_is_not_made() -> Result<()> {
    let services = Services::plain(6, 142).await?;
    let settings = services
        .integration("acme")
        .set("sync.create_users", "all")
        .set("sync.auto_checkout", true)
        .set("sync.change_limit", "100%");
    let mut pipeline = Pipeline::with(Workers::default(), vec![("acme", settings)], |config| config).await?;
    let owned = services.owned_devices();
    let [first, second, ..] = &owned[..] else { anyhow::bail!("two devices with owners") };
    services.kandji.give_to(&first.device_id, "Next Owner", "next@example.com")?;
    pipeline.run().await?;
    let asset = services.amfj.assets_named(&second.device_name).pop().context("its asset")?;
    for writer in pipeline.writers.drain(..) {
        ensure!(writer.terminate().await?.success());
    }
    services.kandji.give_to(&second.device_id, "Next Owner", "next@example.com")?;
    fetch(&pipeline).await?;
    decided(&pipeline).await?;
    queued(&pipeline, 1).await?;
    let unlinked = pipeline.command(["unlink-user", "next@example.com"]).finish(RUN_LIMIT).await?;
    ensure!(unlinked.status.success(), "{}", unlinked.stderr);
    a_while().await;
    join(&mut pipeline, Role::Writer, |launch| launch).await?;
    pipeline.settle().await?;
    let holder = services.amfj.asset(&asset.id).context("the asset")?.holder;
    ensure!(holder.is_some() && holder == asset.holder, "{:?} had it, {holder:?} has it", asset.holder);
    Ok(())
}
