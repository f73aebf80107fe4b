//! The Deployment of an instance: one replica, replaced by stop and start, since a database takes
//! one server at a time.

use std::time::Duration;

use serde_json::{Value, json};

use super::pod_security;
use super::retained_template::RetainedTemplate;
use crate::cluster::names;
use crate::core::{EnvValue, Limits, Pull, SecretDelivery, Workload};
use mai_contract::environment;
use mai_contract::files::{BACKUPS, DATA, SECRETS_DIRECTORY, SECRETS_FILE};
use mai_contract::http::{HEALTH_PATH, PORT};

/// ReplicaSets of former pod templates that the cluster retains. The one that an upgrade may return
/// to must be among them, however often its document changes meanwhile.
const REVISION_HISTORY: u8 = 10;

/// Returns the Deployment of a workload whose secret values are in the Secret `secrets`. `retained`
/// is the template it replaces, while that is retained.
pub(super) fn deployment(workload: &Workload, secrets: &str, retained: Option<&RetainedTemplate>) -> Value {
    let mut metadata = names::owned_metadata(&workload.id, &names::object_name(&workload.id));
    if let Some(retained) = retained {
        retained.add_labels(&mut metadata["labels"]);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "revisionHistoryLimit": REVISION_HISTORY,
            "progressDeadlineSeconds": seconds(workload.container.start_period).saturating_add(120),
            "selector": {"matchLabels": names::pod_selector(&workload.id)},
            "template": template(workload, secrets),
        },
    })
}

fn template(workload: &Workload, secrets: &str) -> Value {
    let cluster = &workload.cluster;
    let claim = |existing: &Option<String>, own: String| existing.clone().unwrap_or(own);
    let mut volumes = vec![
        json!({"name": "data", "persistentVolumeClaim": {"claimName": claim(&cluster.data.existing, names::data_claim(&workload.id))}}),
        json!({"name": "backups", "persistentVolumeClaim": {"claimName": claim(&cluster.backups.existing, names::backups_claim(&workload.id))}}),
        json!({"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}),
    ];
    let mut mounts = vec![
        json!({"name": "data", "mountPath": DATA}),
        json!({"name": "backups", "mountPath": BACKUPS}),
        json!({"name": "tmp", "mountPath": "/tmp"}),
    ];
    if workload.container.secrets == SecretDelivery::File {
        volumes.push(json!({"name": "secrets", "secret": {"secretName": secrets, "defaultMode": 0o440}}));
        mounts.push(json!({"name": "secrets", "mountPath": SECRETS_DIRECTORY, "readOnly": true}));
    }
    let mut spec = json!({
        "serviceAccountName": names::object_name(&workload.id),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": seconds(workload.stop_grace),
        "securityContext": pod_security::pod(),
        "containers": [{
            "name": "server",
            "image": workload.image,
            "imagePullPolicy": pull_policy(workload.container.pull),
            "env": environment(workload, secrets),
            "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
            "resources": resources(workload),
            "securityContext": pod_security::container(!workload.container.confined),
            "volumeMounts": mounts,
            "startupProbe": startup_probe(workload),
            "readinessProbe": probe(workload, &workload.probe.path),
            "livenessProbe": probe(workload, HEALTH_PATH),
            "terminationMessagePolicy": "FallbackToLogsOnError",
        }],
        "volumes": volumes,
    });
    if !cluster.pull_secrets.is_empty() {
        spec["imagePullSecrets"] = cluster.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    }
    json!({"metadata": {"labels": names::labels(&workload.id)}, "spec": spec})
}

fn environment(workload: &Workload, secrets: &str) -> Value {
    let in_file = workload.container.secrets == SecretDelivery::File;
    let values = workload.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Plain(text) => Some(json!({"name": name, "value": escaped(text)})),
        EnvValue::Secret(_) if in_file => None,
        EnvValue::Secret(_) => {
            Some(json!({"name": name, "valueFrom": {"secretKeyRef": {"name": secrets, "key": name}}}))
        }
    });
    let file = in_file.then(|| json!({"name": environment::SECRETS_FILE, "value": SECRETS_FILE}));
    values.chain(file).collect()
}

/// Escapes `$(NAME)`, which the cluster would replace by the value of another variable.
fn escaped(text: &str) -> String {
    text.replace("$(", "$$(")
}

fn resources(workload: &Workload) -> Value {
    json!({"requests": amounts(&workload.container.reserved), "limits": amounts(&workload.limits)})
}

fn amounts(amounts: &Limits) -> Value {
    let mut all = json!({});
    if let Some(millis) = amounts.cpu_millis {
        all["cpu"] = json!(format!("{millis}m"));
    }
    if let Some(bytes) = amounts.memory_bytes {
        all["memory"] = json!(bytes.to_string());
    }
    all
}

/// Returns the startup probe: a short period, so that a server is ready as soon as it answers.
fn startup_probe(workload: &Workload) -> Value {
    const PERIOD: u64 = 1;
    let mut probe = probe(workload, &workload.probe.path);
    probe["periodSeconds"] = json!(PERIOD);
    probe["failureThreshold"] = json!(seconds(workload.container.start_period).div_ceil(PERIOD));
    probe
}

fn probe(workload: &Workload, path: &str) -> Value {
    json!({
        "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
        "periodSeconds": seconds(workload.probe.interval),
        "timeoutSeconds": seconds(workload.probe.timeout),
        "failureThreshold": workload.cluster.retries.max(1),
        "successThreshold": 1,
    })
}

/// Returns whole seconds, at least one, as the cluster requires them.
fn seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX)
}

fn pull_policy(pull: Pull) -> &'static str {
    match pull {
        Pull::IfNotPresent => "IfNotPresent",
        Pull::Always => "Always",
        Pull::Never => "Never",
    }
}
