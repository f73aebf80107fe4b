//! The custom resource definition, with a rule for each field that has no effect in a cluster.

use kube::CustomResourceExt;
use serde_json::{Value, json};

use super::effect::PlatformKind;
use super::refusal::sentence;
use crate::api::{MaiBackup, MaiInstance, MaiRestore};

/// Returns the CustomResourceDefinitions of all kinds, for a cluster.
pub fn crds() -> Result<[Value; 3], serde_json::Error> {
    let mut requests = [serde_json::to_value(MaiBackup::crd())?, serde_json::to_value(MaiRestore::crd())?];
    requests.iter_mut().for_each(join_lines);
    let [backup, restore] = requests;
    Ok([crd()?, backup, restore])
}

/// Returns the CustomResourceDefinition of instances. Its API server refuses a field that has no
/// effect there with the words of `mai validate`. An object that was stored with such a field can
/// still be changed elsewhere, since rules of unchanged fields are not evaluated again.
pub fn crd() -> Result<Value, serde_json::Error> {
    let mut crd = serde_json::to_value(MaiInstance::crd())?;
    let spec = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    refuse("spec", spec);
    join_lines(&mut crd);
    Ok(crd)
}

/// Makes one line of each paragraph of a description, which is wrapped where it is shown.
fn join_lines(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "description" => {
                        let paragraphs: Vec<_> = text.split("\n\n").map(|lines| lines.replace('\n', " ")).collect();
                        *text = paragraphs.join("\n\n");
                    }
                    value => join_lines(value),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        _ => {}
    }
}

fn refuse(path: &str, schema: &mut Value) {
    if let Some(message) = sentence(path, Some(PlatformKind::Kubernetes)) {
        let rule = json!({"rule": "false", "message": message});
        match &mut schema["x-kubernetes-validations"] {
            Value::Array(rules) => rules.push(rule),
            absent => *absent = json!([rule]),
        }
        return;
    }
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        for (name, schema) in properties {
            refuse(&format!("{path}.{name}"), schema);
        }
    }
    if let Some(items) = schema.get_mut("items") {
        refuse(&format!("{path}[]"), items);
    }
    if let Some(values) = schema.get_mut("additionalProperties") {
        refuse(&format!("{path}.*"), values);
    }
}
