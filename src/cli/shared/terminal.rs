//! The output of verbs: standard output and standard error, on which words of others are printable.
//!
//! The macros stand in place of those of the standard library, so that no verb can forget it. Lines
//! and tabs stay; what else would command a terminal is written as JSON writes it.

use std::fmt::Arguments;
use std::io::{self, ErrorKind, IsTerminal, StderrLock, StdoutLock, Write};

use mai_contract::write_printable;

/// Characters that output is laid out with.
const KEPT: [char; 2] = ['\n', '\t'];

/// An output that makes printable what is written to it, as UTF-8.
pub(in crate::cli) struct PrintableOutput<W>(W);

impl PrintableOutput<StdoutLock<'static>> {
    /// Standard output.
    pub(in crate::cli) fn stdout() -> Self {
        Self(io::stdout().lock())
    }
}

impl PrintableOutput<StderrLock<'static>> {
    /// Standard error.
    pub(in crate::cli) fn stderr() -> Self {
        Self(io::stderr().lock())
    }
}

impl<W: IsTerminal> PrintableOutput<W> {
    /// Returns true for a terminal.
    pub(in crate::cli) fn is_terminal(&self) -> bool {
        self.0.is_terminal()
    }
}

impl<W: Write> Write for PrintableOutput<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut printable = String::with_capacity(bytes.len());
        write_printable(&mut printable, &String::from_utf8_lossy(bytes), &KEPT).map_err(io::Error::other)?;
        self.0.write_all(printable.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Prints to standard output. Ends the process where that cannot be written, but not where nobody
/// reads it any more.
pub(in crate::cli) fn print(text: Arguments<'_>, end: &str) {
    let mut out = PrintableOutput::stdout();
    match out.write_all(format!("{text}{end}").as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            print_error(format_args!("mai: standard output cannot be written: {error}"), "\n");
            std::process::exit(1);
        }
        _ => {}
    }
}

/// Prints to standard error, if that can be written.
pub(in crate::cli) fn print_error(text: Arguments<'_>, end: &str) {
    let mut out = PrintableOutput::stderr();
    out.write_all(format!("{text}{end}").as_bytes()).and_then(|()| out.flush()).ok();
}

macro_rules! print {
    ($($text:tt)*) => { $crate::cli::shared::terminal::print(format_args!($($text)*), "") };
}

macro_rules! println {
    ($($text:tt)*) => { $crate::cli::shared::terminal::print(format_args!($($text)*), "\n") };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::cli::shared::terminal::print_error(format_args!($($text)*), "") };
}

macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::shared::terminal::print_error(format_args!($($text)*), "\n") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_keeps_lines_and_shows_what_commands_a_terminal() {
        let mut out = PrintableOutput(Vec::new());
        let text = "NAME\tREADY\nacme\u{1b}[2J\u{202e}\r  False\n";
        assert!(out.write_all(text.as_bytes()).is_ok());
        assert!(out.write_all(b"\xff\n").is_ok());
        assert_eq!(String::from_utf8_lossy(&out.0), "NAME\tREADY\nacme\\u001b[2J\\u202e\\r  False\n\u{fffd}\n");
    }
}
