//! Differences between declared and live objects. Only declared fields are compared: the cluster
//! fills in the rest.

use serde_json::Value;

use super::kind::Kind;
use crate::api::{parse_bytes, parse_cpu_millis};
use crate::core::{Change, Effect, Field};

/// Path of the image of a server in its Deployment.
const IMAGE: &str = ".spec.template.spec.containers[server].image";

/// Returns the fields of an object `wanted` that are others in `live`. Fields that `wanted` leaves
/// out are the cluster's.
pub(super) fn differences(kind: Kind, wanted: &Value, live: &Value) -> Vec<Change> {
    let fields = wanted.as_object().into_iter().flatten();
    let mut found = Vec::new();
    for (name, value) in fields.filter(|(name, _)| *name != "apiVersion" && *name != "kind") {
        compare(&format!(".{name}"), value, &live[name], &mut found);
    }
    found.into_iter().map(|difference| difference.into_change(kind)).collect()
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
        (Value::Array(wanted), Value::Array(live)) if wanted.len() == live.len() => {
            for (index, (wanted, live)) in wanted.iter().zip(live).enumerate() {
                compare(&item_path(path, index, wanted), wanted, live, changes);
            }
        }
        _ if same(path, wanted, live) => {}
        _ => changes.push(Difference { path: path.to_owned(), from: shown(live), to: shown(wanted) }),
    }
}

/// Returns the path of an item: by its name, if it has one.
fn item_path(path: &str, index: usize, item: &Value) -> String {
    match item["name"].as_str() {
        Some(name) => format!("{path}[{name}]"),
        None => format!("{path}[{index}]"),
    }
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
fn is_omitted(value: &Value) -> bool {
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
        Value::Null => "(absent)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

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
        let changes: Vec<String> = differences(Kind::Service, &wanted, &live).iter().map(ToString::to_string).collect();
        assert_eq!(changes, ["Service.containers[server].image: a:1 -> a:2", r#"Service.args: ["a"] -> ["a","b"]"#]);
    }

    #[test]
    fn image_of_a_server_is_a_change_of_its_own() {
        let deployment = |image: &str| {
            let containers = json!([{"name": "server", "image": image}]);
            json!({"spec": {"template": {"spec": {"containers": containers}}}})
        };
        let changes = differences(Kind::Deployment, &deployment("a:2"), &deployment("a:1"));
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
        let changes = differences(Kind::Service, &json!({"privileged": false}), &json!({"privileged": true}));
        assert_eq!(changes.len(), 1);
    }
}
