//! From what the launcher recorded and what Docker says to an attempt's outcome. Pure.

use longshore_job::Outcome;

use crate::health::START_FAILED;

/// How an attempt ended, as its launcher recorded it: the proof that the Docker daemon can't give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Record {
    /// `told` if it was sent a signal before, which may have been the daemon's.
    Exited {
        code: i32,
        told: bool,
    },
    Signaled(i32),
    StartError {
        errno: String,
        message: String,
    },
    Deadline,
    Refused(String),
}

/// What Docker says of a container that doesn't run any more.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) code: i32,
    pub(super) oom_killed: bool,
    /// Why Docker could not start it.
    pub(super) error: String,
}

impl Record {
    /// Reads the launcher's line.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "exited" => {
                let (code, told) = rest.split_once(' ').unwrap_or((rest, ""));
                let told = !told.is_empty();
                code.parse().ok().map(|code| Self::Exited { code, told })
            }
            "signaled" => rest.parse().ok().map(Self::Signaled),
            "start-error" => {
                let (errno, message) = rest.split_once(' ').unwrap_or((rest, rest));
                Some(Self::StartError { errno: errno.into(), message: message.into() })
            }
            "deadline" => Some(Self::Deadline),
            "refused" => Some(Self::Refused(rest.into())),
            _ => None,
        }
    }
}

/// The outcome of a container that has ended.
///
/// `state` is `None` if Docker doesn't know the container any more. `same_daemon` says whether the
/// daemon that answered is the one that started the container: a daemon that goes down, or comes
/// back, ends containers in ways that look like exits of their own, code 0 included. What ended around
/// that moment is a disruption, unless the command exited without having been sent a signal: a daemon
/// has no other way to have it exit.
pub(super) fn judge(record: Option<Record>, state: Option<State>, same_daemon: bool) -> Outcome {
    let by_itself = matches!(record, Some(Record::Exited { told: false, .. }));
    match (record, state) {
        (Some(Record::Deadline), _) => lost("LeaseExpired", "the lease ran out", false),
        (Some(Record::Refused(why)), _) if why.starts_with("deadline passed") => {
            lost("LeaseExpired", "the lease ran out before the start", false)
        }
        (Some(Record::Refused(why)), _) => {
            lost(START_FAILED, format!("the launcher refused: {why}"), false)
        }
        (Some(Record::StartError { errno, message }), _) => Outcome::StartError {
            reason: "StartError".into(),
            message,
            code: if matches!(errno.as_str(), "ENOENT" | "ENOTDIR") { 127 } else { 126 },
        },
        _ if !same_daemon && !by_itself => {
            lost("DockerRestarted", "the Docker daemon went away while the container ran", true)
        }
        (Some(Record::Exited { code, .. }), state) => {
            exited(code, state.is_some_and(|s| s.oom_killed))
        }
        (Some(Record::Signaled(signal)), state) => {
            exited(128 + signal, state.is_some_and(|s| s.oom_killed))
        }
        (None, Some(state)) if !state.error.is_empty() => start_error(&state.error, state.code),
        // Without a record the launcher itself was killed, which never gives 0.
        (None, Some(state)) if state.code != 0 => exited(state.code, state.oom_killed),
        (None, Some(_)) => lost("ExitUnproven", "the launcher left no record of the exit", true),
        (None, None) => lost("ContainerLost", "the container was removed by someone else", false),
    }
}

/// The outcome of a container that Docker could not create or start: a start error if the cause lies
/// in the container (its image, command, mounts), otherwise a disruption.
pub(super) fn start_error(message: &str, code: i32) -> Outcome {
    let lower = message.to_ascii_lowercase();
    if HOST_CAUSES.iter().any(|cause| lower.contains(cause)) {
        return lost(START_FAILED, message, false);
    }
    let code = if matches!(code, 126..=128) { code } else { 128 };
    Outcome::StartError { reason: "StartError".into(), message: message.into(), code }
}

/// A disruption.
pub(super) fn lost(reason: &str, message: impl Into<String>, host_lost: bool) -> Outcome {
    Outcome::Disrupted { reason: reason.into(), message: message.into(), host_lost }
}

/// Parts of Docker's messages when a start fails for a cause of the host.
const HOST_CAUSES: [&str; 14] = [
    "address pool",
    "cannot allocate memory",
    "containerd",
    "context canceled",
    "context deadline exceeded",
    "device or resource busy",
    "endpoint",
    "failed to set up container networking",
    "input/output error",
    "network",
    "no space left on device",
    "resource temporarily unavailable",
    "shim",
    "too many open files",
];

fn exited(code: i32, oom_killed: bool) -> Outcome {
    // The flag stands for any process of the container, so it proves nothing beside an exit with 0.
    let reason = match (code, oom_killed) {
        (0, _) => "Completed",
        (_, true) => "OOMKilled",
        (_, false) => "Error",
    };
    Outcome::Exited { code, reason: reason.into(), message: String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(record: &str, state: Option<State>, same_daemon: bool) -> Outcome {
        judge(Record::parse(record), state, same_daemon)
    }

    fn exit(code: i32, reason: &str) -> Outcome {
        Outcome::Exited { code, reason: reason.into(), message: String::new() }
    }

    fn reason(outcome: &Outcome) -> (&str, bool) {
        match outcome {
            Outcome::Disrupted { reason, host_lost, .. } => (reason, *host_lost),
            other => panic!("{other:?} is no disruption"),
        }
    }

    #[test]
    fn records_are_read() {
        for (line, expected) in [
            ("exited 0", Some(Record::Exited { code: 0, told: false })),
            ("exited 3 told 15", Some(Record::Exited { code: 3, told: true })),
            ("signaled 9", Some(Record::Signaled(9))),
            ("deadline", Some(Record::Deadline)),
            ("refused deadline passed", Some(Record::Refused("deadline passed".into()))),
            (
                "start-error ENOENT exec: \"x\": executable file not found in $PATH",
                Some(Record::StartError {
                    errno: "ENOENT".into(),
                    message: "exec: \"x\": executable file not found in $PATH".into(),
                }),
            ),
            ("exited", None),
            ("exited many", None),
            ("", None),
        ] {
            assert_eq!(Record::parse(line), expected, "{line}");
        }
    }

    #[test]
    fn the_record_counts_and_not_what_docker_says() {
        let state = Some(State { code: 255, ..State::default() });
        assert_eq!(judged("exited 0", state.clone(), true), exit(0, "Completed"));
        assert_eq!(judged("exited 3", state.clone(), true), exit(3, "Error"));
        assert_eq!(judged("signaled 15", state, true), exit(143, "Error"));
        assert_eq!(judged("exited 0", None, true), exit(0, "Completed"));
    }

    #[test]
    fn out_of_memory_needs_the_flag_and_a_failure() {
        let oom = Some(State { code: 137, oom_killed: true, error: String::new() });
        assert_eq!(judged("signaled 9", oom.clone(), true), exit(137, "OOMKilled"));
        assert_eq!(judged("exited 0", oom.clone(), true), exit(0, "Completed"));
        assert_eq!(judged("", oom, true), exit(137, "OOMKilled"));
        let killed = Some(State { code: 137, ..State::default() });
        assert_eq!(judged("", killed, true), exit(137, "Error"));
    }

    #[test]
    fn an_end_around_the_daemons_own_is_a_disruption() {
        for record in ["exited 0 told 15", "exited 1 told 15", "signaled 15", ""] {
            let outcome = judged(record, Some(State::default()), false);
            assert_eq!(reason(&outcome), ("DockerRestarted", true));
        }
    }

    #[test]
    fn an_exit_that_nobody_asked_for_counts_under_any_daemon() {
        assert_eq!(judged("exited 0", None, false), exit(0, "Completed"));
        assert_eq!(judged("exited 3", Some(State::default()), false), exit(3, "Error"));
    }

    #[test]
    fn a_zero_without_a_record_is_no_success() {
        let outcome = judged("", Some(State::default()), true);
        assert_eq!(reason(&outcome), ("ExitUnproven", true));
    }

    #[test]
    fn the_lease_is_a_disruption_that_took_no_host() {
        for record in ["deadline", "refused deadline passed"] {
            let outcome = judged(record, Some(State::default()), true);
            assert_eq!(reason(&outcome), ("LeaseExpired", false));
        }
    }

    #[test]
    fn start_errors_are_the_containers_unless_the_host_is_to_blame() {
        let missing =
            judged("start-error ENOENT exec: \"x\": no such file or directory", None, true);
        assert!(matches!(missing, Outcome::StartError { code: 127, .. }));
        let denied = judged("start-error EACCES exec: \"x\": permission denied", None, true);
        assert!(matches!(denied, Outcome::StartError { code: 126, .. }));
        let mount = start_error("OCI runtime create failed: mkdir /x: read-only file system", 0);
        assert!(matches!(mount, Outcome::StartError { code: 128, .. }));
        let disk = start_error("write /var/lib: no space left on device", 0);
        assert_eq!(reason(&disk), ("StartFailed", false));
    }
}
