//! Chats and messages, and their rows.

use jiff::Timestamp;
use serde::Serialize;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::failure::AnswerFailure;
use mai_openrouter::NanoUsd;

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
    /// The tokens and the price of an answer, once it is in the ledger.
    pub usage: Option<AnswerUsage>,
    /// The time it was created.
    pub created_at: Timestamp,
}

/// The tokens and the price of an answer. What is not known is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AnswerUsage {
    /// Tokens of the question, with what was said before it.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u64>,
    /// Both together.
    pub total_tokens: Option<u64>,
    /// The amount that the client is billed.
    #[serde(rename = "cost_nano_usd")]
    pub price: Option<NanoUsd>,
    /// True while the price may still be told by the upstream.
    #[serde(skip)]
    pub is_open: bool,
}

impl AnswerUsage {
    fn read(row: &SqliteRow) -> Result<Option<Self>, sqlx::Error> {
        if row.try_get::<Option<&str>, _>("generation_row")?.is_none() {
            return Ok(None);
        }
        let count = |name| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(name)?.map(i64::unsigned_abs));
        Ok(Some(Self {
            prompt_tokens: count("prompt_tokens")?,
            completion_tokens: count("completion_tokens")?,
            total_tokens: count("total_tokens")?,
            price: row.try_get::<Option<i64>, _>("price_nano_usd")?.map(NanoUsd::new),
            is_open: row.try_get("is_open")?,
        }))
    }
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
            usage: None,
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
        usage: AnswerUsage::read(row)?,
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
