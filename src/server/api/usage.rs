//! The JSON routes of usage. `?month=2026-11` chooses a month; without it, it is the current one.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::{ReportAccess, UsageAccess};
use crate::usage::{Month, Summary, UsageReports};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/usage/summary", handler: || get(summary) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/days", handler: || get(days) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/users", handler: || get(users) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/models", handler: || get(models) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/me", handler: || get(me) },
];

#[derive(Deserialize)]
pub(super) struct Period {
    month: Option<String>,
}

impl Period {
    /// Returns the month, once every answer that has ended before counts.
    async fn month(&self, reports: &UsageReports) -> Result<Month, ApiError> {
        let month = match self.month.as_deref() {
            None | Some("") => reports.current_month(),
            Some(text) => text.parse::<Month>()?,
        };
        reports.catch_up().await;
        Ok(month)
    }
}

fn rows(month: Month, name: &str, rows: impl Serialize) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "month": month, name: rows })))
}

/// `GET /api/v1/usage/summary`
pub(super) async fn summary(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Json<Summary>, ApiError> {
    let month = period.month(&reports).await?;
    Ok(Json(reports.summary(month, None).await?))
}

/// `GET /api/v1/usage/days`
pub(super) async fn days(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Json<Value>, ApiError> {
    let month = period.month(&reports).await?;
    rows(month, "days", reports.by_day(month, None).await?)
}

/// `GET /api/v1/usage/users`
pub(super) async fn users(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Json<Value>, ApiError> {
    let month = period.month(&reports).await?;
    rows(month, "users", reports.by_user(month).await?)
}

/// `GET /api/v1/usage/models`
pub(super) async fn models(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Json<Value>, ApiError> {
    let month = period.month(&reports).await?;
    rows(month, "models", reports.by_model(month, None).await?)
}

/// `GET /api/v1/usage/me`: the caller's own.
pub(super) async fn me(
    State(reports): State<UsageReports>,
    UsageAccess(user): UsageAccess,
    Query(period): Query<Period>,
) -> Result<Json<Value>, ApiError> {
    let month = period.month(&reports).await?;
    let summary = reports.summary(month, Some(&user.id)).await?;
    let days = reports.by_day(month, Some(&user.id)).await?;
    let models = reports.by_model(month, Some(&user.id)).await?;
    Ok(Json(json!({ "summary": summary, "days": days, "models": models })))
}
