//! Chats: the current branch as messages, and the whole original beside it. One transaction a chat.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::SqliteConnection;
use uuid::{Builder, Uuid};

use super::people::People;
use super::source::{Source, SourceRow};
use super::tree::{Row, Tree};
use super::{SOURCE, time};
use crate::chat::TITLE_LENGTH;
use crate::database::{Database, DatabaseError};
use crate::import::record::{self, NewRecord};
use crate::import::{ImportError, Reason, Report};
use crate::user::UserId;

/// Columns of `chat_message` that hold JSON.
const JSON_COLUMNS: [&str; 6] = ["content", "output", "files", "sources", "error", "usage"];

struct Message {
    id: Uuid,
    is_answer: bool,
    text: String,
    model: Option<String>,
    at: i64,
    is_interrupted: bool,
}

struct Chat {
    external_id: String,
    user: UserId,
    title: String,
    created_at: i64,
    updated_at: i64,
    messages: Vec<Message>,
    original: String,
}

enum Outcome {
    Taken,
    AlreadyThere,
    ChangedHere,
    RemovedHere,
}

/// Takes the chats of the people who were taken.
pub(super) async fn take(
    source: &mut Source,
    db: &Database,
    people: &People,
    report: &mut Report,
) -> Result<(), ImportError> {
    for number in source.row_numbers("chat").await? {
        report.table("chat").read += 1;
        let found = source.row("chat", number).await?;
        let Some((id, owner, row)) = found.and_then(|row| Some((row.text("id")?, row.text("user_id")?, row))) else {
            report.table("chat").skip(Reason::NotReadable, &format!("row {number}"));
            continue;
        };
        let user = match people.get(&owner) {
            Some(Some(user)) => user.clone(),
            other => {
                let reason = match other {
                    Some(_) => Reason::OwnerNotTaken,
                    None if owner.starts_with("shared-") => Reason::SharedCopy,
                    None => Reason::OwnerUnknown,
                };
                report.table("chat").skip(reason, &id);
                continue;
            }
        };
        match read(source, id.clone(), user, row, report).await? {
            Err(reason) => report.table("chat").skip(reason, &id),
            Ok(chat) => {
                let bytes = chat.original.len() * 2;
                let outcome = db.write_bytes(bytes, move |connection| Box::pin(write(connection, chat))).await?;
                let table = report.table("chat");
                match outcome {
                    Outcome::Taken => table.taken += 1,
                    Outcome::AlreadyThere => table.already_there += 1,
                    Outcome::ChangedHere => table.skip(Reason::ChangedHere, &id),
                    Outcome::RemovedHere => table.skip(Reason::RemovedHere, &id),
                }
            }
        }
    }
    Ok(())
}

async fn read(
    source: &mut Source,
    id: String,
    user: UserId,
    row: SourceRow,
    report: &mut Report,
) -> Result<Result<Chat, Reason>, ImportError> {
    let changed = row.columns.get("updated_at").and_then(time::milliseconds);
    let rows = match source.has("chat_message", "content") {
        true => source.rows_with("chat_message", "chat_id", &id).await?,
        false => Vec::new(),
    };
    let mut original = format!("{{\"chat\":{},\"chat_message\":[", row.original);
    for (number, message) in rows.iter().enumerate() {
        original.push_str(if number > 0 { "," } else { "" });
        original.push_str(&message.original);
    }
    original.push_str("]}");
    let json = row.json("chat").filter(Value::is_object);
    let Some(json) = json else { return Ok(Err(Reason::NotReadable)) };
    let prefix = format!("{id}-");
    let rows = rows.into_iter().filter_map(|row| message_row(row, &prefix, changed)).collect();
    let tree = Tree::read(&json, rows);
    let branch = tree.branch();
    let messages = &mut report.messages;
    messages.on_other_branches += (tree.len() - branch.len()) as u64;
    messages.not_shown += tree.not_shown;
    messages.differing += tree.differing;
    let created_at = row.columns.get("created_at").and_then(time::milliseconds);
    let created_at = created_at.or(changed).unwrap_or_else(|| Timestamp::now().as_millisecond());
    // Messages sort by their ids, which hold a time: each comes after the one before.
    let mut ordered = created_at;
    let mut taken = Vec::new();
    for node in branch {
        messages.with_parts += u64::from(node.has_parts);
        if node.text.is_empty() {
            messages.without_text += 1;
            continue;
        }
        let at = node.at.unwrap_or(ordered);
        ordered = at.max(ordered + 1);
        taken.push(Message {
            id: id_at(ordered),
            is_answer: node.is_answer,
            text: node.text.clone(),
            model: node.model.clone(),
            at,
            is_interrupted: node.is_interrupted,
        });
    }
    if taken.is_empty() {
        return Ok(Err(Reason::NoMessages));
    }
    messages.shown += taken.len() as u64;
    let title = row.text("title").unwrap_or_default().replace('\0', "");
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(TITLE_LENGTH).collect();
    let updated_at = changed.unwrap_or(created_at);
    Ok(Ok(Chat { external_id: id, user, title, created_at, updated_at, messages: taken, original }))
}

/// Returns a row of `chat_message` in the form that messages have in the chat.
fn message_row(row: SourceRow, prefix: &str, changed: Option<i64>) -> Option<Row> {
    let id = row.text("id")?.strip_prefix(prefix)?.to_owned();
    let mut message = serde_json::Map::new();
    for column in JSON_COLUMNS {
        message.insert(column.to_owned(), row.json(column).unwrap_or(Value::Null));
    }
    for (column, key) in [("role", "role"), ("parent_id", "parentId"), ("model_id", "model")] {
        message.insert(key.to_owned(), row.text(column).map_or(Value::Null, Value::String));
    }
    message.insert("timestamp".to_owned(), row.columns.get("created_at").cloned().unwrap_or_default());
    message.insert("done".to_owned(), Value::Bool(row.text("done").is_none_or(|done| done != "0")));
    let is_newer = row.columns.get("updated_at").and_then(time::milliseconds) > changed;
    Some(Row { id, message: Value::Object(message), is_newer })
}

fn id_at(milliseconds: i64) -> Uuid {
    Builder::from_unix_timestamp_millis(milliseconds.unsigned_abs(), &rand::random()).into_uuid()
}

async fn write(connection: &mut SqliteConnection, chat: Chat) -> Result<Outcome, DatabaseError> {
    let fingerprint = record::fingerprint(&chat.original);
    let recorded = record::find(connection, SOURCE, "chat", &chat.external_id).await?;
    let mut local = None;
    if let Some(recorded) = recorded {
        let here: Option<(String, i64, String)> = sqlx::query_as("SELECT id, updated_at, title FROM chat WHERE id = ?")
            .bind(&recorded.local_id)
            .fetch_optional(&mut *connection)
            .await?;
        let Some((id, updated_at, _)) = here else { return Ok(Outcome::RemovedHere) };
        if recorded.fingerprint == fingerprint {
            return Ok(Outcome::AlreadyThere);
        }
        if Some(updated_at) != recorded.changed_at {
            return Ok(Outcome::ChangedHere);
        }
        sqlx::query("DELETE FROM message WHERE chat_id = ?").bind(&id).execute(&mut *connection).await?;
        local = Some(id);
    }
    let model = chat.messages.iter().rev().find_map(|message| message.model.clone());
    let id = local.unwrap_or_else(|| id_at(chat.created_at).to_string());
    // A title that was changed here stays.
    sqlx::query(
        "INSERT INTO chat (id, user_id, title, model, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET model = excluded.model, updated_at = excluded.updated_at",
    )
    .bind(&id)
    .bind(chat.user.as_str())
    .bind(&chat.title)
    .bind(model)
    .bind(chat.created_at)
    .bind(chat.updated_at)
    .execute(&mut *connection)
    .await?;
    // The server indexes them for its search when it starts.
    for message in &chat.messages {
        sqlx::query(
            "INSERT INTO message (id, chat_id, role, content, model, created_at, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(message.id.to_string())
        .bind(&id)
        .bind(if message.is_answer { "assistant" } else { "user" })
        .bind(&message.text)
        .bind(&message.model)
        .bind(message.at)
        .bind(if message.is_interrupted { "stopped" } else { "done" })
        .execute(&mut *connection)
        .await?;
    }
    let new = NewRecord {
        source: SOURCE,
        kind: "chat",
        external_id: &chat.external_id,
        user: Some(&chat.user),
        local_id: Some(&id),
        fingerprint: &fingerprint,
        changed_at: Some(chat.updated_at),
        original: Some(&chat.original),
    };
    record::save(connection, new).await?;
    Ok(Outcome::Taken)
}
