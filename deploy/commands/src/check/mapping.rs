//! The mapped properties: whether they exist, and how many devices have a value (P18).

use amfj_sync_config::Integration;
use amfj_sync_model::mapping::{Mapping, PropertyPath, is_blank};
use amfj_sync_security::screen;
use serde_json::Value;

use super::kandji::Sample;
use super::report::Report;
use amfj_sync_fetcher::reading::Unproven;

/// Characters of an example value.
const EXAMPLE: usize = 40;

/// Properties whose value is another one at every check-in, by the end of their path.
const RESTLESS: [&str; 4] = ["last_check_in", "last_check_in_datetime", "time_since_boot", "percent_used"];

pub(super) fn check(integration: &Integration, sample: &Sample, report: &mut Report) {
    let mut unproven = Unproven::of(integration);
    sample.rows.iter().for_each(|row| unproven.see_row(row));
    sample.details.iter().for_each(|details| unproven.see_details(details));
    if sample.details.is_empty() {
        unproven.give_details_up();
    }
    if sample.rows.is_empty() {
        return;
    }
    // A property that only some devices have is not unknown: absence is concluded from all of them.
    let mut certain = unproven.clone();
    if sample.details.len() < sample.rows.len() || !sample.whole {
        certain.give_details_up();
    }
    if !sample.whole {
        certain.give_list_up();
    }
    let problems = certain.problems(integration);
    for problem in unproven.problems(integration).into_iter().filter(|problem| !problems.contains(problem)) {
        report.warning(
            format!("mapping: none of the devices that were looked at has it: {problem}"),
            "a run looks at all of them, and fails if none has it",
        );
    }
    for problem in problems {
        report.failed("mapping: a Kandji property", problem);
    }
    check_table("fields", &integration.fields, sample, &unproven, report);
    check_table("user_fields", &integration.user_fields, sample, &unproven, report);
}

fn check_table(table: &str, mapping: &Mapping, sample: &Sample, unproven: &Unproven, report: &mut Report) {
    for (field, mapped) in mapping.iter() {
        for path in mapped.source.properties() {
            if !unproven.has(&path) {
                report_property(&format!("mapping: {table}.\"{field}\" from {path}"), &path, sample, report);
            }
        }
    }
}

fn report_property(what: &str, path: &PropertyPath, sample: &Sample, report: &mut Report) {
    let objects = if path.is_details() { &sample.details } else { &sample.rows };
    if objects.is_empty() {
        return;
    }
    let filled =
        objects.iter().filter(|object| !is_blank(path.lookup(object).unwrap_or(&Value::Null))).count();
    let values = objects.iter().filter_map(|object| path.lookup(object)).filter(|value| !is_blank(value));
    let example = values.map(screen::value).next();
    let example =
        example.map(|value| format!(", for instance {}", short(&value, EXAMPLE))).unwrap_or_default();
    let line = format!("{what}: {filled} of {} devices have a value{example}", objects.len());
    if is_restless(path) {
        report.warning(
            line,
            "it changes all the time, so every run would write it for every device; leave it out",
        );
    } else if filled == 0 {
        report.warning(line, "no device of the sample has a value; check that this is the property you mean");
    } else {
        report.ok(line);
    }
}

/// An example is no more than a hint.
pub(crate) fn short(value: &str, most: usize) -> String {
    if value.chars().count() <= most {
        value.to_owned()
    } else {
        value.chars().take(most).chain(['…']).collect()
    }
}

/// Whether its value is another one at every check-in.
pub(crate) fn is_restless(path: &PropertyPath) -> bool {
    let text = path.to_string();
    RESTLESS
        .iter()
        .any(|name| text.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_change_at_every_check_in_are_warned_about() {
        for (path, restless) in [
            ("last_check_in", true),
            ("details.mdm.last_check_in", true),
            ("details.volumes[0].percent_used", true),
            ("serial_number", false),
            ("details.hardware_overview.memory", false),
        ] {
            assert_eq!(is_restless(&PropertyPath::parse(path).unwrap()), restless, "{path}");
        }
    }
}
