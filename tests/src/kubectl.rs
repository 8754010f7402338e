//! The real kubectl.

use std::path::PathBuf;

use anyhow::Result;
use tokio::process::Command;

use crate::{Background, Output, run_with_input};

/// kubectl with a kubeconfig.
#[derive(Clone, Debug)]
pub struct Kubectl {
    kubeconfig: PathBuf,
}

impl Kubectl {
    pub fn new(kubeconfig: PathBuf) -> Self {
        Self { kubeconfig }
    }

    pub async fn run(&self, args: &[&str]) -> Result<Output> {
        self.run_with_input(args, "").await
    }

    pub async fn run_with_input(&self, args: &[&str], input: &str) -> Result<Output> {
        run_with_input(self.command(args), input).await
    }

    /// The standard output of a command that must succeed.
    pub async fn ok(&self, args: &[&str]) -> Result<String> {
        self.run(args).await?.ok()
    }

    /// A command that goes on, such as `get -w`.
    pub fn start(&self, args: &[&str]) -> Result<Background> {
        Background::start(self.command(args))
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        // Its cache of discovery documents goes by the server's address, and tests reuse addresses.
        let cache = self.kubeconfig.with_file_name("kubectl-cache");
        command.arg("--cache-dir").arg(cache).args(args).env("KUBECONFIG", &self.kubeconfig);
        command
    }
}
