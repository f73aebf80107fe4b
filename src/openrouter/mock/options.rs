//! The settings of a mock.

use std::time::Duration;

use secrecy::SecretString;

/// The settings of a mock. A request adds its own, see [`Behaviour`](super::Behaviour).
#[derive(Debug, Clone)]
pub struct MockOptions {
    /// The only key it accepts, beside those that were made with the management key. `None` accepts any
    /// while there is no management key.
    pub key: Option<SecretString>,
    /// The management key, with which keys are made; `None` lets nobody make any. With one, only keys
    /// that were made and `key` are accepted.
    pub management_key: Option<SecretString>,
    /// Time between the making of the first key and the answer with it.
    pub first_key_delay: Duration,
    /// The activity has today as well, as if it was over.
    pub activity_today: bool,
    /// Pause between two pieces of an answer, unless the request sets another.
    pub delay: Duration,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self {
            key: None,
            management_key: None,
            first_key_delay: Duration::ZERO,
            activity_today: false,
            delay: Duration::from_millis(20),
        }
    }
}
