//! Runs launchers in folders of their own.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than any test needs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// A place for one launcher: its files, and how it is started.
pub(crate) struct Place {
    folder: TempDir,
    /// What stands before the launcher, such as `unshare`.
    pub(crate) before: Vec<String>,
}

impl Place {
    /// With a deadline that much from now, and an empty exit file.
    pub(crate) fn new(from_now: Duration) -> Self {
        let place = Self { folder: TempDir::new().expect("a folder"), before: Vec::new() };
        fs::write(place.exit_file(), "").expect("an exit file");
        fs::write(place.deadline(), deadline(from_now)).expect("a deadline");
        place
    }

    /// The launcher becomes PID 1 of a namespace. None where this process may not make one.
    pub(crate) fn with_pid_namespace(from_now: Duration) -> Option<Self> {
        let before = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
        let mut probe = Command::new(before[0]);
        let allowed = probe.args(&before[1..]).arg("true").status().is_ok_and(|s| s.success());
        if !allowed {
            eprintln!("skipped: needs root, unshare and the right to make PID namespaces");
            return None;
        }
        let mut place = Self::new(from_now);
        place.before = before.map(String::from).to_vec();
        Some(place)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn deadline(&self) -> PathBuf {
        self.path("deadline")
    }

    pub(crate) fn exit_file(&self) -> PathBuf {
        self.path("exit")
    }

    pub(crate) fn record(&self) -> String {
        fs::read_to_string(self.exit_file()).expect("an exit file")
    }

    /// Moves the deadline as the worker does: in place, by one write.
    pub(crate) fn move_deadline(&self, content: &str) {
        let file = File::options().write(true).open(self.deadline()).expect("a deadline");
        assert_eq!(file.write_at(content.as_bytes(), 0).expect("written"), content.len());
    }

    /// The launcher with a command, not yet started; its working folder is the place's.
    pub(crate) fn launcher(&self, command: &[&str]) -> Command {
        self.launcher_with(&[], command)
    }

    /// The same with more options.
    pub(crate) fn launcher_with(&self, options: &[&str], command: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_longshore-launcher").to_owned();
        let mut line = self.before.clone();
        line.push(program);
        let mut launcher = Command::new(&line[0]);
        launcher.args(&line[1..]).current_dir(self.folder.path());
        launcher.arg("--deadline").arg(self.deadline());
        launcher.arg("--exit-file").arg(self.exit_file());
        launcher.args(options).arg("--").args(command);
        launcher.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        launcher
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, command: &[&str]) -> Output {
        self.launcher(command).output().expect("started")
    }

    /// Runs a shell script to its end.
    pub(crate) fn run_script(&self, script: &str) -> Output {
        self.run(&["sh", "-c", script])
    }

    /// Starts a shell script, which must make the file `ready`.
    pub(crate) fn start_script(&self, script: &str) -> Running {
        let child = self.launcher(&["sh", "-c", script]).spawn().expect("started");
        let running = Running(child);
        wait_until("the script is ready", || self.path("ready").exists());
        running
    }

    /// Waits until a file of the place has a number in it.
    pub(crate) fn number(&self, name: &str) -> i32 {
        let read = || fs::read_to_string(self.path(name)).ok()?.strip_suffix('\n')?.parse().ok();
        wait_until(name, || read().is_some());
        read().expect("a number")
    }
}

/// A launcher that runs; killed if the test ends before it.
pub(crate) struct Running(Child);

impl Running {
    pub(crate) fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).expect("a process id")
    }

    /// Sends the launcher a signal.
    pub(crate) fn signal(&self, signal: i32) {
        send(self.pid(), signal);
    }

    /// Waits for the end, and gives it with what was written to the standard output.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut status = None;
        wait_until("the launcher ends", || {
            status = self.0.try_wait().expect("a child");
            status.is_some()
        });
        let mut output = String::new();
        if let Some(mut pipe) = self.0.stdout.take() {
            pipe.read_to_string(&mut output).expect("text");
        }
        (status.expect("ended"), output)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().expect("a child").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors: it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Now on the clock of deadlines.
pub(crate) fn boot_time() -> Duration {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: now is ours to write to.
    #[allow(unsafe_code)]
    let result = unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) };
    assert_eq!(result, 0);
    Duration::new(now.tv_sec.cast_unsigned(), u32::try_from(now.tv_nsec).expect("below a second"))
}

/// The content of a deadline file, for a deadline that much from now.
pub(crate) fn deadline(from_now: Duration) -> String {
    format!("{:020}\n", (boot_time() + from_now).as_nanos())
}

/// The exit code, with the standard error if there is none.
pub(crate) fn code(output: &Output) -> i32 {
    let status = output.status;
    let error = String::from_utf8_lossy(&output.stderr);
    status.code().unwrap_or_else(|| panic!("signal {:?}: {error}", status.signal()))
}

pub(crate) fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    let start = Instant::now();
    while !happened() {
        assert!(start.elapsed() < LONG, "waited too long until {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process of that id is there and not a zombie.
pub(crate) fn is_alive(pid: i32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    status.is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or("").starts_with(" Z"))
}

pub(crate) fn send(pid: i32, signal: i32) {
    // SAFETY: kill touches no memory; the process was started by this test.
    #[allow(unsafe_code)]
    let result = unsafe { libc::kill(pid, signal) };
    assert_eq!(result, 0, "signal {signal} to {pid}");
}
