//! What a container's launcher and its worker tell each other, in a folder of its own.
//!
//! ```text
//! launcher    a hard link, so that a newer worker doesn't touch running containers
//! deadline    20 digits: CLOCK_BOOTTIME in nanoseconds; zeros mean: end now
//! exit        mounted at /.longshore-exit; the launcher records the end there
//! message     mounted at its terminationMessagePath: what the container says of its end
//! order       the order to stop that the container was given
//! note        how far the container has come, see [`crate::note`]; kept over restarts in place
//! ```
//!
//! The folder is mounted read-only at `/.longshore`.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longshore_job::{Millis, Outcome};

use crate::context::now;
use crate::control::Order;
use crate::note::{End, Note};

/// As much of a termination message counts, as under Kubernetes.
const MESSAGE_BYTES: u64 = 4096;

/// The folder of one container. It may not exist.
#[derive(Clone, Debug)]
pub(crate) struct OwnFolder {
    /// Set once the container has been ended: no renewal brings it back.
    ended: Arc<Mutex<bool>>,
    launcher: PathBuf,
    folder: PathBuf,
}

impl OwnFolder {
    pub(crate) fn new(launcher: &Path, folder: PathBuf) -> Self {
        Self { ended: Arc::default(), launcher: launcher.to_owned(), folder }
    }

    /// Makes the folder anew, with a deadline and without a record of an exit.
    pub(crate) fn create(&self, deadline: u64) -> io::Result<()> {
        let note = self.note()?;
        let ended = self.ended();
        let deadline = if *ended { 0 } else { deadline };
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.make()?;
        if note.is_reached() {
            note.write(&self.note_file())?;
        }
        let launcher = self.folder.join("launcher");
        if fs::hard_link(&self.launcher, &launcher).is_err() {
            fs::copy(&self.launcher, &launcher)?;
        }
        fs::write(self.folder.join("deadline"), render(deadline))?;
        for file in [self.exit_file(), self.message_file()] {
            // They are written to as the container's user.
            File::create(file)?.set_permissions(Permissions::from_mode(0o666))?;
        }
        Ok(())
    }

    /// The folder that is mounted at `/.longshore`.
    pub(crate) fn mounted(&self) -> &Path {
        &self.folder
    }

    /// The file that is mounted at `/.longshore-exit`.
    pub(crate) fn exit_file(&self) -> PathBuf {
        self.folder.join("exit")
    }

    /// The file that is mounted at the container's `terminationMessagePath`.
    pub(crate) fn message_file(&self) -> PathBuf {
        self.folder.join("message")
    }

    /// Moves the launcher's deadline (nanoseconds of CLOCK_BOOTTIME), in place: the launcher holds
    /// the file open. A container that was ended stays so, and one whose folder is gone has nothing
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
        let file = OpenOptions::new().write(true).open(self.folder.join("deadline"));
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

    /// What the container wrote of its end, the first of it.
    pub(crate) fn message(&self) -> String {
        let mut message = Vec::new();
        if let Ok(file) = File::open(self.message_file()) {
            // What could be read counts.
            let _ = file.take(MESSAGE_BYTES).read_to_end(&mut message);
        }
        String::from_utf8_lossy(&message).into_owned()
    }

    /// How far the container has come.
    pub(crate) fn note(&self) -> io::Result<Note> {
        Note::read(&self.note_file())
    }

    /// The instance of the Docker daemon that the container runs under, if that is known.
    pub(crate) fn engine(&self) -> Option<String> {
        self.note().ok()?.engine
    }

    /// Notes that the container is about to be started by this instance of the Docker daemon; gives the
    /// moment.
    pub(crate) fn note_start(&self, engine: Option<String>) -> io::Result<Millis> {
        let now = now();
        self.change(|note| (note.begun, note.engine) = (Some(now), engine))?;
        Ok(now)
    }

    /// Notes that the container, which runs, does so under this instance of the daemon.
    pub(crate) fn note_engine(&self, engine: String) -> io::Result<()> {
        self.change(|note| note.engine = Some(engine))
    }

    /// Notes how the container ended.
    pub(crate) fn note_end(&self, outcome: &Outcome) -> io::Result<()> {
        self.change(|note| note.end = Some(End { at: now(), outcome: outcome.clone() }))
    }

    /// Notes which of its attempt's failures the container's end is.
    pub(crate) fn note_failure(&self, number: u32) -> io::Result<()> {
        self.change(|note| note.failure = Some(number))
    }

    /// Notes that the container is to run again: what the folder has of its last run is void.
    pub(crate) fn note_restart(&self) -> io::Result<()> {
        let restarts = self.note()?.restarts.saturating_add(1);
        self.change(|note| *note = Note { restarts, ..Note::default() })
    }

    /// Takes back that the container was about to be started, once it is certain that it wasn't, and that
    /// it was ended for that.
    pub(crate) fn take_back_start(&self) -> io::Result<()> {
        self.change(|note| (note.begun, note.engine) = (None, None))?;
        *self.ended() = false;
        Ok(())
    }

    /// When the container's latest run ended, if it has.
    pub(crate) fn ended_at(&self) -> Option<Millis> {
        Some(self.note().ok()?.end?.at)
    }

    fn change(&self, change: impl FnOnce(&mut Note)) -> io::Result<()> {
        let mut note = self.note()?;
        change(&mut note);
        // One that could not be started may have no folder yet.
        self.make()?;
        note.write(&self.note_file())
    }

    fn note_file(&self) -> PathBuf {
        self.folder.join("note")
    }

    /// Makes the folder, if it isn't there.
    fn make(&self) -> io::Result<()> {
        if !self.folder.is_dir() {
            fs::create_dir_all(&self.folder)?;
            for made in [self.folder.parent(), Some(&self.folder)].into_iter().flatten() {
                fs::set_permissions(made, Permissions::from_mode(0o755))?;
            }
        }
        Ok(())
    }

    /// Notes an order to stop before it is carried out: an exit after it is no exit of the
    /// container's own, whoever gets to judge it.
    pub(crate) fn write_order(&self, order: Order) -> io::Result<()> {
        let line = match order {
            Order::Stop { grace } => format!("stop {grace}\n"),
            Order::Drain { grace } => format!("drain {grace}\n"),
            Order::Run | Order::Gone => return Ok(()),
        };
        fs::write(self.folder.join("order"), line)
    }

    /// The order to stop that was noted, by this process or the one before.
    pub(crate) fn order(&self) -> Option<Order> {
        let line = fs::read_to_string(self.folder.join("order")).ok()?;
        let (word, grace) = line.strip_suffix('\n')?.split_once(' ')?;
        let grace = grace.parse().ok()?;
        match word {
            "stop" => Some(Order::Stop { grace }),
            "drain" => Some(Order::Drain { grace }),
            _ => None,
        }
    }
}

fn render(deadline: u64) -> String {
    format!("{deadline:020}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::folder::tests::folders;

    #[test]
    fn the_deadline_is_rewritten_in_place() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7").container("main");
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
    fn steps_are_noted_and_only_restarts_outlive_a_run() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7").container("main");
        assert!(!folder.note().expect("none").is_reached());
        let outcome = Outcome::Stopped { code: Some(3) };
        folder.note_start(Some("1-2".into())).expect("written");
        folder.note_end(&outcome).expect("written");
        folder.note_failure(4).expect("written");
        let note = folders.attempt("7").container("main").note().expect("read");
        assert!(note.begun.is_some() && note.engine.as_deref() == Some("1-2"));
        assert_eq!((note.end.map(|end| end.outcome), note.failure), (Some(outcome), Some(4)));

        folder.note_restart().expect("written");
        folder.create(5).expect("created");
        let restarted = Note { restarts: 1, ..Note::default() };
        assert_eq!(folder.note().expect("read"), restarted);
        fs::write(folder.note_file(), "{").expect("written");
        folder.note().expect_err("half a note");
    }

    #[test]
    fn a_record_counts_once_its_line_is_whole() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7").container("main");
        folder.create(5).expect("created");
        assert_eq!(folder.exit_record(), None);
        fs::write(folder.exit_file(), "exited 1").expect("written");
        assert_eq!(folder.exit_record(), None);
        fs::write(folder.exit_file(), "exited 12\n").expect("written");
        assert_eq!(folder.exit_record().as_deref(), Some("exited 12"));
    }

    #[test]
    fn of_a_long_message_the_first_part_counts() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7").container("main");
        folder.create(5).expect("created");
        assert_eq!(folder.message(), "");
        fs::write(folder.message_file(), "x".repeat(5000)).expect("written");
        assert_eq!(folder.message(), "x".repeat(4096));
    }

    #[test]
    fn an_order_is_noted_until_the_next_container() {
        let (_state, folders) = folders();
        let folder = folders.attempt("7").container("main");
        folder.create(5).expect("created");
        assert_eq!(folder.order(), None);
        for order in [Order::Stop { grace: 3 }, Order::Drain { grace: 0 }] {
            folder.write_order(order).expect("written");
            assert_eq!(folders.attempt("7").container("main").order(), Some(order));
        }
        folder.create(5).expect("created anew");
        assert_eq!(folder.order(), None);
    }
}
