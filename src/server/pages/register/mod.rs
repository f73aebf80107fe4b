//! `/register`: the first account of an instance, and further ones where registration is open.

mod texts;

use std::sync::Arc;

use askama::Template;
use axum::{
    Form,
    extract::State,
    http::{Method, StatusCode},
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
    auth::{self, PasswordHasher, RequestCookies},
    client_address::ClientAddress,
    database::Database,
    users,
};
use texts::RegisterTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/register", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/register", handler: || post(register) },
];

#[derive(Template)]
#[template(path = "register/register.html")]
struct RegisterPage<'a> {
    layout: &'a Layout,
    t: RegisterTexts,
    name: &'a str,
    email: &'a str,
    notice: Option<Notice>,
    /// True for the first person, who becomes administrator.
    first: bool,
}

impl<'a> RegisterPage<'a> {
    fn new(layout: &'a Layout, first: bool) -> Self {
        Self { layout, t: RegisterTexts(layout.locale), name: "", email: "", notice: None, first }
    }
}

async fn show(
    State(db): State<Database>,
    State(config): State<Arc<Config>>,
    Visitor { layout, user }: Visitor,
) -> Result<Response, ErrorPage> {
    if user.is_some() {
        return Ok(response::redirect("/chat"));
    }
    let first = !layout.check(users::anybody(&db).await)?;
    let open = match config.signup {
        Signup::Open => true,
        Signup::FirstUserOnly => first,
        Signup::Closed => false,
    };
    if !open {
        return Ok(response::redirect("/sign-in"));
    }
    Ok(response::html(&layout, StatusCode::OK, &RegisterPage::new(&layout, first)))
}

#[derive(Deserialize)]
struct Registration {
    name: String,
    email: String,
    password: SecretString,
}

async fn register(
    State(db): State<Database>,
    State(passwords): State<PasswordHasher>,
    State(config): State<Arc<Config>>,
    cookies: RequestCookies,
    ClientAddress(address): ClientAddress,
    Visitor { layout, .. }: Visitor,
    Form(form): Form<Registration>,
) -> Result<Response, ErrorPage> {
    match users::register(&db, &passwords, &config, address, &form.name, &form.email, form.password).await {
        Ok(user) => {
            let signed_in = layout.check(auth::start_session(&db, user.id, address).await)?;
            Ok((cookies.set(&signed_in), response::redirect("/chat")).into_response())
        }
        Err(error) => {
            let FormOutcome { status, notice } = layout.form_problem(error)?;
            let first = !layout.check(users::anybody(&db).await)?;
            let page = RegisterPage {
                name: form.name.trim(),
                email: form.email.trim(),
                notice,
                ..RegisterPage::new(&layout, first)
            };
            Ok(response::html(&layout, status, &page))
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn registration_page_matches_its_snapshot() {
        snapshot::assert_page("register", "/register", |layout| RegisterPage::new(layout, true).render());
    }
}
