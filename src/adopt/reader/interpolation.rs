//! `${VARIABLE}` as Docker Compose reads it, and the `.env` file next to a Compose file.

use std::collections::BTreeMap;

use serde_json::Value;

use super::AdoptError;

/// Replaces the variables of a document by their values.
pub(super) fn fill_in(value: &mut Value, variables: &BTreeMap<String, String>) -> Result<(), AdoptError> {
    match value {
        Value::String(text) if text.contains('$') => *text = filled(text, variables)?,
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill_in(item, variables))?,
        Value::Object(fields) => fields.values_mut().try_for_each(|field| fill_in(field, variables))?,
        _ => {}
    }
    Ok(())
}

fn filled(text: &str, variables: &BTreeMap<String, String>) -> Result<String, AdoptError> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((inside, after)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            out.push_str(&value_of(inside, variables)?);
            rest = after;
        } else {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            match &rest[..end] {
                "" => out.push('$'),
                name => out.push_str(&value_of(name, variables)?),
            }
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

fn value_of(expression: &str, variables: &BTreeMap<String, String>) -> Result<String, AdoptError> {
    let end = expression.find([':', '-', '?', '+']).unwrap_or(expression.len());
    let (name, operator) = expression.split_at(end);
    let known = variables.get(name);
    let filled = known.filter(|value| !value.is_empty());
    if let Some(default) = operator.strip_prefix(":-") {
        return Ok(filled.cloned().unwrap_or_else(|| default.to_owned()));
    }
    if let Some(default) = operator.strip_prefix('-') {
        return Ok(known.cloned().unwrap_or_else(|| default.to_owned()));
    }
    if let Some(other) = operator.strip_prefix(":+").or_else(|| operator.strip_prefix('+')) {
        return Ok(filled.map(|_| other.to_owned()).unwrap_or_default());
    }
    filled.cloned().ok_or_else(|| AdoptError::NoValue(name.to_owned()))
}

/// The variables of a `.env` file.
pub fn read_env_file(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(|line| line.trim().trim_start_matches("export "))
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| {
            let value = value.trim();
            let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote));
            let value = quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or_default().trim_end());
            (name.trim().to_owned(), value.to_owned())
        })
        .collect()
}
