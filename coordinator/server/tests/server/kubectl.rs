//! Real kubectl, without special flags.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::common::{Fixture, Owner, job};

/// Runs kubectl with `input`; its output, and whether it ended well.
async fn kubectl(fixture: &Fixture, args: &[&str], input: &str) -> (bool, String, String) {
    let mut child = Command::new("kubectl")
        .arg("--server")
        .arg(&fixture.url)
        .arg("--cache-dir")
        .arg(fixture.dir.path().join("cache"))
        .args(args)
        .env("KUBECONFIG", "/dev/null")
        .env("HOME", fixture.dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("kubectl is installed");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let bound = std::time::Duration::from_secs(60);
    let done = tokio::time::timeout(bound, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (done.status.success(), text(done.stdout), text(done.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_works_without_flags() {
    let fixture = Fixture::start().await;
    let manifest = job("a").to_string();
    let ok = |(ok, out, err): (bool, String, String)| {
        assert!(ok, "{out}{err}");
        out
    };
    let out = ok(kubectl(&fixture, &["create", "-f", "-"], &manifest).await);
    assert_eq!(out, "job.batch/a created\n");
    let (created, _, err) = kubectl(&fixture, &["create", "-f", "-"], &manifest).await;
    assert!(!created && err.contains("AlreadyExists"), "{err}");

    let out = ok(kubectl(&fixture, &["apply", "-f", "-"], &job("b").to_string()).await);
    assert_eq!(out, "job.batch/b created\n");
    let out = ok(kubectl(&fixture, &["apply", "-f", "-"], &job("b").to_string()).await);
    assert_eq!(out, "job.batch/b unchanged\n");
    let mut changed = job("b");
    changed["spec"]["parallelism"] = serde_json::json!(3);
    let out = ok(kubectl(&fixture, &["apply", "-f", "-"], &changed.to_string()).await);
    assert_eq!(out, "job.batch/b configured\n");
    let mut unknown = job("c");
    unknown["spec"]["paralelism"] = serde_json::json!(3);
    let (_, _, err) = kubectl(&fixture, &["apply", "-f", "-"], &unknown.to_string()).await;
    assert!(err.contains("unknown field \"spec.paralelism\""), "{err}");

    let owner = Owner::of(&fixture, "a").await;
    let (key, _) = owner.run(0, 1).await;
    owner.event("SuccessfulCreate", None).await;
    let out = ok(kubectl(&fixture, &["get", "jobs,pods"], "").await);
    assert!(out.contains("job.batch/a") && out.contains("pod/a-0-"), "{out}");
    assert!(out.contains("COMPLETIONS") && out.contains("Running"), "{out}");
    let out = ok(kubectl(&fixture, &["get", "jobs", "-o", "name", "-l", "app=b"], "").await);
    assert_eq!(out, "job.batch/b\n");
    let out = ok(kubectl(&fixture, &["describe", "job", "a"], "").await);
    assert!(out.contains("Completion Mode:") && out.contains("SuccessfulCreate"), "{out}");
    let line = b"2026-01-02T03:04:05.000000001Z o hello\n";
    fixture.store.append_output(&key, line, 0, 1 << 20).await.unwrap();
    fixture.store.end_output(&key).await.unwrap();
    assert_eq!(ok(kubectl(&fixture, &["logs", "job/a"], "").await), "hello\n");

    let patch = r#"{"spec":{"suspend":true}}"#;
    ok(kubectl(&fixture, &["patch", "job", "b", "-p", patch], "").await);
    ok(kubectl(&fixture, &["label", "job", "b", "tier=x"], "").await);
    let (_, _, err) = kubectl(&fixture, &["exec", "a-0-bcdfg", "--", "true"], "").await;
    assert!(!err.is_empty());
    let image = ["create", "job", "c", "--image=busybox:1"];
    let (made, _, err) = kubectl(&fixture, &image, "").await;
    assert!(!made && err.contains("create -f"), "{err}");
    let resources = ok(kubectl(&fixture, &["api-resources"], "").await);
    assert!(resources.contains("batch/v1") && resources.contains("Job"), "{resources}");
    ok(kubectl(&fixture, &["version"], "").await);
    ok(kubectl(&fixture, &["explain", "job.spec"], "").await);

    let purge = async {
        let gone = || async {
            let job = fixture.store.get_job("default", "b").await.unwrap();
            job.is_some_and(|job| job.deleted.is_some())
        };
        fixture.wait_for("the deletion", gone).await;
        Owner::of(&fixture, "b").await.purge().await;
    };
    let (deleted, ()) = tokio::join!(kubectl(&fixture, &["delete", "job", "b"], ""), purge);
    assert!(ok(deleted).starts_with("job.batch \"b\" deleted"));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_waits_and_follows() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let owner = Owner::of(&fixture, "a").await;
    let (key, _) = owner.run(0, 1).await;
    let wait = ["wait", "--for=condition=complete", "job/a", "--timeout=30s"];
    let work = async {
        let line = b"2026-01-02T03:04:05.000000001Z o hello\n";
        fixture.store.append_output(&key, line, 0, 1 << 20).await.unwrap();
        fixture.store.end_output(&key).await.unwrap();
        owner.complete().await;
    };
    let (waited, logs, ()) = tokio::join!(
        kubectl(&fixture, &wait, ""),
        kubectl(&fixture, &["logs", "-f", "job/a"], ""),
        work,
    );
    assert_eq!(waited.1, "job.batch/a condition met\n", "{}", waited.2);
    assert_eq!(logs.1, "hello\n", "{}", logs.2);
    let (ok, out, err) = kubectl(&fixture, &["get", "jobs", "-o", "wide"], "").await;
    assert!(ok && out.contains("busybox:1") && out.contains("Complete"), "{out}{err}");
    let (ok, out, err) = kubectl(&fixture, &["describe", "pods"], "").await;
    assert!(ok && out.contains("Running"), "{out}{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_manages_config_maps_and_secrets() {
    let fixture = Fixture::start().await;
    let ok = |(ok, out, err): (bool, String, String)| {
        assert!(ok, "{out}{err}");
        out
    };
    let run = async |args: &[&str], input: &str| ok(kubectl(&fixture, args, input).await);
    let out =
        run(&["create", "configmap", "c", "--from-literal=a=b", "--from-literal=x=y"], "").await;
    assert_eq!(out, "configmap/c created\n");
    let out = run(&["create", "secret", "generic", "s", "--from-literal=key=value"], "").await;
    assert_eq!(out, "secret/s created\n");
    let docker = ["create", "secret", "docker-registry", "r", "--docker-server=r.example"];
    run(&[&docker[..], &["--docker-username=u", "--docker-password=p"]].concat(), "").await;
    let out = run(&["get", "secret", "r", "-o", "jsonpath={.type}"], "").await;
    assert_eq!(out, "kubernetes.io/dockerconfigjson");

    let out = run(&["get", "cm,secrets"], "").await;
    assert!(out.contains("configmap/c   2") && out.contains("Opaque"), "{out}");
    let out = run(&["get", "secret", "s", "-o", "jsonpath={.data.key}"], "").await;
    assert_eq!(out, "dmFsdWU=");
    let out = run(&["describe", "secret", "s"], "").await;
    assert!(out.contains("key:  5 bytes") && !out.contains("dmFsdWU="), "{out}");
    let out = run(&["describe", "configmap", "c"], "").await;
    assert!(out.contains("a:\n----\nb"), "{out}");

    let manifest = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "t"},
        "data": {"key": "MQ=="}}"#;
    assert_eq!(run(&["apply", "-f", "-"], manifest).await, "secret/t created\n");
    assert_eq!(run(&["apply", "-f", "-"], manifest).await, "secret/t unchanged\n");
    let changed = manifest.replace("MQ==", "Mg==");
    assert_eq!(run(&["apply", "-f", "-"], &changed).await, "secret/t configured\n");
    let out = run(&["get", "secret", "t", "-o", "jsonpath={.data.key}"], "").await;
    assert_eq!(out, "Mg==");
    assert_eq!(run(&["label", "cm", "c", "tier=x"], "").await, "configmap/c labeled\n");
    let out = run(&["delete", "cm/c", "secret/s", "secret/t"], "").await;
    assert!(
        out.contains("configmap \"c\" deleted") && out.contains("secret \"t\" deleted"),
        "{out}"
    );
    let out = run(&["delete", "secrets", "--all"], "").await;
    assert!(out.contains("secret \"r\" deleted"), "{out}");
    assert_eq!(run(&["get", "cm,secrets", "-o", "name"], "").await, "");
}
