//! A Job, in the order of `kubectl describe job`.

use serde_json::Value;

use super::pod::template;
use super::text::{Text, between, plain};

pub(super) fn describe(text: &mut Text, job: &Value) {
    let (metadata, spec, status) = (&job["metadata"], &job["spec"], &job["status"]);
    text.field_if(0, "Name", &metadata["name"]);
    text.field_if(0, "Namespace", &metadata["namespace"]);
    let labels = spec["selector"]["matchLabels"].as_object().into_iter().flatten();
    let selector: Vec<String> =
        labels.map(|(key, value)| format!("{key}={}", plain(value).unwrap_or_default())).collect();
    text.field(0, "Selector", &selector.join(","));
    text.map(0, "Labels", &metadata["labels"], "=");
    text.map(0, "Annotations", &metadata["annotations"], ": ");
    text.field_if(0, "Parallelism", &spec["parallelism"]);
    text.field(0, "Completions", &plain(&spec["completions"]).unwrap_or("<unset>".to_owned()));
    text.field_if(0, "Completion Mode", &spec["completionMode"]);
    text.field_if(0, "Suspend", &spec["suspend"]);
    text.field_if(0, "Backoff Limit", &spec["backoffLimit"]);
    text.field_if(0, "TTL After Finished", &spec["ttlSecondsAfterFinished"]);
    if let Some(seconds) = plain(&spec["activeDeadlineSeconds"]) {
        text.field(0, "Active Deadline", &format!("{seconds}s"));
    }
    text.time_if(0, "Start Time", &status["startTime"]);
    text.time_if(0, "Completed At", &status["completionTime"]);
    if let Some(duration) = between(&status["startTime"], &status["completionTime"]) {
        text.field(0, "Duration", &duration);
    }
    let count = |field: &str| status[field].as_u64().unwrap_or(0);
    text.field(
        0,
        "Pods Statuses",
        &format!(
            "{} Active ({} Ready) / {} Succeeded / {} Failed",
            count("active"),
            count("ready"),
            count("succeeded"),
            count("failed")
        ),
    );
    if spec["completionMode"] == "Indexed" {
        let completed = status["completedIndexes"].as_str().unwrap_or_default();
        text.field(0, "Completed Indexes", &shortened(completed));
        if let Some(failed) = status["failedIndexes"].as_str().filter(|list| !list.is_empty()) {
            text.field(0, "Failed Indexes", &shortened(failed));
        }
    }
    text.conditions(job);
    text.line(0, "Pod Template:");
    text.map(1, "Labels", &spec["template"]["metadata"]["labels"], "=");
    template(text, &spec["template"]["spec"]);
}

/// A list of indexes, cut as kubectl cuts it: at the first comma after 50
/// characters.
fn shortened(list: &str) -> String {
    const LONG: usize = 50;
    if list.is_empty() {
        return "<none>".to_owned();
    }
    match list.get(LONG..).and_then(|rest| rest.find(',')) {
        Some(comma) => format!("{},...", &list[..LONG + comma]),
        None => list.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_job_reads_as_kubectl_describes_it() {
        let job = json!({
            "metadata": {"name": "render", "namespace": "default"},
            "spec": {"completions": 3, "parallelism": 2, "completionMode": "Indexed", "template": {
                "spec": {"containers": [{"name": "a", "image": "tile:1", "command": ["sh", "-c"]}]}
            }},
            "status": {
                "startTime": "2026-01-02T03:04:05Z", "completionTime": "2026-01-02T03:04:15Z",
                "succeeded": 3, "completedIndexes": "0-2",
                "conditions": [{"type": "Complete", "status": "True", "reason": "CompletionsReached"}]
            }
        });
        let mut text = Text::default();
        describe(&mut text, &job);
        let text = text.finish();
        for line in [
            "Name:               render",
            "Start Time:         Fri, 02 Jan 2026 03:04:05 +0000",
            "Duration:           10s",
            "Pods Statuses:      0 Active (0 Ready) / 3 Succeeded / 0 Failed",
            "Completed Indexes:  0-2",
            "  Complete  True    CompletionsReached",
            "      Image:        tile:1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line:?} isn't in\n{text}");
        }
    }

    #[test]
    fn a_long_list_of_indexes_is_cut() {
        let list = "1,".repeat(40);
        assert_eq!(shortened(&list), format!("{}1,...", "1,".repeat(25)));
        assert_eq!(shortened("0-5"), "0-5");
    }
}
