//! Records as they are, and as the lists show them: a write may show late.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::Bound,
    time::{Duration, Instant},
};

/// Records by id. Ids grow, so that the order of ids is the order of creation.
#[derive(Debug)]
pub(crate) struct Records<T> {
    live: BTreeMap<String, T>,
    /// What the lists still show of records that were written lately, oldest write first. `None`:
    /// the record was not there yet.
    late: VecDeque<Late<T>>,
    pub(crate) lag: Duration,
}

#[derive(Debug)]
struct Late<T> {
    until: Instant,
    id: String,
    before: Option<T>,
}

impl<T: Clone> Records<T> {
    pub(crate) fn new(records: impl Iterator<Item = (String, T)>, lag: Duration) -> Self {
        Self { live: records.collect(), late: VecDeque::new(), lag }
    }

    /// All records as they are.
    pub(crate) fn live(&self) -> &BTreeMap<String, T> {
        &self.live
    }

    /// One record as it is.
    pub(crate) fn get(&self, id: &str) -> Option<&T> {
        self.live.get(id)
    }

    /// Writes a record.
    pub(crate) fn put(&mut self, id: &str, record: T) {
        let before = self.live.insert(id.to_owned(), record);
        self.remember(id, before);
    }

    /// Deletes a record.
    pub(crate) fn delete(&mut self, id: &str) -> Option<T> {
        let before = self.live.remove(id)?;
        self.remember(id, Some(before.clone()));
        Some(before)
    }

    fn remember(&mut self, id: &str, before: Option<T>) {
        if !self.lag.is_zero() {
            self.late.push_back(Late { until: Instant::now() + self.lag, id: id.to_owned(), before });
        }
    }

    /// The records that the lists show after the one with the id `after`, and that pass, up to
    /// `limit`, with their ids; and whether there are more.
    pub(crate) fn listed(
        &mut self,
        after: Option<&str>,
        limit: usize,
        passes: impl Fn(&T) -> bool,
    ) -> (Vec<(String, T)>, bool) {
        let now = Instant::now();
        self.late.retain(|late| late.until > now);
        // The oldest write that does not show yet tells what shows instead.
        let mut shown: BTreeMap<&str, Option<&T>> = BTreeMap::new();
        for late in &self.late {
            shown.entry(&late.id).or_insert(late.before.as_ref());
        }
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut found: Vec<(String, T)> = self
            .live
            .range::<str, _>((start, Bound::Unbounded))
            .filter(|(id, _)| !shown.contains_key(id.as_str()))
            .filter(|(_, record)| passes(record))
            .take(limit + 1)
            .map(|(id, record)| (id.clone(), record.clone()))
            .collect();
        let late: BTreeSet<&str> = shown.keys().copied().collect();
        for &id in late.range::<str, _>((start, Bound::Unbounded)) {
            if let Some(Some(record)) = shown.get(id)
                && passes(record)
            {
                found.push((id.to_owned(), (*record).clone()));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let more = found.len() > limit;
        found.truncate(limit);
        (found, more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(records: &mut Records<&'static str>) -> Vec<&'static str> {
        records.listed(None, 10, |_| true).0.into_iter().map(|(_, record)| record).collect()
    }

    #[test]
    fn writes_show_in_lists_only_after_the_lag() {
        let start = [("1", "one"), ("2", "two"), ("3", "three")].map(|(id, record)| (id.to_owned(), record));
        let mut records = Records::new(start.into_iter(), Duration::from_millis(60));
        records.put("1", "uno");
        records.put("1", "ein");
        records.delete("2");
        records.put("4", "four");
        assert_eq!(names(&mut records), ["one", "two", "three"]);
        assert_eq!(
            (records.get("1"), records.get("2"), records.get("4")),
            (Some(&"ein"), None, Some(&"four"))
        );
        std::thread::sleep(Duration::from_millis(80));
        assert_eq!(names(&mut records), ["ein", "three", "four"]);
    }

    #[test]
    fn pages_follow_the_ids() {
        let start = (0..5).map(|n| (n.to_string(), "x"));
        let mut records = Records::new(start, Duration::ZERO);
        let (page, more) = records.listed(Some("1"), 2, |_| true);
        let ids: Vec<String> = page.into_iter().map(|(id, _)| id).collect();
        assert_eq!((ids, more), (vec!["2".to_owned(), "3".to_owned()], true));
        assert!(!records.listed(Some("3"), 2, |_| true).1);
    }
}
