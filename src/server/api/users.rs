//! `/api/v1/users/…`: the client's users, for the admin.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{delete, get, post},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{JsonBody, UrlPath, UrlQuery};
use crate::{
    ApiError, Endpoint,
    auth::{Admin, Confirmations, PasswordHasher, Sessions},
    database::Database,
    users::{self, PasswordReset, User, UserChange, UserId},
};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/users/", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/api/v1/users/{id}", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/api/v1/users/{id}/update", handler: || post(update) },
    Endpoint { method: Method::DELETE, path: "/api/v1/users/{id}", handler: || delete(remove) },
];

/// A user in the JSON API; times in epoch seconds.
pub(super) fn to_json(user: &User) -> Value {
    json!({
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "locale": user.locale,
        "last_active_at": user.last_active_at.map(|at| at.as_second()),
        "updated_at": user.updated_at.as_second(),
        "created_at": user.created_at.as_second(),
    })
}

#[derive(Deserialize)]
pub(super) struct Filter {
    #[serde(default)]
    query: String,
    #[serde(default = "first")]
    page: u32,
}

fn first() -> u32 {
    1
}

/// `GET /api/v1/users/?query=&page=` (admin): 30 a page, newest first.
pub(super) async fn list(
    State(db): State<Database>,
    Admin(_): Admin,
    UrlQuery(filter): UrlQuery<Filter>,
) -> Result<Json<Value>, ApiError> {
    let page = users::list(&db, &filter.query, filter.page).await?;
    let users: Vec<Value> = page.users.iter().map(to_json).collect();
    Ok(Json(json!({ "users": users, "total": page.total })))
}

/// `GET /api/v1/users/{id}` (admin)
pub(super) async fn show(
    State(db): State<Database>,
    Admin(_): Admin,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, ApiError> {
    Ok(Json(to_json(&users::get(&db, &UserId::from(id)).await?)))
}

#[derive(Deserialize)]
pub(super) struct Update {
    name: Option<String>,
    email: Option<String>,
    role: Option<String>,
    password: Option<SecretString>,
    /// Absent: true with a new password.
    revoke_keys: Option<bool>,
    /// The admin's own, for a new password.
    current_password: Option<SecretString>,
}

/// `POST /api/v1/users/{id}/update` (admin): any of name, email, role, password. All but the name
/// needs a session.
pub(super) async fn update(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    State(confirmations): State<Confirmations>,
    Admin(user): Admin,
    UrlPath(id): UrlPath<String>,
    JsonBody(body): JsonBody<Update>,
) -> Result<Json<Value>, ApiError> {
    let revoke_keys = body.revoke_keys.unwrap_or(body.password.is_some());
    let password = match body.password {
        Some(password) => {
            Some(PasswordReset { password, by: confirmations.confirm(&user, body.current_password).await? })
        }
        None => None,
    };
    let change = UserChange {
        name: body.name,
        email: body.email,
        role: body.role.map(|role| role.parse()).transpose()?,
        password,
        revoke_keys,
    };
    Ok(Json(to_json(&users::update(&db, &sessions, &passwords, &user, &UserId::from(id), change).await?)))
}

/// `DELETE /api/v1/users/{id}` (admin)
pub(super) async fn remove(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    Admin(by): Admin,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<bool>, ApiError> {
    users::remove(&db, &sessions, &by, &UserId::from(id)).await?;
    Ok(Json(true))
}
