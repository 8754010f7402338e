use longshore_job::{Action, ConditionType, Event, FailureAction, RestartPolicy, Spec};

use crate::bench::*;

#[test]
fn a_deleted_pod_is_replaced_after_it_has_ended_and_backed_off() {
    let mut b = Bench::new(indexed(1, 1));
    b.start(0);
    b.actions.clear();
    let deleted = b.now;
    let delta = b.delete(0, 5);
    assert!(delta.live.is_empty(), "the store has marked the record");
    assert_eq!(b.actions, [Action::Stop { index: 0, attempt: 1, grace_seconds: 5 }]);
    assert_eq!(b.figures(), (0, 0, 1));
    let attempt = b.job.live(0).map(|live| live.attempt.clone()).expect("it is in flight");
    assert_eq!((attempt.deleted, attempt.evicted), (Some(deleted), false));
    b.pass(SECOND);
    b.end(0, TERMINATED);
    assert_eq!(b.figures(), (0, 1, 0));
    assert_eq!(b.job.next_wake(), Some(b.now + 10 * SECOND));
    b.pass(10 * SECOND);
    assert_eq!(b.offers(), [(0, 2)]);
    assert_eq!(b.figures(), (1, 1, 0));
    assert_eq!(b.job.header().counted_failures, 1);
    assert_eq!(b.job.live(0).and_then(|live| live.attempt.deleted), None);
}

#[test]
fn the_end_of_a_deleted_pod_counts_by_its_exit() {
    // (outcome, failed, succeeded, disruptions)
    let ends = [
        (exit(0), 0, 1, 0),
        (exit(3), 1, 0, 0),
        (longshore_job::Outcome::Stopped { code: Some(0) }, 0, 1, 0),
        (TERMINATED, 1, 0, 0),
        (STOPPED, 1, 0, 0),
        (lost(false), 0, 0, 1),
    ];
    for policy in [RestartPolicy::Never, RestartPolicy::OnFailure] {
        for (outcome, failed, succeeded, disruptions) in ends.clone() {
            let mut b = Bench::new(Spec { restart_policy: policy, ..indexed(2, 2) });
            b.start(0);
            b.delete(0, 30);
            b.end(0, outcome);
            let header = b.job.header();
            assert_eq!((header.failed, header.counted_failures), (failed, failed));
            assert_eq!((header.succeeded, header.disruptions), (succeeded, disruptions));
        }
    }
}

#[test]
fn an_evicted_pod_is_a_disruption_unless_it_ends_by_itself() {
    for (outcome, failed, succeeded, disruptions) in
        [(TERMINATED, 0, 0, 1), (STOPPED, 0, 0, 1), (exit(1), 1, 0, 0), (exit(0), 0, 1, 0)]
    {
        let mut b = Bench::new(Spec { backoff_limit: 1, ..indexed(2, 2) });
        b.start(0);
        b.reports();
        b.evict(0);
        assert_eq!((b.stops(), b.figures()), (vec![0], (1, 0, 1)));
        b.end(0, outcome);
        let header = b.job.header();
        assert_eq!((header.failed, header.succeeded), (failed, succeeded));
        assert_eq!(header.disruptions, disruptions);
        assert_eq!(b.reports().contains(&"Disrupted"), disruptions == 1);
        assert_eq!(b.attempt(0), if succeeded == 1 { 0 } else { 2 });
    }
}

#[test]
fn a_policy_may_tell_an_eviction_from_an_exit() {
    for (rule, failed) in [
        (on_disruption(FailureAction::FailJob), true),
        (on_exit(FailureAction::FailJob, &[143]), false),
    ] {
        let mut b = Bench::new(Spec { failure_policy: vec![rule], ..indexed(1, 1) });
        b.start(0);
        b.evict(0);
        b.end(0, TERMINATED);
        assert_eq!(b.job.header().is(ConditionType::Failed), failed);
    }
}

#[test]
fn a_pod_that_no_worker_has_claimed_can_be_deleted() {
    let mut b = Bench::new(indexed(1, 1));
    b.delete(0, 30);
    assert_eq!(b.stops(), [0]);
    b.end(0, STOPPED);
    assert_eq!(b.figures(), (0, 1, 0));
}

#[test]
fn the_shortest_grace_period_counts() {
    let mut b = Bench::new(indexed(1, 1));
    b.start(0);
    b.delete(0, 20);
    let graces = |b: &mut Bench| {
        let graces = b.actions.iter().filter_map(|action| match action {
            Action::Stop { grace_seconds, .. } => Some(*grace_seconds),
            _ => None,
        });
        let graces: Vec<u32> = graces.collect();
        b.actions.clear();
        graces
    };
    assert_eq!(graces(&mut b), [20]);
    b.delete(0, 20);
    b.delete(0, 60);
    assert!(graces(&mut b).is_empty());
    let first = b.now;
    b.now += SECOND;
    b.delete(0, 0);
    assert_eq!(graces(&mut b), [0]);
    assert_eq!(b.job.live(0).and_then(|live| live.attempt.deleted), Some(first));
}

#[test]
fn deleting_another_attempt_changes_nothing() {
    let mut b = Bench::new(indexed(1, 1));
    b.end(0, lost(false));
    b.actions.clear();
    for (index, attempt) in [(0, 1), (0, 3), (1, 1)] {
        let at = b.now;
        let event = Event::PodDeleted { index, attempt, at, grace_seconds: 0, evicted: false };
        let delta = b.apply(event);
        assert!(delta.changes_nothing() && delta.actions.is_empty());
    }
}

#[test]
fn a_deletion_survives_a_change_of_owner() {
    let mut b = Bench::new(indexed(2, 2));
    b.start(0);
    // The store has marked the record; the last owner was lost before it had the attempt stopped.
    let mut live = b.job.live(0).cloned().expect("it is in flight");
    live.attempt.deleted = Some(b.now);
    let header = b.job.header().clone();
    let set = longshore_job::IndexSet::new;
    b.job = longshore_job::Job::restore(indexed(2, 2), header, set(), set(), [(0, live)]);
    b.actions.clear();
    b.apply(Event::Loaded);
    assert_eq!(b.actions[0], Action::Stop { index: 0, attempt: 1, grace_seconds: 30 });
    b.actions.clear();
    b.delete(0, 4);
    assert_eq!(b.actions, [Action::Stop { index: 0, attempt: 1, grace_seconds: 4 }]);
    b.end(0, TERMINATED);
    assert_eq!(b.job.header().failed, 1);
}
