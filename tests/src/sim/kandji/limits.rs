//! The two limits of a tenant, counted in whole seconds and whole hours.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::sim::wire::Reply;

/// Requests counted in the current second and hour.
#[derive(Debug)]
pub(crate) struct Limits {
    second: Window,
    hour: Window,
}

#[derive(Debug)]
struct Window {
    /// Seconds.
    length: u64,
    limit: Option<u32>,
    number: u64,
    count: u32,
}

impl Window {
    fn new(length: u64, limit: Option<u32>) -> Self {
        Self { length, limit, number: 0, count: 0 }
    }

    /// Counts one request; else the seconds until the next window.
    fn count(&mut self, now: u64) -> Result<(), u64> {
        let number = now / self.length;
        if number != self.number {
            (self.number, self.count) = (number, 0);
        }
        if self.limit.is_some_and(|limit| self.count >= limit) {
            return Err((number + 1) * self.length - now);
        }
        self.count += 1;
        Ok(())
    }

    fn remaining(&self) -> Option<u32> {
        self.limit.map(|limit| limit.saturating_sub(self.count))
    }
}

impl Limits {
    pub(crate) fn new(per_second: Option<u32>, per_hour: Option<u32>) -> Self {
        Self { second: Window::new(1, per_second), hour: Window::new(3600, per_hour) }
    }

    /// Counts one request.
    ///
    /// # Errors
    /// The 429 to answer with.
    pub(crate) fn count(&mut self) -> Result<(), Reply> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        self.second.count(now).and_then(|()| self.hour.count(now)).map_err(|wait| {
            let body =
                json!({ "detail": format!("Request was throttled. Expected available in {wait} seconds.") });
            self.dress(Reply::json(429, &body).with("retry-after", wait.to_string()))
        })
    }

    /// Adds the headers that tell how much is left. The plain `RateLimit-*` ones are of the second.
    pub(crate) fn dress(&self, mut reply: Reply) -> Reply {
        if let (Some(limit), Some(left)) = (self.hour.limit, self.hour.remaining()) {
            reply = reply
                .with("x-ratelimit-limit-hour", limit.to_string())
                .with("x-ratelimit-remaining-hour", left.to_string());
        }
        if let (Some(limit), Some(left)) = (self.second.limit, self.second.remaining()) {
            reply = reply
                .with("x-ratelimit-limit-second", limit.to_string())
                .with("ratelimit-remaining", left.to_string())
                .with("ratelimit-reset", "1");
        }
        reply
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_refuses_until_it_ends() {
        let mut hour = Window::new(3600, Some(2));
        assert_eq!(hour.count(7200), Ok(()));
        assert_eq!(hour.count(7300), Ok(()));
        assert_eq!(hour.count(7300), Err(3500));
        assert_eq!(hour.remaining(), Some(0));
        assert_eq!(hour.count(10_800), Ok(()));
        assert_eq!(hour.remaining(), Some(1));
    }
}
