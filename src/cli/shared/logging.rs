//! Logging of verbs: to standard error next to their output, or as the output of a container.

use tracing_subscriber::EnvFilter;

use crate::server::LogFormat;

/// Logs to standard error, warnings and errors unless RUST_LOG says otherwise. Called once per
/// process.
pub(in crate::cli) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // The journal shows a line with colours as binary data.
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    lines.with_writer(std::io::stderr).with_ansi(colours).init();
}

/// Logs to standard output; `RUST_LOG` sets the level. Called once per process.
pub(in crate::cli) fn to_output(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
