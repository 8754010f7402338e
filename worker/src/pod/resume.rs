//! What a Pod that is taken up has behind it, by the notes of its containers.

use k8s_openapi::api::core::v1::{Container as Template, PodSpec};
use longshore_job::{Container, Millis};

use super::network::NETWORK_HOLDER;
use super::records::shown;
use crate::assignment::Assignment;
use crate::folder::Folder;
use crate::note::Note;
use crate::runtime::Found;

/// What Redis has been told of a Pod before this process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// When its only container started.
    pub(crate) started: Option<Millis>,
    /// How each of several containers stood.
    pub(crate) containers: Vec<Container>,
}

/// Why a Pod can't be taken up: what its containers have done is not certain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unclear {
    #[error("the note of container {container} can't be read")]
    Note { container: String, source: std::io::Error },
    #[error("container {0} runs, but it is not noted that it was started")]
    Unnoted(String),
    #[error("containers after {0} were begun, but it is not noted how it ended")]
    Skipped(String),
}

/// Whether the notes of a Pod's containers fit each other and what was `found` of them on the host.
pub(crate) fn is_clear(
    assignment: &Assignment,
    folder: &Folder,
    found: &[Found],
) -> Result<(), Unclear> {
    let all = notes(&assignment.spec, folder);
    let mut notes = Vec::new();
    for (container, note) in all {
        let name = || container.name.clone();
        let note = note.map_err(|source| Unclear::Note { container: name(), source })?;
        let on_host = assignment.container_name(container);
        let runs = found.iter().any(|found| found.running && found.name == on_host);
        if runs && note.begun.is_none() {
            return Err(Unclear::Unnoted(name()));
        }
        notes.push(note);
    }
    folder
        .container(NETWORK_HOLDER)
        .note()
        .map_err(|source| Unclear::Note { container: NETWORK_HOLDER.into(), source })?;
    let reached = reached(&notes);
    let init = assignment.spec.init_containers.iter().flatten();
    for (container, note) in init.zip(&notes).take(reached.saturating_sub(1)) {
        let is_sidecar = container.restart_policy.as_deref() == Some("Always");
        let has_succeeded = note.end.as_ref().is_some_and(|end| end.outcome.is_success());
        if !(has_succeeded || is_sidecar && note.is_reached()) {
            return Err(Unclear::Skipped(container.name.clone()));
        }
    }
    Ok(())
}

/// How far a Pod has come: the number of its containers up to the last that was reached.
pub(super) fn reached(notes: &[Note]) -> usize {
    notes.iter().rposition(Note::is_reached).map_or(0, |last| last + 1)
}

/// The notes of a Pod's containers, in the template's order, init containers first.
pub(super) fn notes<'a>(
    spec: &'a PodSpec,
    folder: &'a Folder,
) -> impl Iterator<Item = (&'a Template, std::io::Result<Note>)> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    containers.map(|container| (container, folder.container(&container.name).note()))
}

/// How a container stands by its note, over what has been `told` of it.
pub(super) fn standing(told: Container, note: &Note) -> Container {
    let mut record = Container { restarts: note.restarts.max(told.restarts), ..told };
    if let Some(begun) = note.begun {
        // What was told before may be of the run before.
        record.started = record.started.filter(|started| *started >= begun);
        record.running = record.started.is_some() && note.end.is_none();
        record.waiting = None;
    } else {
        record.running = false;
    }
    if let Some(end) = &note.end {
        record.started = record.started.or(note.begun);
        record.finished = Some(end.at);
        record.waiting = None;
        record.outcome = Some(shown(&end.outcome));
    }
    record
}

/// The failures in place that were told or are about to be.
pub(super) fn failures(notes: &[Note]) -> u32 {
    notes.iter().filter_map(|note| note.failure).max().unwrap_or(0)
}
