//! Facts about the server: alive, ready, version, and the settings a sign-in page needs.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, Method, StatusCode},
    routing::get,
};
use mai_contract::http;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{ApiError, Config, Endpoint, Signup, auth::Sessions, database::Database, users};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: http::HEALTH_PATH, handler: || get(health) },
    Endpoint { method: Method::GET, path: http::READY_PATH, handler: || get(ready) },
    Endpoint { method: Method::GET, path: "/api/version", handler: || get(version) },
    Endpoint { method: Method::GET, path: "/api/config", handler: || get(config) },
];

/// The header with the version, so that a probe needs no request of its own.
type Version = [(&'static str, &'static str); 1];
const VERSION: Version = [(http::VERSION_HEADER, env!("CARGO_PKG_VERSION"))];

/// `GET /health`: alive; touches nothing.
pub(super) async fn health() -> (Version, Json<Value>) {
    (VERSION, Json(json!({ "status": true })))
}

/// `GET /ready`: the database answers, and the server isn't on its way out.
pub(super) async fn ready(
    State(closing): State<CancellationToken>,
    State(db): State<Database>,
) -> (StatusCode, Version, Json<Value>) {
    let unready =
        |detail: &str| (StatusCode::SERVICE_UNAVAILABLE, VERSION, Json(json!({ "status": false, "detail": detail })));
    if closing.is_cancelled() {
        return unready("The server is shutting down.");
    }
    let answer: Result<i64, sqlx::Error> = sqlx::query_scalar("SELECT 1").fetch_one(db.quick_reader()).await;
    match answer {
        Ok(_) => (StatusCode::OK, VERSION, Json(json!({ "status": true }))),
        Err(error) => {
            tracing::error!(%error, "not ready: the database does not answer");
            unready("The database does not answer.")
        }
    }
}

/// `GET /api/version`
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": env!("CARGO_PKG_VERSION") }))
}

/// `GET /api/config`: the settings a client needs before sign-in. `onboarding` is present, and
/// true, only while there is no account: the next to register becomes admin.
pub(super) async fn config(
    State(db): State<Database>,
    State(settings): State<Arc<Config>>,
    State(sessions): State<Sessions>,
    headers: HeaderMap,
) -> Result<Json<Value>, ApiError> {
    let onboarding = !users::anybody(&db).await?;
    let enable_signup = match settings.signup {
        Signup::Closed => false,
        Signup::FirstUserOnly => onboarding,
        Signup::Open => onboarding || users::count(&db).await? < i64::from(settings.max_users),
    };
    let mut config = json!({
        "status": true,
        "name": settings.webui_name,
        "version": env!("CARGO_PKG_VERSION"),
        "default_locale": settings.default_locale.as_deref().unwrap_or(""),
        "features": { "auth": true, "enable_signup": enable_signup, "enable_login_form": true, "enable_api_keys": true },
    });
    if onboarding {
        config["onboarding"] = Value::Bool(true);
    }
    if let Ok(user) = sessions.authenticate(&headers).await {
        config["user"] = json!({ "id": user.id, "role": user.role });
    }
    Ok(Json(config))
}
