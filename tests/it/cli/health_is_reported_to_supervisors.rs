//! systemd is notified of the reconciler's state, and the binary itself is the health check of a
//! container.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};

use crate::fixtures::compose::{PATIENCE, Workspace, document, signal, wait_ready};
use crate::fixtures::ports::free_port;
use crate::fixtures::serve::Server;

fn health(arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_mai"))
        .arg("health")
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[tokio::test]
async fn health_returns_an_exit_code_and_a_sentence() {
    // Nobody else takes it when the server has ended.
    let port = free_port().to_string();
    let mut server = Server::start(&[("PORT", port.as_str())]).await;
    let environment = [("PORT", port.as_str())];
    assert_eq!(health(&[], &environment), (0, String::new()), "as in the container of the server, by its environment");
    assert_eq!(health(&["--url", &format!("{}/health", server.url)], &[]), (0, String::new()));

    let (code, output) = health(&["--url", &format!("{}/no-such-page", server.url)], &[]);
    assert_eq!(code, 1);
    assert!(output.contains("GET /no-such-page was answered with 404"), "{output}");

    server.terminate().await;
    let (code, output) = health(&[], &environment);
    assert_eq!(code, 1);
    assert!(output.contains(&format!("nothing listens on 127.0.0.1:{port}")), "{output}");
}

#[test]
fn systemd_is_notified_of_ready_watchdog_and_stopping() {
    let workspace = Workspace::new();
    let port = free_port();
    workspace.write("abc.yaml", &document("abc", port, ""));
    let path = workspace.state.with_file_name("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let hear = || {
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).expect("systemd hears nothing");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    };

    let mut mai = Command::new(env!("CARGO_BIN_EXE_mai"))
        .args([
            "compose".as_ref(),
            workspace.documents.as_os_str(),
            "--state-dir".as_ref(),
            workspace.state.as_os_str(),
        ])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(hear(), "READY=1");
    for _ in 0..5 {
        assert_eq!(hear(), "WATCHDOG=1");
    }
    wait_ready(port);
    signal(mai.id() as i32, rustix::process::Signal::TERM);
    let last = std::iter::repeat_with(hear).find(|state| state != "WATCHDOG=1");
    assert_eq!(last.as_deref(), Some("STOPPING=1"));
    assert!(mai.wait().unwrap().success());
}
