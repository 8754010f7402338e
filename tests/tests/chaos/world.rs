//! The file in which containers say that they are alive, read while it grows.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use longshore_tests::history::{Line, What, now, read};
use tempfile::TempDir;

/// A run that has written nothing for so long has ended, or stands still.
const QUIET: Duration = Duration::from_millis(500);

pub(crate) struct World {
    folder: TempDir,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    offset: u64,
    /// The last line of each run that has not said its end.
    open: HashMap<String, Line>,
}

impl World {
    pub(crate) fn new(folder: TempDir) -> Self {
        Self { folder, seen: Mutex::default() }
    }

    /// Where containers find it by `hostPath`.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// All lines.
    pub(crate) fn lines(&self) -> Result<Vec<Line>> {
        read(&fs::read_to_string(self.file())?)
    }

    /// The containers that run just now.
    pub(crate) fn running(&self) -> Result<Vec<Line>> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut file) = File::open(self.file()) {
            file.seek(SeekFrom::Start(seen.offset))?;
            let mut text = String::new();
            file.read_to_string(&mut text)?;
            let whole = text.rfind('\n').map_or(0, |end| end + 1);
            seen.offset += u64::try_from(whole)?;
            for line in read(&text[..whole])? {
                match line.what {
                    What::End(_) => seen.open.remove(&line.run),
                    _ => seen.open.insert(line.run.clone(), line),
                };
            }
        }
        let now = now()?;
        seen.open.retain(|_, line| line.at + QUIET > now);
        Ok(seen.open.values().cloned().collect())
    }

    fn file(&self) -> std::path::PathBuf {
        self.folder.path().join("lines")
    }
}
