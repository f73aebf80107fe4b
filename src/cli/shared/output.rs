//! Output of a server or command on the streams of this program.

use std::io::Write;

use crate::runtime::Output;

/// Copies output to the same stream of this program and flushes it.
pub(in crate::cli) fn write(output: &Output) -> std::io::Result<()> {
    if output.bytes.is_empty() {
        return Ok(());
    }
    if output.is_error {
        return std::io::stderr().lock().write_all(&output.bytes);
    }
    let mut out = std::io::stdout().lock();
    out.write_all(&output.bytes)?;
    out.flush()
}
