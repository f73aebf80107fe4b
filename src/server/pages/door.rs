//! `/register`, `/sign-in`, `/sign-out`, and `/`, which knows where to go.

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    refusal::Refused,
    reply, said,
    shell::{Guest, Shell},
};
use crate::{
    App, Signup,
    auth::{self, AuthError, Peer},
    users,
};

#[derive(Template)]
#[template(path = "sign_in.html")]
pub(super) struct SignInPage<'a> {
    pub(super) s: &'a Shell,
    pub(super) back: &'a str,
    pub(super) email: &'a str,
    pub(super) problem: Option<String>,
    /// Whether anybody may register.
    pub(super) open: bool,
}

#[derive(Template)]
#[template(path = "register.html")]
pub(super) struct RegisterPage<'a> {
    pub(super) s: &'a Shell,
    pub(super) name: &'a str,
    pub(super) email: &'a str,
    pub(super) problem: Option<String>,
    /// Whether this is the first person, who becomes admin.
    pub(super) first: bool,
}

/// `GET /`
pub(super) async fn home(guest: Guest) -> Response {
    reply::redirect(if guest.user.is_some() { "/chat" } else { "/sign-in" })
}

#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    back: String,
}

/// `GET /sign-in`
pub(super) async fn sign_in(
    State(app): State<App>,
    guest: Guest,
    Query(query): Query<Back>,
) -> Result<Response, Refused> {
    let back = reply::local(&query.back);
    if guest.user.is_some() {
        return Ok(reply::redirect(back));
    }
    let shell = &guest.shell;
    if app.config.signup != Signup::Closed && !shell.check(users::anybody(&app.db).await)? {
        return Ok(reply::redirect("/register"));
    }
    let page = SignInPage { s: shell, back, email: "", problem: None, open: app.config.signup == Signup::Open };
    Ok(reply::page(shell, StatusCode::OK, &page))
}

#[derive(Deserialize)]
pub(super) struct Credentials {
    email: String,
    password: SecretString,
    #[serde(default)]
    back: String,
}

/// `POST /sign-in`
pub(super) async fn enter(
    State(app): State<App>,
    guest: Guest,
    Peer(address): Peer,
    headers: HeaderMap,
    Form(form): Form<Credentials>,
) -> Result<Response, Refused> {
    let shell = &guest.shell;
    let back = reply::local(&form.back);
    match auth::sign_in(&app, address, &form.email, form.password).await {
        Ok(signed_in) => {
            Ok((auth::set_cookie(&app.config, &headers, &signed_in), reply::redirect(back)).into_response())
        }
        Err(error) => {
            let status = status_of(&error);
            let Some(problem) = said::auth(shell.t, &error) else { return shell.check(Err(error)) };
            let open = app.config.signup == Signup::Open;
            let page = SignInPage { s: shell, back, email: form.email.trim(), problem: Some(problem), open };
            Ok(reply::page(shell, status, &page))
        }
    }
}

/// `GET /register`
pub(super) async fn register(State(app): State<App>, guest: Guest) -> Result<Response, Refused> {
    let shell = &guest.shell;
    if guest.user.is_some() {
        return Ok(reply::redirect("/chat"));
    }
    let somebody = shell.check(users::anybody(&app.db).await)?;
    let welcome = match app.config.signup {
        Signup::Open => true,
        Signup::FirstUserOnly => !somebody,
        Signup::Closed => false,
    };
    if !welcome {
        return Ok(reply::redirect("/sign-in"));
    }
    let page = RegisterPage { s: shell, name: "", email: "", problem: None, first: !somebody };
    Ok(reply::page(shell, StatusCode::OK, &page))
}

#[derive(Deserialize)]
pub(super) struct Registration {
    name: String,
    email: String,
    password: SecretString,
}

/// `POST /register`
pub(super) async fn join(
    State(app): State<App>,
    guest: Guest,
    headers: HeaderMap,
    Form(form): Form<Registration>,
) -> Result<Response, Refused> {
    let shell = &guest.shell;
    match auth::register(&app, &form.name, &form.email, form.password).await {
        Ok(signed_in) => {
            Ok((auth::set_cookie(&app.config, &headers, &signed_in), reply::redirect("/chat")).into_response())
        }
        Err(error) => {
            let status = status_of(&error);
            let Some(problem) = said::auth(shell.t, &error) else { return shell.check(Err(error)) };
            let first = !shell.check(users::anybody(&app.db).await)?;
            let page = RegisterPage {
                s: shell,
                name: form.name.trim(),
                email: form.email.trim(),
                problem: Some(problem),
                first,
            };
            Ok(reply::page(shell, status, &page))
        }
    }
}

/// `POST /sign-out`
pub(super) async fn leave(State(app): State<App>, guest: Guest) -> Result<Response, Refused> {
    if let Some(user) = &guest.user {
        guest.shell.check(auth::sign_out(&app, user).await)?;
    }
    Ok((auth::clear_cookie(), reply::redirect("/sign-in")).into_response())
}

/// The status the JSON API answers the same refusal with.
fn status_of(error: &AuthError) -> StatusCode {
    match error {
        AuthError::TooManyAttempts(_) => StatusCode::TOO_MANY_REQUESTS,
        AuthError::RegistrationClosed => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_REQUEST,
    }
}
