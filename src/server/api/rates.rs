//! The JSON routes of exchange rates.

use axum::extract::{Query, State};
use axum::http::{Method, StatusCode};
use axum::{
    Json,
    routing::{get, post},
};
use serde::Deserialize;

use super::JsonBody;
use crate::auth::{Admin, ReportAccess};
use crate::rates::{MonthRate, Rate, RateSource, Rates};
use crate::usage::{Month, UsageReports};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/usage/rate", handler: || get(show) },
    Endpoint { method: Method::POST, path: "/api/v1/usage/rate", handler: || post(save) },
];

#[derive(Deserialize)]
pub(super) struct Period {
    month: Option<String>,
}

/// `GET /api/v1/usage/rate?month=2026-11`: the rate of a month, without one that of the current.
pub(super) async fn show(
    State(rates): State<Rates>,
    State(reports): State<UsageReports>,
    _: ReportAccess,
    Query(period): Query<Period>,
) -> Result<Json<MonthRate>, ApiError> {
    let month = match period.month.as_deref() {
        None | Some("") => reports.current_month(),
        Some(text) => text.parse::<Month>()?,
    };
    let unknown = || {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "No exchange rate is known yet. It is fetched from NBP after the first use of a model, or can be typed in.",
        )
        .code("unknown_rate")
    };
    rates.for_month(month).map(Json).ok_or_else(unknown)
}

/// A rate as somebody types it in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypedRate {
    date: String,
    mid: String,
    table: String,
}

/// `POST /api/v1/usage/rate`: saves a rate where NBP cannot be reached.
pub(super) async fn save(
    State(rates): State<Rates>,
    Admin(user): Admin,
    JsonBody(typed): JsonBody<TypedRate>,
) -> Result<Json<Rate>, ApiError> {
    let rate = Rate::parse(RateSource::Manual, &typed.date, &typed.mid, &typed.table)
        .map_err(crate::rates::RateError::from)?;
    rates.save_typed(rate.clone(), user.actor()).await?;
    Ok(Json(rate))
}
