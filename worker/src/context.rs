//! What all parts of one worker share.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use longshore_broker::Consumer;
use longshore_job::{Container, Millis, Outcome};
use longshore_store::{AttemptKey, Store, Written};
use longshore_support::retry::Policy;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::contact::Contact;
use crate::folder::Folders;
use crate::health::Health;
use crate::held::Attempts;
use crate::pulse::Pulse;
use crate::runtime::Runtime;

pub(crate) struct Context {
    /// The worker's name and its session, which is random at each start.
    pub(crate) name: String,
    pub(crate) session: String,
    pub(crate) store: Store,
    pub(crate) consumer: Consumer,
    pub(crate) runtime: Arc<dyn Runtime>,
    /// `docker` or `null`, as the Node shows it.
    pub(crate) runtime_name: &'static str,
    pub(crate) folders: Folders,
    pub(crate) attempts: Attempts,
    pub(crate) contact: Contact,
    pub(crate) health: Health,
    pub(crate) pulse: Pulse,
    pub(crate) slots: u32,
    /// When this process started, by the host's clock.
    pub(crate) started: Millis,
    pub(crate) lease: Duration,
    pub(crate) ack_after: Duration,
    /// Output kept per attempt, in bytes.
    pub(crate) log_bytes: u64,
    /// Set once no new ticket is to be taken.
    pub(crate) draining: CancellationToken,
    /// Set once another process has the worker's name.
    pub(crate) fenced: CancellationToken,
}

impl Context {
    /// Reports an attempt's end until Redis has taken it, or refuses it because the attempt is
    /// someone else's by now. Only after this may anything of the attempt be removed.
    pub(crate) async fn finish(
        &self,
        key: &AttemptKey,
        token: &str,
        outcome: &Outcome,
        started: Option<Millis>,
        containers: &[Container],
    ) -> Written {
        let finished = Some(now());
        let mut delays = Policy::SERVER.delays();
        loop {
            match self.store.finish(key, token, outcome, started, finished, containers).await {
                Ok(written) => return written,
                Err(failure) if failure.is_transient() => {
                    warn!(attempt = %key, error = %failure, "the outcome is not reported yet");
                }
                Err(failure) => {
                    error!(attempt = %key, error = %failure, "the outcome can't be reported");
                }
            }
            sleep(delays.next().unwrap_or(Duration::from_secs(2))).await;
        }
    }
}

/// This host's time.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
