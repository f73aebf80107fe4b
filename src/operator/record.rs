//! Status, events and session keys of instances, stored in the cluster.

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use rand::RngCore;
use secrecy::SecretString;
use serde_json::json;

use crate::api::{API_VERSION, ConditionKind, MaiInstance, MaiInstanceStatus};
use crate::cluster::{ApiFailure, classify, error_message, names};
use crate::core::{EventKind, InstanceId, KeyRecord, Memory, Record, RecordError, RecordSnapshot};

/// Key of the session key in its Secret.
const KEY: &str = "session-key";
/// Key of the record in the Secret with the keys of the upstream.
const KEYS: &str = "keys.json";
/// Longest note of an event that the API server accepts.
const NOTE: usize = 1000;

/// The record of the reconciler in a cluster.
pub(crate) struct ClusterRecord {
    client: Client,
    recorder: Recorder,
}

impl ClusterRecord {
    pub(crate) fn new(client: Client, pod: String) -> Self {
        let reporter = Reporter { controller: names::FIELD_MANAGER.to_owned(), instance: Some(pod) };
        Self { recorder: Recorder::new(client.clone(), reporter), client }
    }

    async fn session_key(&self, instance: &MaiInstance, id: &InstanceId, create: bool) -> Result<SecretString, String> {
        let name = names::session_secret(id);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &id.namespace);
        let failed = |error: kube::Error| {
            format!("the session key in Secret {name} could not be read: {}", error_message(&error))
        };
        // A new instance has none as a rule, which saves a request.
        let is_new = instance.status.is_none();
        let mut found = if is_new && create { None } else { api.get_opt(&name).await.map_err(failed)? };
        if found.is_none() && create {
            let mut bytes = [0_u8; 32];
            rand::rng().fill_bytes(&mut bytes);
            let secret = serde_json::from_value(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": names::retained_metadata(id, &name),
                "type": "Opaque",
                "stringData": {KEY: hex::encode(bytes)},
            }));
            let secret = secret.map_err(|error| error.to_string())?;
            found = match api.create(&kube::api::PostParams::default(), &secret).await {
                Ok(created) => Some(created),
                // One that exists is used.
                Err(error) if classify(&error) == ApiFailure::AlreadyExists => {
                    api.get_opt(&name).await.map_err(failed)?
                }
                Err(error) => return Err(failed(error)),
            };
        }
        let Some(found) = found else { return Ok(SecretString::from(String::new())) };
        let value = found.data.as_ref().and_then(|data| data.get(KEY));
        let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
        text.map(SecretString::from)
            .ok_or_else(|| format!("Secret {name} has no key {KEY}; delete it to have a new one created"))
    }
}

impl ClusterRecord {
    /// Returns the keys that were made for an instance. An instance that never declared any is not asked
    /// about.
    async fn keys(&self, instance: &MaiInstance, id: &InstanceId) -> Result<KeyRecord, String> {
        let upstream = instance.spec.open_router.as_ref();
        let is_declared = upstream.is_some_and(|upstream| upstream.management_key_secret_ref.is_some());
        let was_made =
            instance.status.as_ref().is_some_and(|status| status.condition(ConditionKind::KeyHealthy).is_some());
        if !is_declared && !was_made {
            return Ok(KeyRecord::default());
        }
        let name = names::keys_secret(id);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &id.namespace);
        let found = api
            .get_opt(&name)
            .await
            .map_err(|error| format!("the keys in Secret {name} could not be read: {}", error_message(&error)))?;
        // One of a former instance of the name goes with its owner.
        let is_own = |found: &Secret| found.metadata.owner_references.iter().flatten().any(|owner| owner.uid == id.uid);
        let Some(found) = found.filter(is_own) else { return Ok(KeyRecord::default()) };
        let value = found.data.as_ref().and_then(|data| data.get(KEYS));
        let record = value.and_then(|value| serde_json::from_slice(&value.0).ok());
        record.ok_or_else(|| {
            format!("the keys in Secret {name} are not understood by this version of mai; delete it to have another key made")
        })
    }
}

impl Record for ClusterRecord {
    async fn load(&self, instance: &MaiInstance, id: &InstanceId, create: bool) -> Result<RecordSnapshot, RecordError> {
        let status = instance.status.clone().unwrap_or_default();
        let memory = Memory {
            rejected: status.rejected.clone(),
            backup: status.backup.clone().unwrap_or_default(),
            restore: status.restore.clone(),
            image: status.image.clone(),
            upgrade: status.upgrade.clone(),
            ..Memory::default()
        };
        let keys = self.keys(instance, id).await;
        Ok(RecordSnapshot { status, memory, session_key: self.session_key(instance, id, create).await, keys })
    }

    async fn put_status(&self, id: &InstanceId, status: &MaiInstanceStatus) -> Result<(), RecordError> {
        let api: Api<MaiInstance> = Api::namespaced(self.client.clone(), &id.namespace);
        let patch = json!({
            "apiVersion": API_VERSION,
            "kind": "MaiInstance",
            "metadata": {"name": id.name, "uid": id.uid},
            "status": status,
        });
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        match api.patch_status(&id.name, &params, &Patch::Apply(patch)).await {
            Ok(_) => Ok(()),
            Err(error) => match classify(&error) {
                // Its document is gone, or is another one of that name: the status has no reader.
                ApiFailure::NotFound | ApiFailure::NotServed | ApiFailure::Changed => Ok(()),
                _ => Err(RecordError(error_message(&error))),
            },
        }
    }

    /// The memory is in the status and in the objects; the rest is observed again.
    async fn put_memory(&self, _: &InstanceId, _: &Memory) -> Result<(), RecordError> {
        Ok(())
    }

    async fn put_keys(&self, id: &InstanceId, keys: &KeyRecord) -> Result<(), RecordError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &id.namespace);
        let name = names::keys_secret(id);
        let failed = |error: kube::Error| RecordError(format!("Secret {name}: {}", error_message(&error)));
        if *keys == KeyRecord::default() {
            return match api.delete(&name, &DeleteParams::default()).await {
                Err(error) if classify(&error) != ApiFailure::NotFound => Err(failed(error)),
                _ => Ok(()),
            };
        }
        let record = serde_json::to_vec(keys).map_err(|error| RecordError(error.to_string()))?;
        let secret = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": names::owned_metadata(id, &name),
            "type": "Opaque",
            "data": {KEYS: ByteString(record)},
        });
        let params = PatchParams::apply(names::FIELD_MANAGER).force();
        api.patch(&name, &params, &Patch::Apply(secret)).await.map(drop).map_err(failed)
    }

    async fn put_event(
        &self,
        id: &InstanceId,
        kind: EventKind,
        reason: &str,
        message: &str,
    ) -> Result<(), RecordError> {
        let event = Event {
            type_: match kind {
                EventKind::Normal => EventType::Normal,
                EventKind::Warning => EventType::Warning,
            },
            reason: reason.to_owned(),
            note: Some(message[..message.floor_char_boundary(NOTE)].to_owned()),
            action: "Reconcile".to_owned(),
            secondary: None,
        };
        let about = ObjectReference {
            api_version: Some(API_VERSION.to_owned()),
            kind: Some("MaiInstance".to_owned()),
            namespace: Some(id.namespace.clone()),
            name: Some(id.name.clone()),
            uid: Some(id.uid.clone()),
            ..ObjectReference::default()
        };
        self.recorder.publish(&event, &about).await.map_err(|error| RecordError(error_message(&error)))
    }
}
