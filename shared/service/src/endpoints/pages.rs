//! What the pages of a worker show. They ask nobody who they are: whoever reaches the port may read them, and that may be
//! more people than may read the broker. So they say what fails, since when and what to do, in our own words: not what a
//! service said (it may be about a person), no secret, and nobody by name or email (docs/security.md).

use amfj_sync_security::screen::sanitize;
use amfj_sync_security::secrets::{outline, scrub};
use serde_json::{Map, Value};

/// Members that name somebody, or what belongs to them.
const ABOUT_PEOPLE: [&str; 5] = ["label", "name", "email", "serials", "serial"];
/// What stands for a person.
const SOMEBODY: &str = "…";

/// A line of a page.
pub(super) fn line(text: &str) -> String {
    sanitize(&without_emails(&outline(&scrub(text))))
}

/// A value of a page of JSON.
pub(super) fn value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(line(&text)),
        Value::Array(values) => Value::Array(values.into_iter().map(self::value).collect()),
        Value::Object(members) => Value::Object(object(members)),
        other => other,
    }
}

fn object(members: Map<String, Value>) -> Map<String, Value> {
    // What could not be used is told by kind; who or which it is, `amfj-sync status` tells.
    let is_unusable = members.contains_key("what") && members.contains_key("why");
    let is_hidden =
        |name: &str| ABOUT_PEOPLE.contains(&name) || (is_unusable && matches!(name, "id" | "why"));
    let shown = members.into_iter().filter(|(name, _)| !is_hidden(name)).map(|(name, member)| {
        let member = match member {
            Value::String(key) if name == "key" && key.starts_with("user/") => {
                Value::from(format!("user/{SOMEBODY}"))
            }
            other => value(other),
        };
        (name, member)
    });
    shown.collect()
}

/// A text in which addresses of people are left out.
fn without_emails(text: &str) -> String {
    if !text.contains('@') {
        return text.to_owned();
    }
    let is_border = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>' | '(' | ')' | ',' | ';' | '“' | '”' | '/')
    };
    text.split_inclusive(is_border)
        .map(|word| {
            let border = word.chars().next_back().filter(|c| is_border(*c));
            let bare = word.trim_end_matches(is_border);
            match bare.split_once('@') {
                Some((user, host)) if !user.is_empty() && host.contains('.') => {
                    format!("{SOMEBODY}{}", border.map(String::from).unwrap_or_default())
                }
                _ => word.to_owned(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_page_names_nobody_and_quotes_no_service() {
        let shown = value(json!({
            "trouble": { "stopped": 1, "records": [{
                "key": "user/sam@example.com", "label": "Sam Lee", "serials": ["C02"], "change": "update-user",
                "reason": "AMFJ, update user: answered 422 Unprocessable Entity “sam@example.com is Sam Lee”; look",
            }] },
            "record": { "key": "user/4711-of-sam" },
            "unusable": { "count": 1, "first": [{ "what": "user record", "id": "sam@example.com", "name": "Sam", "why": "Sam" }] },
            "worker": "writer/0b1c", "says": "user sam@example.com (kim@example.org), and me@home\u{1b}[1m",
        }));
        assert_eq!(
            shown,
            json!({
                "trouble": { "stopped": 1, "records": [{
                    "key": "user/…", "change": "update-user",
                    "reason": "AMFJ, update user: answered 422 Unprocessable Entity …; look",
                }] },
                "record": { "key": "user/…" },
                "unusable": { "count": 1, "first": [{ "what": "user record" }] },
                "worker": "writer/0b1c", "says": "user … (…), and me@home·[1m",
            })
        );
    }
}
