//! The extractors of every page: anybody, somebody signed in, an administrator.

use std::sync::Arc;

use axum::{
    extract::{FromRef, FromRequestParts},
    http::{HeaderValue, header, request::Parts},
    response::Response,
};
use jiff::tz::TimeZone;

use super::{ICONS, Layout, LayoutTexts, Theme, Viewer, initials};
use crate::{
    Config,
    auth::{AuthError, CurrentUser, Sessions},
    i18n::Locale,
    pages::{assets::ASSETS, error_page::PageError},
};

/// Anybody, signed in or not.
pub(in crate::pages) struct Visitor {
    pub(in crate::pages) layout: Layout,
    pub(in crate::pages) user: Option<CurrentUser>,
}

/// Somebody who is signed in. Others are sent to the sign-in page.
pub(in crate::pages) struct SignedInVisitor {
    pub(in crate::pages) layout: Layout,
    pub(in crate::pages) user: CurrentUser,
}

/// An administrator. Users get the page that says it is not for them.
pub(in crate::pages) struct AdminVisitor {
    pub(in crate::pages) layout: Layout,
    pub(in crate::pages) user: CurrentUser,
}

impl<S> FromRequestParts<S> for Visitor
where
    S: Send + Sync,
    Sessions: FromRef<S>,
    Arc<Config>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let config = Arc::<Config>::from_ref(state);
        match Sessions::from_ref(state).caller(parts).await {
            // Pages are for people who signed in: an API key must not be able to press their
            // buttons.
            Ok(user) if user.is_person() => Ok(Self { layout: layout(&config, parts, Some(&user)), user: Some(user) }),
            Err(AuthError::Database(error)) => Err(layout(&config, parts, None).refuse(PageError::from(error)).into()),
            Ok(_) | Err(_) => Ok(Self { layout: layout(&config, parts, None), user: None }),
        }
    }
}

impl<S> FromRequestParts<S> for SignedInVisitor
where
    S: Send + Sync,
    Sessions: FromRef<S>,
    Arc<Config>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Visitor { layout, user } = Visitor::from_request_parts(parts, state).await?;
        match user {
            Some(user) => Ok(Self { layout, user }),
            None => Err(layout.refuse(PageError::NotSignedIn).into()),
        }
    }
}

impl<S> FromRequestParts<S> for AdminVisitor
where
    S: Send + Sync,
    Sessions: FromRef<S>,
    Arc<Config>: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let SignedInVisitor { layout, user } = SignedInVisitor::from_request_parts(parts, state).await?;
        if user.is_admin() { Ok(Self { layout, user }) } else { Err(layout.refuse(PageError::Forbidden).into()) }
    }
}

fn layout(config: &Config, parts: &Parts, user: Option<&CurrentUser>) -> Layout {
    let header = |name| parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let locale = Locale::choose(
        user.and_then(|user| user.locale.as_deref()),
        config.default_locale.as_deref(),
        header(header::ACCEPT_LANGUAGE),
    );
    Layout {
        instance: config.webui_name.clone(),
        nonce: format!("{:032x}", rand::random::<u128>()),
        locale,
        texts: LayoutTexts(locale),
        theme: Theme::from_headers(&parts.headers),
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        path_and_query: parts.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
        viewer: user.map(|user| Viewer {
            id: user.id.to_string(),
            name: user.name.to_string(),
            email: user.email.to_string(),
            initials: initials(&user.name),
            admin: user.is_admin(),
        }),
        zone: config.time_zone().unwrap_or(TimeZone::UTC),
        icons: &ICONS,
        assets: &ASSETS,
        by_htmx: parts.headers.contains_key("hx-request"),
    }
}
