//! Stored chats: their rows, and who may see them. A chat of somebody else is not there.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::error::ChatError;
use crate::App;
use crate::database::DatabaseError;
use crate::users::UserId;

/// Most characters of a title.
pub const TITLE_LENGTH: usize = 100;
/// A title taken from a question has at most this many characters.
const TAKEN_LENGTH: usize = 60;
/// What a chat is called before its first question.
const UNTITLED: &str = "";

/// A chat without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its id, by which its address is made.
    pub id: Uuid,
    /// The first words of the first question, or what its owner called it; empty before the first question.
    pub title: String,
    /// The model last asked in it.
    pub model: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
    /// When it was last asked or answered in.
    pub updated_at: Timestamp,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The person.
    User,
    /// The model.
    Assistant,
}

/// How a message stands. A question is always [`MessageStatus::Done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// It is being written.
    Streaming,
    /// It is complete.
    Done,
    /// The person stopped it; what came until then is kept.
    Stopped,
    /// It could not be completed; [`Message::error`] says why.
    Failed,
}

impl MessageStatus {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    fn from_column(text: &str) -> Self {
        match text {
            "streaming" => Self::Streaming,
            "done" => Self::Done,
            "stopped" => Self::Stopped,
            _ => Self::Failed,
        }
    }
}

/// A question or an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: Uuid,
    /// The chat it belongs to.
    pub chat_id: Uuid,
    /// Who says it.
    pub role: MessageRole,
    /// Markdown as it was written; of an answer being written, what was saved last.
    pub content: String,
    /// The model asked.
    pub model: Option<String>,
    /// How it stands.
    pub status: MessageStatus,
    /// Why it failed, as a sentence for the person.
    pub error: Option<String>,
    /// When it was begun.
    pub created_at: Timestamp,
}

fn id(row: &SqliteRow, column: &str) -> Result<Uuid, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn timestamp(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_millisecond(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn read_chat(row: &SqliteRow) -> Result<Chat, sqlx::Error> {
    Ok(Chat {
        id: id(row, "id")?,
        title: row.try_get("title")?,
        model: row.try_get("model")?,
        created_at: timestamp(row, "created_at")?,
        updated_at: timestamp(row, "updated_at")?,
    })
}

fn read_message(row: &SqliteRow) -> Result<Message, sqlx::Error> {
    Ok(Message {
        id: id(row, "id")?,
        chat_id: id(row, "chat_id")?,
        role: if row.try_get::<&str, _>("role")? == "user" { MessageRole::User } else { MessageRole::Assistant },
        content: row.try_get("content")?,
        model: row.try_get("model")?,
        status: MessageStatus::from_column(row.try_get("status")?),
        error: row.try_get("error")?,
        created_at: timestamp(row, "created_at")?,
    })
}

/// Begins a chat.
pub async fn create(app: &App, user: &UserId, model: Option<&str>) -> Result<Chat, ChatError> {
    let now = Timestamp::from_millisecond(Timestamp::now().as_millisecond()).unwrap_or_default();
    let chat = Chat {
        id: Uuid::now_v7(),
        title: UNTITLED.to_owned(),
        model: model.map(str::to_owned),
        created_at: now,
        updated_at: now,
    };
    let (row, owner) = (chat.clone(), user.clone());
    app.db
        .write(move |connection| {
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

/// The user's chats, the one last used first. With a query, those whose title or messages contain it.
pub async fn list(app: &App, user: &UserId, query: Option<&str>) -> Result<Vec<Chat>, ChatError> {
    let pattern = query
        .map(str::trim)
        .filter(|query| !query.is_empty())
        .map(|query| format!("%{}%", query.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")));
    let rows = sqlx::query(
        "SELECT * FROM chat WHERE user_id = ?1 AND (?2 IS NULL OR title LIKE ?2 ESCAPE '\\' OR EXISTS (
             SELECT 1 FROM message WHERE message.chat_id = chat.id AND message.content LIKE ?2 ESCAPE '\\'))
         ORDER BY updated_at DESC, id DESC LIMIT 1000",
    )
    .bind(user.as_str())
    .bind(pattern)
    .fetch_all(app.db.reader())
    .await
    .map_err(DatabaseError::from)?;
    Ok(rows.iter().map(read_chat).collect::<Result<_, _>>().map_err(DatabaseError::from)?)
}

/// A chat and its messages in order.
pub async fn get(app: &App, user: &UserId, chat: Uuid) -> Result<(Chat, Vec<Message>), ChatError> {
    let row = sqlx::query("SELECT * FROM chat WHERE id = ? AND user_id = ?")
        .bind(chat.to_string())
        .bind(user.as_str())
        .fetch_optional(app.db.reader())
        .await
        .map_err(DatabaseError::from)?
        .ok_or(ChatError::NotFound)?;
    let messages = sqlx::query("SELECT * FROM message WHERE chat_id = ? ORDER BY id")
        .bind(chat.to_string())
        .fetch_all(app.db.reader())
        .await
        .map_err(DatabaseError::from)?;
    let messages: Result<Vec<Message>, sqlx::Error> = messages.iter().map(read_message).collect();
    Ok((read_chat(&row).map_err(DatabaseError::from)?, messages.map_err(DatabaseError::from)?))
}

/// One message of one of the user's chats.
pub async fn message(app: &App, user: &UserId, message: Uuid) -> Result<Message, ChatError> {
    let row = sqlx::query(
        "SELECT message.* FROM message JOIN chat ON chat.id = message.chat_id WHERE message.id = ? AND chat.user_id = ?",
    )
    .bind(message.to_string())
    .bind(user.as_str())
    .fetch_optional(app.db.reader())
    .await
    .map_err(DatabaseError::from)?
    .ok_or(ChatError::NotFound)?;
    Ok(read_message(&row).map_err(DatabaseError::from)?)
}

/// Gives a chat another title.
pub async fn rename(app: &App, user: &UserId, chat: Uuid, title: &str) -> Result<(), ChatError> {
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    if title.is_empty() || title.chars().count() > TITLE_LENGTH {
        return Err(ChatError::BadTitle(TITLE_LENGTH));
    }
    let owner = user.clone();
    let renamed = app
        .db
        .write(move |connection| {
            Box::pin(async move {
                let renamed = sqlx::query("UPDATE chat SET title = ? WHERE id = ? AND user_id = ?")
                    .bind(title)
                    .bind(chat.to_string())
                    .bind(owner.as_str())
                    .execute(connection)
                    .await?;
                Ok(renamed.rows_affected() == 1)
            })
        })
        .await?;
    if renamed { Ok(()) } else { Err(ChatError::NotFound) }
}

/// Removes a chat with its messages, and stops an answer being written in it. What it cost stays in the ledger.
pub async fn remove(app: &App, user: &UserId, chat: Uuid) -> Result<(), ChatError> {
    let owner = user.clone();
    let removed = app
        .db
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
    app.answers.stop_chat(chat);
    Ok(())
}

/// Answers that a former run of the server was writing when it ended will never be finished.
pub(crate) async fn close_interrupted(app: &App) -> Result<(), DatabaseError> {
    app.db
        .write(|connection| {
            Box::pin(async move {
                sqlx::query("UPDATE message SET status = 'failed', error = ? WHERE status = 'streaming'")
                    .bind(super::answer::INTERRUPTED)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        })
        .await
}

/// The title of a chat that begins with this question.
pub(super) fn title_of(question: &str) -> String {
    let words = question.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= TAKEN_LENGTH {
        return words;
    }
    let cut: String = words.chars().take(TAKEN_LENGTH).collect();
    // At a word's end, unless that would leave next to nothing.
    let end = cut.rfind(' ').filter(|end| *end > TAKEN_LENGTH / 2).unwrap_or(cut.len());
    format!("{}…", cut[..end].trim_end_matches([',', ';', ':', '.']))
}

/// Inserts a message.
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
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_is_called_by_the_first_words_of_its_question() {
        assert_eq!(title_of("  Why is\nthe sky blue? "), "Why is the sky blue?");
        let long = "Please explain, in simple words, how a heat pump works and what it costs to run one";
        assert_eq!(title_of(long), "Please explain, in simple words, how a heat pump works and…");
        assert_eq!(title_of(&"ż".repeat(100)), format!("{}…", "ż".repeat(60)));
    }
}
