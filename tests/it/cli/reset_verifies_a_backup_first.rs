//! `mai reset` removes only the requested data, and only after a backup of it was verified.

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::compose::{Compose, Workspace, document, http, wait_ready, wait_until};
use crate::fixtures::ports::free_port;

const PASSWORD: &str = "a-Long-passw0rd-for-tests";

struct Client {
    workspace: Workspace,
    port: u16,
    compose: Compose,
}

impl Client {
    /// Starts one client and registers its administrator.
    fn new() -> Self {
        let workspace = Workspace::new();
        let port = free_port();
        workspace.write("a.yaml", &document("alpha", port, "  server: {allowedUpstreamNetworks: [127.0.0.0/8]}\n"));
        let compose = workspace.compose(&[]);
        compose.wait_for_line(&["alpha", "ready"]);
        let body = json!({"name": "Boss", "email": "boss@example.com", "password": PASSWORD}).to_string();
        let (status, answer) = http("POST", port, "/api/v1/auths/signup", "", &body).unwrap();
        assert_eq!(status, 200, "{answer}");
        Self { workspace, port, compose }
    }

    fn sign_in(&self) -> Result<String, u16> {
        let body = json!({"email": "boss@example.com", "password": PASSWORD}).to_string();
        match http("POST", self.port, "/api/v1/auths/signin", "", &body).unwrap() {
            (200, answer) => Ok(serde_json::from_str::<Value>(&answer).unwrap()["token"].as_str().unwrap().to_owned()),
            (status, _) => Err(status),
        }
    }

    fn connection(&self, method: &str, body: &str) -> Value {
        let authorization = format!("authorization: Bearer {}\r\n", self.sign_in().unwrap());
        let (status, answer) = http(method, self.port, "/api/v1/connection", &authorization, body).unwrap();
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str(&answer).unwrap()
    }

    fn backups(&self) -> Vec<PathBuf> {
        let backups = self.workspace.state.join("instances/alpha/backups");
        let paths = std::fs::read_dir(backups).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.file_name().unwrap() != ".mai-job.lock").collect()
    }

    /// Unpacks the only backup; returns the directory and the summary.
    fn backup(&self) -> (PathBuf, Value) {
        let files = self.backups();
        assert_eq!(files.len(), 3, "{files:?}");
        let ending = |end: &str| files.iter().find(|path| path.to_str().unwrap().ends_with(end)).unwrap();
        let target = self.workspace.state.join("unpacked");
        std::fs::create_dir(&target).unwrap();
        let unpacked = Command::new("tar").arg("xzf").arg(ending(".tar.gz")).arg("-C").arg(&target).status().unwrap();
        assert!(unpacked.success());
        ending(".verified.json");
        let summary = files
            .iter()
            .find(|path| !path.to_str().unwrap().contains(".verified") && path.extension().unwrap() == "json");
        let summary = serde_json::from_slice(&std::fs::read(summary.unwrap()).unwrap()).unwrap();
        (target, summary)
    }

    fn restarts(&self) -> Option<Value> {
        self.workspace.wait_for_reason("alpha", "Ready", "Ready");
        self.workspace.status()[0]["status"].get("restarts").cloned()
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn count(database: &Path, table: &'static str) -> i64 {
    block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database).read_only(true).immutable(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
            .fetch_one(&mut connection)
            .await
            .unwrap()
    })
}

#[test]
fn reset_of_configuration_keeps_accounts() {
    let client = Client::new();
    let upstream = free_port();
    let mut mock = Command::new(env!("CARGO_BIN_EXE_mai"))
        .args(["mock-upstream", "--listen", &format!("127.0.0.1:{upstream}")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until(|| "the mock".into(), || std::net::TcpStream::connect(("127.0.0.1", upstream)).ok());
    let saved = json!({"base_url": format!("http://127.0.0.1:{upstream}/api/v1"), "key": "sk-or-v1-of-the-admin"});
    assert_eq!(client.connection("POST", &saved.to_string())["source"], "database");
    mock.kill().unwrap();
    mock.wait().unwrap();

    let pid = client.workspace.pid("alpha");
    let (code, _, err) = client.workspace.mai("reset", &["alpha", "--configuration"]);
    assert!(code == 1 && err.contains("--yes"), "{err}");
    assert!(client.workspace.pid("alpha") == pid && client.backups().is_empty(), "something was done unasked");

    let (code, out, err) = client.workspace.mai("reset", &["alpha", "--configuration", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(
        out.contains("backed up as") && out.contains("settings wiped: 1") && out.contains("answers again"),
        "{out}"
    );
    assert_eq!(client.connection("GET", "")["source"], "mock");
    let authorization = format!("authorization: Bearer {}\r\n", client.sign_in().unwrap());
    let (_, audit) = http("GET", client.port, "/api/v1/audit", &authorization, "").unwrap();
    assert!(audit.contains("\"configuration_reset\"") && audit.contains("\"cleared\":1"), "{audit}");
    assert_ne!(client.workspace.pid("alpha"), pid);
    assert_eq!(client.restarts(), None, "it was counted as a failure");

    let (backup, summary) = client.backup();
    assert_eq!(summary["instance"]["name"], "alpha");
    assert_eq!(summary["reason"], "before mai reset --configuration");
    let database = backup.join("data/mai.db");
    assert_eq!(
        (count(&database, "setting"), count(&database, "user")),
        (2, 1),
        "the connection, and the id of the data"
    );
    let document = std::fs::read_to_string(backup.join("instance/document.json")).unwrap();
    assert!(document.contains("MaiInstance") && !document.contains("\"status\""), "{document}");
    client.compose.stop();
}

#[test]
fn reset_of_everything_returns_to_onboarding() {
    let client = Client::new();
    std::fs::create_dir(client.workspace.data("alpha").join("uploads")).unwrap();
    std::fs::write(client.workspace.data("alpha").join("uploads/letter"), "dear").unwrap();
    let former = client.workspace.data("alpha").join(".mai-restore/20261201-020000-1f2e3d/former");
    std::fs::create_dir_all(&former).unwrap();
    let (code, out, err) = client.workspace.mai("reset", &["alpha", "--everything", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    let (_, config) = http("GET", client.port, "/api/config", "", "").unwrap();
    assert_eq!(serde_json::from_str::<Value>(&config).unwrap()["onboarding"], true, "{config}");
    assert!(client.sign_in().is_err());
    assert!(!client.workspace.data("alpha").join("uploads").exists());
    assert!(former.exists(), "data that a restore keeps was wiped");
    assert_eq!(client.restarts(), None, "it was counted as a failure");
    let (backup, _) = client.backup();
    assert_eq!(std::fs::read_to_string(backup.join("data/uploads/letter")).unwrap(), "dear");
    assert_eq!(count(&backup.join("data/mai.db"), "user"), 1);
    assert!(!backup.join("data/mai.db-wal").exists());
    client.compose.stop();
}

#[test]
fn failed_backup_aborts_the_reset_and_keeps_the_server() {
    let client = Client::new();
    let broken = client.workspace.data("alpha").join("broken.db");
    std::fs::write(&broken, [b"SQLite format 3\0".as_slice(), &[7; 5000]].concat()).unwrap();
    let (code, out, err) = client.workspace.mai("reset", &["alpha", "--everything", "--yes"]);
    assert_eq!(code, 1, "{out}");
    assert!(err.contains("nothing of alpha was wiped") && err.contains("broken.db"), "{err}");
    assert!(client.backups().is_empty(), "half a backup is left: {:?}", client.backups());
    wait_ready(client.port);
    client.sign_in().unwrap();
    assert_eq!(client.restarts(), None, "it was counted as a failure");
    client.compose.stop();
}

#[test]
fn odd_entries_are_copied_or_named_before_the_wipe() {
    let client = Client::new();
    let data = client.workspace.data("alpha");
    let outside = client.workspace.state.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("keep"), "not of alpha").unwrap();
    std::os::unix::fs::symlink(&outside, data.join("link-out")).unwrap();
    std::os::unix::fs::symlink("/nowhere", data.join("dangling")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, data.join("pipe"), rustix::fs::Mode::RWXU).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(data.join("sock")).unwrap();
    let bytes = std::ffi::OsStr::from_bytes(b"bad-\xff-name");
    std::fs::write(data.join(bytes), "bytes").unwrap();
    std::fs::write(data.join("line\nbreak"), "lines").unwrap();
    std::fs::File::create(data.join("sparse")).unwrap().set_len(64 << 20).unwrap();
    let (code, out, err) = client.workspace.mai("reset", &["alpha", "--everything", "--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    drop(socket);
    let said = format!("{out}{err}");
    assert!(said.contains("data/pipe") && said.contains("data/sock"), "what is left out is not named: {said}");
    assert_eq!(std::fs::read_to_string(outside.join("keep")).unwrap(), "not of alpha");
    let (backup, _) = client.backup();
    let copy = backup.join("data");
    assert_eq!(std::fs::read_link(copy.join("link-out")).unwrap(), outside);
    assert_eq!(std::fs::read_link(copy.join("dangling")).unwrap(), Path::new("/nowhere"));
    assert_eq!(std::fs::read_to_string(copy.join(bytes)).unwrap(), "bytes");
    assert_eq!(std::fs::read_to_string(copy.join("line\nbreak")).unwrap(), "lines");
    assert_eq!(std::fs::metadata(copy.join("sparse")).unwrap().len(), 64 << 20);
    assert!(!data.join("pipe").exists() && data.join("link-out").symlink_metadata().is_err());
    client.compose.stop();
}

#[test]
fn reset_requires_the_typed_name_of_the_instance() {
    let client = Client::new();
    let type_in = |text: &str| {
        let line = format!(
            "{} reset {} alpha --everything --yes --state-dir {}",
            env!("CARGO_BIN_EXE_mai"),
            client.workspace.documents.display(),
            client.workspace.state.display()
        );
        let mut terminal = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = terminal.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        stdin.flush().unwrap();
        let output = terminal.wait_with_output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (done, output) = type_in("beta\n");
    assert!(!done && output.contains("Type the name") && output.contains("nothing was changed"), "{output}");
    client.sign_in().unwrap();
    let (done, output) = type_in("alpha\n");
    assert!(done && output.contains("it begins anew"), "{output}");
    assert!(client.sign_in().is_err());
    client.compose.stop();
}

#[test]
fn backups_inside_the_data_are_neither_wiped_nor_replaced() {
    let workspace = Workspace::new();
    let (port, data) = (free_port(), workspace.state.join("nested"));
    let nested =
        format!("  storage: {{data: {{hostPath: {0}}}, backups: {{hostPath: {0}/backups}}}}\n", data.display());
    workspace.write("a.yaml", &document("alpha", port, &nested));
    let compose = workspace.compose(&[]);
    wait_ready(port);
    let (code, out, err) = workspace.mai("backup", &["alpha"]);
    assert_eq!(code, 0, "{out}{err}");
    let pid = workspace.pid("alpha");
    for (verb, arguments) in
        [("restore", &["alpha", "--from", "latest", "--yes"][..]), ("reset", &["alpha", "--everything", "--yes"])]
    {
        let (code, out, err) = workspace.mai(verb, arguments);
        assert!(code == 1 && err.contains("inside the data"), "{verb}: {out}{err}");
    }
    assert!(std::fs::read_dir(data.join("backups")).unwrap().count() >= 3);
    assert_eq!(workspace.pid("alpha").is_some(), pid.is_some());
    wait_ready(port);
    compose.stop();
}
