use longshore_job::ConditionType::*;
use longshore_job::FailureAction::*;
use longshore_job::{
    CompletionMode, Container, FailurePattern, FailureRule, Outcome, Spec, Waiting, pod_name,
};

use crate::bench::*;

fn policy(rules: &[FailureRule], spec: Spec) -> Spec {
    Spec { failure_policy: rules.to_vec(), ..spec }
}

fn container(name: &str, outcome: Outcome) -> Container {
    Container { name: name.into(), outcome: Some(outcome), ..Container::default() }
}

/// Which of the rules is the first that a failure matches: each has another effect.
fn first_match(
    rules: &[FailurePattern],
    outcome: Outcome,
    containers: &[Container],
) -> Option<usize> {
    let rules = rules.iter().map(|on| FailureRule { action: FailJob, on: on.clone() });
    let containers_named = vec!["setup".into(), "main".into(), "helper".into()];
    let spec = Spec { containers: containers_named, ..indexed(1, 1) };
    let mut b = Bench::new(policy(&rules.collect::<Vec<_>>(), spec));
    b.start(0);
    b.end_all(0, outcome, containers.to_vec());
    let message = b.message(FailureTarget);
    message.rsplit_once(' ').map(|(_, rule)| rule.parse().expect("the message ends with it"))
}

fn codes(container: Option<&str>, within: bool, values: &[i32]) -> FailurePattern {
    let container = container.map(str::to_owned);
    FailurePattern::ExitCodes { container, within, values: values.into() }
}

#[test]
fn fail_job_ends_it_at_once_and_says_why() {
    let mut b = Bench::new(policy(&[on_exit(Count, &[1]), on_exit(FailJob, &[42])], indexed(4, 3)));
    b.start(1);
    b.end(0, exit(1));
    assert_eq!(b.conditions(), []);
    b.end(2, exit(42));
    assert_eq!(b.conditions(), [(FailureTarget, "PodFailurePolicy")]);
    let pod = pod_name("job", "uid", CompletionMode::Indexed, 2, 1);
    let message = format!(
        "Container main for pod default/{pod} failed with exit code 42 matching FailJob rule at index 1"
    );
    assert_eq!(b.message(FailureTarget), message);
    assert_eq!(b.stops(), [3, 1]);
    b.end(1, TERMINATED);
    b.end(3, STOPPED);
    assert_eq!(b.conditions()[1], (Failed, "PodFailurePolicy"));
    assert_eq!(b.message(Failed), message);
    assert!(b.reports().contains(&"PodFailurePolicy"));
    assert_eq!((b.job.header().failed, b.job.header().counted_failures), (4, 2));
}

#[test]
fn fail_job_comes_before_the_backoff_limit() {
    let spec = Spec { backoff_limit: 0, ..indexed(1, 1) };
    let mut b = Bench::new(policy(&[on_exit(FailJob, &[42])], spec));
    b.end(0, exit(42));
    assert_eq!(b.conditions()[0], (FailureTarget, "PodFailurePolicy"));
}

#[test]
fn ignored_failures_count_nowhere_but_wait_their_back_off() {
    let spec = Spec { backoff_limit: 0, ..indexed(1, 1) };
    let mut b = Bench::new(policy(&[on_exit(Ignore, &[42])], spec));
    b.offers();
    for (attempt, wait) in [(2, 10), (3, 20), (4, 40)] {
        b.end(0, exit(42));
        b.pass(wait * SECOND - 1);
        assert_eq!(b.offers(), []);
        b.pass(1);
        assert_eq!(b.offers(), [(0, attempt)]);
    }
    assert_eq!(b.conditions(), []);
    assert_eq!((b.job.header().failed, b.job.header().counted_failures), (0, 0));
    b.end(0, exit(1));
    assert_eq!(b.conditions()[0], (FailureTarget, "BackoffLimitExceeded"));
}

#[test]
fn a_disruption_counts_when_a_rule_says_so() {
    // (action, failed, counted, disruptions, the reason of the Job's failure)
    for (action, failed, reason) in [
        (None, 0, None),
        (Some(Ignore), 0, None),
        (Some(Count), 1, Some("BackoffLimitExceeded")),
        (Some(FailJob), 1, Some("PodFailurePolicy")),
    ] {
        let rules: Vec<_> = action.into_iter().map(on_disruption).collect();
        let spec = Spec { backoff_limit: 0, ..indexed(1, 1) };
        let mut b = Bench::new(policy(&rules, spec));
        b.start(0);
        b.end(0, lost(true));
        let header = b.job.header();
        assert_eq!((header.failed, header.counted_failures), (failed, failed), "{action:?}");
        assert_eq!(header.disruptions, 1);
        let failed = header.condition(FailureTarget).map(|condition| condition.reason.as_str());
        assert_eq!(failed, reason, "{action:?}");
        // Ignored or not, the first disruption is made good at once.
        assert_eq!(b.job.header().active, u32::from(reason.is_none()));
        assert!(b.reports().contains(&"Disrupted"));
    }
}

#[test]
fn a_counted_disruption_backs_off_as_a_failure() {
    let mut b = Bench::new(policy(&[on_disruption(Count)], indexed(1, 1)));
    b.end(0, lost(false));
    assert_eq!(b.job.next_wake(), Some(b.now + 10 * SECOND));
    b.pass(10 * SECOND);
    b.end(0, exit(1));
    assert_eq!(b.job.next_wake(), Some(b.now + 20 * SECOND));
}

#[test]
fn a_disruption_can_fail_its_index() {
    let spec = Spec { backoff_limit_per_index: Some(3), ..indexed(2, 2) };
    let mut b = Bench::new(policy(&[on_disruption(FailIndex)], spec));
    b.end(1, lost(false));
    assert_eq!(b.job.failed().to_string(), "1");
    assert_eq!((b.job.header().failed, b.job.header().disruptions), (1, 1));
}

#[test]
fn losing_hosts_ends_the_job_whatever_is_ignored() {
    for action in [Ignore, Count] {
        let spec = Spec { max_disruptions: 1, backoff_limit: 9, ..indexed(1, 1) };
        let mut b = Bench::new(policy(&[on_disruption(action)], spec));
        b.end(0, lost(true));
        b.pass(60 * SECOND);
        assert_eq!(b.conditions(), []);
        b.end(0, lost(true));
        assert_eq!(b.conditions()[0], (FailureTarget, "DisruptedTooOften"));
    }
}

#[test]
fn exit_codes_are_those_of_containers_that_failed() {
    let setup_3 = codes(Some("setup"), true, &[3]);
    let helper_3 = codes(Some("helper"), true, &[3]);
    let any_3 = codes(None, true, &[3, 5]);
    let not_3 = codes(None, false, &[3, 5]);
    let rules = [setup_3, helper_3, any_3, not_3];
    let start_error = |code| Outcome::StartError { reason: "x".into(), message: "y".into(), code };
    let pod_failed = |code| {
        let reason = "DeadlineExceeded".into();
        Outcome::PodFailed { reason, message: String::new(), code }
    };
    let running = Container { running: true, ..container("setup", exit(3)) };
    let waiting = Waiting { reason: "CrashLoopBackOff".into(), message: String::new() };
    let waiting = Container { waiting: Some(waiting), ..container("setup", exit(3)) };
    for (outcome, containers, rule) in [
        // The only container is the last one named.
        (exit(3), vec![], Some(1)),
        (exit(5), vec![], Some(2)),
        (exit(4), vec![], Some(3)),
        (start_error(128), vec![], Some(3)),
        (pod_failed(Some(5)), vec![], Some(2)),
        (pod_failed(Some(0)), vec![], None),
        (pod_failed(None), vec![], None),
        (lost(true), vec![], None),
        (lost(true), vec![container("main", exit(3))], None),
        (exit(3), vec![container("setup", exit(3))], Some(0)),
        (exit(3), vec![container("setup", exit(0)), container("main", exit(3))], Some(2)),
        (exit(3), vec![container("main", exit(3)), container("helper", exit(137))], Some(2)),
        (exit(9), vec![container("main", exit(0)), container("helper", exit(9))], Some(3)),
        (exit(3), vec![running, container("main", exit(5))], Some(2)),
        (exit(3), vec![waiting, container("main", exit(5))], Some(2)),
    ] {
        let matched = first_match(&rules, outcome.clone(), &containers);
        assert_eq!(matched, rule, "{outcome:?} {containers:?}");
    }
}

#[test]
fn conditions_are_those_of_a_failed_pod() {
    let pattern = |kind: &str, status: &str| on_condition(Count, kind, status).on;
    for (kind, status, of_exit, of_disruption) in [
        ("DisruptionTarget", "True", false, true),
        ("DisruptionTarget", "False", false, false),
        ("Ready", "False", true, true),
        ("Ready", "True", false, false),
        ("ContainersReady", "False", true, true),
        ("Initialized", "True", true, true),
        ("PodScheduled", "True", true, true),
        ("PodScheduled", "False", false, false),
        ("example.com/custom", "True", false, false),
        ("example.com/custom", "Unknown", false, false),
    ] {
        for (outcome, expected) in [(exit(1), of_exit), (lost(false), of_disruption)] {
            let matched = first_match(&[pattern(kind, status)], outcome, &[]).is_some();
            assert_eq!(matched, expected, "{kind} {status}");
        }
    }
    let mut b = Bench::new(policy(&[on_disruption(FailJob)], indexed(1, 1)));
    b.end(0, lost(false));
    let pod = pod_name("job", "uid", CompletionMode::Indexed, 0, 1);
    let message = format!(
        "Pod default/{pod} has condition DisruptionTarget matching FailJob rule at index 0"
    );
    assert_eq!(b.message(FailureTarget), message);
}

#[test]
fn a_deleted_pod_is_judged_by_its_exit_code() {
    let mut b = Bench::new(policy(&[on_exit(Ignore, &[143])], indexed(1, 1)));
    b.start(0);
    b.delete(0, 30);
    b.end(0, TERMINATED);
    assert_eq!(b.figures(), (0, 0, 0));
    assert_eq!(b.job.next_wake(), Some(b.now + 10 * SECOND));
}

#[test]
fn what_the_owner_stopped_or_what_succeeded_is_not_judged() {
    let rules = [on_exit(FailJob, &[143]), on_condition(FailJob, "Ready", "False")];
    let mut b = Bench::new(policy(&rules, indexed(2, 2)));
    b.start(0);
    b.start(1);
    b.change(|spec| spec.suspend = true);
    b.end(0, TERMINATED);
    b.end(1, exit(0));
    assert!(!b.job.header().is(FailureTarget));
}

#[test]
fn a_job_that_has_ended_or_is_deleted_gets_no_new_reason() {
    let mut b = Bench::new(policy(&[on_exit(FailJob, &[42])], indexed(2, 2)));
    b.start(0);
    b.apply(longshore_job::Event::DeleteRequested);
    b.end(0, exit(42));
    assert_eq!(b.conditions(), []);
}
