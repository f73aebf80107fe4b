//! Stored chats. Another user's chat is answered like one that does not exist.

use jiff::Timestamp;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::answers::Answers;
use super::error::ChatError;
use super::failure_code::FailureCode;
use super::message::{Chat, Message, MessageRole, MessageStatus, read_chat, read_message};
use super::search;
use super::title::{TITLE_LENGTH, UNTITLED};
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// Messages (`m`) as [`read_message`] reads them, with what the ledger knows of each answer.
macro_rules! messages {
    ($rest:literal) => {
        concat!(
            "SELECT m.*, g.id AS generation_row, g.prompt_tokens, g.completion_tokens, g.total_tokens, g.price_nano_usd,
                 g.status = 'pending' OR g.lookup_at IS NOT NULL AS is_open
             FROM message AS m LEFT JOIN generation AS g ON g.id = m.generation ",
            $rest
        )
    };
}

/// Creates a chat.
pub async fn create(db: &Database, user: &UserId, model: Option<&str>) -> Result<Chat, ChatError> {
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or_default();
    let chat = Chat {
        id: Uuid::now_v7(),
        title: UNTITLED.to_owned(),
        model: model.map(str::to_owned),
        created_at: now,
        updated_at: now,
    };
    let (row, owner) = (chat.clone(), user.clone());
    db.write(move |connection| {
        Box::pin(async move {
            sqlx::query(
                "INSERT INTO chat (id, user_id, title, model, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?5)",
            )
            .bind(row.id.to_string())
            .bind(owner.as_str())
            .bind(row.title)
            .bind(row.model)
            .bind(row.created_at.as_millisecond())
            .execute(connection)
            .await?;
            Ok(())
        })
    })
    .await?;
    Ok(chat)
}

/// Lists the user's chats, last used first.
pub async fn list(db: &Database, user: &UserId) -> Result<Vec<Chat>, ChatError> {
    let rows = sqlx::query("SELECT * FROM chat WHERE user_id = ? ORDER BY updated_at DESC, id DESC LIMIT 1000")
        .bind(user.as_str())
        .fetch_all(db.reader())
        .await
        .map_err(DatabaseError::from)?;
    Ok(rows.iter().map(read_chat).collect::<Result<_, _>>().map_err(DatabaseError::from)?)
}

/// Returns the number of everybody's chats.
pub(crate) async fn count(db: &Database) -> Result<u64, DatabaseError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM chat").fetch_one(db.reader()).await?;
    Ok(count.unsigned_abs())
}

/// Returns a chat and its messages in order.
pub async fn get(db: &Database, user: &UserId, chat: Uuid) -> Result<(Chat, Vec<Message>), ChatError> {
    let row = sqlx::query("SELECT * FROM chat WHERE id = ? AND user_id = ?")
        .bind(chat.to_string())
        .bind(user.as_str())
        .fetch_optional(db.reader())
        .await
        .map_err(DatabaseError::from)?
        .ok_or(ChatError::NotFound)?;
    let messages = sqlx::query(messages!("WHERE m.chat_id = ? ORDER BY m.id"))
        .bind(chat.to_string())
        .fetch_all(db.reader())
        .await
        .map_err(DatabaseError::from)?;
    let messages: Result<Vec<Message>, sqlx::Error> = messages.iter().map(read_message).collect();
    Ok((read_chat(&row).map_err(DatabaseError::from)?, messages.map_err(DatabaseError::from)?))
}

/// Returns a message of one of the user's chats.
pub async fn message(db: &Database, user: &UserId, message: Uuid) -> Result<Message, ChatError> {
    let row = sqlx::query(messages!("JOIN chat ON chat.id = m.chat_id WHERE m.id = ? AND chat.user_id = ?"))
        .bind(message.to_string())
        .bind(user.as_str())
        .fetch_optional(db.reader())
        .await
        .map_err(DatabaseError::from)?
        .ok_or(ChatError::NotFound)?;
    Ok(read_message(&row).map_err(DatabaseError::from)?)
}

/// Changes the title of a chat.
pub async fn rename(db: &Database, user: &UserId, chat: Uuid, title: &str) -> Result<(), ChatError> {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() || title.chars().count() > TITLE_LENGTH {
        return Err(ChatError::BadTitle(TITLE_LENGTH));
    }
    let owner = user.clone();
    let renamed = db
        .write(move |connection| {
            Box::pin(async move {
                let renamed = sqlx::query("UPDATE chat SET title = ? WHERE id = ? AND user_id = ?")
                    .bind(title)
                    .bind(chat.to_string())
                    .bind(owner.as_str())
                    .execute(&mut *connection)
                    .await?;
                search::index(connection, &chat.to_string()).await;
                Ok(renamed.rows_affected() == 1)
            })
        })
        .await?;
    if renamed { Ok(()) } else { Err(ChatError::NotFound) }
}

/// Removes a chat with its messages, and stops an answer being written in it. Its usage stays in
/// the ledger.
pub async fn remove(db: &Database, answers: &Answers, user: &UserId, chat: Uuid) -> Result<(), ChatError> {
    let owner = user.clone();
    let removed = db
        .write(move |connection| {
            Box::pin(async move {
                let removed = sqlx::query("DELETE FROM chat WHERE id = ? AND user_id = ?")
                    .bind(chat.to_string())
                    .bind(owner.as_str())
                    .execute(connection)
                    .await?;
                Ok(removed.rows_affected() == 1)
            })
        })
        .await?;
    if !removed {
        return Err(ChatError::NotFound);
    }
    answers.stop_chat(chat);
    Ok(())
}

/// Fails the answers that a former run of the server left unfinished.
pub(crate) async fn close_interrupted(db: &Database) -> Result<(), DatabaseError> {
    db.write(|connection| {
        Box::pin(async move {
            sqlx::query("UPDATE message SET status = 'failed', failure = ? WHERE status = 'streaming'")
                .bind(FailureCode::Interrupted.as_str())
                .execute(connection)
                .await?;
            Ok(())
        })
    })
    .await
}

/// Inserts a message, and indexes it unless it is still to be written.
pub(super) async fn insert_message(connection: &mut SqliteConnection, message: &Message) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO message (id, chat_id, role, content, model, created_at, status) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(message.id.to_string())
    .bind(message.chat_id.to_string())
    .bind(if message.role == MessageRole::User { "user" } else { "assistant" })
    .bind(&message.content)
    .bind(&message.model)
    .bind(message.created_at.as_millisecond())
    .bind(message.status.as_str())
    .execute(&mut *connection)
    .await?;
    if message.status != MessageStatus::Streaming {
        search::index(connection, &message.id.to_string()).await;
    }
    Ok(())
}
