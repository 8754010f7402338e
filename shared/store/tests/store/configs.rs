//! ConfigMaps and Secrets.

use std::time::Duration;

use longshore_store::{
    ConfigKind, ConfigWritten, Seal, SealError, Store, StoreError, StoreSettings, Subject, Verb,
};

use crate::common::SHARDS;
use crate::server::Server;

const OBJECT: &str = r#"{"data":{"a":"1"}}"#;
const WORDS: &str = "correct-horse-battery-staple";

async fn store(server: &Server, key: Option<&str>) -> Store {
    let seal = key.map(|key| Seal::new(key).unwrap());
    let settings = StoreSettings::new(server.url()).with_shards(SHARDS).with_seal(seal);
    Store::connect(&settings).await.unwrap()
}

/// What the owners do with all shards' changes.
async fn forward(store: &Store) {
    for shard in store.all_shards() {
        let entries = store.read_out(shard, Duration::ZERO, 100).await.unwrap();
        store.forward(shard, &entries).await.unwrap();
    }
}

#[tokio::test]
async fn a_config_map_is_kept_changed_and_removed() {
    let server = Server::start();
    let store = store(&server, None).await;
    let kind = ConfigKind::ConfigMap;
    let create = |uid: &'static str| store.create_config(kind, "default", "c", uid, OBJECT);
    let created = create("u").await.unwrap();
    assert!(created.is_some());
    assert_eq!(create("u").await.unwrap(), created, "the same creation");
    assert_eq!(create("v").await.unwrap(), None, "the name is taken");
    let secret = store.get_config(ConfigKind::Secret, "default", "c").await.unwrap();
    assert_eq!(secret, None, "kinds have names of their own");

    let old = store.get_config(kind, "default", "c").await.unwrap().unwrap();
    assert_eq!((old.object.as_str(), old.rev, old.dirty), (OBJECT, 1, true));
    forward(&store).await;
    let old = store.get_config(kind, "default", "c").await.unwrap().unwrap();
    assert!(!old.dirty && old.rv.0 > 0);

    let update = |request: &'static str, rv| store.update_config(&old, request, rv, "{}");
    let stale = longshore_store::ResourceVersion(1);
    assert_eq!(update("r", Some(stale)).await.unwrap(), ConfigWritten::Conflict);
    assert_eq!(update("r", Some(old.rv)).await.unwrap(), ConfigWritten::Ok);
    assert_eq!(update("r", Some(old.rv)).await.unwrap(), ConfigWritten::Ok, "the same request");
    assert_eq!(update("s", None).await.unwrap(), ConfigWritten::Conflict);
    assert_eq!(store.delete_config(&old).await.unwrap(), ConfigWritten::Conflict);

    let new = store.get_config(kind, "default", "c").await.unwrap().unwrap();
    assert_eq!((new.object.as_str(), new.rev), ("{}", 2));
    assert_eq!(store.delete_config(&new).await.unwrap(), ConfigWritten::Ok);
    assert_eq!(store.delete_config(&new).await.unwrap(), ConfigWritten::Gone);
    assert_eq!(store.get_config(kind, "default", "c").await.unwrap(), None);
    assert!(create("w").await.unwrap().is_some(), "the name is free again");
}

#[tokio::test]
async fn objects_are_listed_by_name() {
    let server = Server::start();
    let store = store(&server, None).await;
    let kind = ConfigKind::ConfigMap;
    for (n, (namespace, name)) in
        [("b", "z"), ("a", "y"), ("b", "x"), ("a", "b/c")].into_iter().enumerate()
    {
        store.create_config(kind, namespace, name, &n.to_string(), OBJECT).await.unwrap();
    }
    let names = async |namespace| {
        let list = store.list_configs(kind, namespace).await.unwrap();
        let names = list.into_iter().map(|(namespace, name, _)| format!("{namespace}/{name}"));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(names(None).await, "a/b/c a/y b/x b/z");
    assert_eq!(names(Some("b")).await, "b/x b/z");
    assert!(store.list_configs(ConfigKind::Secret, None).await.unwrap().is_empty());
}

#[tokio::test]
async fn each_change_is_in_the_log() {
    let server = Server::start();
    let key = Seal::new_key().unwrap();
    let store = store(&server, Some(&key)).await;
    let start = store.log_tail().await.unwrap();
    let kind = ConfigKind::Secret;
    store.create_config(kind, "default", "s", "u", OBJECT).await.unwrap();
    let old = store.get_config(kind, "default", "s").await.unwrap().unwrap();
    store.update_config(&old, "r", None, "{}").await.unwrap();
    let new = store.get_config(kind, "default", "s").await.unwrap().unwrap();
    store.delete_config(&new).await.unwrap();
    forward(&store).await;
    let changes = store.log_read(start, Duration::ZERO, 10).await.unwrap();
    let verbs: Vec<Verb> = changes.iter().map(|change| change.verb).collect();
    assert_eq!(verbs, [Verb::Added, Verb::Modified, Verb::Deleted]);
    for change in &changes {
        assert_eq!(change.subject, Subject::Config(kind, old.config.clone()));
        assert_eq!((change.namespace.as_str(), change.name.as_str()), ("default", "s"));
    }
    let last = changes[2].object.as_deref().unwrap();
    assert_eq!(store.open_config(kind, "default", "s", last).unwrap(), "{}");
}

#[tokio::test]
async fn a_secret_is_nowhere_in_redis() {
    let server = Server::start();
    let key = Seal::new_key().unwrap();
    let store = store(&server, Some(&key)).await;
    let kind = ConfigKind::Secret;
    let object = format!(r#"{{"data":{{"key":"{WORDS}"}}}}"#);
    store.create_config(kind, "default", "s", "u", &object).await.unwrap();
    let old = store.get_config(kind, "default", "s").await.unwrap().unwrap();
    assert_eq!(old.object, object);
    assert!(!format!("{old:?}").contains(WORDS));
    store.update_config(&old, "r", None, &object).await.unwrap();
    forward(&store).await;
    let new = store.get_config(kind, "default", "s").await.unwrap().unwrap();
    store.delete_config(&new).await.unwrap();
    store.create_config(kind, "default", "s", "v", &object).await.unwrap();
    // Every byte that Redis has written of it.
    let written = server.data();
    assert!(contains(&written, b"Secret/default/s"), "the file is the right one");
    assert!(!contains(&written, WORDS.as_bytes()));
}

fn contains(text: &[u8], words: &[u8]) -> bool {
    text.windows(words.len()).any(|window| window == words)
}

#[tokio::test]
async fn without_its_key_a_secret_is_neither_taken_nor_given() {
    let server = Server::start();
    let (key, other) = (Seal::new_key().unwrap(), Seal::new_key().unwrap());
    let with_key = store(&server, Some(&key)).await;
    let kind = ConfigKind::Secret;
    with_key.create_config(kind, "default", "s", "u", OBJECT).await.unwrap();
    let without = store(&server, None).await;
    let created = without.create_config(kind, "default", "t", "v", OBJECT).await;
    assert!(seal_error(created) == SealError::NoKey);
    assert!(seal_error(without.get_config(kind, "default", "s").await) == SealError::NoKey);
    let wrong = store(&server, Some(&other)).await;
    assert!(seal_error(wrong.get_config(kind, "default", "s").await) == SealError::OtherKey);
}

fn seal_error<T: std::fmt::Debug>(result: Result<T, StoreError>) -> SealError {
    match result {
        Err(StoreError::Seal { source, .. }) => source,
        other => panic!("{other:?} is no error of a seal"),
    }
}
