//! Light, dark, or as the reader's system has it.

use axum::http::HeaderMap;
use axum_extra::extract::CookieJar;

use super::{ICONS, Icon, Layout};

/// The appearance of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pages) enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    /// Name of the cookie that stores the choice.
    pub(in crate::pages) const COOKIE: &'static str = "theme";

    pub(in crate::pages) fn parse(code: &str) -> Self {
        match code {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    pub(in crate::pages) fn from_headers(headers: &HeaderMap) -> Self {
        CookieJar::from_headers(headers).get(Self::COOKIE).map_or(Self::System, |cookie| Self::parse(cookie.value()))
    }

    pub(in crate::pages) fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// Returns the value of `<html data-theme>`, or `None` when the system decides.
    pub(in crate::pages) fn forced(self) -> Option<&'static str> {
        (self != Self::System).then(|| self.code())
    }
}

/// One button of the appearance switch.
pub(in crate::pages) struct ThemeChoice {
    pub(in crate::pages) code: &'static str,
    pub(in crate::pages) label: &'static str,
    pub(in crate::pages) icon: Icon,
    pub(in crate::pages) chosen: bool,
}

impl Layout {
    /// Returns the buttons of the appearance switch.
    pub(in crate::pages) fn theme_choices(&self) -> [ThemeChoice; 3] {
        [
            (Theme::System, self.texts.theme_system(), ICONS.system),
            (Theme::Light, self.texts.theme_light(), ICONS.light),
            (Theme::Dark, self.texts.theme_dark(), ICONS.dark),
        ]
        .map(|(theme, label, icon)| ThemeChoice {
            code: theme.code(),
            label,
            icon,
            chosen: theme == self.theme,
        })
    }
}
