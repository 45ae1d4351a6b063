//! What happens in the fleet while one looks: changes in Kandji, and what they must lead to in AMFJ.

use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::{AssetId, DeviceId, Key};
use amfj_sync_model::messages::{Decision, DeviceStatus, Outcome};
use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::settings::{OS_VERSION, OWNER_EMAIL};
use super::simulation::Simulation;
use super::watching::{Tally, Watching};

/// Somebody who is new in the company.
const NEWCOMER: (&str, &str) = ("Dana Reyes", "dana.reyes@example.com");

/// How many changes there are: five in Kandji, and a new device for which an asset was entered in AMFJ.
pub(super) const COUNT: usize = 6;

/// One change in Kandji.
#[derive(Debug)]
pub(super) struct Change {
    /// What a person would say.
    pub(super) title: &'static str,
    /// The name of the device.
    pub(super) label: String,
    device: DeviceId,
    wants: Vec<Want>,
}

/// What AMFJ must show in the end.
#[derive(Debug, Clone, PartialEq)]
enum Want {
    Name(String),
    Field(&'static str, String),
    Holder(Option<&'static str>),
    /// Nothing may be created, and the device must be reported.
    Unmatched,
}

/// A device that is in step, and its asset.
#[derive(Debug, Clone)]
struct InStep {
    device: DeviceId,
    name: String,
    platform: String,
    asset: Asset,
}

/// Picks devices that are in step, makes the changes, and says what they must lead to.
pub(super) async fn make(watching: &Watching, simulation: &Simulation) -> Result<Vec<Change>> {
    let mut fleet = in_step(watching);
    let mut take = |why: &str, fits: &dyn Fn(&InStep) -> bool| {
        let position = fleet.iter().position(fits);
        position.map(|position| fleet.remove(position)).with_context(|| {
            format!("the fleet is too small: no device {why} is in step; try more --devices")
        })
    };
    let is_laptop = |one: &InStep| one.platform == "Mac" && one.asset.asset_type.name == "Laptop";
    let is_out = |one: &InStep| one.asset.checked_out_to.is_some();
    let given = take("that is checked out", &|one| is_laptop(one) && is_out(one) && one.reads_well())
        .or_else(|_| take("that is checked out", &|one| is_laptop(one) && is_out(one)))?;
    let returned = take("that is checked out", &|one| is_out(one))?;
    let renamed = take("to rename", &|_| true)?;
    let updated = take("to update", &is_laptop)?;

    let (name, email) = NEWCOMER;
    let owner = json!({ "name": name, "email": email });
    let kandji = &simulation.kandji;
    let mut changes = Vec::new();
    kandji.mutate(&json!({ "op": "set_owner", "device": given.device, "owner": owner })).await?;
    let wants = vec![Want::Holder(Some(name)), Want::Field(OWNER_EMAIL, email.to_owned())];
    changes.push(Change::of("a new owner", given, wants));

    kandji.mutate(&json!({ "op": "set_owner", "device": returned.device, "owner": null })).await?;
    changes.push(Change::of("no owner any more", returned, vec![Want::Holder(None)]));

    let new_name = format!("Reception {}", renamed.platform);
    kandji.mutate(&json!({ "op": "rename_device", "device": renamed.device, "name": new_name })).await?;
    changes.push(Change::of("another name", renamed, vec![Want::Name(new_name)]));

    let (property, version) = ("os_version", "26.1");
    let set =
        json!({ "op": "set_property", "device": updated.device, "property": property, "value": version });
    kandji.mutate(&set).await?;
    changes.push(Change::of(
        "an update of macOS",
        updated,
        vec![Want::Field(OS_VERSION, version.to_owned())],
    ));

    let entered = "Front Desk iPad";
    let asset = json!({ "op": "add_asset", "name": entered, "asset_type": "Tablet" });
    simulation.amfj.mutate(&asset).await?;
    let wants = vec![Want::Holder(Some(name)), Want::Field(OS_VERSION, "15.4".to_owned())];
    changes.push(enrol(simulation, "a new device, its asset entered by hand", entered, wants).await?);
    let wants = vec![Want::Unmatched];
    changes.push(enrol(simulation, "a new device without an asset", "Loan Pool iPad 12", wants).await?);
    ensure!(changes.len() == COUNT, "{} changes were made, and {COUNT} announced", changes.len());
    Ok(changes)
}

/// A new iPad for the newcomer.
async fn enrol(
    simulation: &Simulation,
    title: &'static str,
    label: &str,
    wants: Vec<Want>,
) -> Result<Change> {
    let (name, email) = NEWCOMER;
    let device = json!({
        "op": "add_device", "name": label, "platform": "iPad", "model": "iPad (10th generation)",
        "owner": { "name": name, "email": email },
    });
    let enrolled = simulation.kandji.mutate(&device).await?;
    let device = DeviceId::new(enrolled["device_id"].as_str().unwrap_or_default())?;
    Ok(Change { title, label: label.to_owned(), device, wants })
}

fn in_step(watching: &Watching) -> Vec<InStep> {
    let decisions = watching.decisions();
    watching.look(|view| {
        let in_step = decisions.iter().filter(|decision| decision.state == DeviceStatus::InSync);
        in_step
            .filter_map(|decision| {
                let Key::Device(device) = &decision.key else { return None };
                let entry = view.device(device)?.entry;
                let asset = view.asset(&view.link(device)?.asset)?.asset;
                Some(InStep { device: device.clone(), name: entry.name, platform: entry.platform, asset })
            })
            .collect()
    })
}

impl InStep {
    /// Whether the email shows whom the asset is checked out to. The fleet has people whose does not.
    fn reads_well(&self) -> bool {
        let holder = self.asset.checked_out_to.as_ref().map(|holder| holder.name.to_lowercase());
        let family = holder.as_deref().and_then(|name| name.split(' ').next_back()).unwrap_or_default();
        let email = self.asset.fields.get(OWNER_EMAIL).and_then(Value::as_str).unwrap_or_default();
        email.contains(family)
    }
}

impl Change {
    fn of(title: &'static str, one: InStep, wants: Vec<Want>) -> Self {
        Self { title, label: one.name, device: one.device, wants }
    }

    /// The asset of the device, if it is linked.
    pub(super) fn asset(&self, watching: &Watching) -> Option<AssetId> {
        watching.look(|view| view.link(&self.device).map(|link| link.asset))
    }

    /// What was decided about the device last.
    pub(super) fn decision(&self, watching: &Watching) -> Option<Decision> {
        watching.look(|view| view.decision(&Key::Device(self.device.clone())))
    }

    /// What was changed, value by value: field, old, new.
    pub(super) fn edits(&self, tally: &Tally) -> Vec<(String, String, String)> {
        let own = |outcome: &&Outcome| outcome.key == Key::Device(self.device.clone());
        let edits = tally.outcomes.iter().filter(own).flat_map(|outcome| &outcome.edits);
        edits.map(|(field, edit)| (field.clone(), shown(&edit.old), shown(&edit.new))).collect()
    }

    /// What AMFJ does not show although it should, one sentence each.
    pub(super) fn unmet(&self, watching: &Watching, amfj: &Value) -> Vec<String> {
        let assets = amfj["assets"].as_array().map_or(&[][..], Vec::as_slice);
        let asset = self
            .asset(watching)
            .and_then(|id| assets.iter().find(|asset| asset["id"].as_str() == Some(id.as_str())));
        let state = self.decision(watching).map(|decision| decision.state);
        let complaints = self.wants.iter().filter_map(|want| match (want, asset) {
            (Want::Unmatched, None) if state == Some(DeviceStatus::Unmatched) => None,
            (Want::Unmatched, None) => Some(format!("it is {state:?} and not reported as unmatched")),
            (Want::Unmatched, Some(asset)) => Some(format!("it got the asset {}", asset["id"])),
            (_, None) => Some(format!("it has no asset (it is {state:?})")),
            (want, Some(asset)) => want.unmet_by(asset),
        });
        complaints.map(|what| format!("{}: \"{}\": {what}", self.title, self.label)).collect()
    }
}

impl Want {
    fn unmet_by(&self, asset: &Value) -> Option<String> {
        let (what, wanted, found) = match self {
            Self::Name(name) => ("Name", json!(name), &asset["name"]),
            Self::Field(field, value) => (*field, json!(value), &asset["fields"][*field]),
            Self::Holder(holder) => (Outcome::HOLDER, json!(holder), &asset["checked_out_to"]["name"]),
            Self::Unmatched => return None,
        };
        (*found != wanted).then(|| format!("{what} is {found} in AMFJ and not {wanted}"))
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "(empty)".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(members) => members.get("name").map_or_else(|| value.to_string(), shown),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_an_asset_does_not_show() {
        let asset = json!({
            "name": "Reception Mac", "fields": { "OS Version": "15.4" }, "checked_out_to": null,
        });
        let table = [
            (Want::Name("Reception Mac".into()), None),
            (Want::Field("OS Version", "15.4".into()), None),
            (Want::Holder(None), None),
            (Want::Name("Mac".into()), Some("Name is \"Reception Mac\" in AMFJ and not \"Mac\"")),
            (Want::Field("Memory", "8 GB".into()), Some("Memory is null in AMFJ and not \"8 GB\"")),
            (Want::Holder(Some("Dana")), Some("Checked out to is null in AMFJ and not \"Dana\"")),
        ];
        for (want, complaint) in table {
            assert_eq!(want.unmet_by(&asset).as_deref(), complaint, "{want:?}");
        }
    }
}
