//! Starting a Redis.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How long a slow machine may take.
const BOUND: Duration = Duration::from_secs(20);

/// Starts a Redis with `appendfsync always` on its files in `dir`, and waits until it answers. An error if
/// it ends, as when the port was taken meanwhile.
pub fn start_server(port: u16, dir: &Path, more: &[&str]) -> Result<Child> {
    let mut child = Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(dir)
        .args(more)
        .stdout(Stdio::null())
        .spawn()
        .context("redis-server is installed")?;
    let client = redis::Client::open(("127.0.0.1", port))?;
    let bound = Instant::now() + BOUND;
    while Instant::now() < bound && child.try_wait()?.is_none() {
        let answers = client
            .get_connection_with_timeout(Duration::from_secs(1))
            .and_then(|mut connection| redis::cmd("PING").query::<String>(&mut connection));
        if answers.is_ok() {
            return Ok(child);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill()?;
    child.wait()?;
    bail!("no redis-server would start on port {port}")
}

/// Servers on this host, as Longshore is told of them.
pub fn url(ports: &[u16]) -> String {
    let addresses: Vec<String> = ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
    format!("redis://{}", addresses.join(","))
}
