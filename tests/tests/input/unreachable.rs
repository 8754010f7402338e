//! Servers that aren't there when a program starts: it says which and where, and goes on trying.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use longshore_tests::{
    Background, Cluster, Options, RedisServer, build, free_port, program, run, secs,
};
use tokio::process::Command;

/// The command line without a server: exit 3, and the address.
pub(crate) async fn server() -> Result<()> {
    build().await?;
    let folder = tempfile::tempdir()?;
    let kubeconfig = folder.path().join("kubeconfig");
    let port = free_port().await?;
    std::fs::write(
        &kubeconfig,
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        ),
    )?;
    for args in [&["get", "jobs"][..], &["delete", "job", "x"], &["logs", "job/x"]] {
        let mut command = Command::new(program("longshore")?);
        command.args(args).env("KUBECONFIG", &kubeconfig);
        let said = run(command).await?.failed(3)?;
        ensure!(said.contains(&format!("127.0.0.1:{port}")), "{args:?}: {said}");
    }
    Ok(())
}

/// Both programs wait for Redis, and go on once it is there.
pub(crate) async fn redis() -> Result<()> {
    build().await?;
    let port = free_port().await?;
    let url = format!("redis://127.0.0.1:{port}");
    let amqp = format!("amqp://guest:guest@127.0.0.1:{}/%2f", free_port().await?);
    let folder = tempfile::tempdir()?;
    let mut serve = start("longshore", &["serve", "--listen", "127.0.0.1:0"], &url, &amqp)?;
    let mut worker = start_worker(folder.path(), &url, &amqp, &[])?;
    let (redis_at, rabbitmq_at) = (format!("127.0.0.1:{port}"), rest(&amqp)?);
    for program in [&mut serve, &mut worker] {
        let told = |text: &str| {
            text.lines().any(|line| line.contains("Redis") && line.contains(&redis_at))
        };
        program.prints("which server isn't there, and where", secs(20), told).await?;
    }
    // Said once, not at every try.
    tokio::time::sleep(secs(5)).await;
    for program in [&mut serve, &mut worker] {
        ensure!(program.is_running()?, "{}", program.printed());
        let times = program.printed().lines().filter(|l| l.contains(&redis_at)).count();
        ensure!(times <= 3, "told {times} times: {}", program.printed());
    }
    let _redis = RedisServer::start_on(port).await?;
    // Now it is RabbitMQ that isn't there.
    for program in [&mut serve, &mut worker] {
        let told = |text: &str| {
            text.lines().any(|line| line.contains("RabbitMQ at") && line.contains(&rabbitmq_at))
        };
        program.prints("that it goes on to RabbitMQ", secs(30), told).await?;
    }
    Ok(())
}

/// A coordinator and a worker that are started before RabbitMQ run Jobs once it is there.
pub(crate) async fn rabbitmq() -> Result<()> {
    let cluster = Cluster::start(Options::workers(1, 1)).await?;
    for member in ["worker-1", "coordinator-1", "rabbitmq"] {
        cluster.stop_member(member).await?;
    }
    let all = cluster.describe()?;
    let at = rest(&all.amqp_url)?;
    let folder = tempfile::tempdir()?;
    let listen = all.server.strip_prefix("http://").context("an http URL")?;
    let args = ["serve", "--listen", listen, "--name", "early"];
    let mut serve = start("longshore", &args, &all.redis_url, &all.amqp_url)?;
    let mut worker = start_worker(folder.path(), &all.redis_url, &all.amqp_url, &[])?;
    for program in [&mut serve, &mut worker] {
        let told =
            |text: &str| text.lines().any(|line| line.contains("RabbitMQ") && line.contains(&at));
        program.prints("that RabbitMQ isn't there, and where", secs(30), told).await?;
    }
    cluster.start_member("rabbitmq").await?;
    // Accepted by a server that has just come up; the workers find it by themselves.
    cluster.api().create(&longshore_tests::Job::new("patient", "true")).await?;
    cluster.api().finished("patient", "Complete", secs(60)).await?;
    Ok(())
}

/// A worker without a Docker daemon says so, takes no attempt, and goes on trying.
pub(crate) async fn docker() -> Result<()> {
    let cluster = Cluster::start(Options::workers(0, 1)).await?;
    let all = cluster.describe()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    let mut worker =
        start_worker(folder.path(), &all.redis_url, &all.amqp_url, &["--docker-host", &host])?;
    let told = |text: &str| {
        text.lines()
            .any(|line| line.contains("Docker") && line.contains(&socket.display().to_string()))
    };
    worker.prints("that Docker isn't there, and where", secs(20), told).await?;
    cluster.api().create(&longshore_tests::Job::new("patient", "true")).await?;
    tokio::time::sleep(secs(3)).await;
    ensure!(worker.is_running()?, "{}", worker.printed());

    // The machine's daemon appears at that address.
    std::os::unix::fs::symlink("/var/run/docker.sock", &socket)?;
    cluster.api().finished("patient", "Complete", secs(90)).await?;
    let pods = cluster.api().pods("patient").await?;
    ensure!(pods.len() == 1, "an attempt was wasted: {pods:?}");
    Ok(())
}

fn start(name: &str, args: &[&str], redis_url: &str, amqp_url: &str) -> Result<Background> {
    let mut command = Command::new(program(name)?);
    command
        .args(args)
        .env("LONGSHORE__REDIS__URL", redis_url)
        .env("LONGSHORE__RABBITMQ__URL", amqp_url);
    Background::start(command)
}

fn start_worker(folder: &Path, redis: &str, amqp: &str, more: &[&str]) -> Result<Background> {
    let state = folder.join("state").display().to_string();
    let args = [&["--name", "early", "--state-dir", &state][..], more].concat();
    start("longshore-worker", &args, redis, amqp)
}

/// Host and port of a URL.
fn rest(url: &str) -> Result<String> {
    let rest = url.rsplit('@').next().and_then(|rest| rest.split('/').next());
    Ok(rest.context("a URL with a host")?.to_owned())
}
