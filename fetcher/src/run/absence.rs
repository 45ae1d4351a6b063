//! Devices that a complete walk did not show, or shows as removed: what to ask, what to say (P22), and
//! when to hold the run instead (P23). Pure.

use amfj_sync_config::Percent;
use amfj_sync_model::messages::Absence;
use amfj_sync_projection::rows::DeviceRow;

#[cfg(test)]
mod tests;

/// Complete runs in a row after which a device may count as gone (P22).
const RUNS_UNTIL_GONE: u32 = 2;

/// Fewer devices than this may always vanish (P23).
const ALWAYS_ALLOWED: usize = 5;

/// What to do about a device that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Inquiry {
    /// Everything is known.
    Nothing,
    /// It is linked to nothing: that it is missing is all there is to say.
    SayMissing,
    /// Its details tell whether it is gone.
    Ask,
}

/// What to do about a known device that the walk did not show.
pub(crate) fn not_shown(row: &DeviceRow, linked: bool) -> Inquiry {
    match (&row.missing, linked) {
        (_, true) => ask_unless_gone(row),
        (None, false) => Inquiry::SayMissing,
        (Some(_), false) => Inquiry::Nothing,
    }
}

/// What to do about a linked device that the walk showed as removed.
pub(crate) fn shown_as_removed(known: Option<&DeviceRow>) -> Inquiry {
    known.map_or(Inquiry::Ask, ask_unless_gone)
}

/// A device that is gone for good is asked for no more: it would be listed if it came back.
fn ask_unless_gone(row: &DeviceRow) -> Inquiry {
    match &row.missing {
        Some(missing) if missing.runs >= RUNS_UNTIL_GONE && missing.absence == Absence::NotFound => {
            Inquiry::Nothing
        }
        _ => Inquiry::Ask,
    }
}

/// Whether an answer is worth a fact: it counts a run, or says something new.
pub(crate) fn is_news(known: Option<&DeviceRow>, answer: Absence) -> bool {
    known
        .and_then(|row| row.missing)
        .is_none_or(|missing| missing.runs < RUNS_UNTIL_GONE || missing.absence != answer)
}

/// How the linked devices stand in a walk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sight {
    /// Links.
    pub(crate) linked: usize,
    /// Linked devices that were not missing before.
    pub(crate) expected: usize,
    /// Of these, in the walk.
    pub(crate) seen: usize,
    /// Linked devices that were there before and are not now, or only as removed.
    pub(crate) vanished: usize,
}

impl Sight {
    /// Adds one linked device. `shown` is none where the walk did not show it, else whether it is
    /// listed as removed. Returns whether it has vanished.
    pub(crate) fn add(&mut self, known: Option<&DeviceRow>, shown: Option<bool>) -> bool {
        self.linked += 1;
        let Some(row) = known.filter(|row| row.is_listed()) else { return false };
        self.expected += 1;
        self.seen += usize::from(shown.is_some());
        let vanished = !row.entry.removed && shown != Some(false);
        self.vanished += usize::from(vanished);
        vanished
    }

    /// Why the run is to be held, as far as its leader can see (P23).
    pub(crate) fn reason_to_hold(&self, limit: Percent, id: &impl std::fmt::Display) -> Option<String> {
        let Self { linked, expected, seen, vanished } = *self;
        if seen * 2 < expected {
            return Some(format!(
                "only {seen} of {expected} linked devices are in Kandji's list, as if it were another tenant's: \
                 check kandji.api_url and kandji.token; if it is right, run `amfj-sync release {id}`"
            ));
        }
        (vanished > ALWAYS_ALLOWED && limit.is_exceeded(vanished, linked)).then(|| {
            format!(
                "{vanished} of {linked} linked devices vanished from Kandji at once, more than gone_limit \
                 ({limit}) allows: check Kandji; if it is right, run `amfj-sync release {id}`"
            )
        })
    }
}
