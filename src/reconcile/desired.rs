//! Derivation of the workload that should run from a document and the values of its secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::environment::environment;
use crate::api::{
    BLOCKED, DOCUMENT_PROBLEM, DOCUMENT_REFUSED, MaiInstance, PullPolicy, Reason, ResourceAmounts, SecretRef,
    ServerKind, Volume, parse_bytes, parse_cpu_millis,
};
use crate::core::{
    Blocked, Claim, Cluster, Container, DOCKER_CONFIG, EnvValue, Exposure, InstanceId, Limits, Platform, Probe, Pull,
    RegistryLogins, SecretDelivery, Workload, hash_texts,
};

/// Secrets that mai makes for an instance.
#[derive(Clone, Debug)]
pub struct Generated {
    /// Signs its sessions, unless the document names another.
    pub session_key: SecretString,
    /// Its key at the upstream, where one was made.
    pub upstream_key: Option<SecretString>,
}

impl Generated {
    /// Returns those of an instance without a key of its own at the upstream.
    pub fn new(session_key: SecretString) -> Self {
        Self { session_key, upstream_key: None }
    }
}

const STOP_GRACE: Duration = Duration::from_secs(15);

/// Returns why the provider's policy lets nothing be started for a document, if it refuses it and
/// there is no other.
pub fn refusal(instance: &MaiInstance) -> Option<String> {
    let annotations = instance.metadata.annotations.as_ref()?;
    annotations.get(DOCUMENT_REFUSED).filter(|state| *state == BLOCKED)?;
    annotations.get(DOCUMENT_PROBLEM).cloned()
}

/// Returns every secret whose change concerns an instance: those of its workload, and the management
/// key, which its workload never gets.
pub(super) fn watched(instance: &MaiInstance, platform: &Platform) -> Vec<SecretRef> {
    let management = instance.spec.open_router.as_ref().and_then(|upstream| upstream.management_key_secret_ref.clone());
    references(instance, platform).into_iter().chain(management).collect()
}

/// Returns every secret whose value the workload of a document needs.
pub fn references(instance: &MaiInstance, platform: &Platform) -> Vec<SecretRef> {
    let spec = &instance.spec;
    let admin = spec.access.admin.iter().map(|admin| &admin.password_secret_ref);
    let key = spec.open_router.iter().filter_map(|upstream| upstream.api_key_secret_ref.as_ref());
    let env = spec.server.env.iter().filter_map(|variable| variable.secret_ref.as_ref());
    let named = admin.chain(key).chain(env).chain(&spec.server.secret_key_ref).cloned();
    let logins = spec.image_pull_secrets.iter().filter(|_| platform.pulls_images);
    named.chain(logins.map(|name| pull_secret(name))).collect()
}

/// Returns the reference that a name in `imagePullSecrets` stands for.
fn pull_secret(name: &str) -> SecretRef {
    SecretRef { name: name.to_owned(), key: Some(DOCKER_CONFIG.to_owned()) }
}

fn registries(instance: &MaiInstance, secrets: &BTreeMap<SecretRef, SecretString>) -> Result<RegistryLogins, Blocked> {
    let mut logins = RegistryLogins::default();
    for name in &instance.spec.image_pull_secrets {
        let wrong =
            |what: String| Blocked::new(Reason::MissingSecret, format!("{DOCKER_CONFIG} of Secret {name} {what}"));
        let value = secrets.get(&pull_secret(name)).ok_or_else(|| wrong("is not known".to_owned()))?;
        logins.add(value).map_err(wrong)?;
    }
    Ok(logins)
}

/// Returns what should run for a document. `secrets` holds a value for each of [`references`];
/// `generated` are those that mai made.
pub fn desired(
    instance: &MaiInstance,
    id: InstanceId,
    secrets: &BTreeMap<SecretRef, SecretString>,
    generated: &Generated,
    platform: &Platform,
) -> Result<Workload, Blocked> {
    let spec = &instance.spec;
    let listen = (platform.listen)(instance)?;
    let env = environment(instance, secrets, generated)?;
    let resources = resources(instance, platform)?;
    let mut workload = Workload {
        id,
        image: spec.image.clone(),
        env,
        listen,
        data_path: spec.storage.data.host_path.as_ref().map(PathBuf::from),
        backups_path: spec.storage.backups.host_path.as_ref().map(PathBuf::from),
        limits: resources.limits,
        probe: probe(instance),
        stop_grace: STOP_GRACE,
        container: container(instance, resources.reserved),
        cluster: cluster(instance),
        registries: if platform.pulls_images { registries(instance, secrets)? } else { RegistryLogins::default() },
        hash: String::new(),
    };
    workload.hash = hash(&workload);
    Ok(workload)
}

/// Returns the readiness probe of an instance.
pub fn probe(instance: &MaiInstance) -> Probe {
    let health = &instance.spec.health;
    let path = health.path(instance.spec.server.kind).to_owned();
    Probe { path, interval: health.interval(), timeout: health.timeout() }
}

/// Returns the settings of a container.
fn container(instance: &MaiInstance, reserved: Limits) -> Container {
    let spec = &instance.spec;
    let ours = spec.server.kind == ServerKind::Mai;
    Container {
        secrets: if ours { SecretDelivery::File } else { SecretDelivery::Environment },
        confined: ours,
        pull: match spec.image_pull_policy {
            PullPolicy::IfNotPresent => Pull::IfNotPresent,
            PullPolicy::Always => Pull::Always,
            PullPolicy::Never => Pull::Never,
        },
        data_volume: spec.storage.data.volume_name.clone(),
        backups_volume: spec.storage.backups.volume_name.clone(),
        networks: spec.expose.networks.clone(),
        labels: spec.expose.labels.clone(),
        reserved,
        start_period: spec.health.start_period(),
    }
}

/// Returns the settings of a cluster.
fn cluster(instance: &MaiInstance) -> Cluster {
    let spec = &instance.spec;
    let claim = |volume: &Volume, size: &str| Claim {
        size: size.to_owned(),
        class: volume.storage_class_name.clone(),
        existing: volume.volume_name.clone(),
    };
    let upstreams = spec.open_router.iter().filter(|upstream| !upstream.mock).map(|upstream| &upstream.base_url);
    let upstreams = upstreams.chain(spec.ollama.iter().map(|ollama| &ollama.base_url));
    let ports = upstreams.filter_map(|url| url::Url::parse(url).ok()?.port_or_known_default());
    Cluster {
        data: claim(&spec.storage.data, spec.storage.data_size()),
        backups: claim(&spec.storage.backups, spec.storage.backups_size()),
        exposure: exposure(instance),
        pull_secrets: spec.image_pull_secrets.clone(),
        retries: u32::try_from(spec.health.retries).unwrap_or(1),
        // The admin may connect OpenRouter in the pages even where the document names no upstream.
        upstream_ports: ports.chain([443]).collect::<BTreeSet<u16>>(),
    }
}

fn exposure(instance: &MaiInstance) -> Option<Exposure> {
    let expose = &instance.spec.expose;
    let host = expose.host.clone()?;
    if let Some(ingress) = &expose.ingress {
        return Some(Exposure::Ingress {
            host,
            class: ingress.class_name.clone(),
            tls_secret: ingress.tls_secret_name.clone(),
            cluster_issuer: ingress.cluster_issuer.clone(),
            annotations: ingress.annotations.clone(),
        });
    }
    let gateway = expose.gateway.as_ref()?;
    Some(Exposure::Route {
        host,
        gateway: gateway.name.clone(),
        namespace: gateway.namespace.clone(),
        section: gateway.section_name.clone(),
    })
}

/// Resources of a server: what its document declares and, of our own image, the defaults of the
/// platform. How much memory other images need is not known.
struct Resources {
    limits: Limits,
    reserved: Limits,
}

fn resources(instance: &MaiInstance, platform: &Platform) -> Result<Resources, Blocked> {
    let declared = &instance.spec.resources;
    let mut limits = amounts("resources.limits", declared.limits.as_ref())?;
    let mut reserved = amounts("resources.requests", declared.requests.as_ref())?;
    if instance.spec.server.kind == ServerKind::Mai
        && limits.memory_bytes.is_none()
        && let Some(limit) = platform.default_memory.limit
    {
        // A limit below the reservation is refused everywhere.
        limits.memory_bytes = Some(limit.max(reserved.memory_bytes.unwrap_or_default()));
        reserved.memory_bytes = reserved.memory_bytes.or(platform.default_memory.reserved);
    }
    Ok(Resources { limits, reserved })
}

fn amounts(field: &str, amounts: Option<&ResourceAmounts>) -> Result<Limits, Blocked> {
    let Some(amounts) = amounts else { return Ok(Limits::default()) };
    let wrong = |error: crate::api::QuantityError| Blocked::new(Reason::InvalidDocument, format!("{field}: {error}"));
    Ok(Limits {
        cpu_millis: amounts.cpu.as_deref().map(parse_cpu_millis).transpose().map_err(wrong)?,
        memory_bytes: amounts.memory.as_deref().map(parse_bytes).transpose().map_err(wrong)?,
    })
}

/// Returns the hash of everything that cannot change while a server runs.
fn hash(workload: &Workload) -> String {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let Container {
        secrets,
        confined,
        data_volume,
        backups_volume,
        networks,
        labels,
        reserved,
        pull: _,
        start_period: _,
    } = &workload.container;
    let fixed = [
        workload.image.clone(),
        workload.listen.to_string(),
        path(&workload.data_path),
        path(&workload.backups_path),
        format!("{:?} {:?}", workload.limits.cpu_millis, workload.limits.memory_bytes),
        format!("{secrets:?} {confined} {data_volume:?} {backups_volume:?} {networks:?} {labels:?} {reserved:?}"),
    ];
    let variables = workload.env.iter().flat_map(|(name, value)| {
        let value = match value {
            EnvValue::Plain(text) => text.as_str(),
            EnvValue::Secret(text) => text.expose_secret(),
        };
        [name.as_str(), value]
    });
    hash_texts(fixed.iter().map(String::as_str).chain(variables))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn id() -> InstanceId {
        InstanceId { namespace: "default".to_owned(), name: "abc".to_owned(), uid: "1".to_owned() }
    }

    fn instance(spec: Value) -> MaiInstance {
        let document =
            json!({"apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": {"name": "abc"}, "spec": spec});
        serde_json::from_value(crate::api::check(&document, None, None).unwrap()).unwrap()
    }

    fn build(spec: Value, secrets: &[(&str, &str, &str)]) -> Result<Workload, Blocked> {
        let secrets = secrets
            .iter()
            .map(|(name, key, value)| {
                (
                    SecretRef { name: (*name).to_owned(), key: Some((*key).to_owned()) },
                    SecretString::from((*value).to_owned()),
                )
            })
            .collect();
        let generated = Generated::new(SecretString::from("session-key".to_owned()));
        desired(&instance(spec), id(), &secrets, &generated, &Platform::PROCESS)
    }

    fn text(workload: &Workload, name: &str) -> Option<String> {
        workload.env.get(name).map(|value| match value {
            EnvValue::Plain(text) => text.clone(),
            EnvValue::Secret(text) => text.expose_secret().to_owned(),
        })
    }

    #[test]
    fn memory_is_limited_unless_another_limit_is_declared() {
        const MIB: u64 = 1 << 20;
        let limit = |bytes: u64| (Some(bytes), None);
        for (platform, kind, resources, expected) in [
            (Platform::DOCKER, "Mai", json!({}), limit(512 * MIB)),
            (Platform::DOCKER, "Mai", json!({"limits": {"cpu": "1"}}), limit(512 * MIB)),
            (Platform::DOCKER, "Mai", json!({"limits": {"memory": "8Gi"}}), limit(8192 * MIB)),
            (Platform::DOCKER, "Mai", json!({"limits": {"memory": "64Mi"}}), limit(64 * MIB)),
            (Platform::DOCKER, "Mai", json!({"requests": {"memory": "1Gi"}}), (Some(1024 * MIB), Some(1024 * MIB))),
            (Platform::DOCKER, "OpenWebUI", json!({}), (None, None)),
            (Platform::DOCKER, "Custom", json!({}), (None, None)),
            (Platform::PROCESS, "Mai", json!({}), (None, None)),
            (crate::runtime::kubernetes::PLATFORM, "Mai", json!({}), (Some(512 * MIB), Some(32 * MIB))),
            (crate::runtime::kubernetes::PLATFORM, "Mai", json!({"limits": {"memory": "1Gi"}}), limit(1024 * MIB)),
            (crate::runtime::kubernetes::PLATFORM, "OpenWebUI", json!({}), (None, None)),
        ] {
            let spec =
                json!({"displayName": "A", "expose": {"port": 1}, "server": {"kind": kind}, "resources": resources});
            let key = Generated::new(SecretString::from("session-key".to_owned()));
            let workload = desired(&instance(spec), id(), &BTreeMap::new(), &key, &platform).unwrap();
            let memory = (workload.limits.memory_bytes, workload.container.reserved.memory_bytes);
            assert_eq!(memory, expected, "{:?} {kind} {resources}", platform.kind);
        }
    }

    #[test]
    fn spec_becomes_the_environment_of_our_server() {
        let spec = json!({
            "displayName": "Company ABC", "expose": {"port": 8001},
            "server": {
                "locale": "pl", "trustedProxies": ["10.42.0.0/16", "::1"], "allowedUpstreamNetworks": ["10.1.0.0/16"],
                "corsAllowedOrigins": ["https://a.example", "app://b"],
                "env": [{"name": "EXTRA", "value": "1"}]
            },
            "access": {"maxUsers": 7, "admin": {"email": "a@b.c", "passwordSecretRef": {"name": "admin", "key": "password"}}},
            "openRouter": {"apiKeySecretRef": {"name": "or", "key": "key"}, "models": ["a/b", "c/d"]},
            "privacy": {"zdr": true, "noTraining": true, "region": "EU"},
            "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}
        });
        let workload = build(spec, &[("admin", "password", "pw"), ("or", "key", "sk-or-v1-x")]).unwrap();
        for (name, value) in [
            ("WEBUI_NAME", "Company ABC"),
            ("ENV", "prod"),
            ("DEFAULT_LOCALE", "pl"),
            ("MAI_TRUSTED_PROXIES", "10.42.0.0/16,::1"),
            ("MAI_ALLOWED_UPSTREAM_NETWORKS", "10.1.0.0/16"),
            ("MAI_CORS_ALLOWED_ORIGINS", "https://a.example,app://b"),
            ("MAI_MAX_USERS", "7"),
            ("WEBUI_ADMIN_PASSWORD", "pw"),
            ("OPENAI_API_KEY", "sk-or-v1-x"),
            ("OPENAI_API_BASE_URL", "https://openrouter.ai/api/v1"),
            ("MAI_MODELS", "a/b,c/d"),
            ("MAI_ZDR", "true"),
            ("MAI_NO_TRAINING", "true"),
            ("MAI_REGION", "EU"),
            ("WEBUI_SECRET_KEY", "session-key"),
            ("EXTRA", "1"),
        ] {
            assert_eq!(text(&workload, name).as_deref(), Some(value), "{name}");
        }
        assert_eq!(workload.listen.to_string(), "127.0.0.1:8001");
        assert_eq!(workload.limits, Limits { cpu_millis: Some(500), memory_bytes: Some(1 << 30) });
        assert!(!format!("{workload:?}").contains("sk-or-v1-x"), "a secret shows in Debug");
    }

    #[test]
    fn open_webui_gets_its_own_variables_and_no_others() {
        let spec = json!({
            "displayName": "ABC", "expose": {"port": 8001},
            "server": {"kind": "OpenWebUI", "locale": "pl", "env": [{"name": "ENABLE_API_KEYS", "value": "true"}]},
            "openRouter": {"apiKeySecretRef": {"name": "or", "key": "key"}, "models": ["a/b"], "baseUrl": "http://up/v1/"},
        });
        let workload = build(spec, &[("or", "key", "sk-or-v1-x")]).unwrap();
        let actual: Vec<(&str, String)> =
            workload.env.keys().map(|name| (name.as_str(), text(&workload, name).unwrap())).collect();
        let expected = [
            ("DEFAULT_LOCALE", "pl-PL"),
            ("ENABLE_API_KEYS", "true"),
            ("ENABLE_OLLAMA_API", "false"),
            ("ENABLE_SIGNUP", "true"),
            ("ENV", "prod"),
            ("OPENAI_API_BASE_URLS", "http://up/v1"),
            ("OPENAI_API_CONFIGS", r#"{"0":{"enable":true,"model_ids":["a/b"]}}"#),
            ("OPENAI_API_KEYS", "sk-or-v1-x"),
            ("WEBUI_NAME", "ABC"),
            ("WEBUI_SECRET_KEY", "session-key"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        assert_eq!(actual, expected);
        assert!(!format!("{workload:?}").contains("sk-or-v1-x"), "a secret shows in Debug");
    }

    #[test]
    fn open_webui_signup_is_open_unless_an_admin_is_declared() {
        let admin = json!({"email": "a@b.c", "passwordSecretRef": {"name": "admin", "key": "password"}});
        for (access, signup) in [
            (json!({}), "true"),
            (json!({"signup": "Open"}), "true"),
            (json!({"admin": admin}), "false"),
            (json!({"signup": "Closed", "admin": admin}), "false"),
            (json!({"signup": "Open", "admin": admin}), "true"),
        ] {
            let spec = json!({
                "displayName": "A", "expose": {"port": 1}, "server": {"kind": "OpenWebUI"}, "access": access,
                "ollama": {"baseUrl": "http://host.docker.internal:11434/"},
            });
            let workload = build(spec, &[("admin", "password", "pw")]).unwrap();
            assert_eq!(text(&workload, "ENABLE_SIGNUP").as_deref(), Some(signup), "{access}");
            assert_eq!(text(&workload, "ENABLE_OLLAMA_API").as_deref(), Some("true"));
            assert_eq!(text(&workload, "OLLAMA_BASE_URL").as_deref(), Some("http://host.docker.internal:11434"));
        }
    }

    #[test]
    fn each_kind_of_image_gets_the_settings_it_supports() {
        let health = |path: Option<&str>| path.map_or(json!({}), |path| json!({"path": path}));
        for (kind, declared, path, confined, secrets) in [
            ("Mai", None, "/ready", true, SecretDelivery::File),
            ("OpenWebUI", None, "/health", false, SecretDelivery::Environment),
            ("OpenWebUI", Some("/ready"), "/ready", false, SecretDelivery::Environment),
            ("Custom", None, "/health", false, SecretDelivery::Environment),
        ] {
            let spec = json!({
                "displayName": "A", "expose": {"port": 1}, "server": {"kind": kind}, "health": health(declared),
                "openRouter": {"apiKeySecretRef": {"name": "or", "key": "key"}},
            });
            let workload = build(spec, &[("or", "key", "sk")]).unwrap();
            assert_eq!(workload.probe.path, path, "{kind}");
            assert_eq!((workload.container.confined, workload.container.secrets), (confined, secrets), "{kind}");
            assert_eq!(text(&workload, "MAI_SIGNUP").is_some(), kind != "OpenWebUI", "{kind}");
            assert_eq!(text(&workload, "OPENAI_API_KEY").is_some(), kind != "OpenWebUI", "{kind}");
        }
    }

    #[test]
    fn hash_changes_only_with_what_needs_another_server() {
        let base = json!({"displayName": "A", "expose": {"port": 8001}, "openRouter": {"apiKeySecretRef": {"name": "or", "key": "key"}}});
        let secrets = [("or", "key", "one")];
        let first = build(base.clone(), &secrets).unwrap().hash;
        assert_eq!(build(base.clone(), &secrets).unwrap().hash, first);
        assert_ne!(build(base.clone(), &[("or", "key", "two")]).unwrap().hash, first, "a rotated secret");

        let mut other = base.clone();
        other["health"] = json!({"interval": "20s"});
        other["deletionPolicy"] = json!("Delete");
        assert_eq!(build(other, &secrets).unwrap().hash, first, "probes and policies need no restart");

        for (field, value) in
            [("displayName", json!("B")), ("expose", json!({"port": 8002})), ("server", json!({"locale": "pl"}))]
        {
            let mut changed = base.clone();
            changed[field] = value;
            assert_ne!(build(changed, &secrets).unwrap().hash, first, "{field}");
        }
    }

    #[test]
    fn registry_login_needs_no_restart_and_is_checked() {
        let spec = json!({"displayName": "A", "expose": {"port": 1}, "imagePullSecrets": ["registry"]});
        let of = |value: &str| build(spec.clone(), &[("registry", ".dockerconfigjson", value)]);
        let login =
            |password: &str| json!({"auths": {"r.example": {"username": "u", "password": password}}}).to_string();
        let workload = of(&login("one")).unwrap();
        assert_eq!(workload.registries.login_for("r.example/mai:1").unwrap().password.expose_secret(), "one");
        assert_eq!(of(&login("two")).unwrap().hash, workload.hash);
        let blocked = of("sesame").unwrap_err();
        assert_eq!(blocked.reason, Reason::MissingSecret);
        assert!(blocked.message.contains("Secret registry is no JSON"), "{}", blocked.message);
    }

    #[test]
    fn missing_secret_blocks_the_workload_by_name() {
        let blocked = build(json!({"displayName": "A"}), &[]).unwrap_err();
        assert_eq!(blocked.reason, Reason::UnsupportedByRuntime);
        let spec = json!({"displayName": "A", "expose": {"port": 1}, "openRouter": {"apiKeySecretRef": {"name": "or", "key": "key"}}});
        let blocked = build(spec, &[]).unwrap_err();
        assert_eq!(
            (blocked.reason, blocked.message.as_str()),
            (Reason::MissingSecret, "the value of or/key is not known")
        );
    }
}
