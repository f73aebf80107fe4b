//! Backups are made when they are due, whatever is killed, edited or suspended meanwhile.

use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::compose::{Compose, Workspace, document, signal, wait_ready, wait_until};
use crate::fixtures::held_database::HeldDatabase;
use crate::fixtures::ports::free_port;

/// Due in the first minute of each year, so that no test meets it by chance.
const YEARLY: &str = "  backup: {schedule: \"0 0 1 1 *\"}\n";
pub(super) const LONG_AGO: &str = "2020-06-01T00:00:00Z";
const IDENTITY: &str = "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX";
const RECIPIENT: &str = "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj";

/// A client that has run before, and whose reconciler is stopped.
pub(super) struct Client {
    pub(super) workspace: Workspace,
    pub(super) port: u16,
}

impl Client {
    pub(super) fn new(more: &str) -> Self {
        let client = Self { workspace: Workspace::new(), port: free_port() };
        client.declare(more);
        let compose = client.workspace.compose(&[]);
        compose.wait_for_line(&["alpha", "ready"]);
        compose.stop();
        client
    }

    /// Returns one whose schedule was missed.
    fn overdue(more: &str) -> Self {
        let client = Self::new(more);
        client.remember("$.backup.lastDue", LONG_AGO);
        client
    }

    /// Holds up its backups while the result exists.
    fn hold(&self) -> HeldDatabase {
        HeldDatabase::new(&self.workspace.data("alpha"))
    }

    pub(super) fn declare(&self, more: &str) {
        self.workspace.write("a.yaml", &document("alpha", self.port, more));
    }

    /// Changes what the reconciler, which does not run, remembers.
    pub(super) fn remember(&self, path: &str, value: &str) {
        let database = self.workspace.state.join("state.db");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(database);
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            // A path is only set below something that is there.
            let statement = "INSERT INTO memories (uid, memory) \
                 SELECT uid, '{}' FROM documents WHERE true ON CONFLICT DO NOTHING";
            sqlx::query(statement).execute(&mut connection).await.unwrap();
            let statement = "UPDATE memories SET memory = json_set( \
                 json_set(memory, '$.backup', json(coalesce(json_extract(memory, '$.backup'), '{}'))), ?, ?)";
            sqlx::query(statement).bind(path).bind(value).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        });
    }

    /// Returns `status.backup`.
    pub(super) fn status(&self) -> Value {
        let instances = self.workspace.status();
        let alpha = instances.iter().find(|instance| instance["metadata"]["name"] == "alpha").unwrap();
        alpha["status"]["backup"].clone()
    }

    /// Waits until the newest backup is another than `former`, and verified.
    fn wait_verified(&self, compose: &Compose, former: Option<&str>) -> Value {
        let verified =
            |status: &Value| status["last"]["result"] == "Verified" && status["last"]["id"].as_str() != former;
        wait_until(
            || format!("a verified backup; status {}; output:\n{}", self.status(), compose.output()),
            || Some(self.status()).filter(verified),
        )
    }

    /// Stops the job that is held up; returns its process and its name.
    fn catch_job(&self, held: HeldDatabase, compose: &Compose) -> (i32, String) {
        let (pid, name) = self.wait_for_job(compose);
        signal(pid, Signal::STOP);
        drop(held);
        (pid, name)
    }

    /// Returns process and name of the job, once there is one.
    pub(super) fn wait_for_job(&self, compose: &Compose) -> (i32, String) {
        let pid = wait_until(
            || format!("a job; status {}; output:\n{}", self.status(), compose.output()),
            || self.workspace.job("alpha"),
        );
        let environ = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap();
        let name = environ.split('\0').find_map(|variable| variable.strip_prefix("MAI_JOB=")).unwrap();
        (pid, name.to_owned())
    }

    pub(super) fn home(&self) -> PathBuf {
        self.workspace.state.join("instances/alpha")
    }

    pub(super) fn archives(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.home().join("backups")).unwrap().map(|entry| entry.unwrap().path());
        entries.filter(|path| path.to_str().unwrap().contains(".tar.gz")).collect()
    }
}

#[test]
fn scheduled_backup_is_made_and_verified_next_to_the_server() {
    let client = Client { workspace: Workspace::new(), port: free_port() };
    let workspace = &client.workspace;
    client.declare("  backup: {schedule: '* * * * *'}\n");
    let reference = "{name: nowhere, key: key}";
    let bucket = format!("{{bucket: b, accessKeyIdRef: {reference}, secretAccessKeyRef: {reference}}}");
    let blocked =
        format!("  suspend: true\n  backup: {{schedule: '* * * * *', destinations: [{{name: s3, s3: {bucket}}}]}}\n");
    workspace.write("b.yaml", &document("beta", free_port(), &blocked));
    let compose = workspace.compose(&[]);
    wait_ready(client.port);
    let pid = workspace.pid("alpha");

    // It takes up to a minute until the first one is due.
    client.wait_verified(&compose, None);
    // No further one is made while this one is looked at.
    client.declare(YEARLY);
    client.wait_verified(&compose, None);
    workspace.wait_for_reason("alpha", "BackupHealthy", "BackupVerified");
    let message = workspace.wait_for_reason("beta", "BackupHealthy", "BackupBlocked");
    assert!(message.contains("Secret nowhere is not there"), "{message}");
    let status = client.status();
    let id = status["last"]["id"].as_str().unwrap();
    assert_eq!(status["destinations"][0]["name"], "backups");
    for field in ["lastDue", "lastSuccess", "lastVerified", "bytes", "dataBytes", "next"] {
        assert!(!status[field].is_null(), "{field}: {status:#}");
    }
    for ending in [".json", ".tar.gz", ".verified.json"] {
        assert!(client.home().join("backups").join(format!("{id}{ending}")).exists(), "{id}{ending} is missing");
    }
    let (_, table, _) = workspace.mai("status", &[]);
    let row = table.lines().find(|line| line.trim_start().starts_with("alpha")).unwrap();
    let is_age = |word: &str| word.strip_suffix('m').is_some_and(|minutes| minutes.parse::<u32>().is_ok());
    assert!(table.lines().next().unwrap().contains("BACKUP") && row.split_whitespace().any(is_age), "{table}");
    assert!(table.lines().any(|line| line.trim_start().starts_with("beta") && line.contains("blocked")), "{table}");
    assert_eq!(workspace.pid("alpha"), pid, "the server was not restarted for it");
    assert_eq!(workspace.condition("alpha", "Ready").unwrap().0, "True");
    compose.stop();
}

#[test]
fn missed_schedule_is_made_up_for_once() {
    let client = Client::overdue(YEARLY);
    let compose = client.workspace.compose(&[]);
    let status = client.wait_verified(&compose, None);
    let message = client.workspace.wait_for_reason("alpha", "BackupHealthy", "BackupVerified");
    assert!(!message.is_empty());
    assert!(status["next"].as_str().unwrap() > "2026", "{status}");
    assert_eq!(client.archives().len(), 1);
    let (code, out, err) = client.workspace.mai("status", &["alpha"]);
    assert!(code == 0 && out.contains("Backup"), "no event: {out}{err}");
    compose.stop();

    let compose = client.workspace.compose(&[]);
    compose.wait_for_line(&["alpha", "ready"]);
    // A request is taken up after what is due.
    let (code, out, err) = client.workspace.mai("backup", &["alpha"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(client.archives().len(), 2, "it was made up for twice");
    compose.stop();
}

#[test]
fn killed_job_is_reported_and_made_again() {
    let client = Client::overdue(YEARLY);
    let held = client.hold();
    let compose = client.workspace.compose(&[]);
    let (pid, name) = client.catch_job(held, &compose);
    signal(pid, Signal::KILL);
    let message = client.workspace.wait_for_reason("alpha", "BackupHealthy", "BackupFailed");
    assert!(message.contains("signal 9"), "{message}");
    let status = client.status();
    assert_eq!(
        (status["last"]["id"].as_str(), status["failures"].as_i64()),
        (Some(name.as_str()), Some(1)),
        "{status}"
    );
    wait_until(
        || format!("an attempt before the next year; status {}", client.status()),
        || client.status()["next"].as_str().is_some_and(|next| next < "2027").then_some(()),
    );
    compose.stop();
    client.remember("$.backup.last.endedAt", LONG_AGO);
    let compose = client.workspace.compose(&[]);
    let status = client.wait_verified(&compose, Some(&name));
    assert!(status.get("failures").is_none_or(|failures| failures == 0), "{status}");
    assert!(!client.home().join("job").exists());
    compose.stop();
}

#[test]
fn job_is_ended_by_mai_down_and_reported() {
    let client = Client::overdue(YEARLY);
    let held = client.hold();
    let mut compose = client.workspace.compose(&[]);
    let (_, name) = client.wait_for_job(&compose);
    let (code, _, err) = client.workspace.mai("down", &[]);
    assert!(code == 1 && err.contains("stop it first") && client.workspace.job("alpha").is_some(), "{err}");
    compose.kill();
    let (code, out, err) = client.workspace.mai("down", &[]);
    assert!(code == 0 && out.contains("alpha"), "{out}{err}");
    assert_eq!(client.workspace.job("alpha"), None);
    drop(held);
    assert_eq!(client.archives(), Vec::<PathBuf>::new());
    let compose = client.workspace.compose(&[]);
    let message = client.workspace.wait_for_reason("alpha", "BackupHealthy", "BackupFailed");
    assert!(message.contains(&name), "{message}");
    compose.stop();
}

#[test]
fn job_outlives_a_killed_reconciler() {
    let client = Client::overdue(YEARLY);
    let held = client.hold();
    let mut compose = client.workspace.compose(&[]);
    let (pid, name) = client.wait_for_job(&compose);
    compose.kill();
    // Only now: the kernel ends a process that is stopped when its parent ends.
    signal(pid, Signal::STOP);
    drop(held);
    assert_eq!(client.workspace.job("alpha"), Some(pid));
    let compose = client.workspace.compose(&[]);
    compose.wait_for_line(&["alpha", "ready"]);
    assert_eq!(client.workspace.job("alpha"), Some(pid), "another was started");
    signal(pid, Signal::CONT);
    let status = client.wait_verified(&compose, None);
    assert_eq!(status["last"]["id"], name.as_str());
    assert_eq!(client.archives().len(), 1);
    compose.stop();
}

#[test]
fn outcome_of_a_job_is_seen_by_the_next_reconciler() {
    let client = Client::overdue(YEARLY);
    let held = client.hold();
    let mut compose = client.workspace.compose(&[]);
    let (_, name) = client.wait_for_job(&compose);
    compose.kill();
    drop(held);
    wait_until(|| "the end of the job".to_owned(), || client.workspace.job("alpha").is_none().then_some(()));
    let compose = client.workspace.compose(&[]);
    let status = client.wait_verified(&compose, None);
    assert_eq!(status["last"]["id"], name.as_str());
    assert_eq!(client.archives().len(), 1);
    compose.stop();
}

#[test]
fn suspended_instance_is_backed_up() {
    let client = Client::overdue(YEARLY);
    client.declare(&format!("{YEARLY}  suspend: true\n"));
    let compose = client.workspace.compose(&[]);
    client.wait_verified(&compose, None);
    assert_eq!(client.workspace.servers(), []);
    let (code, out, err) = client.workspace.mai("backup", &["alpha"]);
    assert!(code == 0 && out.contains("verified"), "{out}{err}");
    compose.stop();
}

#[test]
fn edited_document_replaces_the_server_beside_a_job() {
    let client = Client::overdue(YEARLY);
    let held = client.hold();
    let compose = client.workspace.compose(&[]);
    let (job, name) = client.catch_job(held, &compose);
    let server = client.workspace.pid("alpha");
    client.declare(&format!("{YEARLY}  server: {{locale: pl}}\n"));
    wait_until(
        || format!("another server; output:\n{}", compose.output()),
        || client.workspace.pid("alpha").filter(|pid| Some(*pid) != server),
    );
    assert_eq!(client.workspace.job("alpha"), Some(job));
    signal(job, Signal::CONT);
    assert_eq!(client.wait_verified(&compose, None)["last"]["id"], name.as_str());
    compose.stop();
}

#[test]
fn removed_document_ends_its_job() {
    let client = Client::overdue(YEARLY);
    client.workspace.write("b.yaml", &document("beta", free_port(), ""));
    let held = client.hold();
    let compose = client.workspace.compose(&[]);
    client.wait_for_job(&compose);
    client.workspace.remove("a.yaml");
    compose.wait_for_line(&["alpha", "gone"]);
    assert_eq!(client.workspace.job("alpha"), None);
    assert!(!client.home().join("job").exists() && client.home().join("data").exists());
    drop(held);
    compose.stop();
}

#[test]
fn secrets_of_a_backup_are_seen_by_its_job_alone() {
    let secrets = [IDENTITY, "AKIA-of-a-test", "secret-of-a-test"];
    let more = format!(
        "  backup:\n    schedule: \"0 0 1 1 *\"\n    encryption: {{recipients: [{RECIPIENT}], identitySecretRef: {{name: identity, key: key}}}}\n    \
         destinations:\n    - name: off-site\n      s3:\n        bucket: b\n        endpoint: http://127.0.0.1:{}\n        \
         accessKeyIdRef: {{name: s3, key: key}}\n        secretAccessKeyRef: {{name: s3-secret, key: key}}\n",
        free_port()
    );
    let client = Client { workspace: Workspace::new(), port: free_port() };
    for (name, value) in ["identity", "s3", "s3-secret"].iter().zip(secrets) {
        client.workspace.write_secret(name, "key", value);
    }
    client.declare(&more);
    let compose = client.workspace.compose(&[]);
    compose.wait_for_line(&["alpha", "ready"]);
    let server = client.workspace.pid("alpha").unwrap();
    let held = client.hold();
    let (code, out, err) = client.workspace.mai("backup", &["alpha", "--no-wait"]);
    assert_eq!(code, 0, "{out}{err}");
    let (job, _) = client.catch_job(held, &compose);
    let mut seen = vec![out, err];
    for pid in [job, server] {
        for file in ["cmdline", "environ"] {
            seen.push(String::from_utf8_lossy(&std::fs::read(format!("/proc/{pid}/{file}")).unwrap()).into_owned());
        }
    }
    for file in ["job.json", "order.json", "output.jsonl", "job.log"] {
        seen.push(std::fs::read_to_string(client.home().join("job").join(file)).unwrap());
    }
    assert!(seen.concat().contains("off-site"), "the order is not looked at");
    signal(job, Signal::CONT);
    let message = client.workspace.wait_for_reason("alpha", "BackupHealthy", "BackupUnverified");
    assert!(message.contains("off-site"), "{message}");
    seen.extend([message, client.workspace.status()[0].to_string(), client.workspace.mai("status", &["alpha"]).1]);
    seen.extend([compose.output(), std::fs::read_to_string(client.home().join("server.log")).unwrap()]);
    for secret in secrets {
        assert!(seen.iter().all(|text| !text.contains(secret)), "{secret} shows in {seen:#?}");
    }
    let [archive] = &client.archives()[..] else { panic!("{:?}", client.archives()) };
    assert!(archive.to_str().unwrap().ends_with(".tar.gz.age"), "{archive:?}");
    compose.stop();
}
