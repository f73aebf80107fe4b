//! Reads objects from the API server in this process. Tests read all the time while they wait, and
//! each start of kubectl costs a tenth of a second of CPU.

use std::path::Path;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

/// Kind, other names, group with version, and plural of what tests read; without a namespace where
/// the last is false.
const KINDS: [(&str, &[&str], &str, &str, bool); 20] = [
    ("ConfigMap", &[], "api/v1", "configmaps", true),
    ("CronJob", &[], "apis/batch/v1", "cronjobs", true),
    ("CustomResourceDefinition", &["crd"], "apis/apiextensions.k8s.io/v1", "customresourcedefinitions", false),
    ("Deployment", &[], "apis/apps/v1", "deployments", true),
    ("Ingress", &[], "apis/networking.k8s.io/v1", "ingresses", true),
    ("Job", &[], "apis/batch/v1", "jobs", true),
    ("Lease", &[], "apis/coordination.k8s.io/v1", "leases", true),
    ("MaiBackup", &[], "apis/mai.dev/v1alpha1", "maibackups", true),
    ("MaiInstance", &["mai"], "apis/mai.dev/v1alpha1", "maiinstances", true),
    ("MaiRestore", &[], "apis/mai.dev/v1alpha1", "mairestores", true),
    ("NetworkPolicy", &[], "apis/networking.k8s.io/v1", "networkpolicies", true),
    ("PersistentVolumeClaim", &["pvc"], "api/v1", "persistentvolumeclaims", true),
    ("Pod", &[], "api/v1", "pods", true),
    ("PodDisruptionBudget", &["pdb"], "apis/policy/v1", "poddisruptionbudgets", true),
    ("ReplicaSet", &[], "apis/apps/v1", "replicasets", true),
    ("ResourceQuota", &[], "api/v1", "resourcequotas", true),
    ("Secret", &[], "api/v1", "secrets", true),
    ("Service", &[], "api/v1", "services", true),
    ("ServiceAccount", &[], "api/v1", "serviceaccounts", true),
    ("StatefulSet", &[], "apis/apps/v1", "statefulsets", true),
];

pub struct Api {
    runtime: Runtime,
    client: kube::Client,
}

impl Api {
    pub fn open(kubeconfig: &Path) -> Self {
        // Another test of this process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(async {
            let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
            let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
            kube::Client::try_from(config).unwrap()
        });
        Self { runtime, client }
    }

    /// Returns an object such as `deployment/mai-abc`, or `None` if it does not exist.
    pub fn get(&self, namespace: &str, what: &str) -> Option<Value> {
        let (kind, name) = what.split_once('/').unwrap_or_else(|| panic!("{what} is no kind and name"));
        self.read(&format!("{}/{name}", path(namespace, kind).1)).map(without_managed_fields)
    }

    /// Returns all objects of these kinds with labels, with their kind, in order.
    pub fn list(&self, namespace: &str, kinds: &[&str], labels: &str) -> Vec<Value> {
        let selector: String = url::form_urlencoded::byte_serialize(labels.as_bytes()).collect();
        let mut found = Vec::new();
        for kind in kinds {
            let (kind, path) = path(namespace, kind);
            let mut list =
                self.read(&format!("{path}?labelSelector={selector}")).expect("the API server has this kind");
            for mut item in std::mem::take(list["items"].as_array_mut().unwrap()) {
                item["kind"] = kind.into();
                found.push(without_managed_fields(item));
            }
        }
        found
    }

    /// Returns the answer to a GET; `None` where there is nothing. Connections may be from before a
    /// restart of the API server, so one that breaks is not the end.
    fn read(&self, path: &str) -> Option<Value> {
        let mut attempts = 0;
        loop {
            let request = http::Request::get(path).body(Vec::new()).unwrap();
            let answer = async { tokio::time::timeout(Duration::from_secs(60), self.client.request(request)).await };
            match self.runtime.block_on(answer) {
                Ok(Ok(object)) => return Some(object),
                Ok(Err(kube::Error::Api(status))) if status.code == 404 => return None,
                other if attempts >= 20 => panic!("GET {path}: {other:?}"),
                _ => attempts += 1,
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

/// Returns the kind with this name, and the path of its objects.
fn path(namespace: &str, name: &str) -> (&'static str, String) {
    let lower = name.to_lowercase();
    let is = |kind: &str, others: &[&str], plural: &str| {
        kind.to_lowercase() == lower || plural == lower || others.contains(&lower.as_str())
    };
    let found = KINDS.iter().find(|(kind, others, _, plural, _)| is(kind, others, plural));
    let (kind, _, group, plural, is_namespaced) = found.unwrap_or_else(|| panic!("add {name} to the kinds here"));
    let scope = if *is_namespaced { format!("namespaces/{namespace}/") } else { String::new() };
    (kind, format!("/{group}/{scope}{plural}"))
}

/// Returns an object as kubectl shows it.
fn without_managed_fields(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    object
}
