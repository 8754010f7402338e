//! What is refused, and how: every error is a `Status`.

use axum::body::Body;
use http::{Method, header};
use serde_json::json;

use crate::common::{Fixture, JOBS, PODS, job, text};

#[tokio::test(flavor = "multi_thread")]
async fn bad_manifests_are_refused_with_causes() {
    let fixture = Fixture::start().await;
    let mut unknown = job("a");
    unknown["spec"]["paralelism"] = json!(3);
    let strict = fixture.post(&format!("{JOBS}?fieldValidation=Strict"), &unknown).await;
    let refused = strict.expect(400);
    assert!(text(&refused, "message").contains("unknown field \"spec.paralelism\""));
    assert_eq!(text(&refused, "details.causes.0.field"), "spec.paralelism");

    let warned = fixture.post(&format!("{JOBS}?dryRun=All&fieldValidation=Warn"), &unknown).await;
    warned.expect(201);
    let warning = warned.headers[header::WARNING].to_str().unwrap();
    assert!(warning.starts_with("299 - \"unknown field"), "{warning}");
    let ignored =
        fixture.post(&format!("{JOBS}?dryRun=All&fieldValidation=Ignore"), &unknown).await;
    ignored.expect(201);
    assert!(!ignored.headers.contains_key(header::WARNING));
    fixture.post(&format!("{JOBS}?fieldValidation=Loose"), &job("a")).await.expect(422);

    let mut invalid = job("a");
    invalid["spec"]["parallelism"] = json!(-1);
    invalid["spec"]["template"]["spec"]["restartPolicy"] = json!("Always");
    let refused = fixture.post(JOBS, &invalid).await.expect(422);
    assert_eq!(text(&refused, "reason"), "Invalid");
    let causes = refused["details"]["causes"].as_array().unwrap();
    assert!(causes.iter().any(|cause| cause["field"] == "spec.parallelism"), "{refused:#}");

    let mut wrong_type = job("a");
    wrong_type["spec"]["completions"] = json!("many");
    fixture.post(JOBS, &wrong_type).await.expect(400);
    let mut elsewhere = job("a");
    elsewhere["metadata"]["namespace"] = json!("other");
    fixture.post(JOBS, &elsewhere).await.expect(400);
    let mut pod = job("a");
    pod["kind"] = json!("Pod");
    fixture.post(JOBS, &pod).await.expect(400);
    fixture.get(&format!("{JOBS}/a")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused() {
    let fixture = Fixture::start().await;
    let send = |kind: &'static str, body: Vec<u8>| {
        fixture.with_body(Method::POST, JOBS, kind, Body::from(body))
    };
    send("application/json", b"{".to_vec()).await.expect(400);
    send("application/json", Vec::new()).await.expect(400);
    send("application/json", b"[]".to_vec()).await.expect(400);
    send("application/yaml", b"a: [".to_vec()).await.expect(400);
    send("application/yaml", vec![0xff, 0xfe]).await.expect(400);
    let proto = send("application/vnd.kubernetes.protobuf", b"k8s\0".to_vec()).await.expect(415);
    assert!(text(&proto, "message").contains("create -f"));
    send("text/plain", b"x".to_vec()).await.expect(415);

    let large = vec![b' '; 3 * 1024 * 1024 + 1];
    let refused = send("application/json", large.clone()).await.expect(413);
    assert_eq!(text(&refused, "reason"), "RequestEntityTooLarge");
    let chunks = futures::stream::iter([Ok::<_, std::io::Error>(large)]);
    let unannounced = Body::from_stream(chunks);
    fixture.with_body(Method::POST, JOBS, "application/json", unannounced).await.expect(413);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_served_says_so() {
    let fixture = Fixture::start().await;
    for path in ["/", "/apis/apps/v1/deployments", "/api/v1/services", "/nonsense", "/api/v2"] {
        let refused = fixture.get(path).await.expect(404);
        assert_eq!(text(&refused, "kind"), "Status");
        assert_eq!(text(&refused, "reason"), "NotFound");
    }
    for subresource in ["exec", "attach", "portforward"] {
        let path = format!("{PODS}/x/{subresource}");
        let answer = fixture.with_body(Method::POST, &path, "application/json", "").await;
        let refused = answer.expect(405);
        assert!(text(&refused, "message").contains(subresource));
    }
    fixture.delete(&format!("{PODS}/x"), &json!({})).await.expect(404);
    fixture.with_body(Method::POST, PODS, "application/json", "{}").await.expect(405);
    fixture.get("/api/v1/namespaces/%ff/pods").await.expect(400);
    fixture.get(&format!("{JOBS}?limit=many")).await.expect(400);
    fixture.get(&format!("{JOBS}?watch=perhaps")).await.expect(400);
    fixture.get(&format!("{JOBS}?watch=true&resourceVersion=abc")).await.expect(400);
    fixture.get(&format!("{JOBS}?resourceVersion=9999999999999999999")).await.expect(410);
    let request = fixture.request(Method::GET, JOBS).header(header::ACCEPT, "text/html");
    fixture.send(request.body(Body::empty()).unwrap()).await.expect(406);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_requests_fail_and_the_server_stays() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    assert_eq!(fixture.get("/readyz").await.code, 200);
    fixture.freeze_redis();
    let failed = fixture.get(&format!("{JOBS}/a")).await;
    let ready = fixture.get("/readyz").await;
    let alive = fixture.get("/livez").await;
    fixture.thaw_redis();
    let status = failed.expect(503);
    assert_eq!(text(&status, "reason"), "ServiceUnavailable");
    let message = text(&status, "message");
    assert!(message.contains("Redis at 127.0.0.1:"), "{message}");
    assert!(failed.headers.contains_key(header::RETRY_AFTER));
    assert_eq!((ready.code.as_u16(), alive.code.as_u16()), (503, 200));
    let path = format!("{JOBS}/a");
    fixture.wait_for("an answer", || async { fixture.get(&path).await.code == 200 }).await;
}
