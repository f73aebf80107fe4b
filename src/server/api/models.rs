//! `GET /api/models`: the models in OpenAI's and Open WebUI's shape at once.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::Method;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Endpoint;
use crate::auth::CurrentUser;
use crate::models::{Models, OfferedModel, Upstream};

/// The routes of this file.
pub(super) const ROUTES: &[Endpoint] = &[
    Endpoint { method: Method::GET, path: "/api/models", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/api/v1/models", handler: || get(list) },
    Endpoint { method: Method::GET, path: "/v1/models", handler: || get(list) },
];

#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    refresh: bool,
}

/// Lists the models; `?refresh=true` fetches them again.
pub(super) async fn list(State(models): State<Models>, _: CurrentUser, Query(options): Query<Options>) -> Json<Value> {
    let catalogue = if options.refresh { models.reload().await } else { models.list().await };
    let data: Vec<Value> = catalogue.models().iter().map(describe).collect();
    Json(json!({ "object": "list", "data": data }))
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
