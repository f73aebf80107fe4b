//! Imports of databases in the forms of several releases, made here column by column.

use std::fs;
use std::path::Path;

use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tempfile::TempDir;

use super::{ImportError, OfflineData, Report};
use crate::auth::PasswordHasher;
use crate::database::Database;
use crate::import::Reason;

/// "correct horse", with bcrypt at cost 4.
fn bcrypt_hash() -> String {
    bcrypt::hash_with_salt("correct horse", 4, [9; 16]).unwrap().format_for_version(bcrypt::Version::TwoB)
}

/// The columns of the tables of a release: the oldest, one of the middle, and the newest.
fn schema(release: &str) -> Vec<&'static str> {
    let user = match release {
        "0.3.5" => {
            "CREATE TABLE user (id TEXT, name TEXT, email TEXT, role TEXT, profile_image_url TEXT, api_key TEXT, created_at INTEGER, updated_at INTEGER, last_active_at INTEGER, settings TEXT, info TEXT, oauth_sub TEXT)"
        }
        _ => {
            "CREATE TABLE user (id TEXT PRIMARY KEY, name TEXT, email TEXT, role TEXT, profile_image_url TEXT, created_at INTEGER, updated_at INTEGER, last_active_at INTEGER, settings JSON, info JSON, oauth JSON)"
        }
    };
    let mut tables = vec![
        user,
        "CREATE TABLE auth (id TEXT, email TEXT, password TEXT, active INTEGER)",
        "CREATE TABLE tag (id TEXT, name TEXT, user_id TEXT, PRIMARY KEY (id, user_id))",
    ];
    match release {
        "0.3.5" => tables.extend([
            "CREATE TABLE chat (id TEXT, user_id TEXT, title TEXT, chat TEXT, share_id TEXT, archived INTEGER, created_at DATETIME, updated_at DATETIME)",
            "CREATE TABLE migratehistory (id INTEGER, name TEXT)",
        ]),
        _ => tables.extend([
            "CREATE TABLE chat (id TEXT, user_id TEXT, title TEXT, chat JSON, share_id TEXT, archived INTEGER, created_at BIGINT, updated_at BIGINT, pinned BOOLEAN, meta JSON, folder_id TEXT)",
            "CREATE TABLE api_key (id TEXT, user_id TEXT, key TEXT, expires_at BIGINT, created_at BIGINT)",
            "CREATE TABLE config (id INTEGER PRIMARY KEY, data JSON)",
            "CREATE TABLE alembic_version (version_num TEXT)",
        ]),
    }
    if release == "0.12.4" {
        tables.push("CREATE TABLE chat_message (id TEXT PRIMARY KEY, chat_id TEXT, user_id TEXT, role TEXT, parent_id TEXT, content JSON, output JSON, model_id TEXT, done BOOLEAN, error JSON, created_at BIGINT, updated_at BIGINT)");
    }
    tables
}

struct Old {
    directory: TempDir,
    connection: SqliteConnection,
}

impl Old {
    async fn new(release: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new().filename(directory.path().join("webui.db")).create_if_missing(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        sqlx::query("PRAGMA journal_mode = WAL").execute(&mut connection).await.unwrap();
        for table in schema(release) {
            sqlx::query(table).execute(&mut connection).await.unwrap();
        }
        let mut old = Self { directory, connection };
        for (id, role, password) in
            [("ann", "admin", bcrypt_hash()), ("pat", "pending", bcrypt_hash()), ("eve", "user", String::new())]
        {
            old.run(&format!("INSERT INTO user (id, name, email, role, created_at, updated_at) VALUES ('{id}', '{id}', '{id}@example.com', '{role}', 1700000000, 1700000000)")).await;
            old.run(&format!("INSERT INTO auth VALUES ('{id}', '{id}@example.com', '{password}', 1)")).await;
        }
        if release == "0.3.5" {
            old.run("UPDATE user SET api_key = 'sk-0123456789abcdef0123456789abcdef' WHERE id = 'ann'").await;
        } else {
            old.run("INSERT INTO api_key VALUES ('key_ann', 'ann', 'sk-0123456789abcdef0123456789abcdef', NULL, 1700000000)").await;
            old.run("INSERT INTO api_key VALUES ('key_pat', 'pat', 'sk-1123456789abcdef0123456789abcdef', NULL, 1700000000)").await;
            old.run("INSERT INTO config VALUES (1, '{\"openai\": {\"api_keys\": [\"sk-very-secret\"]}}')").await;
        }
        old.run("INSERT INTO tag VALUES ('work', 'Work', 'ann'), ('work', 'Work', 'eve'), ('old', 'Old', 'gone')")
            .await;
        let chat = json!({"history": {"currentId": "a2", "messages": {
            "q": {"parentId": null, "childrenIds": ["a1", "a2"], "role": "user", "content": "zażółć?", "timestamp": 1_700_000_000},
            "a1": {"parentId": "q", "childrenIds": [], "role": "assistant", "content": "first", "model": "m"},
            "a2": {"parentId": "q", "childrenIds": [], "role": "assistant", "content": "second", "model": "m"},
        }}});
        old.chat("branched", "ann", &chat.to_string()).await;
        old.chat("cut", "ann", &chat.to_string()[..40]).await;
        old.chat("deleted", "gone", &chat.to_string()).await;
        old.chat("frozen", "shared-branched", &chat.to_string()).await;
        old.chat("empty", "ann", "{}").await;
        old.chat("list", "eve", &json!({"messages": [{"role": "user", "content": "flat"}]}).to_string()).await;
        old
    }

    async fn run(&mut self, sql: &str) {
        sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection).await.unwrap();
    }

    async fn chat(&mut self, id: &str, owner: &str, chat: &str) {
        sqlx::query("INSERT INTO chat (id, user_id, title, chat, created_at, updated_at) VALUES (?, ?, 'Title', ?, 1700000000, 1700000100)")
            .bind(id)
            .bind(owner)
            .bind(chat)
            .execute(&mut self.connection)
            .await
            .unwrap();
    }

    /// Returns the names and contents of all files.
    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let entries = fs::read_dir(self.directory.path()).unwrap().map(|entry| entry.unwrap());
        let read = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
        let mut files: Vec<_> = entries.map(read).collect();
        files.sort();
        files
    }
}

async fn import(old: &Path, new: &Path, is_dry_run: bool) -> Result<Report, ImportError> {
    OfflineData::lock(new).unwrap().import_open_webui(old, is_dry_run).await
}

async fn texts(new: &Path) -> Vec<String> {
    let db = Database::open(new.join("mai.db")).await.unwrap();
    let texts = sqlx::query_scalar(
        "SELECT m.content FROM message AS m JOIN chat ON chat.id = m.chat_id ORDER BY chat.user_id, m.id",
    )
    .fetch_all(db.reader())
    .await
    .unwrap();
    db.close().await;
    texts
}

#[tokio::test]
async fn each_release_is_taken_whole_and_only_once() {
    for release in ["0.3.5", "0.6.43", "0.12.4"] {
        let mut old = Old::new(release).await;
        if release == "0.12.4" {
            let chat = json!({"history": {"currentId": "a", "messages": {
                "a": {"parentId": null, "childrenIds": [], "role": "assistant", "content": "",
                    "output": [{"type": "message", "content": [{"type": "output_text", "text": "output only"}]}]},
            }}});
            old.chat("output", "ann", &chat.to_string()).await;
            old.run("INSERT INTO chat_message (id, chat_id, role, parent_id, content, done, created_at, updated_at) VALUES ('branched-a2', 'branched', 'assistant', 'q', '\"newer\"', 1, 1700000200, 1700000200)").await;
        }
        let new = tempfile::tempdir().unwrap();
        let before = old.files();
        let dry = import(old.directory.path(), new.path(), true).await.unwrap();
        assert!(!new.path().join("mai.db").exists(), "{release}: a dry run wrote");
        let report = import(old.directory.path(), new.path(), false).await.unwrap();
        assert_eq!(before, old.files(), "{release}: the original was changed");
        assert!(!new.path().join(".mai-import").exists());
        assert_eq!(serde_json::to_value(&dry.tables).unwrap(), serde_json::to_value(&report.tables).unwrap());

        let chat = &report.tables["chat"];
        assert_eq!((chat.read, chat.taken), if release == "0.12.4" { (7, 3) } else { (6, 2) }, "{release}");
        for (reason, id) in [
            (Reason::NotReadable, "cut"),
            (Reason::OwnerUnknown, "deleted"),
            (Reason::SharedCopy, "frozen"),
            (Reason::NoMessages, "empty"),
        ] {
            assert_eq!(chat.skipped[&reason].ids, [id], "{release}");
        }
        let user = &report.tables["user"];
        assert_eq!(
            (user.taken, user.remarks[&Reason::Pending].count, user.remarks[&Reason::NoPassword].count),
            (3, 1, 1)
        );
        assert_eq!((report.tables["tag"].kept, report.tables["tag"].skipped[&Reason::OwnerUnknown].count), (2, 1));
        let keys = report.tables.get("api_key").unwrap_or_else(|| &report.tables["user.api_key"]);
        assert_eq!(keys.taken, 1, "{release}");
        assert_eq!(report.messages.on_other_branches, 1);
        let told = format!("{report}{}", serde_json::to_string(&report).unwrap());
        assert!(!told.contains("sk-") && !told.contains("example.com") && !told.contains("second"), "{told}");

        let found = texts(new.path()).await;
        let expected = if release == "0.12.4" {
            vec!["flat", "newer", "output only", "zażółć?"]
        } else {
            vec!["flat", "second", "zażółć?"]
        };
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(sorted, expected, "{release}");

        let again = import(old.directory.path(), new.path(), false).await.unwrap();
        for (name, table) in &again.tables {
            assert_eq!((table.taken, table.kept), (0, 0), "{release}: {name} was taken again");
        }
        assert_eq!(texts(new.path()).await, found);
    }
}

#[tokio::test]
async fn people_keep_passwords_and_keys_and_originals_leave() {
    let old = Old::new("0.6.43").await;
    let new = tempfile::tempdir().unwrap();
    import(old.directory.path(), new.path(), false).await.unwrap();
    let db = Database::open(new.path().join("mai.db")).await.unwrap();
    let hashes: Vec<(String, String)> =
        sqlx::query_as("SELECT email, password_hash FROM user ORDER BY email").fetch_all(db.reader()).await.unwrap();
    let correct = PasswordHasher::new().verify(&"correct horse".into(), Some(hashes[0].1.clone())).await;
    assert_eq!((hashes[0].0.as_str(), correct), ("ann@example.com", Ok(true)));
    assert!(hashes[1..].iter().all(|(_, hash)| hash.is_empty()), "pending and without a password");
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM audit WHERE action IN ('account_added', 'key_created')")
        .fetch_one(db.reader())
        .await
        .unwrap();
    assert_eq!(events, 4);
    let secrets: i64 = sqlx::query_scalar("SELECT count(*) FROM imported WHERE original LIKE '%sk-%'")
        .fetch_one(db.reader())
        .await
        .unwrap();
    assert_eq!(secrets, 0);
    db.write(|connection| {
        Box::pin(async move {
            sqlx::query("DELETE FROM chat").execute(connection).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM imported WHERE kind = 'chat' AND original IS NOT NULL")
        .fetch_one(db.reader())
        .await
        .unwrap();
    assert_eq!(left, 0, "originals of removed chats");
    db.close().await;
    let again = import(old.directory.path(), new.path(), false).await.unwrap();
    assert_eq!(again.tables["chat"].skipped[&Reason::RemovedHere].count, 2);
}

#[tokio::test]
async fn what_cannot_be_taken_is_told_and_nothing_is_written() {
    let new = tempfile::tempdir().unwrap();
    let mut old = Old::new("0.6.43").await;
    old.run("INSERT INTO user (id, name, email, role) VALUES ('ann2', 'Ann', 'ANN@example.com', 'user')").await;
    let same = import(old.directory.path(), new.path(), false).await.unwrap_err();
    assert!(same.to_string().contains("ann and ann2"), "{same}");
    let db = Database::open(new.path().join("mai.db")).await.unwrap();
    let people: i64 = sqlx::query_scalar("SELECT count(*) FROM user").fetch_one(db.reader()).await.unwrap();
    assert_eq!(people, 0);
    db.close().await;

    let broken = tempfile::tempdir().unwrap();
    let file = broken.path().join("webui.db");
    let refused = |expected: &'static str| {
        let (broken, new) = (broken.path().to_owned(), new.path().to_owned());
        async move {
            let error = import(&broken, &new, false).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    };
    refused("has no webui.db").await;
    fs::write(&file, [7; 4096]).unwrap();
    refused("not a plain SQLite file").await;
    old.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let whole = fs::read(old.directory.path().join("webui.db")).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    refused("damaged or was cut off").await;
    old.run("ALTER TABLE auth RENAME COLUMN password TO secret").await;
    old.run("PRAGMA wal_checkpoint(TRUNCATE)").await;
    fs::write(&file, fs::read(old.directory.path().join("webui.db")).unwrap()).unwrap();
    refused("no column auth.password").await;
}

#[tokio::test]
async fn chats_changed_here_are_left_alone() {
    let mut old = Old::new("0.6.43").await;
    let new = tempfile::tempdir().unwrap();
    import(old.directory.path(), new.path(), false).await.unwrap();
    let list = |text: &str| json!({"messages": [{"role": "user", "content": text}]}).to_string();
    old.run(&format!("UPDATE chat SET chat = '{}' WHERE id = 'list'", list("grown"))).await;
    let again = import(old.directory.path(), new.path(), false).await.unwrap();
    assert_eq!(again.tables["chat"].taken, 1);
    assert!(texts(new.path()).await.contains(&"grown".to_owned()));

    let db = Database::open(new.path().join("mai.db")).await.unwrap();
    db.write(|connection| {
        Box::pin(async move {
            sqlx::query("UPDATE chat SET updated_at = updated_at + 1").execute(connection).await?;
            Ok(())
        })
    })
    .await
    .unwrap();
    db.close().await;
    old.run(&format!("UPDATE chat SET chat = '{}' WHERE id = 'list'", list("again"))).await;
    let last = import(old.directory.path(), new.path(), false).await.unwrap();
    assert_eq!(last.tables["chat"].skipped[&Reason::ChangedHere].ids, ["list"]);
    assert!(texts(new.path()).await.contains(&"grown".to_owned()));
}
