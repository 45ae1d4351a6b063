//! What is held, and why (P23): a run whose changes wait for a person, or one that was held before anything of it took
//! effect, because too many devices vanished.

use amfj_sync_config::{Integration, WhenGone};
use amfj_sync_model::ids::{DeviceId, Key};
use amfj_sync_projection::Projection;
use amfj_sync_projection::rows::RunRow;
use amfj_sync_rules as rules;
use jiff::Timestamp;
use serde::Serialize;

use super::Target;
use crate::format::{self, quoted};

/// Why an integration is held.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Hold {
    /// The run that is held.
    pub(crate) run: String,
    /// When it started.
    pub(crate) started: Timestamp,
    /// In the words of whoever held it.
    pub(crate) reason: String,
    /// Whether nothing of the run took effect: what it saw is known to nobody, but for the devices that it missed.
    pub(crate) before_publishing: bool,
}

impl Hold {
    /// The hold that stands now.
    pub(crate) fn of(config: &Integration, view: &Projection) -> Option<Self> {
        let meta = view.meta();
        let mut runs = [meta.latest.as_ref(), meta.in_force.as_ref()].into_iter().flatten();
        let held = |run: &RunRow| {
            let reason = run.held.clone()?;
            let before_publishing = run.counts.is_none();
            let run_id = run.run_id(&config.id).to_string();
            Some(Self { run: run_id, started: run.started.at, reason, before_publishing })
        };
        runs.find_map(held)
    }
}

/// A linked device that the held run does not see.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Vanished {
    /// `device/ID`.
    pub(crate) key: String,
    /// In Kandji, as listed last.
    pub(crate) name: String,
    pub(crate) serial: String,
    /// The asset that it is linked to.
    pub(crate) asset: Option<Target>,
    /// Who has that.
    pub(crate) holder: Option<String>,
    /// `"Ana's MacBook" (C02XK1)`.
    #[serde(skip)]
    pub(crate) label: String,
}

impl Vanished {
    /// All of them, by name.
    pub(crate) fn all(view: &Projection) -> Vec<Self> {
        let mut all: Vec<Self> = view.vanished_devices().iter().map(|id| Self::of(view, id)).collect();
        all.sort_by(|one, other| (&one.name, &one.key).cmp(&(&other.name, &other.key)));
        all
    }

    fn of(view: &Projection, id: &DeviceId) -> Self {
        let device = view.device(id).map(|row| row.entry);
        let link = view.link(id);
        let asset = link.as_ref().and_then(|link| view.asset(&link.asset)).map(|row| row.asset);
        Self {
            key: Key::Device(id.clone()).to_string(),
            name: device.as_ref().map(|device| rules::label(device).to_owned()).unwrap_or_default(),
            serial: device.as_ref().map(|device| device.serial.trim().to_owned()).unwrap_or_default(),
            label: device.as_ref().map_or_else(|| id.to_string(), format::device),
            holder: asset.as_ref().and_then(|asset| Some(asset.checked_out_to.as_ref()?.name.clone())),
            asset: link.map(|link| Target {
                id: Some(link.asset.to_string()),
                name: asset.map(|asset| asset.name).unwrap_or_default(),
            }),
        }
    }

    /// One line.
    pub(crate) fn line(&self) -> String {
        let holder = match &self.holder {
            Some(holder) => format!(", checked out to {}", quoted(holder)),
            None => String::new(),
        };
        let asset = match &self.asset {
            Some(Target { id: Some(id), name }) if name.trim() == self.name.trim() => format!(" → {id}"),
            Some(Target { id, name }) => {
                format!(" → asset {} ({})", quoted(name), id.as_deref().unwrap_or_default())
            }
            None => String::new(),
        };
        format!("{}{asset}{holder}", self.label)
    }
}

/// What becomes of devices that vanished, once the run is released.
pub(crate) fn fate(config: &Integration) -> &'static str {
    match config.sync.when_gone {
        WhenGone::Report => {
            "Released, the next run asks Kandji for each of them; what two runs miss is reported as gone, and its asset is \
             left as it is (P22)."
        }
        WhenGone::CheckIn => {
            "Released, the next run asks Kandji for each of them; of what two runs miss, the assets are checked in (P22)."
        }
    }
}
