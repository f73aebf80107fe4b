//! `spec.server`: the program inside the instance.

use kube::KubeSchema;
use mai_contract::files::DATABASE;
use serde::{Deserialize, Serialize};
use strum::AsRefStr;

use super::SecretRef;

/// The program inside the instance and its environment.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("!has(self.trustedProxies) || size(self.trustedProxies) == 0 || self.kind != 'OpenWebUI'").message("server.trustedProxies has no effect on Open WebUI, which has no setting for it; remove it"),
    validation = kube::core::Rule::new("!has(self.allowedUpstreamNetworks) || size(self.allowedUpstreamNetworks) == 0 || self.kind != 'OpenWebUI'").message("server.allowedUpstreamNetworks has no effect on Open WebUI, which calls any address; remove it"),
    validation = kube::core::Rule::new("!has(self.corsAllowedOrigins) || size(self.corsAllowedOrigins) == 0 || self.kind != 'OpenWebUI'").message("server.corsAllowedOrigins has no effect on Open WebUI; set CORS_ALLOW_ORIGIN in server.env, with its own address among the origins"),
    validation = kube::core::Rule::new("!has(self.timeZone) || self.kind != 'OpenWebUI'").message("server.timeZone has no effect on Open WebUI, which counts no usage; remove it")
)]
pub struct Server {
    /// Program in the image. It cannot change afterwards, since each has its own database.
    #[serde(default)]
    #[x_kube(validation = kube::core::Rule::new("self == oldSelf").message("server.kind cannot change: each kind has its own database; create another instance"))]
    pub kind: ServerKind,

    /// `prod` for clients; `dev` serves the interactive API pages and more detailed errors.
    #[serde(default)]
    pub environment: Environment,

    /// Language of the pages for people who have not chosen one. Absent: the language that the
    /// browser prefers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<Locale>,

    /// Further environment variables, after those the instance sets itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(
        merge_strategy = kube::core::ListMerge::Map(vec!["name".into()]),
        validation = kube::core::Rule::new("self.all(e, !(e.name in ['PORT', 'HOST', 'DATA_DIR', 'WEBUI_SECRET_KEY', 'WEBUI_NAME', 'OPENAI_API_KEY', 'MAI_EXIT_WITH_STDIN']))")
            .message("server.env may not set PORT, HOST, DATA_DIR, WEBUI_NAME, WEBUI_SECRET_KEY, OPENAI_API_KEY or MAI_EXIT_WITH_STDIN: fields of the spec set them")
    )]
    #[schemars(length(max = 64))]
    pub env: Vec<EnvVar>,

    /// Addresses and networks of the reverse proxies in front of the server, such as `10.42.0.0/16`.
    /// Their `X-Forwarded-For` says where a sign-in comes from, their `X-Forwarded-Proto` and `-Host`
    /// how people reach it; those of anybody else are ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(
        merge_strategy = kube::core::ListMerge::Set,
        validation = kube::core::Rule::new("self.all(p, p.matches('^[0-9A-Fa-f:.]+(/[0-9]+)?$'))")
            .message("server.trustedProxies takes IP addresses and networks such as 10.42.0.0/16")
    )]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub trusted_proxies: Vec<String>,

    /// Networks in which an upstream may be that an admin of the client enters in the pages, such as
    /// `10.1.0.0/16`. Public addresses are always allowed, and the upstreams that stand in this
    /// document; others are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(
        merge_strategy = kube::core::ListMerge::Set,
        validation = kube::core::Rule::new("self.all(n, n.matches('^[0-9A-Fa-f:.]+(/[0-9]+)?$'))")
            .message("server.allowedUpstreamNetworks takes IP addresses and networks such as 10.1.0.0/16")
    )]
    #[schemars(length(max = 32), inner(length(max = 64)))]
    pub allowed_upstream_networks: Vec<String>,

    /// Origins whose pages may call the API in a browser, such as `https://app.example.com`; `*` allows
    /// any. They need an API key: the cookies of people who are signed in never count for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[x_kube(
        merge_strategy = kube::core::ListMerge::Set,
        validation = kube::core::Rule::new("self.all(o, o == '*' || o.matches('^[A-Za-z][A-Za-z0-9+.-]*://[^ /?#@*,]+$'))")
            .message("server.corsAllowedOrigins takes origins such as https://app.example.com, without a path, or * for any")
    )]
    #[schemars(length(max = 32), inner(length(max = 300)))]
    pub cors_allowed_origins: Vec<String>,

    /// IANA time zone of the client, such as `Europe/Warsaw`: its midnights divide the days and months
    /// of usage. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[A-Za-z]+([_+-][A-Za-z0-9]+)*(/[A-Za-z0-9_+-]+)*$')").message("server.timeZone must be an IANA name such as Europe/Warsaw"))]
    #[schemars(length(max = 64))]
    pub time_zone: Option<String>,

    /// The key that signs sessions and seals stored keys. Absent: generated once and stored outside
    /// the data volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<SecretRef>,
}

/// One environment variable: a value, or a reference to a Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = kube::core::Rule::new("has(self.value) != has(self.secretRef)").message("an environment variable needs either value or secretRef")
)]
pub struct EnvVar {
    /// Name of the variable.
    #[x_kube(validation = kube::core::Rule::new("self.matches('^[A-Za-z_][A-Za-z0-9_]*$')").message("must be letters, digits and underscores, and not start with a digit"))]
    #[schemars(length(max = 128))]
    pub name: String,

    /// Its value, if it is not secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,

    /// The Secret with its value, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// Program in the image.
#[derive(Serialize, Deserialize, schemars::JsonSchema, strum::AsRefStr, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServerKind {
    /// `mai serve`.
    #[default]
    Mai,
    /// Open WebUI's own image.
    OpenWebUI,
    /// Another image that keeps the same contract.
    Custom,
}

impl ServerKind {
    /// Returns the name of the database that the data of such a server has, where it is known.
    pub fn database(self) -> Option<&'static str> {
        match self {
            Self::Mai => Some(DATABASE),
            Self::OpenWebUI => Some("webui.db"),
            Self::Custom => None,
        }
    }
}

/// Purpose of the server; as text, the value of `ENV`.
#[derive(AsRefStr, Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Environment {
    /// For clients.
    #[default]
    Prod,
    /// For trying out.
    Dev,
}

/// Language of the pages; as text, the value of `DEFAULT_LOCALE`.
#[derive(AsRefStr, Serialize, Deserialize, schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Locale {
    /// English.
    En,
    /// Polish.
    Pl,
}
