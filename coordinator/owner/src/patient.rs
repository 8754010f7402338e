//! Calls that must succeed before anything else can go on.

use std::time::Duration;

use longshore_store::StoreError;
use longshore_support::chain::Chain;
use longshore_support::retry::Policy;
use tracing::error;

const WAITS: Policy = Policy::new(Duration::from_millis(100), Duration::from_secs(3));

/// Makes a call until it works. Its caller is dropped when the term ends, so there is no bound; the
/// store says in the log when Redis can't be reached, and other errors are said here.
pub(crate) async fn patiently<T, F, Fut>(mut call: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, StoreError>>,
{
    let mut waits = WAITS.delays();
    loop {
        match call().await {
            Ok(value) => return value,
            Err(error) => pause(&error, &mut waits).await,
        }
    }
}

/// Waits after an error, a little longer each time.
pub(crate) async fn pause(error: &StoreError, waits: &mut longshore_support::retry::Delays) {
    if !error.is_logged() {
        error!("{}; trying on", Chain(error));
    }
    if let Some(wait) = waits.next() {
        tokio::time::sleep(wait).await;
    }
}

/// The waits for a loop that calls [`pause`] itself.
pub(crate) fn waits() -> longshore_support::retry::Delays {
    WAITS.delays()
}
