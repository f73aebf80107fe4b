//! `mai compose` runs the clients that a directory of documents declares, and follows its changes.

use rustix::process::Signal;

use crate::fixtures::compose::{Workspace, document, http, is_ready, signal, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

#[test]
fn client_is_announced_with_address_and_next_step() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("nested/b.yml", &document("beta", ports[1], ""));
    let compose = workspace.compose(&[]);
    let line = compose.wait_for_line(&["alpha", "ready"]);
    assert!(line.contains(&format!("http://127.0.0.1:{}", ports[0])), "{line}");
    assert!(line.contains("the first to register becomes admin"), "{line}");
    compose.wait_for_line(&["beta", "ready"]);

    let account = r#"{"name":"Ada","email":"ada@example.com","password":"correct horse"}"#;
    let (status, body) = http("POST", ports[0], "/api/v1/auths/signup", "", account).unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"admin\""), "{body}");
    compose.stop();
    assert!(!is_ready(ports[0]) && !is_ready(ports[1]), "a server outlived Ctrl-C");
    assert!(workspace.servers().is_empty());
}

#[test]
fn killed_server_restarts_without_affecting_others() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("b.yaml", &document("beta", ports[1], ""));
    let compose = workspace.compose(&[]);
    ports.into_iter().for_each(wait_ready);
    let (first, neighbour) = (workspace.pid("alpha").unwrap(), workspace.pid("beta").unwrap());
    signal(first, Signal::KILL);
    let second = wait_until(|| "another alpha".into(), || workspace.pid("alpha").filter(|pid| *pid != first));
    wait_ready(ports[0]);
    assert_ne!(first, second);
    assert_eq!(workspace.pid("beta"), Some(neighbour));
    compose.wait_for_line(&["alpha", "signal 9"]);
    compose.stop();
}

#[test]
fn edit_replaces_only_its_instance() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port(), free_port()];
    workspace
        .write("both.yaml", &format!("{}---\n{}", document("alpha", ports[0], ""), document("beta", ports[1], "")));
    let compose = workspace.compose(&[]);
    ports[..2].iter().copied().for_each(wait_ready);
    let before = (workspace.pid("alpha").unwrap(), workspace.pid("beta").unwrap());

    let renamed = document("alpha", ports[0], "").replace("displayName: alpha", "displayName: Alpha & Sons");
    workspace.write("both.yaml", &format!("{renamed}---\n{}", document("beta", ports[1], "")));
    wait_until(|| "another alpha".into(), || workspace.pid("alpha").filter(|pid| *pid != before.0));
    wait_ready(ports[0]);
    assert!(http("GET", ports[0], "/api/config", "", "").unwrap().1.contains("Alpha & Sons"));
    assert_eq!(workspace.pid("beta"), Some(before.1), "an instance whose document did not change was restarted");

    // A change that needs no restart causes none.
    let pid = workspace.pid("alpha").unwrap();
    workspace
        .write("both.yaml", &format!("{renamed}  health: {{interval: 15s}}\n---\n{}", document("beta", ports[1], "")));
    wait_until(
        || "the new generation to be observed".into(),
        || {
            workspace
                .status()
                .iter()
                .any(|item| item["metadata"]["name"] == "alpha" && item["status"]["observedGeneration"] == 3)
                .then_some(())
        },
    );
    assert_eq!(workspace.pid("alpha"), Some(pid));

    // A change of the port moves the address.
    workspace
        .write("both.yaml", &format!("{}---\n{}", document("alpha", ports[2], ""), document("beta", ports[1], "")));
    wait_ready(ports[2]);
    assert!(!is_ready(ports[0]));
    compose.stop();
}

#[test]
fn removed_document_stops_its_server_and_keeps_its_data() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("b.yaml", &document("beta", ports[1], ""));
    let compose = workspace.compose(&[]);
    ports.into_iter().for_each(wait_ready);
    let account = r#"{"name":"Ada","email":"ada@example.com","password":"correct horse"}"#;
    assert_eq!(http("POST", ports[0], "/api/v1/auths/signup", "", account).unwrap().0, 200);

    workspace.remove("a.yaml");
    compose.wait_for_line(&["alpha", "gone"]);
    assert!(workspace.pid("alpha").is_none() && !is_ready(ports[0]));
    assert!(workspace.data("alpha").join("mai.db").exists(), "the data went with the document");
    assert!(is_ready(ports[1]), "the neighbour was stopped");

    workspace.write("again.yaml", &document("alpha", ports[0], ""));
    wait_ready(ports[0]);
    let sign_in = r#"{"email":"ada@example.com","password":"correct horse"}"#;
    let (status, body) = http("POST", ports[0], "/api/v1/auths/signin", "", sign_in).unwrap();
    assert_eq!(status, 200, "the account did not survive: {body}");
    compose.stop();
}

#[test]
fn deletion_policy_delete_removes_the_data() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], "  deletionPolicy: Delete\n"));
    workspace.write("b.yaml", &document("beta", ports[1], ""));
    let compose = workspace.compose(&[]);
    ports.into_iter().for_each(wait_ready);
    assert!(workspace.data("alpha").exists());
    workspace.remove("a.yaml");
    compose.wait_for_line(&["alpha", "gone"]);
    assert!(!workspace.data("alpha").exists());
    assert!(workspace.data("beta").exists());
    compose.stop();
}

#[test]
fn suspended_instance_stops_and_resumes() {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.write("a.yaml", &document("alpha", port, ""));
    let compose = workspace.compose(&[]);
    wait_ready(port);
    workspace.write("a.yaml", &document("alpha", port, "  suspend: true\n"));
    workspace.wait_for_reason("alpha", "Ready", "Suspended");
    assert!(!is_ready(port));
    workspace.write("a.yaml", &document("alpha", port, ""));
    wait_ready(port);
    compose.stop();
}

#[test]
fn second_pass_without_changes_writes_nothing() {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.write("a.yaml", &document("alpha", port, ""));
    let compose = workspace.compose(&["--resync", "50ms"]);
    wait_ready(port);
    workspace.wait_for_reason("alpha", "Ready", "Ready");
    let snapshot = || {
        ["state.db", "state.db-wal"].map(|file| {
            let file = std::fs::metadata(workspace.state.join(file)).ok();
            file.map(|file| (file.len(), file.modified().unwrap()))
        })
    };
    // A start is followed by a few writes: the first probe's answer, the event of readiness.
    wait_until(
        || "forty passes that do not write to the state database".into(),
        || {
            let before = snapshot();
            std::thread::sleep(std::time::Duration::from_secs(2));
            (snapshot() == before).then_some(())
        },
    );
    compose.stop();
}

#[test]
fn undeclared_language_follows_the_browser() {
    let workspace = Workspace::new();
    let ports = [free_port(), free_port()];
    workspace.write("a.yaml", &document("alpha", ports[0], ""));
    workspace.write("b.yaml", &document("beta", ports[1], "  server: {locale: en}\n"));
    let compose = workspace.compose(&[]);
    for port in ports {
        wait_ready(port);
        let account = r#"{"name":"Ada","email":"ada@example.com","password":"correct horse"}"#;
        assert_eq!(http("POST", port, "/api/v1/auths/signup", "", account).unwrap().0, 200);
    }
    let language = |port: u16, accepted: &str| {
        let (status, page) = http("GET", port, "/sign-in", &format!("accept-language: {accepted}\r\n"), "").unwrap();
        assert_eq!(status, 200, "{page}");
        page.split_once("<html lang=\"").unwrap().1[..2].to_owned()
    };
    assert_eq!(language(ports[0], "pl-PL,pl;q=0.9,en;q=0.8"), "pl");
    assert_eq!(language(ports[0], "de"), "en");
    assert_eq!(language(ports[1], "pl-PL,pl;q=0.9,en;q=0.8"), "en");
    compose.stop();
}
