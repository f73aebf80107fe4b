//! Fields of our objects that somebody wrote and that are not declared, or not any more, as the API
//! server accounts for them in `metadata.managedFields`. What it fills in itself, and what admission
//! webhooks add to an apply of ours, has no owner there and is no such field.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::compare::is_omitted;
use super::kind::Kind;
use crate::cluster::names;

/// Part of an object that others may write as well: restarts leave their time there.
const SHARED: [&str; 3] = ["spec", "template", "metadata"];

/// A field that somebody wrote: a person, or the operator itself.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(super) struct OwnedField {
    path: Vec<Step>,
    /// All of it, such as a selector, which is written as a whole.
    is_whole: bool,
    manager: String,
}

/// One step of the path of a field.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
enum Step {
    Field(String),
    /// The item of a list that has these keys.
    Item(Map<String, Value>),
}

/// A field that is not declared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Addition {
    path: Vec<Step>,
    /// Its value and who wrote it, for people.
    pub(super) shown: String,
}

/// Returns the fields of an object that have an owner and that are ours alone: what runs, what
/// confines it, and who reaches it.
pub(super) fn owned_fields(kind: Kind, managers: &[ManagedFieldsEntry]) -> Vec<OwnedField> {
    let is_ours_alone = |path: &[Step]| match (kind, path) {
        // The cluster binds a claim to its volume.
        (Kind::PersistentVolumeClaim, _) => false,
        (Kind::ServiceAccount, [Step::Field(field), ..]) => field == "imagePullSecrets" || field == "secrets",
        (_, [Step::Field(field), ..]) => field == "spec" && !is_shared(path),
        _ => false,
    };
    let mut found = Vec::new();
    for entry in managers.iter().filter(|entry| entry.subresource.as_deref() != Some("status")) {
        let manager = entry.manager.as_deref().unwrap_or_default();
        let (is_own, is_apply) = (manager == names::FIELD_MANAGER, entry.operation.as_deref() == Some("Apply"));
        let is_kept = |path: &[Step]| !is_own || is_telling(path, is_apply);
        let mut paths = Vec::new();
        collect(entry.fields_v1.as_ref().map_or(&Value::Null, |fields| &fields.0), &mut Vec::new(), &mut paths);
        paths.retain(|(path, _)| is_ours_alone(path) && is_kept(path));
        let field = |(path, is_whole)| OwnedField { path, is_whole, manager: manager.to_owned() };
        found.extend(paths.into_iter().map(field));
    }
    found
}

/// Returns whether a field that we wrote tells what was declared before: an item of a list, or a field
/// of none. What is in an item goes with it. A change that is no apply also owns the defaults that it
/// made the API server fill in, which are no items.
fn is_telling(path: &[Step], is_apply: bool) -> bool {
    match path.last() {
        Some(Step::Item(_)) => true,
        _ => is_apply && path.iter().all(|step| matches!(step, Step::Field(_))),
    }
}

fn is_shared(path: &[Step]) -> bool {
    path.len() >= SHARED.len() && path.iter().zip(SHARED).all(|(step, name)| *step == Step::Field(name.to_owned()))
}

/// Adds the path of each field in a part of `fieldsV1`, and whether all of the field was written.
fn collect(fields: &Value, path: &mut Vec<Step>, paths: &mut Vec<(Vec<Step>, bool)>) {
    let Some(children) = fields.as_object() else { return };
    if children.is_empty() || children.contains_key(".") {
        paths.push((path.clone(), children.is_empty()));
    }
    for (name, children) in children {
        let step = match name.split_once(':') {
            Some(("f", field)) => Step::Field(field.to_owned()),
            Some(("k", keys)) => match serde_json::from_str(keys) {
                Ok(keys) => Step::Item(keys),
                Err(_) => continue,
            },
            // Values of a set and indexes have no names that a document could declare.
            _ => continue,
        };
        path.push(step);
        collect(children, path, paths);
        path.pop();
    }
}

/// Returns the fields of `live` that have an owner and that `wanted` leaves out, by their paths.
pub(super) fn additions(wanted: &Value, live: &Value, owned: &[OwnedField]) -> BTreeMap<String, Addition> {
    let mut found = BTreeMap::new();
    owned.iter().for_each(|field| field.add_additions(wanted, live, &mut found));
    found
}

impl OwnedField {
    /// Adds the outermost parts of the field that `wanted` leaves out.
    fn add_additions(&self, mut wanted: &Value, mut live: &Value, found: &mut BTreeMap<String, Addition>) {
        let mut path = Vec::new();
        for step in &self.path {
            let Some(next) = step.find(live) else { return };
            live = next;
            path.push(step.clone());
            match step.find(wanted) {
                Some(declared) => wanted = declared,
                None => return self.add(path, live, found),
            }
        }
        if self.is_whole {
            self.add_undeclared(path, wanted, live, found);
        }
    }

    /// Adds the fields of an object that `wanted` leaves out.
    fn add_undeclared(&self, path: Vec<Step>, wanted: &Value, live: &Value, found: &mut BTreeMap<String, Addition>) {
        let (Some(declared), Some(fields)) = (wanted.as_object(), live.as_object()) else { return };
        for (name, value) in fields {
            let path = path.iter().cloned().chain([Step::Field(name.clone())]).collect();
            match declared.get(name) {
                Some(declared) => self.add_undeclared(path, declared, value, found),
                None => self.add(path, value, found),
            }
        }
    }

    fn add(&self, path: Vec<Step>, value: &Value, found: &mut BTreeMap<String, Addition>) {
        // An item is there even if nothing is said of it.
        if is_omitted(value) && matches!(path.last(), Some(Step::Field(_))) {
            return;
        }
        let text: String = path.iter().map(Step::to_string).collect();
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        found.insert(text, Addition { path, shown: format!("{value} (set by {})", self.manager) });
    }
}

impl Step {
    /// Returns what the step leads to.
    fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        match self {
            Self::Field(name) => value.get(name),
            Self::Item(keys) => {
                let has_keys = |item: &&Value| keys.iter().all(|(name, key)| item.get(name) == Some(key));
                value.as_array()?.iter().find(has_keys)
            }
        }
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Item(keys) => {
                let keys: Vec<_> =
                    keys.values().map(|key| key.as_str().map_or_else(|| key.to_string(), str::to_owned)).collect();
                write!(f, "[{}]", keys.join(","))
            }
        }
    }
}

/// Returns the merge patch (RFC 7386) that brings an object to `wanted` and removes additions. Those
/// in a list go with it, since such a patch replaces a list as a whole.
pub(super) fn without(additions: &BTreeMap<String, Addition>, wanted: &Value) -> Value {
    let mut patch = wanted.clone();
    for addition in additions.values() {
        let mut place = &mut patch;
        let mut steps = addition.path.iter().peekable();
        while let Some(Step::Field(name)) = steps.next() {
            if steps.peek().is_none() {
                place[name.as_str()] = Value::Null;
                break;
            }
            if !place[name.as_str()].is_object() {
                break;
            }
            place = &mut place[name.as_str()];
        }
    }
    patch
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn managed(manager: &str, fields: Value) -> ManagedFieldsEntry {
        serde_json::from_value(
            json!({"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields}),
        )
        .unwrap()
    }

    fn found(kind: Kind, wanted: &Value, live: &Value, managers: &[ManagedFieldsEntry]) -> Vec<String> {
        let additions = additions(wanted, live, &owned_fields(kind, managers));
        additions.iter().map(|(path, addition)| format!("{path} = {}", addition.shown)).collect()
    }

    #[test]
    fn fields_that_others_wrote_beside_ours_are_additions() {
        let container =
            json!({"name": "server", "image": "a:1", "securityContext": {"capabilities": {"drop": ["ALL"]}}});
        let wanted = json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [container]}}}});
        let mut live = wanted.clone();
        live["spec"]["paused"] = json!(true);
        live["spec"]["minReadySeconds"] = json!(1);
        let pod = &mut live["spec"]["template"]["spec"];
        pod["hostPID"] = json!(true);
        pod["hostNetwork"] = json!(false);
        pod["dnsPolicy"] = json!("ClusterFirst");
        pod["initContainers"] = json!([{"name": "more"}]);
        pod["containers"][0]["command"] = json!(["sh"]);
        pod["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_RAW"]);
        pod["containers"].as_array_mut().unwrap().push(json!({"name": "beside"}));
        let edited = json!({"f:spec": {
            "f:paused": {},
            "f:replicas": {},
            "f:template": {
                "f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/restartedAt": {}}},
                "f:spec": {
                    "f:hostPID": {}, "f:hostNetwork": {}, "f:hostIPC": {},
                    "f:initContainers": {".": {}, "k:{\"name\":\"more\"}": {".": {}, "f:name": {}, "f:image": {}}},
                    "f:containers": {
                        "k:{\"name\":\"server\"}": {"f:command": {}, "f:image": {}, "f:securityContext": {"f:capabilities": {"f:add": {}}}},
                        "k:{\"name\":\"beside\"}": {".": {}, "f:name": {}, "f:image": {}},
                    },
                },
            },
        }});
        let managers =
            [managed("kubectl-edit", edited), managed(names::FIELD_MANAGER, json!({"f:spec": {"f:paused": {}}}))];
        assert_eq!(
            found(Kind::Deployment, &wanted, &live, &managers),
            [
                ".spec.paused = true (set by kubectl-edit)",
                ".spec.template.spec.containers[beside] = {\"name\":\"beside\"} (set by kubectl-edit)",
                ".spec.template.spec.containers[server].command = [\"sh\"] (set by kubectl-edit)",
                ".spec.template.spec.containers[server].securityContext.capabilities.add = [\"NET_RAW\"] (set by kubectl-edit)",
                ".spec.template.spec.hostPID = true (set by kubectl-edit)",
                ".spec.template.spec.initContainers = [{\"name\":\"more\"}] (set by kubectl-edit)",
            ]
        );
        let removed = without(&additions(&wanted, &live, &owned_fields(Kind::Deployment, &managers)), &wanted);
        let mut expected = wanted.clone();
        expected["spec"]["paused"] = Value::Null;
        expected["spec"]["template"]["spec"]["hostPID"] = Value::Null;
        expected["spec"]["template"]["spec"]["initContainers"] = Value::Null;
        assert_eq!(removed, expected);
    }

    #[test]
    fn what_was_declared_before_is_removed() {
        let fields = |names: &[&str]| {
            let keys = names.iter().map(|name| (format!("k:{{\"name\":\"{name}\"}}"), json!({".": {}, "f:name": {}})));
            json!({"f:spec": {"f:env": keys.collect::<Map<_, _>>(), "f:nodeName": {}, "f:dnsPolicy": {}}})
        };
        let mut applied = managed(names::FIELD_MANAGER, fields(&["A", "B"]));
        applied.operation = Some("Apply".to_owned());
        let merged = managed(names::FIELD_MANAGER, fields(&["C"]));
        let live =
            json!({"spec": {"env": [{"name": "A"}, {"name": "B"}, {"name": "C"}, {"name": "D"}], "dnsPolicy": "x"}});
        let wanted = json!({"spec": {"env": [{"name": "A"}], "dnsPolicy": "x"}});
        let found: Vec<_> =
            additions(&wanted, &live, &owned_fields(Kind::Deployment, &[applied, merged])).into_keys().collect();
        assert_eq!(found, [".spec.env[B]", ".spec.env[C]"]);
    }

    #[test]
    fn what_a_webhook_or_the_cluster_adds_is_none() {
        let wanted = json!({"spec": {"containers": [{"name": "server"}]}});
        let live =
            json!({"spec": {"containers": [{"name": "server", "tty": true}, {"name": "proxy"}], "hostPID": true}});
        assert!(found(Kind::Deployment, &wanted, &live, &[]).is_empty());
        let bound = managed("kube-controller-manager", json!({"f:spec": {"f:volumeName": {}}}));
        let live = json!({"spec": {"volumeName": "pv-1"}});
        assert!(found(Kind::PersistentVolumeClaim, &json!({"spec": {}}), &live, &[bound]).is_empty());
    }

    #[test]
    fn service_and_account_are_ours_alone() {
        let service = managed(
            "helper",
            json!({"f:spec": {"f:externalIPs": {}, "f:selector": {}}, "f:metadata": {"f:labels": {"f:a": {}}}}),
        );
        let wanted = json!({"spec": {"selector": {"app": "a"}}});
        let live = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"selector": {"app": "a", "team": "x"}, "externalIPs": ["192.0.2.1"], "clusterIP": "10.0.0.1"}});
        assert_eq!(
            found(Kind::Service, &wanted, &live, &[service]),
            [".spec.externalIPs = [\"192.0.2.1\"] (set by helper)", ".spec.selector.team = x (set by helper)"]
        );
        let account = managed("helper", json!({"f:imagePullSecrets": {}}));
        let live = json!({"imagePullSecrets": [{"name": "x"}]});
        assert_eq!(found(Kind::ServiceAccount, &json!({}), &live, &[account]).len(), 1);
    }
}
