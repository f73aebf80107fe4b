//! `GET /api/models`: the models in OpenAI's and Open WebUI's shape at once.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::body::{UrlPath, UrlQuery};
use crate::auth::ChatAccess;
use crate::models::{Models, OfferedModel, Upstream};
use crate::{ApiError, Endpoint};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/models", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/api/v1/models", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/v1/models", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/api/models/{*id}", handler: || get(one) },
    Endpoint { method: Method::GET, path: "/api/v1/models/{*id}", handler: || get(one) },
    Endpoint { method: Method::GET, path: "/v1/models/{*id}", handler: || get(one) },
];

#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    refresh: bool,
}

/// Lists the models; `?refresh=true` fetches them again.
pub(super) async fn list(
    State(models): State<Models>,
    _: ChatAccess,
    UrlQuery(options): UrlQuery<Options>,
) -> Json<Value> {
    let catalogue = if options.refresh { models.reload().await } else { models.list().await };
    let data: Vec<Value> = catalogue.models().iter().map(describe).collect();
    Json(json!({ "object": "list", "data": data }))
}

/// Describes one model. Its id may hold slashes, as they are or encoded.
async fn one(
    State(models): State<Models>,
    _: ChatAccess,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, ApiError> {
    let catalogue = models.list().await;
    let model = catalogue.models().iter().find(|model| model.id == id);
    model.map(|model| Json(describe(model))).ok_or_else(|| {
        let sentence = "There is no such model, or it is not allowed here.";
        ApiError::new(StatusCode::NOT_FOUND, sentence).code("model_not_found").param(Some("model"))
    })
}

/// The upstream's description, with the fields that clients of OpenAI and Open WebUI read.
fn describe(model: &OfferedModel) -> Value {
    let mut described = json!({ "id": model.id, "name": model.label });
    if let Value::Object(fields) = &mut described {
        for (name, value) in &model.details {
            fields.entry(name).or_insert_with(|| value.clone());
        }
        fields.insert("object".to_owned(), json!("model"));
        fields
            .insert("owned_by".to_owned(), json!(if model.upstream == Upstream::Ollama { "ollama" } else { "openai" }));
        fields.insert(
            "connection_type".to_owned(),
            json!(if model.upstream == Upstream::Ollama { "local" } else { "external" }),
        );
    }
    described
}
