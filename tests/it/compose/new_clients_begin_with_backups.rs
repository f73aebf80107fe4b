//! `spec.restoreFrom` gives a new client the data of another one's backup, or of a packed directory,
//! before its server is started for the first time, and has no effect afterwards.

use std::process::Command;

use crate::fixtures::compose::{Workspace, document, http, pack, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

const PERSON: &str = r#"{"name": "Ada", "email": "ada@example.com", "password": "a-Long-passw0rd-for-tests"}"#;

fn sign_in(port: u16) {
    let (status, answer) = http("POST", port, "/api/v1/auths/signin", "", PERSON).unwrap();
    assert_eq!(status, 200, "{answer}");
}

#[test]
fn new_client_begins_with_the_backup_that_it_names() {
    let workspace = Workspace::new();
    let nas = workspace.state.parent().unwrap().join("nas");
    std::fs::create_dir_all(&nas).unwrap();
    let backup = format!(
        "  backup:\n    schedule: '0 0 1 1 *'\n    destinations: [{{name: nas, local: {{path: '{}'}}}}]\n",
        nas.display()
    );
    let (alpha, beta, gamma) = (free_port(), free_port(), free_port());
    let from = |name: &str, port: u16, source: &str| {
        let more = if source.is_empty() { String::new() } else { format!("  restoreFrom: {source}\n") };
        workspace.write(&format!("{name}.yaml"), &document(name, port, &format!("{backup}{more}")));
    };
    from("alpha", alpha, "");
    let compose = workspace.compose(&[]);
    wait_ready(alpha);
    assert_eq!(http("POST", alpha, "/api/v1/auths/signup", "", PERSON).unwrap().0, 200);
    let (code, output, errors) = workspace.mai("backup", &["alpha"]);
    assert_eq!(code, 0, "{output}{errors}");

    // A backup that is not there starts no server; the document can be corrected.
    from("beta", beta, "{destination: nas, instance: other}");
    let message = workspace.wait_for_reason("beta", "Stalled", "RestoreFailed");
    assert!(message.contains("other") && message.contains("spec.restoreFrom"), "{message}");
    assert_eq!(workspace.pid("beta"), None);
    from("beta", beta, "{destination: nas, instance: alpha}");
    wait_ready(beta);
    sign_in(beta);

    // Once it was used it does not change; it may be removed, and not be added again.
    workspace.wait_for_reason("beta", "Ready", "Ready");
    let pid = workspace.pid("beta");
    let problem = |words: &str| {
        wait_until(
            || format!("{words}; output:\n{}", compose.output()),
            || workspace.condition("beta", "DocumentValid").filter(|(_, _, message)| message.contains(words)),
        );
    };
    from("beta", beta, "{destination: nas, instance: other}");
    problem("spec.restoreFrom was used and cannot change");
    from("beta", beta, "");
    workspace.wait_for_reason("beta", "DocumentValid", "Valid");
    from("beta", beta, "{destination: nas, instance: alpha}");
    problem("restoreFrom cannot be added to an instance that exists");
    assert_eq!(workspace.pid("beta"), pid);

    // A data directory as tar packs it, such as Open WebUI's.
    let archives = nas.join("default/alpha");
    let archive = std::fs::read_dir(archives).unwrap().map(|entry| entry.unwrap().path());
    let archive = archive.into_iter().find(|path| path.extension().is_some_and(|end| end == "gz")).unwrap();
    let unpacked = workspace.state.parent().unwrap().join("unpacked");
    std::fs::create_dir_all(&unpacked).unwrap();
    assert!(Command::new("tar").arg("xzf").arg(archive).arg("-C").arg(&unpacked).status().unwrap().success());
    pack(&nas.join("plain.tar.gz"), &unpacked.join("data"), ".");
    let other = workspace.state.parent().unwrap().join("other");
    std::fs::create_dir_all(&other).unwrap();
    let database = rusqlite::Connection::open(other.join("webui.db")).unwrap();
    database.execute_batch("CREATE TABLE user (id TEXT PRIMARY KEY)").unwrap();
    database.close().unwrap();
    pack(&nas.join("other.tar.gz"), &other, ".");
    from("gamma", gamma, "{destination: nas, file: other.tar.gz}");
    let message = workspace.wait_for_reason("gamma", "Stalled", "RestoreFailed");
    assert!(message.contains("there is no database mai.db in it"), "{message}");
    assert_eq!(workspace.pid("gamma"), None);
    from("gamma", gamma, "{destination: nas, file: plain.tar.gz}");
    wait_ready(gamma);
    sign_in(gamma);
    compose.stop();
}
