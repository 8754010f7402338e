//! Whether this worker may take tickets: Redis has answered within a lease, and nothing else speaks
//! against it.

use std::time::Duration;

use longshore_support::clock::boottime;
use tokio::sync::watch;
use tokio::time::sleep;

/// The doors that must be open for a ticket to be taken.
pub(crate) struct Contact {
    /// How long an answer of Redis is good for: a lease less its margin.
    good_for: Duration,
    last: watch::Sender<Duration>,
    /// The runtime answers, and no user has cordoned the worker.
    fit: watch::Sender<bool>,
}

impl Contact {
    pub(crate) fn new(good_for: Duration) -> Self {
        Self { good_for, last: watch::channel(Duration::ZERO).0, fit: watch::channel(false).0 }
    }

    /// Redis answered a request that was sent at this time since the host's start.
    pub(crate) fn answered(&self, sent: Duration) {
        self.last.send_if_modified(|last| {
            let later = sent > *last;
            *last = sent.max(*last);
            later
        });
    }

    pub(crate) fn set_fit(&self, fit: bool) {
        self.fit.send_if_modified(|current| std::mem::replace(current, fit) != fit);
    }

    /// Waits until tickets may be taken.
    pub(crate) async fn open(&self) {
        let (mut last, mut fit) = (self.last.subscribe(), self.fit.subscribe());
        loop {
            // Both senders live as long as `self`.
            let _ = fit.wait_for(|fit| *fit).await;
            let _ = last.wait_for(|last| self.good(*last)).await;
            if *fit.borrow() {
                return;
            }
        }
    }

    /// Waits until no ticket may be taken.
    pub(crate) async fn closed(&self) {
        let mut fit = self.fit.subscribe();
        tokio::select! {
            _ = fit.wait_for(|fit| !fit) => {}
            () = self.silent() => {}
        }
    }

    /// Waits until Redis has not answered for too long.
    pub(crate) async fn silent(&self) {
        loop {
            let last = *self.last.borrow();
            if !self.good(last) {
                return;
            }
            sleep((last + self.good_for).saturating_sub(boottime())).await;
        }
    }

    fn good(&self, last: Duration) -> bool {
        last > Duration::ZERO && boottime() < last + self.good_for
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn tickets_need_a_recent_answer_and_a_fit_worker() {
        let contact = Contact::new(Duration::from_millis(50));
        contact.set_fit(true);
        contact.answered(boottime());
        contact.open().await;
        contact.closed().await;
        contact.answered(boottime() + Duration::from_secs(60));
        contact.open().await;
        contact.set_fit(false);
        contact.closed().await;
    }
}
