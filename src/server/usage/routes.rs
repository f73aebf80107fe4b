//! The JSON routes of usage. `?month=2026-11` chooses a month; without it, it is the current one.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::period::Month;
use super::report;
use crate::auth::{Admin, CurrentUser};
use crate::{ApiError, App};

#[derive(Deserialize)]
pub(super) struct Which {
    month: Option<String>,
}

impl Which {
    fn month(&self, app: &App) -> Result<Month, ApiError> {
        match self.month.as_deref() {
            None | Some("") => Ok(report::current_month(app)),
            Some(text) => text.parse().map_err(|error| ApiError::new(StatusCode::BAD_REQUEST, format!("{error}"))),
        }
    }
}

fn rows(month: Month, name: &str, rows: impl Serialize) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "month": month, name: rows })))
}

/// `GET /api/v1/usage/summary`
pub(super) async fn summary(
    State(app): State<App>,
    _: Admin,
    Query(which): Query<Which>,
) -> Result<Json<report::Summary>, ApiError> {
    Ok(Json(report::summary(&app, which.month(&app)?, None).await?))
}

/// `GET /api/v1/usage/days`
pub(super) async fn days(
    State(app): State<App>,
    _: Admin,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let month = which.month(&app)?;
    rows(month, "days", report::by_day(&app, month, None).await?)
}

/// `GET /api/v1/usage/users`
pub(super) async fn users(
    State(app): State<App>,
    _: Admin,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let month = which.month(&app)?;
    rows(month, "users", report::by_user(&app, month).await?)
}

/// `GET /api/v1/usage/models`
pub(super) async fn models(
    State(app): State<App>,
    _: Admin,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let month = which.month(&app)?;
    rows(month, "models", report::by_model(&app, month, None).await?)
}

/// `GET /api/v1/usage/me`: the caller's own.
pub(super) async fn me(
    State(app): State<App>,
    user: CurrentUser,
    Query(which): Query<Which>,
) -> Result<Json<Value>, ApiError> {
    let month = which.month(&app)?;
    let summary = report::summary(&app, month, Some(&user.id)).await?;
    let days = report::by_day(&app, month, Some(&user.id)).await?;
    let models = report::by_model(&app, month, Some(&user.id)).await?;
    Ok(Json(json!({ "summary": summary, "days": days, "models": models })))
}
