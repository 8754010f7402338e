//! Retry with exponential back-off and jitter: the one place that uses the
//! `backoff` crate.
//!
//! A [`Server`] says in the log once when it can't be reached, and once when it
//! answers again, however many calls fail meanwhile.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backoff::backoff::Backoff as _;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};
use thiserror::Error;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long to wait between tries: `first`, doubled up to `cap`, each spread
/// by a third either way so that many clients don't come back in step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub first: Duration,
    pub cap: Duration,
}

impl Policy {
    /// For a server on the network: 50 ms, up to 2 s.
    pub const SERVER: Policy = Policy::new(Duration::from_millis(50), Duration::from_secs(2));

    pub const fn new(first: Duration, cap: Duration) -> Self {
        Self { first, cap }
    }

    /// The waits of one run of failures, without end.
    pub fn delays(&self) -> Delays {
        let mut backoff = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first)
            .with_max_interval(self.cap)
            .with_multiplier(2.0)
            .with_randomization_factor(1.0 / 3.0)
            .with_max_elapsed_time(None)
            .build();
        backoff.reset();
        Delays { backoff, cap: self.cap }
    }
}

/// The waits that a [`Policy`] gives; never ends.
#[derive(Debug)]
pub struct Delays {
    backoff: ExponentialBackoff,
    cap: Duration,
}

impl Delays {
    /// Starts from the shortest wait again: call it when something worked.
    pub fn reset(&mut self) {
        self.backoff.reset();
    }
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.backoff.next_backoff().unwrap_or(self.cap))
    }
}

/// A server that a program needs: what it is, where it is, and whether it
/// answered last. Clones share that state.
#[derive(Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

struct Shared {
    what: &'static str,
    at: String,
    /// Whether it is said when it fails and answers again.
    told: bool,
    down: AtomicBool,
    since: std::sync::Mutex<Option<Instant>>,
}

impl Server {
    /// `what` is its name (`Redis`), `at` its address without a password: give a
    /// URL through the Display of [`crate::config::SecretUrl`].
    pub fn new(what: &'static str, at: impl fmt::Display) -> Self {
        Self::build(what, &at, true)
    }

    /// Several servers as one, each of which says of itself that it fails: together some always fail and some
    /// always answer.
    pub fn of_several(what: &'static str, at: impl fmt::Display) -> Self {
        Self::build(what, &at, false)
    }

    fn build(what: &'static str, at: &dyn fmt::Display, told: bool) -> Self {
        let (at, down, since) = (at.to_string(), false.into(), None.into());
        Self { shared: Arc::new(Shared { what, at, told, down, since }) }
    }

    /// Notes a failed try; the first in a row is logged.
    pub fn failed(&self, error: &dyn fmt::Display) {
        if !self.shared.down.swap(true, Ordering::AcqRel) {
            *self.since() = Some(Instant::now());
            if self.shared.told {
                warn!("{self} can't be reached: {error}; trying on with back-off");
            }
        }
    }

    /// Notes an answer; the first after a failure is logged.
    pub fn answered(&self) {
        if self.shared.down.load(Ordering::Acquire)
            && self.shared.down.swap(false, Ordering::AcqRel)
        {
            let away = self.since().take().map_or(Duration::ZERO, |since| since.elapsed());
            if self.shared.told {
                info!("{self} answers again after {:.1} s", away.as_secs_f64());
            }
        }
    }

    /// Whether the last try failed.
    pub fn is_down(&self) -> bool {
        self.shared.down.load(Ordering::Acquire)
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.shared.since.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.shared.what, self.shared.at)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server({self})")
    }
}

/// How one try failed. `?` on a plain error means: try again.
#[derive(Debug)]
pub enum Failure<E> {
    /// May work the next time: the server was away, or too slow.
    Transient(E),
    /// The server answered, and will say the same again.
    Permanent(E),
}

impl<E> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Failure::Transient(error)
    }
}

/// Why a retried call ended without a result.
#[derive(Debug, Error)]
pub enum GaveUp<E> {
    /// An answer that trying again can't change.
    #[error(transparent)]
    Permanent(E),
    /// The bound ran out; `last` is the last try's error, if a try ended at all.
    #[error("{server} did not answer within {:.1} s{}", .after.as_secs_f64(), last_words(.last))]
    TimedOut { server: Server, after: Duration, last: Option<E> },
    /// The program is shutting down.
    #[error("given up: shutting down")]
    Cancelled,
}

/// Calls `f` until it works, fails for good, or `bound` has run out. The try
/// that is under way at that moment is dropped.
///
/// # Errors
/// [`GaveUp::Permanent`] or [`GaveUp::TimedOut`].
pub async fn within<T, E, F, Fut>(
    bound: Duration,
    server: &Server,
    policy: Policy,
    f: F,
) -> Result<T, GaveUp<E>>
where
    E: fmt::Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failure<E>>>,
{
    let start = Instant::now();
    let mut last = None;
    match tokio::time::timeout(bound, tries(server, policy, &mut last, f)).await {
        Ok(result) => result.map_err(GaveUp::Permanent),
        Err(_) => {
            let silent = "no answer";
            match &last {
                Some(error) => server.failed(error),
                None => server.failed(&silent),
            }
            Err(GaveUp::TimedOut { server: server.clone(), after: start.elapsed(), last })
        }
    }
}

/// Calls `f` until it works, fails for good, or `cancel` is cancelled.
///
/// # Errors
/// [`GaveUp::Permanent`] or [`GaveUp::Cancelled`].
pub async fn forever<T, E, F, Fut>(
    server: &Server,
    policy: Policy,
    cancel: &CancellationToken,
    f: F,
) -> Result<T, GaveUp<E>>
where
    E: fmt::Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failure<E>>>,
{
    let mut last = None;
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(GaveUp::Cancelled),
        result = tries(server, policy, &mut last, f) => result.map_err(GaveUp::Permanent),
    }
}

async fn tries<T, E, F, Fut>(
    server: &Server,
    policy: Policy,
    last: &mut Option<E>,
    mut f: F,
) -> Result<T, E>
where
    E: fmt::Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, Failure<E>>>,
{
    let mut delays = policy.delays();
    loop {
        match f().await {
            Ok(value) => {
                server.answered();
                return Ok(value);
            }
            Err(Failure::Permanent(error)) => {
                server.answered();
                return Err(error);
            }
            Err(Failure::Transient(error)) => {
                server.failed(&error);
                *last = Some(error);
                tokio::time::sleep(delays.next().unwrap_or(policy.cap)).await;
            }
        }
    }
}

fn last_words<E: fmt::Display>(last: &Option<E>) -> String {
    last.as_ref().map(|error| format!(": {error}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    const FAST: Policy = Policy::new(Duration::from_millis(1), Duration::from_millis(4));

    fn server() -> Server {
        Server::new("Redis", "127.0.0.1:1")
    }

    #[test]
    fn delays_double_up_to_the_cap_and_start_over_on_reset() {
        let policy = Policy::new(Duration::from_millis(100), Duration::from_millis(400));
        let mut delays = policy.delays();
        let near = |wait: Duration, ms: u64| {
            let ms = ms as f64;
            let wait = wait.as_secs_f64() * 1000.0;
            assert!(wait >= ms * 0.66 && wait <= ms * 1.34, "{wait} isn't near {ms}");
        };
        for expected in [100, 200, 400, 400, 400] {
            near(delays.next().expect("never ends"), expected);
        }
        delays.reset();
        near(delays.next().expect("never ends"), 100);
    }

    #[tokio::test]
    async fn a_transient_failure_is_tried_again_and_the_state_follows() {
        let server = server();
        let tries = AtomicU32::new(0);
        let result: Result<u32, GaveUp<String>> =
            within(Duration::from_secs(5), &server, FAST, || async {
                match tries.fetch_add(1, Ordering::Relaxed) {
                    n if n < 3 => Err("away".to_owned().into()),
                    n => {
                        assert!(server.is_down());
                        Ok(n)
                    }
                }
            })
            .await;
        assert_eq!(result.expect("the fourth try works"), 3);
        assert!(!server.is_down());
    }

    #[tokio::test]
    async fn a_permanent_failure_ends_it_at_once() {
        let tries = AtomicU32::new(0);
        let result: Result<(), GaveUp<&str>> =
            within(Duration::from_secs(5), &server(), FAST, || async {
                tries.fetch_add(1, Ordering::Relaxed);
                Err(Failure::Permanent("refused"))
            })
            .await;
        assert!(matches!(result, Err(GaveUp::Permanent("refused"))));
        assert_eq!(tries.into_inner(), 1);
    }

    #[tokio::test]
    async fn the_bound_names_server_place_and_last_error() {
        let result: Result<(), GaveUp<&str>> =
            within(Duration::from_millis(30), &server(), FAST, || async {
                Err(Failure::Transient("connection refused"))
            })
            .await;
        let text = result.expect_err("it never works").to_string();
        assert!(text.starts_with("Redis at 127.0.0.1:1 did not answer within 0."), "{text}");
        assert!(text.ends_with(": connection refused"), "{text}");
    }

    #[tokio::test]
    async fn the_bound_holds_for_a_try_that_hangs() {
        let server = server();
        let result: Result<(), GaveUp<&str>> =
            within(Duration::from_millis(20), &server, FAST, std::future::pending).await;
        assert!(matches!(result, Err(GaveUp::TimedOut { last: None, .. })));
        assert!(server.is_down());
    }

    #[tokio::test]
    async fn cancelling_ends_forever() {
        let cancel = CancellationToken::new();
        let stop = cancel.clone();
        let tries = AtomicU32::new(0);
        let result: Result<(), GaveUp<&str>> = forever(&server(), FAST, &cancel, || async {
            if tries.fetch_add(1, Ordering::Relaxed) == 3 {
                stop.cancel();
            }
            Err(Failure::Transient("away"))
        })
        .await;
        assert!(matches!(result, Err(GaveUp::Cancelled)));
    }
}
