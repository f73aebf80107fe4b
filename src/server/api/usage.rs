//! The JSON routes of usage. `?month=2026-11` chooses a month; without it, it is the current one.

use axum::Json;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::auth::{ReportAccess, UsageAccess};
use crate::usage::{self, CallsPage, Month, Summary, UsageReports};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/usage/summary", handler: || get(summary) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/days", handler: || get(days) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/users", handler: || get(users) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/models", handler: || get(models) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/calls", handler: || get(calls) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/rows.csv", handler: || get(rows_csv) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/sums.csv", handler: || get(sums_csv) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/me", handler: || get(me) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/me/rows.csv", handler: || get(own_rows_csv) },
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
    let days = reports.by_day(month, Some(&user.id)).await?;
    let summary = Summary::new(month, &days, &reports.now());
    let models = reports.by_model(month, Some(&user.id)).await?;
    Ok(Json(json!({ "summary": summary, "days": days, "models": models })))
}

#[derive(Deserialize)]
pub(super) struct Before {
    before: Option<String>,
}

/// `GET /api/v1/usage/calls`: the newest, or those before `?before=` an id.
pub(super) async fn calls(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(Before { before }): Query<Before>,
) -> Result<Json<CallsPage>, ApiError> {
    reports.catch_up().await;
    Ok(Json(reports.calls(before.as_deref()).await?))
}

/// Answers with a file of a month for a spreadsheet.
fn csv(name: &str, month: Month, body: Body) -> Response {
    let name = format!("attachment; filename=\"{name}-{month}.csv\"");
    ([(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)], body)
        .into_response()
}

/// `GET /api/v1/usage/rows.csv`: each generation of a month.
pub(super) async fn rows_csv(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Response, ApiError> {
    let month = period.month(&reports).await?;
    Ok(csv("usage-rows", month, Body::from_stream(reports.rows_csv(month, None))))
}

/// `GET /api/v1/usage/sums.csv`: the sums of each person with each model.
pub(super) async fn sums_csv(
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Response, ApiError> {
    let month = period.month(&reports).await?;
    let groups = reports.groups(month, None).await?;
    Ok(csv("usage-sums", month, usage::sums_csv(&groups, &reports.accounts().await?).into()))
}

/// `GET /api/v1/usage/me/rows.csv`: each generation of the caller.
pub(super) async fn own_rows_csv(
    State(reports): State<UsageReports>,
    UsageAccess(user): UsageAccess,
    Query(period): Query<Period>,
) -> Result<Response, ApiError> {
    let month = period.month(&reports).await?;
    Ok(csv("usage-rows", month, Body::from_stream(reports.rows_csv(month, Some(user.id)))))
}
