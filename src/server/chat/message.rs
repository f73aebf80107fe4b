//! Chats and messages, and their rows.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::failure::AnswerFailure;

/// A chat without its messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// Its id, a part of its address.
    pub id: Uuid,
    /// The beginning of the first question, or the owner's title; empty before the first question.
    pub title: String,
    /// The model last asked in it.
    pub model: Option<String>,
    /// The time it was created.
    pub created_at: Timestamp,
    /// The time of its last question or answer.
    pub updated_at: Timestamp,
}

/// The author of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageRole {
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// The state of a message. A question is always [`MessageStatus::Done`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageStatus {
    /// It is being written.
    Streaming,
    /// It is complete.
    Done,
    /// The user stopped it; the text so far is kept.
    Stopped,
    /// It could not be completed; [`Message::failure`] is the reason.
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
    /// Its author.
    pub role: MessageRole,
    /// Markdown as it was written; for an answer being written, the last saved text.
    pub content: String,
    /// The model requested.
    pub model: Option<String>,
    /// Its state.
    pub status: MessageStatus,
    /// The reason it failed.
    pub failure: Option<AnswerFailure>,
    /// The time it was created.
    pub created_at: Timestamp,
}

/// Returns an id that comes after the last one of its chat. The time in it alone would not do: a
/// clock that was set back would put new messages before old ones.
pub(super) fn id_after(last: Option<Uuid>) -> Uuid {
    let new = Uuid::now_v7();
    match last {
        Some(last) if last >= new => Uuid::from_u128(last.as_u128().wrapping_add(1)),
        _ => new,
    }
}

impl Message {
    pub(super) fn new(chat: Uuid, role: MessageRole, content: &str, model: &str, status: MessageStatus) -> Self {
        Self {
            id: Uuid::now_v7(),
            chat_id: chat,
            role,
            content: content.to_owned(),
            model: Some(model.to_owned()),
            status,
            failure: None,
            created_at: Timestamp::now(),
        }
    }
}

fn id(row: &SqliteRow, column: &str) -> Result<Uuid, sqlx::Error> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

fn timestamp(row: &SqliteRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    Timestamp::from_millisecond(row.try_get(column)?).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

pub(super) fn read_chat(row: &SqliteRow) -> Result<Chat, sqlx::Error> {
    Ok(Chat {
        id: id(row, "id")?,
        title: row.try_get("title")?,
        model: row.try_get("model")?,
        created_at: timestamp(row, "created_at")?,
        updated_at: timestamp(row, "updated_at")?,
    })
}

pub(super) fn read_message(row: &SqliteRow) -> Result<Message, sqlx::Error> {
    Ok(Message {
        id: id(row, "id")?,
        chat_id: id(row, "chat_id")?,
        role: if row.try_get::<&str, _>("role")? == "user" { MessageRole::User } else { MessageRole::Assistant },
        content: row.try_get("content")?,
        model: row.try_get("model")?,
        status: MessageStatus::from_column(row.try_get("status")?),
        failure: AnswerFailure::from_row(row)?,
        created_at: timestamp(row, "created_at")?,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn id_comes_after_the_last_one_of_its_chat() {
        let now = Uuid::now_v7();
        assert!(id_after(None) > now);
        assert!(id_after(Some(now)) > now);
        // A clock that was an hour ahead when the last message came.
        let ahead: Uuid = "7fffffff-ffff-7000-8000-0000000000ff".parse().unwrap();
        assert_eq!(id_after(Some(ahead)).to_string(), "7fffffff-ffff-7000-8000-000000000100");
    }
}
