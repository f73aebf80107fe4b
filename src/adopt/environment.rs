//! Finds the service in a Compose file and reads the forms in which Compose lets one write the same
//! thing.

use serde_json::Value;

use super::{AdoptError, Deployment, variables};

/// Returns the name of the service, the whole file, and the service.
pub(super) fn find(deployment: &Deployment<'_>) -> Result<(String, Value, Value), AdoptError> {
    let mut file: Value =
        serde_saphyr::from_str(deployment.text).map_err(|error| AdoptError::NotYaml(error.to_string()))?;
    let services =
        file["services"].as_object().filter(|services| !services.is_empty()).ok_or(AdoptError::NoServices)?;
    let known = || services.keys().cloned().collect::<Vec<_>>().join(", ");
    let name = match (deployment.service, services.len()) {
        (Some(name), _) if services.contains_key(name) => name.to_owned(),
        (Some(name), _) => return Err(AdoptError::NoSuchService { name: name.to_owned(), known: known() }),
        (None, 1) => known(),
        (None, _) => return Err(AdoptError::SeveralServices(known())),
    };
    let mut service = file["services"][name.as_str()].clone();
    // Of the other services nothing is wanted, so nothing has to be known.
    if let Some(fields) = file.as_object_mut() {
        fields.remove("services");
    }
    variables::fill_in(&mut file, deployment.variables)?;
    variables::fill_in(&mut service, deployment.variables)?;
    Ok((name, file, service))
}

/// `[A=1, B]` and `{A: 1, B:}` alike; a name without a value has none.
pub(super) fn pairs(value: &Value) -> Vec<(String, Option<String>)> {
    match value {
        Value::Array(items) => items
            .iter()
            .filter_map(Value::as_str)
            .map(|item| match item.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                None => (item.to_owned(), None),
            })
            .collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), text(value))).collect(),
        _ => Vec::new(),
    }
}

/// A scalar as the text it stands for.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(is) => Some(is.to_string()),
        _ => None,
    }
}

/// `[a, b]` and `{a: …, b: …}` alike.
pub(super) fn names(value: &Value) -> Vec<String> {
    match value {
        Value::Array(items) => items.iter().filter_map(text).collect(),
        Value::Object(fields) => fields.keys().cloned().collect(),
        _ => Vec::new(),
    }
}
