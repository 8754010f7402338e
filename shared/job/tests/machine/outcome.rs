use longshore_job::{
    ConditionType, Event, IndexSet, Job, Outcome, RestartDue, RestartPolicy, Spec,
};

use crate::bench::*;

fn on_failure(completions: u32, parallelism: u32) -> Spec {
    Spec { restart_policy: RestartPolicy::OnFailure, ..indexed(completions, parallelism) }
}

#[test]
fn a_failure_backs_off_its_index_alone() {
    let mut b = Bench::new(indexed(3, 1));
    b.offers();
    for delay in [10, 20, 40] {
        b.end(0, exit(1));
        b.pass(delay * SECOND - 1);
        assert_eq!(b.job.live(0).map(|live| live.due), Some(Some(b.now + 1)));
        b.offers();
        b.end(1, lost(false));
        b.pass(1);
        // The other index has run meanwhile, and makes room now.
        b.change(|spec| spec.parallelism = 2);
        assert!(b.offers().iter().any(|(index, _)| *index == 0));
        b.change(|spec| spec.parallelism = 1);
        b.end(1, STOPPED);
    }
    assert_eq!(b.job.header().failed, 3);
    assert_eq!(b.attempt(0), 4);
}

#[test]
fn a_clock_that_steps_back_makes_no_wait_longer() {
    let hour = 3600 * SECOND;
    for (end, wait) in [(exit(1), 10 * SECOND), (lost(false), SECOND)] {
        let mut b = Bench::new(indexed(1, 1));
        b.offers();
        b.now += hour;
        b.end(0, lost(false));
        b.offers();
        b.end(0, end);
        b.now -= hour;
        b.apply(Event::Tick);
        assert_eq!(b.job.next_wake(), Some(b.now + wait));
        b.pass(wait);
        assert_eq!(b.offers(), [(0, 3)]);
    }
}

#[test]
fn a_start_error_counts_as_a_failure() {
    let mut b = Bench::new(indexed(1, 1));
    let reason = "ErrImagePull".to_owned();
    b.end(0, Outcome::StartError { reason, message: String::new(), code: 128 });
    assert_eq!((b.job.header().failed, b.job.header().counted_failures), (1, 1));
}

#[test]
fn disruptions_are_free_and_back_off_in_a_row() {
    let mut b = Bench::new(indexed(1, 1));
    b.offers();
    b.end(0, lost(true));
    assert_eq!(b.offers(), [(0, 2)], "the first one is re-run at once");
    for (attempt, delay) in [(3, 1), (4, 2), (5, 4)] {
        b.end(0, lost(false));
        b.pass(delay * SECOND - 1);
        assert_eq!(b.offers(), []);
        b.pass(1);
        assert_eq!(b.offers(), [(0, attempt)]);
    }
    b.end(0, exit(1));
    b.pass(10 * SECOND);
    b.offers();
    b.end(0, lost(false));
    assert_eq!(b.offers(), [(0, 7)], "an exit of the container begins a new row");
    let header = b.job.header();
    assert_eq!((header.failed, header.counted_failures, header.disruptions), (1, 1, 5));
}

#[test]
fn a_container_that_takes_its_host_down_ends_the_job() {
    let mut b = Bench::new(Spec { max_disruptions: 2, ..indexed(1, 1) });
    for _ in 0..2 {
        b.end(0, lost(true));
        b.end(0, lost(false));
        b.pass(60 * SECOND);
    }
    assert!(!b.job.is_finished());
    b.end(0, lost(true));
    assert!(b.job.is_finished());
    assert_eq!(b.conditions()[0].1, "DisruptedTooOften");
    assert_eq!(b.job.header().failed, 0);
}

#[test]
fn an_attempt_that_takes_its_worker_down_before_it_starts_ends_the_job() {
    let mut b = Bench::new(Spec { max_disruptions: 2, ..indexed(1, 1) });
    for _ in 0..3 {
        assert!(!b.job.is_finished());
        b.claim(0);
        b.end(0, lost(true));
        b.pass(60 * SECOND);
    }
    assert_eq!(b.conditions()[0].1, "DisruptedTooOften");
    let message = "Index 0 lost its worker, host or container engine more than 2 times";
    assert_eq!(b.message(ConditionType::Failed), message);
}

#[test]
fn a_ticket_that_no_worker_survives_ends_the_job() {
    let mut b = Bench::new(indexed(3, 2));
    b.start(1);
    b.apply(Event::TicketSetAside { index: 0, attempt: 1, readers: 21 });
    assert_eq!(b.stops(), [0, 1], "nothing of the Job goes on");
    b.end(0, STOPPED);
    b.end(1, TERMINATED);
    assert_eq!(b.conditions()[0].1, "DisruptedTooOften");
    let message = "No worker survived reading the ticket of index 0: 21 were lost with it, one after the other";
    assert_eq!(b.message(ConditionType::Failed), message);
    assert!(b.reports().contains(&"DisruptedTooOften"), "the user is told by an event, too");
}

#[test]
fn a_ticket_that_a_lost_worker_gave_back_is_void() {
    let mut b = Bench::new(indexed(4, 4));
    b.start(0);
    b.end(1, lost(true));
    b.delete(2, 30);
    b.start(3);
    b.end(3, exit(0));
    for (index, attempt) in [(0, 1), (1, 1), (2, 1), (3, 1), (0, 2), (9, 1)] {
        let delta = b.apply(Event::TicketSetAside { index, attempt, readers: 21 });
        assert!(
            delta.changes_nothing() && delta.actions.is_empty(),
            "{index}.{attempt}: {delta:?}"
        );
    }
    assert_eq!(b.conditions(), []);
}

#[test]
fn in_place_restarts_wait_their_back_off() {
    let mut b = Bench::new(on_failure(1, 1));
    b.start(0);
    assert_eq!(b.job.header().ready, 1);
    let delta = b.container_fails(0, 1);
    let due = b.now + 10 * SECOND;
    assert_eq!(delta.restarts[&0], RestartDue { attempt: 1, counted: 1, due });
    assert!(delta.live.is_empty(), "the record of a claimed attempt belongs to its worker");
    assert_eq!(b.job.header().ready, 0);
    assert_eq!(b.job.next_wake(), Some(due));
    b.pass(10 * SECOND);
    assert_eq!(b.restarts(), [(0, 1)]);
    assert_eq!(b.job.next_wake(), None);
    b.container_fails(0, 1);
    assert_eq!(b.job.header().counted_failures, 1, "a repeat counts once");
    b.container_fails(0, 2);
    assert_eq!(b.job.next_wake(), Some(b.now + 20 * SECOND));
    let header = b.job.header();
    assert_eq!((header.failed, header.counted_failures, header.active), (0, 2, 1));
}

#[test]
fn in_place_failures_survive_a_disruption() {
    let mut b = Bench::new(on_failure(1, 1));
    b.start(0);
    b.container_fails(0, 1);
    b.end(0, lost(true));
    b.start(0);
    assert_eq!(b.attempt(0), 2);
    b.container_fails(0, 1);
    assert_eq!(b.job.header().counted_failures, 2);
    assert_eq!(b.job.next_wake(), Some(b.now + 20 * SECOND));
}

#[test]
fn a_restart_that_was_due_is_granted_after_a_change_of_owner() {
    let mut b = Bench::new(on_failure(1, 1));
    b.start(0);
    b.container_fails(0, 1);
    let live = b.job.live(0).cloned().expect("it is in flight");
    let header = b.job.header().clone();
    b.job = Job::restore(on_failure(1, 1), header, IndexSet::new(), IndexSet::new(), [(0, live)]);
    b.now += 10 * SECOND;
    b.apply(Event::Loaded);
    assert_eq!(b.restarts(), [(0, 1)]);
}

#[test]
fn events_about_another_attempt_are_ignored() {
    let mut b = Bench::new(indexed(1, 1));
    b.end(0, lost(false));
    b.actions.clear();
    for attempt in [1, 3] {
        let delta = b.apply(Event::Finished {
            index: 0,
            attempt,
            outcome: exit(0),
            containers: Vec::new(),
        });
        assert!(delta.changes_nothing() && delta.actions.is_empty());
    }
    let delta =
        b.apply(Event::Finished { index: 7, attempt: 1, outcome: exit(0), containers: Vec::new() });
    assert!(delta.changes_nothing() && delta.actions.is_empty());
}
