//! Pages that say no: sign in first, not yours, not here, broken on our side.

use askama::Template;
use axum::{
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};

use super::{reply, shell::Shell};
use crate::{auth::AuthError, chat::ChatError, database::DatabaseError, users::UserError};

/// Why a page can't be shown.
#[derive(Debug)]
pub(super) enum Refusal {
    /// Nobody is signed in.
    SignIn,
    /// It is for admins.
    Forbidden,
    /// There is no such thing, or it is somebody else's.
    NotFound,
    /// It is our fault; the log has the cause.
    Broken,
}

/// A refusal in the frame of the request it answers.
pub(super) struct Refused(Box<(Shell, Refusal)>);

impl Refused {
    pub(super) fn new(shell: Shell, refusal: Refusal) -> Self {
        Self(Box::new((shell, refusal)))
    }
}

#[derive(Template)]
#[template(path = "said_no.html")]
struct SaidNo<'a> {
    s: &'a Shell,
    status: u16,
    heading: &'static str,
    lead: &'static str,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let (shell, refusal) = *self.0;
        let texts = &shell.t.errors;
        let (status, heading, lead) = match refusal {
            Refusal::SignIn => return to_the_door(&shell),
            Refusal::Forbidden => (StatusCode::FORBIDDEN, texts.forbidden, texts.forbidden_lead),
            Refusal::NotFound => (StatusCode::NOT_FOUND, texts.not_found, texts.not_found_lead),
            Refusal::Broken => (StatusCode::INTERNAL_SERVER_ERROR, texts.broken, texts.broken_lead),
        };
        let page = SaidNo { s: &shell, status: status.as_u16(), heading, lead };
        reply::page(&shell, status, &page)
    }
}

impl From<Refused> for Response {
    fn from(refused: Refused) -> Self {
        refused.into_response()
    }
}

/// To the sign-in page, and back here afterwards when coming back makes sense.
fn to_the_door(shell: &Shell) -> Response {
    let door = if shell.method == Method::GET && !shell.by_htmx && shell.here != "/" {
        let mut url = String::from("/sign-in?");
        url::form_urlencoded::Serializer::for_suffix(&mut url, "/sign-in?".len()).append_pair("back", &shell.here);
        url
    } else {
        "/sign-in".to_owned()
    };
    if shell.by_htmx {
        (StatusCode::UNAUTHORIZED, [("hx-redirect", door)]).into_response()
    } else {
        reply::redirect(&door)
    }
}

impl From<DatabaseError> for Refusal {
    fn from(error: DatabaseError) -> Self {
        tracing::error!(%error, "the database failed a page");
        Self::Broken
    }
}

impl From<UserError> for Refusal {
    fn from(error: UserError) -> Self {
        match error {
            UserError::NotFound => Self::NotFound,
            UserError::Database(error) => error.into(),
            other => {
                tracing::warn!(error = %other, "a page was refused");
                Self::Forbidden
            }
        }
    }
}

impl From<AuthError> for Refusal {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::NoSuchApiKey => Self::NotFound,
            AuthError::NotAuthenticated | AuthError::InvalidToken => Self::SignIn,
            AuthError::User(error) => error.into(),
            AuthError::Database(error) => error.into(),
            other => {
                tracing::warn!(error = %other, "a page was refused");
                Self::Forbidden
            }
        }
    }
}

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        match error {
            ChatError::NotFound => Self::NotFound,
            ChatError::Database(error) => error.into(),
            other => {
                tracing::warn!(error = %other, "a page was refused");
                Self::Forbidden
            }
        }
    }
}
