//! Two documents that declare the same port.

use std::sync::Arc;

use crate::api::{MaiInstance, Reason};
use crate::core::{Blocked, DEFAULT_ADDRESS, addresses_overlap};
use std::net::IpAddr;

/// Returns why `instance` may not have its declared port: an older instance declares the same one
/// at an overlapping address.
pub(super) fn conflict(instance: &MaiInstance, all: &[Arc<MaiInstance>]) -> Option<Blocked> {
    let port = instance.spec.expose.port?;
    let first = all
        .iter()
        .filter(|other| identity(other) != identity(instance))
        .filter(|other| !other.spec.suspend && other.spec.expose.port == Some(port) && overlap(other, instance))
        .filter(|other| seniority(other) < seniority(instance))
        .min_by_key(|other| seniority(other))?;
    Some(Blocked::new(
        Reason::PortConflict,
        format!(
            "expose.port {port} is declared by {} too, which is older and keeps it; declare another port",
            first.metadata.name.as_deref().unwrap_or_default()
        ),
    ))
}

fn identity(instance: &MaiInstance) -> (Option<&str>, Option<&str>) {
    (instance.metadata.namespace.as_deref(), instance.metadata.name.as_deref())
}

fn seniority(instance: &MaiInstance) -> (Option<jiff::Timestamp>, (Option<&str>, Option<&str>)) {
    (instance.metadata.creation_timestamp.as_ref().map(|time| time.0), identity(instance))
}

/// Returns whether the declared addresses overlap. An invalid one is refused elsewhere.
fn overlap(one: &MaiInstance, other: &MaiInstance) -> bool {
    let address = |instance: &MaiInstance| {
        instance.spec.expose.address.as_deref().unwrap_or(DEFAULT_ADDRESS).parse::<IpAddr>().ok()
    };
    address(one).zip(address(other)).is_some_and(|(one, other)| addresses_overlap(one, other))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn instance(name: &str, created: i64, expose: serde_json::Value) -> Arc<MaiInstance> {
        let mut instance: MaiInstance = serde_json::from_value(json!({
            "apiVersion": "mai.dev/v1alpha1", "kind": "MaiInstance",
            "metadata": {"name": name, "namespace": "default"}, "spec": {"displayName": "A", "expose": expose}
        }))
        .unwrap();
        instance.metadata.creation_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::from_second(created).unwrap()));
        Arc::new(instance)
    }

    #[test]
    fn younger_instance_is_blocked_by_an_older_one_on_its_port() {
        let all = [
            instance("old", 1, json!({"port": 8001})),
            instance("young", 2, json!({"port": 8001})),
            instance("other", 3, json!({"port": 8002})),
            instance("elsewhere", 4, json!({"port": 8001, "address": "127.0.0.2"})),
            instance("everywhere", 5, json!({"port": 8002, "address": "0.0.0.0"})),
        ];
        let blocked: Vec<bool> = all.iter().map(|instance| conflict(instance, &all).is_some()).collect();
        assert_eq!(blocked, [false, true, false, false, true]);
        assert!(conflict(&all[1], &all).unwrap().message.contains("old"));
    }
}
