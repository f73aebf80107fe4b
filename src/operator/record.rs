//! A cluster as the loop's record: the status subresource, events, and a Secret for the key made for an instance's sessions.

use k8s_openapi::api::core::v1::{ObjectReference, Secret};
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::events::{Event, EventType, Recorder, Reporter};
use rand::RngCore;
use secrecy::SecretString;
use serde_json::json;

use crate::api::{API_VERSION, MaiInstance, MaiInstanceStatus};
use crate::cluster::{error_message, names};
use crate::core::{EventKind, InstanceId, Memory, Record, RecordError, RecordSnapshot};

/// Key of the session key in its Secret.
const KEY: &str = "session-key";
/// Longest note of an event, as the API server has it.
const NOTE: usize = 1000;

/// Where the loop keeps things in a cluster.
pub(crate) struct ClusterRecord {
    client: Client,
    recorder: Recorder,
}

impl ClusterRecord {
    pub(crate) fn new(client: Client, pod: String) -> Self {
        let reporter = Reporter { controller: names::FIELD_MANAGER.to_owned(), instance: Some(pod) };
        Self { recorder: Recorder::new(client.clone(), reporter), client }
    }

    async fn session_key(&self, instance: &MaiInstance, id: &InstanceId, make: bool) -> Result<SecretString, String> {
        let name = names::session(id);
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &id.namespace);
        let failed =
            |error: kube::Error| format!("the session key in Secret {name} cannot be had: {}", error_message(&error));
        // An instance that was never looked after has none as a rule, so it need not be looked for first.
        let is_new = instance.status.is_none();
        let mut found = if is_new && make { None } else { api.get_opt(&name).await.map_err(failed)? };
        if found.is_none() && make {
            let mut bytes = [0_u8; 32];
            rand::rng().fill_bytes(&mut bytes);
            let secret = serde_json::from_value(json!({
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": names::kept(id, &name),
                "type": "Opaque",
                "stringData": {KEY: hex::encode(bytes)},
            }));
            let secret = secret.map_err(|error| error.to_string())?;
            found = match api.create(&kube::api::PostParams::default(), &secret).await {
                Ok(made) => Some(made),
                // Somebody made it meanwhile: theirs counts.
                Err(kube::Error::Api(status)) if status.code == 409 => api.get_opt(&name).await.map_err(failed)?,
                Err(error) => return Err(failed(error)),
            };
        }
        let Some(found) = found else { return Ok(SecretString::from(String::new())) };
        let value = found.data.as_ref().and_then(|data| data.get(KEY));
        let text = value.and_then(|value| String::from_utf8(value.0.clone()).ok());
        text.map(SecretString::from)
            .ok_or_else(|| format!("Secret {name} has no key {KEY}; remove it to have one made"))
    }
}

impl Record for ClusterRecord {
    async fn load(&self, instance: &MaiInstance, id: &InstanceId, make: bool) -> Result<RecordSnapshot, RecordError> {
        let status = instance.status.clone().unwrap_or_default();
        let memory = Memory { rejected: status.rejected.clone(), ..Memory::default() };
        Ok(RecordSnapshot { status, memory, session_key: self.session_key(instance, id, make).await })
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
            // Its document is gone, or another of that name is there: nobody reads this any more.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(RecordError(error_message(&error))),
        }
    }

    /// All that is remembered is in the status or in the objects; the rest is found again by looking.
    async fn put_memory(&self, _: &InstanceId, _: &Memory) -> Result<(), RecordError> {
        Ok(())
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
