//! An attempt's folders on the host: what its launchers read and write, and its `emptyDir` volumes.
//!
//! ```text
//! STATE/launcher               the launcher, written anew at each start of the worker
//! STATE/attempts/ID/NAME/      one folder per container, see [`crate::own_folder`]
//! STATE/claims/              see [`crate::claim`]
//! STATE/volumes/ID/NAME        one folder per volume; kept over restarts in place
//! MEMORY/STATE/ID/NAME         the same for volumes in memory, and the variables of a container that
//!                              hold Secrets
//! ```
//!
//! ID is `SHARD-TOKEN`. In memory STATE is a name made of the state folder's path, as workers of one host
//! may share the place.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::claim::Claims;
use crate::own_folder::OwnFolder;

/// The launcher, a static program (see worker/launcher).
const LAUNCHER: &[u8] = include_bytes!(env!("LONGSHORE_LAUNCHER"));

/// The worker's folders.
#[derive(Clone, Debug)]
pub(crate) struct Folders {
    state: PathBuf,
    memory: PathBuf,
}

/// The folders of one attempt. They may not exist.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    launcher: PathBuf,
    attempt: PathBuf,
    volumes: PathBuf,
    memory: PathBuf,
    containers: Arc<Mutex<BTreeMap<String, OwnFolder>>>,
}

impl Folders {
    /// Prepares the state folder, which must exist, and puts this worker's launcher there. The folder in
    /// memory is made when it is needed.
    pub(crate) fn prepare(state: &Path, memory: &Path) -> io::Result<Self> {
        let state = state.canonicalize()?;
        let name = Uuid::new_v5(&Uuid::NAMESPACE_OID, state.as_os_str().as_bytes());
        let memory = memory.join(name.simple().to_string());
        // Containers that run as another user must reach their mounts.
        fs::create_dir_all(state.join("claims"))?;
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
        Ok(Self { state, memory })
    }

    /// This worker's launcher.
    pub(crate) fn launcher(&self) -> PathBuf {
        self.state.join("launcher")
    }

    /// Notes of claims that are under way.
    pub(crate) fn claims(&self) -> Claims {
        Claims::new(self.state.join("claims"))
    }

    pub(crate) fn attempt(&self, id: &str) -> Folder {
        Folder {
            launcher: self.launcher(),
            attempt: self.state.join("attempts").join(id),
            volumes: self.state.join("volumes").join(id),
            memory: self.memory.join(id),
            containers: Arc::default(),
        }
    }

    /// The ids of all attempts that have a folder.
    pub(crate) fn all(&self) -> io::Result<Vec<String>> {
        let mut ids = names(&self.state.join("attempts"))?;
        ids.extend(names(&self.state.join("volumes"))?);
        ids.extend(names(&self.memory)?);
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }
}

impl Folder {
    /// Makes the attempt's folder, if it isn't there: a sign that the attempt is run from this state folder
    /// and no other.
    pub(crate) fn take(&self) -> io::Result<()> {
        fs::create_dir_all(&self.attempt)?;
        fs::set_permissions(&self.attempt, Permissions::from_mode(0o755))
    }

    /// Whether the attempt is run from this state folder, and not all of it has been removed.
    pub(crate) fn exists(&self) -> bool {
        self.attempt.is_dir()
    }

    /// The folder of one of its containers.
    pub(crate) fn container(&self, name: &str) -> OwnFolder {
        let mut containers = self.containers.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || OwnFolder::new(&self.launcher, self.attempt.join(name));
        containers.entry(name.to_owned()).or_insert_with(new).clone()
    }

    /// Moves the deadline of all its launchers (nanoseconds of CLOCK_BOOTTIME).
    pub(crate) fn write_deadline(&self, deadline: u64) -> io::Result<()> {
        self.each(|container| container.write_deadline(deadline))
    }

    /// Has its launchers end all its containers within a second, or not start their commands at all;
    /// needs no Docker daemon.
    pub(crate) fn end_now(&self) -> io::Result<()> {
        self.each(OwnFolder::end_now)
    }

    /// Does something for each container, for all of them even if it fails for one.
    fn each(&self, work: impl Fn(&OwnFolder) -> io::Result<()>) -> io::Result<()> {
        let mut result = Ok(());
        for name in names(&self.attempt)? {
            result = work(&self.container(&name)).and(result);
        }
        result
    }

    /// The folder of a volume that is new for each attempt, made if it isn't there. Anyone may write to
    /// it, as under Kubernetes.
    pub(crate) fn volume(&self, name: &str, in_memory: bool) -> io::Result<PathBuf> {
        let parent = if in_memory { self.in_memory()? } else { &self.volumes };
        let folder = parent.join(name);
        if !folder.exists() {
            fs::create_dir_all(&folder)?;
            fs::set_permissions(parent, Permissions::from_mode(0o755))?;
            fs::set_permissions(&folder, Permissions::from_mode(0o777))?;
        }
        Ok(folder)
    }

    /// Writes the file of a container's variables, and perhaps its command, that hold Secrets.
    pub(crate) fn write_secrets(&self, container: &str, content: &[u8]) -> io::Result<PathBuf> {
        // No volume can have such a name.
        let file = self.in_memory()?.join(format!("{container}.secrets"));
        fs::write(&file, content)?;
        // It is read as the container's user; the folders above it are closed to all others.
        fs::set_permissions(&file, Permissions::from_mode(0o444))?;
        Ok(file)
    }

    /// Where a volume is, once it has been made.
    pub(crate) fn volume_place(&self, name: &str, in_memory: bool) -> PathBuf {
        let parent = if in_memory { &self.memory } else { &self.volumes };
        parent.join(name)
    }

    /// Where what must not reach a disk is kept, made if it isn't there.
    fn in_memory(&self) -> io::Result<&Path> {
        let parent = self.memory.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(&self.memory)?;
        // The place may be open to all users of the host, and what is above it can be moved by its owner.
        for folder in parent.ancestors().take(2) {
            let owner = fs::symlink_metadata(folder)?.uid();
            if owner != 0 && owner != rustix::process::geteuid().as_raw() {
                let text = format!("{} belongs to another user", folder.display());
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
            }
        }
        fs::set_permissions(parent, Permissions::from_mode(0o700))?;
        if rustix::fs::statfs(&self.memory)?.f_type != TMPFS {
            let text = format!(
                "{} is not in memory: set worker.memory_dir to a folder on a tmpfs",
                parent.display()
            );
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        Ok(&self.memory)
    }

    /// Removes all of the attempt from the host.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for folder in [&self.attempt, &self.volumes, &self.memory] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The file system type of what is kept in memory.
const TMPFS: i64 = 0x0102_1994;

/// The names in a folder; none if there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry?.file_name().into_string());
    }
    Ok(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The folders of a worker of its own.
    pub(crate) fn folders() -> (tempfile::TempDir, Folders) {
        let state = tempfile::tempdir().expect("a folder");
        let folders = Folders::prepare(state.path(), Path::new("/dev/shm")).expect("prepared");
        (state, folders)
    }

    #[test]
    fn volumes_outlive_a_restart_and_end_with_the_attempt() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        let own = folder.container("main");
        own.create(5).expect("created");
        for in_memory in [false, true] {
            let kept = folder.volume("data", in_memory).expect("made").join("kept");
            fs::write(&kept, "x").expect("written");
            own.create(6).expect("created");
            assert!(kept.exists());
        }
        assert_eq!(folders.all().expect("listed"), ["7"]);
        folder.remove().expect("removed");
        assert!(folders.all().expect("listed").is_empty());
        folder.write_deadline(9).expect("nothing to keep alive");
        fs::remove_dir(&folders.memory).expect("empty");
    }

    #[test]
    fn what_is_for_memory_does_not_go_to_a_disk() {
        let state = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).expect("a folder");
        let folders = Folders::prepare(state.path(), &state.path().join("m")).expect("prepared");
        let error = folders.attempt("7").volume("data", true).expect_err("a disk");
        assert!(error.to_string().contains("worker.memory_dir"), "{error}");
    }

    #[test]
    fn a_deadline_moves_for_all_containers() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7");
        for name in ["a", "b"] {
            folder.container(name).create(5).expect("created");
        }
        let read = |name| fs::read_to_string(folder.container(name).mounted().join("deadline"));
        // As another instance does it that has not seen them.
        folders.attempt("7").write_deadline(6).expect("written");
        folder.container("a").end_now().expect("ended");
        folder.write_deadline(7).expect("written");
        assert_eq!(read("a").expect("read"), "00000000000000000000\n");
        assert_eq!(read("b").expect("read"), "00000000000000000007\n");
        folder.end_now().expect("ended");
        assert_eq!(read("b").expect("read"), "00000000000000000000\n");
    }
}
