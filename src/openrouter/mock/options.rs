//! The settings of a mock.

use std::time::Duration;

use secrecy::SecretString;

/// The settings of a mock. A request adds its own, see [`Behaviour`](super::Behaviour).
#[derive(Debug, Clone)]
pub struct MockOptions {
    /// The only key it accepts; `None` accepts any.
    pub key: Option<SecretString>,
    /// Pause between two pieces of an answer, unless the request sets another.
    pub delay: Duration,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self { key: None, delay: Duration::from_millis(20) }
    }
}
