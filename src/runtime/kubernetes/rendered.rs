//! Snapshots of all objects applied for an instance. A change of the pod template restarts every
//! client there is, so it has to show in a review.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use serde_json::{Value, json};

use super::children::children;
use super::claim::{Refusal, Refusals, current_refusals};
use super::deployment::deployment;
use super::job::{Placement, job, job_network_policy, job_secret};
use super::kind::Kind;
use super::network_policy::{Peers, admitted_operator_namespace};
use super::secret::SecretValues;
use crate::api::{MaiInstance, SecretRef};
use crate::core::{InstanceId, Job, Storage, Workload};
use crate::reconcile::{Generated, desired};

fn workload(spec: Value) -> Workload {
    let document = json!({
        "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance",
        "metadata": {"name": "companyabc", "namespace": "client-companyabc"}, "spec": spec,
    });
    let instance: MaiInstance = serde_json::from_value(crate::api::check(&document, None, None).unwrap()).unwrap();
    let id = InstanceId { namespace: "client-companyabc".into(), name: "companyabc".into(), uid: "0000-1111".into() };
    let secret = |name: &str, key: &str| SecretRef { name: name.into(), key: Some(key.into()) };
    let secrets = BTreeMap::from([
        (secret("openrouter", "api-key"), "sk-or-v1-x".to_owned().into()),
        (secret("admin", "password"), "correct horse".to_owned().into()),
    ]);
    desired(&instance, id, &secrets, &Generated::new("session-key".to_owned().into()), &super::PLATFORM).unwrap()
}

fn applied(workload: &Workload) -> Vec<Value> {
    let values = SecretValues::from_workload(workload);
    let peers = Peers { ingress_namespaces: BTreeSet::from(["ingress-nginx".to_owned()]), operator_namespace: None };
    let mut all: Vec<Value> =
        children(workload, &[], &Refusals::new(), &peers).into_iter().map(|(_, object)| object).collect();
    all.push(deployment(workload, &values.name, None));
    all
}

fn ours() -> Workload {
    workload(json!({
        "displayName": "Company ABC", "image": "registry.example.com/mai-production:1.4.0", "imagePullSecrets": ["registry"],
        "server": {"locale": "pl", "env": [{"name": "PRICE", "value": "$(NOT) expanded"}]},
        "access": {"maxUsers": 20, "admin": {"email": "a@b.example", "passwordSecretRef": {"name": "admin", "key": "password"}}},
        "openRouter": {"apiKeySecretRef": {"name": "openrouter", "key": "api-key"}, "models": ["a/b"]},
        "storage": {"data": {"size": "10Gi", "storageClassName": "fast"}, "backups": {"size": "20Gi"}},
        "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "2", "memory": "4Gi"}},
        "expose": {
            "host": "abc.example.com", "labels": {"team": "sales"},
            "ingress": {"className": "nginx", "tlsSecretName": "abc-tls", "clusterIssuer": "letsencrypt", "annotations": {"a": "b"}},
        },
    }))
}

fn open_webui() -> Workload {
    workload(json!({
        "displayName": "Company ABC", "image": "ghcr.io/open-webui/open-webui:v0.8.12", "server": {"kind": "OpenWebUI"},
        "openRouter": {"apiKeySecretRef": {"name": "openrouter", "key": "api-key"}, "baseUrl": "http://upstream.example:8081/v1"},
        "storage": {"data": {"size": "10Gi", "volumeName": "archive"}},
        "expose": {"host": "abc.example.com", "gateway": {"name": "public", "namespace": "gateways", "sectionName": "https"}},
        "health": {"path": "/ready", "startPeriod": "3m"},
    }))
}

#[test]
fn an_instance_of_our_own_behind_an_ingress() {
    insta::assert_yaml_snapshot!(applied(&ours()));
}

#[test]
fn an_open_webui_behind_a_gateway() {
    insta::assert_yaml_snapshot!(applied(&open_webui()));
}

fn backup() -> Job {
    let order = json!({
        "kind": "backup", "id": "20261130-020000-1f2e3d", "reason": "scheduled", "document": {"spec": {}}, "timeZone": "UTC",
        "instance": {"namespace": "client-companyabc", "name": "companyabc", "uid": "0000-1111"},
        "destinations": [
            {"name": "backups", "store": "volume"},
            {"name": "offsite", "store": {"s3": {
                "bucket": "b", "endpoint": "https://s3.example.com:9443", "pathStyle": true,
                "accessKeyId": "offsite-id", "secretAccessKey": "offsite-key",
            }}},
            {"name": "inside", "store": {"s3": {
                "bucket": "b", "endpoint": "http://minio.storage.svc:9000", "pathStyle": true,
                "accessKeyId": "inside-id", "secretAccessKey": "inside-key",
            }}},
        ],
    });
    Job {
        name: "20261130-020000-1f2e3d".to_owned(),
        image: None,
        order: serde_json::from_value(order).unwrap(),
        secrets: BTreeMap::from([("offsite-key".to_owned(), "the-secret-key".to_owned().into())]),
        storage: Storage::default(),
        directories: Vec::new(),
    }
}

/// Returns the Job, the NetworkPolicy and the Secret of a backup.
fn backup_objects() -> [Value; 3] {
    let id = ours().id;
    let placement = Placement {
        image: "registry.example.com/mai-production:1.4.0".to_owned(),
        pull_secrets: vec!["registry".to_owned()],
        beside_server: true,
    };
    [job(&id, &backup(), &placement), job_network_policy(&id, &backup()), job_secret(&id, &backup()).unwrap()]
}

#[test]
fn a_backup_job_beside_its_server() {
    let [job, policy, _] = backup_objects();
    insta::assert_yaml_snapshot!([job, policy]);
}

#[test]
fn job_is_selected_by_nothing_of_its_server() {
    let [job, policy, secret] = backup_objects();
    assert!(secret["stringData"]["order.json"].as_str().unwrap().contains("20261130-020000-1f2e3d"));
    assert_eq!(secret["stringData"]["offsite-key"], "the-secret-key");
    assert!(![&job, &policy].iter().any(|object| object.to_string().contains("the-secret-key")));
    let labels = &job["spec"]["template"]["metadata"]["labels"];
    let selects = |selector: &Value| {
        let wanted = selector["matchLabels"].as_object().unwrap_or_else(|| selector.as_object().unwrap());
        wanted.iter().all(|(label, value)| labels[label] == *value)
    };
    let mut selectors = 0;
    for object in applied(&ours()) {
        for selector in [&object["spec"]["selector"], &object["spec"]["podSelector"]] {
            if selector.is_object() {
                selectors += 1;
                assert!(!selects(selector), "{object:#}");
            }
        }
    }
    // Of Deployment, Service, NetworkPolicy and PodDisruptionBudget.
    assert_eq!(selectors, 4);
    assert!(selects(&policy["spec"]["podSelector"]));
}

#[test]
fn secrets_are_in_secrets_only() {
    for workload in [ours(), open_webui()] {
        let all = serde_json::to_string(&applied(&workload)).unwrap();
        for value in ["sk-or-v1-x", "correct horse", "session-key"] {
            assert!(!all.contains(value), "{value} in {all}");
        }
        let secret = SecretValues::from_workload(&workload).object(&workload).to_string();
        assert!(secret.contains("sk-or-v1-x") && secret.contains("session-key"), "{secret}");
    }
}

/// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
#[test]
fn pods_meet_the_restricted_standard() {
    let plain = || json!({"displayName": "A"});
    let with = |kind: &str| json!({"displayName": "A", "server": {"kind": kind}});
    for workload in [ours(), open_webui(), workload(plain()), workload(with("Custom")), workload(with("OpenWebUI"))] {
        check_restricted(&deployment(&workload, "secrets", None)["spec"]["template"]["spec"]);
    }
    check_restricted(&backup_objects()[0]["spec"]["template"]["spec"]);
}

fn check_restricted(pod: &Value) {
    for host in ["hostNetwork", "hostPID", "hostIPC", "initContainers", "ephemeralContainers"] {
        assert!(pod[host].is_null(), "{host}: {pod:#}");
    }
    assert_eq!(pod["automountServiceAccountToken"], false);
    let context = &pod["securityContext"];
    assert_eq!(context["runAsNonRoot"], true);
    assert!(context["runAsUser"].as_u64().is_some_and(|user| user > 0));
    assert_eq!(context["seccompProfile"]["type"], "RuntimeDefault");
    for volume in pod["volumes"].as_array().unwrap() {
        let kinds: Vec<&String> = volume.as_object().unwrap().keys().filter(|key| *key != "name").collect();
        assert!(["persistentVolumeClaim", "emptyDir", "secret"].contains(&kinds[0].as_str()), "{volume}");
    }
    for container in pod["containers"].as_array().unwrap() {
        let context = &container["securityContext"];
        assert_eq!(context["allowPrivilegeEscalation"], false);
        assert_eq!(context["privileged"], false);
        assert_eq!(context["capabilities"], json!({"drop": ["ALL"]}));
        assert!(context["seccompProfile"].is_null() && context["procMount"].is_null());
        assert!(container["ports"].as_array().into_iter().flatten().all(|port| port["hostPort"].is_null()));
    }
}

#[test]
fn refusal_counts_while_its_size_is_declared() {
    let refusal = |size: &str| Refusal { size: size.to_owned(), message: String::new(), at: Instant::now() };
    let of = |claim: &str, size| (format!("mai-companyabc-{claim}"), refusal(size));
    let refusals = || Refusals::from([of("data", "10Gi"), of("backups", "99Gi")]);
    let current = |workload: &Workload| current_refusals(workload, refusals()).into_keys().collect::<Vec<_>>();
    assert_eq!(current(&ours()), ["mai-companyabc-data"]);
    // It uses an existing claim for its data.
    assert!(current(&open_webui()).is_empty());
}

#[test]
fn claim_is_created_unless_an_existing_one_is_named() {
    let claims = |workload: &Workload| {
        let all = children(workload, &[], &Refusals::new(), &Peers::default());
        let claims = all.into_iter().filter(|(kind, _)| *kind == Kind::PersistentVolumeClaim);
        claims.map(|(_, claim)| claim["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(claims(&ours()), ["mai-companyabc-data", "mai-companyabc-backups"]);
    assert_eq!(claims(&open_webui()), ["mai-companyabc-backups"]);
}

#[test]
fn policy_admits_pods_of_the_operator_in_its_namespace() {
    let peers = Peers { operator_namespace: Some("mai-system".to_owned()), ..Peers::default() };
    let all = children(&ours(), &[], &Refusals::new(), &peers);
    let policy = all.into_iter().find(|(kind, _)| *kind == Kind::NetworkPolicy).unwrap().1;
    assert_eq!(
        policy["spec"]["ingress"][0]["from"][1],
        json!({
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "mai-system"}},
            "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "mai"}},
        })
    );
    assert_eq!(admitted_operator_namespace(&policy).as_deref(), Some("mai-system"));
    // The label that every pod of the chart has.
    let chart = include_str!("../../../tests/chart/snapshots/default.yaml");
    let pods = chart.split("kind: Deployment").nth(1).unwrap().split("template:").nth(1).unwrap();
    assert!(pods.split("spec:").next().unwrap().contains("app.kubernetes.io/part-of: mai"), "{pods}");
}
