//! Images that are not like busybox: each is made of it, without any registry.

use anyhow::Result;
use tokio::process::Command;

use crate::run;
use crate::teardown::Teardown;

/// Images of a test's own in one engine. Dropping them removes them.
pub struct Images {
    /// Its user is 1000.
    pub user: String,
    /// `ENTRYPOINT ["env", "FROM=image"]`, `CMD ["sh", "-c", "echo default $FROM"]`.
    pub entrypoint: String,
    /// One static program, `/awk`, and nothing else.
    pub bare: String,
    _remove: Teardown,
}

/// Makes them of a container of busybox that is never started. `$1` is their tag.
const MAKE: &str = r#"set -e
of=$(docker create busybox:1.36 true)
stage=$(mktemp -d)
trap 'docker rm "$of" >/dev/null; rm -rf "$stage"' EXIT
path='ENV PATH=/usr/bin:/bin'
docker export "$of" | docker import --change "$path" --change 'USER 1000' - "longshore-user:$1"
docker export "$of" | docker import --change "$path" --change 'ENTRYPOINT ["env", "FROM=image"]' \
    --change 'CMD ["sh", "-c", "echo default $FROM"]' - "longshore-entrypoint:$1"
docker cp "$of:/bin/busybox" "$stage/awk"
tar -C "$stage" -c awk | docker import - "longshore-bare:$1"
"#;

impl Images {
    /// Makes them in the engine at the address; `None` is the machine's.
    pub async fn make(host: Option<&str>) -> Result<Self> {
        let tag = std::process::id().to_string();
        let name = |of: &str| format!("longshore-{of}:{tag}");
        let (user, entrypoint, bare) = (name("user"), name("entrypoint"), name("bare"));
        let mut remove = vec!["docker"];
        remove.extend(host.iter().flat_map(|host| ["--host", *host]));
        remove.extend(["image", "rm", "--force", &user, &entrypoint, &bare]);
        let remove = Teardown::new(remove);
        let mut make = Command::new("sh");
        make.args(["-c", MAKE, "sh", &tag]);
        if let Some(host) = host {
            make.env("DOCKER_HOST", host);
        }
        run(make).await?.ok()?;
        Ok(Self { user, entrypoint, bare, _remove: remove })
    }
}
