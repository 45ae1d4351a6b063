use super::*;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sample")]
struct Sample(Verdict);

impl Retryable for Sample {
    fn verdict(&self) -> Verdict {
        self.0
    }
}

fn policy(initial_ms: u64, max_ms: u64, give_up_ms: u64) -> Policy {
    let [initial, max, give_up] = [initial_ms, max_ms, give_up_ms].map(Duration::from_millis);
    Policy::try_new(initial, max, give_up).unwrap()
}

#[test]
fn pauses_that_make_no_sense_are_refused() {
    let second = Duration::from_secs(1);
    assert_eq!(Backoff::try_new(Duration::ZERO, second).unwrap_err(), InvalidBackoff::Zero);
    assert!(matches!(Backoff::try_new(second, second / 2), Err(InvalidBackoff::Shrinking { .. })));
    assert!(Backoff::try_new(second, second).is_ok());
}

#[test]
fn pauses_grow_with_jitter_up_to_the_longest_and_start_again_after_reset() {
    let mut backoff = Backoff::try_new(Duration::from_millis(100), Duration::from_secs(1)).unwrap();
    for expected in [100_u64, 200, 400, 800] {
        let pause = backoff.next();
        let (low, high) = (Duration::from_millis(expected / 2), Duration::from_millis(expected * 3 / 2 + 1));
        assert!(pause >= low && pause <= high, "{pause:?} is not {expected} ms ± 50 %");
    }
    let later: Vec<_> = (0..100).map(|_| backoff.next()).collect();
    assert!(later.iter().all(|pause| *pause <= Duration::from_secs(1)));
    assert!(later.iter().any(|pause| *pause != later[0]), "no jitter");
    backoff.reset();
    assert!(backoff.next() <= Duration::from_millis(151));
}

#[test]
fn pauses_never_end_by_themselves() {
    // The crate's own default would return None after 15 minutes of elapsed time.
    assert_eq!(
        Backoff::try_new(Duration::from_secs(1), Duration::from_mins(1)).unwrap().pauses.max_elapsed_time,
        None
    );
}

#[tokio::test]
async fn it_tries_until_it_succeeds() {
    let mut left = 3;
    let result = retry(&policy(1, 2, 5_000), &CancellationToken::new(), || {
        left -= 1;
        std::future::ready(if left == 0 { Ok("done") } else { Err(Sample(Verdict::Again(None))) })
    })
    .await;
    assert_eq!(result, Ok("done"));
}

#[tokio::test]
async fn an_error_that_will_not_get_better_is_returned_at_once() {
    let mut attempts = 0;
    let result = retry(&policy(1, 2, 5_000), &CancellationToken::new(), || {
        attempts += 1;
        std::future::ready(Err::<(), _>(Sample(Verdict::Stop)))
    })
    .await;
    assert_eq!(result, Err(Stopped::Failed(Sample(Verdict::Stop))));
    assert_eq!(attempts, 1);
}

#[tokio::test]
async fn it_gives_up_in_time_and_says_after_how_many_attempts() {
    let started = Instant::now();
    let result = retry(&policy(10, 20, 100), &CancellationToken::new(), || {
        std::future::ready(Err::<(), _>(Sample(Verdict::Again(None))))
    })
    .await;
    assert!(started.elapsed() <= Duration::from_millis(300), "it went on for {:?}", started.elapsed());
    let Err(Stopped::GaveUp { attempts, .. }) = result else { panic!("{result:?}") };
    assert!(attempts > 1);
}

#[tokio::test]
async fn it_is_never_sooner_than_the_service_asks_for() {
    let asked = Duration::from_millis(200);
    let mut times = Vec::new();
    let result = retry(&policy(1, 1, 5_000), &CancellationToken::new(), || {
        times.push(Instant::now());
        let done = times.len() == 2;
        std::future::ready(if done { Ok(()) } else { Err(Sample(Verdict::Again(Some(asked)))) })
    })
    .await;
    assert_eq!(result, Ok(()));
    assert!(times[1] - times[0] >= asked);
}

#[tokio::test]
async fn it_does_not_wait_for_a_pause_that_ends_after_its_time() {
    let started = Instant::now();
    let result = retry(&policy(1, 1, 1_000), &CancellationToken::new(), || {
        std::future::ready(Err::<(), _>(Sample(Verdict::Again(Some(Duration::from_hours(1))))))
    })
    .await;
    assert!(matches!(result, Err(Stopped::GaveUp { attempts: 1, .. })), "{result:?}");
    assert!(started.elapsed() < Duration::from_millis(500));
}

#[tokio::test]
async fn cancelling_ends_a_pause_at_once() {
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(30)).await;
        canceller.cancel();
    });
    let started = Instant::now();
    let result = retry(&policy(60_000, 60_000, 600_000), &cancel, || {
        std::future::ready(Err::<(), _>(Sample(Verdict::Again(None))))
    })
    .await;
    assert_eq!(result, Err(Stopped::Cancelled));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_cancelled_worker_begins_no_attempt() {
    let cancel = CancellationToken::new();
    cancel.cancel();
    let result =
        retry(&policy(1, 1, 1_000), &cancel, || std::future::ready(Err::<(), _>(Sample(Verdict::Stop))))
            .await;
    assert_eq!(result, Err(Stopped::Cancelled));
}
