//! Which asset a device is (P4 … P9).
//!
//! *Unlinked* always means without **effective** link: a link whose asset AMFJ no longer has counts
//! as none (P8). Every answer is symmetric: where two devices compete, both get the answer that each
//! would get if the other had been decided first.

mod names;
mod serials;

use amfj_sync_config::{CreateDevices, NameMatching};
use amfj_sync_model::amfj::Asset;
use amfj_sync_model::ids::{AssetId, DeviceId, Key};
use amfj_sync_model::messages::{Candidate, DeviceEntry, Rule};
use amfj_sync_model::names::NameKey;
use amfj_sync_projection::rows::{AssetRow, DeviceRow};
use amfj_sync_projection::{FirstSync, Projection};

use super::{Site, doubt, handle, label};

/// What a device is to AMFJ.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// It has an asset (P4).
    Linked {
        /// The asset, with what is known of its values.
        asset: Box<AssetRow>,
        /// The rule that made the link.
        rule: Rule,
    },
    /// It is this asset, and the link is to be made.
    Link {
        /// The asset.
        asset: Box<Asset>,
        /// Why this one.
        rule: Rule,
        /// The gone device that loses its link (P9).
        takes_over: Option<DeviceId>,
    },
    /// It has none, and one may be created (P7). What is missing for that is found while creating.
    Create,
    /// It has none.
    Unmatched {
        /// One sentence, with what to do.
        reason: String,
        /// What a person may want to link it to.
        candidates: Vec<Candidate>,
    },
    /// There is more than one possibility (P6).
    Ambiguous {
        /// One sentence, with what to do.
        reason: String,
        /// The possibilities.
        candidates: Vec<Candidate>,
    },
}

impl Resolution {
    fn unmatched(reason: String) -> Self {
        Self::Unmatched { reason, candidates: Vec::new() }
    }
}

/// The asset of a device whose link is effective, with the rule that made the link (P4, P8).
pub(super) fn linked_asset(view: &Projection, device: &DeviceId) -> Option<(AssetRow, Rule)> {
    let link = view.link(device)?;
    Some((view.asset(&link.asset)?, link.rule))
}

fn is_linked(view: &Projection, device: &DeviceId) -> bool {
    view.link(device).is_some_and(|link| view.asset(&link.asset).is_some())
}

/// Whether some device of the AMFJ site has this asset or will have it, in this or another integration (P4).
pub(super) fn is_taken(site: &Site<'_>, asset: &AssetId) -> bool {
    let has = |view: &Projection| view.linked_device(asset).is_some() || view.promised_to(asset).is_some();
    has(site.view) || site.siblings.iter().any(|sibling| has(sibling))
}

/// A device that a rule may link: listed, in scope, not removed, unlinked, and no person said no.
fn is_open(view: &Projection, row: &DeviceRow) -> bool {
    let device = &row.entry;
    row.is_listed()
        && device.in_scope
        && !device.removed
        && !is_linked(view, &device.device_id)
        && view.promised_asset(&device.device_id).is_none()
        && !view.is_unlinked_by_person(&device.device_id)
}

/// Resolves a device that the inventory in force lists.
#[must_use]
pub fn resolve(site: &Site<'_>, device: &DeviceEntry) -> Resolution {
    if let Some((asset, rule)) = linked_asset(site.view, &device.device_id) {
        return Resolution::Linked { asset: Box::new(asset), rule };
    }
    if let Some(reason) = closed(site, device) {
        return Resolution::unmatched(reason);
    }
    let others = serials::others_of_serial(site.view, device);
    serials::reenrolled(site.view, device, &others)
        .or_else(|| promised(site, device))
        .unwrap_or_else(|| serials::beside_twins(site, device, &others, by_name_or_new(site, device)))
}

/// A match by name that was decided and is not made yet stands, whatever device and asset are called
/// by now and whether or not names still count: it only takes long to be made (P4, P5).
fn promised(site: &Site<'_>, device: &DeviceEntry) -> Option<Resolution> {
    let (asset, rule) = site.view.promised_asset(&device.device_id)?;
    let row = site.view.asset(&asset).filter(|row| names::may_be(site, device, &row.asset))?;
    let has = |view: &Projection| view.linked_device(&asset).is_some();
    let taken = has(site.view) || site.siblings.iter().any(|sibling| has(sibling));
    (!taken).then(|| Resolution::Link { asset: Box::new(row.asset), rule, takes_over: None })
}

/// Whether the first sync goes on for this device: the run is one, or what one decided has not been carried out (P5).
fn is_in_first_sync(site: &Site<'_>, device: &DeviceEntry) -> bool {
    site.is_first_sync() || site.view.first_sync_of(&device.device_id) != FirstSync::Over
}

/// Whether the first sync goes on for this device after the decision that follows from `resolution`: it ends with the
/// link, and where nothing was decided in it, with the run (P5).
pub(super) fn first_sync_lasts(site: &Site<'_>, device: &DeviceEntry, resolution: &Resolution) -> bool {
    let lasts = || site.view.first_sync_of(&device.device_id) == FirstSync::Lasts;
    match resolution {
        Resolution::Linked { .. } => false,
        Resolution::Link { .. } | Resolution::Create => site.is_first_sync() || lasts(),
        Resolution::Unmatched { .. } | Resolution::Ambiguous { .. } => lasts(),
    }
}

/// Why no rule may link this device or create an asset for it.
fn closed(site: &Site<'_>, device: &DeviceEntry) -> Option<String> {
    let (label, handle) = (label(device), handle(device));
    if !device.in_scope {
        return Some(format!("\"{label}\" is not in the scope of this integration."));
    }
    if device.removed {
        return Some(format!("Kandji lists \"{label}\" as removed; it is neither linked nor created."));
    }
    site.view.is_unlinked_by_person(&device.device_id).then(|| {
        format!(
            "A person unlinked \"{label}\", so no rule links it again; `amfj-sync link \"{handle}\" \
             ASSET` does."
        )
    })
}

/// Matching by name (P5, P6), and what is left where that finds nothing (P7).
fn by_name_or_new(site: &Site<'_>, device: &DeviceEntry) -> Resolution {
    let name = NameKey::of(&device.name);
    let free = name.as_ref().map(|name| names::FreeAssets::of(site, device, name));
    let names_count =
        is_in_first_sync(site, device) || site.config.sync.name_matching == NameMatching::UntilLinked;
    let serial = site.view.telling_serial(device);
    let serial = serial.as_deref();
    match (name, free) {
        (Some(name), Some(free)) if names_count && free.has_candidate(serial) => {
            names::choose(site, device, &name, &free)
        }
        (_, free) => {
            let shown = |list: fn(&names::FreeAssets, Option<&str>) -> Vec<Candidate>| {
                free.as_ref().map_or_else(Vec::new, |free| list(free, serial))
            };
            let beside = Beside {
                same: shown(names::FreeAssets::candidates_shown),
                refused: shown(names::FreeAssets::refused_shown),
                near: shown(names::FreeAssets::near_shown),
            };
            without_match(site, device, beside)
        }
    }
}

/// What bears the name of a device that is matched with nothing, or nearly.
struct Beside {
    /// Free assets of the name that are not matched any more.
    same: Vec<Candidate>,
    /// Free assets of the name that another serial speaks against (P6).
    refused: Vec<Candidate>,
    /// Free assets of a near name (P6).
    near: Vec<Candidate>,
}

/// P7: nothing is created beside a free asset of the device's name, or of a near one, or beside any that holds its serial.
fn without_match(site: &Site<'_>, device: &DeviceEntry, beside: Beside) -> Resolution {
    let (label, handle) = (label(device), handle(device));
    let by_hand = |asset: &str| format!("`amfj-sync link \"{handle}\" {asset}`");
    let Beside { same, refused, near } = beside;
    if let Some(reason) = may_not_create(site, device, !refused.is_empty()) {
        let reason = match (same.first(), near.first()) {
            (Some(candidate), _) => format!(
                "An asset has the name of \"{label}\", but names are matched in the first sync only; link it \
                 with {}.",
                by_hand(&candidate.id)
            ),
            (None, Some(candidate)) => format!(
                "{reason} Asset \"{}\" has nearly its name, which is never matched; if it is this device, link it with \
                 {}.",
                candidate.name,
                by_hand(&candidate.id)
            ),
            (None, None) => format!("{reason} Link it with {}.", by_hand("ASSET")),
        };
        let candidates =
            [same, refused, near].into_iter().find(|shown| !shown.is_empty()).unwrap_or_default();
        return Resolution::Unmatched { reason, candidates };
    }
    if let Some(candidate) = same.first() {
        let reason = format!(
            "No asset is created for \"{label}\" while a free one has its name; link it with {}.",
            by_hand(&candidate.id)
        );
        return Resolution::Ambiguous { reason, candidates: same };
    }
    if let Some(candidate) = near.first() {
        let reason = format!(
            "No asset is created for \"{label}\" beside \"{}\", whose name differs in nothing but signs; if it is this \
             device, link it with {}, else rename one of them.",
            candidate.name,
            by_hand(&candidate.id)
        );
        return Resolution::Ambiguous { reason, candidates: near };
    }
    let candidates = serials::assets_of_serial(site, device);
    if let Some(candidate) = candidates.first() {
        let reason = format!(
            "No asset is created for \"{label}\" while one has its serial {}; link it with {}.",
            device.serial.trim(),
            by_hand(&candidate.id)
        );
        return Resolution::Ambiguous { reason, candidates };
    }
    if device.name.trim().is_empty() && site.view.telling_serial(device).is_none() {
        return Resolution::unmatched(format!(
            "Device {} has neither a name nor a serial number that says anything, so no asset is created; give it a name \
             in Kandji.",
            device.device_id
        ));
    }
    doubt::of_device(site, device).unwrap_or(Resolution::Create)
}

/// Why no asset may be created for this device, if none may (P7, P8).
fn may_not_create(site: &Site<'_>, device: &DeviceEntry, other_serials: bool) -> Option<String> {
    let label = label(device);
    let what = if NameKey::of(&device.name).is_none() {
        format!("Device {} has no name to be matched by", handle(device))
    } else if other_serials {
        format!("Whatever has the name of \"{label}\" in AMFJ holds another serial number")
    } else {
        format!("No free asset has the name of \"{label}\"")
    };
    match site.config.sync.create_devices {
        CreateDevices::Always => None,
        CreateDevices::Never => Some(format!("{what}, and create_devices is \"never\".")),
        CreateDevices::FirstSync if !is_in_first_sync(site, device) => {
            Some(format!("{what}, and assets are created in the first sync only."))
        }
        CreateDevices::FirstSync => has_lost_its_asset(site.view, device).then(|| {
            format!(
                "The asset of \"{label}\" was deleted in AMFJ and is created again only with \
                 create_devices = \"always\"."
            )
        }),
    }
}

/// Whether the device had a link that broke, be it answered already or not (P8).
fn has_lost_its_asset(view: &Projection, device: &DeviceEntry) -> bool {
    view.link(&device.device_id).is_some() || view.memory(&Key::Device(device.device_id.clone())).lost_link
}
