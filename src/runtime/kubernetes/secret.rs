//! The Secret with the values a server is told, made anew for each set of them.
//!
//! Its name holds a hash of what it holds and it cannot be changed, so a rotated value is another pod template, and what was replaced
//! keeps the values it was started with. The hash covers the random session key as well, so it gives nothing away about the others.

use std::collections::BTreeMap;

use mai_contract::files::SECRETS_FILE_NAME;
use mai_contract::secrets_file;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::live::Live;
use crate::cluster::names;
use crate::core::{InstanceId, SecretDelivery, Workload, hash_texts};

/// The secret values of a workload and the name of the Secret that holds them.
pub(super) struct Values {
    /// Name of the Secret.
    pub(super) name: String,
    content: BTreeMap<String, SecretString>,
}

impl Values {
    pub(super) fn of(workload: &Workload) -> Self {
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

    /// Whether the pods of a Deployment read these.
    pub(super) fn are_read_by(&self, id: &InstanceId, deployment: &Live) -> bool {
        secret_of(id, &deployment.object["spec"]["template"]).as_ref() == Some(&self.name)
    }

    /// The Secret.
    pub(super) fn object(&self, workload: &Workload) -> Value {
        let data: BTreeMap<&String, &str> =
            self.content.iter().map(|(name, value)| (name, value.expose_secret())).collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": names::owned(&workload.id, &self.name),
            "type": "Opaque",
            "immutable": true,
            "stringData": data,
        })
    }
}

/// What the names of all such Secrets of an instance begin with.
fn prefix(id: &InstanceId) -> String {
    format!("mai-{}-env-", id.name)
}

/// The Secret of ours that a pod template reads.
pub(super) fn secret_of(id: &InstanceId, template: &Value) -> Option<String> {
    let ours = prefix(id);
    let volumes = template["spec"]["volumes"].as_array().into_iter().flatten();
    let mounted = volumes.filter_map(|volume| volume["secret"]["secretName"].as_str());
    let variables = template["spec"]["containers"][0]["env"].as_array().into_iter().flatten();
    let read = variables.filter_map(|variable| variable["valueFrom"]["secretKeyRef"]["name"].as_str());
    mounted.chain(read).find(|name| name.starts_with(&ours)).map(str::to_owned)
}
