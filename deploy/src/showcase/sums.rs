//! What each worker has done in a run, in numbers that add up, or say why they do not.

use amfj_sync_shared::ids::Key;
use amfj_sync_shared::messages::InventoryCounts;

use super::watching::Tally;

/// What the fetcher has read; of `with_details` devices the details too.
pub(super) fn read(counts: &InventoryCounts, with_details: usize) -> String {
    let InventoryCounts { devices, users, assets, records, .. } = counts;
    let without = usize::try_from(*devices).unwrap_or(0).saturating_sub(with_details);
    let aside = match without {
        0 => String::new(),
        1 => " (1 of them removed in Kandji)".to_owned(),
        some => format!(" ({some} of them removed in Kandji)"),
    };
    format!("{devices} devices{aside}, {users} people, {assets} assets, {records} user records")
}

/// What the reconciler has decided, and how much of it is new.
pub(super) fn decided(counts: &InventoryCounts, tally: &Tally) -> String {
    let all = format!("{} devices and people decided", counts.devices + counts.users);
    let devices = tally.decided.iter().filter(|key| matches!(key, Key::Device(_))).count();
    let people = tally.decided.len() - devices;
    match (devices, people) {
        (0, 0) => format!("{all}, all as before"),
        _ => format!("{all}, anew: {}", of_each(devices, people)),
    }
}

/// What the writer has made, and why that many writes were needed.
pub(super) fn made(tally: &Tally, writes: usize) -> String {
    if tally.outcomes.is_empty() {
        return "nothing to do".to_owned();
    }
    let with = |fits: fn(u32) -> bool| tally.outcomes.iter().filter(|one| fits(one.attempts)).count();
    let devices = tally.outcomes.iter().filter(|one| matches!(one.key, Key::Device(_))).count();
    let (all, people) = (tally.outcomes.len(), tally.outcomes.len() - devices);
    let mut text = format!("{all} changes made ({devices} to devices, {people} to people) with {writes} writes to AMFJ");
    let (none, several) = (with(|attempts| attempts == 0), with(|attempts| attempts > 1));
    let reasons = [
        (none, "links needed none, as AMFJ held it all"),
        (several, "took several: a check-in before the check-out, or values beside it"),
    ];
    let reasons = reasons.iter().filter(|(count, _)| *count > 0);
    let reasons: Vec<String> = reasons.map(|(count, why)| format!("{count} {why}")).collect();
    if !reasons.is_empty() {
        text.push_str(": ");
        text.push_str(&reasons.join("; "));
    }
    text
}

fn of_each(devices: usize, people: usize) -> String {
    let count = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        some => Some(format!("{some} {many}")),
    };
    let parts = [count(devices, "device", "devices"), count(people, "person", "people")];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}
