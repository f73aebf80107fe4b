//! The coloured box that says how something went.

use super::icons::{ICONS, Icon};

/// What happened, for the top of a page.
#[derive(Clone, Debug)]
pub(super) struct Notice {
    pub(super) tone: &'static str,
    pub(super) urgency: &'static str,
    pub(super) icon: Icon,
    pub(super) title: Option<String>,
    pub(super) text: String,
    /// Something shown only this once, such as a password.
    pub(super) secret: Option<String>,
}

impl Notice {
    /// It worked.
    pub(super) fn good(text: impl Into<String>) -> Self {
        Self { tone: "good", urgency: "status", icon: ICONS.check, title: None, text: text.into(), secret: None }
    }

    /// It did not work.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Self { tone: "bad", urgency: "alert", icon: ICONS.warning, title: None, text: text.into(), secret: None }
    }

    /// Neither good nor bad, but worth knowing.
    pub(super) fn warn(text: impl Into<String>) -> Self {
        Self { tone: "warn", urgency: "status", icon: ICONS.warning, title: None, text: text.into(), secret: None }
    }

    pub(super) fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    pub(super) fn with_secret(mut self, secret: Option<String>) -> Self {
        self.secret = secret;
        self
    }
}
