//! Manifests with mistakes, given to `apply` and `create`.

use anyhow::{Result, ensure};
use longshore_tests::{Cluster, Job};
use serde_json::{Value, json};

/// A manifest, and what the message must name: the field's path and the reason.
pub(crate) struct Mistake {
    pub(crate) name: &'static str,
    pub(crate) manifest: String,
    pub(crate) named: &'static [&'static str],
}

/// A Job with one field set.
fn with(
    name: &'static str,
    pointer: &str,
    value: Value,
    named: &'static [&'static str],
) -> Mistake {
    Mistake { name, manifest: Job::new(name, "true").set(pointer, value).yaml(), named }
}

/// One mistake of each kind.
pub(crate) fn mistakes() -> Vec<Mistake> {
    let pod = |field: &str| format!("/spec/template/spec/{field}");
    let container = |field: &str| format!("/spec/template/spec/containers/0/{field}");
    vec![
        with(
            "no-such-field",
            "/spec/paralellism",
            json!(2),
            &["spec.paralellism", "unknown field"],
        ),
        with(
            "no-such-field-below",
            &container("comand"),
            json!(["true"]),
            &["spec.template.spec.containers[0].comand", "unknown field"],
        ),
        with("text-for-number", "/spec/parallelism", json!("two"), &["spec.parallelism"]),
        with("number-for-text", &container("image"), json!(5), &["containers[0].image"]),
        with("object-for-list", &container("command"), json!({"a": 1}), &["containers[0].command"]),
        with(
            "below-zero",
            "/spec/parallelism",
            json!(-1),
            &["spec.parallelism", "-1", "must be greater than or equal to 0"],
        ),
        with("too-large", "/spec/backoffLimit", json!(3_000_000_000_u64), &["spec.backoffLimit"]),
        with(
            "deadline-below-zero",
            "/spec/activeDeadlineSeconds",
            json!(-1),
            &["spec.activeDeadlineSeconds"],
        ),
        Mistake {
            name: "no-completions",
            manifest: Job::new("no-completions", "true")
                .spec("completionMode", json!("Indexed"))
                // Without both, completions would default to 1.
                .spec("parallelism", json!(2))
                .yaml(),
            named: &["spec.completions", "Required"],
        },
        with(
            "no-such-mode",
            "/spec/completionMode",
            json!("Sorted"),
            &["spec.completionMode", "Sorted"],
        ),
        with(
            "always",
            &pod("restartPolicy"),
            json!("Always"),
            &["spec.template.spec.restartPolicy", "Always"],
        ),
        with(
            "no-policy",
            &pod("restartPolicy"),
            Value::Null,
            &["spec.template.spec.restartPolicy"],
        ),
        with("no-image", &container("image"), Value::Null, &["containers[0].image", "Required"]),
        with(
            "no-containers",
            &pod("containers"),
            json!([]),
            &["spec.template.spec.containers", "Required"],
        ),
        with("Bad_Name", "/spec/parallelism", json!(1), &["metadata.name", "Bad_Name"]),
        with(
            "bad-env",
            &container("env"),
            json!([{"name": "a=b", "value": "1"}]),
            &["containers[0].env[0].name"],
        ),
        with(
            "bad-quantity",
            &container("resources"),
            json!({"limits": {"memory": "lots"}}),
            &["containers[0].resources"],
        ),
        with(
            "no-such-volume",
            &container("volumeMounts"),
            json!([{"name": "nowhere", "mountPath": "/x"}]),
            &["containers[0].volumeMounts[0].name", "nowhere"],
        ),
        with(
            "bad-annotation",
            "/metadata/annotations",
            json!({"longshore.dev/backoff-base": "soon"}),
            &["longshore.dev/backoff-base", "soon"],
        ),
        with(
            "not-supported",
            &pod("nodeSelector"),
            json!({"disk": "fast"}),
            &["spec.template.spec.nodeSelector", "support"],
        ),
        with(
            "not-supported-volume",
            &pod("volumes"),
            json!([{"name": "share", "nfs": {"server": "s", "path": "/"}}]),
            &["spec.template.spec.volumes[0].nfs", "support"],
        ),
        with(
            "not-supported-probe",
            &container("livenessProbe"),
            json!({"exec": {"command": ["true"]}}),
            &["containers[0].livenessProbe", "support"],
        ),
        with(
            "not-allowed",
            &pod("volumes"),
            json!([{"name": "claim", "persistentVolumeClaim": {"claimName": "disk"}}]),
            &["spec.template.spec.volumes[0].persistentVolumeClaim.claimName", "policy.claims"],
        ),
    ]
}

/// What isn't even a Job.
fn no_jobs() -> Vec<Mistake> {
    let text = |name, manifest: &str, named| Mistake { name, manifest: manifest.to_owned(), named };
    vec![
        text("not-yaml", "kind: [Job\napiVersion: batch/v1", &["YAML"]),
        text("not-an-object", "just words", &[]),
        text("empty", "", &[]),
        text("no-kind", "apiVersion: batch/v1\nmetadata: {name: no-kind}", &["kind"]),
        text(
            "other-kind",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other-kind}",
            &["Deployment"],
        ),
        text(
            "doubled-key",
            "apiVersion: batch/v1\nkind: Job\nmetadata: {name: doubled-key}\nspec:\n  parallelism: 1\n  parallelism: 2\n",
            &["parallelism"],
        ),
    ]
}

/// One message with the path and the reason, exit code 1, nothing stored: by `create` and `apply`.
pub(crate) async fn refused(cluster: &Cluster) -> Result<()> {
    let before = cluster.api().job_names().await?;
    let mut wrong = Vec::new();
    for mistake in mistakes().into_iter().chain(no_jobs()) {
        for verb in ["create", "apply"] {
            let args = [verb, "-f", "-"];
            let output = cluster.longshore_with_input(&args, &mistake.manifest).await?;
            let missing: Vec<_> =
                mistake.named.iter().filter(|part| !output.stderr.contains(**part)).collect();
            let said = !output.stderr.trim().is_empty() && output.stdout.is_empty();
            if output.code != 1 || !said || !missing.is_empty() {
                wrong.push(format!("{verb} {}: {missing:?} not in {output}", mistake.name));
            }
        }
    }
    let missing = cluster.longshore(&["apply", "-f", "/no/such/file.yaml"]).await?.failed(1)?;
    ensure!(missing.contains("/no/such/file.yaml"), "{missing}");
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    ensure!(cluster.api().job_names().await? == before, "something was stored");

    // Two mistakes are told in one message.
    let both = Job::new("two-mistakes", "true")
        .spec("parallelism", json!(-1))
        .spec("backoffLimit", json!(-2));
    let told =
        cluster.longshore_with_input(&["create", "-f", "-"], &both.yaml()).await?.failed(1)?;
    ensure!(told.contains("spec.parallelism") && told.contains("spec.backoffLimit"), "{told}");
    Ok(())
}

/// kubectl leaves the judgement to the server and shows what it says.
pub(crate) async fn kubectl(cluster: &Cluster) -> Result<()> {
    let create = async |job: Job| {
        cluster.kubectl().run_with_input(&["create", "-f", "-"], &job.yaml()).await?.failed(1)
    };
    let unknown = create(Job::new("by-kubectl", "true").spec("paralellism", 2.into())).await?;
    ensure!(unknown.contains("unknown field \"spec.paralellism\""), "{unknown}");
    let invalid = create(Job::new("by-kubectl", "true").spec("parallelism", json!(-1))).await?;
    ensure!(
        invalid.contains("The Job \"by-kubectl\" is invalid: spec.parallelism: Invalid value: -1"),
        "{invalid}"
    );
    ensure!(!cluster.api().job_names().await?.contains(&"by-kubectl".to_owned()));
    Ok(())
}
