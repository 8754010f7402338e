//! Processes that outlive the command that started them: started in a session
//! of their own, known by process id and start time, stopped by signal.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// The hidden subcommand that [`spawn`] goes through.
pub(crate) const MEMBER: &str = "member";
const POLL: Duration = Duration::from_millis(20);

/// How to start a process, kept so that it can be started the same way again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) program: PathBuf,
    pub(super) args: Vec<String>,
    /// What it must have in its environment.
    pub(super) env: BTreeMap<String, String>,
    /// What it has unless the environment of the command says otherwise.
    pub(super) defaults: BTreeMap<String, String>,
    /// Variables that start like this are not handed on.
    pub(super) hide: Option<String>,
    pub(super) log: PathBuf,
}

/// One process: an id alone is used again by the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: i32,
    /// Clock ticks from the host's start to the process' own.
    pub(super) started: u64,
}

/// Starts a process in its own session, output appended to its log.
///
/// # Errors
/// When the log or the process can't be made.
pub(super) fn spawn(launch: &Launch) -> io::Result<Identity> {
    let log = OpenOptions::new().create(true).append(true).open(&launch.log)?;
    let mut command = Command::new(std::env::current_exe()?);
    command.arg(MEMBER).arg("--").arg(&launch.program).args(&launch.args);
    for (name, _) in std::env::vars_os() {
        let hidden = launch.hide.as_deref().zip(name.to_str());
        if hidden.is_some_and(|(prefix, name)| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let unset = launch.defaults.iter().filter(|(name, _)| std::env::var_os(name).is_none());
    command.envs(unset).envs(&launch.env);
    // Erlang leaves what it has to say of a crash where it was started.
    command.current_dir(launch.log.parent().unwrap_or(Path::new("/")));
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    let mut child = command.spawn()?;
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let identity = stat(pid)
        .map(|stat| Identity { pid, started: stat.started })
        .ok_or_else(|| io::Error::other("it ended at once"))?;
    // Reaps it if it ends while this command still runs.
    std::thread::spawn(move || child.wait());
    Ok(identity)
}

/// The other half of [`spawn`], run by the hidden subcommand: leaves the session
/// of the terminal, then becomes the program. Returns only if that fails.
pub(crate) fn become_member(command: &[String]) -> io::Error {
    let Some((program, args)) = command.split_first() else {
        return io::Error::other("no program given");
    };
    if let Err(error) = rustix::process::setsid() {
        return error.into();
    }
    let error = Command::new(program).args(args).exec();
    io::Error::new(error.kind(), format!("{program}: {error}"))
}

impl Identity {
    /// Whether this very process still runs; a zombie doesn't.
    pub(super) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.ended)
    }

    /// Sends a signal, if the process still is the one that was started.
    pub(super) fn signal(self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.is_alive()) {
            // It may end in between: then there is nothing to signal.
            let _ = kill_process(pid, signal);
        }
    }

    /// Waits until it has ended; false when the bound ran out.
    pub(super) async fn ended_within(self, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        while self.is_alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }

    /// SIGTERM, and after `grace` SIGKILL. True if it ended by itself.
    pub(super) async fn stop(self, grace: Duration) -> bool {
        self.signal(Signal::TERM);
        // A frozen process hears SIGTERM only when it goes on.
        self.signal(Signal::CONT);
        if self.ended_within(grace).await {
            return true;
        }
        self.kill().await;
        false
    }

    /// SIGKILL.
    pub(super) async fn kill(self) {
        self.signal(Signal::KILL);
        self.ended_within(Duration::from_secs(10)).await;
    }
}

/// The last lines of a member's log.
pub(super) fn log_tail(log: &Path) -> String {
    const LINES: usize = 15;
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(16 * 1024)..]).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

struct Stat {
    started: u64,
    ended: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in brackets, may hold anything; what follows it can't.
    let mut fields = text.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    // Field 22 of the line; the state is field 3.
    let started = fields.nth(18)?.parse().ok()?;
    Some(Stat { started, ended: matches!(state, "Z" | "X") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_its_id_with_another_start_is_not() {
        let pid = i32::try_from(std::process::id()).expect("a process id");
        let own = stat(pid).expect("/proc");
        assert!(Identity { pid, started: own.started }.is_alive());
        assert!(!Identity { pid, started: own.started + 1 }.is_alive());
    }
}
