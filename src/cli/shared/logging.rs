//! Logging of verbs: to standard error next to their output, or as the output of a container.
//!
//! Messages and fields may hold words of others: of an upstream, of a file, of a person. Here, and
//! nowhere before, they are made printable, so that they can neither begin a line of their own nor
//! command a terminal.

use std::fmt::{self, Debug, Write};
use std::io::IsTerminal;

use mai_contract::write_printable;
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{self, Writer};

use super::terminal::PrintableOutput;
use crate::server::LogFormat;

/// Logs to standard error, warnings and errors unless RUST_LOG says otherwise. Called once per
/// process.
pub(in crate::cli) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // The journal shows a line with colours as binary data.
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    lines.fmt_fields(printable_fields()).with_writer(std::io::stderr).with_ansi(colours).init();
}

/// Logs to standard output; `RUST_LOG` sets the level. Called once per process.
pub(in crate::cli) fn to_output(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Text => {
            lines.fmt_fields(printable_fields()).with_ansi(std::io::stdout().is_terminal()).init();
        }
        // JSON escapes control characters by itself, and leaves those of directions.
        LogFormat::Json => lines.json().flatten_event(true).with_writer(PrintableOutput::stdout).init(),
    }
}

/// Formats the message and the fields of an event as `message name=value`.
fn printable_fields() -> impl for<'writer> FormatFields<'writer> + 'static {
    format::debug_fn(write_field).delimited(" ")
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    let name = field.name();
    if name != "message" {
        let (italic, dimmed, plain) =
            if writer.has_ansi_escapes() { ("\x1b[3m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        write!(writer, "{italic}{name}{plain}{dimmed}={plain}")?;
    }
    write!(Printable(writer), "{value:?}")
}

/// Makes printable what is written to it.
struct Printable<'a, 'writer>(&'a mut Writer<'writer>);

impl Write for Printable<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_printable(self.0, text, &[])
    }
}
