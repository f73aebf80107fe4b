//! The routes of the reconciler.

use axum::{Json, extract::State, http::Method, routing::get};
use mai_contract::{Counts, http};

use crate::auth::ReconcilerAccess;
use crate::counts::InstanceCounts;
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] =
    &[Endpoint { method: Method::GET, path: http::COUNTS_PATH, handler: || get(counts) }];

/// `GET /internal/counts`: numbers, and nothing of names, addresses or content.
pub(super) async fn counts(
    _: ReconcilerAccess,
    State(counts): State<InstanceCounts>,
) -> Result<Json<Counts>, ApiError> {
    Ok(Json(counts.read().await?))
}
