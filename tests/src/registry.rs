//! An image registry on loopback, so that pulls are real.

use anyhow::Result;
use tempfile::TempDir;
use tokio::process::Command;

use crate::redis_server::free_port;
use crate::{Background, Output, run, secs, until};

/// A running registry. Dropping it kills it; the machine's engine forgets what it had from it.
pub struct Registry {
    _process: Background,
    dir: TempDir,
    port: u16,
    /// The user and the password that it wants.
    key: Option<(String, String)>,
}

impl Registry {
    pub async fn start() -> Result<Self> {
        Self::start_with(None).await
    }

    /// One that is for this user alone.
    pub async fn private(user: &str, password: &str) -> Result<Self> {
        Self::start_with(Some((user, password))).await
    }

    async fn start_with(key: Option<(&str, &str)>) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port().await?;
        let config = dir.path().join("config.yml");
        let place = dir.path().display();
        let mut text = format!(
            "version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
             storage: {{filesystem: {{rootdirectory: '{place}/data'}}}}\n"
        );
        if let Some((user, password)) = key {
            let hash = bcrypt::hash(password, 4)?;
            std::fs::write(dir.path().join("users"), format!("{user}:{hash}\n"))?;
            text.push_str(&format!("auth: {{htpasswd: {{realm: test, path: '{place}/users'}}}}\n"));
        }
        std::fs::write(&config, text)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let key = key.map(|(user, password)| (user.to_owned(), password.to_owned()));
        let registry = Self { _process: Background::start(command)?, dir, port, key };
        until("the registry listens", secs(20), async || {
            let address = ("127.0.0.1", port);
            Ok(tokio::net::TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string()))
        })
        .await?;
        Ok(registry)
    }

    /// As it is called in images: `localhost:PORT`.
    pub fn address(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// An image's full name in this registry.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address())
    }

    /// Pushes an image of the machine's engine under a name; the engine itself forgets that name.
    pub async fn push(&self, image: &str, name: &str) -> Result<()> {
        let target = self.image(name);
        docker_cli(&["tag", image, &target]).await?.ok()?;
        // A configuration of its own, so that the machine's knows no password.
        let config = self.dir.path().join("docker").display().to_string();
        if let Some((user, password)) = &self.key {
            let address = self.address();
            let login = ["login", "--username", user, "--password", password, &address];
            docker_cli(&[&["--config", &config][..], &login].concat()).await?.ok()?;
        }
        docker_cli(&["--config", &config, "push", "--quiet", &target]).await?.ok()?;
        docker_cli(&["rmi", &target]).await?.ok()?;
        Ok(())
    }

    /// Whether the machine's engine has the image by this name.
    pub async fn is_pulled(&self, name: &str) -> Result<bool> {
        Ok(docker_cli(&["image", "inspect", &self.image(name)]).await?.code == 0)
    }

    /// Has the machine's engine forget the image.
    pub async fn forget(&self, name: &str) -> Result<()> {
        docker_cli(&["rmi", "--force", &self.image(name)]).await?.ok()?;
        Ok(())
    }
}

async fn docker_cli(args: &[&str]) -> Result<Output> {
    let mut command = Command::new("docker");
    command.args(args);
    run(command).await
}
