//! `/sign-in`, `/sign-out`, and `/`, which redirects to the chat or to the sign-in page.

mod texts;

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::{Query, State},
    http::Method,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    error_page::ErrorPage,
    form_problem::FormOutcome,
    layout::{Layout, Notice, Visitor},
    response,
};
use crate::{
    Config, Endpoint, Signup,
    auth::{self, Attempts, PasswordHasher, RequestCookies, Sessions},
    database::Database,
    users,
};
use texts::SignInTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/", handler: || get(home) },
    Endpoint { method: Method::GET, path: "/sign-in", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/sign-in", handler: || post(sign_in) },
    Endpoint { method: Method::POST, path: "/sign-out", handler: || post(sign_out) },
];

#[derive(Template)]
#[template(path = "sign_in/sign_in.html")]
struct SignInPage<'a> {
    layout: &'a Layout,
    t: SignInTexts,
    /// The path to go to afterwards.
    back: &'a str,
    email: &'a str,
    notice: Option<Notice>,
    /// True when anybody may register.
    open: bool,
}

fn draw(config: &Config, layout: &Layout, back: &str, email: &str, outcome: FormOutcome) -> Response {
    let page = SignInPage {
        layout,
        t: SignInTexts(layout.locale),
        back,
        email,
        notice: outcome.notice,
        open: config.signup == Signup::Open,
    };
    response::html(layout, outcome.status, &page)
}

async fn home(visitor: Visitor) -> Response {
    response::redirect(if visitor.user.is_some() { "/chat" } else { "/sign-in" })
}

#[derive(Deserialize)]
struct Back {
    #[serde(default)]
    back: String,
}

async fn show(
    State(db): State<Database>,
    State(config): State<Arc<Config>>,
    Visitor { layout, user }: Visitor,
    Query(query): Query<Back>,
) -> Result<Response, ErrorPage> {
    let back = response::local_path(&query.back);
    if user.is_some() {
        return Ok(response::redirect(back));
    }
    if config.signup != Signup::Closed && !layout.check(users::anybody(&db).await)? {
        return Ok(response::redirect("/register"));
    }
    Ok(draw(&config, &layout, back, "", FormOutcome::none()))
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: SecretString,
    #[serde(default)]
    back: String,
}

async fn sign_in(
    State(db): State<Database>,
    State(passwords): State<PasswordHasher>,
    State(config): State<Arc<Config>>,
    cookies: RequestCookies,
    Visitor { layout, .. }: Visitor,
    attempts: Attempts,
    Form(form): Form<Credentials>,
) -> Result<Response, ErrorPage> {
    let back = response::local_path(&form.back);
    match auth::sign_in(&db, &passwords, &attempts, &form.email, form.password).await {
        Ok(signed_in) => Ok((cookies.set(&signed_in), response::redirect(back)).into_response()),
        Err(error) => Ok(draw(&config, &layout, back, form.email.trim(), layout.form_problem(error)?)),
    }
}

async fn sign_out(
    State(sessions): State<Sessions>,
    cookies: RequestCookies,
    Visitor { layout, user }: Visitor,
) -> Result<Response, ErrorPage> {
    if let Some(user) = &user {
        layout.check(sessions.sign_out(user).await)?;
    }
    Ok((cookies.clear(), response::redirect("/sign-in")).into_response())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};
    use crate::{auth::AuthError, pages::form_problem::FormError};

    #[test]
    fn sign_in_page_matches_its_snapshot() {
        snapshot::assert_page("sign_in", "/sign-in", |layout| {
            let notice = AuthError::WrongCredentials.problem(layout.locale);
            let t = SignInTexts(layout.locale);
            SignInPage { layout, t, back: "/usage?month=2026-11", email: "anna@abc.example", notice, open: false }
                .render()
        });
    }
}
