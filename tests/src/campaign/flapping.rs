//! Whether a value was written to and fro: the mark of two workers, or two decisions, at odds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::sim::amfj::Write;
use crate::sim::fleet::Site;

/// The values that each field of each asset took, the one before the first write included, without
/// repeats that follow each other.
fn courses(before: &Site, writes: &[Write]) -> BTreeMap<(String, String), Vec<Value>> {
    let mut courses: BTreeMap<(String, String), Vec<Value>> = BTreeMap::new();
    for asset in &before.assets {
        let mut start = |field: &str, value: Value| {
            courses.insert((asset.id.clone(), field.to_owned()), vec![value]);
        };
        start("name", asset.name.clone().into());
        start("holder", asset.holder.clone().into());
        for (field, value) in &asset.fields {
            start(field, value.clone());
        }
    }
    for write in writes.iter().filter(|write| write.path.contains("/assets")) {
        let Some(id) = write.result["id"].as_str() else { continue };
        let mut take = |field: &str, value: Value| {
            let course = courses.entry((id.to_owned(), field.to_owned())).or_default();
            if course.last() != Some(&value) {
                course.push(value);
            }
        };
        take("name", write.result["name"].clone());
        take("holder", write.result["checked_out_to"]["id"].clone());
        for (field, value) in write.result["fields"].as_object().into_iter().flatten() {
            take(field, value.clone());
        }
    }
    courses
}

/// One sentence for each value that was written, replaced, and written again. Whose device left may be checked in at
/// the end, whoever had it meanwhile.
pub(super) fn find(before: &Site, writes: &[Write], left: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for ((asset, field), mut course) in courses(before, writes) {
        if field == "holder" && left.contains(&asset) && course.last() == Some(&Value::Null) {
            course.pop();
        }
        let returns = (0..course.len()).any(|at| course[at + 1..].contains(&course[at]));
        if returns {
            let values: Vec<String> = course.iter().map(Value::to_string).collect();
            found.push(format!("{field} of asset {asset} went {}", values.join(" → ")));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn write(os: &str) -> Write {
        Write {
            time: Timestamp::UNIX_EPOCH,
            method: "PATCH".to_owned(),
            path: "/v1/assets/7".to_owned(),
            body: json!({}),
            result: json!({ "id": "7", "name": "Mac", "checked_out_to": null, "fields": { "OS": os } }),
        }
    }

    #[test]
    fn a_value_that_comes_back_is_found_and_a_repeat_is_not() {
        let site = Site::default();
        let left = BTreeSet::new();
        assert!(find(&site, &[write("1"), write("1"), write("2")], &left).is_empty());
        let found = find(&site, &[write("1"), write("2"), write("1")], &left);
        assert_eq!(found, ["OS of asset 7 went \"1\" → \"2\" → \"1\""]);
    }

    #[test]
    fn the_last_check_in_of_what_left_is_no_return() {
        let held = |holder: Value| Write {
            result: json!({ "id": "7", "name": "Mac", "checked_out_to": { "id": holder }, "fields": {} }),
            ..write("1")
        };
        let (there, gone) = (BTreeSet::new(), BTreeSet::from(["7".to_owned()]));
        let course = [held(Value::Null), held(json!("user-1")), held(Value::Null)];
        assert_eq!(find(&Site::default(), &course, &there).len(), 1);
        assert!(find(&Site::default(), &course, &gone).is_empty());
        let again = [&course[..], &[held(json!("user-1")), held(Value::Null)]].concat();
        assert_eq!(find(&Site::default(), &again, &gone).len(), 1, "checked out twice");
    }
}
