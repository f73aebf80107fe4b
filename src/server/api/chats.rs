//! The JSON routes of stored chats, in Open WebUI's shapes: times in seconds, 404 for
//! another user's.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::routing::{delete, get};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::body::{UrlPath, UrlQuery};
use crate::auth::ChatAccess;
use crate::chat::{self, Answers, Chat, ChatError, Message};
use crate::database::Database;
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/chats/", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/api/v1/chats/{id}", handler: || get(show) },
    Endpoint { method: Method::DELETE, path: "/api/v1/chats/{id}", handler: || delete(remove) },
];

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
        "usage": message.usage,
        "error": message.failure.as_ref().map(ToString::to_string),
        "error_code": message.failure.as_ref().and_then(|failure| failure.code.as_str()),
        "timestamp": message.created_at.as_second(),
    })
}

/// Parses an id. A malformed one is answered like an unknown one.
fn parse_id(id: &str) -> Result<Uuid, ApiError> {
    id.parse().map_err(|_| ChatError::NotFound.into())
}

/// The header of a search that does not know all chats yet.
const SEARCH_HEADER: &str = "x-mai-search";

/// `GET /api/v1/chats/`, with `?query=` to search.
pub(super) async fn list(
    State(db): State<Database>,
    ChatAccess(user): ChatAccess,
    UrlQuery(search): UrlQuery<Search>,
) -> Result<(HeaderMap, Json<Vec<Value>>), ApiError> {
    let mut headers = HeaderMap::new();
    let chats = match search.query.as_deref().filter(|query| !query.trim().is_empty()) {
        None => chat::list(&db, &user.id).await?,
        Some(query) => {
            let found = chat::search(&db, &user.id, query).await?;
            if !found.is_complete {
                headers.insert(SEARCH_HEADER, HeaderValue::from_static("incomplete"));
            }
            found.chats
        }
    };
    Ok((headers, Json(chats.iter().map(describe).collect())))
}

/// `GET /api/v1/chats/{id}`
pub(super) async fn show(
    State(db): State<Database>,
    ChatAccess(user): ChatAccess,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, ApiError> {
    let (chat, messages) = chat::get(&db, &user.id, parse_id(&id)?).await?;
    let mut described = describe(&chat);
    described["messages"] = messages.iter().map(describe_message).collect();
    Ok(Json(described))
}

/// `DELETE /api/v1/chats/{id}`
pub(super) async fn remove(
    State(db): State<Database>,
    State(answers): State<Answers>,
    ChatAccess(user): ChatAccess,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<bool>, ApiError> {
    chat::remove(&db, &answers, &user.id, parse_id(&id)?).await?;
    Ok(Json(true))
}
