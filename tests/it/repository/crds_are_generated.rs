//! The committed CRD equals the output of `mai crd`, and is small enough for any cluster.

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn committed_crd_equals_mai_crd_output() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds/maiinstances.yaml");
    let output = Command::new(env!("CARGO_BIN_EXE_mai")).arg("crd").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, &printed).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    assert!(committed == printed, "crds/maiinstances.yaml is stale; run: cargo run -- crd > crds/maiinstances.yaml");
}

#[test]
fn crd_survives_a_yaml_round_trip() {
    let output = Command::new(env!("CARGO_BIN_EXE_mai")).arg("crd").output().unwrap();
    let read: serde_json::Value = serde_saphyr::from_slice(&output.stdout).unwrap();
    let meant = mai_operator::api::crd().unwrap();
    assert_eq!(read, meant);
    assert_eq!(read["kind"], "CustomResourceDefinition");
    assert_eq!(read["metadata"]["name"], "maiinstances.mai.dev");
}

#[test]
fn crd_is_smaller_than_96_kb() {
    let output = Command::new(env!("CARGO_BIN_EXE_mai")).arg("crd").output().unwrap();
    assert!(output.stdout.len() < 96 * 1024, "the CRD has {} bytes", output.stdout.len());
}
