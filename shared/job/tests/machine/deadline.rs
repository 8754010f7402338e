use longshore_job::{ConditionType, Event, IndexSet, Job, Spec};

use crate::bench::*;

#[test]
fn the_deadline_counts_from_start_time() {
    let mut b = Bench::new(Spec { active_deadline: Some(30 * SECOND), ..indexed(2, 1) });
    assert_eq!(b.job.next_wake(), Some(b.now + 30 * SECOND));
    b.start(0);
    b.pass(30 * SECOND - 1);
    assert_eq!(b.conditions(), []);
    b.pass(1);
    assert_eq!(b.conditions(), [(ConditionType::FailureTarget, "DeadlineExceeded")]);
    assert_eq!(b.job.next_wake(), None);
    b.end(0, STOPPED);
    assert!(b.job.is_finished());
    assert_eq!(b.job.header().failed, 1);
}

#[test]
fn the_deadline_stands_still_while_suspended_and_starts_anew() {
    let mut b = Bench::new(Spec { active_deadline: Some(30 * SECOND), ..indexed(2, 1) });
    b.pass(20 * SECOND);
    b.change(|spec| spec.suspend = true);
    b.end(0, STOPPED);
    assert_eq!(b.job.next_wake(), None);
    b.pass(100 * SECOND);
    b.change(|spec| spec.suspend = false);
    assert_eq!(b.conditions(), []);
    assert_eq!(b.job.next_wake(), Some(b.now + 30 * SECOND));
}

#[test]
fn a_finished_job_is_removed_after_its_ttl() {
    let spec = Spec { ttl_after_finished: Some(9), retention: Some(100), ..indexed(1, 1) };
    let mut b = Bench::new(spec);
    b.end(0, exit(0));
    assert_eq!(b.job.next_wake(), Some(b.now + 9));
    b.pass(8);
    assert!(!b.purged());
    b.pass(1);
    assert!(b.purged());
    assert_eq!(b.job.next_wake(), None);
    b.pass(1);
    assert!(!b.purged(), "once is enough");
    b.apply(Event::Loaded);
    assert!(b.purged(), "unless the owner changed");
}

#[test]
fn ttl_zero_removes_at_once_and_retention_stands_in_for_none() {
    let mut b = Bench::new(Spec { ttl_after_finished: Some(0), ..indexed(0, 1) });
    assert!(b.purged());
    let mut b = Bench::new(Spec { retention: Some(7), ..indexed(0, 1) });
    assert!(!b.purged());
    b.pass(7);
    assert!(b.purged());
}

#[test]
fn a_deleted_job_is_removed_when_its_containers_are_gone() {
    let mut b = Bench::new(indexed(3, 2));
    b.start(0);
    b.end(1, exit(1));
    b.offers();
    b.apply(Event::DeleteRequested);
    assert_eq!(b.stops(), [2, 0]);
    b.end(2, STOPPED);
    b.pass(60 * SECOND);
    assert!(!b.purged());
    b.end(0, STOPPED);
    assert!(b.purged());
    assert_eq!(b.offers(), []);
    assert_eq!(b.job.next_wake(), None);
}

#[test]
fn a_finished_job_keeps_its_figures_though_only_its_header_is_loaded() {
    let mut b = Bench::new(Spec { retention: Some(7), ..indexed(2, 2) });
    b.end(0, exit(0));
    b.end(1, exit(0));
    let header = b.job.header().clone();
    b.job =
        Job::restore(b.job.spec().clone(), header.clone(), IndexSet::new(), IndexSet::new(), []);
    let delta = b.apply(Event::Loaded);
    assert!(delta.changes_nothing());
    assert_eq!(*b.job.header(), header);
    b.pass(7);
    assert!(b.purged());
}
