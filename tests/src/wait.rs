//! Waiting for states.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Asks again and again until `probe` gives a value, at most for `bound`. The error says what was
/// awaited and what was last seen instead.
pub async fn until<T, S: Debug>(
    what: &str,
    bound: Duration,
    mut probe: impl AsyncFnMut() -> Result<std::result::Result<T, S>>,
) -> Result<T> {
    let start = Instant::now();
    let mut pause = Duration::from_millis(50);
    loop {
        match probe().await? {
            Ok(value) => return Ok(value),
            Err(seen) if start.elapsed() > bound => {
                bail!("not within {bound:?}: {what}; last seen: {seen:#?}")
            }
            Err(_) => tokio::time::sleep(pause).await,
        }
        pause = (pause * 2).min(Duration::from_millis(400));
    }
}
