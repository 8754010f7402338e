//! What the faults hit: three hosts, each with a Docker engine and a worker of its own behind networks
//! that can be cut, three coordinators, and the servers that they share.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use longshore_tests::{
    Api, Background, Cluster, Engine, Gate, Options, RedisServer, program, secs,
};
use longshore_tests::{Traffic, condition, until};
use rustix::process::Signal;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::chaos::world::World;

pub(crate) const HOSTS: usize = 3;
const SLOTS: u32 = 4;

/// Short, so that a run sees many of them run out.
pub(crate) const LEASE: Duration = Duration::from_secs(6);

pub(crate) struct Fleet {
    pub(crate) hosts: Vec<Host>,
    /// Before Redis, for all coordinators.
    pub(crate) coordinators: Gate,
    pub(crate) redis: Mutex<RedisServer>,
    pub(crate) apis: Vec<Api>,
    pub(crate) world: World,
    cluster: Cluster,
    /// Held by who starts or stops a member of the cluster.
    members: Mutex<()>,
}

/// One of the hosts. Its worker is dropped before its engine.
pub(crate) struct Host {
    pub(crate) name: String,
    worker: Mutex<Option<Background>>,
    pub(crate) redis: Gate,
    pub(crate) rabbitmq: Gate,
    pub(crate) engine: Engine,
    start: Start,
}

/// How a worker is started.
struct Start {
    state: PathBuf,
    log: PathBuf,
    env: Vec<(String, String)>,
}

impl Fleet {
    pub(crate) async fn start() -> Result<Self> {
        let redis = RedisServer::start_with_a_clock().await?;
        let coordinators = Gate::start(&redis.address()).await?;
        let folder = tempfile::Builder::new().prefix("ls-world-").tempdir_in("/tmp")?;
        let settings = settings(folder.path());
        let mut options = Options::workers(0, SLOTS).coordinators(3);
        for (key, value) in &settings {
            options = options.set(key, value);
        }
        let url = format!("redis://{}", coordinators.address());
        let cluster = Cluster::start(options.redis(url)).await?;
        let description = cluster.describe()?;
        let servers = description.coordinators.iter().filter_map(|one| one.server.as_deref());
        let apis = servers.map(Api::new).collect();

        let mut hosts = Vec::new();
        for n in 1..=HOSTS {
            let rabbitmq = Gate::start(address_of(&description.amqp_url)?).await?;
            hosts.push(Host::start(n, &cluster, &settings, &redis, rabbitmq).await?);
        }
        let fleet = Self {
            hosts,
            coordinators,
            redis: Mutex::new(redis),
            apis,
            world: World::new(folder),
            cluster,
            members: Mutex::default(),
        };
        fleet.ready().await?;
        Ok(fleet)
    }

    /// Sends a signal to a member of the cluster.
    pub(crate) fn signal(&self, member: &str, signal: Signal) -> Result<()> {
        self.cluster.signal(member, signal)
    }

    /// Starts a member of the cluster that has ended.
    pub(crate) async fn start_member(&self, member: &str) -> Result<()> {
        let _turn = self.members.lock().await;
        self.cluster.start_member(member).await
    }

    /// A channel to RabbitMQ; the connection must be kept.
    pub(crate) async fn rabbitmq(&self) -> Result<(lapin::Connection, lapin::Channel)> {
        self.cluster.rabbitmq().await
    }

    /// The folder with the logs of all programs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.cluster.dir().join("logs")
    }

    /// Ends all faults: whatever was cut, frozen or ended works again.
    pub(crate) async fn heal(&self) -> Result<()> {
        self.coordinators.set(Traffic::Open);
        self.redis.lock().await.move_clock(0)?;
        for host in &self.hosts {
            host.redis.set(Traffic::Open);
            host.rabbitmq.set(Traffic::Open);
            host.start_worker().await?;
        }
        self.ready().await
    }

    async fn ready(&self) -> Result<()> {
        until("all workers are ready", secs(60), async || {
            let mut ready = Vec::new();
            for host in &self.hosts {
                let node = self.apis[0].get(&format!("/api/v1/nodes/{}", host.name)).await;
                ready.push(
                    node.is_ok_and(|node| condition(&node.body["status"], "Ready").is_some()),
                );
            }
            Ok(if ready.iter().all(|ready| *ready) { Ok(()) } else { Err(ready) })
        })
        .await
    }
}

impl Host {
    async fn start(
        n: usize,
        cluster: &Cluster,
        settings: &[(&str, String)],
        redis: &RedisServer,
        rabbitmq: Gate,
    ) -> Result<Self> {
        let name = format!("host-{n}");
        let engine = Engine::start(&format!("ls-chaos-{n}")).await?;
        let redis = Gate::start(&redis.address()).await?;
        let mut env: Vec<(String, String)> = settings
            .iter()
            .map(|(key, value)| (format!("LONGSHORE__{key}"), value.clone()))
            .collect();
        let amqp_url = cluster.describe()?.amqp_url;
        let amqp_url = amqp_url.replace(address_of(&amqp_url)?, &rabbitmq.address());
        env.push(("LONGSHORE__REDIS__URL".into(), format!("redis://{}", redis.address())));
        env.push(("LONGSHORE__RABBITMQ__URL".into(), amqp_url));
        env.push(("LONGSHORE__LOG__FILTER".into(), "info,longshore_worker::slots=debug".into()));
        let start = Start {
            state: cluster.dir().join("workers").join(&name),
            log: cluster.dir().join("logs").join(format!("{name}.log")),
            env,
        };
        let host = Self { name, worker: Mutex::default(), redis, rabbitmq, engine, start };
        host.start_worker().await?;
        Ok(host)
    }

    /// Starts the worker unless it runs.
    pub(crate) async fn start_worker(&self) -> Result<()> {
        let mut worker = self.worker.lock().await;
        if let Some(worker) = &mut *worker
            && worker.is_running()?
        {
            return Ok(());
        }
        let Start { state, log, env } = &self.start;
        let mut command = Command::new(program("longshore-worker")?);
        command.args(["--name", &self.name]);
        command.args(["--slots", &SLOTS.to_string(), "--docker-host", &self.engine.host()]);
        command.arg("--state-dir").arg(state).envs(env.iter().cloned());
        *worker = Some(Background::start_with_log(command, log)?);
        Ok(())
    }

    pub(crate) async fn kill_worker(&self) -> Result<()> {
        if let Some(mut worker) = self.worker.lock().await.take() {
            worker.signal(Signal::KILL)?;
            worker.ended(secs(5)).await?;
        }
        Ok(())
    }

    pub(crate) async fn signal_worker(&self, signal: Signal) -> Result<()> {
        self.worker.lock().await.as_ref().context("the worker runs")?.signal(signal)
    }
}

fn settings(world: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("LEASE__LENGTH", format!("{}s", LEASE.as_secs())),
        ("WORKER__HOST_PATHS", world.display().to_string()),
        ("WORKER__DRAIN_TIMEOUT", "1s".into()),
        // Faults are far more frequent here than any that a container could bring about.
        ("BACKOFF__MAX_DISRUPTIONS", "1000".into()),
    ]
}

/// `HOST:PORT` of an AMQP URL.
fn address_of(url: &str) -> Result<&str> {
    let rest = url.split_once('@').context("it names a user")?.1;
    Ok(rest.split('/').next().unwrap_or(rest))
}
