//! A running reconciler restores data that was asked for, whatever is killed meanwhile, and puts the
//! former data back if the server does not become ready.

use std::io::Read;
use std::path::PathBuf;

use mai_operator::api::{RestoreSource, RestoreStatus, RestoreStep};
use mai_operator::core::{InstanceId, RestoreRequest};
use mai_operator::runtime::RestoreRequestFile;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection, SqliteConnection};

use super::backups_follow_the_schedule::Client;
use crate::fixtures::compose::{Compose, pack, signal, wait_ready, wait_until};

const RESTORE: &str = "20261130-020000-0000aa";

impl Client {
    fn marker(&self) -> PathBuf {
        self.workspace.data("alpha").join("marker.txt")
    }

    fn read_marker(&self) -> String {
        std::fs::read_to_string(self.marker()).unwrap_or_default()
    }

    fn file(&self) -> RestoreRequestFile {
        RestoreRequestFile::new(&self.home())
    }

    fn ask(&self, source: RestoreSource) {
        let instances = self.workspace.status();
        let uid = instances[0]["metadata"]["uid"].as_str().unwrap().to_owned();
        let id = InstanceId { namespace: "default".to_owned(), name: "alpha".to_owned(), uid };
        let request = RestoreRequest { id: RESTORE.parse().unwrap(), source, reason: "a test asked for it".to_owned() };
        self.file().ask(&id, &request).unwrap();
    }

    /// Returns `status.restore`.
    fn restore(&self) -> Value {
        self.workspace.status()[0]["status"]["restore"].clone()
    }

    fn wait_answered(&self, compose: &Compose) -> RestoreStatus {
        wait_until(
            || format!("an answer; status {}; output:\n{}", self.restore(), compose.output()),
            || self.file().take_answer(RESTORE).unwrap(),
        )
    }
}

#[test]
fn restore_goes_on_after_a_killed_reconciler() {
    let client = Client::new("");
    std::fs::write(client.marker(), "backed up").unwrap();
    // Enough that it is still being unpacked when its job is found.
    let mut noise = vec![0; 48 << 20];
    std::fs::File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    std::fs::write(client.workspace.data("alpha").join("noise.bin"), noise).unwrap();
    let mut compose = client.workspace.compose(&[]);
    wait_ready(client.port);
    let (code, output, errors) = client.workspace.mai("backup", &["alpha"]);
    assert_eq!(code, 0, "{output}{errors}");
    std::fs::write(client.marker(), "changed").unwrap();

    client.ask(RestoreSource::default());
    let (job, _) = client.wait_for_job(&compose);
    signal(job, Signal::STOP);
    // The server runs while the backup is unpacked; a second operation is refused with the reason.
    assert_eq!(client.restore()["step"], "Unpacking");
    wait_ready(client.port);
    let (code, _, errors) = client.workspace.mai("restore", &["alpha", "--from", "latest", "--yes"]);
    assert!(code == 1 && errors.contains(RESTORE), "{errors}");
    // A process that is stopped would be hung up on with the end of its parent.
    signal(job, Signal::CONT);
    compose.kill();

    let compose = client.workspace.compose(&[]);
    let end = client.wait_answered(&compose);
    assert_eq!(end.step, RestoreStep::Completed, "{}", end.message);
    assert_eq!(client.read_marker(), "backed up");
    wait_ready(client.port);
    assert_eq!(client.archives().len(), 2, "the data before it was backed up");
    assert!(
        client.archives().iter().any(|path| path.display().to_string().contains(&end.safety_backup.clone().unwrap()))
    );
    assert_eq!(client.restore()["keptUntil"].as_str().map(str::len), Some("2026-11-30T02:00:00Z".len()));
    let former = client.workspace.data("alpha").join(".mai-restore").join(RESTORE).join("former/marker.txt");
    assert_eq!(std::fs::read_to_string(former).unwrap(), "changed");
    compose.stop();
}

#[test]
fn data_that_no_server_starts_on_is_taken_back() {
    let client = Client::new("");
    std::fs::write(client.marker(), "precious").unwrap();
    let compose = client.workspace.compose(&[]);
    wait_ready(client.port);
    let foreign = client.home().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    make_foreign_database(&foreign.join("mai.db"));
    let archive = client.home().join("backups/foreign.tar.gz");
    pack(&archive, &foreign, ".");

    client.ask(RestoreSource { file: Some("foreign.tar.gz".to_owned()), ..RestoreSource::default() });
    let end = client.wait_answered(&compose);
    assert_eq!(end.step, RestoreStep::Failed);
    assert!(end.message.contains("the data before it is in its place again"), "{}", end.message);
    assert_eq!(client.read_marker(), "precious");
    wait_ready(client.port);
    compose.stop();
}

#[test]
fn backup_that_is_not_there_stops_no_server() {
    let client = Client::new("");
    let compose = client.workspace.compose(&[]);
    wait_ready(client.port);
    let pid = client.workspace.pid("alpha");
    client.ask(RestoreSource { backup: Some("20200101-000000-000001".to_owned()), ..RestoreSource::default() });
    let end = client.wait_answered(&compose);
    assert_eq!((end.step, client.workspace.pid("alpha")), (RestoreStep::Failed, pid));
    assert!(!end.message.is_empty());
    compose.stop();
}

/// Makes a database of the name of the server's that is none of it.
fn make_foreign_database(path: &std::path::Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("CREATE TABLE user (x TEXT); INSERT INTO user VALUES ('1'); CREATE TABLE setting (x TEXT)")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    });
}
