//! One change of the plan: what people call it, who is concerned, and what becomes of it.

use amfj_sync_model::amfj::Holder;
use amfj_sync_model::ids::{AssetId, Key, RecordId};
use amfj_sync_model::messages::{Action, Change, DeviceStatus, PlannedChange, Rule};
use amfj_sync_projection::Projection;
use jiff::Timestamp;
use serde::Serialize;

use super::edits::{PlannedEdit, edits_of};
use crate::dry_run::is_new;
use crate::format::Serials;

/// One change that is to come.
#[derive(Debug, Serialize)]
pub(crate) struct ChangeRow {
    pub(crate) kind: &'static str,
    /// `device/ID` or `user/KEY`.
    pub(crate) key: String,
    pub(crate) label: String,
    pub(crate) serial: String,
    pub(crate) asset: Option<Target>,
    pub(crate) record: Option<Target>,
    pub(crate) rule: Option<Rule>,
    pub(crate) serials: Option<Serials>,
    pub(crate) takes_over: Option<String>,
    /// Values, by field; `Name`, `Location` and `Checked out to` included.
    pub(crate) edits: Vec<PlannedEdit>,
    /// Who has the asset now, for an assignment.
    pub(crate) from: Option<String>,
    /// Who gets it, for an assignment.
    pub(crate) to: Option<String>,
    /// Whether it is decided only after another change of this plan.
    pub(crate) follows: bool,
    /// When it was handed to the writers; none where it was not.
    pub(crate) published: Option<Timestamp>,
    /// Whether it is kept back with others of its run, until they are counted or released (P23).
    pub(crate) staged: bool,
    /// Why it is planned only, with `mode = "apply"`.
    pub(crate) withheld: Option<String>,
    /// The state of the device or person; none where another change of this plan comes before anything is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<DeviceStatus>,
}

#[derive(Debug, Clone, Serialize)]
pub(crate) struct Target {
    /// None where it does not exist yet.
    pub(crate) id: Option<String>,
    pub(crate) name: String,
}

impl ChangeRow {
    /// A change that was decided.
    pub(crate) fn decided(view: &Projection, decided: &PlannedChange) -> Self {
        let PlannedChange { published, staged, .. } = *decided;
        Self { published, staged, ..Self::of(view, view, &decided.change) }
    }

    /// `view` is how things are, `after` how they are once everything is done: names are looked up there.
    pub(crate) fn of(view: &Projection, after: &Projection, change: &Change) -> Self {
        let mut shown = Self {
            kind: change.action.kind(),
            key: change.key.to_string(),
            label: change.label.clone(),
            serial: change.serial.clone(),
            asset: change.action.asset().map(|id| asset_target(view, after, id)),
            record: change.action.record().map(|id| record_target(after, id)),
            rule: None,
            serials: None,
            takes_over: None,
            edits: edits_of(&change.action),
            from: None,
            to: None,
            follows: false,
            published: None,
            staged: false,
            withheld: None,
            state: None,
        };
        shown.describe(view, change);
        shown
    }

    pub(crate) fn is_to_be_made(&self) -> bool {
        self.withheld.is_none() && !self.staged
    }

    /// Whether the asset leaves somebody, or gets to somebody.
    pub(crate) fn is_assignment(&self) -> bool {
        matches!(self.kind, "check-out" | "hand-over" | "check-in")
    }

    fn describe(&mut self, view: &Projection, change: &Change) {
        match &change.action {
            Action::LinkAsset { asset, rule, takes_over, .. } => {
                self.rule = Some(*rule);
                self.takes_over = takes_over.as_ref().map(ToString::to_string);
                self.serials = serials(view, change, asset);
            }
            Action::CreateAsset { name, .. } => {
                self.rule = Some(Rule::Created);
                self.asset = Some(Target { id: None, name: name.clone() });
            }
            Action::Assign { expected, to, .. } => {
                let name = |holder: &Option<Holder>| holder.as_ref().map(|holder| holder.name.clone());
                (self.from, self.to) = (name(expected), name(to));
                self.kind = assignment(expected.as_ref(), to.as_ref());
            }
            Action::LinkUser { rule, .. } => self.rule = Some(*rule),
            Action::CreateUser { name, .. } => {
                self.rule = Some(Rule::Created);
                self.record = Some(Target { id: None, name: name.clone() });
            }
            Action::UpdateAsset { .. }
            | Action::BreakLink { .. }
            | Action::UpdateUser { .. }
            | Action::Restore { .. } => {}
        }
    }
}

/// The kind of an assignment, as people call it.
fn assignment(from: Option<&Holder>, to: Option<&Holder>) -> &'static str {
    match (from, to) {
        (from, to) if from.map(|holder| &holder.id) == to.map(|holder| &holder.id) => "note-holder",
        (None, _) => "check-out",
        (Some(_), Some(_)) => "hand-over",
        (Some(_), None) => "check-in",
    }
}

fn asset_target(view: &Projection, after: &Projection, id: &AssetId) -> Target {
    let row = view.asset(id).or_else(|| after.asset(id));
    let name = row.map(|row| row.asset.name).unwrap_or_default();
    Target { id: (!is_new(id.as_str())).then(|| id.to_string()), name }
}

fn record_target(after: &Projection, id: &RecordId) -> Target {
    let name = after.record(id).map(|row| row.record.name).unwrap_or_default();
    Target { id: (!is_new(id.as_str())).then(|| id.to_string()), name }
}

fn serials(view: &Projection, change: &Change, asset: &AssetId) -> Option<Serials> {
    let Key::Device(device) = &change.key else { return None };
    Some(Serials::of(view, &view.device(device)?.entry, &view.asset(asset)?.asset))
}
