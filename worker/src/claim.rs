//! Claims that are under way, noted in the state folder: a worker that is killed between a claim and the
//! making of the attempt's folder leaves its note, by which the next one knows that the attempt is its own
//! and that nothing of it has begun.
//!
//! ```text
//! STATE/claims/ID      empty; ID is the claim's
//! ```

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use tracing::warn;
use uuid::Uuid;

/// The folder of the notes.
#[derive(Clone, Debug)]
pub(crate) struct Claims {
    folder: PathBuf,
}

/// A claim. Its note goes with it, so it has to live until the attempt's folder has been made or nothing
/// can come of the claim.
pub(crate) struct Claim {
    pub(crate) id: String,
    note: PathBuf,
}

impl Claims {
    /// `folder` must exist.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// A new claim, noted before anything of it is sent. Without a note it is as good as any, but for the
    /// attempt of a worker that is killed at that moment.
    pub(crate) fn begin(&self) -> Claim {
        let id = Uuid::new_v4().to_string();
        let note = self.folder.join(&id);
        if let Err(error) = File::create(&note) {
            warn!(%error, note = %note.display(), "a claim can't be noted");
        }
        Claim { id, note }
    }

    /// Whether a claim is one of this state folder's, and no folder was made of its attempt.
    pub(crate) fn is_noted(&self, id: &str) -> bool {
        self.folder.join(id).is_file()
    }

    /// Forgets what processes before this one have left, once all that comes of it is known.
    pub(crate) fn forget_all(&self) -> io::Result<()> {
        for note in fs::read_dir(&self.folder)? {
            fs::remove_file(note?.path())?;
        }
        Ok(())
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        match fs::remove_file(&self.note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                warn!(%error, note = %self.note.display(), "a claim's note can't be removed");
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;

    #[test]
    fn a_note_outlives_its_process_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let claims = Claims::new(folder.path().to_owned());
        let (made, killed) = (claims.begin(), claims.begin());
        let (made_id, killed_id) = (made.id.clone(), killed.id.clone());
        assert!(claims.is_noted(&made_id) && claims.is_noted(&killed_id));
        drop(made);
        mem::forget(killed);
        assert!(!claims.is_noted(&made_id) && claims.is_noted(&killed_id));
        claims.forget_all().expect("forgotten");
        assert!(!claims.is_noted(&killed_id));
    }
}
