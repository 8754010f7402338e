//! The launcher's own options, which stand before `--`.

use crate::sys::Arguments;
use std::ffi::CStr;

const DEADLINE: &CStr = c"/.longshore/deadline";
const EXIT_FILE: &CStr = c"/.longshore-exit";

/// What to run, and where the launcher's files are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    pub(crate) deadline: &'a CStr,
    pub(crate) exit_file: &'a CStr,
    /// Where variables and a command are that hold Secrets.
    pub(crate) secrets: Option<&'a CStr>,
    /// Nothing is run but the launcher itself.
    pub(crate) pause: bool,
    /// The command and its arguments; may be empty.
    pub(crate) command: Arguments<'a>,
}

impl<'a> Options<'a> {
    /// Reads the arguments, the first of which is the launcher's own name. The error is a reason
    /// to refuse.
    pub(crate) fn parse(mut arguments: Arguments<'a>) -> Result<Self, &'static str> {
        let mut options = Self {
            deadline: DEADLINE,
            exit_file: EXIT_FILE,
            secrets: None,
            pause: false,
            command: arguments,
        };
        arguments.next();
        loop {
            let Some(option) = arguments.next() else {
                return Err("no -- before the command");
            };
            match option.to_bytes() {
                b"--" => {
                    options.command = arguments;
                    return Ok(options);
                }
                b"--pause" => options.pause = true,
                option => {
                    let value = arguments.next();
                    let value = || value.ok_or("option without its value");
                    match option {
                        b"--deadline" => options.deadline = value()?,
                        b"--exit-file" => options.exit_file = value()?,
                        b"--secrets" => options.secrets = Some(value()?),
                        _ => return Err("unknown option before --"),
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::OwnedArguments;

    #[test]
    fn the_command_follows_the_dashes_unread() {
        let given = OwnedArguments::new(&[c"launcher", c"--", c"--deadline", c"--", c"x"]);
        let options = Options::parse(given.borrow()).expect("valid");
        assert_eq!(options.deadline, DEADLINE);
        assert_eq!(options.exit_file, EXIT_FILE);
        let command: Vec<&CStr> = options.command.collect();
        assert_eq!(command, [c"--deadline", c"--", c"x"]);
    }

    #[test]
    fn the_paths_can_be_set() {
        let given =
            OwnedArguments::new(&[c"launcher", c"--exit-file", c"/e", c"--deadline", c"/d", c"--"]);
        let options = Options::parse(given.borrow()).expect("valid");
        assert_eq!((options.deadline, options.exit_file), (c"/d", c"/e"));
        assert_eq!((options.command.count(), options.secrets, options.pause), (0, None, false));
        let given = OwnedArguments::new(&[c"launcher", c"--secrets", c"/s", c"--pause", c"--"]);
        let options = Options::parse(given.borrow()).expect("valid");
        assert_eq!((options.secrets, options.pause), (Some(c"/s"), true));
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            &[c"launcher"][..],
            &[],
            &[c"launcher", c"true"],
            &[c"launcher", c"--deadline"],
            &[c"launcher", c"--deadline", c"/d"],
        ] {
            let given = OwnedArguments::new(wrong);
            assert!(Options::parse(given.borrow()).is_err(), "{wrong:?}");
        }
    }
}
