//! Record of what webhooks were told, in a ConfigMap of the operator's namespace.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde_json::json;

use crate::cluster::{error_message, names};
use crate::core::{NotificationRecord, Notified, RecordError};

/// Name of the ConfigMap.
const NAME: &str = "mai-operator-notifications";
/// Its only key.
const KEY: &str = "notified.json";

/// The record of webhooks in a cluster.
pub(super) struct ClusterNotified {
    api: Api<ConfigMap>,
}

impl ClusterNotified {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace) }
    }
}

impl NotificationRecord for ClusterNotified {
    async fn load_notified(&self) -> Result<Notified, RecordError> {
        let failed = |message: String| RecordError(format!("ConfigMap {NAME} could not be read: {message}"));
        let found = self.api.get_opt(NAME).await.map_err(|error| failed(error_message(&error)))?;
        let text = found.and_then(|found| found.data).and_then(|mut data: BTreeMap<_, String>| data.remove(KEY));
        let notified = text.map(|text| serde_json::from_str(&text)).transpose();
        Ok(notified
            .map_err(|error| failed(format!("{error}; delete it, and everything is told again")))?
            .unwrap_or_default())
    }

    async fn put_notified(&self, notified: &Notified) -> Result<(), RecordError> {
        let failed = |message: String| RecordError(format!("ConfigMap {NAME} could not be written: {message}"));
        let text = serde_json::to_string(notified).map_err(|error| failed(error.to_string()))?;
        let object = json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": names::FIELD_MANAGER}},
            "data": {KEY: text},
        });
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        let put = self.api.patch(NAME, &params, &Patch::Apply(object)).await;
        put.map(drop).map_err(|error| failed(error_message(&error)))
    }
}
