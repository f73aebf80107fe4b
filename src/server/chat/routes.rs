//! The JSON routes of stored chats, in Open WebUI's shapes: times in seconds, 404 for what is not yours.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::error::ChatError;
use super::store::{self, Chat, Message};
use crate::auth::CurrentUser;
use crate::{ApiError, App};

#[derive(Deserialize)]
pub(super) struct Search {
    query: Option<String>,
}

fn describe(chat: &Chat) -> Value {
    json!({
        "id": chat.id,
        "title": chat.title,
        "model": chat.model,
        "updated_at": chat.updated_at.as_second(),
        "created_at": chat.created_at.as_second(),
    })
}

fn describe_message(message: &Message) -> Value {
    json!({
        "id": message.id,
        "role": message.role,
        "content": message.content,
        "model": message.model,
        "status": message.status,
        "error": message.error,
        "timestamp": message.created_at.as_second(),
    })
}

/// An id that is none is the id of no chat.
fn parse(id: &str) -> Result<Uuid, ApiError> {
    id.parse().map_err(|_| ChatError::NotFound.into())
}

/// `GET /api/v1/chats/`, with `?query=` to search.
pub(super) async fn list(
    State(app): State<App>,
    user: CurrentUser,
    Query(search): Query<Search>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let chats = store::list(&app, &user.id, search.query.as_deref()).await?;
    Ok(Json(chats.iter().map(describe).collect()))
}

/// `GET /api/v1/chats/{id}`
pub(super) async fn get(
    State(app): State<App>,
    user: CurrentUser,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let (chat, messages) = store::get(&app, &user.id, parse(&id)?).await?;
    let mut described = describe(&chat);
    described["messages"] = messages.iter().map(describe_message).collect();
    Ok(Json(described))
}

/// `DELETE /api/v1/chats/{id}`
pub(super) async fn remove(
    State(app): State<App>,
    user: CurrentUser,
    Path(id): Path<String>,
) -> Result<Json<bool>, ApiError> {
    store::remove(&app, &user.id, parse(&id)?).await?;
    Ok(Json(true))
}
