use longshore_job::ConditionType::*;
use longshore_job::{RestartPolicy, Spec};

use crate::bench::*;

#[test]
fn completions_reached() {
    let mut b = Bench::new(indexed(2, 2));
    b.end(0, exit(0));
    assert_eq!(b.conditions(), []);
    b.end(1, exit(0));
    let reason = "CompletionsReached";
    assert_eq!(b.conditions(), [(SuccessCriteriaMet, reason), (Complete, reason)]);
    assert_eq!(b.job.header().completion_time, Some(b.now));
    assert!(b.reports().contains(&"Completed"));
}

#[test]
fn never_fails_when_failures_exceed_the_limit() {
    let mut b = Bench::new(Spec { backoff_limit: 2, ..indexed(5, 1) });
    for _ in 0..2 {
        b.end(0, exit(1));
        b.pass(600 * SECOND);
        let other = b.job.in_flight().map(|(index, _)| index).find(|index| *index != 0);
        if let Some(other) = other {
            b.end(other, exit(0));
        }
    }
    assert_eq!(b.conditions(), []);
    b.end(0, exit(1));
    assert_eq!(b.conditions()[0], (FailureTarget, "BackoffLimitExceeded"));
    assert_eq!(b.job.header().counted_failures, 3);
}

#[test]
fn failed_waits_for_what_still_runs_and_counts_it() {
    let mut b = Bench::new(Spec { backoff_limit: 0, ..indexed(4, 4) });
    b.claim(1);
    b.claim(2);
    b.end(0, exit(1));
    assert_eq!(b.conditions(), [(FailureTarget, "BackoffLimitExceeded")]);
    assert_eq!(b.stops(), [3, 1, 2]);
    assert!(!b.job.grants_claims());
    assert_eq!((b.job.header().active, b.job.header().terminating), (0, 3));
    b.end(1, STOPPED);
    b.end(3, STOPPED);
    assert!(!b.job.is_finished());
    b.end(2, exit(0));
    assert_eq!(b.conditions()[1], (Failed, "BackoffLimitExceeded"));
    let header = b.job.header();
    assert_eq!((header.failed, header.succeeded, header.terminating), (4, 0, 0));
    assert_eq!(header.completion_time, None);
    assert!(b.reports().contains(&"BackoffLimitExceeded"));
    assert_eq!(b.job.in_flight().count(), 0, "no delayed retry stays");
    assert_eq!(b.job.next_wake(), None);
}

#[test]
fn on_failure_fails_when_restarts_reach_the_limit() {
    for (limit, allowed) in [(0, 1), (1, 1), (3, 3)] {
        let restart_policy = RestartPolicy::OnFailure;
        let mut b = Bench::new(Spec { backoff_limit: limit, restart_policy, ..indexed(1, 1) });
        b.start(0);
        for restarts in 1..allowed {
            b.container_fails(0, restarts);
            b.pass(600 * SECOND);
        }
        assert_eq!(b.conditions(), []);
        b.container_fails(0, allowed);
        assert_eq!(b.conditions(), [(FailureTarget, "BackoffLimitExceeded")]);
        assert_eq!(b.stops(), [0]);
        b.end(0, STOPPED);
        assert_eq!(b.job.header().failed, 1);
        assert!(b.job.is_finished());
    }
}

#[test]
fn a_changed_limit_is_looked_at_from_then_on() {
    let mut b = Bench::new(indexed(3, 1));
    b.end(0, exit(1));
    b.change(|spec| spec.backoff_limit = 1);
    assert_eq!(b.conditions(), []);
    b.change(|spec| spec.backoff_limit = 0);
    assert_eq!(b.conditions()[0], (FailureTarget, "BackoffLimitExceeded"));
    b.change(|spec| spec.backoff_limit = 6);
    b.end(1, STOPPED);
    assert!(b.job.is_finished(), "FailureTarget can't be unset");
}

#[test]
fn a_work_queue_can_still_fail_after_a_success() {
    let mut b = Bench::new(Spec { backoff_limit: 0, ..work_queue(2) });
    b.end(0, exit(0));
    b.end(1, exit(1));
    assert_eq!(b.conditions()[0].0, FailureTarget);
    assert!(b.job.is_finished());
}
