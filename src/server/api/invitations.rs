//! `/api/v1/invitations`: links by which people make their account, and by which they choose another password.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::{delete, get, post};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{JsonBody, UrlPath};
use crate::auth::{Admin, AdminPerson, Confirmations};
use crate::database::Database;
use crate::public_origin::PublicOrigin;
use crate::users::{self, Invitation, InviteMode, Invited, Invitee, MOST_LINES, Role, UserError, UserId};
use crate::{ApiError, Config, Endpoint, account_link};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/invitations", handler: || get(list) },
    Endpoint { method: Method::POST, path: "/api/v1/invitations", handler: || post(invite) },
    Endpoint { method: Method::POST, path: "/api/v1/invitations/{id}/renew", handler: || post(renew) },
    Endpoint { method: Method::DELETE, path: "/api/v1/invitations/{id}", handler: || delete(withdraw) },
    Endpoint { method: Method::POST, path: "/api/v1/users/{id}/password-link", handler: || post(password_link) },
];

/// An invitation in the JSON API; times in epoch seconds.
fn to_json(Invitation { id, invitee, expires_at }: &Invitation) -> Value {
    let Invitee { name, email, role } = invitee;
    json!({ "id": id, "name": name, "email": email, "role": role, "expires_at": expires_at.as_second() })
}

fn with_link(Invited { invitation, token }: &Invited, origin: &PublicOrigin) -> Value {
    let mut fields = to_json(invitation);
    fields["link"] = account_link::invitation(origin, token).into();
    fields
}

/// `GET /api/v1/invitations` (admin): those that nobody has used.
pub(super) async fn list(State(db): State<Database>, Admin(_): Admin) -> Result<Json<Value>, ApiError> {
    let invitations = users::invitations(&db).await?;
    Ok(Json(json!({ "invitations": invitations.iter().map(to_json).collect::<Vec<_>>() })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct People {
    people: Vec<Person>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Person {
    email: String,
    name: String,
    #[serde(default)]
    role: Option<String>,
}

impl Person {
    fn invitee(&self) -> Result<Invitee, UserError> {
        let role = self.role.as_deref().map_or(Ok(Role::User), str::parse)?;
        Invitee::new(&self.name, &self.email, role)
    }
}

/// `POST /api/v1/invitations` (admin): invites people, each for itself. The answer has an entry for
/// each of them in their order, with its link or its problem.
pub(super) async fn invite(
    State(db): State<Database>,
    State(config): State<Arc<Config>>,
    AdminPerson(user): AdminPerson,
    origin: PublicOrigin,
    JsonBody(People { people }): JsonBody<People>,
) -> Result<Json<Value>, ApiError> {
    if people.len() > MOST_LINES {
        let message = format!("At most {MOST_LINES} people can be invited at once.");
        return Err(ApiError::new(StatusCode::BAD_REQUEST, message));
    }
    let checked: Vec<_> = people.iter().map(Person::invitee).collect();
    let invitees = checked.iter().filter_map(|person| person.as_ref().ok()).cloned().collect();
    let invited = users::invite(&db, config.max_users, &user, invitees, InviteMode::Send).await?;
    let mut invited = invited.into_iter();
    let entry = |(person, checked): (&Person, Result<Invitee, UserError>)| match checked
        .and_then(|_| invited.next().unwrap_or(Err(UserError::NotFound)))
    {
        Ok(invited) => with_link(&invited, &origin),
        Err(error) => json!({ "email": person.email, "error": error.to_string() }),
    };
    let entries: Vec<Value> = people.iter().zip(checked).map(entry).collect();
    Ok(Json(json!({ "invitations": entries })))
}

/// `POST /api/v1/invitations/{id}/renew` (admin): another link, in place of the former one.
pub(super) async fn renew(
    State(db): State<Database>,
    State(config): State<Arc<Config>>,
    AdminPerson(user): AdminPerson,
    origin: PublicOrigin,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(with_link(&users::renew(&db, config.max_users, &user, &id).await?, &origin)))
}

/// `DELETE /api/v1/invitations/{id}` (admin)
pub(super) async fn withdraw(
    State(db): State<Database>,
    AdminPerson(user): AdminPerson,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<bool>, ApiError> {
    users::withdraw(&db, &user, &id).await?;
    Ok(Json(true))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Confirmation {
    /// The admin's own password, if it was entered more than ten minutes ago.
    #[serde(default)]
    current_password: Option<SecretString>,
}

/// `POST /api/v1/users/{id}/password-link` (admin): a link by which a person chooses another password.
pub(super) async fn password_link(
    State(db): State<Database>,
    State(confirmations): State<Confirmations>,
    AdminPerson(user): AdminPerson,
    origin: PublicOrigin,
    UrlPath(id): UrlPath<String>,
    JsonBody(body): JsonBody<Confirmation>,
) -> Result<Json<Value>, ApiError> {
    let by = confirmations.confirm(&user, body.current_password).await?;
    let (_, token) = users::make_password_link(&db, &by, &UserId::from(id)).await?;
    Ok(Json(json!({ "link": account_link::password(&origin, &token) })))
}
