//! What both services have in common: rules of a simulator that hold for an episode.

use std::time::Duration;

use anyhow::Result;
use futures::future::LocalBoxFuture;

use super::{Fault, Struck};
use crate::campaign::Stage;
use crate::sim::Controls;
use crate::sim::faults::{Action, Rule, RuleId};

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Kandji,
    Amfj,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Kandji => "Kandji",
            Self::Amfj => "AMFJ",
        }
    }

    pub(super) fn controls(self, stage: &Stage) -> &Controls {
        match self {
            Self::Kandji => &stage.services.kandji,
            Self::Amfj => &stage.services.amfj,
        }
    }
}

/// The least and the most time that a fault of a service is left in force.
const LEAST: Duration = Duration::from_millis(700);

/// How long it is waited for the first request that is hit.
const PATIENCE: Duration = Duration::from_secs(6);

/// Requests are answered badly.
pub(super) struct Misbehaving {
    side: Side,
    name: &'static str,
    rules: Vec<Rule>,
    /// How long after the first hit it goes on.
    lasts: Duration,
    injected: Vec<RuleId>,
}

impl Fault for Misbehaving {
    fn tell(&self) -> String {
        format!("{}: {}, for {:?}", self.side.name(), self.name, self.lasts)
    }

    fn may_repeat_writes(&self) -> bool {
        matches!(self.side, Side::Amfj)
    }

    fn before<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let controls = self.side.controls(stage);
            self.injected = self.rules.iter().map(|rule| controls.fault(rule.clone())).collect();
            Ok(())
        })
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            stage.wait_until(PATIENCE, |stage| self.hits(stage) > 0).await;
            stage.pass(self.lasts.max(LEAST)).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            let controls = self.side.controls(stage);
            for rule in &self.injected {
                // One that was used up is gone already.
                controls.faults().remove(*rule);
            }
            controls.restore_token();
            Ok(Struck(self.hits(stage)))
        })
    }
}

impl Misbehaving {
    pub(super) fn new(side: Side, name: &'static str, rules: Vec<Rule>, lasts: Duration) -> Self {
        Self { side, name, rules, lasts, injected: Vec::new() }
    }

    /// Requests of this episode that one of the rules hit.
    fn hits(&self, stage: &Stage) -> u64 {
        let actions: Vec<String> = self.rules.iter().map(|rule| format!("{:?}", rule.action)).collect();
        let requests = self.side.controls(stage).requests();
        let hit =
            requests.iter().filter(|request| request.faults.iter().any(|fault| actions.contains(fault)));
        hit.count() as u64
    }
}

/// The service is not there at all.
pub(super) struct Offline {
    pub(super) side: Side,
    pub(super) lasts: Duration,
}

impl Fault for Offline {
    fn tell(&self) -> String {
        format!("{} is away for {:?}", self.side.name(), self.lasts)
    }

    fn may_repeat_writes(&self) -> bool {
        matches!(self.side, Side::Amfj)
    }

    fn during<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<()>> {
        Box::pin(async move {
            let side = self.side;
            let before = side.controls(stage).request_count();
            stage.wait_until(PATIENCE, |stage| side.controls(stage).request_count() > before).await;
            side.controls(stage).set_offline(true);
            stage.pass(self.lasts).await;
            Ok(())
        })
    }

    fn after<'a>(&'a mut self, stage: &'a mut Stage) -> LocalBoxFuture<'a, Result<Struck>> {
        Box::pin(async move {
            self.side.controls(stage).set_offline(false);
            Ok(Struck(1))
        })
    }
}

/// The token is revoked at the first such request, and refused until it is restored.
pub(super) fn revoking(methods: &[&str]) -> Vec<Rule> {
    methods.iter().map(|method| Rule::new(Action::RevokeToken).on(method, "*").times(1)).collect()
}
