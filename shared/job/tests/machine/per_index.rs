use longshore_job::ConditionType::*;
use longshore_job::{FailureAction, Spec};

use crate::bench::*;

fn per_index(limit: u32, spec: Spec) -> Spec {
    Spec { backoff_limit_per_index: Some(limit), backoff_limit: i32::MAX as u32, ..spec }
}

#[test]
fn indexes_fail_for_good_when_their_own_limit_is_exceeded() {
    let mut b = Bench::new(per_index(1, indexed(4, 4)));
    b.end(0, exit(0));
    b.end(2, exit(0));
    for index in [1, 3] {
        assert!(b.end(index, exit(1)).failed.is_empty());
    }
    b.pass(10 * SECOND - 1);
    b.offers();
    b.pass(1);
    assert_eq!(b.offers(), [(1, 2), (3, 2)], "each has waited its own back-off");
    assert_eq!(b.job.live(1).map(|live| live.attempt.index_failures), Some(1));
    let delta = b.end(1, exit(1));
    assert_eq!((delta.failed.as_slice(), &delta.live[&1]), (&[1][..], &None));
    assert_eq!(b.conditions(), []);
    b.end(3, exit(1));
    assert_eq!(b.conditions(), [(FailureTarget, "FailedIndexes"), (Failed, "FailedIndexes")]);
    assert_eq!(b.message(Failed), "Job has failed indexes");
    assert!(b.reports().contains(&"FailedIndexes"));
    let header = b.job.header();
    assert_eq!((header.failed, header.succeeded, header.failed_indexes), (4, 2, 2));
    assert_eq!(b.job.failed().to_string(), "1,3");
    assert_eq!(b.job.completed().to_string(), "0,2");
}

#[test]
fn a_failed_index_gives_its_place_to_the_next_and_is_not_run_again() {
    let mut b = Bench::new(per_index(0, indexed(3, 1)));
    b.end(0, exit(1));
    assert_eq!(b.offers(), [(0, 1), (1, 1)]);
    b.change_owner();
    b.offers();
    b.end(1, exit(0));
    assert_eq!(b.offers(), [(2, 1)]);
    b.end(2, exit(0));
    assert!(b.job.header().is(Failed));
}

#[test]
fn max_failed_indexes_ends_the_job_early() {
    for (max, failing) in [(0, 1), (1, 2)] {
        let spec = Spec { max_failed_indexes: Some(max), ..indexed(5, 5) };
        let mut b = Bench::new(per_index(0, spec));
        for index in 0..failing {
            assert_eq!(b.conditions(), []);
            b.end(index, exit(1));
        }
        let reason = "MaxFailedIndexesExceeded";
        assert_eq!(b.conditions(), [(FailureTarget, reason)]);
        let message = "Job has exceeded the specified maximal number of failed indexes";
        assert_eq!(b.message(FailureTarget), message);
        for index in b.stops() {
            b.end(index, STOPPED);
        }
        assert_eq!(b.conditions()[1], (Failed, reason));
        assert_eq!(b.job.header().failed, 5, "what was active then has failed too");
        assert_eq!(b.job.header().failed_indexes, failing);
    }
}

#[test]
fn a_lower_max_failed_indexes_is_looked_at_at_once() {
    let mut b = Bench::new(per_index(0, indexed(5, 1)));
    b.end(0, exit(1));
    b.change(|spec| spec.max_failed_indexes = Some(1));
    assert_eq!(b.conditions(), []);
    b.change(|spec| spec.max_failed_indexes = Some(0));
    assert_eq!(b.conditions(), [(FailureTarget, "MaxFailedIndexesExceeded")]);
}

#[test]
fn the_limit_of_the_job_holds_beside_that_of_the_index() {
    let spec = Spec { backoff_limit: 1, backoff_limit_per_index: Some(5), ..indexed(4, 4) };
    let mut b = Bench::new(spec);
    b.end(0, exit(1));
    b.end(1, exit(1));
    assert_eq!(b.conditions(), [(FailureTarget, "BackoffLimitExceeded")]);
}

#[test]
fn fail_index_leaves_no_further_attempt() {
    let failure_policy = vec![on_exit(FailureAction::FailIndex, &[42])];
    let mut b = Bench::new(per_index(5, Spec { failure_policy, ..indexed(2, 2) }));
    b.end(0, exit(1));
    b.pass(10 * SECOND);
    b.end(0, exit(42));
    assert_eq!(b.job.failed().to_string(), "0");
    assert_eq!((b.job.header().failed, b.job.header().counted_failures), (2, 2));
    assert_eq!(b.conditions(), []);
    b.end(1, exit(0));
    assert_eq!(b.conditions()[1], (Failed, "FailedIndexes"));
}

#[test]
fn disruptions_and_ignored_failures_leave_the_index_its_attempts() {
    let failure_policy = vec![on_exit(FailureAction::Ignore, &[7])];
    let mut b = Bench::new(per_index(1, Spec { failure_policy, ..indexed(1, 1) }));
    // (outcome, back-off in seconds, index_failures, index_ignored)
    for (outcome, wait, failures, ignored) in [
        (lost(true), 0, 0, 0),
        (exit(7), 10, 0, 1),
        (exit(7), 20, 0, 2),
        (exit(1), 40, 1, 2),
        (lost(false), 0, 1, 2),
        (exit(7), 80, 1, 3),
    ] {
        b.end(0, outcome);
        b.change_owner();
        if wait > 0 {
            b.pass(wait * SECOND - 1);
            assert_eq!(b.job.header().active, 0);
            b.pass(1);
        }
        assert_eq!(b.job.header().active, 1);
        let attempt = b.job.live(0).map(|live| live.attempt.clone()).expect("it is in flight");
        assert_eq!((attempt.index_failures, attempt.index_ignored), (failures, ignored));
    }
    b.end(0, exit(1));
    assert_eq!(b.conditions()[1], (Failed, "FailedIndexes"));
    assert_eq!((b.job.header().failed, b.job.header().disruptions), (2, 2));
}

#[test]
fn without_the_limit_no_index_keeps_counts() {
    let mut b = Bench::new(indexed(1, 1));
    b.end(0, exit(1));
    b.pass(10 * SECOND);
    assert_eq!(b.job.live(0).map(|live| live.attempt.index_failures), Some(0));
}

#[test]
fn suspending_leaves_the_counts() {
    let mut b = Bench::new(per_index(1, indexed(2, 2)));
    b.end(0, exit(1));
    b.pass(10 * SECOND);
    b.change(|spec| spec.suspend = true);
    b.end(0, STOPPED);
    b.end(1, STOPPED);
    b.change(|spec| spec.suspend = false);
    assert_eq!(b.attempt(0), 3);
    b.end(0, exit(1));
    assert_eq!(b.job.failed().to_string(), "0");
}
