//! `/new-password`: the page that the link of a forgotten password opens.

mod texts;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State as Part};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use secrecy::SecretString;
use serde::Deserialize;

use super::error_page::ErrorPage;
use super::form_problem::FormOutcome;
use super::layout::{Layout, Notice, Visitor};
use super::response;
use crate::auth::{PasswordHasher, Sessions};
use crate::client_address::ClientAddress;
use crate::database::Database;
use crate::users;
use crate::{Endpoint, account_link};
use texts::NewPasswordTexts;

/// The routes of this page.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: account_link::PASSWORD_PATH, handler: || get(show) },
    Endpoint { method: Method::POST, path: account_link::PASSWORD_PATH, handler: || post(save) },
];

#[derive(Template)]
#[template(path = "new_password/new_password.html")]
struct NewPasswordPage<'a> {
    layout: &'a Layout,
    t: NewPasswordTexts,
    state: State<'a>,
    notice: Option<Notice>,
}

/// The state of the link.
enum State<'a> {
    Open { name: String, email: String, token: &'a str },
    Saved,
    NotWorking,
}

async fn draw(db: &Database, layout: &Layout, token: &str, outcome: FormOutcome) -> Result<Response, ErrorPage> {
    let (state, FormOutcome { status, notice }) = match users::password_link_owner(db, token).await {
        Ok(owner) => (State::Open { name: owner.name, email: owner.email, token }, outcome),
        Err(error) => (State::NotWorking, layout.form_problem(error)?),
    };
    let page = NewPasswordPage { layout, t: NewPasswordTexts(layout.locale), state, notice };
    Ok(response::html(layout, status, &page))
}

#[derive(Deserialize)]
struct Link {
    #[serde(default)]
    token: String,
}

async fn show(
    Part(db): Part<Database>,
    Visitor { layout, .. }: Visitor,
    Query(Link { token }): Query<Link>,
) -> Result<Response, ErrorPage> {
    draw(&db, &layout, &token, FormOutcome::none()).await
}

#[derive(Deserialize)]
struct NewPassword {
    token: String,
    password: SecretString,
}

async fn save(
    Part(db): Part<Database>,
    Part(sessions): Part<Sessions>,
    Part(passwords): Part<PasswordHasher>,
    ClientAddress(address): ClientAddress,
    Visitor { layout, .. }: Visitor,
    Form(NewPassword { token, password }): Form<NewPassword>,
) -> Result<Response, ErrorPage> {
    match users::reset_password(&db, &sessions, &passwords, &token, &password, address).await {
        Ok(_) => {
            let (t, state) = (NewPasswordTexts(layout.locale), State::Saved);
            let page = NewPasswordPage { layout: &layout, t, state, notice: None };
            Ok(response::html(&layout, StatusCode::OK, &page))
        }
        Err(error) => {
            let outcome = layout.form_problem(error)?;
            draw(&db, &layout, &token, outcome).await
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::{super::snapshot, *};

    #[test]
    fn new_password_page_matches_its_snapshot() {
        snapshot::assert_page("new_password", "/new-password", |layout| {
            let state = State::Open {
                name: snapshot::NAME.to_owned(),
                email: "anna@abc.example".to_owned(),
                token: "0123abcd",
            };
            NewPasswordPage { layout, t: NewPasswordTexts(layout.locale), state, notice: None }.render()
        });
    }
}
