//! `/api/v1/audit`: who did what, for the admin, and for each person what concerns them. Actions are
//! codes; `?page=` counts from 1.

use axum::{Json, extract::State, http::Method, routing::get};
use serde_json::{Value, json};

use super::body::UrlQuery;
use crate::audit::{AuditLog, Entry, Page, PageNumber, Person as PersonOfEntry, Whose};
use crate::auth::{Admin, Person};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/audit", handler: || get(all) },
    Endpoint { method: Method::GET, path: "/api/v1/audit/me", handler: || get(own) },
];

fn person(person: Option<&PersonOfEntry>) -> Value {
    person.map_or(Value::Null, |person| json!({ "id": person.id, "name": person.name, "email": person.email }))
}

fn describe(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "at": entry.at.as_second(),
        "last_at": entry.last_at.as_second(),
        "count": entry.count,
        "action": entry.action,
        "user": person(entry.by.as_ref()),
        "subject": person(entry.subject.as_ref()),
        "address": entry.address,
        "session": entry.session,
        "api_key": entry.api_key,
        "details": entry.details,
    })
}

fn to_json(page: &Page) -> Json<Value> {
    Json(json!({ "entries": page.entries.iter().map(describe).collect::<Vec<_>>(), "total": page.total }))
}

/// `GET /api/v1/audit` (admin): 50 a page, newest first.
pub(super) async fn all(
    State(log): State<AuditLog>,
    Admin(_): Admin,
    UrlQuery(PageNumber { page }): UrlQuery<PageNumber>,
) -> Result<Json<Value>, ApiError> {
    Ok(to_json(&log.page(Whose::Everybody, page).await?))
}

/// `GET /api/v1/audit/me`: what the caller did, and what was done to their account.
pub(super) async fn own(
    State(log): State<AuditLog>,
    Person(user): Person,
    UrlQuery(PageNumber { page }): UrlQuery<PageNumber>,
) -> Result<Json<Value>, ApiError> {
    Ok(to_json(&log.page(Whose::Of(&user.id), page).await?))
}
