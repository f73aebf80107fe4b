//! The objects of a job: a Job of the cluster with one pod on the volumes of the instance, a Secret
//! with its order and its secret files, and a NetworkPolicy.
//!
//! The pod is confined like the server's and is not selected by anything of the server. The
//! NetworkPolicy is made first and removed last: policies are watched and Secrets are not, so it
//! shows that a Secret may be left over.

use std::collections::BTreeMap;

use mai_contract::files::{BACKUPS, DATA, SECRETS_DIRECTORY};
use mai_contract::job::{S3, Store};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::network_policy::internet;
use super::pod_security;
use crate::cluster::names;
use crate::core::{InstanceId, Job, Location};

/// Name of the order among the secret files.
const ORDER: &str = "order.json";
/// Directory of the copies of databases, or of the data of a drill: a volume of the pod alone. The claim of the backups would
/// not do, since the server may write to it.
const STAGING: &str = "/staging";
/// Path at which the kubelet reads the termination message of a container.
const TERMINATION_MESSAGE: &str = "/dev/termination-log";
/// Our program in the image.
const PROGRAM: &str = "/usr/local/bin/mai";
/// Longest run of a job in seconds, so that one that hangs ends.
const DEADLINE: u32 = 24 * 60 * 60;
/// Seconds after which the cluster removes an ended job that no operator has removed.
const TIME_TO_LIVE: u32 = 7 * 24 * 60 * 60;
/// Seconds that a job has to end when it is removed.
const STOP_GRACE: u32 = 10;
/// Memory that a job may use.
pub(super) const MEMORY: &str = "256Mi";

/// Properties of the pod of a job that depend on the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placement {
    /// Image that holds our program.
    pub(super) image: String,
    /// Names of Secrets with registry credentials, as the server's pod has them.
    pub(super) pull_secrets: Vec<String>,
    /// The server's pod is on a node, and a volume may be attached to one node only.
    pub(super) beside_server: bool,
}

/// Returns the Job.
pub(super) fn job(id: &InstanceId, job: &Job, placement: &Placement) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": names::job_metadata(id, &job.name),
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": DEADLINE,
            "ttlSecondsAfterFinished": TIME_TO_LIVE,
            "template": {
                "metadata": {"labels": names::job_labels(id, &job.name)},
                "spec": pod(id, job, placement),
            },
        },
    })
}

fn pod(id: &InstanceId, job: &Job, placement: &Placement) -> Value {
    let (mounts, volumes) = volumes(id, job);
    let mut pod = json!({
        "serviceAccountName": names::object_name(id),
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": STOP_GRACE,
        "securityContext": pod_security::pod(),
        "containers": [{
            "name": "job",
            "image": placement.image,
            "imagePullPolicy": "IfNotPresent",
            "command": [PROGRAM],
            "args": [
                "job",
                "--order", format!("{SECRETS_DIRECTORY}/{ORDER}"),
                "--data", DATA,
                "--backups", BACKUPS,
                "--secrets", SECRETS_DIRECTORY,
                "--staging", STAGING,
                "--termination-message", TERMINATION_MESSAGE,
            ],
            "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"memory": MEMORY}},
            "securityContext": pod_security::container(false),
            "terminationMessagePath": TERMINATION_MESSAGE,
            "terminationMessagePolicy": "File",
            "volumeMounts": mounts,
        }],
        "volumes": volumes,
    });
    if placement.beside_server && job.order.uses_backups_volume() {
        pod["affinity"] = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": names::pod_selector(id)}, "topologyKey": "kubernetes.io/hostname"},
        ]}});
    }
    if !placement.pull_secrets.is_empty() {
        pod["imagePullSecrets"] = placement.pull_secrets.iter().map(|name| json!({"name": name})).collect();
    }
    pod
}

/// Returns the mounts of the pod of a job, and their volumes. A drill has no access to the data, and
/// reads backups alone.
fn volumes(id: &InstanceId, job: &Job) -> (Vec<Value>, Vec<Value>) {
    let is_drill = job.order.is_drill();
    let mut all = vec![
        (
            json!({"name": "order", "mountPath": SECRETS_DIRECTORY, "readOnly": true}),
            json!({"name": "order", "secret": {"secretName": names::job_object(id, &job.name), "defaultMode": 0o440}}),
        ),
        (json!({"name": "staging", "mountPath": STAGING}), json!({"name": "staging", "emptyDir": {}})),
        (json!({"name": "tmp", "mountPath": "/tmp"}), json!({"name": "tmp", "emptyDir": {}})),
    ];
    let mut add = |name: &str, path: &str, location: &Location, own: String| {
        let claim = location.claim.existing.clone().unwrap_or(own);
        let mount = match is_drill {
            true => json!({"name": name, "mountPath": path, "readOnly": true}),
            false => json!({"name": name, "mountPath": path}),
        };
        all.push((mount, json!({"name": name, "persistentVolumeClaim": {"claimName": claim}})));
    };
    if !is_drill {
        add("data", DATA, &job.storage.data, names::data_claim(id));
    }
    if job.order.uses_backups_volume() {
        add("backups", BACKUPS, &job.storage.backups, names::backups_claim(id));
    }
    all.into_iter().unzip()
}

/// Returns the Secret with the order and the secret files of a job, or why there cannot be one.
pub(super) fn job_secret(id: &InstanceId, job: &Job) -> Result<Value, serde_json::Error> {
    let order = serde_json::to_string(&job.order)?;
    let mut data: BTreeMap<&str, &str> =
        job.secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
    data.insert(ORDER, &order);
    Ok(json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": names::job_metadata(id, &job.name),
        "type": "Opaque",
        "immutable": true,
        "stringData": data,
    }))
}

/// Returns the NetworkPolicy of the pod of a job: nothing in, and out only to its destinations.
pub(super) fn job_network_policy(id: &InstanceId, job: &Job) -> Value {
    let buckets = job.order.destinations().iter().filter_map(|destination| match &destination.store {
        Store::S3(bucket) => Some(bucket),
        Store::Volume | Store::Directory(_) => None,
    });
    let mut egress: Vec<Value> = buckets.map(egress_to).collect();
    if !egress.is_empty() {
        egress.push(json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}));
    }
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": names::job_metadata(id, &job.name),
        "spec": {
            "podSelector": {"matchLabels": {names::INSTANCE: id.name, names::JOB: job.name}},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [],
            "egress": egress,
        },
    })
}

/// Returns the rule that lets a job reach a bucket.
fn egress_to(bucket: &S3) -> Value {
    let endpoint = bucket.endpoint.as_deref().and_then(|endpoint| Url::parse(endpoint).ok());
    let host = endpoint.as_ref().and_then(Url::host_str).unwrap_or_default();
    if is_in_cluster(host) {
        // The port of a Service need not be that of its pods.
        return json!({"to": [{"namespaceSelector": {}}]});
    }
    let port = endpoint.as_ref().and_then(Url::port_or_known_default).unwrap_or(443);
    json!({"to": internet(), "ports": [{"port": port, "protocol": "TCP"}]})
}

/// Returns whether a host is the name of a Service.
fn is_in_cluster(host: &str) -> bool {
    let is_name = !host.is_empty() && host.parse::<std::net::Ipv4Addr>().is_err() && !host.starts_with('[');
    is_name && (!host.contains('.') || host.split('.').any(|label| label == "svc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_services_are_in_the_cluster() {
        for (host, expected) in [
            ("minio", true),
            ("minio.storage.svc", true),
            ("minio.storage.svc.cluster.local", true),
            ("s3.example.com", false),
            ("10.0.0.1", false),
            ("[::1]", false),
            ("", false),
        ] {
            assert_eq!(is_in_cluster(host), expected, "{host}");
        }
    }
}
