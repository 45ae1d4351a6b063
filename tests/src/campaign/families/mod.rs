//! Families of faults: what can break, grouped by what breaks.

mod amfj;
mod broker;
mod clients;
mod cluster;
mod kandji;
mod kills;
mod late;
mod machine;
mod oddities;
mod poison;
mod scaling;
mod services;
mod trimming;

use anyhow::Result;
use futures::future::LocalBoxFuture;
use rand::rngs::StdRng;

use super::Stage;

/// Every family. A new one needs a line here and nothing else elsewhere.
#[rustfmt::skip]
pub const ALL: &[&dyn Family] = &[
    &kills::Kills,
    &amfj::Amfj,
    &kandji::Kandji,
    &oddities::Oddities,
    &broker::Broker,
    &cluster::Cluster,
    &machine::Machine,
    &poison::Poison,
    &scaling::Scaling,
    &late::Late,
    &clients::Clients,
];

/// Faults of one kind.
pub trait Family: Sync {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// The names of its faults; each is a row of the table, and the campaign draws all of them in turn.
    fn faults(&self) -> Vec<String>;

    /// How many of its faults strike in one episode.
    fn at_once(&self) -> usize {
        1
    }

    /// Whether it takes part only where the broker is a cluster.
    fn needs_a_cluster(&self) -> bool {
        false
    }

    /// Whether a fault tolerates others beside it.
    fn goes_with_others(&self, _fault: &str) -> bool {
        true
    }

    /// The fault of that name, with numbers of its own. What depends on the content of the stage is
    /// looked at here, before the fleet changes.
    ///
    /// # Errors
    /// When there is no such fault.
    fn draw(&self, fault: &str, stage: &Stage, rng: &mut StdRng) -> Result<Box<dyn Fault>>;
}

/// One fault in one episode. Its three steps are called in order; afterwards everything must work again
/// by itself, or with what a service manager does.
pub trait Fault {
    /// What it does, with its numbers, for the story of the episode.
    fn tell(&self) -> String;

    /// Before the run of the episode is asked for.
    ///
    /// # Errors
    /// When the stage does not let itself be broken.
    fn before<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// After the run was asked for.
    ///
    /// # Errors
    /// When the stage does not let itself be broken.
    fn during<'a>(&'a mut self, _stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    /// Whether a write to AMFJ may have to be made again because of it, although it was carried out.
    fn may_repeat_writes(&self) -> bool {
        true
    }

    /// Ends the fault and says how often it struck.
    ///
    /// # Errors
    /// When something that must hold during the fault did not, or the stage does not let itself be mended.
    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>>;
}

/// How often a fault really happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Struck(pub u64);
