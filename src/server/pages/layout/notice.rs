//! The coloured box that says how something went.

use super::{ICONS, Icon};

/// A message to the reader, drawn by `notice.html`.
#[derive(Clone, Debug)]
pub(in crate::pages) struct Notice {
    pub(in crate::pages) tone: Tone,
    pub(in crate::pages) title: Option<String>,
    pub(in crate::pages) text: String,
    /// A value that is shown only this once, such as a password.
    pub(in crate::pages) secret: Option<String>,
}

/// The meaning of a notice, which decides its colour, icon and urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) enum Tone {
    Success,
    Warning,
    Problem,
}

impl Tone {
    /// Returns the CSS class.
    pub(in crate::pages) fn class(self) -> &'static str {
        match self {
            Self::Success => "good",
            Self::Warning => "warn",
            Self::Problem => "bad",
        }
    }

    /// Returns the ARIA role: a problem interrupts a screen reader.
    pub(in crate::pages) fn role(self) -> &'static str {
        match self {
            Self::Success | Self::Warning => "status",
            Self::Problem => "alert",
        }
    }

    pub(in crate::pages) fn icon(self) -> Icon {
        match self {
            Self::Success => ICONS.check,
            Self::Warning | Self::Problem => ICONS.warning,
        }
    }
}

impl Notice {
    pub(in crate::pages) fn success(text: impl Into<String>) -> Self {
        Self::new(Tone::Success, text.into())
    }

    pub(in crate::pages) fn warning(text: impl Into<String>) -> Self {
        Self::new(Tone::Warning, text.into())
    }

    pub(in crate::pages) fn problem(text: impl Into<String>) -> Self {
        Self::new(Tone::Problem, text.into())
    }

    fn new(tone: Tone, text: String) -> Self {
        Self { tone, title: None, text, secret: None }
    }

    pub(in crate::pages) fn with_title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    pub(in crate::pages) fn with_secret(mut self, secret: String) -> Self {
        self.secret = Some(secret);
        self
    }
}
