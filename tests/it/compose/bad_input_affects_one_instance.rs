//! What goes wrong with one instance is said where people look, and its neighbour goes on.

use std::net::TcpListener;

use crate::fixtures::compose::{Place, document, http, read, ready, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

/// A place with a good neighbour.
fn place() -> (Place, u16) {
    let place = Place::new();
    let port = free_port();
    place.write("good.yaml", &document("good", port, ""));
    (place, port)
}

#[test]
fn malformed_yaml_and_unknown_fields_are_named_with_file_line_and_a_guess() {
    let (place, good) = place();
    place.write("broken.yaml", "apiVersion: mai.dev/v1alpha1\nkind: MaiInstance\nmetadata: {name: broken\n");
    place.write("typo.yaml", &document("typo", free_port(), "").replace("displayName: typo", "displayNmae: typo"));
    let compose = place.compose(&[]);
    wait_ready(good);
    compose.wait_for(&["broken.yaml:"]);
    compose.wait_for(&["typo.yaml:6", "did you mean displayName?"]);
    let (code, out, _) = place.mai("status", &[]);
    assert_eq!(code, 0);
    assert!(out.contains("typo.yaml:6") && out.contains("broken.yaml"), "{out}");
    compose.stop();
}

#[test]
fn a_document_that_breaks_keeps_its_server_running_and_is_taken_up_when_mended() {
    let (place, good) = place();
    let port = free_port();
    place.write("alpha.yaml", &document("alpha", port, ""));
    let compose = place.compose(&[]);
    [good, port].into_iter().for_each(wait_ready);
    let pid = place.pid("alpha");
    place.write("alpha.yaml", &document("alpha", port, "  expsoe: {}\n"));
    let message = place.wait_for_reason("alpha", "DocumentValid", "InvalidDocument");
    assert!(message.contains("alpha.yaml:9") && message.contains("did you mean expose?"), "{message}");
    assert_eq!(place.pid("alpha"), pid);
    assert_eq!(place.condition("alpha", "Stalled").unwrap().1, "InvalidDocument");
    place.write("alpha.yaml", &document("alpha", port, ""));
    place.wait_for_reason("alpha", "DocumentValid", "Valid");
    assert_eq!(place.pid("alpha"), pid);
    compose.stop();
}

#[test]
fn a_port_declared_twice_goes_to_the_older_instance_and_is_free_again_when_it_moves() {
    let (place, good) = place();
    let compose = place.compose(&[]);
    wait_ready(good);
    place.write("late.yaml", &document("late", good, ""));
    let message = place.wait_for_reason("late", "Ready", "PortConflict");
    assert!(message.contains("good") && message.contains(&good.to_string()), "{message}");
    assert!(ready(good));
    place.write("good.yaml", &document("good", free_port(), ""));
    place.wait_for_reason("late", "Ready", "Ready");
    place.wait_for_reason("good", "Ready", "Ready");
    compose.stop();
}

#[test]
fn a_port_taken_by_another_program_is_named_with_the_program_and_used_once_it_is_free() {
    let (place, good) = place();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    place.write("late.yaml", &document("late", port, ""));
    let compose = place.compose(&[]);
    wait_ready(good);
    let message = place.wait_for_reason("late", "Ready", "PortTaken");
    assert!(message.contains(&port.to_string()) && message.contains(&std::process::id().to_string()), "{message}");
    assert!(place.pid("late").is_none());
    drop(listener);
    wait_ready(port);
    compose.stop();
}

#[test]
fn moving_to_a_taken_port_leaves_the_running_server_alone() {
    let (place, good) = place();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let compose = place.compose(&[]);
    wait_ready(good);
    let pid = place.pid("good");
    place.write("good.yaml", &document("good", taken, ""));
    place.wait_for_reason("good", "Ready", "PortTaken");
    assert!(ready(good), "the server was stopped for a port it could not have");
    assert_eq!(place.pid("good"), pid);
    compose.stop();
}

#[test]
fn a_missing_secret_is_named_and_a_rotated_one_replaces_the_server() {
    let (place, good) = place();
    let port = free_port();
    let admin = "  access: {admin: {email: boss@example.com, passwordSecretRef: {name: boss, key: password}}}\n";
    place.write("alpha.yaml", &document("alpha", port, admin));
    let compose = place.compose(&[]);
    wait_ready(good);
    let message = place.wait_for_reason("alpha", "Ready", "MissingSecret");
    assert!(message.contains("Secret boss is not there") && message.contains("secrets/boss.yaml"), "{message}");

    place.secret("boss", "password", "first password");
    wait_ready(port);
    let sign_in = r#"{"email":"boss@example.com","password":"first password"}"#;
    assert_eq!(http("POST", port, "/api/v1/auths/signin", "", sign_in).unwrap().0, 200);
    let pid = place.pid("alpha").unwrap();
    place.secret("boss", "password", "second password");
    wait_until(|| "another alpha".into(), || place.pid("alpha").filter(|other| *other != pid));
    wait_ready(port);

    let everything = format!(
        "{}{}{}",
        compose.said(),
        read(&place.state.join("instances/alpha/server.log")),
        place.status().iter().map(ToString::to_string).collect::<String>()
    );
    for secret in ["first password", "second password"] {
        assert!(!everything.contains(secret), "a secret shows");
    }
    compose.stop();
}

#[test]
fn a_data_directory_that_cannot_be_written_is_named() {
    let (place, good) = place();
    // A file where a directory is wanted is refused for root as well, whom permissions do not stop.
    let file = place.documents.parent().unwrap().join("a-file");
    std::fs::write(&file, "").unwrap();
    let port = free_port();
    let storage = format!("  storage: {{data: {{size: 1Gi, hostPath: {}}}}}\n", file.join("data").display());
    place.write("alpha.yaml", &document("alpha", port, &storage));
    let compose = place.compose(&[]);
    wait_ready(good);
    let message = place.wait_for_reason("alpha", "Ready", "DataNotWritable");
    assert!(message.contains("a-file/data") && message.contains("alpha"), "{message}");
    std::fs::remove_file(&file).unwrap();
    wait_ready(port);
    compose.stop();
}

#[test]
fn a_server_that_keeps_ending_shows_as_a_crash_loop_with_its_cause_and_recovers() {
    let (place, good) = place();
    let port = free_port();
    place.write("alpha.yaml", &document("alpha", port, "  server: {env: [{name: MAI_TIME_ZONE, value: Atlantis}]}\n"));
    let compose = place.compose(&[]);
    wait_ready(good);
    let message = place.wait_for_reason("alpha", "Ready", "CrashLoop");
    assert!(message.contains("Atlantis"), "the last line of its log is not told: {message}");
    let restarts =
        place.status().iter().find(|item| item["metadata"]["name"] == "alpha").unwrap()["status"]["restarts"].clone();
    assert!(restarts.as_i64().unwrap() >= 3, "{restarts}");
    place.write("alpha.yaml", &document("alpha", port, ""));
    wait_ready(port);
    compose.stop();
}

#[test]
fn an_empty_or_vanished_directory_removes_nothing() {
    let (place, good) = place();
    let compose = place.compose(&[]);
    wait_ready(good);
    let pid = place.pid("good");
    let away = place.documents.with_extension("away");
    std::fs::rename(&place.documents, &away).unwrap();
    compose.wait_for(&["removes nothing"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(place.pid("good"), pid);
    std::fs::rename(&away, &place.documents).unwrap();
    wait_until(
        || "the directory to be seen again".into(),
        || place.mai("status", &[]).1.contains("removes nothing").eq(&false).then_some(()),
    );
    place.remove("good.yaml");
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(place.pid("good"), pid, "an empty directory removed the last instance");
    compose.stop();

    // A restart over the empty directory changes nothing either.
    let compose = place.compose(&[]);
    wait_ready(good);
    compose.stop();
}

#[test]
fn a_server_that_only_an_image_holds_is_not_replaced_by_ours() {
    let (place, good) = place();
    let port = free_port();
    let foreign =
        document("foreign", port, "  server: {kind: OpenWebUI}\n").replace("  openRouter: {mock: true}\n", "");
    place.write("foreign.yaml", &foreign);
    let compose = place.compose(&[]);
    wait_ready(good);
    let message = place.wait_for_reason("foreign", "Ready", "UnsupportedByRuntime");
    assert!(message.contains("--runtime docker"), "{message}");
    assert!(place.pid("foreign").is_none());
    compose.stop();
}
