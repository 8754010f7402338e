//! How far a container has come: what whoever takes it up must know, and what nothing else on the host
//! says for certain.
//!
//! Each step is noted before it is made, so what isn't noted has not happened.

use std::fs;
use std::io;
use std::path::Path;

use longshore_job::{Millis, Outcome};
use serde::{Deserialize, Serialize};

/// How far a container has come. It hasn't been reached yet if this is the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// How often it was restarted in place before this run.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) restarts: u32,
    /// When the daemon was about to be told to start it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) begun: Option<Millis>,
    /// The instance of the Docker daemon that it runs under, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) engine: Option<String>,
    /// How this run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) end: Option<End>,
    /// Which of its attempt's failures that end is, once it is told as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) failure: Option<u32>,
}

/// The end of a run, as it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) at: Millis,
    pub(crate) outcome: Outcome,
}

impl Note {
    /// Reads a note; the default if there is none.
    pub(crate) fn read(file: &Path) -> io::Result<Self> {
        match fs::read(file) {
            Ok(json) => Ok(serde_json::from_slice(&json)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes the note as a whole: whoever reads it finds this one or the one before.
    pub(crate) fn write(&self, file: &Path) -> io::Result<()> {
        let new = file.with_extension("new");
        fs::write(&new, serde_json::to_vec(self)?)?;
        fs::rename(new, file)
    }

    /// Whether it has been begun, or has ended without that.
    pub(crate) fn is_reached(&self) -> bool {
        *self != Self::default()
    }
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}
