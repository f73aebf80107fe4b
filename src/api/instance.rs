//! `MaiInstance`: what a provider writes for one client company.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::{
    Access, Backup, Expose, Health, MaiInstanceStatus, Ollama, OpenRouter, Privacy, Resources, RestoreSource, Server,
    Storage, Upgrade,
};

/// One client company's private AI assistant: the workload, its volumes, its address, its secrets
/// and its backups are kept as declared here.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "mai.dev",
    version = "v1alpha1",
    kind = "MaiInstance",
    plural = "maiinstances",
    shortname = "mai",
    category = "mai",
    namespaced,
    status = "MaiInstanceStatus",
    derive = "PartialEq",
    selectable = ".spec.expose.host",
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#, description = "The instance answers its people"),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Reason of the Ready condition"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version", description = "Version of the server that runs"),
    printcolumn(name = "Users", type_ = "integer", json_path = ".status.usage.accounts", description = "Living accounts"),
    printcolumn(name = "Spend", type_ = "string", json_path = ".status.usage.costUsd", description = "Known cost of the month at the upstream, in USD"),
    printcolumn(name = "Price", type_ = "string", json_path = ".status.usage.priceUsd", description = "Price of the month that the client is billed, in USD", priority = 1),
    printcolumn(name = "Address", type_ = "string", json_path = ".status.address", description = "Where people open it"),
    printcolumn(name = "Backup", type_ = "date", json_path = ".status.backup.lastVerified", description = "Age of the newest verified backup"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    validation = kube::core::Rule::new("self.metadata.name.size() <= 40 && self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("metadata.name must be at most 40 lower-case letters, digits and dashes, start with a letter and end with a letter or digit; it names containers, volumes and services"),
    validation = kube::core::Rule::new("!has(self.spec.restoreFrom) || !has(oldSelf.spec.restoreFrom) || self.spec.restoreFrom == oldSelf.spec.restoreFrom || !has(oldSelf.status) || !has(oldSelf.status.restore) || (oldSelf.status.restore.cause == 'NewInstance' && oldSelf.status.restore.step != 'Completed')")
        .message("spec.restoreFrom was used and cannot change; remove it, and bring data back with a MaiRestore or mai restore")
)]
#[x_kube(
    validation = kube::core::Rule::new("!(has(self.openRouter) && self.openRouter.mock && has(self.ollama))")
        .message("openRouter.mock answers every model itself: remove ollama or set openRouter.mock to false"),
    validation = kube::core::Rule::new("!(has(self.openRouter) && self.openRouter.mock && self.server.kind == 'OpenWebUI')")
        .message("openRouter.mock is part of mai's own server: set server.kind to Mai, or openRouter.mock to false"),
    validation = kube::core::Rule::new("!(has(self.openRouter) && (has(self.openRouter.markup) || has(self.openRouter.creditFee) || (has(self.openRouter.monthlyLimitUsd) && !has(self.openRouter.managementKeySecretRef))) && self.server.kind == 'OpenWebUI')")
        .message("openRouter.markup, creditFee and monthlyLimitUsd have no effect with server.kind OpenWebUI, which knows no prices; remove them"),
    validation = kube::core::Rule::new("!has(self.privacy) || self.server.kind != 'OpenWebUI'")
        .message("privacy has no effect with server.kind OpenWebUI, which has no such settings; remove it"),
    validation = kube::core::Rule::new("!has(self.privacy) || !has(self.openRouter) || self.openRouter.mock || !(self.privacy.zdr || self.privacy.noTraining || has(self.privacy.region)) || self.openRouter.baseUrl.matches('^https://' + (has(self.privacy.region) ? '(eu[.])?' : '([a-z]+[.])?') + 'openrouter[.]ai(/|$)')")
        .message("privacy.zdr, noTraining and region are kept by OpenRouter alone: set openRouter.baseUrl to https://openrouter.ai/api/v1, or remove them"),
    validation = kube::core::Rule::new("!(self.deletionPolicy != 'Retain' && self.server.kind == 'Custom')")
        .message("deletionPolicy Delete and Snapshot are refused for server.kind Custom: where such an image keeps other data is not known; use Retain"),
    validation = kube::core::Rule::new("!(self.deletionPolicy == 'Snapshot' && has(self.backup) && has(self.backup.encryption) && !has(self.backup.encryption.identitySecretRef))")
        .message("deletionPolicy Snapshot needs a backup that can be verified: declare backup.encryption.identitySecretRef, or use Retain"),
    validation = kube::core::Rule::new("!(self.server.kind == 'OpenWebUI' && self.access.maxUsers != 20)")
        .message("access.maxUsers has no effect with server.kind OpenWebUI: Open WebUI does not limit accounts; remove it"),
    validation = kube::core::Rule::new("!has(self.restoreFrom) || self.restoreFrom.destination == 'backups' || (has(self.backup) && has(self.backup.destinations) && self.backup.destinations.exists(d, d.name == self.restoreFrom.destination))")
        .message("restoreFrom.destination must be the name of one of backup.destinations, or backups, the backups volume"),
    validation = kube::core::Rule::new("!has(self.restoreFrom) || has(oldSelf.restoreFrom)")
        .message("restoreFrom cannot be added to an instance that exists: it makes a new one; bring data back with a MaiRestore or mai restore")
)]
pub struct MaiInstanceSpec {
    /// The company's name as its people see it, in the pages and in mail. 1 to 80 characters.
    #[x_kube(validation = kube::core::Rule::new("self.size() >= 1 && self.size() <= 80").message("displayName must have 1 to 80 characters"))]
    #[schemars(length(max = 200))]
    pub display_name: String,

    /// Container image of the server, with a tag or digest. Not used by the process runtime, which
    /// runs its own binary.
    #[serde(default = "default_image")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[a-z0-9][a-zA-Z0-9._/:@-]*$')").message("image must be an image reference such as mai-production:1.4.0 or registry.example.com/mai@sha256:..."))]
    #[schemars(length(max = 512))]
    pub image: String,

    /// Pull policy of the image. `Always` also follows a tag that moves.
    #[serde(default)]
    pub image_pull_policy: PullPolicy,

    /// Names of Secrets of type kubernetes.io/dockerconfigjson, with logins at registries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub image_pull_secrets: Vec<String>,

    /// The program inside the instance and its environment.
    #[serde(default)]
    pub server: Server,

    /// Who may have an account.
    #[serde(default)]
    pub access: Access,

    /// The upstream that answers: OpenRouter, or any endpoint that speaks its dialect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_router: Option<OpenRouter>,

    /// A local Ollama, in addition to OpenRouter or instead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ollama: Option<Ollama>,

    /// Rules for what the upstream does with what people write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privacy: Option<Privacy>,

    /// Volumes of the instance. They outlive it unless deletionPolicy says otherwise.
    #[serde(default)]
    pub storage: Storage,

    /// CPU and memory, reserved and at most.
    #[serde(default)]
    pub resources: Resources,

    /// Where the instance can be reached.
    #[serde(default)]
    pub expose: Expose,

    /// Readiness probe, and the failures after which a server counts as unhealthy.
    #[serde(default)]
    pub health: Health,

    /// Scheduled backups. Absent means none are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,

    /// Backup from which a new instance gets its data, before its server is started for the first
    /// time. It is not read again, and may be removed afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_from: Option<RestoreSource>,

    /// Behaviour when the image changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<Upgrade>,

    /// Stops the workload and keeps everything else; false starts it again.
    #[serde(default)]
    pub suspend: bool,

    /// Fate of the volumes when the document is removed.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl MaiInstanceSpec {
    /// The smallest spec, with every default.
    pub fn named(display_name: &str) -> Self {
        Self {
            display_name: display_name.to_owned(),
            image: default_image(),
            image_pull_policy: PullPolicy::default(),
            image_pull_secrets: Vec::new(),
            server: Server::default(),
            access: Access::default(),
            open_router: None,
            ollama: None,
            privacy: None,
            storage: Storage::default(),
            resources: Resources::default(),
            expose: Expose::default(),
            health: Health::default(),
            backup: None,
            restore_from: None,
            upgrade: None,
            suspend: false,
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

/// Pull policy of an image.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PullPolicy {
    /// Pull when the engine does not have it.
    #[default]
    IfNotPresent,
    /// Pull at every start, and check at an interval whether the tag has moved.
    Always,
    /// Use what the engine has.
    Never,
}

/// Fate of an instance's volumes when its document is removed.
#[derive(Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The workload is removed; data and backups stay, and a document of the same name uses them
    /// again.
    #[default]
    Retain,
    /// The data is removed after a last backup of it was made and verified. All backups stay.
    Snapshot,
    /// Data and backups are removed with the workload.
    Delete,
}

fn default_image() -> String {
    "mai-production:latest".to_owned()
}
