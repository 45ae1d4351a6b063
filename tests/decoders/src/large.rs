//! The largest bodies that are read at all, made of whatever grows most when it is read.

use crate::secrets::SECRET;

/// Bytes of the largest answer of a service that is read (`shared/http/src`), and more than a message may have.
pub const LARGEST: usize = 32 << 20;

/// A large input of a target.
#[derive(Debug, Clone, Copy)]
pub struct Large {
    /// The target that reads it.
    pub target: &'static str,
    before: &'static str,
    again: &'static str,
    behind: &'static str,
}

const fn of(target: &'static str, before: &'static str, again: &'static str, behind: &'static str) -> Large {
    Large { target, before, again, behind }
}

/// Lists of very many small things, and texts that are searched for what is not there.
pub const LARGE: [Large; 24] = [
    of("amfj-rows", "{\"results\":[", "0,", "0]}"),
    of("amfj-rows", "{\"results\":[", "{},", "{}]}"),
    of("amfj-rows", "{\"results\":[{\"id\":\"1\",\"fields\":{\"a\":[", "0,", "0]}}]}"),
    of("amfj-rows", "{\"results\":[{\"id\":\"1\",\"fields\":{\"a\":[", "[],", "[]]}}]}"),
    of("amfj-rows", "{\"results\":[\"", "bearer:", "\"]}"),
    of("amfj-rows", "{\"results\":[{\"id\":\"1\",\"name\":\"", "token=", "\"}]}"),
    of("amfj-rows", "{\"results\":[{\"id\":\"1\",\"name\":\"", "\\u0001", "\"}]}"),
    of("amfj-rows", "{\"id\":\"1\",\"fields\":{\"a\":[", "0,", "0]}}"),
    of("amfj-rows", "", "[", ""),
    of(
        "amfj-rows",
        "{\"results\":[",
        "{\"id\":\"1\",\"asset_type\":{\"id\":\"T\"},\"fields\":{\"a\":[1,1,1,1,1,1,1,1]}},",
        "0]}",
    ),
    of("amfj-answers", "\u{6}", "0,", ""),
    of("amfj-answers", "\0{\"id\":\"AST-17\",\"fields\":{\"a\":[", "0,", "0]}}"),
    of("kandji-devices", "[", "0,", "0]"),
    of("kandji-devices", "[", "{\"a\":0},", "0]"),
    of("kandji-devices", "[{\"device_id\":\"1\",\"tags\":[", "0,", "0]}]"),
    of("kandji-devices", "[{\"device_id\":\"1\",\"a\":", "[[[[[[[[[[[[[[[[[[[[", "0]}]"),
    of("kandji-details", "{\"a\":[", "0,", "0]}"),
    of("kandji-details", "{\"data\":[", "{},", "{}]}"),
    of("error-answers", "\0\0\n\n[", "0,", "0]"),
    of("error-answers", "\0\0\n\n", "bearer:", ""),
    of("error-answers", "\0\0\n\n", "&amp;", ""),
    of("error-answers", "\0\0\n\n{\"error\":{\"field\":[", "0,", "0]}}"),
    of("events", "[", "0,", "0]"),
    of("facts", "[", "0,", "0]"),
];

impl Large {
    /// Whether it is one long text, which is searched, and not very many values, which are held.
    #[must_use]
    pub fn is_text(&self) -> bool {
        !self.again.contains(',')
    }

    /// An input of about so many bytes.
    #[must_use]
    pub fn make(&self, bytes: usize) -> Vec<u8> {
        let around = self.before.len() + self.behind.len();
        let times = bytes.saturating_sub(around) / self.again.len();
        [self.before, &self.again.repeat(times), self.behind].concat().into_bytes()
    }
}

/// A page that says the secret of this process, with much beside it.
#[must_use]
pub fn echoing(bytes: usize) -> Vec<u8> {
    let row = format!("{{\"id\":\"1\",\"asset_type\":{{\"id\":\"T\"}},\"name\":\"{SECRET}\"}},");
    let rows = row.repeat(bytes / row.len());
    format!("{{\"results\":[{rows}0]}}").into_bytes()
}
