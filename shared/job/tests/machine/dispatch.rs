use longshore_job::{Action, Event, Job};

use crate::bench::*;

#[test]
fn offers_the_lowest_indexes_up_to_parallelism() {
    let mut b = Bench::new(indexed(5, 2));
    assert_eq!(b.offers(), [(0, 1), (1, 1)]);
    b.end(1, exit(0));
    assert_eq!(b.offers(), [(2, 1)]);
    assert_eq!(b.job.header().active, 2);
}

#[test]
fn a_nonindexed_job_with_completions_runs_that_many() {
    let mut b = Bench::new(longshore_job::Spec {
        mode: longshore_job::CompletionMode::NonIndexed,
        ..indexed(3, 2)
    });
    for index in 0..3 {
        b.end(index, exit(0));
    }
    assert!(b.job.is_finished());
    assert_eq!(b.job.header().succeeded, 3);
}

#[test]
fn parallelism_zero_pauses() {
    let mut b = Bench::new(indexed(2, 0));
    assert_eq!(b.offers(), []);
    assert_eq!(b.job.next_wake(), None);
    b.change(|spec| spec.parallelism = 5);
    assert_eq!(b.offers(), [(0, 1), (1, 1)]);
    b.claim(0);
    b.change(|spec| spec.parallelism = 0);
    assert_eq!(b.stops(), [1, 0]);
    assert_eq!((b.job.header().active, b.job.header().terminating), (0, 2));
}

#[test]
fn lowering_stops_offered_ones_first_and_then_the_highest() {
    let mut b = Bench::new(indexed(9, 5));
    for index in [0, 1, 3] {
        b.claim(index);
    }
    b.change(|spec| spec.parallelism = 2);
    assert_eq!(b.stops(), [4, 2, 3]);
    b.offers();
    // What was stopped is run again at no cost, when there is room.
    for index in [2, 3, 4] {
        b.end(index, STOPPED);
    }
    assert_eq!(b.offers(), []);
    b.end(0, exit(0));
    assert_eq!(b.offers(), [(2, 2)]);
    assert_eq!(b.job.header().failed, 0);
}

#[test]
fn what_was_told_to_stop_keeps_its_place_until_it_ends() {
    let mut b = Bench::new(indexed(4, 2));
    b.claim(0);
    b.claim(1);
    b.change(|spec| spec.parallelism = 1);
    b.change(|spec| spec.parallelism = 2);
    b.offers();
    assert_eq!(b.stops(), [1]);
    b.end(1, STOPPED);
    assert_eq!(b.offers(), [(1, 2)]);
}

#[test]
fn a_success_after_being_told_to_stop_counts() {
    let mut b = Bench::new(indexed(2, 2));
    b.claim(1);
    b.change(|spec| spec.parallelism = 0);
    b.end(1, exit(0));
    assert!(b.job.completed().contains(1));
}

#[test]
fn a_work_queue_starts_nothing_after_its_first_success() {
    let mut b = Bench::new(work_queue(3));
    assert_eq!(b.offers(), [(0, 1), (1, 1), (2, 1)]);
    b.end(0, exit(1));
    b.end(1, exit(0));
    b.pass(60 * SECOND);
    assert_eq!(b.offers(), []);
    assert!(b.stops().is_empty(), "running ones are left to finish");
    assert!(!b.job.is_finished());
    b.end(2, exit(0));
    assert!(b.job.is_finished());
    assert_eq!((b.job.header().succeeded, b.job.header().failed), (2, 1));
    assert_eq!(b.job.in_flight().count(), 0);
}

#[test]
fn a_slot_of_a_work_queue_backs_off_too() {
    let mut b = Bench::new(work_queue(1));
    b.offers();
    b.end(0, exit(1));
    assert_eq!(b.offers(), []);
    b.pass(10 * SECOND);
    assert_eq!(b.offers(), [(0, 2)]);
}

#[test]
fn an_event_on_a_large_job_costs_what_one_index_costs() {
    let mut b = Bench::new(indexed(100_000, 400));
    assert_eq!(b.offers().len(), 400);
    for index in 0..50_000 {
        let delta = b.end(index, exit(0));
        assert_eq!((delta.live.len(), delta.completed.len()), (2, 1));
    }
    assert_eq!(b.job.in_flight().count(), 400);
    assert_eq!(b.job.completed().to_string(), "0-49999");
}

#[test]
fn many_offers_are_spread_over_commits() {
    let mut b = Bench::new(indexed(1_200, 1_100));
    assert_eq!(b.offers().len(), 500);
    assert_eq!(b.job.next_wake(), Some(0));
    b.pass(0);
    b.pass(0);
    assert_eq!(b.offers().len(), 600);
    assert_eq!(b.job.next_wake(), None);
}

#[test]
fn loaded_asks_again_for_what_may_not_have_been_done() {
    let mut b = Bench::new(indexed(4, 3));
    b.claim(1);
    let again = b.apply(Event::Loaded);
    assert!(again.changes_nothing());
    let offer = |index| Action::Offer { index, attempt: 1 };
    assert_eq!(again.actions, [offer(0), offer(2)]);
    b.change(|spec| spec.suspend = true);
    b.offers();
    b.stops();
    b.apply(Event::Loaded);
    assert_eq!(b.stops(), [0, 1, 2]);
    assert_eq!(b.offers(), []);
}

#[test]
fn a_job_of_no_completions_is_complete_at_once() {
    let mut job = Job::new(indexed(0, 1));
    job.apply(Event::Loaded, 5);
    assert!(job.is_finished());
    assert_eq!(job.header().completion_time, Some(5));
}
