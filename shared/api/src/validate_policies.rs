//! The rules for `podFailurePolicy`, `successPolicy` and `managedBy`.

use std::collections::BTreeSet;

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule, SuccessPolicyRule,
};
use serde_json::json;

use crate::field::FieldError;
use crate::indexes::parse_intervals;
use crate::names;
use crate::rules::not_negative;

/// Successes may be asked of indexes up to here only, as each rule keeps a bitmap of them.
const MAX_POLICY_INDEX: u32 = 999_999;

const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_CONDITIONS: usize = 20;
const MAX_INDEXES_TEXT: usize = 64 * 1024;
const MAX_MANAGED_BY: usize = 63;

/// `spec.managedBy`: a path below a domain.
pub(crate) fn managed_by(spec: &JobSpec, errors: &mut Vec<FieldError>) {
    let path = "spec.managedBy";
    let Some(name) = spec.managed_by.as_deref() else { return };
    if name.is_empty() {
        errors.push(FieldError::required(path, ""));
        return;
    }
    match name.split_once('/') {
        Some((domain, rest)) if !domain.is_empty() && !rest.is_empty() => {
            if let Some(problem) = names::dns1123_subdomain(domain) {
                errors.push(FieldError::invalid(path, domain, problem));
            }
            let in_path = |c: char| c.is_ascii_alphanumeric() || "/-._~%!$&'()*+,;=:".contains(c);
            if !rest.chars().all(in_path) {
                let problem = "Invalid path (regex used for validation is \
                               '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')";
                errors.push(FieldError::invalid(path, rest, problem));
            }
        }
        _ => {
            let problem = "must be a domain-prefixed path (such as \"acme.io/foo\")";
            errors.push(FieldError::invalid(path, name, problem));
        }
    }
    if name.len() > MAX_MANAGED_BY {
        errors.push(FieldError::too_long(path, MAX_MANAGED_BY));
    }
}

/// `spec.podFailurePolicy`.
pub(crate) fn failure_policy(spec: &JobSpec, errors: &mut Vec<FieldError>) {
    let Some(policy) = &spec.pod_failure_policy else { return };
    let path = "spec.podFailurePolicy.rules";
    if policy.rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(path, policy.rules.len(), MAX_RULES));
    }
    let pod = spec.template.spec.as_ref();
    let containers: BTreeSet<&str> = pod
        .into_iter()
        .flat_map(|pod| pod.containers.iter().chain(pod.init_containers.iter().flatten()))
        .map(|container| container.name.as_str())
        .collect();
    for (at, rule) in policy.rules.iter().enumerate() {
        failure_rule(&format!("{path}[{at}]"), spec, rule, &containers, errors);
    }
}

/// `spec.successPolicy`.
pub(crate) fn success_policy(spec: &JobSpec, errors: &mut Vec<FieldError>) {
    let Some(policy) = &spec.success_policy else { return };
    if spec.completion_mode.as_deref() != Some("Indexed") {
        let problem = "requires indexed completion mode";
        errors.push(FieldError::invalid_object("spec.successPolicy", problem));
        return;
    }
    let path = "spec.successPolicy.rules";
    if policy.rules.is_empty() {
        let problem = "at least one rules must be specified when the successPolicy is specified";
        errors.push(FieldError::required(path, problem));
    }
    if policy.rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(path, policy.rules.len(), MAX_RULES));
    }
    for (at, rule) in policy.rules.iter().enumerate() {
        success_rule(&format!("{path}[{at}]"), spec.completions.unwrap_or(0), rule, errors);
    }
}

fn failure_rule(
    path: &str,
    spec: &JobSpec,
    rule: &PodFailurePolicyRule,
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    let action = format!("{path}.action");
    let actions = ["Count", "FailIndex", "FailJob", "Ignore"];
    if required_word(&action, &rule.action, &actions, errors)
        && rule.action == "FailIndex"
        && spec.backoff_limit_per_index.is_none()
    {
        let problem = "requires the backoffLimitPerIndex to be set";
        errors.push(FieldError::invalid(action, "FailIndex", problem));
    }
    if let Some(codes) = &rule.on_exit_codes {
        exit_codes(&format!("{path}.onExitCodes"), codes, containers, errors);
    }
    let conditions = rule.on_pod_conditions.as_deref().unwrap_or_default();
    pod_conditions(&format!("{path}.onPodConditions"), conditions, errors);
    let problem = match (rule.on_exit_codes.is_some(), !conditions.is_empty()) {
        (true, true) => "specifying both OnExitCodes and OnPodConditions is not supported",
        (false, false) => "specifying one of OnExitCodes and OnPodConditions is required",
        _ => return,
    };
    errors.push(FieldError::invalid_object(path, problem));
}

fn exit_codes(
    path: &str,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    containers: &BTreeSet<&str>,
    errors: &mut Vec<FieldError>,
) {
    required_word(&format!("{path}.operator"), &codes.operator, &["In", "NotIn"], errors);
    if let Some(name) = codes.container_name.as_deref().filter(|name| !containers.contains(name)) {
        let problem = "must be one of the container or initContainer names in the pod template";
        errors.push(FieldError::invalid(format!("{path}.containerName"), name, problem));
    }
    let path = format!("{path}.values");
    if codes.values.is_empty() {
        errors.push(FieldError::invalid(path, json!([]), "at least one value is required"));
        return;
    }
    if codes.values.len() > MAX_EXIT_CODES {
        errors.push(FieldError::too_many(path.as_str(), codes.values.len(), MAX_EXIT_CODES));
    }
    let mut seen = BTreeSet::new();
    for (at, value) in codes.values.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if codes.operator == "In" && *value == 0 {
            let problem = "must not be 0 for the In operator";
            errors.push(FieldError::invalid(path.as_str(), 0, problem));
        }
        if !seen.insert(*value) {
            errors.push(FieldError::duplicate(path, *value));
        }
    }
    if !codes.values.is_sorted() {
        errors.push(FieldError::invalid(path, codes.values.clone(), "must be ordered"));
    }
}

fn pod_conditions(
    path: &str,
    patterns: &[PodFailurePolicyOnPodConditionsPattern],
    errors: &mut Vec<FieldError>,
) {
    if patterns.len() > MAX_CONDITIONS {
        errors.push(FieldError::too_many(path, patterns.len(), MAX_CONDITIONS));
    }
    for (at, pattern) in patterns.iter().enumerate() {
        let path = format!("{path}[{at}]");
        if let Some(problem) = names::qualified_name(&pattern.type_) {
            errors.push(FieldError::invalid(
                format!("{path}.type"),
                pattern.type_.as_str(),
                problem,
            ));
        }
        let words = ["False", "True", "Unknown"];
        required_word(&format!("{path}.status"), &pattern.status, &words, errors);
    }
}

fn success_rule(
    path: &str,
    completions: i32,
    rule: &SuccessPolicyRule,
    errors: &mut Vec<FieldError>,
) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        let problem = "at least one of succeededCount or succeededIndexes must be specified";
        errors.push(FieldError::required(path, problem));
    }
    let mut total = 0;
    if let Some(text) = &rule.succeeded_indexes {
        let path = format!("{path}.succeededIndexes");
        if text.len() > MAX_INDEXES_TEXT {
            errors.push(FieldError::too_long(path.as_str(), MAX_INDEXES_TEXT));
        } else {
            match parse_intervals(text, completions) {
                Ok(intervals) => {
                    total = intervals.iter().map(|(first, last)| i64::from(last - first) + 1).sum();
                    if intervals.last().is_some_and(|(_, last)| *last > MAX_POLICY_INDEX) {
                        let problem =
                            format!("not supported yet: indexes higher than {MAX_POLICY_INDEX}");
                        errors.push(FieldError::forbidden(path, problem));
                    }
                }
                Err(problem) => errors.push(FieldError::invalid(
                    path,
                    text.as_str(),
                    format!("error parsing succeededIndexes: {problem}"),
                )),
            }
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = format!("{path}.succeededCount");
    not_negative(&path, Some(count.into()), errors);
    if count > completions {
        let problem = format!(
            "must be less than or equal to {completions} (the number of specified completions)"
        );
        errors.push(FieldError::invalid(path.as_str(), count, problem));
    }
    if rule.succeeded_indexes.is_some() && i64::from(count) > total {
        let problem = format!(
            "must be less than or equal to {total} (the number of indexes in the specified \
             succeededIndexes field)"
        );
        errors.push(FieldError::invalid(path, count, problem));
    }
}

/// Reports a word that is missing or isn't one of those allowed; whether it is good.
fn required_word(path: &str, word: &str, allowed: &[&str], errors: &mut Vec<FieldError>) -> bool {
    if word.is_empty() {
        let quoted: Vec<String> = allowed.iter().map(|word| format!("{word:?}")).collect();
        let text = format!("valid values: [{}]", quoted.join(" "));
        errors.push(FieldError::required(path, text));
    } else if !allowed.contains(&word) {
        errors.push(FieldError::not_supported(path, word, allowed));
    } else {
        return true;
    }
    false
}
