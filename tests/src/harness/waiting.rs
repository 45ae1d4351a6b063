//! Waiting for something that another process does.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// How often [`eventually`] looks.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `probe` until it succeeds and returns what it found.
///
/// The probe's error is its way of saying "not yet", with the reason.
///
/// # Errors
/// After `limit`, with `what`, the time waited and the probe's last reason. A probe that hangs is
/// cut off at the limit too.
pub async fn eventually<T, F>(limit: Duration, what: &str, mut probe: F) -> Result<T>
where
    F: AsyncFnMut() -> Result<T>,
{
    let begin = Instant::now();
    let mut last = None;
    let mut looked = 0_u32;
    loop {
        let left = limit.saturating_sub(begin.elapsed());
        match tokio::time::timeout(left, probe()).await {
            Ok(Ok(found)) => return Ok(found),
            Ok(Err(reason)) => last = Some(reason),
            Err(_) => {}
        }
        looked += 1;
        if begin.elapsed() + PAUSE >= limit {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Err(last.unwrap_or_else(|| anyhow::anyhow!("the look at it never came to an end")))
        .with_context(|| format!("waited {limit:?} (looked {looked} times) for: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn returns_what_the_probe_finds() {
        let mut calls = 0;
        let found = eventually(Duration::from_secs(5), "the third call", async || {
            calls += 1;
            anyhow::ensure!(calls == 3, "only {calls} calls");
            Ok(calls)
        });
        assert_eq!(found.await.unwrap(), 3);
    }

    #[tokio::test]
    async fn says_what_was_waited_for_and_the_last_reason() {
        let waited = eventually(Duration::from_millis(120), "a blue moon", async || {
            anyhow::bail!("it is white") as Result<()>
        });
        let error = format!("{:#}", waited.await.unwrap_err());
        assert!(error.contains("a blue moon") && error.contains("it is white"), "{error}");
    }

    #[tokio::test]
    async fn cuts_off_a_probe_that_hangs() {
        let waited = eventually(Duration::from_millis(120), "an answer", async || {
            std::future::pending::<Result<()>>().await
        });
        assert!(format!("{:#}", waited.await.unwrap_err()).contains("never came to an end"));
    }
}
