//! Objects of a cluster that declare the same host name, or have two certificates put into one
//! Secret.

use std::sync::Arc;

use crate::api::{ConditionKind, MaiInstance, Reason};
use crate::core::Blocked;

/// Returns why `instance` may not be reached as it declares: another one has that host or Secret.
pub(super) fn conflict(instance: &MaiInstance, all: &[Arc<MaiInstance>]) -> Option<Blocked> {
    let holder = |collides: &dyn Fn(&MaiInstance) -> bool| {
        let others = all.iter().filter(|other| identity(other) != identity(instance) && collides(other));
        others.filter(|other| precedence(other) < precedence(instance)).min_by_key(|other| precedence(other)).cloned()
    };
    let blocked = |what: String, other: &MaiInstance| {
        let (namespace, name) = identity(other);
        let message = format!(
            "{what} of {}/{}, which had it first and keeps it; declare another one",
            namespace.unwrap_or_default(),
            name.unwrap_or_default()
        );
        Blocked::new(Reason::HostConflict, message)
    };
    let host = routed_host(instance)?;
    if let Some(other) = holder(&|other| routed_host(other) == Some(host)) {
        return Some(blocked(format!("expose.host {host} is that"), &other));
    }
    let secret = requested_secret(instance)?;
    let other = holder(&|other| {
        let is_near = other.metadata.namespace == instance.metadata.namespace;
        is_near && requested_secret(other) == Some(secret) && routed_host(other) != Some(host)
    })?;
    Some(blocked(format!("expose.ingress.tlsSecretName {secret} is filled with the certificate"), &other))
}

/// Returns the host that an Ingress or a route of the instance serves.
fn routed_host(instance: &MaiInstance) -> Option<&str> {
    let expose = &instance.spec.expose;
    let is_routed = expose.ingress.is_some() || expose.gateway.is_some();
    expose.host.as_deref().filter(|_| is_routed)
}

/// Returns the Secret into which an issuer puts a certificate of the instance alone. One that
/// somebody else fills may be for many hosts.
fn requested_secret(instance: &MaiInstance) -> Option<&str> {
    let ingress = instance.spec.expose.ingress.as_ref()?;
    ingress.cluster_issuer.as_ref().and(ingress.tls_secret_name.as_deref())
}

fn identity(instance: &MaiInstance) -> (Option<&str>, Option<&str>) {
    (instance.metadata.namespace.as_deref(), instance.metadata.name.as_deref())
}

type Precedence<'a> = (bool, Option<jiff::Timestamp>, (Option<&'a str>, Option<&'a str>));

/// Who has it comes before who asks for it, so that nobody takes a host from a younger instance by
/// an edit. Among those the older one comes first.
fn precedence(instance: &MaiInstance) -> Precedence<'_> {
    let has = instance.status.as_ref().is_some_and(|status| {
        let address = status.address.as_deref().and_then(|address| Some(address.split_once("://")?.1));
        let is_held_back = status
            .true_condition(ConditionKind::Stalled)
            .is_some_and(|stalled| stalled.reason == Reason::HostConflict.as_ref());
        address == routed_host(instance) && !is_held_back
    });
    (!has, instance.metadata.creation_timestamp.as_ref().map(|time| time.0), identity(instance))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn instance(namespace: &str, name: &str, created: i64, expose: Value, status: Value) -> Arc<MaiInstance> {
        let time = jiff::Timestamp::from_second(created).unwrap();
        let metadata = json!({"name": name, "namespace": namespace, "creationTimestamp": time});
        let document = json!({"apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance", "metadata": metadata,
            "spec": {"displayName": "A", "expose": expose}, "status": status});
        Arc::new(serde_json::from_value(document).unwrap())
    }

    fn on(host: &str) -> Value {
        json!({"host": host, "ingress": {}})
    }

    fn held_back(host: &str) -> Value {
        json!({"address": format!("https://{host}"), "conditions": [{"type": "Stalled", "status": "True",
            "reason": "HostConflict", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    }

    fn blocked(all: &[Arc<MaiInstance>]) -> Vec<bool> {
        all.iter().map(|instance| conflict(instance, all).is_some()).collect()
    }

    #[test]
    fn host_is_of_the_instance_that_had_it_first() {
        let serving = || json!({"address": "https://a.example.com", "conditions": []});
        let old = |status| instance("a", "old", 1, on("a.example.com"), status);
        let young = |status| instance("b", "young", 2, on("a.example.com"), status);
        for (old_status, young_status, expected) in [
            (Value::Null, Value::Null, [false, true]),
            (serving(), serving(), [false, true]),
            (serving(), Value::Null, [false, true]),
            // The older one was edited.
            (json!({"address": "https://z.example.com", "conditions": []}), serving(), [true, false]),
            (held_back("a.example.com"), serving(), [true, false]),
            (held_back("a.example.com"), held_back("a.example.com"), [false, true]),
        ] {
            let all = [old(old_status.clone()), young(young_status.clone())];
            assert_eq!(blocked(&all), expected, "{old_status} {young_status}");
        }
        let all = [old(serving()), young(Value::Null)];
        let message = conflict(&all[1], &all).unwrap().message;
        assert!(message.contains("expose.host a.example.com is that of a/old"), "{message}");
    }

    #[test]
    fn other_hosts_and_shared_certificates_are_no_conflict() {
        let tls = |host: &str, issuer: bool| {
            let mut expose = json!({"host": host, "ingress": {"tlsSecretName": "tls"}});
            if issuer {
                expose["ingress"]["clusterIssuer"] = "letsencrypt".into();
            }
            expose
        };
        for (namespace, first, second, expected) in [
            ("a", on("a.example.com"), on("b.example.com"), false),
            ("b", on("a.example.com"), json!({"host": "a.example.com"}), false),
            ("a", tls("a.example.com", false), tls("b.example.com", false), false),
            ("a", tls("a.example.com", true), tls("b.example.com", false), false),
            ("a", tls("a.example.com", true), tls("b.example.com", true), true),
            ("b", tls("a.example.com", true), tls("b.example.com", true), false),
        ] {
            let all = [
                instance("a", "one", 1, first.clone(), Value::Null),
                instance(namespace, "two", 2, second.clone(), Value::Null),
            ];
            assert_eq!(blocked(&all), [false, expected], "{namespace} {first} {second}");
        }
    }
}
