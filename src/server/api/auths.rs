//! `/api/v1/auths/…`: registration, signing in and out, and one's own account.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method},
    response::IntoResponse,
    routing::{get, post},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::JsonBody;
use crate::{
    ApiError, Config, Endpoint,
    auth::{
        self, AdminPerson, Attempts, Confirmations, CurrentUser, HeaderCredential, PasswordHasher, Person,
        RequestCookies, Sessions, SignedIn,
    },
    client_address::ClientAddress,
    database::Database,
    users::{self, NewUser, Role},
};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::POST, path: "/api/v1/auths/signup", handler: || post(sign_up) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/signin", handler: || post(sign_in) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/signout", handler: || post(sign_out) },
    Endpoint { method: Method::GET, path: "/api/v1/auths/", handler: || get(session) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/add", handler: || post(add) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/update/password", handler: || post(update_password) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/update/profile", handler: || post(update_profile) },
];

#[derive(Deserialize)]
pub(super) struct SignUp {
    name: String,
    email: String,
    password: SecretString,
}

/// `POST /api/v1/auths/signup`
pub(super) async fn sign_up(
    State(db): State<Database>,
    State(passwords): State<PasswordHasher>,
    State(config): State<Arc<Config>>,
    cookies: RequestCookies,
    ClientAddress(address): ClientAddress,
    JsonBody(body): JsonBody<SignUp>,
) -> Result<impl IntoResponse, ApiError> {
    let user = users::register(&db, &passwords, &config, address, &body.name, &body.email, body.password).await?;
    let signed_in = auth::start_session(&db, user.id, address).await?;
    Ok(session_answer(&cookies, &signed_in))
}

#[derive(Deserialize)]
pub(super) struct SignIn {
    email: String,
    password: SecretString,
}

/// `POST /api/v1/auths/signin`
pub(super) async fn sign_in(
    State(db): State<Database>,
    State(passwords): State<PasswordHasher>,
    cookies: RequestCookies,
    attempts: Attempts,
    JsonBody(body): JsonBody<SignIn>,
) -> Result<impl IntoResponse, ApiError> {
    let signed_in = auth::sign_in(&db, &passwords, &attempts, &body.email, body.password).await?;
    Ok(session_answer(&cookies, &signed_in))
}

fn session_answer(cookies: &RequestCookies, signed_in: &SignedIn) -> impl IntoResponse + use<> {
    let user = &signed_in.user;
    let body = json!({
        "id": user.id,
        "name": user.name,
        "email": user.email,
        "role": user.role,
        "token": signed_in.token.expose(),
        "token_type": "Bearer",
        "expires_at": signed_in.expires_at.as_second(),
    });
    (cookies.set(signed_in), Json(body))
}

/// `POST /api/v1/auths/signout`: ends the session, for every holder of its token.
pub(super) async fn sign_out(
    State(sessions): State<Sessions>,
    cookies: RequestCookies,
    Person(user): Person,
) -> Result<impl IntoResponse, ApiError> {
    sessions.sign_out(&user).await?;
    Ok((cookies.clear(), Json(json!({ "status": true }))))
}

/// `GET /api/v1/auths/`: the signed-in user. The token is returned only to a caller who sent
/// it as a bearer; one that came by the cookie stays out of reach of scripts.
pub(super) async fn session(Person(user): Person, headers: HeaderMap) -> Json<Value> {
    let mut body = to_json(&user);
    if let HeaderCredential::Token(token) = auth::header_credential(&headers) {
        body["token"] = json!(token);
        body["token_type"] = json!("Bearer");
    }
    Json(body)
}

fn to_json(user: &CurrentUser) -> Value {
    json!({
        "id": user.id,
        "name": &*user.name,
        "email": &*user.email,
        "role": user.role,
        "locale": user.locale.as_deref(),
    })
}

#[derive(Deserialize)]
pub(super) struct Add {
    name: String,
    email: String,
    password: SecretString,
    role: Option<String>,
}

/// `POST /api/v1/auths/add` (admin with a session): an account is a credential.
pub(super) async fn add(
    State(db): State<Database>,
    State(passwords): State<PasswordHasher>,
    State(config): State<Arc<Config>>,
    AdminPerson(by): AdminPerson,
    JsonBody(body): JsonBody<Add>,
) -> Result<Json<Value>, ApiError> {
    let role = body.role.map_or(Ok(Role::User), |role| role.parse())?;
    let new = NewUser { name: body.name, email: body.email, password: body.password, role };
    let user = users::create(&db, &passwords, config.max_users, by.actor(), new).await?;
    Ok(Json(super::users::to_json(&user)))
}

#[derive(Deserialize)]
pub(super) struct UpdatePassword {
    password: SecretString,
    new_password: SecretString,
}

/// `POST /api/v1/auths/update/password`: ends all other sessions of the caller.
pub(super) async fn update_password(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    State(confirmations): State<Confirmations>,
    Person(user): Person,
    JsonBody(body): JsonBody<UpdatePassword>,
) -> Result<Json<bool>, ApiError> {
    auth::change_password(&db, &sessions, &passwords, &confirmations, &user, body.password, body.new_password).await?;
    Ok(Json(true))
}

#[derive(Deserialize)]
pub(super) struct UpdateProfile {
    name: Option<String>,
    /// Absent: stays. `null`: back to the server's and the browser's choice.
    #[serde(default, deserialize_with = "present")]
    locale: Option<Option<String>>,
}

/// Distinguishes a `null` from an absent field.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

/// `POST /api/v1/auths/update/profile`: one's own name and language.
pub(super) async fn update_profile(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    State(passwords): State<PasswordHasher>,
    Person(user): Person,
    JsonBody(body): JsonBody<UpdateProfile>,
) -> Result<Json<Value>, ApiError> {
    if let Some(name) = &body.name {
        users::set_name(&db, &sessions, &passwords, &user, name).await?;
    }
    if let Some(locale) = &body.locale {
        users::set_locale(&db, &sessions, &user.id, locale.as_deref()).await?;
    }
    let user = users::get(&db, &user.id).await?;
    Ok(Json(super::users::to_json(&user)))
}
