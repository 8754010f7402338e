//! Who the members of a cluster are, and how each is started.

use std::collections::BTreeMap;
use std::env;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use super::process::Launch;
use super::record::{Folder, Member, Record, Role};
use super::services::{self, RabbitmqPorts};
use super::{UpError, UpOptions, ports};

/// Ports of the services: Redis, AMQP, Erlang's distribution and port mapper.
const SERVICE_PORTS: usize = 4;

/// Plans a cluster: picks ports, writes the services' files, starts nothing.
/// Members are in the order in which they are started.
pub(super) fn plan(folder: &Folder, options: &UpOptions) -> Result<Record, UpError> {
    let others = usize::try_from(options.coordinators).unwrap_or(1);
    let free = ports::free(SERVICE_PORTS + others)?;
    let listen = first_listen(options.listen, free[SERVICE_PORTS])?;

    let mut members = Vec::new();
    let redis_url = match &options.redis_url {
        Some(url) => url.clone(),
        None => {
            let port = free[0];
            let launch = services::redis(folder.path(), folder.log("redis"), port)?;
            members.push(member("redis", Role::Redis { port }, launch));
            format!("redis://127.0.0.1:{port}/0")
        }
    };
    let amqp_url = match &options.amqp_url {
        Some(url) => url.clone(),
        None => {
            let ports = RabbitmqPorts { amqp: free[1], distribution: free[2], epmd: free[3] };
            let launch = services::epmd(folder.log("epmd"), ports.epmd)?;
            members.push(member("epmd", Role::Epmd { port: ports.epmd }, launch));
            let launch = services::rabbitmq(folder.path(), folder.log("rabbitmq"), &ports)?;
            members.push(member("rabbitmq", Role::Rabbitmq { port: ports.amqp }, launch));
            format!("amqp://guest:guest@127.0.0.1:{}/%2f", ports.amqp)
        }
    };

    let key_file = folder.secrets_key()?;
    let own = Own {
        folder,
        env: BTreeMap::from([
            ("LONGSHORE__REDIS__URL".to_owned(), redis_url.clone()),
            ("LONGSHORE__RABBITMQ__URL".to_owned(), amqp_url.clone()),
            ("LONGSHORE__SECRETS__KEY_FILE".to_owned(), key_file.display().to_string()),
        ]),
        settings: settings(),
    };
    let coordinator_ports = free[SERVICE_PORTS + 1..].iter();
    let listens = std::iter::once(listen)
        .chain(coordinator_ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))));
    for (at, listen) in listens.enumerate() {
        members.push(own.coordinator(&format!("coordinator-{}", at + 1), listen)?);
    }
    let worker = worker_program()?;
    for at in 1..=options.workers {
        members.push(own.worker(&worker, &format!("worker-{at}"), options)?);
    }
    Ok(Record { server: url_of(listen), redis_url, amqp_url, members })
}

/// What coordinators and workers have in common.
struct Own<'a> {
    folder: &'a Folder,
    env: BTreeMap<String, String>,
    settings: BTreeMap<String, String>,
}

impl Own<'_> {
    fn coordinator(&self, name: &str, listen: SocketAddr) -> io::Result<Member> {
        let args = ["serve", "--name", name, "--listen", &listen.to_string()];
        let launch = self.launch(name, env::current_exe()?, &args);
        Ok(member(name, Role::Coordinator { server: url_of(listen) }, launch))
    }

    fn worker(&self, program: &Path, name: &str, options: &UpOptions) -> io::Result<Member> {
        let state = self.folder.path().join("workers").join(name);
        std::fs::create_dir_all(&state)?;
        let state = state.display().to_string();
        let slots = options.slots.to_string();
        let mut args = vec!["--name", name, "--slots", &slots, "--state-dir", &state];
        if let Some(url) = &options.docker_host {
            args.extend(["--docker-host", url]);
        }
        let launch = self.launch(name, program.to_owned(), &args);
        Ok(member(name, Role::Worker { slots: options.slots }, launch))
    }

    fn launch(&self, name: &str, program: PathBuf, args: &[&str]) -> Launch {
        Launch {
            program,
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: self.env.clone(),
            defaults: self.settings.clone(),
            hide: None,
            log: self.folder.log(name),
        }
    }
}

fn member(name: &str, role: Role, launch: Launch) -> Member {
    Member { name: name.to_owned(), role, launch, process: None }
}

/// The settings in this command's environment, kept for members that are
/// started again later.
fn settings() -> BTreeMap<String, String> {
    env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("LONGSHORE__"))
        .collect()
}

/// The address that was asked for, free to listen on; with port 0, `free`.
fn first_listen(asked: SocketAddr, free: u16) -> Result<SocketAddr, UpError> {
    if asked.port() == 0 {
        return Ok(SocketAddr::new(asked.ip(), free));
    }
    TcpListener::bind(asked).map_err(|error| UpError::Listen(asked, error))?;
    Ok(asked)
}

/// The URL at which this machine reaches a listener.
fn url_of(listen: SocketAddr) -> String {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        _ => IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    format!("http://{}", SocketAddr::new(ip, listen.port()))
}

/// The worker's program, which is installed beside this one.
fn worker_program() -> Result<PathBuf, UpError> {
    let program = env::current_exe()?.with_file_name("longshore-worker");
    if program.is_file() { Ok(program) } else { Err(UpError::NoWorker(program)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_on_loopback() {
        let url = |listen: &str| url_of(listen.parse().expect("an address"));
        assert_eq!(url("0.0.0.0:80"), "http://127.0.0.1:80");
        assert_eq!(url("10.1.2.3:80"), "http://10.1.2.3:80");
        assert_eq!(url("[::1]:80"), "http://[::1]:80");
    }

    #[test]
    fn a_port_in_use_is_an_error_that_names_it() {
        let holder = TcpListener::bind("127.0.0.1:0").expect("a port");
        let taken = holder.local_addr().expect("its address");
        let error = first_listen(taken, 1).expect_err("in use").to_string();
        assert!(error.starts_with(&format!("--listen {taken}: ")), "{error}");
    }
}
