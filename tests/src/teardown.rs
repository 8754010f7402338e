//! Whatever a test starts ends with it: when it passes, when it fails, and when it is interrupted.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

/// A command that takes something down again. Dropping it runs the command.
pub(crate) struct Teardown {
    id: u64,
}

static OPEN: Mutex<(u64, BTreeMap<u64, Vec<String>>)> = Mutex::new((0, BTreeMap::new()));

impl Teardown {
    pub(crate) fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        open.0 += 1;
        let id = open.0;
        open.1.insert(id, command.into_iter().map(Into::into).collect());
        Self { id }
    }

    /// Nothing is left to take down.
    pub(crate) fn forget(&self) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.id);
    }

    /// Ends a process of the test's own.
    pub(crate) fn kill(pid: u32) -> Self {
        Self::new(["kill".to_owned(), "-KILL".to_owned(), pid.to_string()])
    }
}

impl Drop for Teardown {
    fn drop(&mut self) {
        let command = OPEN.lock().unwrap_or_else(PoisonError::into_inner).1.remove(&self.id);
        command.and_then(|command| start(&command)).into_iter().for_each(wait);
    }
}

/// Takes everything down at once, as there may be little time left.
pub(crate) fn all() {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let commands = std::mem::take(&mut open.1);
    let started: Vec<_> = commands.values().map(|command| start(command)).collect();
    for child in started.into_iter().flatten() {
        wait(child);
    }
}

fn start(command: &[String]) -> Option<Child> {
    let (program, args) = command.split_first()?;
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    child.inspect_err(|error| eprintln!("taking down with {command:?}: {error}")).ok()
}

fn wait(mut child: Child) {
    if let Err(error) = child.wait() {
        eprintln!("taking down: {error}");
    }
}
