//! The reconciler's own log: standard error, warnings and worse unless RUST_LOG says otherwise.

use tracing_subscriber::EnvFilter;

/// Starts logging; once per process.
pub(super) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false).init();
}
