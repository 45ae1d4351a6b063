//! What each worker has done in a run, in numbers that add up, or say why they do not.

use std::collections::BTreeMap;

use amfj_sync_model::ids::Key;
use amfj_sync_model::messages::InventoryCounts;

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

/// Who came and who left: where both happen, the number of people alone says neither.
pub(super) fn came_and_left(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Option<String> {
    let only_in = |some: &BTreeMap<String, String>, others: &BTreeMap<String, String>| {
        let names = some.iter().filter(|(key, _)| !others.contains_key(*key)).map(|(_, name)| name.clone());
        names.collect::<Vec<_>>().join(", ")
    };
    let parts = [(only_in(after, before), "came"), (only_in(before, after), "left with their last device")];
    let parts = parts.iter().filter(|(names, _)| !names.is_empty());
    let parts: Vec<String> = parts.map(|(names, what)| format!("{names} {what}")).collect();
    (!parts.is_empty()).then(|| format!("people: {}", parts.join("; ")))
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
    let mut text =
        format!("{all} changes made ({devices} to devices, {people} to people) with {writes} writes to AMFJ");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_do_not_add_up_say_why() {
        let counts = InventoryCounts {
            devices: 300,
            users: 161,
            assets: 291,
            records: 142,
            ..InventoryCounts::default()
        };
        assert_eq!(read(&counts, 300), "300 devices, 161 people, 291 assets, 142 user records");
        assert!(read(&counts, 298).starts_with("300 devices (2 of them removed in Kandji), "));
        assert_eq!(decided(&counts, &Tally::default()), "461 devices and people decided, all as before");
        assert_eq!(made(&Tally::default(), 0), "nothing to do");
        let people = |keys: &[&str]| keys.iter().map(|key| ((*key).to_owned(), key.to_uppercase())).collect();
        assert_eq!(came_and_left(&people(&["a"]), &people(&["a"])), None);
        assert_eq!(
            came_and_left(&people(&["a", "b"]), &people(&["b", "c", "d"])).as_deref(),
            Some("people: C, D came; A left with their last device")
        );
    }
}
