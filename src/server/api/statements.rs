//! The JSON routes of statements, for the client: prices alone.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use mai_contract::statement::StatementReport;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{UrlPath, UrlQuery};
use crate::auth::ReportAccess;
use crate::statement::{self, Audience, Statements};
use crate::usage::Month;
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/usage/statements", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/api/v1/usage/statements/{month}", handler: || get(show) },
];

/// `GET /api/v1/usage/statements`: the closed months, the newest first.
pub(super) async fn list(State(statements): State<Statements>, _: ReportAccess) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({ "months": statements.months().await? })))
}

/// `GET /api/v1/usage/statements/2026-11`: a statement as JSON, or with `?format=csv` as a table.
pub(super) async fn show(
    State(statements): State<Statements>,
    _: ReportAccess,
    UrlPath(month): UrlPath<String>,
    UrlQuery(format): UrlQuery<Format>,
) -> Result<Response, ApiError> {
    let report = statements.of(month.parse::<Month>()?, Audience::Client).await?;
    Ok(format.response(&report, Audience::Client))
}

/// The format of a statement.
#[derive(Debug, Deserialize)]
pub(super) struct Format {
    #[serde(default)]
    format: Kind,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    #[default]
    Json,
    Csv,
}

impl Format {
    /// Returns a statement in this format.
    pub(super) fn response(&self, report: &StatementReport, audience: Audience) -> Response {
        match self.format {
            Kind::Json => Json(report).into_response(),
            Kind::Csv => {
                let name = format!("attachment; filename=\"statement-{}.csv\"", report.month);
                let headers =
                    [(header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (header::CONTENT_DISPOSITION, name)];
                (headers, statement::csv(report, audience)).into_response()
            }
        }
    }
}
