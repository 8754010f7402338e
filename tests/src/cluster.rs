//! A local cluster, started with `longshore up` as a user would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::process::Command;

use crate::program::{build, program, repository};
use crate::rabbitmq::rabbitmqctl;
use crate::suite::{self, Kept};
use crate::teardown::Teardown;
use crate::{Api, Background, Kubectl, Output, run, run_with_input, until};

/// How a cluster is started. The default is what `longshore up` starts by itself.
#[derive(Clone, Debug)]
pub struct Options {
    coordinators: u32,
    workers: u32,
    slots: u32,
    redis_url: Option<String>,
    amqp_url: Option<String>,
    docker_host: Option<String>,
    /// Settings, as `LONGSHORE__SECTION__KEY`.
    env: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        let options = Self {
            coordinators: 1,
            workers: 3,
            slots: 2,
            redis_url: None,
            amqp_url: None,
            docker_host: None,
            env: BTreeMap::new(),
        };
        // What still runs when a cluster is taken down is of no interest.
        options.set("WORKER__DRAIN_TIMEOUT", "1s")
    }
}

impl Options {
    /// So many workers with so many slots each.
    pub fn workers(workers: u32, slots: u32) -> Self {
        Self { workers, slots, ..Self::default() }
    }

    pub fn coordinators(self, coordinators: u32) -> Self {
        Self { coordinators, ..self }
    }

    /// Another Redis than its own, such as a proxy before one.
    pub fn redis(mut self, url: impl Into<String>) -> Self {
        self.redis_url = Some(url.into());
        self
    }

    /// Another RabbitMQ than its own, such as a cluster.
    pub fn rabbitmq(mut self, url: impl Into<String>) -> Self {
        self.amqp_url = Some(url.into());
        self
    }

    /// Another engine than the machine's.
    pub fn docker(mut self, host: impl Into<String>) -> Self {
        self.docker_host = Some(host.into());
        self
    }

    /// A setting for all members, such as `WORKER__PULL_TIMEOUT`.
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Self {
        self.env.insert(format!("LONGSHORE__{key}"), value.into());
        self
    }
}

/// What `cluster.json` says.
#[derive(Clone, Debug, Deserialize)]
pub struct Description {
    pub server: String,
    pub redis_url: String,
    pub amqp_url: String,
    pub coordinators: Vec<Member>,
    pub workers: Vec<Member>,
    pub services: Vec<Member>,
}

/// A process of the cluster.
#[derive(Clone, Debug, Deserialize)]
pub struct Member {
    pub name: String,
    pub pid: i32,
    /// The URL of a coordinator's API.
    pub server: Option<String>,
}

/// A running cluster. Dropping it takes it down.
pub struct Cluster {
    // Before the folder, which says what there is to take down.
    _down: Teardown,
    dir: TempDir,
    env: BTreeMap<String, String>,
    api: Option<Api>,
}

impl Cluster {
    pub async fn start(options: Options) -> Result<Self> {
        build().await?;
        // Short, because RabbitMQ and Docker put sockets and mounts below it.
        let dir = tempfile::Builder::new().prefix("ls-").tempdir_in("/tmp")?;
        let (path, longshore) = (dir.path().display().to_string(), program("longshore")?);
        let down = [&longshore.display().to_string(), "down", "--data", &path];
        let down = Teardown::new(down.map(str::to_owned));
        let mut cluster = Self { _down: down, dir, env: options.env, api: None };

        let mut args = vec!["up", "--detach", "--data", &path, "--listen", "127.0.0.1:0"];
        let (workers, slots) = (options.workers.to_string(), options.slots.to_string());
        args.extend(["--workers", &workers, "--slots", &slots]);
        let coordinators = options.coordinators.to_string();
        args.extend(["--coordinators", &coordinators]);
        for (flag, value) in [
            ("--redis-url", &options.redis_url),
            ("--amqp-url", &options.amqp_url),
            ("--docker-host", &options.docker_host),
        ] {
            args.extend(value.iter().flat_map(|value| [flag, value]));
        }
        cluster.longshore(&args).await?.ok()?;
        cluster.api = Some(Api::new(&cluster.describe()?.server));
        Ok(cluster)
    }

    /// The cluster's folder: `cluster.json`, `kubeconfig`, `logs`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn describe(&self) -> Result<Description> {
        let path = self.dir().join("cluster.json");
        let text = std::fs::read(&path).with_context(|| format!("{}", path.display()))?;
        Ok(serde_json::from_slice(&text)?)
    }

    pub fn api(&self) -> &Api {
        self.api.as_ref().expect("set at the end of `start`")
    }

    /// The real kubectl, pointed at this cluster.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.kubeconfig())
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir().join("kubeconfig")
    }

    /// Runs the command line against this cluster.
    pub async fn longshore(&self, args: &[&str]) -> Result<Output> {
        self.longshore_with_input(args, "").await
    }

    pub async fn longshore_with_input(&self, args: &[&str], input: &str) -> Result<Output> {
        run_with_input(self.command(args)?, input).await
    }

    /// A command that goes on, such as `logs -f`.
    pub fn start_longshore(&self, args: &[&str]) -> Result<Background> {
        Background::start(self.command(args)?)
    }

    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("longshore")?);
        command.args(args).env("KUBECONFIG", self.kubeconfig()).envs(&self.env);
        command.current_dir(repository());
        Ok(command)
    }

    /// What `longshore up` does with the members of a cluster that runs.
    fn up(&self, args: &[&str]) -> Result<Command> {
        let data = self.dir().display().to_string();
        self.command(&[&["up", "--data", &data], args].concat())
    }

    /// The member of this name, of whatever kind.
    pub fn member(&self, name: &str) -> Result<Member> {
        let all = self.describe()?;
        [all.coordinators, all.workers, all.services]
            .into_iter()
            .flatten()
            .find(|member| member.name == name)
            .with_context(|| format!("no member {name}"))
    }

    /// Sends a signal to a member.
    pub fn signal(&self, name: &str, signal: Signal) -> Result<()> {
        let pid = Pid::from_raw(self.member(name)?.pid).context("a process id is above 0")?;
        kill_process(pid, signal).with_context(|| format!("{signal:?} to {name}"))
    }

    /// Ends a member as a user would.
    pub async fn stop_member(&self, name: &str) -> Result<()> {
        run(self.up(&["stop", name])?).await?.ok()?;
        Ok(())
    }

    /// Ends a member without a chance to do anything.
    pub async fn kill_member(&self, name: &str) -> Result<()> {
        run(self.up(&["stop", name, "--kill"])?).await?.ok()?;
        Ok(())
    }

    /// Starts a member that has ended.
    pub async fn start_member(&self, name: &str) -> Result<()> {
        run(self.up(&["start", name])?).await?.ok()?;
        Ok(())
    }

    /// The same, by the next release, which reads one format more than this one.
    pub async fn start_member_of_next_release(&self, name: &str) -> Result<()> {
        let mut command = self.up(&["start", name])?;
        command.env("LONGSHORE_PLAY_NEXT_RELEASE", "1");
        run(command).await?.ok()?;
        Ok(())
    }

    /// Waits until a member has ended by itself.
    pub async fn ended(&self, name: &str, bound: Duration) -> Result<()> {
        let process = format!("/proc/{}", self.member(name)?.pid);
        until(&format!("{name} ends"), bound, async || {
            let gone = !Path::new(&process).exists();
            Ok(if gone { Ok(()) } else { Err("it runs") })
        })
        .await
    }

    /// The most memory that a member has ever had resident, in bytes.
    pub fn peak_memory(&self, name: &str) -> Result<u64> {
        let path = format!("/proc/{}/status", self.member(name)?.pid);
        let status = std::fs::read_to_string(&path)?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).context("VmHWM")?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// A connection of the test's own to the cluster's Redis.
    pub async fn redis(&self) -> Result<redis::aio::MultiplexedConnection> {
        let client = redis::Client::open(self.describe()?.redis_url)?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    /// A channel of the test's own to the cluster's RabbitMQ; the connection must be kept.
    pub async fn rabbitmq(&self) -> Result<(lapin::Connection, lapin::Channel)> {
        let url = self.describe()?.amqp_url;
        let connection =
            lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        Ok((connection, channel))
    }

    /// Runs `rabbitmqctl` against the cluster's own RabbitMQ.
    pub async fn rabbitmqctl(&self, args: &[&str]) -> Result<String> {
        rabbitmqctl(self.member("rabbitmq")?.pid, args).await
    }

    /// The log of a member so far.
    pub fn log(&self, name: &str) -> Result<String> {
        let path = self.dir().join("logs").join(format!("{name}.log"));
        std::fs::read_to_string(&path).with_context(|| format!("{}", path.display()))
    }
}

/// As many warnings of each member are shown after a failure.
const LAST_LINES: usize = 10;

fn says_trouble(line: &str) -> bool {
    line.contains("WARN") || line.contains("ERROR")
}

impl Drop for Cluster {
    /// Whether the scenario has failed is known a moment later, so the logs are kept until then.
    fn drop(&mut self) {
        let Some(name) = self.dir().file_name() else { return };
        let to = repository().join("target/failed-clusters").join(name);
        let copied = std::fs::create_dir_all(&to).and_then(|()| {
            let from = ["logs", "cluster.json"].map(|name| self.dir().join(name));
            std::process::Command::new("cp").arg("-r").args(from).arg(&to).status()
        });
        if let Err(error) = copied {
            return eprintln!("keeping the cluster's logs: {error}");
        }
        let mut trouble = Vec::new();
        for log in std::fs::read_dir(to.join("logs")).into_iter().flatten().flatten() {
            let text = std::fs::read(log.path()).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let said: Vec<&str> = text.lines().filter(|line| says_trouble(line)).collect();
            let last = &said[said.len().saturating_sub(LAST_LINES)..];
            let name = log.file_name().to_string_lossy().into_owned();
            trouble.extend(last.iter().map(|line| format!("{name}: {line}")));
        }
        suite::keep(Kept { folder: to, trouble });
    }
}
