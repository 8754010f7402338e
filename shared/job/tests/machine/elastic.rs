use longshore_job::{ConditionType, Delta, Event, IndexSet, Job, Spec};

use crate::bench::*;

fn scale(b: &mut Bench, to: u32) -> Delta {
    b.change(|spec| (spec.completions, spec.parallelism) = (Some(to), to))
}

#[test]
fn indexes_that_leave_are_forgotten_and_run_again_when_they_return() {
    let mut b = Bench::new(indexed(6, 6));
    b.claim(5);
    b.end(4, exit(0));
    b.end(0, exit(0));
    assert_eq!(b.job.header().succeeded, 2);
    let delta = scale(&mut b, 3);
    assert_eq!((delta.forgotten, b.stops()), (Some(3), vec![3, 5]));
    assert_eq!(b.job.header().succeeded, 1);
    let delta = b.end(5, STOPPED);
    assert_eq!(delta.live[&5], None, "nothing of it stays");
    b.offers();
    scale(&mut b, 6);
    assert_eq!(b.offers(), [(4, 2), (5, 2)], "3 has not ended yet; no number is used twice");
    b.end(3, STOPPED);
    assert_eq!(b.offers(), [(3, 2)]);
    for index in 1..6 {
        b.end(index, exit(0));
    }
    assert!(b.job.is_finished());
    assert_eq!(b.job.completed().to_string(), "0-5");
}

#[test]
fn an_index_outside_of_the_range_is_forgotten_however_it_ends() {
    let mut b = Bench::new(indexed(6, 6));
    (1..6).for_each(|index| drop(b.claim(index)));
    scale(&mut b, 1);
    for (index, outcome) in [(1, exit(0)), (2, exit(1)), (3, lost(false)), (4, STOPPED)] {
        let delta = b.end(index, outcome);
        assert_eq!((delta.completed.len(), &delta.live[&index]), (0, &None));
    }
    let header = b.job.header();
    assert_eq!((header.succeeded, header.failed, header.counted_failures), (0, 1, 1));
    assert_eq!((header.disruptions, header.terminating), (1, 1));
}

#[test]
fn waiting_indexes_that_leave_are_dropped_at_once() {
    let mut b = Bench::new(indexed(2, 2));
    b.end(1, exit(1));
    let delta = scale(&mut b, 1);
    assert_eq!(delta.live[&1], None);
    assert_eq!(b.job.next_wake(), None);
    b.offers();
    scale(&mut b, 2);
    assert_eq!(b.offers(), [(1, 2)], "its back-off is forgotten too");
}

#[test]
fn failed_indexes_that_leave_are_forgotten() {
    let mut b = Bench::new(Spec { backoff_limit_per_index: Some(0), ..indexed(3, 3) });
    b.end(2, exit(1));
    b.end(0, exit(0));
    assert_eq!(b.job.header().failed_indexes, 1);
    scale(&mut b, 2);
    assert_eq!((b.job.header().failed_indexes, b.job.header().failed), (0, 1));
    b.end(1, exit(0));
    assert!(b.job.header().is(ConditionType::Complete));
}

#[test]
fn scaled_to_what_has_succeeded_it_is_complete() {
    for to in [0, 1] {
        let mut b = Bench::new(indexed(3, 3));
        b.claim(2);
        b.end(0, exit(0));
        scale(&mut b, to);
        assert_eq!(b.stops(), [1, 2]);
        b.end(1, STOPPED);
        b.end(2, exit(1));
        assert!(b.job.header().is(ConditionType::Complete));
        assert_eq!((b.job.header().succeeded, b.job.header().failed), (to, 1));
    }
}

#[test]
fn a_new_owner_forgets_what_the_last_one_had_no_time_to() {
    let mut b = Bench::new(indexed(4, 4));
    b.end(3, exit(0));
    b.end(2, exit(1));
    let live = b.job.in_flight().map(|(index, live)| (index, live.clone())).collect::<Vec<_>>();
    let (header, completed) = (b.job.header().clone(), b.job.completed().clone());
    b.job = Job::restore(indexed(2, 2), header, completed, IndexSet::new(), live);
    let delta = b.job.apply(Event::Loaded, b.now);
    assert_eq!((delta.forgotten, &delta.live[&2]), (Some(2), &None));
    assert_eq!((b.job.header().succeeded, b.job.header().failed), (0, 1));
    b.offers();
    scale(&mut b, 4);
    assert_eq!(b.offers(), [(2, 2), (3, 2)]);
}
