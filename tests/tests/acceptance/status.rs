//! What the rows say of a status.

use anyhow::{Result, ensure};
use longshore_tests::condition;
use serde_json::{Value, json};

/// The counters `active`, `ready`, `terminating`, `succeeded` and `failed`; absent ones are 0.
pub(crate) fn counters(status: &Value) -> [i64; 5] {
    ["active", "ready", "terminating", "succeeded", "failed"]
        .map(|counter| status[counter].as_i64().unwrap_or(0))
}

/// Nothing is left of the Job's Pods.
pub(crate) fn is_over(status: &Value) -> Result<()> {
    ensure!(counters(status)[..3] == [0, 0, 0], "{status}");
    ensure!(status["uncountedTerminatedPods"] == json!({}), "{status}");
    Ok(())
}

/// The Job is Complete, after SuccessCriteriaMet, both for this reason.
pub(crate) fn completed(status: &Value, reason: &str) -> Result<()> {
    ensure!(conditions(status) == ["SuccessCriteriaMet", "Complete"], "{status}");
    has_reason(status, "SuccessCriteriaMet", reason)?;
    has_reason(status, "Complete", reason)?;
    ensure!(status["completionTime"].is_string(), "{status}");
    is_over(status)
}

/// The Job is Failed, after FailureTarget, both for this reason.
pub(crate) fn failed(status: &Value, reason: &str) -> Result<()> {
    ensure!(conditions(status) == ["FailureTarget", "Failed"], "{status}");
    has_reason(status, "FailureTarget", reason)?;
    has_reason(status, "Failed", reason)?;
    ensure!(status["completionTime"].is_null(), "{status}");
    is_over(status)
}

fn has_reason(status: &Value, kind: &str, reason: &str) -> Result<()> {
    let found = condition(status, kind).map(|condition| condition["reason"].clone());
    ensure!(found == Some(json!(reason)), "{kind} for {found:?}: {status}");
    Ok(())
}

/// The types of the conditions that hold, in order.
fn conditions(status: &Value) -> Vec<&str> {
    let all = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let holding = all.iter().filter(|condition| condition["status"] == "True");
    holding.filter_map(|condition| condition["type"].as_str()).collect()
}
