//! What a Job's policies may say, and what each mistake is called.

use serde_json::{Value, json};

use crate::testing::{errors, prepared, with};
use crate::validate::{validate, warnings};

/// A valid Job with these fields in its spec.
fn job(fields: Value) -> Value {
    let mut job = with("/spec/suspend", json!(false));
    for (field, value) in fields.as_object().cloned().unwrap_or_default() {
        job["spec"][field] = value;
    }
    job
}

fn failure_rule(rule: Value) -> Value {
    job(json!({"podFailurePolicy": {"rules": [rule]}}))
}

fn success_rule(rule: Value) -> Value {
    job(json!({"successPolicy": {"rules": [rule]}}))
}

fn on_exit_codes(codes: Value) -> Value {
    failure_rule(json!({"action": "FailJob", "onExitCodes": codes}))
}

#[test]
fn good_policies_have_no_errors() {
    let none: [&str; 0] = [];
    let all = job(json!({
        "backoffLimitPerIndex": 0, "maxFailedIndexes": 3, "podReplacementPolicy": "Failed",
        "managedBy": "acme.io/foo",
        "podFailurePolicy": {"rules": [
            {"action": "FailIndex", "onExitCodes": {"containerName": "c", "operator": "In",
                "values": [1, 42]}},
            {"action": "Count", "onExitCodes": {"operator": "NotIn", "values": [0]}},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]},
        "successPolicy": {"rules": [{"succeededIndexes": "0,1-2", "succeededCount": 3},
            {"succeededCount": 0}]}
    }));
    assert_eq!(errors(all.clone()), none);
    let warnings = warnings(&prepared(all));
    assert_eq!(
        warnings[0].0,
        "spec.managedBy leaves the Job to the controller acme.io/foo: it is not run here"
    );
    assert_eq!(errors(job(json!({"managedBy": "kubernetes.io/job-controller"}))), none);
    assert_eq!(errors(job(json!({"podFailurePolicy": {"rules": []}}))), none);
}

#[test]
fn each_mistake_has_kubernetes_words() {
    let rules = "spec.podFailurePolicy.rules";
    let many_rules = vec![json!({"action": "Ignore", "onPodConditions": [{"type": "X"}]}); 21];
    let many_codes: Vec<i32> = (1..=256).collect();
    let many_conditions = vec![json!({"type": "X"}); 21];
    let many_successes = vec![json!({"succeededCount": 1}); 21];
    let long = format!("acme.io/{}", "x".repeat(60));
    let codes = "spec.podFailurePolicy.rules[0].onExitCodes";
    let conditions = "spec.podFailurePolicy.rules[0].onPodConditions";
    let success = "spec.successPolicy.rules[0]";
    let cases = [
        (
            job(json!({"podFailurePolicy": {"rules": many_rules}})),
            format!("{rules}: Too many: 21: must have at most 20 items"),
        ),
        (
            failure_rule(json!({"onPodConditions": [{"type": "X"}]})),
            format!(
                "{rules}[0].action: Required value: valid values: [\"Count\" \"FailIndex\" \
                     \"FailJob\" \"Ignore\"]"
            ),
        ),
        (
            failure_rule(json!({"action": "X", "onPodConditions": [{"type": "X"}]})),
            format!("{rules}[0].action: Unsupported value: \"X\": supported values: \"Count\", "),
        ),
        (
            failure_rule(json!({"action": "FailIndex", "onPodConditions": [{"type": "X"}]})),
            format!(
                "{rules}[0].action: Invalid value: \"FailIndex\": requires the \
                     backoffLimitPerIndex to be set"
            ),
        ),
        (
            failure_rule(json!({"action": "Count"})),
            format!(
                "{rules}[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions \
                     is required"
            ),
        ),
        (
            failure_rule(json!({"action": "Count", "onPodConditions": [{"type": "X"}],
                "onExitCodes": {"operator": "In", "values": [1]}})),
            format!(
                "{rules}[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is \
                     not supported"
            ),
        ),
        (
            on_exit_codes(json!({"operator": "X", "values": [1]})),
            format!(
                "{codes}.operator: Unsupported value: \"X\": supported values: \"In\", \
                     \"NotIn\""
            ),
        ),
        (
            on_exit_codes(json!({"operator": "In", "values": [1], "containerName": "x"})),
            format!(
                "{codes}.containerName: Invalid value: \"x\": must be one of the container or \
                     initContainer names in the pod template"
            ),
        ),
        (
            on_exit_codes(json!({"operator": "In", "values": []})),
            format!("{codes}.values: Invalid value: []: at least one value is required"),
        ),
        (
            on_exit_codes(json!({"operator": "In", "values": many_codes})),
            format!("{codes}.values: Too many: 256: must have at most 255 items"),
        ),
        (
            on_exit_codes(json!({"operator": "In", "values": [0]})),
            format!("{codes}.values[0]: Invalid value: 0: must not be 0 for the In operator"),
        ),
        (
            on_exit_codes(json!({"operator": "In", "values": [2, 2]})),
            format!("{codes}.values[1]: Duplicate value: 2"),
        ),
        (
            on_exit_codes(json!({"operator": "In", "values": [2, 1]})),
            format!("{codes}.values: Invalid value: [2,1]: must be ordered"),
        ),
        (
            failure_rule(json!({"action": "Count", "onPodConditions": many_conditions})),
            format!("{conditions}: Too many: 21: must have at most 20 items"),
        ),
        (
            failure_rule(json!({"action": "Count", "onPodConditions": [{"type": "a b"}]})),
            format!("{conditions}[0].type: Invalid value: \"a b\": name part"),
        ),
        (
            failure_rule(json!({"action": "Count", "onPodConditions": [
                {"type": "X", "status": "x"}]})),
            format!(
                "{conditions}[0].status: Unsupported value: \"x\": supported values: \
                     \"False\", \"True\", \"Unknown\""
            ),
        ),
        (
            job(json!({"podFailurePolicy": {"rules": []},
                "podReplacementPolicy": "TerminatingOrFailed"})),
            "spec.podReplacementPolicy: Unsupported value: \"TerminatingOrFailed\": supported \
             values: \"Failed\""
                .into(),
        ),
        (
            job(json!({"successPolicy": {"rules": []}})),
            "spec.successPolicy.rules: Required value: at least one rules must be specified when \
             the successPolicy is specified"
                .into(),
        ),
        (
            job(json!({"successPolicy": {"rules": many_successes}})),
            "spec.successPolicy.rules: Too many: 21: must have at most 20 items".into(),
        ),
        (
            job(json!({"completionMode": "NonIndexed", "successPolicy": {"rules": []}})),
            "spec.successPolicy: Invalid value: requires indexed completion mode".into(),
        ),
        (
            success_rule(json!({})),
            format!(
                "{success}: Required value: at least one of succeededCount or \
                     succeededIndexes must be specified"
            ),
        ),
        (
            success_rule(json!({"succeededIndexes": "1,1"})),
            format!(
                "{success}.succeededIndexes: Invalid value: \"1,1\": error parsing \
                     succeededIndexes: non-increasing order, previous: 1, current: 1"
            ),
        ),
        (
            success_rule(json!({"succeededIndexes": "3"})),
            format!(
                "{success}.succeededIndexes: Invalid value: \"3\": error parsing \
                     succeededIndexes: too large index: \"3\""
            ),
        ),
        (
            success_rule(json!({"succeededIndexes": "0,".repeat(40_000)})),
            format!("{success}.succeededIndexes: Too long: may not be more than 65536 bytes"),
        ),
        (
            success_rule(json!({"succeededCount": -1})),
            format!(
                "{success}.succeededCount: Invalid value: -1: must be greater than or equal to \
                     0"
            ),
        ),
        (
            success_rule(json!({"succeededCount": 4})),
            format!(
                "{success}.succeededCount: Invalid value: 4: must be less than or equal to 3 \
                     (the number of specified completions)"
            ),
        ),
        (
            success_rule(json!({"succeededCount": 2, "succeededIndexes": "1"})),
            format!(
                "{success}.succeededCount: Invalid value: 2: must be less than or equal to 1 \
                     (the number of indexes in the specified succeededIndexes field)"
            ),
        ),
        (
            job(json!({"completions": 2_000_000_000, "successPolicy": {"rules": [
                {"succeededIndexes": "0-1999999999"}]}})),
            format!(
                "{success}.succeededIndexes: Forbidden: not supported yet: indexes higher than \
                     999999"
            ),
        ),
        (
            job(json!({"maxFailedIndexes": 1})),
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is specified".into(),
        ),
        (
            job(json!({"backoffLimitPerIndex": 1, "maxFailedIndexes": 4})),
            "spec.maxFailedIndexes: Invalid value: 4: must be less than or equal to completions"
                .into(),
        ),
        (
            job(json!({"backoffLimitPerIndex": 1, "completionMode": "NonIndexed"})),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode".into(),
        ),
        (
            job(json!({"backoffLimitPerIndex": 1, "completions": 100_001})),
            "spec.maxFailedIndexes: Required value: must be specified when completions is above \
             100000"
                .into(),
        ),
        (
            job(json!({"backoffLimitPerIndex": 1, "completions": 200_000,
                "maxFailedIndexes": 100_001})),
            "spec.maxFailedIndexes: Invalid value: 100001: must be less than or equal to 100000"
                .into(),
        ),
        (
            job(json!({"backoffLimitPerIndex": 1, "completions": 100_001, "maxFailedIndexes": 1,
                "parallelism": 10_001})),
            "spec.parallelism: Invalid value: 10001: must be less than or equal to 10000 when \
             completions are above 100000 and used with backoff limit per index"
                .into(),
        ),
        (
            job(json!({"backoffLimitPerIndex": -1})),
            "spec.backoffLimitPerIndex: Invalid value: -1: must be greater than or equal to 0"
                .into(),
        ),
        (
            job(json!({"managedBy": "foo"})),
            "spec.managedBy: Invalid value: \"foo\": must be a domain-prefixed path (such as \
             \"acme.io/foo\")"
                .into(),
        ),
        (
            job(json!({"managedBy": "Acme/foo"})),
            "spec.managedBy: Invalid value: \"Acme\": a lowercase RFC 1123 subdomain".into(),
        ),
        (
            job(json!({"managedBy": "acme.io/a b"})),
            "spec.managedBy: Invalid value: \"a b\": Invalid path".into(),
        ),
        (
            job(json!({"managedBy": long})),
            "spec.managedBy: Too long: may not be more than 63 bytes".into(),
        ),
        (job(json!({"managedBy": ""})), "spec.managedBy: Required value".into()),
    ];
    for (job, expected) in cases {
        let found = errors(job);
        let told = found.iter().any(|error| error.contains(&expected));
        assert!(told, "{expected:?} is not in {found:#?}");
    }
}

#[test]
fn pods_that_are_restarted_in_place_have_no_policy() {
    for (field, value) in
        [("podFailurePolicy", json!({"rules": []})), ("backoffLimitPerIndex", json!(1))]
    {
        let mut job = job(json!({field: value}));
        job["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
        let expected = format!(
            "spec.template.spec.restartPolicy: Invalid value: \"OnFailure\": only \"Never\" is \
             supported when {field} is specified"
        );
        assert_eq!(errors(job), [expected]);
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let job = job(json!({
        "backoffLimitPerIndex": -1, "managedBy": "x",
        "podFailurePolicy": {"rules": [{"action": "X"}, {"action": "FailJob"}]},
        "successPolicy": {"rules": [{}]}
    }));
    assert_eq!(validate(&prepared(job)).len(), 6);
}
