//! What is being found out about one key, until it is a decision.

use std::collections::BTreeMap;

use amfj_sync_model::ids::{AssetId, Key, RecordId, UserKey};
use amfj_sync_model::messages::{
    Action, Candidate, Change, Decision, DeviceEntry, DeviceStatus, Rule, Sequence,
};
use amfj_sync_projection::rows::Memory;

/// A decision and what it asks for: its changes have neither id nor place yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// What was found out; `changes` is empty.
    pub decision: Decision,
    /// What is to be done, in order.
    pub changes: Vec<Change>,
}

/// Who a decision is about, and what their changes are called.
#[derive(Debug)]
pub(super) struct Subject {
    pub(super) key: Key,
    pub(super) label: String,
    pub(super) serial: String,
    pub(super) serials: Vec<String>,
}

impl Subject {
    pub(super) fn device(device: &DeviceEntry) -> Self {
        Self {
            key: Key::Device(device.device_id.clone()),
            label: super::label(device).to_owned(),
            serial: device.serial.trim().to_owned(),
            serials: Vec::new(),
        }
    }
}

/// State, reason, problems and actions, collected while the rules are gone through.
#[derive(Debug)]
pub(super) struct Findings {
    state: DeviceStatus,
    reason: String,
    warnings: Vec<String>,
    actions: Vec<Action>,
    failed: Vec<String>,
    pub(super) asset: Option<AssetId>,
    pub(super) record: Option<RecordId>,
    pub(super) rule: Option<Rule>,
    pub(super) candidates: Vec<Candidate>,
    pub(super) field_problems: BTreeMap<String, String>,
    pub(super) awaits: Option<UserKey>,
    /// Whether the first sync lasts for the device (P5).
    pub(super) first_sync: bool,
    /// Whether the asset leaves somebody (P23).
    pub(super) takes: bool,
}

/// Which of two findings is the state that an operator sees.
fn gravity(state: DeviceStatus) -> u8 {
    match state {
        DeviceStatus::InSync => 0,
        DeviceStatus::Pending => 1,
        DeviceStatus::PlanOnly => 2,
        DeviceStatus::Unmatched
        | DeviceStatus::Ambiguous
        | DeviceStatus::Gone
        | DeviceStatus::Held
        | DeviceStatus::OutOfScope => 3,
        DeviceStatus::UserProblem => 4,
        DeviceStatus::FieldProblem => 5,
        DeviceStatus::Failed => 6,
    }
}

impl Findings {
    pub(super) fn new(state: DeviceStatus, reason: String) -> Self {
        Self {
            state,
            reason,
            warnings: Vec::new(),
            actions: Vec::new(),
            failed: Vec::new(),
            asset: None,
            record: None,
            rule: None,
            candidates: Vec::new(),
            field_problems: BTreeMap::new(),
            awaits: None,
            first_sync: false,
            takes: false,
        }
    }

    /// Adds a finding: the gravest one is the state, the other problems become warnings.
    pub(super) fn find(&mut self, state: DeviceStatus, reason: String) {
        let is_problem = |state: DeviceStatus| gravity(state) > gravity(DeviceStatus::PlanOnly);
        if gravity(state) > gravity(self.state) {
            let milder = std::mem::replace(&mut self.reason, reason);
            if is_problem(self.state) {
                self.warnings.push(milder);
            }
            self.state = state;
        } else if is_problem(state) {
            self.warnings.push(reason);
        } else if state == self.state && state == DeviceStatus::Pending {
            self.reason.push(' ');
            self.reason.push_str(&reason);
        }
    }

    /// Whether an assignment is asked for that takes the asset from this holder.
    pub(super) fn assigns_away_from(&self, holder: &RecordId) -> bool {
        let to_another = |action: &Action| matches!(action, Action::Assign { to, .. } if to.as_ref().is_none_or(|to| to.id != *holder));
        self.actions.iter().any(to_another)
    }

    /// Says something that an operator should know although nothing is wrong.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Asks for an action, unless the very same one failed for good (P15).
    pub(super) fn act(&mut self, memory: &Memory, action: Action, why: &str) {
        if let Some(failed) = memory.failed.get(action.kind()).filter(|failed| failed.action == action) {
            // The same words until then, so that the decision stays the same too.
            let until = match failed.asked_again_after() {
                Some(1) => "is tried again in the next run, when its values differ".to_owned(),
                Some(runs) => {
                    format!("is tried again {runs} runs after it failed last, when its values differ")
                }
                None => "is not tried again until its values differ".to_owned(),
            };
            let reason = format!(
                "{} The change ({}) {until} or the dead letter is replayed (`amfj-sync dead list`).",
                sentence(&failed.reason),
                action.kind()
            );
            self.failed.push(action.kind().to_owned());
            self.find(DeviceStatus::Failed, reason);
        } else {
            self.find(DeviceStatus::Pending, why.to_owned());
            self.actions.push(action);
        }
    }

    /// Sums the problems of the fields up in one sentence (P15).
    pub(super) fn find_field_problems(&mut self, problems: BTreeMap<String, String>) {
        let reason = match (problems.len(), problems.first_key_value()) {
            (0, _) | (_, None) => return,
            (1, Some((field, problem))) => format!("Field \"{field}\" is left out: {problem}"),
            (count, Some((field, problem))) => {
                let names: Vec<_> = problems.keys().map(|field| format!("\"{field}\"")).collect();
                format!("{count} fields are left out: {}; \"{field}\": {problem}", names.join(", "))
            }
        };
        self.find(DeviceStatus::FieldProblem, sentence(&reason));
        self.field_problems = problems;
    }

    pub(super) fn into_draft(self, subject: Subject, snapshot: Sequence) -> Draft {
        let Subject { key, label, serial, serials } = subject;
        let change = |action| Change {
            key: key.clone(),
            label: label.clone(),
            serial: serial.clone(),
            serials: serials.clone(),
            action,
        };
        let changes = self.actions.into_iter().map(change).collect();
        let decision = Decision {
            key,
            snapshot,
            // Known once its changes have their places.
            place: snapshot,
            state: self.state,
            reason: self.reason,
            asset: self.asset,
            record: self.record,
            rule: self.rule,
            candidates: self.candidates,
            field_problems: self.field_problems,
            warnings: self.warnings,
            failed: self.failed,
            awaits: self.awaits,
            first_sync: self.first_sync,
            takes: self.takes,
            waits_for_run: false,
            changes: Vec::new(),
        };
        Draft { decision, changes }
    }
}

/// Ends a text as sentences end.
pub(super) fn sentence(text: &str) -> String {
    let text = text.trim_end();
    if text.ends_with(['.', '!', '?']) { text.to_owned() } else { format!("{text}.") }
}
