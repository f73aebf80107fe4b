//! The pages shown instead of one: not signed in, not allowed, not found, failed.

mod texts;

use askama::Template;
use axum::{
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};

use super::{layout::Layout, response};
use crate::{
    auth::AuthError, chat::ChatError, connection::ConnectionError, database::DatabaseError, statement::StatementError,
    usage::BudgetError, users::UserError,
};
use texts::ErrorTexts;

/// The reason why a page cannot be shown.
#[derive(Clone, Copy, Debug)]
pub(super) enum PageError {
    /// Nobody is signed in.
    NotSignedIn,
    /// The page is for administrators.
    Forbidden,
    /// There is no such thing, or it is somebody else's.
    NotFound,
    /// The server is too busy.
    Busy,
    /// The server failed; the log has the cause.
    Internal,
}

/// An error in the frame of the request it answers.
pub(super) struct ErrorPage(Box<(Layout, PageError)>);

impl ErrorPage {
    pub(super) fn new(layout: Layout, error: PageError) -> Self {
        Self(Box::new((layout, error)))
    }
}

#[derive(Template)]
#[template(path = "error_page/error_page.html")]
struct ErrorTemplate<'a> {
    layout: &'a Layout,
    t: ErrorTexts,
    status: u16,
    heading: &'static str,
    lead: &'static str,
}

impl IntoResponse for ErrorPage {
    fn into_response(self) -> Response {
        let (layout, error) = *self.0;
        let t = ErrorTexts(layout.locale);
        let (status, heading, lead) = match error {
            PageError::NotSignedIn => return redirect_to_sign_in(&layout),
            PageError::Forbidden => (StatusCode::FORBIDDEN, t.forbidden(), t.forbidden_lead()),
            PageError::NotFound => (StatusCode::NOT_FOUND, t.not_found(), t.not_found_lead()),
            PageError::Busy => (StatusCode::SERVICE_UNAVAILABLE, t.busy(), t.busy_lead()),
            PageError::Internal => (StatusCode::INTERNAL_SERVER_ERROR, t.internal(), t.internal_lead()),
        };
        let page = ErrorTemplate { layout: &layout, t, status: status.as_u16(), heading, lead };
        response::html(&layout, status, &page)
    }
}

impl From<ErrorPage> for Response {
    fn from(page: ErrorPage) -> Self {
        page.into_response()
    }
}

/// Redirects to the sign-in page, with the way back where this request can be repeated.
fn redirect_to_sign_in(layout: &Layout) -> Response {
    let address = if layout.method == Method::GET && !layout.by_htmx && layout.path_and_query != "/" {
        let mut url = String::from("/sign-in?");
        url::form_urlencoded::Serializer::for_suffix(&mut url, "/sign-in?".len())
            .append_pair("back", &layout.path_and_query);
        url
    } else {
        "/sign-in".to_owned()
    };
    if layout.by_htmx {
        (StatusCode::UNAUTHORIZED, [("hx-redirect", address)]).into_response()
    } else {
        response::redirect(&address)
    }
}

impl From<DatabaseError> for PageError {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, "a page could not be shown: the database failed");
        if error.is_busy() { Self::Busy } else { Self::Internal }
    }
}

impl From<BudgetError> for PageError {
    fn from(error: BudgetError) -> Self {
        match error {
            BudgetError::Invalid(_) => Self::NotFound,
            BudgetError::Database(error) => error.into(),
        }
    }
}

impl From<UserError> for PageError {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::NotFound,
            UserError::Database(error) => error.into(),
            other => Self::forbidden(&other),
        }
    }
}

impl From<AuthError> for PageError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::NoSuchApiKey => Self::NotFound,
            AuthError::NotAuthenticated | AuthError::InvalidToken | AuthError::UnknownKey | AuthError::UnknownToken => {
                Self::NotSignedIn
            }
            AuthError::Database(error) => error.into(),
            other => Self::forbidden(&other),
        }
    }
}

impl From<StatementError> for PageError {
    fn from(error: StatementError) -> Self {
        match error {
            StatementError::NotClosed { .. } | StatementError::TooEarly(_) => Self::NotFound,
            StatementError::Database(error) => error.into(),
        }
    }
}

impl From<ChatError> for PageError {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::NotFound => Self::NotFound,
            ChatError::Database(error) => error.into(),
            other => Self::forbidden(&other),
        }
    }
}

impl From<ConnectionError> for PageError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Database(error) => error.into(),
            other => {
                tracing::error!(error = %other, "the connection could not be changed");
                Self::Internal
            }
        }
    }
}

impl PageError {
    fn forbidden(error: &dyn std::error::Error) -> Self {
        tracing::warn!(%error, "a page was refused");
        Self::Forbidden
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn error_page_matches_its_snapshot() {
        snapshot::assert_page("error_page", "/nothing-here", |layout| {
            let t = ErrorTexts(layout.locale);
            ErrorTemplate { layout, t, status: 404, heading: t.not_found(), lead: t.not_found_lead() }.render()
        });
    }
}
