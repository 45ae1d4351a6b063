//! Requests to Kandji by minute: what was counted and not told yet.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// What the state stream has been told, by minute since 1970.
#[derive(Debug, Default)]
pub(crate) struct RequestBudget(Mutex<BTreeMap<i64, u32>>);

impl RequestBudget {
    /// What the state says already.
    pub(crate) fn of(told: &[(i64, u32)]) -> Self {
        Self(Mutex::new(told.iter().copied().collect()))
    }

    /// What is new since the last call: minute and how many more.
    pub(crate) fn news(&self, counted: &[(i64, u32)]) -> Vec<(u64, u32)> {
        let mut told = self.0.lock();
        let mut news = Vec::new();
        for &(minute, count) in counted {
            let before = told.insert(minute, count).unwrap_or(0);
            if let (Ok(minute), Some(more @ 1..)) = (u64::try_from(minute), count.checked_sub(before)) {
                news.push((minute, more));
            }
        }
        // Minutes that no longer count are not kept for ever.
        if let Some((oldest, _)) = counted.first() {
            told.retain(|minute, _| minute >= oldest);
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_told_once() {
        let budget = RequestBudget::of(&[(10, 4)]);
        assert_eq!(budget.news(&[(10, 4), (11, 3)]), [(11, 3)]);
        assert_eq!(budget.news(&[(10, 4), (11, 5), (12, 1)]), [(11, 2), (12, 1)]);
        assert_eq!(budget.news(&[(11, 5), (12, 1)]), []);
        assert_eq!(budget.0.lock().len(), 2, "minutes that left the window are forgotten");
    }
}
