//! A directory of documents becomes running clients, and stays so: what a provider sees of `mai compose`.

use rustix::process::Signal;

use crate::fixtures::compose::{Place, document, http, ready, signal, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

#[test]
fn each_client_is_announced_with_its_address_and_what_to_do_next() {
    let place = Place::new();
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("nested/b.yml", &document("beta", ports[1], ""));
    let compose = place.compose(&[]);
    let line = compose.wait_for(&["alpha", "ready"]);
    assert!(line.contains(&format!("http://127.0.0.1:{}", ports[0])), "{line}");
    assert!(line.contains("the first to register becomes admin"), "{line}");
    compose.wait_for(&["beta", "ready"]);

    let account = r#"{"name":"Ada","email":"ada@example.com","password":"correct horse"}"#;
    let (status, body) = http("POST", ports[0], "/api/v1/auths/signup", "", account).unwrap();
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("\"admin\""), "{body}");
    compose.stop();
    assert!(!ready(ports[0]) && !ready(ports[1]), "a server outlived Ctrl-C");
    assert!(place.servers().is_empty());
}

#[test]
fn a_killed_server_comes_back_and_its_neighbour_is_left_alone() {
    let place = Place::new();
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("b.yaml", &document("beta", ports[1], ""));
    let compose = place.compose(&[]);
    ports.into_iter().for_each(wait_ready);
    let (first, neighbour) = (place.pid("alpha").unwrap(), place.pid("beta").unwrap());
    signal(first, Signal::KILL);
    let second = wait_until(|| "another alpha".into(), || place.pid("alpha").filter(|pid| *pid != first));
    wait_ready(ports[0]);
    assert_ne!(first, second);
    assert_eq!(place.pid("beta"), Some(neighbour));
    compose.wait_for(&["alpha", "signal 9"]);
    compose.stop();
}

#[test]
fn an_edit_replaces_that_instance_and_no_other() {
    let place = Place::new();
    let ports = [free_port(), free_port(), free_port()];
    place.write("both.yaml", &format!("{}---\n{}", document("alpha", ports[0], ""), document("beta", ports[1], "")));
    let compose = place.compose(&[]);
    ports[..2].iter().copied().for_each(wait_ready);
    let before = (place.pid("alpha").unwrap(), place.pid("beta").unwrap());

    let renamed = document("alpha", ports[0], "").replace("displayName: alpha", "displayName: Alpha & Sons");
    place.write("both.yaml", &format!("{renamed}---\n{}", document("beta", ports[1], "")));
    wait_until(|| "another alpha".into(), || place.pid("alpha").filter(|pid| *pid != before.0));
    wait_ready(ports[0]);
    assert!(http("GET", ports[0], "/api/config", "", "").unwrap().1.contains("Alpha & Sons"));
    assert_eq!(place.pid("beta"), Some(before.1), "an instance whose document did not change was restarted");

    // What needs no restart does not cause one.
    let pid = place.pid("alpha").unwrap();
    place.write("both.yaml", &format!("{renamed}  health: {{interval: 15s}}\n---\n{}", document("beta", ports[1], "")));
    wait_until(
        || "the new generation to be observed".into(),
        || {
            place
                .status()
                .iter()
                .any(|item| item["metadata"]["name"] == "alpha" && item["status"]["observedGeneration"] == 3)
                .then_some(())
        },
    );
    assert_eq!(place.pid("alpha"), Some(pid));

    // Another port: the address moves with it.
    place.write("both.yaml", &format!("{}---\n{}", document("alpha", ports[2], ""), document("beta", ports[1], "")));
    wait_ready(ports[2]);
    assert!(!ready(ports[0]));
    compose.stop();
}

#[test]
fn a_removed_document_stops_its_server_and_keeps_its_data_for_a_document_of_the_same_name() {
    let place = Place::new();
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("b.yaml", &document("beta", ports[1], ""));
    let compose = place.compose(&[]);
    ports.into_iter().for_each(wait_ready);
    let account = r#"{"name":"Ada","email":"ada@example.com","password":"correct horse"}"#;
    assert_eq!(http("POST", ports[0], "/api/v1/auths/signup", "", account).unwrap().0, 200);

    place.remove("a.yaml");
    compose.wait_for(&["alpha", "gone"]);
    assert!(place.pid("alpha").is_none() && !ready(ports[0]));
    assert!(place.data("alpha").join("mai.db").exists(), "the data went with the document");
    assert!(ready(ports[1]), "the neighbour was stopped");

    place.write("again.yaml", &document("alpha", ports[0], ""));
    wait_ready(ports[0]);
    let sign_in = r#"{"email":"ada@example.com","password":"correct horse"}"#;
    let (status, body) = http("POST", ports[0], "/api/v1/auths/signin", "", sign_in).unwrap();
    assert_eq!(status, 200, "the account did not survive: {body}");
    compose.stop();
}

#[test]
fn deletion_policy_delete_takes_the_data_too() {
    let place = Place::new();
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], "  deletionPolicy: Delete\n"));
    place.write("b.yaml", &document("beta", ports[1], ""));
    let compose = place.compose(&[]);
    ports.into_iter().for_each(wait_ready);
    assert!(place.data("alpha").exists());
    place.remove("a.yaml");
    compose.wait_for(&["alpha", "gone"]);
    assert!(!place.data("alpha").exists());
    assert!(place.data("beta").exists());
    compose.stop();
}

#[test]
fn suspend_stops_and_starts_again() {
    let place = Place::new();
    let port = free_port();
    place.write("a.yaml", &document("alpha", port, ""));
    let compose = place.compose(&[]);
    wait_ready(port);
    place.write("a.yaml", &document("alpha", port, "  suspend: true\n"));
    place.wait_for_reason("alpha", "Ready", "Suspended");
    assert!(!ready(port));
    place.write("a.yaml", &document("alpha", port, ""));
    wait_ready(port);
    compose.stop();
}

#[test]
fn a_second_pass_writes_nothing() {
    let place = Place::new();
    let port = free_port();
    place.write("a.yaml", &document("alpha", port, ""));
    let compose = place.compose(&["--resync", "50ms"]);
    wait_ready(port);
    place.wait_for_reason("alpha", "Ready", "Ready");
    // What a start leaves to do (the first probe's answer, the event of being ready) is done within a moment.
    std::thread::sleep(std::time::Duration::from_secs(2));
    let look = || {
        ["state.db", "state.db-wal"].map(|file| {
            let file = std::fs::metadata(place.state.join(file)).ok();
            file.map(|file| (file.len(), file.modified().unwrap()))
        })
    };
    let before = look();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(look(), before, "forty passes with nothing to do wrote to the state database");
    compose.stop();
}

#[test]
fn the_browser_chooses_the_language_unless_one_is_declared() {
    let place = Place::new();
    let ports = [free_port(), free_port()];
    place.write("a.yaml", &document("alpha", ports[0], ""));
    place.write("b.yaml", &document("beta", ports[1], "  server: {locale: en}\n"));
    let compose = place.compose(&[]);
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
