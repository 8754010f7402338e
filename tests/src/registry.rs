//! An image registry on loopback, so that pulls are real.

use anyhow::Result;
use tempfile::TempDir;
use tokio::process::Command;

use crate::redis_server::free_port;
use crate::{Background, Output, run, secs, until};

/// A running registry. Dropping it kills it; the machine's engine forgets what it had from it.
pub struct Registry {
    _process: Background,
    _dir: TempDir,
    port: u16,
}

impl Registry {
    pub async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port().await?;
        let config = dir.path().join("config.yml");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: warn}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n\
                 storage: {{filesystem: {{rootdirectory: '{}/data'}}}}\n",
                dir.path().display()
            ),
        )?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        let registry = Self { _process: Background::start(command)?, _dir: dir, port };
        until("the registry listens", secs(20), async || {
            let address = ("127.0.0.1", port);
            Ok(tokio::net::TcpStream::connect(address).await.map(drop).map_err(|e| e.to_string()))
        })
        .await?;
        Ok(registry)
    }

    /// An image's full name in this registry.
    pub fn image(&self, name: &str) -> String {
        format!("localhost:{}/{name}", self.port)
    }

    /// Pushes an image of the machine's engine under a name; the engine itself forgets that name.
    pub async fn push(&self, image: &str, name: &str) -> Result<()> {
        let target = self.image(name);
        docker_cli(&["tag", image, &target]).await?.ok()?;
        docker_cli(&["push", "--quiet", &target]).await?.ok()?;
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
