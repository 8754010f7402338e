//! What fields of a Pod's template do to real containers.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use longshore_job::Outcome;
use serde_json::{Value, json};

use super::Claims;
use super::bench::{Bench, LONG_LEASE, exited, shell, start_error};
use crate::runtime::Ended;
use crate::sources::Data;

/// Runs a script in a container with more fields, in a Pod with more fields.
async fn run(script: &str, container: Value, pod: Value) -> (Bench, Ended, String) {
    let bench = bench(script, container, pod).await;
    let (ended, output) = bench.run().await;
    (bench, ended, output)
}

async fn bench(script: &str, container: Value, mut pod: Value) -> Bench {
    let mut whole = shell(script);
    for (field, value) in container.as_object().into_iter().flatten() {
        whole[field] = value.clone();
    }
    pod["containers"] = json!([whole]);
    Bench::with_pod(pod, LONG_LEASE).await
}

fn message(ended: &Ended) -> &str {
    match ended {
        Ended::Outcome(Outcome::Exited { message, .. }) => message,
        other => panic!("{other:?} is no exit"),
    }
}

#[tokio::test]
async fn security_contexts_hold() {
    let own = json!({ "securityContext": {
        "runAsUser": 1234, "readOnlyRootFilesystem": true, "allowPrivilegeEscalation": false,
        "capabilities": { "drop": ["ALL"] }
    } });
    let pod = json!({
        "securityContext": { "runAsGroup": 5678, "fsGroup": 99, "runAsNonRoot": true },
        "volumes": [{ "name": "v", "emptyDir": {} }]
    });
    let mut own = own;
    own["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
    let script = "exec 2>&1; id; touch /x || echo read-only; \
                  grep -E 'CapBnd|NoNewPrivs' /proc/self/status; : > /v/made; stat -c %g /v/made";
    let (bench, ended, output) = run(script, own, pod).await;
    assert_eq!(ended, exited(0, "Completed"), "{output}");
    for text in ["uid=1234 gid=5678 groups=99,5678", "read-only", "CapBnd:\t0000000000000000"] {
        assert!(output.contains(text), "{text:?} is not in {output:?}");
    }
    assert!(output.contains("NoNewPrivs:\t1") && output.ends_with("99\n"), "{output:?}");
    bench.clean_up().await;
}

#[tokio::test]
async fn a_root_image_does_not_run_where_root_is_forbidden() {
    let pod = json!({ "securityContext": { "runAsNonRoot": true } });
    let (bench, ended, _) = run("true", json!({}), pod).await;
    let expected = "container has runAsNonRoot and image will run as root";
    assert_eq!(start_error(&ended), ("CreateContainerConfigError", 128, expected));
    bench.clean_up().await;
}

#[tokio::test]
async fn variables_and_files_tell_of_the_pod_itself() {
    let field = |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let own = json!({
        "env": [
            field("POD", "metadata.name"),
            field("APP", "metadata.labels['app']"),
            { "name": "MEMORY", "valueFrom": {
                "resourceFieldRef": { "resource": "limits.memory", "divisor": "1Mi" } } },
        ],
        "resources": { "limits": { "memory": "64Mi" } },
        "volumeMounts": [{ "name": "about", "mountPath": "/about" }],
    });
    let pod = json!({ "volumes": [{ "name": "about", "downwardAPI": { "items": [
        { "path": "labels", "fieldRef": { "fieldPath": "metadata.labels" } },
        { "path": "deep/node", "fieldRef": { "fieldPath": "metadata.namespace" } },
    ] } }] });
    let script =
        "exec 2>&1; echo $POD $APP $MEMORY; cat /about/labels /about/deep/node; touch /about/x";
    let (bench, ended, output) = run(script, own, pod).await;
    assert_eq!(ended, exited(1, "Error"), "files of this kind can't be written to");
    assert!(output.starts_with(&format!("{} pi 64\n", bench.assignment.pod_name)), "{output:?}");
    assert!(output.contains("app=\"pi\"") && output.contains("default"), "{output:?}");
    bench.clean_up().await;
}

#[tokio::test]
async fn a_container_says_why_it_ended() {
    let (bench, ended, _) =
        run("echo because >/dev/termination-log; exit 3", term("File"), json!({})).await;
    assert_eq!(message(&ended), "because\n");
    bench.clean_up().await;
    let script = "seq 1 1000; exit 3";
    let (bench, ended, _) = run(script, term("FallbackToLogsOnError"), json!({})).await;
    let expected: String = (921..=1000).map(|n| format!("{n}\n")).collect();
    assert_eq!(message(&ended), expected);
    bench.clean_up().await;
    let (bench, ended, _) = run("echo fine", term("FallbackToLogsOnError"), json!({})).await;
    assert_eq!(message(&ended), "");
    bench.clean_up().await;
}

/// The fields of a termination message.
fn term(policy: &str) -> Value {
    json!({ "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": policy })
}

#[tokio::test]
async fn parts_of_volumes_are_mounted() {
    let own = json!({
        "env": [{ "name": "PART", "value": "b" }],
        "volumeMounts": [
            { "name": "v", "mountPath": "/whole" },
            { "name": "v", "mountPath": "/a", "subPath": "a" },
            { "name": "v", "mountPath": "/b", "subPathExpr": "deep/$(PART)", "readOnly": true },
        ]
    });
    let pod = json!({ "volumes": [{ "name": "v", "emptyDir": { "medium": "Memory" } }] });
    let script = "echo x >/a/file; touch /b/file || cat /whole/a/file; ls -d /whole/deep/b; \
                  df /whole | tail -n 1";
    let (bench, ended, output) = run(script, own, pod.clone()).await;
    assert_eq!(ended, exited(0, "Completed"), "{output}");
    for text in ["x\n", "/whole/deep/b\n", "tmpfs"] {
        assert!(output.contains(text), "{text:?} is not in {output:?}");
    }
    bench.clean_up().await;
    let own =
        json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v", "subPathExpr": "$(NONE)" }] });
    let (bench, ended, _) = run("true", own, pod).await;
    assert!(start_error(&ended).2.contains("missing value for \"NONE\""), "{ended:?}");
    bench.clean_up().await;
}

#[tokio::test]
async fn a_claim_is_what_the_settings_say() {
    let own = json!({ "volumeMounts": [{ "name": "v", "mountPath": "/v" }] });
    let pod = |claim: &str| json!({ "volumes": [{ "name": "v", "persistentVolumeClaim": { "claimName": claim } }] });
    let data = tempfile::tempdir().expect("a folder");
    let mut bench = bench("echo kept >/v/file", own.clone(), pod("data")).await;
    let target = data.path().display().to_string();
    bench.runtime.places.claims = Claims::new(BTreeMap::from([("data".into(), target)]));
    assert_eq!(bench.run().await.0, exited(0, "Completed"));
    assert_eq!(fs::read_to_string(data.path().join("file")).expect("read"), "kept\n");
    bench.clean_up().await;
    let (bench, ended, _) = run("true", own, pod("none")).await;
    assert!(start_error(&ended).2.contains("policy.claims does not map it"), "{ended:?}");
    bench.clean_up().await;
}

#[tokio::test]
async fn the_hosts_network_is_the_hosts() {
    let host = fs::read_link("/proc/self/ns/net").expect("a namespace");
    let pod = json!({ "hostNetwork": true });
    let bench = bench("readlink /proc/self/ns/net", json!({}), pod).await;
    let (ended, output) = bench.run_in(crate::runtime::Network::Host).await;
    assert_eq!(ended, exited(0, "Completed"));
    assert_eq!(output.trim(), host.display().to_string());
    bench.clean_up().await;
}

fn data(key: &str, value: &str) -> BTreeMap<String, Data> {
    BTreeMap::from([("it".into(), Data::from([(key.into(), value.as_bytes().to_vec())]))])
}

/// The words of this test's Secret must be nowhere but in the container itself: not in what Docker tells
/// and keeps of it, and in no folder of the worker's on a disk.
#[tokio::test]
async fn a_secret_reaches_the_container_and_nothing_else() {
    const WORDS: &str = "correct-horse-battery-staple";
    let own = json!({
        "env": [
            { "name": "KEY", "valueFrom": { "secretKeyRef": { "name": "it", "key": "key" } } },
            { "name": "URL", "value": "db://me:$(KEY)@host" },
        ],
        "args": ["$(KEY)"],
        "volumeMounts": [{ "name": "v", "mountPath": "/v" }, { "name": "c", "mountPath": "/c" }],
    });
    let pod = json!({ "volumes": [
        { "name": "v", "secret": { "secretName": "it", "defaultMode": 0o400 } },
        { "name": "c", "configMap": { "name": "it" } },
    ] });
    let script = "[ $KEY = $0 ] && [ $URL = db://me:$KEY@host ] && [ $(cat /v/key) = $KEY ] && \
                  stat -L -c %a /v/key && cat /c/plain; df /v | tail -n 1; sleep 1";
    let mut bench = bench(script, own, pod).await;
    bench.objects.secrets = data("key", WORDS);
    bench.objects.config_maps = data("plain", "not secret");
    let (ended, output) = bench.run().await;
    assert_eq!(ended, exited(0, "Completed"), "{output}");
    assert!(output.starts_with("400\nnot secret") && output.contains("tmpfs"), "{output:?}");

    let docker = |args: &[&str]| {
        let output = Command::new("docker").args(args).output().expect("docker");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let told = docker(&["inspect", &bench.name()]);
    assert!(told.contains("/.longshore/launcher") && !told.contains(WORDS), "{told}");
    let root = docker(&["info", "--format", "{{.DockerRootDir}}"]);
    let kept = format!("{}/containers", root.trim());
    for place in [kept.as_str(), &bench.state().display().to_string()] {
        let found = Command::new("grep").args(["-rl", WORDS, place]).output().expect("grep");
        assert_eq!(String::from_utf8_lossy(&found.stdout), "", "in {place}");
        assert_eq!(found.status.code(), Some(1), "{place} could be read");
    }
    bench.clean_up().await;
}

#[tokio::test]
async fn what_is_missing_is_waited_for_within_a_bound() {
    let own = json!({ "envFrom": [{ "configMapRef": { "name": "it" } }] });
    let (bench, ended, _) = run("true", own, json!({})).await;
    let expected = "configmap \"it\" not found";
    assert_eq!(start_error(&ended), ("CreateContainerConfigError", 128, expected));
    bench.clean_up().await;
}
