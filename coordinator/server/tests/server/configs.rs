//! ConfigMaps and Secrets.

use http::Method;
use serde_json::{Value, json};

use crate::common::{Fixture, at, text};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const SECRETS: &str = "/api/v1/namespaces/default/secrets";

fn config_map(name: &str, data: Value) -> Value {
    json!({"metadata": {"name": name, "labels": {"app": name}}, "data": data})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_lives_as_in_kubernetes() {
    let fixture = Fixture::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let dry = format!("{CONFIG_MAPS}?dryRun=All");
    fixture.post(&dry, &config_map("a", json!({"k": "0"}))).await.expect(201);
    fixture.get(&path).await.expect(404);
    let created = fixture.post(CONFIG_MAPS, &config_map("a", json!({"k": "1"}))).await.expect(201);
    assert_eq!(at(&created, "data.k"), "1");
    assert_eq!(at(&created, "kind"), "ConfigMap");
    fixture.post(CONFIG_MAPS, &config_map("a", json!({}))).await.expect(409);
    let found = fixture.get(&path).await.expect(200);
    assert_eq!(found, created);

    let mut newer = found.clone();
    newer["data"]["k"] = json!("2");
    let put = async |object: &Value| {
        fixture.with_body(Method::PUT, &path, "application/json", object.to_string()).await
    };
    let replaced = put(&newer).await.expect(200);
    assert_ne!(at(&replaced, "metadata.resourceVersion"), at(&found, "metadata.resourceVersion"));
    put(&newer).await.expect(409);
    let patch = json!({"data": {"k": null, "l": "3"}});
    let patched = fixture.patch(&path, "merge-patch", &patch).await.expect(200);
    assert_eq!(at(&patched, "data"), &json!({"l": "3"}));
    let wrong = fixture.patch(&path, "merge-patch", &json!({"data": {"a b": ""}})).await;
    assert!(text(&wrong.expect(422), "message").contains("data[a b]: Invalid value"));

    let gone = fixture.send(fixture.request(Method::DELETE, &path).body("".into()).unwrap()).await;
    let gone = gone.expect(200);
    assert_eq!((at(&gone, "kind"), at(&gone, "status")), (&json!("Status"), &json!("Success")));
    fixture.get(&path).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn config_maps_are_listed_and_removed_by_selector() {
    let fixture = Fixture::start().await;
    for name in ["b", "a", "c"] {
        fixture.post(CONFIG_MAPS, &config_map(name, json!({"k": "1"}))).await.expect(201);
    }
    let other = "/api/v1/namespaces/other/configmaps";
    fixture.post(other, &config_map("d", json!({}))).await.expect(201);
    let names = async |path: &str| {
        let list = fixture.get(path).await.expect(200);
        let items = list["items"].as_array().expect("items").clone();
        let name = |item: &Value| text(item, "metadata.name").to_owned();
        items.iter().map(name).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(CONFIG_MAPS).await, "a b c");
    assert_eq!(names("/api/v1/configmaps").await, "a b c d");
    assert_eq!(names(&format!("{CONFIG_MAPS}?labelSelector=app%3Db")).await, "b");
    assert_eq!(names(&format!("{CONFIG_MAPS}?fieldSelector=metadata.name%3Dc")).await, "c");
    let page = fixture.get(&format!("{CONFIG_MAPS}?limit=2")).await.expect(200);
    let token = text(&page, "metadata.continue");
    assert_eq!(names(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await, "c");
    let table = fixture.get_table(CONFIG_MAPS).await.expect(200);
    let cells = &table["rows"][0]["cells"];
    assert_eq!((&cells[0], &cells[1]), (&json!("a"), &json!("1")));

    let path = format!("{CONFIG_MAPS}?labelSelector=app%20in%20(a,b)");
    let removed = fixture.request(Method::DELETE, &path).body("".into()).unwrap();
    fixture.send(removed).await.expect(200);
    assert_eq!(names(CONFIG_MAPS).await, "c");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_shown_to_who_asks_and_in_no_error() {
    let fixture = Fixture::start().await;
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"key": "x"}});
    let created = fixture.post(SECRETS, &secret).await.expect(201);
    assert_eq!(
        (at(&created, "data.key"), at(&created, "type")),
        (&json!("eA=="), &json!("Opaque"))
    );
    assert!(created.get("stringData").is_none());
    let table = fixture.get_table(SECRETS).await.expect(200);
    let cells = &table["rows"][0]["cells"];
    assert_eq!((&cells[0], &cells[1], &cells[2]), (&json!("s"), &json!("Opaque"), &json!("1")));
    assert!(!fixture.get_table(SECRETS).await.text().contains("eA=="));
    let hidden = "correct-horse";
    for wrong in [
        json!({"metadata": {"name": "t"}, "data": {"key": hidden}}),
        json!({"metadata": {"name": "t"}, "data": {"key": 1, "l": [hidden]}}),
        json!({"metadata": {"name": "T"}, "stringData": {"key": hidden}}),
    ] {
        let answer = fixture.post(SECRETS, &wrong).await;
        assert!(matches!(answer.code.as_u16(), 400 | 422), "{}", answer.text());
        assert!(!answer.text().contains(hidden), "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_watched_to_their_end() {
    let fixture = Fixture::start().await;
    let list = fixture.get(SECRETS).await.expect(200);
    let rv = text(&list, "metadata.resourceVersion").to_owned();
    let path = format!("{SECRETS}/s");
    let secret = json!({"metadata": {"name": "s"}, "stringData": {"key": "x"}});
    fixture.post(SECRETS, &secret).await.expect(201);
    fixture.patch(&path, "merge-patch", &json!({"stringData": {"key": "y"}})).await.expect(200);
    fixture.send(fixture.request(Method::DELETE, &path).body("".into()).unwrap()).await.expect(200);
    let watch = format!("{SECRETS}?watch=true&resourceVersion={rv}&timeoutSeconds=1");
    let events = fixture.get(&watch).await.text();
    let events: Vec<Value> =
        events.lines().map(|line| serde_json::from_str(line).expect("an event")).collect();
    let last = events.last().expect("an event");
    assert_eq!(
        (at(last, "type"), at(last, "object.data.key")),
        (&json!("DELETED"), &json!("eQ=="))
    );
    assert_eq!(at(last, "object.metadata.name"), "s");
}
