//! `mai plan` lists changes and their causes by instance and field, and has no effect.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixtures::compose::{Workspace, document, wait_ready};
use crate::fixtures::ports::free_port;

/// Returns all files below a directory with their contents, without those that a running server
/// writes.
fn read_files(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let is_of_server = ["data", "server.log"].map(OsStr::new).contains(&entry.file_name().as_os_str());
        match entry.file_type().unwrap().is_dir() {
            _ if is_of_server => {}
            true => found.extend(read_files(&entry.path())),
            false => drop(found.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
        }
    }
    found
}

fn plan(workspace: &Workspace) -> (i32, Value) {
    let (code, out, err) = workspace.mai("plan", &["--json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

fn instance<'a>(plan: &'a Value, name: &str) -> &'a Value {
    plan["instances"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()
}

#[test]
fn plan_before_first_run_starts_all_and_writes_nothing() {
    let workspace = Workspace::new();
    workspace.write("a.yaml", &document("alpha", free_port(), ""));
    let (code, planned) = plan(&workspace);
    assert_eq!((code, &planned["changes"]), (2, &Value::from(1)), "{planned}");
    assert_eq!(instance(&planned, "alpha")["action"], "start");
    assert!(!workspace.state.exists());
    assert!(workspace.servers().is_empty());
}

#[test]
fn plan_lists_changes_by_field_and_changes_nothing() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port(), free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("b.yaml", &document("beta", ports[1], ""));
    workspace.write("c.yaml", &document("gamma", ports[2], ""));
    let compose = workspace.compose(&["--detach"]);
    ports[..3].iter().for_each(|port| wait_ready(*port));
    let (code, planned) = plan(&workspace);
    assert_eq!((code, &planned["changes"]), (0, &Value::from(0)), "beside the reconciler: {planned}");
    compose.stop();

    workspace.write("a.yaml", &document("alpha", ports[0], "").replace("displayName: alpha", "displayName: Alpha Ltd"));
    workspace.remove("b.yaml");
    workspace.write("d.yaml", &document("delta", ports[3], ""));
    let (servers, files) = (workspace.servers(), read_files(&workspace.state));
    let (code, planned) = plan(&workspace);
    assert_eq!((code, &planned["changes"]), (2, &Value::from(3)), "{planned}");
    let alpha = instance(&planned, "alpha");
    assert_eq!(alpha["action"], "replace");
    assert_eq!(
        alpha["document"],
        serde_json::json!([{"field": "spec.displayName", "from": "\"alpha\"", "to": "\"Alpha Ltd\""}])
    );
    assert_eq!(alpha["changes"][0]["field"], "env.WEBUI_NAME", "{alpha}");
    assert_eq!(alpha["changes"].as_array().unwrap().len(), 1, "{alpha}");
    assert!(alpha["file"].as_str().unwrap().ends_with("a.yaml"));
    assert_eq!(instance(&planned, "beta")["action"], "stop");
    assert_eq!(instance(&planned, "beta")["why"], "the document was removed");
    assert_eq!(instance(&planned, "gamma")["action"], "none");
    assert_eq!(instance(&planned, "delta")["action"], "start");

    let (code, text, _) = workspace.mai("plan", &[]);
    assert_eq!(code, 2);
    assert!(text.contains("replace  alpha") && text.contains("spec.displayName: \"alpha\" -> \"Alpha Ltd\""), "{text}");
    assert!(text.contains("3 to change, 0 blocked, 1 as declared, 0 problems"), "{text}");

    assert_eq!(workspace.servers(), servers);
    let now = read_files(&workspace.state);
    assert_eq!(now.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>(), "a plan made or removed a file");
    assert!(now == files, "a plan wrote to a file");
}

#[test]
fn plan_lists_errors_and_obstacles_without_secrets() {
    let workspace = Workspace::new();
    let port = free_port();
    let secretive = "  server:\n    env: [{name: EXTRA_TOKEN, secretRef: {name: extra, key: token}}]\n";
    workspace.write_secret("extra", "token", "first-secret-value");
    workspace.write("a.yaml", &document("alpha", port, secretive));
    let compose = workspace.compose(&["--detach"]);
    wait_ready(port);
    compose.stop();

    workspace.write_secret("extra", "token", "second-secret-value");
    let (code, planned) = plan(&workspace);
    assert_eq!(code, 2, "{planned}");
    assert_eq!(instance(&planned, "alpha")["changes"][0]["field"], "env.EXTRA_TOKEN");
    assert!(!planned.to_string().contains("secret-value"), "{planned}");

    workspace.write("a.yaml", &document("alpha", port, "  server:\n    env: [{name: EXTRA_TOKEN, value: open}]\n"));
    let (_, planned) = plan(&workspace);
    assert_eq!(instance(&planned, "alpha")["changes"][0]["to"], "\"open\"");
    assert!(!planned.to_string().contains("first-secret-value"), "{planned}");

    workspace.write("a.yaml", &document("alpha", port, secretive));
    workspace.remove("secrets/extra.yaml");
    workspace.write(
        "b.yaml",
        &document("beta", port, "").replace("maxUsers", "x").replace("displayName: beta", "displayName: 7"),
    );
    let (code, planned) = plan(&workspace);
    assert_eq!(code, 1, "{planned}");
    assert_eq!(instance(&planned, "alpha")["action"], "blocked");
    assert!(instance(&planned, "alpha")["why"].as_str().unwrap().contains("Secret extra is not there"), "{planned}");
    let problem = &planned["problems"][0];
    assert!(
        problem["file"].as_str().unwrap().ends_with("b.yaml") && problem["field"] == "spec.displayName",
        "{problem}"
    );

    let (code, _, err) = workspace.mai("plan", &["--nonsense"]);
    assert_eq!(code, 1, "2 means that something would change: {err}");
}
