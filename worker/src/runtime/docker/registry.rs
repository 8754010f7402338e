//! Which credentials a registry is shown: those of the Pod's `imagePullSecrets`. Pure.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bollard::auth::DockerCredentials;
use k8s_openapi::api::core::v1::PodSpec;
use serde::Deserialize;

use crate::sources::Sources;

/// The credentials for an image, in the order in which they are to be tried; none if no Secret has any
/// for its registry. A Secret that isn't there, or holds none, is passed over, as under Kubernetes.
pub(super) fn credentials(
    image: &str,
    spec: &PodSpec,
    sources: &Sources,
) -> Vec<DockerCredentials> {
    let secrets = spec.image_pull_secrets.iter().flatten();
    let secrets = secrets.filter_map(|secret| sources.secret(&secret.name));
    let mut found = Vec::new();
    for data in secrets {
        if let Some(config) = data.get(".dockerconfigjson") {
            let config: Config = serde_json::from_slice(config).unwrap_or_default();
            found.extend(config.auths);
        } else if let Some(config) = data.get(".dockercfg") {
            let auths: Auths = serde_json::from_slice(config).unwrap_or_default();
            found.extend(auths);
        }
    }
    let mut fitting: Vec<(usize, DockerCredentials)> = found
        .into_iter()
        .filter(|(server, _)| is_for(server, image))
        .map(|(server, auth)| (server.len(), auth.credentials(server)))
        .collect();
    // The most particular first.
    fitting.sort_by_key(|(length, _)| std::cmp::Reverse(*length));
    fitting.into_iter().map(|(_, credentials)| credentials).collect()
}

type Auths = BTreeMap<String, Auth>;

/// A `config.json` of Docker's.
#[derive(Default, Deserialize)]
struct Config {
    #[serde(default)]
    auths: Auths,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    username: String,
    password: String,
    /// `username:password` in base64.
    auth: String,
    identitytoken: Option<String>,
}

impl Auth {
    fn credentials(self, server: String) -> DockerCredentials {
        let joined =
            STANDARD.decode(&self.auth).ok().and_then(|joined| String::from_utf8(joined).ok());
        let joined = joined.as_deref().and_then(|joined| joined.split_once(':'));
        let (username, password) = match joined {
            Some((username, password)) if self.username.is_empty() => {
                (username.to_owned(), password.to_owned())
            }
            _ => (self.username, self.password),
        };
        DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress: Some(server),
            identitytoken: self.identitytoken,
            ..DockerCredentials::default()
        }
    }
}

/// Docker's own registry, as it is called in images and in its configuration.
const DOCKER_HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// Whether a server of a configuration, which may have a scheme and a path, is an image's registry.
fn is_for(server: &str, image: &str) -> bool {
    let server = server.split_once("://").map_or(server, |(_, rest)| rest).trim_end_matches('/');
    let (host, path) = server.split_once('/').unwrap_or((server, ""));
    let (image_host, repository) = split(image);
    let same = host == image_host || (DOCKER_HUB.contains(&host) && image_host == DOCKER_HUB[0]);
    // The path of an API's version says nothing of a repository.
    let path = if matches!(path, "v1" | "v2") { "" } else { path };
    let below = repository.strip_prefix(path).is_some_and(|rest| {
        path.is_empty() || rest.is_empty() || rest.starts_with(['/', ':', '@'])
    });
    same && below
}

/// An image's registry and the rest of its name.
fn split(image: &str) -> (&str, &str) {
    match image.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest),
        _ => (DOCKER_HUB[0], image),
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::{from_value, json};

    use super::*;
    use crate::sources::tests::Fixed;

    #[test]
    fn a_server_is_told_by_its_name_whatever_its_form() {
        for (server, image) in [
            ("https://index.docker.io/v1/", "busybox"),
            ("docker.io", "library/busybox:1"),
            ("localhost:5000", "localhost:5000/a/b:c"),
            ("https://r.example/v2/", "r.example/a"),
            ("r.example/team", "r.example/team/a:1"),
            ("r.example/team", "r.example/team:1"),
        ] {
            assert!(is_for(server, image), "{server} {image}");
        }
        for (server, image) in [
            ("r.example", "busybox"),
            ("r.example", "r.example:5000/a"),
            ("docker.io", "r.example/busybox"),
            ("r.example/team", "r.example/teams/a"),
        ] {
            assert!(!is_for(server, image), "{server} {image}");
        }
    }

    #[test]
    fn credentials_come_from_the_secrets_that_are_there() {
        let spec: PodSpec = from_value(json!({
            "imagePullSecrets": [{ "name": "none" }, { "name": "odd" }, { "name": "r" }],
            "containers": [{ "name": "c" }]
        }))
        .expect("a Pod");
        let config = json!({ "auths": {
            "r.example": { "auth": STANDARD.encode("u:p:q") },
            "r.example/team": { "username": "v", "password": "w" },
            "other.example": { "username": "x" },
        } });
        let data = |config: String| {
            BTreeMap::from([(".dockerconfigjson".to_owned(), config.into_bytes())])
        };
        let objects = Fixed {
            secrets: BTreeMap::from([
                ("odd".into(), data("{".into())),
                ("r".into(), data(config.to_string())),
            ]),
            ..Fixed::default()
        };
        let sources = Sources::load(&objects, "n", &spec, &spec.containers[0]).now_or_never();
        let sources = sources.expect("nothing to wait for").expect("loaded");
        let found = credentials("r.example/team/a", &spec, &sources);
        let names = found.iter().map(|one| (one.username.as_deref(), one.password.as_deref()));
        let names: Vec<_> = names.collect();
        assert_eq!(names, [(Some("v"), Some("w")), (Some("u"), Some("p:q"))]);
        assert!(credentials("busybox", &spec, &sources).is_empty());
    }
}
