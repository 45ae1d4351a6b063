//! What happened in a campaign, counted.

use std::collections::BTreeMap;

use amfj_sync_failpoint::Failpoint;

use super::workers::Death;
use crate::harness::Role;

/// How often one fault was injected, and how often it really struck.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Row {
    /// Episodes with it.
    pub episodes: u64,
    /// Episodes with it that ended as they must.
    pub survived: u64,
    /// Requests spoiled, processes killed, and the like.
    pub struck: u64,
}

/// The counts.
#[derive(Debug, Default)]
pub struct Tally {
    /// By family and fault.
    pub faults: BTreeMap<(String, String), Row>,
    /// Deaths at failpoints, by `role failpoint`.
    pub reached: BTreeMap<String, u64>,
    /// Workers killed from outside.
    pub killed: u64,
    /// Workers that ended by themselves.
    pub exits: u64,
    /// Complete runs that were waited for.
    pub runs: u64,
    /// Writes that AMFJ carried out.
    pub writes: u64,
    /// Dead letters that were expected and found.
    pub dead_letters: u64,
}

impl Tally {
    pub(super) fn count_deaths(&mut self, deaths: &[(Role, Death)]) {
        for (role, death) in deaths {
            match death {
                Death::Failpoint(point) => *self.reached.entry(step(*role, point)).or_default() += 1,
                Death::Signal(_) => self.killed += 1,
                Death::Exit(_) => self.exits += 1,
            }
        }
    }

    /// Workers killed, at failpoints and from outside.
    #[must_use]
    pub fn kills(&self) -> u64 {
        self.killed + self.reached.values().sum::<u64>()
    }
}

/// A step of a role: those of following a state are in every role.
pub(super) fn step(role: Role, point: &str) -> String {
    if point.starts_with("state.") { format!("{point} ({})", role.name()) } else { point.to_owned() }
}

/// Every durable step of every role, with the failpoint behind it.
pub(super) fn all_steps() -> Vec<(Role, Failpoint, String)> {
    let mut steps = Vec::new();
    for point in Failpoint::ALL {
        for role in Role::ALL {
            let of_role = point.name().starts_with(&format!("{}.", role.name()));
            if of_role || point.name().starts_with("state.") {
                steps.push((role, *point, step(role, point.name())));
            }
        }
    }
    steps
}
