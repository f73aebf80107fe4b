//! What every page needs before it can be drawn: who is looking, in which language and appearance, and the request's nonce.

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
    response::Response,
};
use axum_extra::extract::CookieJar;
use jiff::tz::TimeZone;

use super::{
    assets::{ASSETS, Assets},
    icons::{ICONS, Icon, Icons},
    refusal::{Refusal, Refused},
};
use crate::{
    App,
    auth::{self, AuthError, CurrentUser, Via},
    i18n::{Locale, Texts},
};

/// The frame of one request's page.
#[derive(Clone)]
pub(super) struct Shell {
    /// The instance's name.
    pub(super) instance: String,
    /// Scripts of this page carry it, and so do elements that htmx may act on; another page's can't be guessed.
    pub(super) nonce: String,
    pub(super) locale: Locale,
    pub(super) t: &'static Texts,
    pub(super) theme: Theme,
    /// The path without the query.
    pub(super) path: String,
    /// The path with the query: where to come back to after signing in.
    pub(super) here: String,
    pub(super) viewer: Option<Viewer>,
    pub(super) zone: TimeZone,
    pub(super) icons: &'static Icons,
    pub(super) assets: &'static Assets,
    /// Whether htmx asks for a part of a page rather than the browser for a whole one.
    pub(super) by_htmx: bool,
    pub(super) method: Method,
}

/// Who is looking, as the frame shows them.
#[derive(Clone)]
pub(super) struct Viewer {
    pub(super) name: String,
    pub(super) email: String,
    pub(super) initials: String,
    pub(super) admin: bool,
}

/// Light, dark, or as the reader's system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Theme {
    System,
    Light,
    Dark,
}

impl Theme {
    /// The cookie that remembers it.
    pub(super) const COOKIE: &'static str = "theme";

    pub(super) fn parse(text: &str) -> Self {
        match text {
            "light" => Self::Light,
            "dark" => Self::Dark,
            _ => Self::System,
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    /// What `<html data-theme>` says; nothing when the system decides.
    pub(super) fn forced(self) -> Option<&'static str> {
        (self != Self::System).then(|| self.code())
    }
}

/// One button of the appearance switch.
pub(super) struct ThemeChoice {
    pub(super) code: &'static str,
    pub(super) label: &'static str,
    pub(super) icon: Icon,
    pub(super) chosen: bool,
}

impl Shell {
    pub(super) fn is_admin(&self) -> bool {
        self.viewer.as_ref().is_some_and(|viewer| viewer.admin)
    }

    pub(super) fn theme_choices(&self) -> [ThemeChoice; 3] {
        [
            (Theme::System, self.t.shell.theme_system, ICONS.system),
            (Theme::Light, self.t.shell.theme_light, ICONS.light),
            (Theme::Dark, self.t.shell.theme_dark, ICONS.dark),
        ]
        .map(|(theme, label, icon)| ThemeChoice {
            code: theme.code(),
            label,
            icon,
            chosen: theme == self.theme,
        })
    }

    /// Passes a success on; a failure becomes the page that says so.
    pub(super) fn check<T, E: Into<Refusal>>(&self, outcome: Result<T, E>) -> Result<T, Refused> {
        outcome.map_err(|error| self.refuse(error.into()))
    }

    /// The page that says no.
    pub(super) fn refuse(&self, refusal: Refusal) -> Refused {
        Refused::new(self.clone(), refusal)
    }

    fn of(app: &App, parts: &Parts, user: Option<&CurrentUser>) -> Self {
        let header = |name| parts.headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
        let locale = Locale::choose(
            user.and_then(|user| user.locale.as_deref()),
            app.config.default_locale.as_deref(),
            header(header::ACCEPT_LANGUAGE),
        );
        Self {
            instance: app.config.webui_name.clone(),
            nonce: format!("{:032x}", rand::random::<u128>()),
            locale,
            t: locale.texts(),
            theme: theme_of(&parts.headers),
            path: parts.uri.path().to_owned(),
            here: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            viewer: user.map(|user| Viewer {
                name: user.name.to_string(),
                email: user.email.to_string(),
                initials: initials(&user.name),
                admin: user.is_admin(),
            }),
            zone: app.config.time_zone().unwrap_or(TimeZone::UTC),
            icons: &ICONS,
            assets: &ASSETS,
            by_htmx: parts.headers.contains_key("hx-request"),
            method: parts.method.clone(),
        }
    }
}

fn theme_of(headers: &HeaderMap) -> Theme {
    CookieJar::from_headers(headers).get(Theme::COOKIE).map_or(Theme::System, |cookie| Theme::parse(cookie.value()))
}

/// The first letters of the first and the last name: what a face shows.
pub(super) fn initials(name: &str) -> String {
    let mut words = name.split_whitespace().filter_map(|word| word.chars().next());
    let first = words.next();
    first.into_iter().chain(words.next_back()).flat_map(char::to_uppercase).collect()
}

/// Anybody, signed in or not.
pub(super) struct Guest {
    pub(super) shell: Shell,
    pub(super) user: Option<CurrentUser>,
}

/// Somebody who is signed in; others are sent to the door.
pub(super) struct Member {
    pub(super) shell: Shell,
    pub(super) user: CurrentUser,
}

/// An admin; users get the page that says it isn't theirs.
pub(super) struct Boss {
    pub(super) shell: Shell,
    pub(super) user: CurrentUser,
}

impl FromRequestParts<App> for Guest {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        match auth::authenticate(app, &parts.headers).await {
            // Pages are for people who signed in: a program's key must not be able to press their buttons.
            Ok(user) if matches!(user.via, Via::Session(_)) => {
                Ok(Self { shell: Shell::of(app, parts, Some(&user)), user: Some(user) })
            }
            Err(AuthError::Database(error)) => {
                Err(Refused::new(Shell::of(app, parts, None), Refusal::from(error)).into())
            }
            Ok(_) | Err(_) => Ok(Self { shell: Shell::of(app, parts, None), user: None }),
        }
    }
}

impl FromRequestParts<App> for Member {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let Guest { shell, user } = Guest::from_request_parts(parts, app).await?;
        match user {
            Some(user) => Ok(Self { shell, user }),
            None => Err(shell.refuse(Refusal::SignIn).into()),
        }
    }
}

impl FromRequestParts<App> for Boss {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let Member { shell, user } = Member::from_request_parts(parts, app).await?;
        if user.is_admin() { Ok(Self { shell, user }) } else { Err(shell.refuse(Refusal::Forbidden).into()) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn a_face_shows_first_and_last_name() {
        for (name, face) in [("Anna Maria Nowak", "AN"), ("łukasz", "Ł"), ("  ", ""), ("Jan Żak", "JŻ")] {
            assert_eq!(initials(name), face);
        }
    }
}
