//! The routes of the reconciler.

use axum::{Json, extract::State, http::Method, response::Response, routing::get};
use mai_contract::{BilledDays, Counts, http};

use super::statements::Format;
use super::{UrlPath, UrlQuery};
use crate::auth::ReconcilerAccess;
use crate::counts::InstanceCounts;
use crate::statement::{Audience, Statements};
use crate::usage::{Month, UsageReports};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: http::COUNTS_PATH, handler: || get(counts) },
    Endpoint { method: Method::GET, path: http::BILLED_DAYS_PATH, handler: || get(billed_days) },
    Endpoint { method: Method::GET, path: "/internal/statements/{month}", handler: || get(statement) },
];

/// `GET /internal/counts`: numbers, and nothing of names, addresses or content.
pub(super) async fn counts(
    _: ReconcilerAccess,
    State(counts): State<InstanceCounts>,
) -> Result<Json<Counts>, ApiError> {
    Ok(Json(counts.read().await?))
}

/// `GET /internal/billed-days`: the cost of each day and model, for a comparison with the upstream's bill.
pub(super) async fn billed_days(
    _: ReconcilerAccess,
    State(reports): State<UsageReports>,
) -> Result<Json<BilledDays>, ApiError> {
    Ok(Json(reports.billed_days().await?))
}

/// `GET /internal/statements/2026-11`: a statement with cost and margin, as JSON or with `?format=csv`.
pub(super) async fn statement(
    _: ReconcilerAccess,
    State(statements): State<Statements>,
    UrlPath(month): UrlPath<String>,
    UrlQuery(format): UrlQuery<Format>,
) -> Result<Response, ApiError> {
    let report = statements.of(month.parse::<Month>()?, Audience::Provider).await?;
    Ok(format.response(&report, Audience::Provider))
}
