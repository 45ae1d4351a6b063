//! `[lists]`: where rows are, and how one page follows another.

use serde_json::Value;

use super::{Draft, plain, quoted};

/// Parameters that say how many records a page may have.
const SIZES: &[&str] =
    &["limit", "per_page", "page_size", "pagesize", "size", "first", "count", "max", "top"];
const CURSORS: &[&str] = &["cursor", "after", "page_token", "continuation", "starting_after"];
const OFFSETS: &[&str] = &["offset", "skip", "start"];
const PAGES: &[&str] = &["page", "page_number"];
/// As many as a page may have where the description does not say.
const SIZE: u64 = 100;
const LARGEST: u64 = 1000;

impl<'a> Draft<'a> {
    pub(super) fn lists(&mut self) {
        let rows = self.assets.rows.clone();
        self.line("\n[lists]");
        self.guess(
            &format!("rows = {}", quoted(rows.as_deref().unwrap_or("/results"))),
            if rows.is_some() { "the first list in the answer" } else { "nothing was found" },
        );
        self.line("\n[lists.paging]");
        let path = self.assets.path;
        let schema = path.and_then(|path| self.api.answer(path, "get"));
        let beside = |words: &[&str]| schema.and_then(|schema| self.api.beside(schema, words));
        let total = beside(&["total", "total_count", "total_results", "count"]);
        if let Some((parameter, _)) = self.parameter(path, CURSORS) {
            let next = beside(&["next_cursor", "next_page_token", "end_cursor", "cursor", "next"]);
            let more = beside(&["has_more", "has_next_page", "has_next"]);
            self.line("form = \"cursor\"");
            self.line(&format!("parameter = {}", quoted(parameter)));
            self.guess(
                &format!("next = {}", quoted(next.as_deref().unwrap_or("/next_cursor"))),
                "where the answer says how it goes on",
            );
            if let Some(more) = more {
                self.guess(&format!("more = {}", quoted(&more)), "whether it goes on");
            }
        } else if let Some((parameter, _)) = self.parameter(path, OFFSETS) {
            self.line("form = \"offset\"");
            self.line(&format!("parameter = {}", quoted(parameter)));
            self.total(total.as_deref());
        } else if let Some((parameter, _)) = self.parameter(path, PAGES) {
            self.line("form = \"page\"");
            self.line(&format!("parameter = {}", quoted(parameter)));
            self.guess("first = 1", "the number of the first page");
            self.total(total.as_deref());
        } else {
            self.guess("form = \"none\"", "no parameter for pages was found");
            return;
        }
        if let Some((name, parameter)) = self.parameter(path, SIZES) {
            self.line(&format!("size_parameter = {}", quoted(name)));
            let most = parameter.pointer("/schema/maximum").and_then(Value::as_u64);
            match most.filter(|most| (1..=LARGEST).contains(most)) {
                Some(most) => self.guess(&format!("size = {most}"), "as many as a page may have"),
                None => self.guess(&format!("size = {SIZE}"), "how many a page may have"),
            }
        }
    }

    fn total(&mut self, total: Option<&str>) {
        if let Some(total) = total {
            self.guess(&format!("total = {}", quoted(total)), "how many there are");
        }
    }

    fn parameter(&self, path: Option<&str>, words: &[&str]) -> Option<(&'a str, &'a Value)> {
        let parameters = path.map(|path| self.api.parameters(path, "get", "query")).unwrap_or_default();
        words.iter().find_map(|word| parameters.iter().find(|(name, _)| plain(name) == plain(word)).copied())
    }

    /// Whether a list comes in pages as that of assets does.
    pub(super) fn is_paged(&self, path: Option<&str>) -> bool {
        [CURSORS, OFFSETS, PAGES].into_iter().any(|words| self.parameter(path, words).is_some())
    }
}
