//! Tells Redis where an attempt stands, as it changes.

use std::convert::Infallible;
use std::time::Duration;

use longshore_store::Progress;
use tokio::time::sleep;
use tracing::warn;

use super::records::Records;
use crate::assignment::Assignment;
use crate::context::Context;

/// A container that ends sooner is not reported as running, only as ended.
const BRIEF: Duration = Duration::from_millis(50);

/// Never returns.
pub(super) async fn report(
    context: &Context,
    assignment: &Assignment,
    records: &Records,
) -> Infallible {
    let Assignment { key, token, .. } = assignment;
    let mut changes = records.subscribe();
    // What a process before this one has told of one container is known, of several it is told anew.
    let mut last = records.only().and_then(|_| progress(records));
    if records.reached > 0 {
        changes.mark_changed();
    }
    while changes.changed().await.is_ok() {
        sleep(BRIEF).await;
        changes.mark_unchanged();
        let Some(progress) = progress(records) else { continue };
        if last.as_ref() == Some(&progress) {
            continue;
        }
        if let Err(error) = context.store.start(key, token, &progress).await {
            warn!(attempt = %key, %error, "progress is not reported");
        }
        last = Some(progress);
    }
    std::future::pending().await
}

/// What there is to tell between the attempt's grant and its end.
fn progress(records: &Records) -> Option<Progress> {
    let Some(only) = records.only() else {
        let (started, containers) = (records.started(), records.several());
        return Some(Progress::Containers { started, containers });
    };
    match (only.waiting, only.started) {
        // Between two runs: told with the failure itself.
        (Some(_), _) if only.outcome.is_some() => None,
        (Some(waiting), _) => Some(Progress::Waiting(waiting)),
        (None, Some(started)) if only.running => Some(Progress::Started(started)),
        (None, _) => None,
    }
}
