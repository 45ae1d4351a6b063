//! What is right where a service was odd, or a person has to decide first.

use serde_json::Value;

use super::{KandjiContent, Model, Prediction, Settings};
use crate::sim::amfj::KeptOtherwise;
use crate::sim::fleet::{Site, SiteAsset};

/// Values that AMFJ took and keeps in a form of its own, or not at all. Sending them again changes nothing, so they
/// may be there in either form (P15).
#[derive(Debug, Clone, Default)]
pub(super) struct Otherwise(Vec<KeptOtherwise>);

impl Otherwise {
    /// The expected asset with the values that it holds in AMFJ's own form.
    pub(super) fn as_kept(&self, expected: &SiteAsset, held: &SiteAsset) -> SiteAsset {
        let mut kept = expected.clone();
        for one in self.0.iter().filter(|one| one.record == held.id) {
            let wanted = expected.fields.get(&one.field).unwrap_or(&Value::Null);
            if *wanted != one.sent || held.fields.get(&one.field) != one.kept.as_ref() {
                continue;
            }
            match &one.kept {
                Some(value) => kept.fields.insert(one.field.clone(), value.clone()),
                None => kept.fields.remove(&one.field),
            };
        }
        kept
    }
}

impl Model {
    /// AMFJ has taken these values and keeps them otherwise (P15).
    pub fn keeps_otherwise(&mut self, values: impl IntoIterator<Item = KeptOtherwise>) {
        self.otherwise.0.extend(values);
    }

    /// A complete run that is held: not one write comes of it (P23), and what it saw is remembered all the same.
    pub fn held_run(&mut self, settings: &Settings, content: &KandjiContent, site: &Site) -> Prediction {
        let run = self.begin(settings, content, site);
        let resolutions = self.resolve(&run);
        Prediction { classes: self.classes(&run, &resolutions), site: run.site }
    }

    /// A link or creation that was decided for this device was refused, lost or held: its first sync goes on (P5).
    pub fn was_not_carried_out(&mut self, device: &str) {
        self.links.remove(device);
        self.settled.remove(device);
        self.unfinished.insert(device.to_owned());
    }
}
