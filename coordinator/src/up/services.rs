//! The private Redis and RabbitMQ of a local cluster: how they are started so
//! that nothing of the machine's own servers is touched, and when they answer.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::process::Launch;

/// Where Debian keeps the script that its `rabbitmq-server` wraps: the wrapper
/// changes to a system user, the script runs as the caller.
const RABBITMQ_SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
const ERLANG: &str = "/usr/lib/erlang/bin";
const NODE: &str = "longshore@localhost";
const PROBE: Duration = Duration::from_secs(2);

/// Redis, as durable as Longshore asks of it.
pub(super) fn redis(data: &Path, log: PathBuf, port: u16) -> io::Result<Launch> {
    let dir = data.join("redis");
    fs::create_dir_all(&dir)?;
    let settings = [
        ("--port", port.to_string()),
        ("--bind", "127.0.0.1".to_owned()),
        ("--dir", dir.display().to_string()),
        ("--appendonly", "yes".to_owned()),
        ("--appendfsync", "always".to_owned()),
        ("--maxmemory-policy", "noeviction".to_owned()),
        ("--save", String::new()),
        ("--daemonize", "no".to_owned()),
    ];
    let args = settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    Ok(Launch {
        program: find("redis-server", &[])?,
        args,
        env: BTreeMap::new(),
        defaults: BTreeMap::new(),
        hide: None,
        log,
    })
}

/// The Erlang port mapper of this cluster's RabbitMQ. RabbitMQ would start one
/// by itself, and leave it behind.
pub(super) fn epmd(log: PathBuf, port: u16) -> io::Result<Launch> {
    Ok(Launch {
        program: find("epmd", &[ERLANG])?,
        args: ["-address", "127.0.0.1", "-port", &port.to_string()].map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        defaults: BTreeMap::new(),
        hide: Some("ERL_".to_owned()),
        log,
    })
}

/// The ports of a RabbitMQ.
pub(super) struct RabbitmqPorts {
    pub(super) amqp: u16,
    pub(super) distribution: u16,
    pub(super) epmd: u16,
}

/// RabbitMQ with files, ports, port mapper and cookie of its own.
pub(super) fn rabbitmq(data: &Path, log: PathBuf, ports: &RabbitmqPorts) -> io::Result<Launch> {
    let dir = data.join("rabbitmq");
    fs::create_dir_all(&dir)?;
    let file = |name: &str, text: &str| {
        let path = dir.join(name);
        fs::write(&path, text).map(|()| path.display().to_string())
    };
    let below = |name: &str| dir.join(name).display().to_string();
    let amqp = ports.amqp;
    // The limits keep it modest: a local cluster carries a few thousand tickets.
    let configuration = format!(
        "listeners.tcp.local = 127.0.0.1:{amqp}\n\
         vm_memory_high_watermark.absolute = 512MB\n\
         disk_free_limit.absolute = 50MB\n\
         raft.wal_max_size_bytes = 33554432\n\
         log.console = true\n\
         log.console.level = info\n\
         log.console.use_colors = off\n\
         log.file = false\n"
    );
    let env = BTreeMap::from([
        ("HOME", dir.display().to_string()),
        ("RABBITMQ_NODENAME", NODE.to_owned()),
        ("RABBITMQ_BASE", dir.display().to_string()),
        ("RABBITMQ_MNESIA_BASE", below("mnesia")),
        ("RABBITMQ_LOG_BASE", below("log")),
        ("RABBITMQ_PID_FILE", below("pid")),
        ("RABBITMQ_GENERATED_CONFIG_DIR", below("generated")),
        ("RABBITMQ_SCHEMA_DIR", below("schema")),
        ("RABBITMQ_CONFIG_FILE", file("rabbitmq.conf", &configuration)?),
        ("RABBITMQ_ADVANCED_CONFIG_FILE", file("advanced.config", "[].\n")?),
        ("RABBITMQ_CONF_ENV_FILE", file("rabbitmq-env.conf", "")?),
        ("RABBITMQ_ENABLED_PLUGINS_FILE", file("enabled_plugins", "[].\n")?),
        ("RABBITMQ_DIST_PORT", ports.distribution.to_string()),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}".to_owned(),
        ),
        ("ERL_EPMD_PORT", ports.epmd.to_string()),
        ("ERL_EPMD_ADDRESS", "127.0.0.1".to_owned()),
        // Makes the script become the server instead of its parent, so that the
        // process id is the server's.
        ("RUNNING_UNDER_SYSTEMD", "true".to_owned()),
    ]);
    Ok(Launch {
        program: find("rabbitmq-server", &[RABBITMQ_SCRIPTS])?,
        args: Vec::new(),
        env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        defaults: BTreeMap::new(),
        hide: Some("RABBITMQ_".to_owned()),
        log,
    })
}

/// Whether a Redis answers on this port of loopback: a fresh one that still
/// reads its file says LOADING.
pub(super) async fn redis_answers(port: u16) -> bool {
    ask(port, b"PING\r\n", b"+PONG").await
}

/// Whether a RabbitMQ answers AMQP on this port of loopback: a method frame
/// on channel 0, its Connection.Start.
pub(super) async fn rabbitmq_answers(port: u16) -> bool {
    ask(port, b"AMQP\x00\x00\x09\x01", &[1, 0, 0]).await
}

/// Whether an Erlang port mapper listens on this port of loopback.
pub(super) async fn epmd_answers(port: u16) -> bool {
    matches!(timeout(PROBE, TcpStream::connect(("127.0.0.1", port))).await, Ok(Ok(_)))
}

async fn ask(port: u16, question: &[u8], answer: &[u8]) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(question).await?;
        let mut start = vec![0; answer.len()];
        stream.read_exact(&mut start).await?;
        io::Result::Ok(start == answer)
    };
    matches!(timeout(PROBE, exchange).await, Ok(Ok(true)))
}

/// The program, in `first` or else in PATH and where system programs are.
fn find(name: &str, first: &[&str]) -> io::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    first
        .iter()
        .map(PathBuf::from)
        .chain(env::split_paths(&path))
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(name))
        .find(|program| program.is_file())
        .ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::NotFound,
                format!("{name} is not installed on this machine (deploy/setup installs it)"),
            )
        })
}
