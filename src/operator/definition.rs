//! Compares the definition of instances in the cluster with that of this version. Where it is older,
//! the API server refuses every status with a field that it does not know.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use serde_json::Value;

use super::http::Health;
use crate::api;

/// Interval between two comparisons until the definition is current.
const INTERVAL: Duration = Duration::from_secs(5);
/// Schemas of the group, which every account may read.
const SCHEMAS: &str = "/openapi/v3/apis/mai.dev/v1alpha1";
const INSTANCE: &str = "dev.mai.v1alpha1.MaiInstance";

/// Tells what the definition in the cluster lacks, until it lacks nothing.
pub(super) async fn check(client: Client, health: Arc<Health>) {
    let mut told = None;
    loop {
        let outdated = missing_fields(&client).await.and_then(|missing| sentence(&missing));
        if let Some(sentence) = outdated.as_ref().filter(|sentence| told.as_ref() != Some(*sentence)) {
            tracing::error!("{sentence}");
        }
        health.set_outdated(outdated.clone());
        if outdated.is_none() && health.is_listed() {
            return;
        }
        told = outdated;
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns the fields of the status that the cluster does not know; `None` where it does not show its
/// schemas, or none of instances, which is told elsewhere.
async fn missing_fields(client: &Client) -> Option<BTreeSet<String>> {
    let request = http::Request::get(SCHEMAS).body(Vec::new()).ok()?;
    let served: Value = client.request(request).await.ok()?;
    let served = status_fields(&served["components"]["schemas"][INSTANCE])?;
    let definition = api::crd().ok()?;
    let ours = status_fields(&definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"])?;
    Some(ours.difference(&served).cloned().collect())
}

/// Returns the fields of the status in a schema; `None` where it declares none and takes anything.
fn status_fields(schema: &Value) -> Option<BTreeSet<String>> {
    let fields = schema["properties"]["status"]["properties"].as_object()?;
    Some(fields.keys().cloned().collect())
}

fn sentence(missing: &BTreeSet<String>) -> Option<String> {
    let missing: Vec<String> = missing.iter().map(|field| format!("status.{field}")).collect();
    (!missing.is_empty()).then(|| {
        format!(
            "the definition of maiinstances.mai.dev in the cluster is older than this operator and has no {}; apply crds/maiinstances.yaml",
            missing.join(", ")
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn missing_fields_of_a_status_are_named_with_the_remedy() {
        let schema = |fields: Value| json!({"properties": {"status": {"properties": fields}}});
        let ours = status_fields(&api::crd().unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]).unwrap();
        assert!(ours.contains("backup") && ours.contains("conditions"), "{ours:?}");
        let old = status_fields(&schema(json!({"conditions": {}, "former": {}}))).unwrap();
        let missing: BTreeSet<String> = ours.difference(&old).cloned().collect();
        let text = sentence(&missing).unwrap();
        assert!(text.contains("has no status.") && text.contains("status.backup"), "{text}");
        assert!(!text.contains("status.conditions") && text.ends_with("; apply crds/maiinstances.yaml"), "{text}");
        assert_eq!(sentence(&BTreeSet::new()), None);
        assert_eq!(status_fields(&json!({"x-kubernetes-preserve-unknown-fields": true})), None);
    }
}
