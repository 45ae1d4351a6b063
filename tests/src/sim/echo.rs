//! A service that shows a secret back, in every way in which services write text; and whoever looks for it, who undoes them.
//! Nothing of the product is used for either.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};

/// One way to write a secret into a text, by name.
pub type Way = (&'static str, fn(&str) -> String);

/// Every way: what stands in the body of an answer, between the quotes of a JSON text.
pub const WAYS: [Way; 24] = [
    ("JSON", within_json),
    ("JSON of PHP", |secret| within_json(secret).replace('/', "\\/")),
    ("JSON of Gson", |secret| {
        let text =
            within_json(secret).replace('=', "\\u003d").replace('<', "\\u003c").replace('&', "\\u0026");
        text.replace('+', "\\u002B").replace('\'', "\\u0027")
    }),
    ("small hexadecimal", |secret| each(secret, |c| format!("\\u{:04x}", u32::from(c)))),
    ("large hexadecimal", |secret| each(secret, |c| format!("\\u{:04X}", u32::from(c)))),
    ("JSON in JSON", |secret| within_json(&within_json(secret))),
    ("JSON in JSON in JSON", |secret| within_json(&within_json(&within_json(secret)))),
    ("an address", |secret| percent(secret, false)),
    ("an address in small letters", |secret| percent(secret, false).to_lowercase()),
    ("an address, all of it", |secret| percent(secret, true)),
    ("an address in an address", |secret| percent(&percent(secret, false), false)),
    ("HTML", |secret| within_json(&html(secret))),
    ("HTML, decimal", |secret| each(secret, |c| format!("&#{};", u32::from(c)))),
    ("HTML, hexadecimal", |secret| each(secret, |c| format!("&#x{:X};", u32::from(c)))),
    ("HTML in HTML", |secret| each(secret, |c| format!("&amp;#x{:x};", u32::from(c)))),
    ("base64", |secret| STANDARD.encode(secret)),
    ("base64 of PHP", |secret| STANDARD.encode(secret).replace('/', "\\/")),
    ("base64 for addresses", |secret| URL_SAFE.encode(secret)),
    ("base64 of user:token", |secret| STANDARD.encode(format!("sam@example.com:{secret}"))),
    ("hexadecimal", |secret| each(secret, |c| format!("{:02x}", u32::from(c)))),
    ("its first half", |secret| within_json(&secret[..secret.len() / 2])),
    ("its second half, in an address", |secret| percent(&secret[secret.len() / 2..], false)),
    ("two lines", |secret| format!("{}\\n    {}", within_json(&secret[..15]), within_json(&secret[15..]))),
    ("with Bearer", |secret| format!("Authorization: Bearer {}", within_json(secret))),
];

/// The body of a refusal in the contract's form that shows a secret back in this way; it blames `field`, if there is one.
#[must_use]
pub fn refusal((_, way): Way, secret: &str, field: Option<&str>) -> String {
    let mut body = format!(
        "{{\"error\":{{\"code\":\"invalid\",\"message\":\"what was sent with {} is wrong\"",
        way(secret)
    );
    if let Some(field) = field {
        let _ = write!(body, ",\"field\":{}", Value::from(field));
    }
    body + "}}"
}

fn within_json(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn percent(text: &str, all: bool) -> String {
    each(text, |c| {
        if all || !c.is_ascii_alphanumeric() { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
    })
}

fn each(text: &str, write: impl Fn(char) -> String) -> String {
    text.chars().map(write).collect()
}

/// Letters of a secret that nobody writes by chance.
const PIECE: usize = 12;

/// What of a secret can be read in a text by whoever undoes its escapes; none where nothing can.
#[must_use]
pub fn found_in(text: &str, secret: &str) -> Option<String> {
    // Small letters too: an address may be written in those alone.
    let needles: Vec<(String, String)> =
        needles(secret).into_iter().map(|needle| (needle.to_lowercase(), needle)).collect();
    let mut reading = text.to_owned();
    for _ in 0..5 {
        let squeezed: String = reading.chars().filter(|c| !c.is_whitespace()).collect();
        let squeezed = squeezed.to_lowercase();
        if let Some((_, needle)) = needles.iter().find(|(small, _)| squeezed.contains(small)) {
            return Some(needle.clone());
        }
        let next = undone(&reading);
        if next == reading {
            return None;
        }
        reading = next;
    }
    None
}

fn needles(secret: &str) -> Vec<String> {
    let mut texts = vec![secret.to_owned(), each(secret, |c| format!("{:02x}", u32::from(c)))];
    for before in ["", "x", "xx"] {
        let encoded = STANDARD.encode(format!("{before}{secret}"));
        // Without what depends on the neighbours.
        texts.push(encoded[4..encoded.len() - 4].to_owned());
        texts.push(encoded[4..encoded.len() - 4].replace('+', "-").replace('/', "_"));
    }
    let pieces = texts.iter().flat_map(|text| {
        let letters: Vec<char> = text.chars().collect();
        let length = if text == secret { PIECE } else { 2 * PIECE };
        letters
            .windows(length.min(letters.len()))
            .map(|piece| piece.iter().collect())
            .collect::<Vec<String>>()
    });
    pieces.collect()
}

/// One round of undoing.
fn undone(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '%', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (letter, length) = one(rest).unwrap_or((rest.chars().next().unwrap_or_default(), 1));
        out.push(letter);
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

fn one(rest: &str) -> Option<(char, usize)> {
    let hex = |digits: &str| char::from_u32(u32::from_str_radix(digits, 16).ok()?);
    if let Some(digits) = rest.strip_prefix("\\u") {
        return Some((hex(digits.get(..4)?)?, 6));
    }
    if let Some(escaped) = rest.strip_prefix('\\') {
        let letter = escaped.chars().next()?;
        let meant = if letter == 'n' { '\n' } else { letter };
        return Some((meant, 1 + letter.len_utf8()));
    }
    if let Some(digits) = rest.strip_prefix('%') {
        return Some((hex(digits.get(..2)?).filter(char::is_ascii)?, 3));
    }
    let (name, _) = rest.strip_prefix('&')?.split_once(';')?;
    let letter = match name {
        "amp" => '&',
        "lt" => '<',
        "quot" => '"',
        _ => match name.strip_prefix("#x") {
            Some(digits) => hex(digits)?,
            None => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
        },
    };
    Some((letter, name.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_looks_finds_the_secret_in_every_way_and_nowhere_else() {
        let secret = "Zk/9q+7Rw=T<4v&Xy\"s'P1~kDm0u:J-8Hn2";
        for way in WAYS {
            let body = refusal(way, secret, Some("Model"));
            assert!(serde_json::from_str::<Value>(&body).is_ok(), "{}: {body}", way.0);
            assert!(found_in(&body, secret).is_some(), "{}: {body}", way.0);
            let kept = serde_json::from_str::<Value>(&body).expect("JSON")["error"]["message"].to_string();
            assert!(found_in(&kept, secret).is_some(), "{}: {kept}", way.0);
        }
        assert_eq!(found_in("what was sent with *** is wrong, 100 % & more \\ %zz &x;", secret), None);
    }
}
