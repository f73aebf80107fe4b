//! `GET /api/models`: the models in OpenAI's and Open WebUI's shape at once.

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::catalogue::{self, OfferedModel};
use super::upstreams::Upstream;
use crate::App;
use crate::auth::CurrentUser;

#[derive(Deserialize)]
pub(super) struct Options {
    #[serde(default)]
    refresh: bool,
}

/// `?refresh=true` asks the upstreams anew.
pub(super) async fn list(State(app): State<App>, _: CurrentUser, Query(options): Query<Options>) -> Json<Value> {
    let catalogue = if options.refresh { catalogue::reload(&app).await } else { catalogue::list(&app).await };
    let models: Vec<Value> = catalogue.models().iter().map(describe).collect();
    Json(json!({ "object": "list", "data": models }))
}

/// All the upstream says, plus what OpenAI's clients and Open WebUI's look for.
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
