//! How verbs log: a reconciler beside its output on standard error, what runs in a container as its output.

use tracing_subscriber::EnvFilter;

use crate::server::LogFormat;

/// To standard error, warnings and worse unless RUST_LOG says otherwise; once per process.
pub(in crate::cli) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    // The journal takes a line with colours for binary data.
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    lines.with_writer(std::io::stderr).with_ansi(colours).init();
}

/// To standard output; `RUST_LOG` narrows or widens it; once per process.
pub(in crate::cli) fn to_output(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stdout())).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
