//! The committed CRDs equal the output of `mai crd`, and are small enough for any cluster.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Kinds in the order in which `mai crd` prints them.
const KINDS: [&str; 3] = ["maiinstances", "maibackups", "mairestores"];

/// Returns the documents that `mai crd` prints.
fn printed() -> [String; 3] {
    let output = Command::new(env!("CARGO_BIN_EXE_mai")).arg("crd").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let all = String::from_utf8(output.stdout).unwrap();
    let documents: Vec<String> = all.split("---\n").map(str::to_owned).collect();
    documents.try_into().unwrap()
}

#[test]
fn committed_crds_equal_mai_crd_output() {
    for (kind, printed) in KINDS.iter().zip(printed()) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("crds/{kind}.yaml"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, &printed).unwrap();
        }
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == printed,
            "crds/{kind}.yaml is stale; run: UPDATE=1 cargo test --test it crds_are_generated"
        );
    }
}

#[test]
fn crds_survive_a_yaml_round_trip() {
    let read = printed().map(|text| serde_saphyr::from_str::<serde_json::Value>(&text).unwrap());
    assert_eq!(read[0], mai_operator::api::crd().unwrap());
    for (kind, read) in KINDS.iter().zip(read) {
        assert_eq!(read["kind"], "CustomResourceDefinition");
        assert_eq!(read["metadata"]["name"], format!("{kind}.mai.dev"));
    }
}

#[test]
fn crds_are_together_smaller_than_96_kb() {
    let sizes = printed().map(|document| document.len());
    assert!(sizes.iter().sum::<usize>() < 96 * 1024, "{KINDS:?} have {sizes:?} bytes");
}
