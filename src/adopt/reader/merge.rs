//! Merges Compose files as Compose does: mappings field by field, sequences one after the other,
//! `command` and `entrypoint` replaced, `!override` and `!reset` obeyed.

use serde_json::{Map, Value};

use super::yaml::{OVERRIDE, RESET};

/// Sequences of a service that a later file replaces.
const REPLACED: [&str; 3] = ["command", "entrypoint", "test"];
/// Fields that may be written as a sequence of `name=value` or as a mapping.
const PAIRS: [&str; 3] = ["environment", "labels", "args"];
/// Fields that may be written as a sequence of names or as a mapping.
const NAMED: [&str; 2] = ["networks", "depends_on"];

/// Merges a later file into an earlier one, in which no tag is left. Tags that meet nothing stay, as
/// they may be meant for a file below.
pub(super) fn merge(base: &mut Value, later: Value) {
    merge_field("", base, later);
}

fn merge_field(name: &str, base: &mut Value, later: Value) {
    let (base_is_map, later_is_map) = (base.is_object(), later.is_object());
    match (base, later) {
        (base, Value::Object(mut fields)) if fields.len() == 1 && fields.contains_key(OVERRIDE) => {
            *base = fields.remove(OVERRIDE).unwrap_or_default();
        }
        (base, Value::Object(fields)) if fields.len() == 1 && fields.contains_key(RESET) => *base = Value::Null,
        (_, Value::Null) => {}
        (base, later) if PAIRS.contains(&name) && (base_is_map || base.is_array()) => {
            merge_as_maps(base, later, '=');
        }
        (base, later) if NAMED.contains(&name) && base_is_map != later_is_map && !base.is_null() => {
            merge_as_maps(base, later, '\0');
        }
        (Value::Object(base), Value::Object(later)) => merge_maps(base, later),
        (Value::Array(base), Value::Array(later)) if !REPLACED.contains(&name) => base.extend(later),
        (base, later) => *base = later,
    }
}

fn merge_maps(base: &mut Map<String, Value>, later: Map<String, Value>) {
    for (name, value) in later {
        let is_reset = value.get(RESET).is_some();
        if is_reset {
            base.remove(&name);
        } else {
            merge_field(&name, base.entry(name.clone()).or_insert(Value::Null), value);
        }
    }
}

/// Removes the tags of a value that nothing is below.
pub(super) fn resolve_tags(value: &mut Value) {
    match value {
        Value::Object(fields) if fields.contains_key(OVERRIDE) => {
            *value = fields.remove(OVERRIDE).unwrap_or_default();
            resolve_tags(value);
        }
        Value::Object(fields) => {
            fields.retain(|_, field| field.get(RESET).is_none());
            fields.values_mut().for_each(resolve_tags);
        }
        Value::Array(items) => items.iter_mut().for_each(resolve_tags),
        _ => {}
    }
}

fn merge_as_maps(base: &mut Value, later: Value, separator: char) {
    let mut merged = into_map(base.take(), separator);
    merge_maps(&mut merged, into_map(later, separator));
    *base = Value::Object(merged);
}

fn into_map(value: Value, separator: char) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Array(items) => items
            .into_iter()
            .filter_map(|item| match item {
                Value::String(text) => Some(match text.split_once(separator) {
                    Some((name, value)) => (name.to_owned(), Value::String(value.to_owned())),
                    None => (text, Value::Null),
                }),
                _ => None,
            })
            .collect(),
        _ => Map::new(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::yaml::read;
    use super::*;

    #[test]
    fn files_are_merged_as_compose_merges_them() {
        for (base, later, wanted) in [
            ("a: 1\nb: 2", "b: 3\nc: 4", "a: 1\nb: 3\nc: 4"),
            ("ports: [a]", "ports: [b]", "ports: [a, b]"),
            ("ports: [a]", "ports: !override [b]", "ports: [b]"),
            ("ports: [a]\nx: 1", "ports: !reset []", "x: 1"),
            ("x: 1", "ports: !override [b]\ny: !reset null", "x: 1\nports: [b]"),
            ("command: [a]", "command: [b]", "command: [b]"),
            ("environment: [A=1, B=2, C]", "environment: {B: 3}", "environment: {A: 1, B: 3, C: }"),
            ("environment: {A: 1}", "environment: [B=x=y]", "environment: {A: 1, B: x=y}"),
            ("networks: [a]", "networks: {b: {aliases: [c]}}", "networks: {a: , b: {aliases: [c]}}"),
            ("image: a", "image: ", "image: a"),
            ("v: ", "v: {x: 1}", "v: {x: 1}"),
        ] {
            let read = |text: &str| read(text).unwrap().remove(0);
            let mut merged = read(base);
            merge(&mut merged, read(later));
            resolve_tags(&mut merged);
            assert_eq!(merged, read(wanted), "{base} + {later}");
        }
    }
}
