//! `${VARIABLE}` as Compose replaces it.
//!
//! A file may use variables in services that nobody adopts, so nothing fails here: what has no value
//! is marked in the text, and [`settle`] reports the marks of the parts that are used.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Encloses the name of a variable that is not set.
const UNSET: char = '\u{1}';
/// Encloses the name and message of a variable that is required and has no value.
const REQUIRED: char = '\u{2}';
/// Deepest nesting of expressions.
const DEEPEST: usize = 32;

/// Values of variables.
pub(crate) type Variables = BTreeMap<String, String>;

/// Variables without a value.
#[derive(Debug, Default)]
pub(super) struct Unresolved {
    /// Names of those that are taken for empty.
    pub(super) unset: BTreeSet<String>,
    /// Names of those that are required, with the message of the file.
    pub(super) required: BTreeMap<String, String>,
}

/// Replaces the variables in all values of a document.
pub(super) fn interpolate(value: &mut Value, variables: &Variables) {
    match value {
        Value::String(text) if text.contains('$') => *text = interpolated(text, variables),
        Value::Array(items) => items.iter_mut().for_each(|item| interpolate(item, variables)),
        Value::Object(fields) => fields.values_mut().for_each(|field| interpolate(field, variables)),
        _ => {}
    }
}

/// Returns a text with its variables replaced.
pub(super) fn interpolated(text: &str, variables: &Variables) -> String {
    replace(text, variables, 0)
}

/// Removes the marks of a value and reports them.
pub(super) fn settle(value: &mut Value, unresolved: &mut Unresolved) {
    match value {
        Value::String(text) => settle_text(text, unresolved),
        Value::Array(items) => items.iter_mut().for_each(|item| settle(item, unresolved)),
        Value::Object(fields) => fields.values_mut().for_each(|field| settle(field, unresolved)),
        _ => {}
    }
}

/// Removes the marks of a text and reports them.
pub(super) fn settle_text(text: &mut String, unresolved: &mut Unresolved) {
    for mark in [UNSET, REQUIRED] {
        if !text.contains(mark) {
            continue;
        }
        let mut plain = String::new();
        for (index, part) in text.split(mark).enumerate() {
            match (index % 2, mark) {
                (0, _) => plain.push_str(part),
                (_, UNSET) => drop(unresolved.unset.insert(part.to_owned())),
                _ => {
                    let (name, message) = part.split_once(' ').unwrap_or((part, ""));
                    unresolved.required.insert(name.to_owned(), message.to_owned());
                }
            }
        }
        *text = plain;
    }
}

fn replace(text: &str, variables: &Variables, depth: usize) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((value, after)) = braced(rest, variables, depth) {
            out.push_str(&value);
            rest = after;
        } else {
            let name = name_at(rest);
            match name {
                "" => out.push('$'),
                name => out.push_str(&plain(name, variables)),
            }
            rest = &rest[name.len()..];
        }
    }
    out.push_str(rest);
    out
}

fn name_at(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    match text.starts_with(|c: char| c.is_ascii_digit()) {
        true => "",
        false => &text[..end],
    }
}

fn plain(name: &str, variables: &Variables) -> String {
    variables.get(name).cloned().unwrap_or_else(|| format!("{UNSET}{name}{UNSET}"))
}

/// Returns the value of an expression in braces and the text after it.
fn braced<'t>(text: &'t str, variables: &Variables, depth: usize) -> Option<(String, &'t str)> {
    let inside = text.strip_prefix('{').filter(|_| depth < DEEPEST)?;
    let end = closing_brace(inside)?;
    let (expression, after) = (&inside[..end], &inside[end + 1..]);
    let name = name_at(expression);
    let operation = &expression[name.len()..];
    let set = variables.get(name);
    let filled = set.filter(|value| !value.is_empty());
    let other = |text: &str| replace(text, variables, depth + 1);
    let required = |message: &str| format!("{REQUIRED}{name} {}{REQUIRED}", other(message));
    let value = if name.is_empty() {
        return None;
    } else if operation.is_empty() {
        plain(name, variables)
    } else if let Some(default) = operation.strip_prefix(":-") {
        filled.cloned().unwrap_or_else(|| other(default))
    } else if let Some(default) = operation.strip_prefix('-') {
        set.cloned().unwrap_or_else(|| other(default))
    } else if let Some(message) = operation.strip_prefix(":?") {
        filled.cloned().unwrap_or_else(|| required(message))
    } else if let Some(message) = operation.strip_prefix('?') {
        set.cloned().unwrap_or_else(|| required(message))
    } else if let Some(alternative) = operation.strip_prefix(":+") {
        filled.map(|_| other(alternative)).unwrap_or_default()
    } else {
        let alternative = operation.strip_prefix('+')?;
        set.map(|_| other(alternative)).unwrap_or_default()
    };
    Some((value, after))
}

/// Returns the position of the brace that ends an expression.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 1;
    for (at, letter) in text.char_indices() {
        open += match letter {
            '{' => 1,
            '}' => -1,
            _ => 0,
        };
        if open == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_variable_has_the_value_of_compose() {
        let variables: Variables =
            [("SET", "value"), ("EMPTY", ""), ("N", "2")].map(|(name, value)| (name.into(), value.into())).into();
        for (text, wanted, unset, required) in [
            ("$SET-x ${SET}", "value-x value", "", ""),
            ("${UNSET:-${SET}}", "value", "", ""),
            ("${UNSET:-a.${UNSET2:-deep}.${SET}}", "a.deep.value", "", ""),
            ("${EMPTY:-d}${EMPTY-d}", "d", "", ""),
            ("${EMPTY+alt}${EMPTY:+alt}${SET:+alt}${UNSET+alt}", "altalt", "", ""),
            ("$$HOME $${SET} $5 cost 5$", "$HOME ${SET} $5 cost 5$", "", ""),
            ("${UNSET:-a:b-c?d}", "a:b-c?d", "", ""),
            ("${UNSET:-{\"a\": {}}}!", "{\"a\": {}}!", "", ""),
            ("${EMPTY?needed}", "", "", ""),
            ("${EMPTY:?set ${SET} first}", "", "", "EMPTY=set value first"),
            ("${A:-${B:?x}}", "", "", "B=x"),
            ("${SET:-${B:?x}}", "value", "", ""),
            ("$A/${B}", "/", "A,B", ""),
            ("${SET", "${SET", "", ""),
            ("${}", "${}", "", ""),
            ("${SET!}", "${SET!}", "", ""),
        ] {
            let mut value = interpolated(text, &variables);
            let mut found = Unresolved::default();
            settle_text(&mut value, &mut found);
            assert_eq!(value, wanted, "{text}");
            assert_eq!(found.unset.into_iter().collect::<Vec<_>>().join(","), unset, "{text}");
            let messages = found.required.iter().map(|(name, message)| format!("{name}={message}"));
            assert_eq!(messages.collect::<Vec<_>>().join(","), required, "{text}");
        }
    }
}
