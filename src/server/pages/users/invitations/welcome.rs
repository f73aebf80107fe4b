//! The page that an invitation opens.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use secrecy::SecretString;
use serde::Deserialize;

use super::texts::InvitationTexts;
use crate::Config;
use crate::auth::{self, PasswordHasher, RequestCookies};
use crate::client_address::ClientAddress;
use crate::database::Database;
use crate::pages::error_page::ErrorPage;
use crate::pages::form_problem::FormOutcome;
use crate::pages::layout::{Layout, Notice, Visitor};
use crate::pages::response;
use crate::users::{self, Invitee};

#[derive(Template)]
#[template(path = "users/invitations/welcome.html")]
struct WelcomePage<'a> {
    layout: &'a Layout,
    t: InvitationTexts,
    token: &'a str,
    /// The person; `None` where the link does not work.
    invitee: Option<Invitee>,
    notice: Option<Notice>,
}

impl WelcomePage<'_> {
    /// Draws the page for the owner of a token, or says why it does not work.
    async fn draw(db: &Database, layout: &Layout, token: &str, outcome: FormOutcome) -> Result<Response, ErrorPage> {
        let t = InvitationTexts(layout.locale);
        let (invitee, FormOutcome { status, notice }) = match users::invitee(db, token).await {
            Ok(invitee) => (Some(invitee), outcome),
            Err(error) => (None, layout.form_problem(error)?),
        };
        Ok(response::html(layout, status, &WelcomePage { layout, t, token, invitee, notice }))
    }
}

#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    token: String,
}

pub(super) async fn show(
    State(db): State<Database>,
    Visitor { layout, .. }: Visitor,
    Query(Link { token }): Query<Link>,
) -> Result<Response, ErrorPage> {
    WelcomePage::draw(&db, &layout, &token, FormOutcome::none()).await
}

#[derive(Deserialize)]
pub(super) struct Acceptance {
    token: String,
    name: String,
    password: SecretString,
}

pub(super) async fn accept(
    State(db): State<Database>,
    State(passwords): State<PasswordHasher>,
    State(config): State<Arc<Config>>,
    cookies: RequestCookies,
    ClientAddress(address): ClientAddress,
    Visitor { layout, .. }: Visitor,
    Form(Acceptance { token, name, password }): Form<Acceptance>,
) -> Result<Response, ErrorPage> {
    match users::accept(&db, &passwords, config.max_users, &token, &name, password, address).await {
        Ok(user) => {
            let signed_in = layout.check(auth::start_session(&db, user.id, address).await)?;
            Ok((cookies.set(&signed_in), response::redirect("/chat")).into_response())
        }
        Err(error) => {
            let outcome = layout.form_problem(error)?;
            WelcomePage::draw(&db, &layout, &token, outcome).await
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::pages::snapshot;
    use crate::users::Role;

    #[test]
    fn welcome_page_matches_its_snapshot() {
        snapshot::assert_page("welcome", "/invitation", |layout| {
            let invitee = Invitee::new(snapshot::NAME, "anna@abc.example", Role::User).unwrap();
            let t = InvitationTexts(layout.locale);
            WelcomePage { layout, t, token: "0123abcd", invitee: Some(invitee), notice: None }.render()
        });
    }
}
