//! One server opens a data directory; one that cannot start names the cause and has the documented
//! exit code; one that is stopped finishes its requests.

use std::{
    os::unix::fs::PermissionsExt,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::fixtures::compose::PATIENCE;
use crate::fixtures::serve::{PASSWORD, Server, client, command, send_sigterm, wait_exit, wait_failure};

#[tokio::test]
async fn second_server_names_the_first_and_exits_with_75() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = Server::start_in(directory.path(), &[]).await;
    let (code, stderr) = wait_failure(command(directory.path(), &[]).spawn().unwrap()).await;
    assert_eq!(code, 75);
    assert!(stderr.contains(&format!("pid {}", first.child.id())), "{stderr}");

    // A killed server leaves the directory usable.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    Server::start_in(directory.path(), &[]).await;
}

#[tokio::test]
async fn unusable_data_directory_exits_with_73() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").unwrap();
    let (code, stderr) = wait_failure(command(&file.join("data"), &[]).spawn().unwrap()).await;
    assert_eq!(code, 73);
    assert!(stderr.contains("is not writable") && stderr.contains("DATA_DIR"), "{stderr}");
}

#[tokio::test]
async fn data_of_a_newer_version_exits_with_65_and_stays() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[]).await;
    send_sigterm(&server.child);
    wait_exit(&mut server.child).await;
    let rows = || {
        let database = rusqlite::Connection::open(directory.path().join("mai.db")).unwrap();
        database.query_row("SELECT count(*) FROM _sqlx_migrations", [], |row| row.get::<_, i64>(0)).unwrap()
    };
    let later = "INSERT INTO _sqlx_migrations VALUES (9999, 'later', 0, 1, x'00', 0)";
    rusqlite::Connection::open(directory.path().join("mai.db")).unwrap().execute(later, []).unwrap();
    let before = rows();
    let (code, stderr) = wait_failure(command(directory.path(), &[]).spawn().unwrap()).await;
    assert_eq!(code, 65, "{stderr}");
    assert!(stderr.contains("newer version") && stderr.contains("9999"), "{stderr}");
    assert_eq!(rows(), before);
}

#[tokio::test]
async fn port_in_use_exits_with_98() {
    let directory = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, stderr) = wait_failure(command(directory.path(), &[("PORT", &port)]).spawn().unwrap()).await;
    assert_eq!(code, 98);
    assert!(stderr.contains(&format!("port {port}")), "{stderr}");
}

#[tokio::test]
async fn invalid_setting_exits_with_2_and_is_named() {
    let directory = tempfile::tempdir().unwrap();
    for (name, value) in [
        ("PORT", "eighty"),
        ("MAI_TIME_ZONE", "Europe/Atlantis"),
        ("DEFAULT_LOCALE", "xx"),
        ("OPENAI_API_BASE_URL", "ftp://example.com"),
        ("OLLAMA_BASE_URL", "nothing"),
        ("MAI_SIGNUP", "Maybe"),
        ("MAI_MAX_USERS", "0"),
    ] {
        let (code, stderr) = wait_failure(command(directory.path(), &[(name, value)]).spawn().unwrap()).await;
        assert_eq!(code, 2, "{name}: {stderr}");
        let flag = name.trim_start_matches("MAI_").to_lowercase().replace('_', "-");
        assert!(stderr.contains(name) || stderr.contains(&format!("--{flag}")), "{name}: {stderr}");
    }
}

#[tokio::test]
async fn empty_settings_count_as_unset() {
    let empty = ["WEBUI_SECRET_KEY", "OPENAI_API_KEY", "OPENAI_API_BASE_URL", "OLLAMA_BASE_URL", "DEFAULT_LOCALE"]
        .map(|name| (name, ""));
    let server = Server::start(&empty).await;
    server.admin().await;
    assert!(server.data_dir().join(".secret_key").exists());
}

#[tokio::test]
async fn generated_secret_is_readable_by_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::start(&[]).await;
    let mode = std::fs::metadata(server.data_dir().join(".secret_key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(server.log().contains("WEBUI_SECRET_KEY is not set"));

    let server = Server::start(&[("WEBUI_SECRET_KEY", "given")]).await;
    assert!(!server.data_dir().join(".secret_key").exists());
}

#[tokio::test]
async fn sigterm_finishes_requests_and_closes_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_in(directory.path(), &[]).await;
    server.admin().await;

    let address = server.url.trim_start_matches("http://").to_owned();
    let body = format!(r#"{{"email":"admin@example.com","password":"{PASSWORD}"}}"#);
    let mut begun = TcpStream::connect(&address).await.unwrap();
    let head = format!(
        "POST /api/v1/auths/signin HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    );
    begun.write_all(head.as_bytes()).await.unwrap();
    // The server asks for the body once it works on the request.
    let goes_on = b"HTTP/1.1 100 Continue\r\n\r\n";
    let mut asked = vec![0; goes_on.len()];
    begun.read_exact(&mut asked).await.unwrap();
    assert_eq!(asked, goes_on);

    send_sigterm(&server.child);
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect(&address).await.is_ok() {
        assert!(Instant::now() < deadline, "a stopping server takes no new connections");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");

    assert_eq!(wait_exit(&mut server.child).await.code(), Some(0));
    assert!(!directory.path().join("mai.db-wal").exists(), "a clean end leaves one file");
    let server = Server::start_in(directory.path(), &[]).await;
    assert_eq!(server.sign_in("admin@example.com", PASSWORD).await.0, 200);
}

#[tokio::test]
async fn stdin_eof_stops_a_server_configured_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut child =
        command(directory.path(), &[("MAI_EXIT_WITH_STDIN", "true")]).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take();
    let mut server = Server::attach(child).await;
    drop(stdin);
    assert_eq!(wait_exit(&mut server.child).await.code(), Some(0));

    // Without the setting, a server without standard input keeps running.
    let mut server = Server::start(&[]).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(server.child.try_wait().unwrap().is_none());
}

#[tokio::test]
async fn health_and_ready_need_no_session() {
    let server = Server::start(&[]).await;
    for path in ["/health", "/ready"] {
        let response = client().get(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.text().await.unwrap(), r#"{"status":true}"#);
        let head = client().head(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(head.status(), 200);
    }
}

#[tokio::test]
async fn data_is_for_its_owner_alone() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("mai.db");
    let mut server = Server::start_in(directory.path(), &[]).await;
    server.admin().await;
    let modes = || {
        let entries = std::fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap());
        let others = entries.filter(|entry| entry.metadata().unwrap().permissions().mode() & 0o077 != 0);
        others.map(|entry| entry.file_name()).collect::<Vec<_>>()
    };
    assert_eq!(modes(), Vec::<std::ffi::OsString>::new());
    send_sigterm(&server.child);
    assert_eq!(wait_exit(&mut server.child).await.code(), Some(0));

    // Of an earlier version.
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o644)).unwrap();
    let _server = Server::start_in(directory.path(), &[]).await;
    assert_eq!(database.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}
