//! The checker, held against histories with one rule of the protocol broken each.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;

/// A Job of one index, whose first attempt was lost with its worker and whose second succeeded.
fn good() -> History {
    let lines = read(
        "S sum 0 sum-0-a w 1000000001 r1 10.00\nB sum 0 sum-0-a w 1000000001 r1 10.10\n\
         S sum 0 sum-0-b w 1000000002 r2 26.00\nE sum 0 sum-0-b w 1000000002 r2 27.00 0\n",
    );
    let attempt = |pod: &str, phase, disrupted| AttemptRecord {
        pod: pod.into(),
        index: 0,
        phase,
        disrupted,
        reason: String::new(),
    };
    let job = JobRecord {
        name: "sum".into(),
        completions: 1,
        parallelism: 1,
        backoff_limit: 0,
        fate: Fate::Complete,
        asked: Duration::from_secs(9),
        acknowledged: true,
        deleted: None,
        sights: vec![Sight { at: Duration::from_secs(28), completed: BTreeSet::from([0]) }],
        seen_finished: Some(Duration::from_secs(28)),
        ending: Some(Ending {
            condition: Some(("Complete".into(), "CompletionsReached".into())),
            completed: BTreeSet::from([0]),
            succeeded: 1,
            failed: 0,
            attempts: vec![
                attempt("sum-0-a", Phase::Failed, true),
                attempt("sum-0-b", Phase::Succeeded, false),
            ],
        }),
    };
    History { lines: lines.expect("lines"), jobs: vec![job], ..History::default() }
}

fn broken(history: &History) -> Vec<&'static str> {
    check(history).into_iter().map(|violation| violation.invariant).collect()
}

fn ending(history: &mut History) -> &mut Ending {
    history.jobs[0].ending.as_mut().expect("an ending")
}

/// Adds a line behind those that are there.
fn then(history: &mut History, line: &str) {
    history.lines.extend(read(&format!("{line}\n")).expect("a line"));
}

#[test]
fn a_loss_and_its_replacement_are_no_violation() {
    assert_eq!(check(&good()), []);
}

#[test]
fn a_token_that_is_not_checked_is_caught() {
    // The first attempt's late success is taken too.
    let mut history = good();
    then(&mut history, "E sum 0 sum-0-a w 1000000001 r1 29.00 0");
    ending(&mut history).attempts[0] =
        AttemptRecord { phase: Phase::Succeeded, disrupted: false, ..attempt_a() };
    assert!(broken(&history).contains(&"one-success"), "{:?}", check(&history));
}

#[test]
fn a_ticket_acknowledged_before_its_claim_is_caught() {
    // Its worker died in between, and nobody knows of the attempt any more: the Job never ends.
    let mut history = good();
    history.lines.truncate(2);
    history.jobs[0].sights.clear();
    *ending(&mut history) = Ending {
        attempts: vec![AttemptRecord { phase: Phase::Unfinished, ..attempt_a() }],
        ..Ending::default()
    };
    assert!(broken(&history).contains(&"nothing-lost"), "{:?}", check(&history));
}

#[test]
fn an_expiry_counted_as_a_failure_is_caught() {
    let mut history = good();
    ending(&mut history).failed = 1;
    ending(&mut history).attempts[0].disrupted = false;
    let broken = broken(&history);
    assert!(broken.contains(&"disruptions-free") && broken.contains(&"limits-exact"), "{broken:?}");
}

#[test]
fn a_renewal_after_the_deadline_is_caught() {
    // The first container lives on although its index was given to another worker.
    let mut history = good();
    then(&mut history, "B sum 0 sum-0-a w 1000000001 r1 26.50");
    assert_eq!(broken(&history), ["never-twice-at-once", "parallelism-kept"]);
}

#[test]
fn two_containers_of_one_attempt_are_caught() {
    let mut history = good();
    then(&mut history, "S sum 0 sum-0-b w 1000000002 r3 26.10");
    then(&mut history, "B sum 0 sum-0-b w 1000000002 r2 26.20");
    assert!(broken(&history).contains(&"never-twice-at-once"), "{:?}", check(&history));
}

#[test]
fn a_token_that_repeats_is_caught() {
    let mut history = good();
    history.lines.iter_mut().for_each(|line| line.token = 1_000_000_001);
    assert_eq!(broken(&history), ["tokens-grow"]);
}

#[test]
fn an_exit_that_nobody_had_is_caught() {
    // A daemon that goes down reports 0 for a container that it killed.
    let mut history = good();
    history.lines.retain(|line| line.what != What::End(0));
    assert_eq!(broken(&history), ["nothing-lost"]);
}

#[test]
fn an_acknowledged_job_that_is_gone_is_caught() {
    let mut history = good();
    history.jobs[0].ending = None;
    assert_eq!(broken(&history), ["nothing-lost"]);
    // Unless Redis has forgotten it, or nobody was told that it is stored.
    history.rewinds.push((Duration::from_secs(5), Duration::from_secs(20)));
    assert_eq!(broken(&history), [""; 0]);
    history.rewinds.clear();
    history.jobs[0].acknowledged = false;
    assert_eq!(broken(&history), [""; 0]);
}

#[test]
fn a_success_taken_back_is_caught() {
    let mut history = good();
    let later = Sight { at: Duration::from_secs(29), completed: BTreeSet::new() };
    history.jobs[0].sights.push(later);
    assert_eq!(broken(&history), ["status-forward"]);
}

#[test]
fn an_attempt_after_the_success_is_caught() {
    let mut history = good();
    then(&mut history, "S sum 0 sum-0-c w 1000000003 r3 30.00");
    assert_eq!(broken(&history), ["one-success"]);
}

#[test]
fn what_stays_behind_is_caught() {
    let mut history = good();
    history.leftovers.containers.push("sum-0-a_main".into());
    assert_eq!(broken(&history), ["no-leftovers"]);
}

#[test]
fn a_job_that_redis_has_forgotten_must_still_never_run_twice_at_once() {
    let mut history = good();
    history.rewinds.push((Duration::from_secs(15), Duration::from_secs(20)));
    then(&mut history, "S sum 0 sum-0-c w 1000000003 r3 30.00");
    assert_eq!(broken(&history), [""; 0]);
    then(&mut history, "B sum 0 sum-0-b w 1000000002 r2 30.50");
    assert_eq!(broken(&history), ["never-twice-at-once"]);
}

fn attempt_a() -> AttemptRecord {
    good().jobs[0].ending.as_ref().expect("an ending").attempts[0].clone()
}
