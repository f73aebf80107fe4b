//! `/api/v1/connection`: the upstream and the key to it, for the admin. The key goes in and never
//! comes out.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{delete, get, post},
};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::JsonBody;
use crate::{
    ApiError, Endpoint,
    auth::{Admin, AdminPerson, Confirmations},
    connection::Connections,
};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/connection", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/api/v1/connection", handler: || post(save) },
    Endpoint { method: Method::DELETE, path: "/api/v1/connection", handler: || delete(clear) },
    Endpoint { method: Method::POST, path: "/api/v1/connection/verify", handler: || post(verify) },
];

fn to_json(connections: &Connections) -> Value {
    let connection = connections.current();
    let check = connections.last_check();
    json!({
        "base_url": connection.base_url,
        "key_hint": connection.key_hint(),
        "source": connection.source,
        "configured": connection.is_configured(),
        "ok": check.as_ref().map(|check| check.ok),
        "detail": check.as_ref().map(|check| &check.detail),
        "checked_at": check.as_ref().map(|check| check.at.as_second()),
    })
}

/// `GET /api/v1/connection` (admin): `ok` is null while the connection has not been checked since
/// the start.
pub(super) async fn show(State(connections): State<Connections>, Admin(_): Admin) -> Json<Value> {
    Json(to_json(&connections))
}

#[derive(Deserialize)]
pub(super) struct Save {
    base_url: String,
    key: Option<SecretString>,
    current_password: Option<SecretString>,
}

/// `POST /api/v1/connection` (admin with a session): saved only when the upstream accepts the key.
/// Without `key`, the one in use stays.
pub(super) async fn save(
    State(connections): State<Connections>,
    State(confirmations): State<Confirmations>,
    AdminPerson(user): AdminPerson,
    JsonBody(body): JsonBody<Save>,
) -> Result<Json<Value>, ApiError> {
    let by = confirmations.confirm(&user, body.current_password).await?;
    connections.save(&by, &body.base_url, body.key).await?;
    Ok(Json(to_json(&connections)))
}

#[derive(Deserialize)]
pub(super) struct Clear {
    current_password: Option<SecretString>,
}

/// `DELETE /api/v1/connection` (admin with a session): back to the environment's. A body is needed
/// only for the password.
pub(super) async fn clear(
    State(connections): State<Connections>,
    State(confirmations): State<Confirmations>,
    AdminPerson(user): AdminPerson,
    body: Option<JsonBody<Clear>>,
) -> Result<Json<Value>, ApiError> {
    let password = body.and_then(|JsonBody(body)| body.current_password);
    let by = confirmations.confirm(&user, password).await?;
    connections.clear(&by).await?;
    Ok(Json(to_json(&connections)))
}

/// `POST /api/v1/connection/verify` (admin): checks the upstream in use.
pub(super) async fn verify(State(connections): State<Connections>, Admin(_): Admin) -> Json<Value> {
    connections.verify().await;
    Json(to_json(&connections))
}
