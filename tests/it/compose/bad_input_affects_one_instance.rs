//! A failure of one instance is reported with its cause, and affects no other instance.

use std::net::TcpListener;

use crate::fixtures::compose::{Workspace, document, http, is_ready, read_file, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

/// Returns a workspace with one valid instance, and its port.
fn workspace_with_instance() -> (Workspace, u16) {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.write("good.yaml", &document("good", port, ""));
    (workspace, port)
}

#[test]
fn malformed_document_is_reported_with_line_and_suggestion() {
    let (workspace, good) = workspace_with_instance();
    workspace.write("broken.yaml", "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {name: broken\n");
    workspace.write("typo.yaml", &document("typo", free_port(), "").replace("displayName: typo", "displayNmae: typo"));
    let compose = workspace.compose(&[]);
    wait_ready(good);
    compose.wait_for_line(&["broken.yaml:"]);
    compose.wait_for_line(&["typo.yaml:6", "did you mean displayName?"]);
    let (code, out, _) = workspace.mai("status", &[]);
    assert_eq!(code, 0);
    assert!(out.contains("typo.yaml:6") && out.contains("broken.yaml"), "{out}");
    compose.stop();
}

#[test]
fn invalid_edit_keeps_the_server_until_corrected() {
    let (workspace, good) = workspace_with_instance();
    let port = free_port();
    workspace.write("alpha.yaml", &document("alpha", port, ""));
    let compose = workspace.compose(&[]);
    [good, port].into_iter().for_each(wait_ready);
    let pid = workspace.pid("alpha");
    workspace.write("alpha.yaml", &document("alpha", port, "  expsoe: {}\n"));
    let message = workspace.wait_for_reason("alpha", "DocumentValid", "InvalidDocument");
    assert!(message.contains("alpha.yaml:9") && message.contains("did you mean expose?"), "{message}");
    assert_eq!(workspace.pid("alpha"), pid);
    assert_eq!(workspace.condition("alpha", "Stalled").unwrap().1, "InvalidDocument");
    workspace.write("alpha.yaml", &document("alpha", port, ""));
    workspace.wait_for_reason("alpha", "DocumentValid", "Valid");
    assert_eq!(workspace.pid("alpha"), pid);
    compose.stop();
}

#[test]
fn port_declared_twice_goes_to_the_older_instance() {
    let (workspace, good) = workspace_with_instance();
    let compose = workspace.compose(&[]);
    wait_ready(good);
    workspace.write("late.yaml", &document("late", good, ""));
    let message = workspace.wait_for_reason("late", "Ready", "PortConflict");
    assert!(message.contains("good") && message.contains(&good.to_string()), "{message}");
    assert!(is_ready(good));
    workspace.write("good.yaml", &document("good", free_port(), ""));
    workspace.wait_for_reason("late", "Ready", "Ready");
    workspace.wait_for_reason("good", "Ready", "Ready");
    compose.stop();
}

#[test]
fn port_taken_by_a_program_is_reported_and_used_once_free() {
    let (workspace, good) = workspace_with_instance();
    let listener = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let port = listener.local_addr().unwrap().port();
    workspace.write("late.yaml", &document("late", port, ""));
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let message = workspace.wait_for_reason("late", "Ready", "PortTaken");
    assert!(message.contains(&port.to_string()) && message.contains(&std::process::id().to_string()), "{message}");
    assert!(workspace.pid("late").is_none());
    drop(listener);
    wait_ready(port);
    compose.stop();
}

#[test]
fn move_to_a_taken_port_keeps_the_running_server() {
    let (workspace, good) = workspace_with_instance();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let pid = workspace.pid("good");
    workspace.write("good.yaml", &document("good", taken, ""));
    workspace.wait_for_reason("good", "Ready", "PortTaken");
    assert!(is_ready(good), "the server was stopped for a port it could not have");
    assert_eq!(workspace.pid("good"), pid);
    compose.stop();
}

#[test]
fn missing_secret_is_named_and_rotation_replaces_server() {
    let (workspace, good) = workspace_with_instance();
    let port = free_port();
    let admin = "  access: {admin: {email: boss@example.com, passwordSecretRef: {name: boss, key: password}}}\n";
    workspace.write("alpha.yaml", &document("alpha", port, admin));
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let message = workspace.wait_for_reason("alpha", "Ready", "MissingSecret");
    assert!(message.contains("Secret boss is not there") && message.contains("secrets/boss.yaml"), "{message}");

    workspace.write_secret("boss", "password", "first password");
    wait_ready(port);
    let sign_in = r#"{"email":"boss@example.com","password":"first password"}"#;
    assert_eq!(http("POST", port, "/api/v1/auths/signin", "", sign_in).unwrap().0, 200);
    let pid = workspace.pid("alpha").unwrap();
    workspace.write_secret("boss", "password", "second password");
    wait_until(|| "another alpha".into(), || workspace.pid("alpha").filter(|other| *other != pid));
    wait_ready(port);

    let everything = format!(
        "{}{}{}",
        compose.output(),
        read_file(&workspace.state.join("instances/alpha/server.log")),
        workspace.status().iter().map(ToString::to_string).collect::<String>()
    );
    for secret in ["first password", "second password"] {
        assert!(!everything.contains(secret), "a secret shows");
    }
    compose.stop();
}

#[test]
fn unwritable_data_directory_is_named() {
    let (workspace, good) = workspace_with_instance();
    // A file in workspace of the directory fails for root as well, whom permissions do not stop.
    let file = workspace.documents.parent().unwrap().join("a-file");
    std::fs::write(&file, "").unwrap();
    let port = free_port();
    let storage = format!("  storage: {{data: {{hostPath: {}}}}}\n", file.join("data").display());
    workspace.write("alpha.yaml", &document("alpha", port, &storage));
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let message = workspace.wait_for_reason("alpha", "Ready", "DataNotWritable");
    assert!(message.contains("a-file/data") && message.contains("alpha"), "{message}");
    std::fs::remove_file(&file).unwrap();
    wait_ready(port);
    compose.stop();
}

#[test]
fn crash_loop_is_reported_with_its_cause_and_recovers() {
    let (workspace, good) = workspace_with_instance();
    let port = free_port();
    workspace
        .write("alpha.yaml", &document("alpha", port, "  server: {env: [{name: MAI_TIME_ZONE, value: Atlantis}]}\n"));
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let message = workspace.wait_for_reason("alpha", "Ready", "CrashLoop");
    assert!(message.contains("Atlantis"), "the last line of its log is not told: {message}");
    let restarts =
        workspace.status().iter().find(|item| item["metadata"]["name"] == "alpha").unwrap()["status"]["restarts"]
            .clone();
    assert!(restarts.as_i64().unwrap() >= 3, "{restarts}");
    workspace.write("alpha.yaml", &document("alpha", port, ""));
    wait_ready(port);
    compose.stop();
}

#[test]
fn empty_or_missing_directory_removes_no_server() {
    let (workspace, good) = workspace_with_instance();
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let pid = workspace.pid("good");
    let away = workspace.documents.with_extension("away");
    std::fs::rename(&workspace.documents, &away).unwrap();
    compose.wait_for_line(&["removes nothing"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(workspace.pid("good"), pid);
    std::fs::rename(&away, &workspace.documents).unwrap();
    wait_until(
        || "the directory to be seen again".into(),
        || workspace.mai("status", &[]).1.contains("removes nothing").eq(&false).then_some(()),
    );
    workspace.remove("good.yaml");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(workspace.pid("good"), pid, "an empty directory removed the last instance");
    compose.stop();

    // A restart with the empty directory changes nothing either.
    let compose = workspace.compose(&[]);
    wait_ready(good);
    compose.stop();
}

#[test]
fn custom_image_is_not_replaced_by_the_builtin_server() {
    let (workspace, good) = workspace_with_instance();
    let port = free_port();
    let foreign =
        document("foreign", port, "  server: {kind: OpenWebUI}\n").replace("  openRouter: {mock: true}\n", "");
    workspace.write("foreign.yaml", &foreign);
    let compose = workspace.compose(&[]);
    wait_ready(good);
    let message = workspace.wait_for_reason("foreign", "Ready", "UnsupportedByRuntime");
    assert!(message.contains("--runtime docker"), "{message}");
    assert!(workspace.pid("foreign").is_none());
    compose.stop();
}

#[test]
fn field_without_effect_keeps_the_last_good_document() {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.write("a.yaml", &document("alpha", port, ""));
    let compose = workspace.compose(&[]);
    wait_ready(port);
    let pid = workspace.pid("alpha");
    workspace.write(
        "a.yaml",
        &document("alpha", port, "  image: mai-production:2\n  resources: {requests: {cpu: \"1\"}}\n"),
    );
    let message = workspace.wait_for_reason("alpha", "DocumentValid", "InvalidDocument");
    assert!(message.contains("a.yaml:9:3: spec.image: image has no effect on the process runtime"), "{message}");
    assert!(
        message
            .contains("a.yaml:10:15: spec.resources.requests: resources.requests has no effect on the process runtime"),
        "{message}"
    );
    assert_eq!((workspace.pid("alpha"), workspace.condition("alpha", "Ready").unwrap().0.as_str()), (pid, "True"));
    compose.wait_for_line(&["alpha", "problem", "spec.resources.requests"]);
    let (code, out, _) = workspace.mai("plan", &[]);
    assert!(code == 1 && out.contains("resources.requests has no effect on the process runtime"), "{code}: {out}");

    workspace.write("a.yaml", &document("alpha", port, ""));
    workspace.wait_for_reason("alpha", "DocumentValid", "Valid");
    assert_eq!(workspace.pid("alpha"), pid);
    compose.stop();
}
