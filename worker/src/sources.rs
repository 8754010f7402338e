//! The ConfigMaps and Secrets that a container refers to.

use std::collections::{BTreeMap, BTreeSet};

use futures::FutureExt;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, Secret, Volume};
use longshore_store::{ConfigKind, Store, StoreError};

/// What a ConfigMap or a Secret holds.
pub(crate) type Data = BTreeMap<String, Vec<u8>>;

/// Where the objects of a namespace are to be had.
pub(crate) trait Objects: Send + Sync {
    /// What an object holds; `None` if there is no such object.
    fn get<'a>(
        &'a self,
        kind: ConfigKind,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Data>, StoreError>>;
}

impl Objects for Store {
    fn get<'a>(
        &'a self,
        kind: ConfigKind,
        namespace: &'a str,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Data>, StoreError>> {
        async move {
            let stored = self.get_config(kind, namespace, name).await?;
            // It was judged when it was stored.
            Ok(stored.map(|stored| read(kind, &stored.object)))
        }
        .boxed()
    }
}

/// The objects that there are, of those that a container refers to.
#[derive(Default)]
pub(crate) struct Sources {
    found: BTreeMap<(Kind, String), Data>,
}

impl Sources {
    /// Reads them as they are now.
    pub(crate) async fn load(
        objects: &dyn Objects,
        namespace: &str,
        spec: &PodSpec,
        container: &Container,
    ) -> Result<Self, StoreError> {
        let mut found = BTreeMap::new();
        for (kind, name) in referred(spec, container) {
            if let Some(data) = objects.get(kind.into(), namespace, &name).await? {
                found.insert((kind, name), data);
            }
        }
        Ok(Self { found })
    }

    pub(crate) fn config_map(&self, name: &str) -> Option<&Data> {
        self.found.get(&(Kind::ConfigMap, name.to_owned()))
    }

    pub(crate) fn secret(&self, name: &str) -> Option<&Data> {
        self.found.get(&(Kind::Secret, name.to_owned()))
    }
}

fn read(kind: ConfigKind, object: &str) -> Data {
    match kind {
        ConfigKind::ConfigMap => {
            let map: ConfigMap = serde_json::from_str(object).unwrap_or_default();
            let texts = map.data.unwrap_or_default().into_iter();
            let texts = texts.map(|(key, text)| (key, text.into_bytes()));
            let bytes = map.binary_data.unwrap_or_default().into_iter();
            texts.chain(bytes.map(|(key, bytes)| (key, bytes.0))).collect()
        }
        ConfigKind::Secret => {
            let secret: Secret = serde_json::from_str(object).unwrap_or_default();
            let bytes = secret.data.unwrap_or_default().into_iter();
            bytes.map(|(key, bytes)| (key, bytes.0)).collect()
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    ConfigMap,
    Secret,
}

impl From<Kind> for ConfigKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::ConfigMap => Self::ConfigMap,
            Kind::Secret => Self::Secret,
        }
    }
}

/// The objects that a container needs: for its image, its variables, and the volumes that it mounts.
fn referred(spec: &PodSpec, container: &Container) -> BTreeSet<(Kind, String)> {
    let mut names = BTreeSet::new();
    for secret in spec.image_pull_secrets.iter().flatten() {
        names.insert((Kind::Secret, secret.name.clone()));
    }
    for source in container.env_from.iter().flatten() {
        names.extend(source.config_map_ref.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
        names.extend(source.secret_ref.iter().map(|from| (Kind::Secret, from.name.clone())));
    }
    for source in container.env.iter().flatten().filter_map(|env| env.value_from.as_ref()) {
        let config_map = source.config_map_key_ref.iter();
        names.extend(config_map.map(|from| (Kind::ConfigMap, from.name.clone())));
        names.extend(source.secret_key_ref.iter().map(|from| (Kind::Secret, from.name.clone())));
    }
    let mounted: BTreeSet<&str> =
        container.volume_mounts.iter().flatten().map(|mount| mount.name.as_str()).collect();
    for volume in spec.volumes.iter().flatten() {
        if mounted.contains(volume.name.as_str()) {
            of_volume(volume, &mut names);
        }
    }
    names
}

fn of_volume(volume: &Volume, names: &mut BTreeSet<(Kind, String)>) {
    names.extend(volume.config_map.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
    let secret = volume.secret.as_ref().and_then(|from| from.secret_name.clone());
    names.extend(secret.map(|name| (Kind::Secret, name)));
    for source in volume.projected.iter().flat_map(|from| from.sources.iter().flatten()) {
        names.extend(source.config_map.iter().map(|from| (Kind::ConfigMap, from.name.clone())));
        names.extend(source.secret.iter().map(|from| (Kind::Secret, from.name.clone())));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::{from_value, json};

    /// Objects that are always the same: each key and value of each ConfigMap and Secret.
    #[derive(Default)]
    pub(crate) struct Fixed {
        pub(crate) config_maps: BTreeMap<String, Data>,
        pub(crate) secrets: BTreeMap<String, Data>,
    }

    impl Objects for Fixed {
        fn get<'a>(
            &'a self,
            kind: ConfigKind,
            _namespace: &'a str,
            name: &'a str,
        ) -> BoxFuture<'a, Result<Option<Data>, StoreError>> {
            let all = match kind {
                ConfigKind::ConfigMap => &self.config_maps,
                ConfigKind::Secret => &self.secrets,
            };
            futures::future::ready(Ok(all.get(name).cloned())).boxed()
        }
    }

    #[test]
    fn only_what_the_container_itself_needs_is_referred_to() {
        let spec: PodSpec = from_value(json!({
            "imagePullSecrets": [{ "name": "pull" }],
            "containers": [{
                "name": "main",
                "envFrom": [{ "configMapRef": { "name": "a" } }, { "secretRef": { "name": "b" } }],
                "env": [{ "name": "K", "valueFrom": { "secretKeyRef": { "name": "c", "key": "k" } } }],
                "volumeMounts": [{ "name": "v", "mountPath": "/v" }, { "name": "p", "mountPath": "/p" }],
            }],
            "volumes": [
                { "name": "v", "secret": { "secretName": "d" } },
                { "name": "p", "projected": { "sources": [{ "configMap": { "name": "e" } }] } },
                { "name": "other", "configMap": { "name": "f" } },
            ],
        }))
        .expect("a Pod");
        let names = referred(&spec, &spec.containers[0]);
        let of = |wanted| names.iter().filter(move |(kind, _)| *kind == wanted);
        let names = |kind| of(kind).map(|(_, name)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(names(Kind::ConfigMap), ["a", "e"]);
        assert_eq!(names(Kind::Secret), ["b", "c", "d", "pull"]);
    }
}
