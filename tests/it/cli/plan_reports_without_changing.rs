//! Promise: `mai plan` says what would change and why, by instance and field, and has no effect at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::fixtures::compose::{Place, document, wait_ready};
use crate::fixtures::ports::free_port;

/// Every file below a directory with its content.
fn everything(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => found.extend(everything(&entry.path())),
            false => drop(found.insert(entry.path(), std::fs::read(entry.path()).unwrap())),
        }
    }
    found
}

fn plan(place: &Place) -> (i32, Value) {
    let (code, out, err) = place.mai("plan", &["--json"]);
    (code, serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}")))
}

fn instance<'a>(plan: &'a Value, name: &str) -> &'a Value {
    plan["instances"].as_array().unwrap().iter().find(|item| item["name"] == name).unwrap()
}

#[test]
fn before_the_first_run_everything_would_be_started_and_not_even_a_directory_is_made() {
    let place = Place::new();
    place.write("a.yaml", &document("alpha", free_port(), ""));
    let (code, planned) = plan(&place);
    assert_eq!((code, &planned["changes"]), (2, &Value::from(1)), "{planned}");
    assert_eq!(instance(&planned, "alpha")["action"], "start");
    assert!(!place.state.exists());
    assert!(place.servers().is_empty());
}

#[test]
fn edits_additions_and_removals_are_told_by_field_and_nothing_is_touched() {
    let place = Place::new();
    let ports = [free_port(), free_port(), free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("b.yaml", &document("beta", ports[1], ""));
    place.write("c.yaml", &document("gamma", ports[2], ""));
    let compose = place.compose(&["--detach"]);
    ports[..3].iter().for_each(|port| wait_ready(*port));
    let (code, planned) = plan(&place);
    assert_eq!((code, &planned["changes"]), (0, &Value::from(0)), "beside the reconciler: {planned}");
    compose.stop();

    place.write("a.yaml", &document("alpha", ports[0], "").replace("displayName: alpha", "displayName: Alpha Ltd"));
    place.remove("b.yaml");
    place.write("d.yaml", &document("delta", ports[3], ""));
    let (servers, files) = (place.servers(), everything(&place.state));
    let (code, planned) = plan(&place);
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

    let (code, text, _) = place.mai("plan", &[]);
    assert_eq!(code, 2);
    assert!(text.contains("replace  alpha") && text.contains("spec.displayName: \"alpha\" -> \"Alpha Ltd\""), "{text}");
    assert!(text.contains("3 to change, 0 blocked, 1 as declared, 0 problems"), "{text}");

    assert_eq!(place.servers(), servers);
    let now = everything(&place.state);
    assert_eq!(now.keys().collect::<Vec<_>>(), files.keys().collect::<Vec<_>>(), "a plan made or removed a file");
    assert!(now == files, "a plan wrote to a file");
}

#[test]
fn documents_with_errors_and_what_is_blocked_are_told_as_such_and_no_secret_shows() {
    let place = Place::new();
    let port = free_port();
    let secretive = "  server:\n    env: [{name: EXTRA_TOKEN, secretRef: {name: extra, key: token}}]\n";
    place.secret("extra", "token", "first-secret-value");
    place.write("a.yaml", &document("alpha", port, secretive));
    let compose = place.compose(&["--detach"]);
    wait_ready(port);
    compose.stop();

    place.secret("extra", "token", "second-secret-value");
    let (code, planned) = plan(&place);
    assert_eq!(code, 2, "{planned}");
    assert_eq!(instance(&planned, "alpha")["changes"][0]["field"], "env.EXTRA_TOKEN");
    assert!(!planned.to_string().contains("secret-value"), "{planned}");

    place.write("a.yaml", &document("alpha", port, "  server:\n    env: [{name: EXTRA_TOKEN, value: open}]\n"));
    let (_, planned) = plan(&place);
    assert_eq!(instance(&planned, "alpha")["changes"][0]["to"], "\"open\"");
    assert!(!planned.to_string().contains("first-secret-value"), "{planned}");

    place.write("a.yaml", &document("alpha", port, secretive));
    place.remove("secrets/extra.yaml");
    place.write(
        "b.yaml",
        &document("beta", port, "").replace("maxUsers", "x").replace("displayName: beta", "displayName: 7"),
    );
    let (code, planned) = plan(&place);
    assert_eq!(code, 1, "{planned}");
    assert_eq!(instance(&planned, "alpha")["action"], "blocked");
    assert!(instance(&planned, "alpha")["why"].as_str().unwrap().contains("Secret extra is not there"), "{planned}");
    let problem = &planned["problems"][0];
    assert!(
        problem["file"].as_str().unwrap().ends_with("b.yaml") && problem["field"] == "spec.displayName",
        "{problem}"
    );

    let (code, _, err) = place.mai("plan", &["--nonsense"]);
    assert_eq!(code, 1, "2 means that something would change: {err}");
}
