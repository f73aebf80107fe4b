//! The Secret with the values that a server is given, one for each set of them.
//!
//! Its name contains a hash of the values and it is immutable, so a rotated value is another pod
//! template, and a retained template keeps the values it was started with. The hash covers the
//! random session key as well, so it reveals nothing about the others.

use std::collections::BTreeMap;

use mai_contract::files::SECRETS_FILE_NAME;
use mai_contract::secrets_file;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::live_object::LiveObject;
use crate::cluster::names;
use crate::core::{InstanceId, SecretDelivery, Workload, hash_texts};

/// Secret values of a workload, with the name of their Secret.
pub(super) struct SecretValues {
    /// Name of the Secret.
    pub(super) name: String,
    content: BTreeMap<String, SecretString>,
}

impl SecretValues {
    /// Returns the secret values of a workload.
    pub(super) fn from_workload(workload: &Workload) -> Self {
        let values = workload.secret_values();
        let content: BTreeMap<String, SecretString> = match workload.container.secrets {
            SecretDelivery::File => BTreeMap::from([(SECRETS_FILE_NAME.to_owned(), secrets_file::encode(&values))]),
            SecretDelivery::Environment => {
                values.into_iter().map(|(name, value)| (name.to_owned(), value.clone())).collect()
            }
        };
        let texts = content.iter().flat_map(|(name, value)| [name.as_str(), value.expose_secret()]);
        let hash = &hash_texts(texts)[..16];
        Self { name: format!("{}{hash}", prefix(&workload.id)), content }
    }

    /// Returns whether the pods of a Deployment use them.
    pub(super) fn are_used_by(&self, id: &InstanceId, deployment: &LiveObject) -> bool {
        secret_name(id, &deployment.object["spec"]["template"]).as_ref() == Some(&self.name)
    }

    /// Returns the Secret.
    pub(super) fn object(&self, workload: &Workload) -> Value {
        let data: BTreeMap<&String, &str> =
            self.content.iter().map(|(name, value)| (name, value.expose_secret())).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": names::owned_metadata(&workload.id, &self.name),
            "type": "Opaque",
            "immutable": true,
            "stringData": data,
        })
    }
}

/// Returns the prefix of the names of all such Secrets of an instance.
fn prefix(id: &InstanceId) -> String {
    format!("mai-{}-env-", id.name)
}

/// Returns the name of the Secret of its instance that a pod template uses.
pub(super) fn secret_name(id: &InstanceId, template: &Value) -> Option<String> {
    let ours = prefix(id);
    let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
    let mounted = volumes.filter_map(|volume| volume["secret"]["secretName"].as_str());
    let variables = template["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    let read = variables.filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str());
    mounted.chain(read).find(|name| name.starts_with(&ours)).map(str::to_owned)
}
