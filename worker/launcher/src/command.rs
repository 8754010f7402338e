//! The command: starting it, and what became of the start.

#![allow(unsafe_code)]

use crate::sys::{Arguments, Errno, Pipe, last_errno};
use libc::{c_char, c_int};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

/// Where a command without a slash is looked for if the environment has no PATH.
const DEFAULT_PATH: &CStr = c"/bin:/usr/bin";

/// Why the command could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StartError<'a> {
    /// The command as given; none if there was none.
    pub(crate) name: Option<&'a [u8]>,
    pub(crate) errno: Errno,
}

/// A command whose process was made.
pub(crate) struct Command<'a> {
    name: &'a CStr,
    pid: c_int,
    /// Ends without a word when the command's program has taken over its process, or gives the
    /// error number if it could not.
    report: OwnedFd,
}

impl<'a> Command<'a> {
    /// Makes the command's process, and doesn't wait for its program to take over: that may take
    /// for ever on a file system that hangs.
    pub(crate) fn start(arguments: Arguments<'a>, pipe: Pipe) -> Result<Self, StartError<'a>> {
        let Some(name) = { arguments }.next() else {
            return Err(StartError { name: None, errno: libc::ENOENT });
        };
        // SAFETY: this process has one thread, so its copy may do all that it may do itself.
        match unsafe { libc::fork() } {
            0 => become_command(name, arguments, &pipe.writer),
            -1 => Err(StartError { name: Some(name.to_bytes()), errno: last_errno() }),
            pid => Ok(Self { name, pid, report: pipe.reader }),
        }
    }

    /// Makes a process that does nothing until a signal ends it.
    pub(crate) fn pause(pipe: Pipe) -> Result<Self, StartError<'a>> {
        // SAFETY: as above.
        match unsafe { libc::fork() } {
            0 => {
                clean_signals();
                drop(pipe.writer);
                loop {
                    // SAFETY: it touches no memory.
                    unsafe { libc::pause() };
                }
            }
            -1 => Err(StartError { name: None, errno: last_errno() }),
            pid => Ok(Self { name: c"", pid, report: pipe.reader }),
        }
    }

    pub(crate) fn pid(&self) -> c_int {
        self.pid
    }

    /// Sends a signal to the command. It must not have been reaped.
    pub(crate) fn forward(&self, signal: c_int) {
        // SAFETY: kill touches no memory.
        unsafe { libc::kill(self.pid, signal) };
    }

    /// Why the program could not take over. To be asked once the process has ended.
    pub(crate) fn start_error(&self) -> Option<StartError<'a>> {
        let mut errno = [0; size_of::<Errno>()];
        // SAFETY: errno is ours to write to, for its length.
        let read =
            unsafe { libc::read(self.report.as_raw_fd(), errno.as_mut_ptr().cast(), errno.len()) };
        let whole = usize::try_from(read) == Ok(errno.len());
        let errno = Errno::from_ne_bytes(errno);
        whole.then_some(StartError { name: Some(self.name.to_bytes()), errno })
    }
}

/// In the new process: gives it to the command's program, or reports why not and ends.
fn become_command(name: &CStr, arguments: Arguments<'_>, report: &OwnedFd) -> ! {
    // SAFETY: these calls touch no memory but the report, which is readable for its length.
    unsafe {
        // A group of its own: what a terminal sends goes to the command alone, and is not
        // forwarded to it once more.
        libc::setpgid(0, 0);
        // SIGTTOU is still held back here, so this doesn't stop a process in the background; and
        // it fails where there is no terminal, as it should.
        libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpid());
        clean_signals();
        let errno = execute(name, arguments).to_ne_bytes();
        libc::write(report.as_raw_fd(), errno.as_ptr().cast(), errno.len());
        libc::_exit(127)
    }
}

/// Every signal at its default, and none held back.
fn clean_signals() {
    // All zeros are the default. Asked of the kernel itself, as the C library leaves out two signals that
    // it keeps for itself.
    let default = [0u64; 4];
    let mut none = MaybeUninit::uninit();
    // SAFETY: these calls touch no memory but the action, which is as long as the kernel's own, and the
    // set, which is initialised before it is read.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            libc::syscall(libc::SYS_rt_sigaction, signal, &default, ptr::null_mut::<u64>(), 8usize);
        }
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}

/// Executes the program, looked for as execvp does, but without its turning to a shell for a file
/// of unknown format. Comes back only with an error.
fn execute(name: &CStr, arguments: Arguments<'_>) -> Errno {
    if name.to_bytes().contains(&b'/') {
        return execute_at(name, arguments);
    }
    if name.is_empty() {
        return libc::ENOENT;
    }
    // SAFETY: nobody changes the environment, and its values are C strings.
    let path = unsafe {
        let path = libc::getenv(c"PATH".as_ptr());
        if path.is_null() { DEFAULT_PATH } else { CStr::from_ptr(path) }
    };
    let mut buffer = [0; libc::PATH_MAX as usize];
    let mut result = libc::ENOENT;
    for folder in path.to_bytes().split(|&byte| byte == b':') {
        let Some(file) = join(folder, name, &mut buffer) else {
            continue;
        };
        match execute_at(file, arguments) {
            libc::ENOENT | libc::ENOTDIR | libc::ENODEV | libc::ESTALE | libc::ETIMEDOUT => {}
            // There may be one further on that can be executed.
            libc::EACCES => result = libc::EACCES,
            errno => return errno,
        }
    }
    result
}

fn execute_at(file: &CStr, arguments: Arguments<'_>) -> Errno {
    unsafe extern "C" {
        static environ: *const *const c_char;
    }
    // SAFETY: all three are C strings, or null-terminated arrays of them; nobody changes the
    // environment.
    unsafe { libc::execve(file.as_ptr(), arguments.as_ptr(), environ) };
    last_errno()
}

/// The file of that name in a folder, or none if that is too long. The empty folder is the working
/// directory.
fn join<'b>(folder: &[u8], name: &CStr, buffer: &'b mut [u8]) -> Option<&'b CStr> {
    let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
    let mut length = 0;
    for part in [folder, slash, name.to_bytes_with_nul()] {
        buffer.get_mut(length..length + part.len())?.copy_from_slice(part);
        length += part.len();
    }
    CStr::from_bytes_with_nul(&buffer[..length]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_joined_to_its_folder() {
        let mut buffer = [b'x'; 9];
        assert_eq!(join(b"/bin", c"sh", &mut buffer), Some(c"/bin/sh"));
        assert_eq!(join(b"", c"sh", &mut buffer), Some(c"sh"));
        assert_eq!(join(b"/bin", c"bash", &mut buffer), None);
    }
}
