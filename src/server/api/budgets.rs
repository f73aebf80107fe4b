//! `/api/v1/budgets`: limits of what people may spend.

use axum::Json;
use axum::extract::State;
use axum::http::Method;
use axum::routing::{delete, get, post};
use serde_json::{Value, json};

use super::body::{JsonBody, UrlPath};
use crate::auth::{Admin, ReportAccess, UsageAccess};
use crate::usage::{BudgetState, Budgets, Ledger, NewBudget, Raise};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/v1/budgets", handler: || get(list) },
    Endpoint { method: Method::POST, path: "/api/v1/budgets", handler: || post(set) },
    Endpoint { method: Method::GET, path: "/api/v1/budgets/me", handler: || get(me) },
    Endpoint { method: Method::POST, path: "/api/v1/budgets/{id}/raise", handler: || post(raise) },
    Endpoint { method: Method::DELETE, path: "/api/v1/budgets/{id}", handler: || delete(remove) },
];

fn to_json(states: &[BudgetState]) -> Json<Value> {
    let state = |state: &BudgetState| {
        let mut fields = json!(state);
        fields["left_nano_usd"] = json!(state.left());
        fields
    };
    Json(json!({ "budgets": states.iter().map(state).collect::<Vec<_>>() }))
}

/// `GET /api/v1/budgets`: all of them, with what is left of each.
pub(super) async fn list(State(budgets): State<Budgets>, _: ReportAccess) -> Json<Value> {
    to_json(&budgets.all())
}

/// `GET /api/v1/budgets/me`: those that limit the caller.
pub(super) async fn me(State(budgets): State<Budgets>, UsageAccess(user): UsageAccess) -> Json<Value> {
    to_json(&budgets.of_person(&user.id))
}

/// `POST /api/v1/budgets` (admin): sets a budget, in place of one for the same scope, subject and
/// period.
pub(super) async fn set(
    State(budgets): State<Budgets>,
    State(ledger): State<Ledger>,
    Admin(user): Admin,
    JsonBody(body): JsonBody<NewBudget>,
) -> Result<Json<Value>, ApiError> {
    let budget = budgets.set(user.actor(), body).await?;
    ledger.notify();
    Ok(Json(json!(budget)))
}

/// `POST /api/v1/budgets/{id}/raise` (admin): adds an amount for the current period alone.
pub(super) async fn raise(
    State(budgets): State<Budgets>,
    State(ledger): State<Ledger>,
    Admin(user): Admin,
    UrlPath(id): UrlPath<String>,
    JsonBody(body): JsonBody<Raise>,
) -> Result<Json<Value>, ApiError> {
    let budget = budgets.raise(user.actor(), &id, &body).await?;
    ledger.notify();
    Ok(Json(json!(budget)))
}

/// `DELETE /api/v1/budgets/{id}` (admin)
pub(super) async fn remove(
    State(budgets): State<Budgets>,
    State(ledger): State<Ledger>,
    Admin(user): Admin,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<bool>, ApiError> {
    budgets.remove(user.actor(), &id).await?;
    ledger.notify();
    Ok(Json(true))
}
