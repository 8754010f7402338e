//! Running programs: the products, and what they are tested with.

use std::env;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use crate::teardown::Teardown;
use crate::until;

/// No command of a test takes longer.
const BOUND: Duration = Duration::from_secs(300);

/// What a program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    pub command: String,
    /// -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// The standard output, if the program ended with 0.
    pub fn ok(self) -> Result<String> {
        ensure!(self.code == 0, "not exit 0: {self}");
        Ok(self.stdout)
    }

    /// The standard error, if the program ended with this code, which is not 0.
    pub fn failed(self, code: i32) -> Result<String> {
        ensure!(self.code == code, "not exit {code}: {self}");
        ensure!(!self.stderr.trim().is_empty(), "ended without a message: {self}");
        Ok(self.stderr)
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: exit {}\n{}{}", self.command, self.code, self.stdout, self.stderr)
    }
}

/// Runs a command to its end.
pub async fn run(command: Command) -> Result<Output> {
    run_with_input(command, "").await
}

/// Puts a disk of so many MiB on a folder.
pub(crate) async fn mount_disk(mib: u32, on: &Path) -> Result<()> {
    let mut mount = Command::new("mount");
    mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "tmpfs"]).arg(on);
    run(mount).await?.ok()?;
    Ok(())
}

/// Runs a command to its end, feeding it `input`; bounded, because a test must not hang.
pub async fn run_with_input(mut command: Command, input: &str) -> Result<Output> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let shown = format!("{:?}", command.as_std());
    let mut child = command.spawn().with_context(|| shown.clone())?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    // A program that ends without reading its input closes the pipe, which is its right.
    let _closed = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = tokio::time::timeout(BOUND, child.wait_with_output())
        .await
        .with_context(|| format!("{shown}: no end within {BOUND:?}"))??;
    Ok(Output {
        command: shown,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

/// A program that runs beside the test. Dropping it kills it.
pub struct Background {
    child: Child,
    command: String,
    printed: Arc<Mutex<String>>,
    readers: [JoinHandle<()>; 2],
    kill: Teardown,
}

impl Background {
    pub fn start(command: Command) -> Result<Self> {
        Self::start_with(command, None)
    }

    /// What it prints is appended to a file too.
    pub fn start_with_log(command: Command, log: &Path) -> Result<Self> {
        Self::start_with(command, Some(log))
    }

    fn start_with(mut command: Command, log: Option<&Path>) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let shown = format!("{:?}", command.as_std());
        let mut child = command.spawn().with_context(|| shown.clone())?;
        let printed = Arc::new(Mutex::new(String::new()));
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let readers = [
            tokio::spawn(collect(out.context("stdout is piped")?, printed.clone(), open(log)?)),
            tokio::spawn(collect(err.context("stderr is piped")?, printed.clone(), open(log)?)),
        ];
        let kill = Teardown::kill(child.id().context("it has not been waited for")?);
        Ok(Self { child, command: shown, printed, readers, kill })
    }

    /// What it has printed so far, on both outputs.
    pub fn printed(&self) -> String {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has printed something that is as wanted; it must not end before.
    pub async fn prints(
        &mut self,
        what: &str,
        bound: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String> {
        let what = format!("{} prints {what}", self.command);
        until(&what, bound, async || {
            let printed = self.printed();
            if wanted(&printed) {
                return Ok(Ok(printed));
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{what}: it ended with {status} and printed: {printed}");
            }
            Ok(Err(printed))
        })
        .await
    }

    pub fn pid(&self) -> Result<i32> {
        Ok(self.child.id().context("it has ended already")?.try_into()?)
    }

    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_raw(self.pid()?).context("above 0")?, signal)?;
        Ok(())
    }

    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Its exit code, once it has ended and all that it printed has been read; -1 if a signal ended
    /// it.
    pub async fn ended(&mut self, bound: Duration) -> Result<i32> {
        let Ok(status) = tokio::time::timeout(bound, self.child.wait()).await else {
            bail!("{}: no end within {bound:?}; printed: {}", self.command, self.printed());
        };
        let status = status?;
        for reader in &mut self.readers {
            if !reader.is_finished() {
                reader.await?;
            }
        }
        Ok(status.code().unwrap_or(-1))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // The id of a process that has been waited for may be another one's by now.
        if self.child.id().is_none() {
            self.kill.forget();
        }
    }
}

fn open(log: Option<&Path>) -> Result<Option<File>> {
    let append = |log| File::options().create(true).append(true).open(log);
    Ok(log.map(append).transpose()?)
}

async fn collect(from: impl AsyncRead + Unpin, into: Arc<Mutex<String>>, mut log: Option<File>) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(mut line)) = lines.next_line().await {
        line.push('\n');
        into.lock().unwrap_or_else(PoisonError::into_inner).push_str(&line);
        if let Some(Err(error)) = log.as_mut().map(|log| log.write_all(line.as_bytes())) {
            eprintln!("a log can't be written: {error}");
        }
    }
}

/// The path of a product, `longshore` or `longshore-worker`, as built with the tests.
pub fn program(name: &str) -> Result<PathBuf> {
    // Test programs are in `target/PROFILE/deps`, the products one above.
    let own = env::current_exe()?;
    match own.parent().and_then(Path::parent) {
        Some(dir) => Ok(dir.join(name)),
        None => bail!("{} is in no target folder", own.display()),
    }
}

/// The repository's root folder, where `deploy` and `examples` are.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Builds the products once, so that a test run by itself tests today's code.
pub async fn build() -> Result<()> {
    static BUILT: OnceCell<()> = OnceCell::const_new();
    BUILT
        .get_or_try_init(async || {
            let mut cargo = Command::new(env!("CARGO"));
            // All members, as `cargo test --workspace` does: with other features of the shared
            // dependencies those would be compiled once more.
            cargo.args(["build", "--quiet", "--workspace", "--bins"]);
            if program("longshore")?.iter().any(|part| part == "release") {
                cargo.arg("--release");
            }
            // What cargo tells a test of its package: ring is built anew for each other value.
            for name in env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
                if name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_") {
                    cargo.env_remove(name);
                }
            }
            cargo.current_dir(repository());
            let status = tokio::time::timeout(Duration::from_secs(1200), cargo.status()).await??;
            ensure!(status.success(), "cargo build: {status}");
            Ok(())
        })
        .await
        .copied()
}
