//! Variables and a command that hold Secrets. Who asks Docker for the container sees its variables and
//! its command, and Docker writes them to its disk; so these come in a file of the worker's.
//!
//! The file holds strings, each ended by a zero byte: `NAME=VALUE` of each variable, then an empty one,
//! then the words of the command; without words the command is the one given as arguments.

#![allow(unsafe_code)]

use crate::sys::{self, Arguments, Errno, last_errno};
use libc::c_char;
use std::ffi::CStr;
use std::ptr;

/// Puts the variables into this process' environment, which is the command's too, and gives the command
/// if there is one.
pub(crate) fn take(path: &CStr) -> Result<Option<Arguments<'static>>, Errno> {
    let strings = Strings::read(path)?;
    let mut words = strings;
    for variable in words.by_ref() {
        if variable.is_empty() {
            break;
        }
        // SAFETY: the string lives to the process' end, nobody else changes the environment, and no
        // other thread reads it.
        if unsafe { libc::putenv(variable.as_ptr().cast_mut()) } != 0 {
            return Err(last_errno());
        }
    }
    let count = words.count();
    if count == 0 {
        return Ok(None);
    }
    let too_many = |_| libc::E2BIG;
    // SAFETY: the room is for all pointers, zeroed, and so ends with the null pointer; it is never freed,
    // and nor are the strings.
    unsafe {
        let first: *mut *const c_char = libc::calloc(count + 1, size_of::<*const c_char>()).cast();
        if first.is_null() {
            return Err(libc::ENOMEM);
        }
        for (at, word) in words.enumerate() {
            *first.add(at) = word.as_ptr();
        }
        Ok(Some(Arguments::new(count.try_into().map_err(too_many)?, first)))
    }
}

/// The strings that are left of a file's.
#[derive(Clone, Copy)]
struct Strings {
    bytes: &'static [u8],
}

impl Strings {
    /// Maps the file for as long as the process lives.
    fn read(path: &CStr) -> Result<Self, Errno> {
        let file = sys::open_for_reading(path)?;
        let length = sys::length(&file)?;
        if length == 0 {
            return Ok(Self { bytes: &[] });
        }
        // SAFETY: a new mapping, private to this process, that is never undone.
        let bytes = unsafe {
            let (rights, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE);
            let start = libc::mmap(ptr::null_mut(), length, rights, kind, sys::number(&file), 0);
            if start == libc::MAP_FAILED {
                return Err(last_errno());
            }
            std::slice::from_raw_parts(start.cast::<u8>(), length)
        };
        match bytes.last() {
            Some(0) => Ok(Self { bytes }),
            _ => Err(libc::EINVAL),
        }
    }
}

impl Iterator for Strings {
    type Item = &'static CStr;

    fn next(&mut self) -> Option<&'static CStr> {
        let string = CStr::from_bytes_until_nul(self.bytes).ok()?;
        self.bytes = &self.bytes[string.to_bytes_with_nul().len()..];
        Some(string)
    }
}
