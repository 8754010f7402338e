//! The launcher: PID 1 of every container that Longshore runs, and its dead man's switch.
//!
//! An attempt may run only while its worker's lease holds. The worker rewrites the attempt's
//! *deadline* at each renewal of the lease; the launcher starts the command only while that
//! deadline is in the future, and exits at it. As it is PID 1, the kernel then kills all that is
//! left in the container. It needs nothing but the file: the worker may be killed, stopped or
//! hung, and the Docker daemon dead.
//!
//! # Files
//!
//! | in the container | what |
//! | --- | --- |
//! | `/.longshore/launcher` | this program (the folder is mounted read-only) |
//! | `/.longshore/deadline` | 20 ASCII digits and a newline: nanoseconds of `CLOCK_BOOTTIME`, rewritten in place by one write. Twenty zeros mean: end now, noticed within a second |
//! | `/.longshore-exit` | where the launcher records the end, before it exits: the proof of an exit that the Docker daemon can't give. It may be missing |
//!
//! Wrong or missing content at the start is a refusal; later on, the last deadline that could be
//! read stands.
//!
//! # Use
//!
//! `launcher [--deadline PATH] [--exit-file PATH] [--secrets PATH] -- COMMAND [ARGUMENT...]`
//!
//! `--secrets` names a file with more variables, and with the command if that holds Secrets (see
//! `src/secrets.rs`). `launcher --pause --` runs no command: it stays until SIGTERM or its deadline, and
//! so holds a Pod's network.
//!
//! The worker makes `launcher --` the container's entrypoint, so that nothing that a user writes
//! is read as an option.
//!
//! # Ends
//!
//! The record is one line; a line without its newline was not written to its end.
//!
//! | record | exit code | meaning |
//! | --- | --- | --- |
//! | `exited CODE` | CODE | the command exited, and nobody outside had told it to |
//! | `exited CODE told SIGNAL` | CODE | the command exited after the launcher had passed that signal on to it |
//! | `signaled SIGNAL` | 128 + SIGNAL | a signal ended the command |
//! | `start-error ERRNO MESSAGE` | 127, 126 | the command was not found (127) or can't be executed (126). The message is on the standard error too |
//! | `deadline` | 124 | the deadline passed |
//! | `refused REASON` | 125 | the command was not started: there is no deadline in the future, or the launcher can't do its work |
//!
//! All else in the container is killed before the record is written, so a record means that
//! nothing of the attempt runs any more, however long the write takes.
//!
//! # As PID 1
//!
//! The command runs in a process group of its own, in the foreground if there is a terminal, with
//! every signal at its default. Signals sent to the launcher go to the command, orphans are
//! reaped. The launcher counts as one process toward the container's limit of processes.
//!
//! # What it can't cover
//!
//! - A process stuck in the kernel (an uninterruptible wait, as on a dead network file system):
//!   it has been sent SIGKILL, and dies when the kernel lets it go. Until then it executes none of
//!   its own code, but a write already handed to the kernel may still take effect.
//! - A host frozen as a whole (a paused virtual machine, a stopped hypervisor): its clock stands
//!   still with it, and its containers go on for a moment after it thaws, at most until the
//!   deadline as that clock has it. The same for a container frozen alone (`docker pause`), which
//!   ends as it thaws. Writes to storage outside must carry the attempt's fencing token.
//! - What PID 1 can't kill: a container that shares another's or the host's PID namespace. There
//!   the launcher ends its own child only.
//! - A kernel other than the host's (a runtime with virtual machines, a time namespace): its
//!   `CLOCK_BOOTTIME` isn't the worker's.
//! - The launcher held still on purpose: stopped by the host's administrator (SIGSTOP), or traced
//!   by a process of the container that was given the right to do so. From inside the container it
//!   can be neither killed nor stopped by a signal.

#![cfg_attr(not(test), no_main)]

mod command;
mod options;
mod record;
mod secrets;
mod sys;
mod watch;

use command::Command;
use options::Options;
use record::{End, Line};
use std::os::fd::OwnedFd;
use sys::{Exit, Pipe, Reaped};
use watch::{Step, Watch};

/// Children reaped in a row before the deadline is looked at again, so that a flood of orphans
/// can't put it off.
const REAP_BATCH: u32 = 64;

/// The program's entry, in place of Rust's own: that one opens files, sets up handlers and
/// ignores SIGPIPE, which costs time and would be inherited by the command.
#[cfg(not(test))]
// SAFETY: no other `main` is linked, as the crate is `no_main`.
#[allow(unsafe_code)]
#[unsafe(no_mangle)]
extern "C" fn main(argc: libc::c_int, argv: *const *const libc::c_char) -> libc::c_int {
    // SAFETY: the C runtime calls main with the process' arguments, which live until its end.
    let arguments = unsafe { sys::Arguments::new(argc, argv) };
    run(arguments)
}

/// Runs the command to its end, records that end and gives the exit code.
#[cfg_attr(test, allow(dead_code, reason = "the tests have an entry of their own"))]
fn run(arguments: sys::Arguments<'_>) -> i32 {
    let (options, exit_file) = match Options::parse(arguments) {
        Ok(options) => {
            let exit_file = sys::open_for_writing(options.exit_file);
            (options, exit_file)
        }
        Err(reason) => {
            return finish(None, &End::Refused { reason, errno: None }, None);
        }
    };
    let mut child = None;
    let end = match supervise(&options, &mut child) {
        Ok(end) => end,
        Err(refused) => refused,
    };
    finish(exit_file.as_ref(), &end, child)
}

/// Starts the command and watches over it; gives how it ended. An error is a refusal: nothing was
/// started. `child` is set once there is one that may be alive.
fn supervise<'a>(options: &Options<'a>, child: &mut Option<i32>) -> Result<End<'a>, End<'a>> {
    let deadline = sys::open_for_reading(options.deadline)
        .map_err(|errno| End::refused("deadline can't be opened", errno))?;
    // Taken before the signals are waited for, so that none is lost in between.
    let signals =
        sys::Signals::take_all().map_err(|errno| End::refused("signals can't be taken", errno))?;
    let mut timer =
        sys::Timer::new().map_err(|errno| End::refused("no timer can be had", errno))?;
    sys::keep_in_memory();
    sys::adopt_orphans();

    let mut watch = match watch::read(&deadline) {
        Ok(at) => Watch::new(at),
        Err(reason) => return Err(End::Refused { reason, errno: None }),
    };
    if watch.passed(sys::boot_time()) {
        return Err(End::Refused { reason: "deadline passed", errno: None });
    }

    let mut words = options.command;
    if let Some(path) = options.secrets {
        let secret = secrets::take(path);
        let secret = secret.map_err(|errno| End::refused("secrets can't be read", errno))?;
        words = secret.unwrap_or(words);
    }
    let pipe = Pipe::new().map_err(|errno| End::refused("no pipe can be had", errno))?;
    let started = if options.pause { Command::pause(pipe) } else { Command::start(words, pipe) };
    let command = match started {
        Ok(command) => command,
        Err(error) => return Ok(End::StartError(error)),
    };
    *child = Some(command.pid());

    let mut told = None;
    loop {
        signals.each_pending(|signal| {
            told = Some(signal);
            command.forward(signal);
        });
        let mut more_to_reap = true;
        for _ in 0..REAP_BATCH {
            match sys::reap() {
                Reaped::Child { pid, exit } if pid == command.pid() => {
                    *child = None;
                    return Ok(match (command.start_error(), exit) {
                        (Some(error), _) => End::StartError(error),
                        (None, Exit::Code(code)) => End::Exited { code, told },
                        (None, Exit::Signal(signal)) => End::Signaled(signal),
                    });
                }
                Reaped::Child { .. } => {}
                Reaped::None => {
                    more_to_reap = false;
                    break;
                }
            }
        }
        let now = sys::boot_time();
        if let Step::Look = watch.step(now) {
            watch.looked(watch::read(&deadline).ok(), now);
        }
        match watch.step(now) {
            Step::End => return Ok(End::Deadline),
            Step::Look => {}
            Step::SleepUntil(at) if !more_to_reap => timer.wait_with(&signals, at),
            Step::SleepUntil(_) => {}
        }
    }
}

/// Kills what is left, records the end and gives the exit code.
fn finish(exit_file: Option<&OwnedFd>, end: &End<'_>, child: Option<i32>) -> i32 {
    // First of all: from here on nothing of the attempt runs, even if the write below hangs.
    sys::kill_all_others(child);
    let mut line = Line::new();
    end.write_record(&mut line);
    if let Some(file) = exit_file {
        sys::replace_content(file, line.as_bytes());
        // At the deadline the exit is what counts; otherwise the record is a proof, and is made
        // to last.
        if !matches!(end, End::Deadline) {
            sys::sync(file);
        }
    }
    // At the deadline nobody may be there to read, and a full pipe would block for ever.
    if !matches!(end, End::Deadline) {
        let mut line = Line::new();
        end.write_message(&mut line);
        sys::print_error(line.as_bytes());
    }
    end.exit_code()
}
