//! Promise: every field of the schema has a row that says what it does on each platform, and the
//! page of fields shows them.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use mai_operator::api::{FIELDS, crd};
use serde_json::Value;

/// Paths of all leaves below a schema.
fn leaves(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    if let Some(properties) = schema["properties"].as_object() {
        properties.iter().for_each(|(name, schema)| leaves(&format!("{path}.{name}"), schema, found));
    } else if schema["items"].is_object() {
        leaves(&format!("{path}[]"), &schema["items"], found);
    } else if schema["additionalProperties"].is_object() {
        leaves(&format!("{path}.*"), &schema["additionalProperties"], found);
    } else {
        found.insert(path.to_owned());
    }
}

#[test]
fn every_leaf_of_the_schema_has_one_row_and_every_row_a_leaf() {
    let definition = crd().unwrap();
    let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
    let mut expected = BTreeSet::new();
    for part in ["spec", "status"] {
        leaves(part, &schema[part], &mut expected);
    }
    assert!(expected.len() > 80, "the leaves are not found: {expected:?}");
    let rows: BTreeSet<String> = FIELDS.iter().map(|field| field.path.to_owned()).collect();
    assert_eq!(rows.len(), FIELDS.len(), "a field has two rows");
    let missing: Vec<_> = expected.difference(&rows).collect();
    let surplus: Vec<_> = rows.difference(&expected).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "without a row: {missing:?}; without a leaf: {surplus:?}");
}

#[test]
fn the_committed_page_is_what_mai_fields_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/fields.md");
    let output = Command::new(env!("CARGO_BIN_EXE_mai")).arg("fields").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(committed == printed, "docs/fields.md is stale; run: cargo run -- fields > docs/fields.md");
}
