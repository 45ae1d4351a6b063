//! The cursors of one list, which ends: in good order, or with an error.

use std::collections::HashSet;

use amfj_sync_config::FLOOR;
use amfj_sync_security::secrets::ServiceWords;

use super::CallError;

/// Pages in a row that may bring nothing new. Some servers answer a few empty pages while they filter.
const MOST_BARREN: u32 = 100;
/// So many times the last complete list, a list may have.
const TIMES: u64 = 4;

/// Rows that a page has at least, on the average, of a list that is read to its end.
const ROWS_A_PAGE: u64 = 10;

/// The cursors of one walk over a list. None may come twice, and what they lead to has a bound: or the walk would never
/// end, on a list that lies about its end.
#[derive(Debug)]
pub struct Cursors {
    operation: &'static str,
    seen: HashSet<String>,
    current: Option<String>,
    rows: u64,
    most: u64,
    pages: u64,
    barren: u32,
}

impl Cursors {
    /// At the first page of a list of which nothing is known.
    #[must_use]
    pub fn new(operation: &'static str) -> Self {
        Self::after(operation, 0, FLOOR)
    }

    /// At the first page of a list that had so many rows when it was read last, and may have so many (`floor`) in any
    /// case.
    #[must_use]
    pub fn after(operation: &'static str, last: u64, floor: u64) -> Self {
        let most = most_rows(last, floor);
        Self { operation, seen: HashSet::new(), current: None, rows: 0, most, pages: 0, barren: 0 }
    }

    /// Where the page to be read begins.
    #[must_use]
    pub fn current(&self) -> Option<&str> {
        self.current.as_deref()
    }

    /// Takes note of a page of so many rows, so many of which were new. Answers whether there is another page.
    pub fn advance(&mut self, next: Option<String>, rows: u64, fresh: u64) -> Result<bool, CallError> {
        let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(false) };
        self.rows = self.rows.saturating_add(rows);
        self.pages += 1;
        self.barren = if fresh == 0 { self.barren + 1 } else { 0 };
        if self.rows > self.most {
            return Err(self.endless(&format!(
                "more than {} rows and no end, several times what the list had before; if it is as long, set \
                 sync.longest_list",
                self.most
            )));
        }
        if self.pages > most_pages(self.most) {
            return Err(self.endless(&format!(
                "more than {} pages and no end, with hardly a row on each; if it is as long, set sync.longest_list",
                most_pages(self.most)
            )));
        }
        if self.barren >= MOST_BARREN {
            return Err(
                self.endless(&format!("{MOST_BARREN} pages in a row without anything new, and no end"))
            );
        }
        if !self.seen.insert(next.clone()) {
            return Err(self.endless("a cursor that was given before, so that the list would never end"));
        }
        self.current = Some(next);
        Ok(true)
    }

    fn endless(&self, reason: &str) -> CallError {
        CallError::NotJson {
            call: format!("AMFJ, {}", self.operation),
            status: 200,
            reason: reason.into(),
            html: false,
            body: ServiceWords::default(),
        }
    }
}

/// The most rows that a list may have which had so many when it was read last.
#[must_use]
pub fn most_rows(last: u64, floor: u64) -> u64 {
    last.saturating_mul(TIMES).max(floor)
}

/// The most pages that a list of so many rows may have.
#[must_use]
pub fn most_pages(rows: u64) -> u64 {
    rows / ROWS_A_PAGE + u64::from(MOST_BARREN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(cursors: &mut Cursors, mut next: impl FnMut(u64) -> (String, u64, u64)) -> (u64, String) {
        for page in 0.. {
            let (cursor, rows, fresh) = next(page);
            match cursors.advance(Some(cursor), rows, fresh) {
                Ok(true) => {}
                Ok(false) => return (page, String::new()),
                Err(error) => return (page, error.to_string()),
            }
        }
        (u64::MAX, String::new())
    }

    #[test]
    fn a_list_that_goes_round_ends_with_an_error() {
        let mut cursors = Cursors::new("list assets");
        assert_eq!(cursors.current(), None);
        let (pages, why) =
            walk(&mut cursors, |page| (if page % 2 == 0 { "a" } else { "b" }.to_owned(), 1, 1));
        assert_eq!((pages, cursors.current()), (2, Some("b")));
        assert!(why.contains("given before"), "{why}");
        assert!(
            !cursors.advance(None, 1, 1).unwrap() && !cursors.advance(Some(String::new()), 1, 1).unwrap()
        );
    }

    #[test]
    fn a_list_of_ever_new_cursors_ends_with_an_error() {
        let fresh = |page: u64| (page.to_string(), 100, 100);
        let (pages, why) = walk(&mut Cursors::new("list assets"), fresh);
        assert!(pages == FLOOR / 100 && why.contains("several times"), "{pages}: {why}");
        let (pages, _) = walk(&mut Cursors::after("list assets", 1_000_000, FLOOR), fresh);
        assert_eq!(pages, 4 * 1_000_000 / 100);
        let (pages, _) = walk(&mut Cursors::after("list assets", 10, 1_000), fresh);
        assert_eq!(pages, 10, "what was set");
        let (pages, why) = walk(&mut Cursors::new("list assets"), |page| (page.to_string(), 1, 1));
        assert!(pages == most_pages(FLOOR) && why.contains("pages"), "{pages}: {why}");
        let (pages, why) = walk(&mut Cursors::new("list assets"), |page| (page.to_string(), 100, 0));
        assert!(pages < 100 && why.contains("without anything new"), "{pages}: {why}");
    }
}
