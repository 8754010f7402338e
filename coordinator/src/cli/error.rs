//! What can end a command, in kubectl's words, and with which exit code.

use std::io;

use kube::core::Status;
use longshore_support::exit;
use thiserror::Error;

#[derive(Debug, Error)]
pub(crate) enum CliError {
    /// The server's answer.
    #[error("{}", refusal(.0))]
    Refused(Box<Status>),
    /// What the command found out by itself.
    #[error("error: {0}")]
    Failed(String),
    /// The command line contradicts itself.
    #[error("error: {0}")]
    Usage(String),
    #[error("error: the server at {server} can't be reached: {reason}")]
    Unreachable { server: String, reason: String },
    #[error("error: {0}")]
    TimedOut(String),
    #[error("error: {0}")]
    Io(#[from] io::Error),
    /// Everything was said already; only the exit code is left.
    #[error("error: some of it failed")]
    Told,
}

impl CliError {
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Failed(_) | Self::Told => exit::FAILED,
            Self::Usage(_) => exit::USAGE,
            Self::Unreachable { .. } => exit::UNREACHABLE,
            Self::TimedOut(_) => exit::TIMEOUT,
            // The reader of the output had enough, as with `| head`.
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::DONE,
            Self::Io(_) => exit::FAILED,
        }
    }

    /// Says it on standard error, unless there is nothing to say.
    pub(crate) fn tell(&self) {
        match self {
            Self::Told => {}
            Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            error => eprintln!("{error}"),
        }
    }

    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 404)
    }

    pub(super) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused(status) if status.code == 409 && status.reason == "Conflict")
    }

    /// A server that is away, or too busy: the same may work later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused(status) => matches!(status.code, 429 | 500 | 503 | 504),
            _ => false,
        }
    }
}

/// The server's refusal as kubectl prints it.
fn refusal(status: &Status) -> String {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or(&[]);
    if status.reason == "Invalid" && !causes.is_empty() {
        let details = status.details.as_ref();
        let kind = details.map(|d| d.kind.as_str()).unwrap_or_default();
        let name = details.map(|d| d.name.as_str()).unwrap_or_default();
        let causes: Vec<String> =
            causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        return match causes.as_slice() {
            [one] => format!("The {kind} {name:?} is invalid: {one}"),
            several => format!("The {kind} {name:?} is invalid: \n* {}", several.join("\n* ")),
        };
    }
    match status.reason.as_str() {
        "" => format!("Error from server: {}", status.message),
        reason => format!("Error from server ({reason}): {}", status.message),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::response::{StatusCause, StatusDetails};

    use super::*;

    #[test]
    fn a_refusal_reads_as_kubectl_prints_it() {
        let status = Status::failure("jobs.batch \"x\" not found", "NotFound").with_code(404);
        let error = CliError::Refused(status.boxed());
        assert_eq!(error.to_string(), "Error from server (NotFound): jobs.batch \"x\" not found");
        assert!(error.is_not_found());
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn an_invalid_object_is_told_by_its_fields() {
        let cause = |field: &str| StatusCause {
            reason: "FieldValueInvalid".to_owned(),
            message: "Invalid value: -1: must be at least 0".to_owned(),
            field: field.to_owned(),
        };
        let mut status = Status::failure("long", "Invalid").with_code(422);
        status.details = Some(StatusDetails {
            name: "x".to_owned(),
            group: "batch".to_owned(),
            kind: "Job".to_owned(),
            uid: String::new(),
            causes: vec![cause("spec.parallelism")],
            retry_after_seconds: 0,
        });
        assert_eq!(
            refusal(&status),
            "The Job \"x\" is invalid: spec.parallelism: Invalid value: -1: must be at least 0"
        );
    }
}
