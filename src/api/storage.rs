//! `spec.storage`: the volumes of an instance.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// Size of the claim for the data when none is declared.
const DATA_SIZE: &str = "10Gi";
/// Size of the claim for the backups when none is declared.
const BACKUPS_SIZE: &str = "20Gi";

/// Volumes of the instance.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Database, uploads and everything else the server keeps.
    #[serde(default = "default_data")]
    pub data: Volume,

    /// Local backups.
    #[serde(default = "default_backups")]
    pub backups: Volume,
}

impl Storage {
    /// Returns the size of the claim for the data.
    pub fn data_size(&self) -> &str {
        self.data.size.as_deref().unwrap_or(DATA_SIZE)
    }

    /// Returns the size of the claim for the backups.
    pub fn backups_size(&self) -> &str {
        self.backups.size.as_deref().unwrap_or(BACKUPS_SIZE)
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { data: default_data(), backups: default_backups() }
    }
}

/// One volume.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("[has(self.hostPath), has(self.volumeName), has(self.storageClassName)].filter(set, set).size() <= 1")
        .message("a volume takes at most one of hostPath, volumeName and storageClassName")
)]
pub struct Volume {
    /// Size of the claim, such as 10Gi (Kubernetes). It may grow and never shrink. Absent: 10Gi for
    /// the data and 20Gi for the backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = kube::core::Rule::new("isQuantity(self) && quantity(self).isGreaterThan(quantity('0'))").message("a volume's size must be a quantity above 0 such as 10Gi"),
        validation = kube::core::Rule::new("!isQuantity(self) || !isQuantity(oldSelf) || quantity(self).compareTo(quantity(oldSelf)) >= 0").message("a volume's size may grow and never shrink")
    )]
    #[schemars(length(max = 32))]
    pub size: Option<String>,

    /// An existing directory of the host, absolute (Docker and process runtimes).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.startsWith('/') && self != '/' && !self.matches('(^|/)[.][.](/|$)')").message("hostPath must be an absolute path without .. and not the root"))]
    #[schemars(length(max = 1024))]
    pub host_path: Option<String>,

    /// An existing named volume of the engine, or an existing claim of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-zA-Z0-9][-a-zA-Z0-9_.]*$')").message("volumeName must be letters, digits, dots, dashes and underscores"))]
    #[schemars(length(max = 253))]
    pub volume_name: Option<String>,

    /// Storage class of the claim (Kubernetes). It cannot change afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self == oldSelf").message("storageClassName cannot change after the claim was made"))]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,
}

fn default_data() -> Volume {
    Volume { size: Some(DATA_SIZE.to_owned()), host_path: None, volume_name: None, storage_class_name: None }
}

fn default_backups() -> Volume {
    Volume { size: Some(BACKUPS_SIZE.to_owned()), ..default_data() }
}
