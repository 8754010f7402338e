//! Requests with mistakes, as any client may send them.

use anyhow::{Result, ensure};
use hyper::Method;
use longshore_tests::{Cluster, Job, Reply, condition, secs};
use serde_json::{Value, json};

use super::manifests::mistakes;

const JOBS: &str = "/apis/batch/v1/namespaces/default/jobs";
const JSON: &str = "application/json";

/// Every mistake of a manifest is a `Status` with the right code and a cause that names the field.
pub(crate) async fn refused(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    let before = api.job_names().await?;
    let mut wrong = Vec::new();
    for mistake in mistakes() {
        let object: Value = serde_yaml_ng::from_str(&mistake.manifest)?;
        let reply = api.post(&format!("{JOBS}?fieldValidation=Strict"), &object).await?;
        let causes = reply.body["details"]["causes"].as_array().cloned().unwrap_or_default();
        // The path without the fields above the container, as the causes may name it in full only.
        let path = mistake.named[0];
        let named = causes.iter().any(|cause| {
            cause["field"].as_str().is_some_and(|field| field.contains(path))
                || cause["message"].as_str().is_some_and(|message| message.contains(path))
        });
        if !is_failure(&reply, &[400, 422]) || !named {
            wrong.push(format!(
                "{}: no cause {path:?} in {} {}",
                mistake.name, reply.code, reply.text
            ));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    let not_json = api.request(Method::POST, JOBS, JSON, "{\"kind\":").await?;
    ensure!(is_failure(&not_json, &[400]), "{not_json:?}");
    let other = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}});
    let other = api.post(JOBS, &other).await?;
    ensure!(is_failure(&other, &[400]), "{other:?}");
    let elsewhere = Job::new("elsewhere", "true").set("/metadata/namespace", json!("other"));
    let elsewhere = api.post(JOBS, elsewhere.value()).await?;
    ensure!(is_failure(&elsewhere, &[400]), "{elsewhere:?}");
    let nameless = api.post(JOBS, Job::new("", "true").value()).await?;
    ensure!(is_failure(&nameless, &[422]), "{nameless:?}");
    let media = api.request(Method::POST, JOBS, "text/plain", "hello").await?;
    ensure!(is_failure(&media, &[415]), "{media:?}");
    let huge = "x".repeat(8 << 20);
    let huge = Job::new("huge", "true").annotate("note", &huge);
    let huge = api.post(JOBS, huge.value()).await?;
    ensure!(is_failure(&huge, &[400, 413, 422]), "{} {:.200}", huge.code, huge.text);
    ensure!(api.job_names().await? == before, "something was stored");

    // Without strictness an unknown field is told of and dropped, as in Kubernetes.
    let job =
        Job::new("lenient", "true").spec("paralellism", 2.into()).spec("suspend", true.into());
    let stored = api.post(&format!("{JOBS}?fieldValidation=Ignore"), job.value()).await?.ok()?;
    ensure!(stored["spec"]["paralellism"].is_null(), "{stored}");
    api.delete("lenient").await
}

/// Patches and PUTs that break a rule change nothing.
pub(crate) async fn changes(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    api.create(&Job::new("fixed", "true").indexed(3, 1).spec("suspend", true.into())).await?;
    let path = format!("{JOBS}/fixed");
    let merge = "application/merge-patch+json";
    let seen = |status: &Value| condition(status, "Suspended").is_some();
    let before = api.job_until("fixed", "seen by its owner", secs(20), seen).await?;
    let cases = [
        (merge, json!({"spec": {"completionMode": "NonIndexed"}}), 422, "spec.completionMode"),
        (merge, json!({"spec": {"parallelism": -1}}), 422, "spec.parallelism"),
        (merge, json!({"spec": {"selector": {"matchLabels": {"a": "b"}}}}), 422, "spec.selector"),
        (merge, json!({"metadata": {"name": "renamed"}}), 422, "metadata.name"),
        (merge, json!({"metadata": {"resourceVersion": "1"}}), 409, ""),
        (
            "application/json-patch+json",
            json!([{"op": "remove", "path": "/spec/nothing"}]),
            422,
            "",
        ),
        ("application/json-patch+json", json!({"not": "a list"}), 400, ""),
    ];
    for (kind, patch, code, field) in cases {
        let reply = api.request(Method::PATCH, &path, kind, patch.to_string()).await?;
        let expected = [code, if code == 422 { 400 } else { code }];
        ensure!(is_failure(&reply, &expected), "{patch}: {} {}", reply.code, reply.text);
        ensure!(reply.text.contains(field), "{patch}: {}", reply.text);
    }
    let media = api.request(Method::PATCH, &path, "text/plain", "hello").await?;
    ensure!(is_failure(&media, &[415]), "{media:?}");
    ensure!(api.job("fixed").await? == before, "a refused change changed something");
    api.delete("fixed").await
}

pub(crate) async fn missing(cluster: &Cluster) -> Result<()> {
    let api = cluster.api();
    for path in [
        "/apis/batch/v1/namespaces/default/jobs/nobody",
        "/api/v1/namespaces/default/pods/nobody",
        "/api/v1/namespaces/default/pods/nobody/log",
        "/api/v1/nodes/nobody",
        "/apis/batch/v1/namespaces/default/nothings",
        "/nothing",
    ] {
        let reply = api.get(path).await?;
        ensure!(is_failure(&reply, &[404]), "{path}: {} {}", reply.code, reply.text);
    }
    let reply = api.request(Method::DELETE, &format!("{JOBS}/nobody"), JSON, "").await?;
    ensure!(is_failure(&reply, &[404]), "{reply:?}");
    let reply = api.get(&format!("{JOBS}?labelSelector=a%3D%3D%3Db")).await?;
    ensure!(is_failure(&reply, &[400]), "{reply:?}");
    let reply = api.get(&format!("{JOBS}?watch=true&resourceVersion=soon")).await?;
    ensure!(is_failure(&reply, &[400]), "{reply:?}");
    let reply = api.get(&format!("{JOBS}?limit=many")).await?;
    ensure!(is_failure(&reply, &[400]), "{reply:?}");
    Ok(())
}

/// Whether this is a `Status` of a failure with one of the codes, in its body as in its head.
fn is_failure(reply: &Reply, codes: &[u16]) -> bool {
    let body = &reply.body;
    codes.contains(&reply.code)
        && body["kind"] == "Status"
        && body["status"] == "Failure"
        && body["code"] == reply.code
        && body["reason"].as_str().is_some_and(|reason| !reason.is_empty())
        && body["message"].as_str().is_some_and(|message| !message.is_empty())
}
