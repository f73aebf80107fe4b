//! `mai import open-webui` takes over people who sign in with the passwords they have, programs that
//! go on with their keys, and chats that are found.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, SqliteConnection};

use crate::fixtures::serve::{PASSWORD, Server};

const KEY: &str = "sk-0123456789abcdef0123456789abcdef";

/// Makes a database of Open WebUI with one person, a key and a chat.
async fn old_server(directory: &Path) {
    let options = SqliteConnectOptions::new().filename(directory.join("webui.db")).create_if_missing(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    for statement in [
        "CREATE TABLE user (id TEXT, name TEXT, email TEXT, role TEXT, api_key TEXT, created_at INTEGER)",
        "CREATE TABLE auth (id TEXT, email TEXT, password TEXT, active INTEGER)",
        "CREATE TABLE chat (id TEXT, user_id TEXT, title TEXT, chat TEXT, created_at INTEGER, updated_at INTEGER)",
        "INSERT INTO user VALUES ('ann', 'Ann', 'ann@example.com', 'admin', 'sk-0123456789abcdef0123456789abcdef', 1700000000)",
        // The password of all accounts in the tests.
        "INSERT INTO auth VALUES ('ann', 'ann@example.com', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.WrAwgFxicHZ3kL7zMvXYXHKosDn8ot2', 1)",
        "INSERT INTO chat VALUES ('c', 'ann', 'Old days', '{\"messages\": [{\"role\": \"user\", \"content\": \"an elephant\"}]}', 1700000000, 1700000000)",
    ] {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
}

fn import(old: &Path, new: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mai"));
    command.args(["import", "open-webui", "--json", "--to"]).arg(new).arg(old).env_clear().output().unwrap()
}

async fn hash(data_dir: &Path) -> String {
    let options = SqliteConnectOptions::new().filename(data_dir.join("mai.db")).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::query_scalar("SELECT password_hash FROM user").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn imported_people_keys_and_chats_go_on() {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    old_server(old.path()).await;
    let imported = import(old.path(), new.path());
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let report: Value = serde_json::from_slice(&imported.stdout).unwrap();
    assert_eq!(report["tables"]["chat"]["taken"], 1);
    assert!(hash(new.path()).await.starts_with("$2b$"));

    let server = Server::start_in(new.path(), &[]).await;
    assert_ne!(server.sign_in("ann@example.com", "wrong horse").await.0, 200);
    assert!(hash(new.path()).await.starts_with("$2b$"), "a wrong password changes nothing");
    let (status, session) = server.sign_in("ann@example.com", PASSWORD).await;
    assert_eq!((status.as_u16(), &session["role"]), (200, &Value::from("admin")));
    assert!(hash(new.path()).await.starts_with("$argon2id$"), "the first sign-in replaces the hash");
    assert_eq!(server.sign_in("ann@example.com", PASSWORD).await.0, 200);
    assert_ne!(server.get("/v1/models", KEY).await.0, 401);
    assert_eq!(server.get("/v1/models", "sk-ffffffffffffffffffffffffffffffff").await.0, 401);

    let running = import(old.path(), new.path());
    assert!(!running.status.success());
    assert!(String::from_utf8_lossy(&running.stderr).contains("in use by another server"));
}
