//! `/api/v1/auths/api_keys`: one's own API keys.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{delete, get, post},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{JsonBody, UrlPath};
use crate::{
    ApiError, Endpoint,
    auth::{self, ApiKey, Person, Sessions},
    database::Database,
};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/auths/api_keys", handler: || get(list) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/api_keys", handler: || post(create) },
    Endpoint { method: Method::DELETE, path: "/api/v1/auths/api_keys/{id}", handler: || delete(remove) },
];

fn to_json(key: &ApiKey) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "created_at": key.created_at.as_second(),
        "last_used_at": key.last_used_at.map(|at| at.as_second()),
    })
}

/// `GET /api/v1/auths/api_keys`
pub(super) async fn list(State(db): State<Database>, Person(user): Person) -> Result<Json<Value>, ApiError> {
    let keys = auth::list_api_keys(&db, &user.id).await?;
    Ok(Json(keys.iter().map(to_json).collect()))
}

#[derive(Deserialize)]
pub(super) struct Create {
    name: String,
}

/// `POST /api/v1/auths/api_keys`: the only answer that holds the key itself.
pub(super) async fn create(
    State(db): State<Database>,
    Person(user): Person,
    JsonBody(body): JsonBody<Create>,
) -> Result<Json<Value>, ApiError> {
    let new = auth::create_api_key(&db, &user, &body.name).await?;
    let mut answer = to_json(&new.key);
    answer["api_key"] = json!(new.secret.expose());
    Ok(Json(answer))
}

/// `DELETE /api/v1/auths/api_keys/{id}`
pub(super) async fn remove(
    State(db): State<Database>,
    State(sessions): State<Sessions>,
    Person(user): Person,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<bool>, ApiError> {
    auth::remove_api_key(&db, &sessions, &user.id, &id).await?;
    Ok(Json(true))
}
