//! Bounds on what callers may hold.

use std::time::Duration;

/// Files that a process needs besides its connections: databases, logs, calls to others.
const OTHER_FILES: usize = 128;

/// Bounds on connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most connections at once.
    pub connections: usize,
    /// Most connections at once of one address, or of one subscriber's network of IPv6.
    pub per_address: usize,
    /// Time from the first byte of a request to the end of its head.
    pub head: Duration,
    /// Time between two pieces of a body.
    pub body: Duration,
    /// Time between two requests.
    pub idle: Duration,
    /// Time for which a caller may take nothing of what is sent to it.
    pub send: Duration,
}

impl Limits {
    /// The bounds of a process that may have this many files open. A reverse proxy is one address
    /// with the connections of everybody, so an address may have half of them.
    pub fn with_files(files: usize) -> Self {
        let connections = files.saturating_sub(OTHER_FILES).clamp(16, 4096);
        Self {
            connections,
            per_address: connections / 2,
            head: Duration::from_secs(20),
            body: Duration::from_secs(30),
            // Longer than reverse proxies keep a connection by default, so that theirs ends first.
            idle: Duration::from_secs(120),
            send: Duration::from_secs(60),
        }
    }
}
