//! x
use amfj_sync_shared::{
    config::Config,
    worker::{Exit, Shutdown},
};
/// x
pub async fn run(_c: &Config, _s: Shutdown, _j: bool) -> Result<(), Exit> {
    Ok(())
}
