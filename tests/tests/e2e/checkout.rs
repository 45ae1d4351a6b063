//! P20, P21: who has an asset.

use amfj_sync_tests::model::Settings;
use amfj_sync_tests::sim::kandji::{Mutation, NewOwner};
use anyhow::{Result, ensure};

use crate::bench::Bench;

const ANA: (&str, &str) = ("Ana Horvat", "ana@example.com");
const BEN: (&str, &str) = ("Ben Okoro", "ben@example.com");

fn checking_out() -> Settings {
    Settings { auto_checkout: true, ..Settings::default() }
}

/// One device of Ana's, whose asset somebody else has; the records of Ana, Ben and that person.
struct Office {
    bench: Bench,
    device: String,
    asset: String,
    ana: String,
    ben: String,
    other: String,
}

impl Office {
    async fn open(settings: Settings) -> Result<Self> {
        let mut bench = Bench::new(settings).await?;
        let (device, asset) = bench.owned_pair("Shared", ANA)?;
        let (ana, ben) = (bench.record(ANA.0, ANA.1)?, bench.record(BEN.0, BEN.1)?);
        let other = bench.record("Other", "other@example.com")?;
        bench.services.amfj.check_out(&asset, &other)?;
        bench.start().await?;
        Ok(Self { bench, device, asset, ana, ben, other })
    }

    fn is_with(&self, user: Option<&String>) -> Result<()> {
        let holder = self.bench.holder(&self.asset);
        ensure!(holder.as_ref() == user, "{holder:?} has it instead of {user:?}");
        Ok(())
    }
}

#[tokio::test]
async fn p20_first_sight_takes_over_and_later_hands_are_left_alone() -> Result<()> {
    let office = Office::open(checking_out()).await?;
    office.bench.run().await?;
    office.is_with(Some(&office.ana))?;
    office.bench.services.amfj.check_out(&office.asset, &office.other)?;
    office.bench.run_writes_nothing("P21: a check-out by hand is left alone").await?;
    office.bench.services.amfj.check_in(&office.asset)?;
    office.bench.run_writes_nothing("P21: a check-in by hand is left alone").await
}

#[tokio::test]
async fn p20_keep_leaves_the_first_holder() -> Result<()> {
    let office = Office::open(Settings { keep_first_holder: true, ..checking_out() }).await?;
    office.bench.run_writes_nothing("first_assignment = keep").await?;
    office.is_with(Some(&office.other))?;
    office.bench.services.kandji.give_to(&office.device, BEN.0, BEN.1)?;
    office.bench.run().await?;
    office.is_with(Some(&office.ben))
}

#[tokio::test]
async fn p20_nothing_is_checked_out_to_archived_and_excepted_users() -> Result<()> {
    let settings = Settings { no_checkout_users: vec![" ANA@example.com".to_owned()], ..checking_out() };
    let office = Office::open(settings).await?;
    let (_, archived) = office.bench.owned_pair("Archived", BEN)?;
    let owner = NewOwner { email: Some(BEN.1.to_owned()), is_archived: true, ..NewOwner::default() };
    let device = "Archived".to_owned();
    office.bench.services.kandji.apply(Mutation::SetOwner { device, owner: Some(owner) })?;
    office.bench.run_writes_nothing("neither may have anything").await?;
    office.is_with(Some(&office.other))?;
    ensure!(office.bench.holder(&archived).is_none());
    Ok(())
}

#[tokio::test]
async fn p20_without_auto_checkout_nobody_gets_anything() -> Result<()> {
    let office = Office::open(Settings::default()).await?;
    office.bench.run_writes_nothing("auto_checkout is off").await?;
    office.is_with(Some(&office.other))
}

#[tokio::test]
async fn p21_a_new_primary_user_gets_it_from_whoever_has_it() -> Result<()> {
    let office = Office::open(checking_out()).await?;
    office.bench.run().await?;
    office.bench.services.amfj.check_out(&office.asset, &office.other)?;
    office.bench.services.kandji.give_to(&office.device, BEN.0, BEN.1)?;
    office.bench.run().await?;
    office.is_with(Some(&office.ben))?;
    // A new Kandji id of the same person is no change.
    office.bench.services.amfj.check_out(&office.asset, &office.other)?;
    let owner = NewOwner {
        name: BEN.0.to_owned(),
        email: Some("BEN@example.com".to_owned()),
        id: Some("11111111-0000-4000-8000-000000000001".into()),
        ..NewOwner::default()
    };
    let device = office.device.clone();
    office.bench.services.kandji.apply(Mutation::SetOwner { device, owner: Some(owner) })?;
    office.bench.run_writes_nothing("it is the same user record").await
}

#[tokio::test]
async fn p21_a_removed_primary_user_gives_it_back_if_still_the_holder() -> Result<()> {
    let office = Office::open(checking_out()).await?;
    office.bench.run().await?;
    office.bench.services.kandji.set_user(&office.device, None)?;
    office.bench.run().await?;
    office.is_with(None)?;
    office.bench.services.kandji.give_to(&office.device, ANA.0, ANA.1)?;
    office.bench.run().await?;
    office.is_with(Some(&office.ana))?;
    office.bench.services.amfj.check_out(&office.asset, &office.other)?;
    office.bench.services.kandji.set_user(&office.device, None)?;
    office.bench.run_writes_nothing("somebody else has it").await
}

#[tokio::test]
async fn p21_enforce_makes_the_holder_the_primary_user_in_every_run() -> Result<()> {
    let office = Office::open(Settings { enforce: true, ..checking_out() }).await?;
    office.bench.run().await?;
    office.is_with(Some(&office.ana))?;
    office.bench.services.amfj.check_out(&office.asset, &office.other)?;
    office.bench.run().await?;
    office.is_with(Some(&office.ana))?;
    office.bench.services.amfj.check_in(&office.asset)?;
    office.bench.run().await?;
    office.is_with(Some(&office.ana))?;
    office.bench.services.kandji.set_user(&office.device, None)?;
    office.bench.run().await?;
    office.is_with(None)?;
    office.bench.services.amfj.check_out(&office.asset, &office.other)?;
    office.bench.run().await?;
    office.is_with(None)?;
    office.bench.run_writes_nothing("all is as it should be").await
}

#[tokio::test]
async fn p21_a_new_user_without_record_changes_nothing_until_there_is_one() -> Result<()> {
    let settings = Settings { create_users: amfj_sync_tests::model::CreateUsers::Never, ..checking_out() };
    let office = Office::open(settings).await?;
    office.bench.run().await?;
    office.bench.services.kandji.give_to(&office.device, "Cleo", "cleo@example.com")?;
    office.bench.run_writes_nothing("there is no record of the new user").await?;
    office.is_with(Some(&office.ana))?;
    ensure!(office.bench.devices("user problem").await? == 1);
    let cleo = office.bench.record("Cleo", "cleo@example.com")?;
    office.bench.run().await?;
    office.is_with(Some(&cleo))
}

#[tokio::test]
async fn p22_gone_devices_are_checked_in_only_if_asked_for() -> Result<()> {
    let office = Office::open(Settings { check_in_gone: true, ..checking_out() }).await?;
    office.bench.pair("Stays")?;
    office.bench.pair("Stays too")?;
    office.bench.run().await?;
    office.bench.services.kandji.remove_device(&office.device)?;
    office.bench.run_writes_nothing("one run does not prove that it is gone").await?;
    office.bench.run().await?;
    office.is_with(None)?;
    ensure!(office.bench.devices("gone").await? == 1);
    ensure!(office.bench.services.amfj.assets().len() == 3, "assets are never deleted");
    Ok(())
}
