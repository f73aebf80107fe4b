//! Refusal of fields that a document declares and that have no effect.

use serde_json::Value;

use super::effect::{Effect, PlatformKind};
use super::table::FIELDS;
use crate::api::Finding;

/// Returns a finding for each field without effect in `document`, which is as its author wrote it,
/// without defaults. Where the platform is not known, only the fields are refused that have no
/// effect on any.
pub fn refusals(document: &Value, platform: Option<PlatformKind>) -> Vec<Finding> {
    let mut findings = Vec::new();
    walk(&document["spec"], "spec", "spec", platform, &mut findings);
    findings
}

/// Adds a finding for each refused field at or below `value`. `path` names the place in the
/// document, `row` the same place in the table.
fn walk(value: &Value, path: &str, row: &str, platform: Option<PlatformKind>, findings: &mut Vec<Finding>) {
    if value.is_null() {
        return;
    }
    if let Some(message) = sentence(row, platform) {
        findings.push(Finding { path: path.to_owned(), message });
        return;
    }
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                walk(value, &format!("{path}.{key}"), &format!("{row}.{key}"), platform, findings);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                walk(value, &format!("{path}[{index}]"), &format!("{row}[]"), platform, findings);
            }
        }
        _ => {}
    }
}

/// Returns the sentence with which all fields at or below `prefix` are refused; nothing when one of
/// them takes effect or they are refused for different reasons.
pub(super) fn sentence(prefix: &str, platform: Option<PlatformKind>) -> Option<String> {
    let effect_of = |field: &super::Field| match platform {
        Some(platform) => field.on(platform),
        None => field.process,
    };
    let mut effects = FIELDS.iter().filter(|field| field.is_within(prefix)).map(effect_of);
    let first = effects.next()?;
    let refused = !matches!(first, Effect::Active(_)) && effects.all(|effect| effect == first);
    refused.then(|| first.sentence(prefix, platform)).flatten()
}
