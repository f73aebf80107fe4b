//! Differences between declared and live objects: declared fields that are others, and fields that
//! somebody else added. The cluster and its admission webhooks fill in the rest.

use serde_json::Value;

use super::kind::Kind;
use super::live_object::LiveObject;
use super::owned_fields::additions;
use crate::api::{parse_bytes, parse_cpu_millis};
use crate::core::{Change, Effect, Field};

/// Value of a field that is not there, for people.
const ABSENT: &str = "(absent)";
/// Path of the image of a server in its Deployment.
const IMAGE: &str = ".spec.template.spec.containers[server].image";

/// Returns the fields of an object `wanted` that are others in `live`, or were added by others.
pub(super) fn differences(wanted: &Value, live: &LiveObject) -> Vec<Change> {
    let fields = wanted.as_object().into_iter().flatten();
    let mut found = Vec::new();
    for (name, value) in fields.filter(|(name, _)| *name != "apiVersion" && *name != "kind") {
        compare(&format!(".{name}"), value, &live.object[name], &mut found);
    }
    let additions = additions(wanted, &live.object, &live.owned).into_iter();
    found.extend(additions.map(|(path, addition)| Difference { path, from: addition.shown, to: ABSENT.to_owned() }));
    found.into_iter().map(|difference| difference.into_change(live.kind)).collect()
}

struct Difference {
    path: String,
    from: String,
    to: String,
}

impl Difference {
    fn into_change(self, kind: Kind) -> Change {
        // A pod cannot change; everything else can.
        let recreates = kind == Kind::Deployment && self.path.starts_with(".spec.template");
        let effect = if recreates { Effect::Recreate } else { Effect::Auxiliary };
        let field = match self.path.as_str() {
            IMAGE if recreates => Field::Image,
            _ => Field::ObjectField { kind: kind.as_str(), path: self.path },
        };
        Change { field, effect, from: self.from, to: self.to }
    }
}

/// Returns the merge patch (RFC 7386) that turns `live` into `wanted`.
pub(super) fn merge(live: &Value, wanted: &Value) -> Value {
    let (Some(from), Some(to)) = (live.as_object(), wanted.as_object()) else { return wanted.clone() };
    let gone = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let kept = to.iter().map(|(name, value)| (name.clone(), merge(&live[name], value)));
    Value::Object(gone.chain(kept).collect())
}

fn compare(path: &str, wanted: &Value, live: &Value, changes: &mut Vec<Difference>) {
    match (wanted, live) {
        (Value::Object(fields), _) if !fields.is_empty() => {
            for (name, value) in fields {
                compare(&format!("{path}.{name}"), value, &live[name], changes);
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.iter().all(|item| key(item).is_some()) => {
            for item in wanted {
                let same = live.iter().find(|other| key(other) == key(item));
                let path = format!("{path}[{}]", key(item).unwrap_or_default());
                compare(&path, item, same.unwrap_or(&Value::Null), changes);
            }
        }
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                compare(&format!("{path}[{index}]"), wanted, live, changes);
            }
        }
        _ if same(path, wanted, live) => {}
        _ => changes.push(Difference { path: path.to_owned(), from: shown(live), to: shown(wanted) }),
    }
}

/// Returns what tells an item of a list from the others, if it has that. Others may add items.
fn key(item: &Value) -> Option<&str> {
    item["mountPath"].as_str().or_else(|| item["name"].as_str())
}

fn same(path: &str, wanted: &Value, live: &Value) -> bool {
    if wanted == live || (is_omitted(wanted) && is_omitted(live)) {
        return true;
    }
    let (Some(wanted), Some(live)) = (wanted.as_str(), live.as_str()) else { return false };
    // The API server normalizes quantities.
    match path.rsplit('.').next() {
        Some("cpu") => matches!((parse_cpu_millis(wanted), parse_cpu_millis(live)), (Ok(a), Ok(b)) if a == b),
        Some("memory" | "storage" | "sizeLimit") => {
            matches!((parse_bytes(wanted), parse_bytes(live)), (Ok(a), Ok(b)) if a == b)
        }
        _ => false,
    }
}

/// Returns whether the API server leaves a value out.
pub(super) fn is_omitted(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Number(_) => false,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => ABSENT.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: Kind, object: Value) -> LiveObject {
        LiveObject { kind, object, owned: Vec::new() }
    }

    #[test]
    fn items_of_others_beside_declared_ones_are_no_difference() {
        let wanted = json!({"containers": [{"name": "server", "env": [{"name": "A", "value": "1"}], "args": ["a"]}]});
        let live = json!({"containers": [
            {"name": "proxy"},
            {"name": "server", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}], "args": ["a", "b"]},
        ]});
        let mut found: Vec<String> =
            differences(&wanted, &of(Kind::Service, live)).iter().map(ToString::to_string).collect();
        found.sort();
        assert_eq!(
            found,
            [
                r#"Service.containers[server].args: ["a","b"] -> ["a"]"#,
                "Service.containers[server].env[A].value: 3 -> 1",
            ]
        );
    }

    #[test]
    fn declared_fields_are_compared_and_quantities_by_value() {
        let wanted = json!({
            "replicas": 1, "privileged": false, "annotations": {},
            "containers": [{"name": "server", "image": "a:2", "resources": {"limits": {"cpu": "1000m", "memory": "1073741824"}}}],
            "args": ["a", "b"],
        });
        let live = json!({
            "replicas": 1, "paused": true,
            "containers": [{"name": "server", "image": "a:1", "stdin": false, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}],
            "args": ["a"],
        });
        let changes: Vec<String> =
            differences(&wanted, &of(Kind::Service, live)).iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["Service.containers[server].image: a:1 -> a:2", r#"Service.args: ["a"] -> ["a","b"]"#]);
    }

    #[test]
    fn image_of_a_server_is_a_change_of_its_own() {
        let deployment = |image: &str| {
            let containers = json!([{"name": "server", "image": image}]);
            json!({"spec": {"template": {"spec": {"containers": containers}}}})
        };
        let changes = differences(&deployment("a:2"), &of(Kind::Deployment, deployment("a:1")));
        let [change] = changes.as_slice() else { unreachable!("{changes:?}") };
        assert_eq!((&change.field, change.effect), (&Field::Image, Effect::Recreate));
        assert_eq!((change.from.as_str(), change.to.as_str()), ("a:1", "a:2"));
    }

    #[test]
    fn merge_removes_fields_and_replaces_whole_lists() {
        let live = json!({"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"containers": [1, 2], "volumes": [3], "host": {"x": 1}}});
        let wanted =
            json!({"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [2], "volumes": [3], "dns": {"y": 2}}});
        assert_eq!(
            merge(&live, &wanted),
            json!({
                "metadata": {"labels": {"a": "1", "b": null}},
                "spec": {"containers": [2], "volumes": [3], "dns": {"y": 2}, "host": null},
            })
        );
    }

    #[test]
    fn false_that_was_set_true_by_hand_differs() {
        let changes = differences(&json!({"privileged": false}), &of(Kind::Service, json!({"privileged": true})));
        assert_eq!(changes.len(), 1);
    }
}
