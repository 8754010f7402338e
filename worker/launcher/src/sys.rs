//! The system calls that the launcher lives on, each behind a safe function.

#![allow(unsafe_code)]

use libc::{c_char, c_int};
use std::ffi::CStr;
use std::io::Error;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

/// An error number of the kernel's.
pub(crate) type Errno = i32;

/// What the process was called with: those of its arguments that were not yet taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arguments<'a> {
    /// Points to `count` C strings and a null pointer.
    first: *const *const c_char,
    count: usize,
    strings: PhantomData<&'a CStr>,
}

impl<'a> Arguments<'a> {
    /// # Safety
    ///
    /// `first` must point to `count` pointers to C strings, and a null pointer after them, all of
    /// which live and don't change for `'a`.
    pub(crate) unsafe fn new(count: c_int, first: *const *const c_char) -> Self {
        Self { first, count: usize::try_from(count).unwrap_or(0), strings: PhantomData }
    }

    /// The rest, as execve wants it: ended by a null pointer.
    pub(crate) fn as_ptr(&self) -> *const *const c_char {
        self.first
    }
}

impl<'a> Iterator for Arguments<'a> {
    type Item = &'a CStr;

    fn next(&mut self) -> Option<&'a CStr> {
        self.count = self.count.checked_sub(1)?;
        // SAFETY: `first` points to a C string, as there was one left; the next place is an
        // argument or the null pointer that ends them.
        unsafe {
            let argument = CStr::from_ptr(*self.first);
            self.first = self.first.add(1);
            Some(argument)
        }
    }
}

/// How a child ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(u8),
    Signal(u8),
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaped {
    Child {
        pid: c_int,
        exit: Exit,
    },
    /// No child has ended.
    None,
}

/// Takes the end of one child, an orphan's or the command's, without waiting for it.
pub(crate) fn reap() -> Reaped {
    let mut status = 0;
    // SAFETY: status is ours to write to.
    let pid = unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG | libc::__WALL) };
    if pid <= 0 {
        return Reaped::None;
    }
    // Without WUNTRACED and WCONTINUED there are these two. Both fit: the kernel keeps a byte of
    // the one and seven bits of the other.
    let exit = match libc::WIFSIGNALED(status) {
        true => Exit::Signal(libc::WTERMSIG(status) as u8),
        false => Exit::Code(libc::WEXITSTATUS(status) as u8),
    };
    Reaped::Child { pid, exit }
}

/// Kills all other processes of the container, of which this one is PID 1; none can slip through
/// by forking. Where it is not PID 1, `child` only.
pub(crate) fn kill_all_others(child: Option<c_int>) {
    // SAFETY: getpid and kill touch no memory. -1 from PID 1 means its own PID namespace.
    unsafe {
        if libc::getpid() == 1 {
            libc::kill(-1, libc::SIGKILL);
        } else if let Some(pid) = child {
            libc::kill(pid, libc::SIGKILL);
        }
    }
}

/// Makes orphans come to this process, as they do to a PID 1 by themselves.
pub(crate) fn adopt_orphans() {
    // SAFETY: getpid and this prctl touch no memory.
    unsafe {
        if libc::getpid() != 1 {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        }
    }
}

/// Keeps the pages that this program has touched and will touch in memory, so that it needs no
/// disk when its time comes. Where the container's limit on locked memory doesn't allow it,
/// nothing changes. The command doesn't inherit it.
pub(crate) fn keep_in_memory() {
    // Bringing in all pages here would cost more than the rest of the start.
    // SAFETY: mlockall changes no content.
    unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_ONFAULT) };
}

/// Now, in nanoseconds of `CLOCK_BOOTTIME`.
pub(crate) fn boot_time() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: now is ours to write to.
    if unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut now) } != 0 {
        // Without a clock every deadline has passed.
        return u64::MAX;
    }
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub(crate) fn open_for_reading(path: &CStr) -> Result<OwnedFd, Errno> {
    open(path, libc::O_RDONLY)
}

/// Opens a file to write to, if it is there and lets itself be written to.
pub(crate) fn open_for_writing(path: &CStr) -> Option<OwnedFd> {
    open(path, libc::O_WRONLY | libc::O_NOCTTY).ok()
}

/// A file's length in bytes.
pub(crate) fn length(file: &OwnedFd) -> Result<usize, Errno> {
    let mut stat = MaybeUninit::uninit();
    // SAFETY: the record is ours to write to, and is only read once it was filled.
    let stat = unsafe {
        if libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) != 0 {
            return Err(last_errno());
        }
        stat.assume_init()
    };
    usize::try_from(stat.st_size).map_err(|_| libc::EINVAL)
}

/// A file's number among those of this process.
pub(crate) fn number(file: &OwnedFd) -> c_int {
    file.as_raw_fd()
}

/// Reads from the file's start; gives the number of bytes.
pub(crate) fn read_from_start(file: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the buffer is ours to write to, for its length.
    let read =
        unsafe { libc::pread(file.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
    usize::try_from(read).ok()
}

/// Makes `content` all that the file has, with one write. Errors have nobody to be told to.
pub(crate) fn replace_content(file: &OwnedFd, content: &[u8]) {
    // SAFETY: the content is readable for its length.
    unsafe {
        libc::pwrite(file.as_raw_fd(), content.as_ptr().cast(), content.len(), 0);
        // The command may have written to the file too.
        libc::ftruncate(file.as_raw_fd(), content.len() as libc::off_t);
    }
}

/// Waits until the file's content would outlast the host.
pub(crate) fn sync(file: &OwnedFd) {
    // SAFETY: fsync touches no memory.
    unsafe { libc::fsync(file.as_raw_fd()) };
}

/// Writes to the standard error, as far as it takes it.
pub(crate) fn print_error(text: &[u8]) {
    // SAFETY: the text is readable for its length.
    unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) };
}

/// A pipe whose ends aren't inherited by programs and whose reader doesn't wait.
pub(crate) struct Pipe {
    pub(crate) reader: OwnedFd,
    pub(crate) writer: OwnedFd,
}

impl Pipe {
    pub(crate) fn new() -> Result<Self, Errno> {
        let mut ends = [0; 2];
        // SAFETY: ends has the room of two descriptors, which are ours alone if it succeeds.
        unsafe {
            check(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK))?;
            Ok(Self { reader: owned(ends[0]), writer: owned(ends[1]) })
        }
    }
}

/// All signals, which come here as messages from when this is made, and interrupt nothing.
pub(crate) struct Signals(OwnedFd);

impl Signals {
    pub(crate) fn take_all() -> Result<Self, Errno> {
        let mut all = MaybeUninit::uninit();
        // SAFETY: sigfillset initialises the set that the other calls read; the descriptor is
        // ours alone.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            check(libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut()))?;
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            Ok(Self(owned(check(libc::signalfd(-1, all.as_ptr(), flags))?)))
        }
    }

    /// Gives a batch of the signals that came, but for those that say that a child has ended.
    pub(crate) fn each_pending(&self, mut give: impl FnMut(c_int)) {
        const BATCH: usize = 16;
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut batch = [const { MaybeUninit::<libc::signalfd_siginfo>::uninit() }; BATCH];
        // SAFETY: the batch is ours to write to, for its size.
        let read =
            unsafe { libc::read(self.0.as_raw_fd(), batch.as_mut_ptr().cast(), BATCH * SIZE) };
        let count = usize::try_from(read).unwrap_or(0) / SIZE;
        for message in &batch[..count] {
            // SAFETY: the kernel wrote this many whole messages.
            let signal = unsafe { message.assume_init_ref() }.ssi_signo as c_int;
            if signal != libc::SIGCHLD {
                give(signal);
            }
        }
    }
}

/// A timer on `CLOCK_BOOTTIME`: one that goes off as the host wakes from a suspension.
pub(crate) struct Timer {
    file: OwnedFd,
    set_to: u64,
}

impl Timer {
    pub(crate) fn new() -> Result<Self, Errno> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: the descriptor is ours alone.
        let file = unsafe { owned(check(libc::timerfd_create(libc::CLOCK_BOOTTIME, flags))?) };
        Ok(Self { file, set_to: 0 })
    }

    /// Waits for a signal or for the time `until`. May come back before.
    pub(crate) fn wait_with(&mut self, signals: &Signals, until: u64) {
        if until != self.set_to {
            let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let value = libc::timespec {
                tv_sec: (until / 1_000_000_000) as libc::time_t,
                tv_nsec: (until % 1_000_000_000) as libc::c_long,
            };
            let setting = libc::itimerspec { it_interval: zero, it_value: value };
            // SAFETY: setting lives through the call. Setting the timer also takes back an
            // earlier ring.
            let set = unsafe {
                libc::timerfd_settime(
                    self.file.as_raw_fd(),
                    libc::TFD_TIMER_ABSTIME,
                    &setting,
                    ptr::null_mut(),
                )
            };
            self.set_to = if set == 0 { until } else { 0 };
        }
        let wait_for = |file: &OwnedFd| libc::pollfd {
            fd: file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let mut files = [wait_for(&signals.0), wait_for(&self.file)];
        // A net beneath the timer.
        let longest = libc::timespec { tv_sec: 1, tv_nsec: 0 };
        // SAFETY: files is ours to write to, and has two entries.
        unsafe { libc::ppoll(files.as_mut_ptr(), 2, &longest, ptr::null()) };
    }
}

fn open(path: &CStr, flags: c_int) -> Result<OwnedFd, Errno> {
    // SAFETY: the path is a C string; the descriptor is ours alone.
    unsafe { Ok(owned(check(libc::open(path.as_ptr(), flags | libc::O_CLOEXEC))?)) }
}

/// # Safety
///
/// The descriptor must be open, and nobody else's.
unsafe fn owned(descriptor: c_int) -> OwnedFd {
    // SAFETY: the caller's promise.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}

fn check(result: c_int) -> Result<c_int, Errno> {
    if result >= 0 { Ok(result) } else { Err(last_errno()) }
}

/// The error of the system call just made.
pub(crate) fn last_errno() -> Errno {
    Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Arguments for tests, as the C runtime would give them.
#[cfg(test)]
pub(crate) struct OwnedArguments<'a> {
    pointers: Vec<*const c_char>,
    strings: PhantomData<&'a CStr>,
}

#[cfg(test)]
impl<'a> OwnedArguments<'a> {
    pub(crate) fn new(arguments: &[&'a CStr]) -> Self {
        let pointers = arguments.iter().map(|argument| argument.as_ptr());
        Self { pointers: pointers.chain([ptr::null()]).collect(), strings: PhantomData }
    }

    pub(crate) fn borrow(&self) -> Arguments<'_> {
        let count = c_int::try_from(self.pointers.len() - 1).expect("few arguments");
        // SAFETY: the pointers are to C strings that live as long as self, and end with null.
        unsafe { Arguments::new(count, self.pointers.as_ptr()) }
    }
}
