use longshore_job::{ConditionType, Spec};

use crate::bench::*;

#[test]
fn a_job_created_suspended_waits() {
    let mut b = Bench::new(Spec { suspend: true, ..indexed(1, 1) });
    assert_eq!(b.offers(), []);
    assert!(!b.job.grants_claims());
    assert_eq!(b.job.header().start_time, None);
    assert_eq!(b.conditions(), [(ConditionType::Suspended, "JobSuspended")]);
    b.now += SECOND;
    b.change(|spec| spec.suspend = false);
    assert_eq!(b.job.header().start_time, Some(b.now));
    assert_eq!(b.offers(), [(0, 1)]);
    let suspended = b.job.header().condition(ConditionType::Suspended).cloned();
    let suspended = suspended.expect("it is flipped, never removed");
    assert_eq!((suspended.status, suspended.reason.as_str()), (false, "JobResumed"));
    assert_eq!(b.reports(), ["Suspended", "Resumed", "SuccessfulCreate"]);
}

#[test]
fn an_unsuspended_job_has_no_such_condition() {
    let b = Bench::new(indexed(1, 1));
    assert!(b.job.header().conditions.is_empty());
    assert_eq!(b.job.header().start_time, Some(b.now));
}

#[test]
fn suspending_stops_and_resuming_runs_again_at_no_cost() {
    let mut b = Bench::new(indexed(3, 2));
    b.start(0);
    b.change(|spec| spec.suspend = true);
    assert_eq!(b.stops(), [1, 0]);
    b.offers();
    b.end(0, STOPPED);
    b.end(1, STOPPED);
    assert_eq!(b.offers(), []);
    b.now += 5 * SECOND;
    b.change(|spec| spec.suspend = false);
    assert_eq!(b.offers(), [(0, 2), (1, 2)]);
    assert_eq!(b.job.header().start_time, Some(b.now));
    assert_eq!((b.job.header().failed, b.job.header().disruptions), (0, 0));
}

#[test]
fn resuming_while_containers_still_stop_waits_for_them() {
    let mut b = Bench::new(indexed(2, 1));
    b.start(0);
    b.change(|spec| spec.suspend = true);
    b.offers();
    b.change(|spec| spec.suspend = false);
    assert_eq!(b.offers(), []);
    b.end(0, STOPPED);
    assert_eq!(b.offers(), [(0, 2)]);
}

#[test]
fn a_failure_that_came_before_the_stop_counts() {
    let mut b = Bench::new(Spec { backoff_limit: 0, ..indexed(1, 1) });
    b.start(0);
    b.change(|spec| spec.suspend = true);
    b.end(0, exit(1));
    assert!(b.job.is_finished());
}
