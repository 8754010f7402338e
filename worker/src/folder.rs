//! An attempt's folder on the host: what its launcher reads and writes, and its `emptyDir` volumes.
//!
//! ```text
//! STATE/launcher               the launcher, written anew at each start of the worker
//! STATE/attempts/ID/           mounted read-only at /.longshore
//!     launcher                 a hard link, so that a newer worker doesn't touch running containers
//!     deadline                 20 digits: CLOCK_BOOTTIME in nanoseconds; zeros mean: end now
//!     exit                     mounted at /.longshore-exit; the launcher records the end there
//!     engine                   which instance of the Docker daemon started the container
//!     order                    the order to stop that the container was given
//! STATE/volumes/ID/NAME        one folder per emptyDir; kept over restarts in place
//! ```
//!
//! ID is `SHARD-TOKEN`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::control::Order;

/// The launcher, a static program (see worker/launcher).
const LAUNCHER: &[u8] = include_bytes!(env!("LONGSHORE_LAUNCHER"));

/// The worker's state folder.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    state: PathBuf,
}

/// The folders of one attempt. They may not exist.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    /// Set once the attempt has been ended: no renewal brings it back.
    ended: Arc<Mutex<bool>>,
    launcher: PathBuf,
    attempt: PathBuf,
    volumes: PathBuf,
}

impl Folders {
    /// Prepares the state folder, which must exist, and puts this worker's launcher there.
    pub(crate) fn prepare(state: &Path) -> io::Result<Self> {
        let state = state.canonicalize()?;
        // Containers that run as another user must reach their mounts.
        for folder in [state.clone(), state.join("attempts"), state.join("volumes")] {
            fs::create_dir_all(&folder)?;
            fs::set_permissions(&folder, Permissions::from_mode(0o755))?;
        }
        let new = state.join("launcher.new");
        let mut file = File::create(&new)?;
        file.write_all(LAUNCHER)?;
        file.set_permissions(Permissions::from_mode(0o755))?;
        file.sync_all()?;
        drop(file);
        fs::rename(new, state.join("launcher"))?;
        Ok(Self { state })
    }

    pub(crate) fn attempt(&self, id: &str) -> Folder {
        Folder {
            ended: Arc::default(),
            launcher: self.state.join("launcher"),
            attempt: self.state.join("attempts").join(id),
            volumes: self.state.join("volumes").join(id),
        }
    }

    /// The ids of all attempts that have a folder.
    pub(crate) fn all(&self) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for parent in ["attempts", "volumes"] {
            for entry in fs::read_dir(self.state.join(parent))? {
                ids.extend(entry?.file_name().into_string());
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

impl Folder {
    /// Makes the folder with a deadline and without a record of an exit. Volumes stay as they are.
    pub(crate) fn create(&self, deadline: u64) -> io::Result<()> {
        let ended = self.ended();
        let deadline = if *ended { 0 } else { deadline };
        match fs::remove_dir_all(&self.attempt) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::create_dir_all(&self.attempt)?;
        fs::set_permissions(&self.attempt, Permissions::from_mode(0o755))?;
        let launcher = self.attempt.join("launcher");
        if fs::hard_link(&self.launcher, &launcher).is_err() {
            fs::copy(&self.launcher, &launcher)?;
        }
        fs::write(self.attempt.join("deadline"), render(deadline))?;
        let exit = File::create(self.exit_file())?;
        // The launcher runs as the container's user.
        exit.set_permissions(Permissions::from_mode(0o666))
    }

    /// Whether the attempt was started from this state folder, and not all of it has been removed.
    pub(crate) fn exists(&self) -> bool {
        self.attempt.is_dir()
    }

    /// The folder that is mounted at `/.longshore`.
    pub(crate) fn mounted(&self) -> &Path {
        &self.attempt
    }

    /// The file that is mounted at `/.longshore-exit`.
    pub(crate) fn exit_file(&self) -> PathBuf {
        self.attempt.join("exit")
    }

    /// Moves the launcher's deadline (nanoseconds of CLOCK_BOOTTIME), in place: the launcher holds
    /// the file open. An attempt that was ended stays so, and one whose folder is gone has nothing
    /// to keep alive.
    pub(crate) fn write_deadline(&self, deadline: u64) -> io::Result<()> {
        let ended = self.ended();
        if *ended { Ok(()) } else { self.rewrite(deadline) }
    }

    /// Has the launcher end the container within a second, or not start its command at all; needs
    /// no Docker daemon.
    pub(crate) fn end_now(&self) -> io::Result<()> {
        let mut ended = self.ended();
        *ended = true;
        self.rewrite(0)
    }

    fn rewrite(&self, deadline: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.attempt.join("deadline"));
        match file {
            Ok(file) => file.write_all_at(render(deadline).as_bytes(), 0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn ended(&self) -> MutexGuard<'_, bool> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the launcher recorded: a whole line without its newline.
    pub(crate) fn exit_record(&self) -> Option<String> {
        let record = fs::read_to_string(self.exit_file()).ok()?;
        record.strip_suffix('\n').map(str::to_owned)
    }

    /// Notes which instance of the Docker daemon starts the container.
    pub(crate) fn write_engine(&self, instance: &str) -> io::Result<()> {
        fs::write(self.attempt.join("engine"), instance)
    }

    pub(crate) fn engine(&self) -> Option<String> {
        fs::read_to_string(self.attempt.join("engine")).ok()
    }

    /// Notes an order to stop before it is carried out: an exit after it is no exit of the
    /// container's own, whoever gets to judge it.
    pub(crate) fn write_order(&self, order: Order) -> io::Result<()> {
        let line = match order {
            Order::Stop { grace } => format!("stop {grace}\n"),
            Order::Drain { grace } => format!("drain {grace}\n"),
            Order::Run | Order::Gone => return Ok(()),
        };
        fs::write(self.attempt.join("order"), line)
    }

    /// The order to stop that was noted, by this process or the one before.
    pub(crate) fn order(&self) -> Option<Order> {
        let line = fs::read_to_string(self.attempt.join("order")).ok()?;
        let (word, grace) = line.strip_suffix('\n')?.split_once(' ')?;
        let grace = grace.parse().ok()?;
        match word {
            "stop" => Some(Order::Stop { grace }),
            "drain" => Some(Order::Drain { grace }),
            _ => None,
        }
    }

    /// The folder of an `emptyDir` volume, made if it isn't there; anyone may write to it, as under
    /// Kubernetes.
    pub(crate) fn volume(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.volumes.join(name);
        fs::create_dir_all(&folder)?;
        for made in [&self.volumes, &folder] {
            let mode = if made == &folder { 0o777 } else { 0o755 };
            fs::set_permissions(made, Permissions::from_mode(mode))?;
        }
        Ok(folder)
    }

    /// Removes all of the attempt from the host.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for folder in [&self.attempt, &self.volumes] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn render(deadline: u64) -> String {
    format!("{deadline:020}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders() -> (tempfile::TempDir, Folders) {
        let state = tempfile::tempdir().expect("a folder");
        let folders = Folders::prepare(state.path()).expect("prepared");
        (state, folders)
    }

    #[test]
    fn the_deadline_is_rewritten_in_place() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        folder.create(5).expect("created");
        let open = File::open(folder.mounted().join("deadline")).expect("opened");
        folder.write_deadline(u64::MAX).expect("written");
        let mut line = [0; 21];
        open.read_exact_at(&mut line, 0).expect("read");
        assert_eq!(&line, b"18446744073709551615\n");
        folder.end_now().expect("written");
        folder.write_deadline(9).expect("not written");
        open.read_exact_at(&mut line, 0).expect("read");
        assert_eq!(&line, b"00000000000000000000\n");
    }

    #[test]
    fn a_record_counts_once_its_line_is_whole() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        folder.create(5).expect("created");
        assert_eq!(folder.exit_record(), None);
        fs::write(folder.exit_file(), "exited 1").expect("written");
        assert_eq!(folder.exit_record(), None);
        fs::write(folder.exit_file(), "exited 12\n").expect("written");
        assert_eq!(folder.exit_record().as_deref(), Some("exited 12"));
    }

    #[test]
    fn an_order_is_noted_until_the_next_container() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        folder.create(5).expect("created");
        assert_eq!(folder.order(), None);
        for order in [Order::Stop { grace: 3 }, Order::Drain { grace: 0 }] {
            folder.write_order(order).expect("written");
            assert_eq!(folders.attempt("7").order(), Some(order));
        }
        folder.create(5).expect("created anew");
        assert_eq!(folder.order(), None);
    }

    #[test]
    fn volumes_outlive_a_restart_and_end_with_the_attempt() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        folder.create(5).expect("created");
        let kept = folder.volume("data").expect("made").join("kept");
        fs::write(&kept, "x").expect("written");
        folder.create(6).expect("created");
        assert!(kept.exists());
        assert_eq!(folders.all().expect("listed"), ["7"]);
        folder.remove().expect("removed");
        assert!(folders.all().expect("listed").is_empty());
        folder.write_deadline(9).expect("nothing to keep alive");
    }
}
