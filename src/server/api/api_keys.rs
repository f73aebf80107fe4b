//! `/api/v1/auths/api_keys`: one's own API keys.

use axum::{
    Json,
    extract::State,
    http::Method,
    routing::{delete, get, post},
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{JsonBody, UrlPath};
use crate::{
    ApiError, Endpoint,
    auth::{self, ApiKey, ApiKeyWish, AuthError, Confirmations, Person, Scope, Scopes, Sessions},
    database::Database,
    usage::{KeyUsage, UsageReports},
};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/auths/api_keys", handler: || get(list) },
    Endpoint { method: Method::POST, path: "/api/v1/auths/api_keys", handler: || post(create) },
    Endpoint { method: Method::DELETE, path: "/api/v1/auths/api_keys/{id}", handler: || delete(remove) },
];

fn to_json(key: &ApiKey, usage: KeyUsage) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "hint": key.hint,
        "scopes": key.scopes.iter().map(Scope::as_str).collect::<Vec<_>>(),
        "created_at": key.created_at.as_second(),
        "expires_at": key.expires_at.map(Timestamp::as_second),
        "last_used_at": key.last_used_at.map(Timestamp::as_second),
        "usage": usage,
    })
}

/// `GET /api/v1/auths/api_keys`
pub(super) async fn list(
    State(db): State<Database>,
    State(reports): State<UsageReports>,
    Person(user): Person,
) -> Result<Json<Value>, ApiError> {
    let keys = auth::list_api_keys(&db, &user.id).await?;
    let mut usage = reports.by_key(&user.id).await?;
    Ok(Json(keys.iter().map(|key| to_json(key, usage.remove(&key.id).unwrap_or_default())).collect()))
}

/// A key to create. A field that does not exist is refused: a key without the limit that was meant
/// could do too much.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    /// Absent: the default.
    scopes: Option<Vec<String>>,
    /// Seconds since the epoch. Absent: it does not expire.
    expires_at: Option<i64>,
    current_password: Option<SecretString>,
}

impl Create {
    fn wish(&self) -> Result<ApiKeyWish, AuthError> {
        let scopes = match &self.scopes {
            None => Scopes::DEFAULT,
            Some(scopes) => scopes.iter().map(|scope| scope.parse::<Scope>()).collect::<Result<_, _>>()?,
        };
        // A time that no calendar has is as far ahead as one can be.
        let expires_at = self.expires_at.map(|at| Timestamp::from_second(at).unwrap_or(Timestamp::MAX));
        Ok(ApiKeyWish { name: self.name.clone(), scopes, expires_at })
    }
}

/// `POST /api/v1/auths/api_keys`: the only answer that holds the key itself.
pub(super) async fn create(
    State(db): State<Database>,
    State(confirmations): State<Confirmations>,
    Person(user): Person,
    JsonBody(body): JsonBody<Create>,
) -> Result<Json<Value>, ApiError> {
    let wish = body.wish()?;
    let new = auth::create_api_key(&db, &confirmations, &user, wish, body.current_password).await?;
    let mut answer = to_json(&new.key, KeyUsage::default());
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
    auth::remove_api_key(&db, &sessions, &user, &id).await?;
    Ok(Json(true))
}
