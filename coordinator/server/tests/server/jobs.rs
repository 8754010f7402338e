//! Jobs: created, read, listed, changed, deleted.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::common::{Fixture, JOBS, Owner, at, job, names, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_created_and_read_back() {
    let fixture = Fixture::start().await;
    let created = fixture.create("a").await;
    assert_eq!(text(&created, "kind"), "Job");
    assert_eq!(text(&created, "apiVersion"), "batch/v1");
    assert_eq!(text(&created, "metadata.namespace"), "default");
    assert_eq!(at(&created, "spec.backoffLimit"), 6);
    let uid = text(&created, "metadata.uid");
    let selector = at(&created, "spec.selector.matchLabels");
    assert_eq!(selector["batch.kubernetes.io/controller-uid"], uid);

    let read = fixture.get(&format!("{JOBS}/a")).await.expect(200);
    assert_eq!(read, created);
    assert_ne!(text(&read, "metadata.resourceVersion"), "0");
    let status = fixture.get(&format!("{JOBS}/a/status")).await.expect(200);
    assert_eq!(status, read);

    let again = fixture.post(JOBS, &job("a")).await.expect(409);
    assert_eq!(text(&again, "reason"), "AlreadyExists");
    assert_eq!(text(&again, "message"), "jobs.batch \"a\" already exists");
    let missing = fixture.get(&format!("{JOBS}/b")).await.expect(404);
    assert_eq!(text(&missing, "message"), "jobs.batch \"b\" not found");
    assert_eq!(text(&missing, "details.kind"), "jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_generated() {
    let fixture = Fixture::start().await;
    let mut manifest = job("");
    manifest["metadata"] = json!({"generateName": "made-"});
    let first = fixture.post(JOBS, &manifest).await.expect(201);
    let second = fixture.post(JOBS, &manifest).await.expect(201);
    assert!(text(&first, "metadata.name").starts_with("made-"));
    assert_ne!(text(&first, "metadata.name"), text(&second, "metadata.name"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_stores_nothing() {
    let fixture = Fixture::start().await;
    let path = format!("{JOBS}?dryRun=All");
    let tried = fixture.post(&path, &job("a")).await.expect(201);
    assert!(!text(&tried, "metadata.uid").is_empty());
    fixture.get(&format!("{JOBS}/a")).await.expect(404);

    fixture.create("a").await;
    fixture.post(&path, &job("a")).await.expect(409);
    let body = json!({"spec": {"parallelism": 3}});
    let changed = fixture.patch(&format!("{JOBS}/a?dryRun=All"), "merge-patch", &body).await;
    assert_eq!(at(&changed.expect(200), "spec.parallelism"), 3);
    fixture.delete(&format!("{JOBS}/a?dryRun=All"), &json!({})).await.expect(200);
    let kept = fixture.get(&format!("{JOBS}/a")).await.expect(200);
    assert_eq!(at(&kept, "spec.parallelism"), 10);
    assert!(kept["metadata"].get("deletionTimestamp").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn yaml_is_taken() {
    let fixture = Fixture::start().await;
    let yaml = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: y}\nspec:\n  template:\n    spec:\n      \
                restartPolicy: Never\n      containers: [{name: c, image: 'busybox:1'}]\n";
    let answer = fixture.with_body(Method::POST, JOBS, "application/yaml", yaml).await;
    assert_eq!(text(&answer.expect(201), "metadata.name"), "y");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_in_pages_and_by_selectors() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c", "d", "e"] {
        fixture.create(name).await;
    }
    let elsewhere = "/apis/batch/v1/namespaces/other/jobs";
    fixture.post(elsewhere, &job("x")).await.expect(201);

    let all = fixture.get("/apis/batch/v1/jobs").await.expect(200);
    assert_eq!(text(&all, "kind"), "JobList");
    assert_eq!(names(&all), ["a", "b", "c", "d", "e", "x"]);
    assert_eq!(names(&fixture.get(elsewhere).await.expect(200)), ["x"]);

    let mut seen = Vec::new();
    let mut token = String::new();
    let mut versions = Vec::new();
    loop {
        let page = fixture.get(&format!("{JOBS}?limit=2&continue={token}")).await.expect(200);
        seen.extend(names(&page));
        versions.push(text(&page, "metadata.resourceVersion").to_owned());
        match page["metadata"].get("continue") {
            Some(next) => token = next.as_str().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, ["a", "b", "c", "d", "e"]);
    versions.dedup();
    assert_eq!(versions.len(), 1, "one list has one resourceVersion");

    let labelled = fixture.get(&format!("{JOBS}?labelSelector=app%20in%20(a,c)")).await;
    assert_eq!(names(&labelled.expect(200)), ["a", "c"]);
    let field = fixture.get(&format!("{JOBS}?fieldSelector=metadata.name=d")).await;
    assert_eq!(names(&field.expect(200)), ["d"]);
    fixture.get(&format!("{JOBS}?fieldSelector=spec.nonsense=d")).await.expect(400);
    fixture.get(&format!("{JOBS}?labelSelector=a%3D%3D%3Db")).await.expect(400);
    fixture.get(&format!("{JOBS}?continue=nonsense")).await.expect(400);

    let namespaces = fixture.get("/api/v1/namespaces").await.expect(200);
    assert_eq!(names(&namespaces), ["default", "other"]);
    fixture.get("/api/v1/namespaces/any").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_has_the_columns_of_kubernetes() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let table = fixture.get_table(&format!("{JOBS}?limit=500")).await.expect(200);
    assert_eq!(text(&table, "kind"), "Table");
    let columns = at(&table, "columnDefinitions").as_array().unwrap();
    let columns: Vec<&str> = columns.iter().map(|column| text(column, "name")).collect();
    assert_eq!(columns[..5], ["Name", "Status", "Completions", "Duration", "Age"]);
    assert_eq!(at(&table, "rows.0.cells.2"), "0/1000");
    assert_eq!(text(&table, "rows.0.object.kind"), "PartialObjectMetadata");

    let whole = fixture.get_table(&format!("{JOBS}?includeObject=Object")).await.expect(200);
    assert_eq!(at(&whole, "rows.0.object.spec.parallelism"), 10);
    let one = fixture.get_table(&format!("{JOBS}/a")).await.expect(200);
    assert_eq!(at(&one, "rows").as_array().unwrap().len(), 1);
    fixture.get_table(&format!("{JOBS}?includeObject=Nonsense")).await.expect(400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_replaced_if_it_is_still_the_one_that_was_read() {
    let fixture = Fixture::start().await;
    let mut read = fixture.create("a").await;
    let path = format!("{JOBS}/a");
    read["spec"]["parallelism"] = json!(4);
    let put =
        |body: &Value| fixture.with_body(Method::PUT, &path, "application/json", body.to_string());
    let changed = put(&read).await.expect(200);
    assert_eq!(at(&changed, "spec.parallelism"), 4);
    assert_ne!(changed["metadata"]["resourceVersion"], read["metadata"]["resourceVersion"]);

    read["spec"]["parallelism"] = json!(5);
    let stale = put(&read).await.expect(409);
    assert_eq!(text(&stale, "reason"), "Conflict");
    let message = text(&stale, "message");
    assert!(message.contains("the object has been modified"), "{message}");

    read["metadata"]["resourceVersion"] = Value::Null;
    let forced = put(&read).await.expect(200);
    assert_eq!(at(&forced, "spec.parallelism"), 5);
    let same = put(&forced).await.expect(200);
    assert_eq!(same["metadata"]["resourceVersion"], forced["metadata"]["resourceVersion"]);

    let mut other = forced.clone();
    other["metadata"]["uid"] = json!("another");
    put(&other).await.expect(409);
    let mut renamed = forced.clone();
    renamed["metadata"]["name"] = json!("b");
    put(&renamed).await.expect(400);
    let mut immutable = forced;
    immutable["spec"]["template"]["spec"]["containers"][0]["image"] = json!("other:1");
    let refused = put(&immutable).await.expect(422);
    assert!(text(&refused, "message").contains("spec.template: Invalid value"));
    let status = format!("{path}/status");
    fixture.with_body(Method::PUT, &status, "application/json", "{}").await.expect(405);
}

#[tokio::test(flavor = "multi_thread")]
async fn patches_at_the_same_time_all_take_effect() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let path = format!("{JOBS}/a");
    let patches = (0..6).map(|n| json!({"metadata": {"labels": {format!("n{n}"): "set"}}}));
    let patches: Vec<_> = patches.collect();
    let sent = patches.iter().map(|patch| fixture.patch(&path, "merge-patch", patch));
    for answer in futures::future::join_all(sent).await {
        answer.expect(200);
    }
    let labels = fixture.get(&path).await.expect(200);
    for n in 0..6 {
        assert_eq!(at(&labels, &format!("metadata.labels.n{n}")), "set");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_patched_in_three_ways() {
    let fixture = Fixture::start().await;
    fixture.create("a").await;
    let path = format!("{JOBS}/a");
    let strategic = json!({"metadata": {"labels": {"tier": "x"}}, "spec": {"suspend": true}});
    let patched = fixture.patch(&path, "strategic-merge-patch", &strategic).await.expect(200);
    assert_eq!(at(&patched, "metadata.labels"), &json!({"app": "a", "tier": "x"}));
    assert_eq!(at(&patched, "spec.suspend"), true);

    let merge = json!({"metadata": {"labels": {"tier": null}}, "spec": {"backoffLimit": 2}});
    let patched = fixture.patch(&path, "merge-patch", &merge).await.expect(200);
    assert_eq!(at(&patched, "metadata.labels"), &json!({"app": "a"}));
    assert_eq!(at(&patched, "spec.backoffLimit"), 2);

    let steps = json!([{"op": "replace", "path": "/spec/parallelism", "value": 7}]);
    let patched = fixture.patch(&path, "json-patch", &steps).await.expect(200);
    assert_eq!(at(&patched, "spec.parallelism"), 7);

    let stale = json!({"metadata": {"resourceVersion": "1"}, "spec": {"parallelism": 1}});
    fixture.patch(&path, "merge-patch", &stale).await.expect(409);
    let apply = fixture.with_body(Method::PATCH, &path, "application/apply-patch+yaml", "{}").await;
    assert_eq!(apply.code, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let bad = json!([{"op": "replace", "path": "/spec/none/such", "value": 7}]);
    fixture.patch(&path, "json-patch", &bad).await.expect(422);
    let wrong = json!({"spec": {"parallelism": "many"}});
    let refused = fixture.patch(&path, "merge-patch", &wrong).await;
    assert!(matches!(refused.code.as_u16(), 400 | 422), "{}", refused.text());
    fixture.patch(&format!("{JOBS}/b"), "merge-patch", &merge).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_job_stays_until_it_is_purged() {
    let fixture = Fixture::start().await;
    let created = fixture.create("a").await;
    let path = format!("{JOBS}/a");
    let other = json!({"preconditions": {"uid": "another"}});
    fixture.delete(&path, &other).await.expect(409);
    let orphan = json!({"propagationPolicy": "Orphan"});
    let refused = fixture.delete(&path, &orphan).await.expect(422);
    assert_eq!(text(&refused, "details.causes.0.field"), "propagationPolicy");

    let uid = text(&created, "metadata.uid");
    let options = json!({
        "kind": "DeleteOptions", "apiVersion": "v1",
        "propagationPolicy": "Background", "preconditions": {"uid": uid},
    });
    let deleted = fixture.delete(&path, &options).await.expect(200);
    assert_eq!(text(&deleted, "metadata.uid"), uid);
    let read = fixture.get(&path).await.expect(200);
    assert!(read["metadata"].get("deletionTimestamp").is_some());
    let taken = fixture.post(JOBS, &job("a")).await.expect(409);
    let message = "object is being deleted: jobs.batch \"a\" already exists";
    assert_eq!(text(&taken, "message"), message);
    fixture.delete(&path, &json!({})).await.expect(200);

    Owner::of(&fixture, "a").await.purge().await;
    fixture.get(&path).await.expect(404);
    fixture.delete(&path, &json!({})).await.expect(404);
    fixture.create("a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_is_deleted_by_selector() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c"] {
        fixture.create(name).await;
    }
    let path = format!("{JOBS}?labelSelector=app!%3Db");
    let deleted = fixture.delete(&path, &json!({"propagationPolicy": "Background"})).await;
    assert_eq!(names(&deleted.expect(200)), ["a", "c"]);
    for (name, gone) in [("a", true), ("b", false), ("c", true)] {
        let job = fixture.get(&format!("{JOBS}/{name}")).await.expect(200);
        assert_eq!(job["metadata"].get("deletionTimestamp").is_some(), gone, "{name}");
    }
}
