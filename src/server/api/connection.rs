//! `/api/v1/connection`: the upstream and the key to it, for the admin. The key goes in and never comes out.

use axum::{Json, extract::State};
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::JsonBody;
use crate::{ApiError, App, auth::Admin, connection};

fn shown(app: &App) -> Value {
    let connection = connection::current(app);
    let verdict = app.connections.verdict();
    json!({
        "base_url": connection.base_url,
        "key_hint": connection.key_hint(),
        "source": connection.source,
        "configured": connection.is_configured(),
        "ok": verdict.as_ref().map(|verdict| verdict.ok),
        "detail": verdict.as_ref().map(|verdict| &verdict.detail),
        "checked_at": verdict.as_ref().map(|verdict| verdict.at.as_second()),
    })
}

/// `GET /api/v1/connection` (admin): `ok` is null while the connection has not been checked since the start.
pub(super) async fn show(State(app): State<App>, Admin(_): Admin) -> Json<Value> {
    Json(shown(&app))
}

#[derive(Deserialize)]
pub(super) struct Save {
    base_url: String,
    key: Option<SecretString>,
}

/// `POST /api/v1/connection` (admin): saved only when the upstream takes the key. Without `key`, the one in use stays.
pub(super) async fn save(
    State(app): State<App>,
    Admin(_): Admin,
    JsonBody(body): JsonBody<Save>,
) -> Result<Json<Value>, ApiError> {
    connection::save(&app, &body.base_url, body.key).await?;
    Ok(Json(shown(&app)))
}

/// `DELETE /api/v1/connection` (admin): back to the environment's.
pub(super) async fn clear(State(app): State<App>, Admin(_): Admin) -> Result<Json<Value>, ApiError> {
    connection::clear(&app).await?;
    Ok(Json(shown(&app)))
}

/// `POST /api/v1/connection/verify` (admin): asks the upstream in use now.
pub(super) async fn verify(State(app): State<App>, Admin(_): Admin) -> Json<Value> {
    connection::verify(&app).await;
    Json(shown(&app))
}
