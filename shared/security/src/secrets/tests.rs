//! A hundred ways in which a secret comes back, and none in which it stays readable (P27).

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;
use serde_json::json;

use super::*;

/// What PHP, Gson, a proxy, a browser, a query and a shell each escape.
const TOKEN: &str = "Zk/9q+7Rw=T<4v&Xy\"s'P\\1~kD%2Fm0u:J";
const PLAIN: &str = "0b1c2d3e-7a8d-4e23-9c5f-1122aabbccdd";

type Way = (&'static str, fn(&str) -> String);

/// How a service may write a text.
const ESCAPES: [Way; 25] = [
    ("raw", |text| text.to_owned()),
    ("JSON", |text| json!(text).to_string()),
    ("JSON of PHP", |text| json!(text).to_string().replace('/', "\\/")),
    ("JSON of Gson", |text| {
        let text = json!(text).to_string();
        text.replace('=', "\\u003d")
            .replace('<', "\\u003c")
            .replace('&', "\\u0026")
            .replace('\'', "\\u0027")
            .replace('+', "\\u002B")
    }),
    ("JSON, all escaped", |text| each(text, |c| format!("\\u{:04x}", u32::from(c)))),
    ("JSON, all escaped in capitals", |text| each(text, |c| format!("\\u{:04X}", u32::from(c)))),
    ("JSON in JSON", |text| json!(json!(text).to_string()).to_string()),
    ("JSON in JSON in JSON", |text| json!(json!(json!(text).to_string()).to_string()).to_string()),
    ("Rust and JavaScript", |text| each(text, |c| format!("\\u{{{:x}}}", u32::from(c)))),
    ("C, hexadecimal", |text| each(text, |c| format!("\\x{:02x}", u32::from(c)))),
    ("C, octal", |text| each(text, |c| format!("\\{:03o}", u32::from(c)))),
    ("Python, long", |text| each(text, |c| format!("\\U{:08x}", u32::from(c)))),
    ("a shell", |text| {
        each(text, |c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("\\{c}") })
    }),
    ("an address", |text| percent(text, false)),
    ("an address in small letters", |text| percent(text, false).to_lowercase()),
    ("an address, all escaped", |text| percent(text, true)),
    ("an address in an address", |text| percent(&percent(text, false), false)),
    ("an address of old browsers", |text| each(text, |c| format!("%u{:04X}", u32::from(c)))),
    ("HTML", |text| {
        text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;").replace('\'', "&#39;")
    }),
    ("HTML, decimal", |text| each(text, |c| format!("&#{};", u32::from(c)))),
    ("HTML, hexadecimal", |text| each(text, |c| format!("&#x{:X};", u32::from(c)))),
    ("HTML in HTML", |text| each(text, |c| format!("&amp;#x{:x};", u32::from(c)))),
    ("names of HTML", |text| {
        let text =
            text.replace('&', "&amp;").replace('/', "&sol;").replace('+', "&plus;").replace('=', "&equals;");
        text.replace(':', "&colon;").replace('%', "&percnt;")
    }),
    ("a mail", |text| {
        each(
            text,
            |c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("={:02X}", u32::from(c)) },
        )
    }),
    ("full width", |text| {
        each(text, |c| {
            char::from_u32(u32::from(c) + 0xfee0).filter(|_| c.is_ascii_graphic()).unwrap_or(c).to_string()
        })
    }),
];

/// How a service may change a text before it writes it.
const CODES: [Way; 11] = [
    ("itself", |text| text.to_owned()),
    ("base64", |text| STANDARD.encode(text)),
    ("base64 for addresses", |text| URL_SAFE.encode(text)),
    ("base64 of user:token", |text| STANDARD.encode(format!("sam:{text}"))),
    ("base64 of another user:token", |text| STANDARD.encode(format!("kim2:{text}\n"))),
    ("base64 of a header", |text| STANDARD.encode(format!("Authorization: Bearer {text}"))),
    ("hexadecimal", |text| each(text, |c| format!("{:02x}", u32::from(c)))),
    ("hexadecimal in capitals", |text| each(text, |c| format!("{:02X}", u32::from(c)))),
    ("a UUID as a number", |text| text.replace('-', "")),
    ("an array of bytes", |text| json!(text.as_bytes()).to_string()),
    ("other case", |text| {
        each(text, |c| {
            if c.is_ascii_uppercase() { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }.to_string()
        })
    }),
];

fn each(text: &str, write: impl Fn(char) -> String) -> String {
    text.chars().map(write).collect()
}

fn percent(text: &str, all: bool) -> String {
    each(text, |c| {
        if all || !c.is_ascii_alphanumeric() { format!("%{:02X}", u32::from(c)) } else { c.to_string() }
    })
}

/// The plain text that anybody could make of a shown one, in any order of decoding.
fn readings(shown: &str) -> Vec<String> {
    let mut all = vec![shown.to_owned()];
    for _ in 0..6 {
        if let Some(next) = all.last().and_then(|last| decoding::decoded(last)) {
            all.push(next);
        }
    }
    all.iter().map(|text| text.to_lowercase().split_whitespace().collect()).collect()
}

/// Nothing of a secret is left, nor of what it was turned into: no eight letters in a row.
fn assert_unsaid(way: &str, shown: &str, written: &str) {
    assert!(shown.contains(HIDDEN), "{way}: nothing is hidden in {shown}");
    for reading in readings(shown) {
        let pieces: Vec<char> = written.to_lowercase().chars().filter(|c| !c.is_whitespace()).collect();
        for piece in pieces.windows(14.min(pieces.len())) {
            let piece: String = piece.iter().collect();
            assert!(!reading.contains(&piece), "{way}: {piece} of {written} stands in {shown}");
        }
    }
}

#[test]
fn p27_a_secret_is_found_in_all_275_ways_of_writing_it() {
    for secret in [TOKEN, PLAIN] {
        keep_unsaid(secret);
        for (code, encode) in CODES {
            for (name, escape) in ESCAPES {
                let (encoded, way) = (encode(secret), format!("{code}, {name}"));
                let said = format!("the token {} is not known", escape(&encoded));
                let shown = ServiceWords::of(&said).to_string();
                // What stands beside the token in base64 is no secret.
                let middle = &encoded[encoded.len() / 3..encoded.len() * 2 / 3];
                assert_unsaid(&way, &shown, middle);
                assert!(
                    shown.starts_with("the token ") && shown.ends_with(" is not known"),
                    "{way}: {shown}"
                );
                let data = scrub(&said).into_owned();
                assert_unsaid(&format!("{way}, as data"), &data, middle);
            }
        }
    }
}

#[test]
fn p27_what_a_limit_or_a_line_end_left_of_a_secret_is_hidden_too() {
    keep_unsaid(TOKEN);
    keep_unsaid(PLAIN);
    let halves = [&TOKEN[..TOKEN.len() / 2], &TOKEN[TOKEN.len() / 2..], &PLAIN[..18], &PLAIN[9..]];
    for half in halves {
        for (name, escape) in ESCAPES {
            let shown = ServiceWords::of(&format!("not {}…", escape(half))).to_string();
            assert_unsaid(&format!("{half}, {name}"), &shown, half);
        }
    }
    let (first, second) = PLAIN.split_at(17);
    for between in [
        "\n",
        "\r\n    ",
        " ",
        "\\n",
        "\\r\\n\\t",
        "=\n",
        "&#10;",
        "%0A",
        "\u{200b}",
        "\0",
        "\u{ad}",
        "&nbsp;",
    ] {
        let shown = ServiceWords::of(&format!("not {first}{between}{second}, so")).to_string();
        assert_unsaid(&format!("{between:?}"), &shown, PLAIN);
    }
    let spaced = each(PLAIN, |c| format!("{c} "));
    assert_unsaid("spaced", ServiceWords::of(&spaced).as_str(), PLAIN);
    for (between, before) in
        [(":", ""), ("-", ""), (" ", "0x"), (", ", "0x"), (",", "\\x"), ("", "\\x"), (" ", "")]
    {
        let bytes: Vec<String> = PLAIN.bytes().map(|byte| format!("{before}{byte:02X}")).collect();
        let hex = each(PLAIN, |c| format!("{:02x}", u32::from(c)));
        let shown = ServiceWords::of(&format!("not {}, so", bytes.join(between))).to_string();
        assert!(shown.contains(HIDDEN), "{shown}");
        let bare: String = shown.replace("0x", "").chars().filter(char::is_ascii_alphanumeric).collect();
        assert!(!bare.to_lowercase().contains(&hex[20..34]), "{between:?} {before:?}: {shown}");
    }
    let spread = json!(PLAIN.as_bytes()).to_string().replace(',', ", ");
    let shown = ServiceWords::of(&format!("{{\"type\":\"Buffer\",\"data\":{spread}}}")).to_string();
    assert!(shown.contains(HIDDEN) && !shown.contains("45, 55, 97"), "{shown}");
    let wide: Vec<u8> = format!("no {PLAIN}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_unsaid("UTF-16", ServiceWords::of_body(&wide).as_str(), PLAIN);
}

#[test]
fn p27_the_token_of_somebody_else_is_hidden_where_a_word_announces_it() {
    for said in [
        "Bearer somebody-elses",
        "bearer: somebody-elses",
        "Authorization: Basic c2FtOnNvbWVib2R5LWVsc2VzMQ==",
        r#"{"token": "somebody-elses-0123"}"#,
        r#"{\"access_token\":\"somebody-elses-0123\"}"#,
        "?api_key=somebody-elses-0123",
        "Bearer%20somebody-elses",
    ] {
        let shown = ServiceWords::of(said).to_string();
        assert!(shown.contains(HIDDEN) && !shown.contains("elses") && !shown.contains("c2Ft"), "{shown}");
    }
    for harmless in
        ["the token is wrong", "a secret password policy applies to 12 people", "Basic authentication"]
    {
        assert_eq!(ServiceWords::of(harmless).as_str(), harmless);
    }
}

#[test]
fn data_changes_only_where_it_holds_a_whole_secret() {
    keep_unsaid(PLAIN);
    keep_unsaid("1234567890123456");
    let harmless = [
        r#"{"name":"0b1c2d3e of Sam","serial":"1234567890123456","path":"C:\\Users\\sam","url":"a%20b&amp;c=41"}"#,
        "guest",
        "",
    ];
    for text in harmless {
        assert!(matches!(scrub(text), Cow::Borrowed(_)), "{text}");
        assert!(matches!(scrub_bytes(text.as_bytes()), Some(Cow::Borrowed(_))), "{text}");
    }
    let mixed = format!(r#"{{"name":"a\"b","notes":"\u0030{}","n":1}}"#, &PLAIN[1..]);
    let shown = scrub_bytes(mixed.as_bytes()).unwrap().into_owned();
    let read: serde_json::Value = serde_json::from_slice(&shown).unwrap();
    assert_eq!(read, json!({"name": "a\"b", "notes": HIDDEN, "n": 1}));
}

/// Passwords that people choose have letters of several bytes; browsers take some entities without their end; mails break
/// their lines wherever they are.
#[test]
fn p27_letters_of_several_bytes_and_what_has_no_end_are_decoded() {
    const PASSWORD: &str = "Grüße<an&alle>Öhringer-9";
    keep_unsaid(PASSWORD);
    let bytes: Vec<String> = PASSWORD.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let bytes = bytes.concat();
    let entities = PASSWORD.replace('&', "&amp").replace('<', "&lt").replace('>', "&gt");
    let (first, second) = PASSWORD.split_at(9);
    for written in [bytes, entities, format!("{first}=\r\n{second}"), format!("{first}=\n{second}")] {
        assert_eq!(scrub(&format!("not {written}!")), "not ***!", "{written}");
    }
}

/// JSON that cannot be read is mended before it is kept: what was between the letters of a secret must not be lost then.
#[test]
fn p27_nothing_that_is_lost_later_parts_a_secret_in_data() {
    keep_unsaid(PLAIN);
    let (first, second) = PLAIN.split_at(17);
    for between in ["\\u0000", "\0", "\u{fffd}", "\u{200b}", "\\u200b", "&#0;", "%00"] {
        let body = format!("{{\"notes\":\"{first}{between}{second}\"}}");
        let shown = String::from_utf8(scrub_bytes(body.as_bytes()).unwrap().into_owned()).unwrap();
        assert_eq!(shown, "{\"notes\":\"***\"}", "{between:?}");
    }
    let broken = [b"{\"notes\":\"", first.as_bytes(), b"\xff\xfe", second.as_bytes(), b"\"}"].concat();
    assert_eq!(scrub_bytes(&broken).unwrap(), &b"{\"notes\":\"***\"}"[..]);
}

#[test]
fn a_secret_of_a_few_letters_is_none() {
    for word in ["", " ", "guest", "abc"] {
        keep_unsaid(word);
        assert_eq!(ServiceWords::of("guest abc").as_str(), "guest abc");
    }
}

proptest! {
    /// Whatever stands around it and however it is escaped, a secret does not come through, and nothing panics.
    #[test]
    fn p27_no_surroundings_bring_a_secret_back(before in ".{0,40}", after in ".{0,40}", way in 0..ESCAPES.len(), twice in 0..ESCAPES.len()) {
        keep_unsaid(PLAIN);
        let said = format!("{before}{}{after}", ESCAPES[twice].1(&ESCAPES[way].1(PLAIN)));
        for shown in [ServiceWords::of(&said).to_string(), scrub(&said).into_owned()] {
            prop_assert!(readings(&shown).iter().all(|reading| !reading.contains(PLAIN)), "{}", shown);
        }
    }

    #[test]
    fn any_text_can_be_scrubbed(text in any::<String>(), bytes in any::<Vec<u8>>()) {
        keep_unsaid(PLAIN);
        let _ = (scrub(&text), scrub_words(&text), scrub_bytes(&bytes));
    }
}

#[test]
fn p27_a_secret_behind_many_backslashes_is_found() {
    keep_unsaid(TOKEN);
    let once = each(TOKEN, |c| format!("\\u{:04x}", u32::from(c)));
    let escaped = each(&once, |c| format!("\\x{:02x}", u32::from(c)));
    for before in 0..70 {
        let said = format!("{}{escaped}", "\\".repeat(before));
        assert!(!scrub(&said).contains(&escaped), "{before}");
    }
}
