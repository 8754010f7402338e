use longshore_job::ConditionType::*;
use longshore_job::{Index, IndexSet, Spec, SuccessRule};

use crate::bench::*;

fn indexes(indexes: impl IntoIterator<Item = Index>) -> Option<IndexSet> {
    Some(indexes.into_iter().collect())
}

fn policy(rules: &[(Option<IndexSet>, Option<u32>)], spec: Spec) -> Spec {
    let rules = rules.iter().cloned();
    let success_policy = rules.map(|(indexes, count)| SuccessRule { indexes, count }).collect();
    Spec { success_policy, ..spec }
}

#[test]
fn the_leader_is_enough() {
    let mut b = Bench::new(policy(&[(indexes([0]), None)], indexed(4, 3)));
    b.start(1);
    b.end(2, exit(0));
    assert_eq!(b.conditions(), []);
    b.offers();
    b.end(0, exit(0));
    assert_eq!(b.conditions(), [(SuccessCriteriaMet, "SuccessPolicy")]);
    assert_eq!(b.message(SuccessCriteriaMet), "Matched rules at index 0");
    assert_eq!((b.stops(), b.offers()), (vec![3, 1], vec![]));
    b.end(3, STOPPED);
    assert!(!b.job.is_finished());
    b.end(1, TERMINATED);
    assert_eq!(b.conditions()[1], (Complete, "SuccessPolicy"));
    let header = b.job.header();
    assert_eq!((header.succeeded, header.failed), (2, 0), "what was killed has not failed");
    assert_eq!(b.job.completed().to_string(), "0,2");
}

#[test]
fn the_first_rule_that_is_met_decides() {
    let rules = [(indexes([0, 1, 2]), Some(2)), (indexes([3, 4]), None), (None, Some(4))];
    // (indexes that succeed in order, the rule that is met by the last one)
    for (order, rule) in [
        (vec![0, 2], 0),
        (vec![5, 6, 0, 1], 0),
        (vec![0, 3, 4], 1),
        (vec![5, 6, 7, 3], 2),
        (vec![5, 6, 7, 0], 2),
    ] {
        let mut b = Bench::new(policy(&rules, indexed(9, 9)));
        for (n, index) in order.iter().enumerate() {
            assert_eq!(b.conditions(), [], "{order:?} at {n}");
            b.end(*index, exit(0));
        }
        let message = format!("Matched rules at index {rule}");
        assert_eq!(b.message(SuccessCriteriaMet), message, "{order:?}");
    }
}

#[test]
fn failure_comes_first() {
    let spec = Spec { backoff_limit: 0, ..indexed(3, 3) };
    let mut b = Bench::new(policy(&[(None, Some(1))], spec));
    b.end(1, exit(1));
    b.end(0, exit(0));
    assert_eq!(b.conditions(), [(FailureTarget, "BackoffLimitExceeded")]);

    // Both become true with the same event.
    let spec =
        Spec { backoff_limit_per_index: Some(0), max_failed_indexes: Some(5), ..indexed(2, 2) };
    let mut b = Bench::new(policy(&[(None, Some(1))], spec));
    b.end(1, exit(1));
    b.end(0, exit(0));
    assert_eq!(b.conditions()[0], (FailureTarget, "FailedIndexes"));
}

#[test]
fn a_rule_whose_indexes_can_not_all_succeed_leaves_the_job_to_its_other_ends() {
    let spec = Spec { backoff_limit_per_index: Some(0), ..indexed(3, 3) };
    let mut b = Bench::new(policy(&[(indexes([0]), None)], spec));
    b.end(0, exit(1));
    b.end(1, exit(0));
    assert_eq!(b.conditions(), []);
    b.end(2, exit(0));
    assert_eq!(b.conditions()[1], (Failed, "FailedIndexes"));
}

#[test]
fn the_counts_survive_a_change_of_owner() {
    let mut b = Bench::new(policy(&[(indexes(1..5), Some(3))], indexed(6, 6)));
    b.end(1, exit(0));
    b.end(0, exit(0));
    b.end(4, exit(0));
    b.change_owner();
    assert_eq!(b.conditions(), []);
    b.end(2, exit(0));
    assert_eq!(b.conditions(), [(SuccessCriteriaMet, "SuccessPolicy")]);
}

#[test]
fn of_a_rule_only_the_indexes_count_that_the_job_has() {
    let mut b = Bench::new(policy(&[(indexes([0, 1, 5]), None)], indexed(6, 6)));
    b.end(0, exit(0));
    b.end(1, exit(0));
    assert_eq!(b.conditions(), []);
    b.change(|spec| (spec.completions, spec.parallelism) = (Some(4), 4));
    assert_eq!(b.conditions(), [(SuccessCriteriaMet, "SuccessPolicy")]);
}

#[test]
fn no_rule_is_met_before_the_first_success() {
    let mut b = Bench::new(policy(&[(None, Some(0))], indexed(3, 1)));
    assert_eq!(b.conditions(), []);
    b.end(0, exit(0));
    assert_eq!(b.conditions()[0], (SuccessCriteriaMet, "SuccessPolicy"));
}

#[test]
fn a_success_costs_the_same_in_a_large_job() {
    let rule = (indexes((0..100_000).step_by(2)), Some(40_000));
    let mut b = Bench::new(policy(&vec![rule; 20], indexed(100_000, 100)));
    for index in 0..79_998 {
        let delta = b.end(index, exit(0));
        assert_eq!((delta.live.len(), delta.completed.len()), (2, 1));
    }
    assert_eq!(b.conditions(), []);
    b.end(79_998, exit(0));
    assert_eq!(b.conditions(), [(SuccessCriteriaMet, "SuccessPolicy")]);
}
