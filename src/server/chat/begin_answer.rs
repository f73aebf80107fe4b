//! The transaction that begins an answer: it inserts the question and the empty answer.

use sqlx::Row;

use super::message::Message;
use super::store::insert_message;
use super::title;
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// The result of the transaction that begins an answer.
pub(super) enum BeginOutcome {
    NoSuchChat,
    Busy,
    NothingToAnswer,
    /// Both were inserted; the conversation as role and content, the question last.
    History(Vec<(String, String)>),
}

/// Inserts a question, if there is a new one, and an empty answer. Without a new question the last
/// answer is replaced.
pub(super) async fn insert(
    db: &Database,
    owner: &UserId,
    question: Option<Message>,
    answer: &Message,
) -> Result<BeginOutcome, DatabaseError> {
    let (owner, answer) = (owner.clone(), answer.clone());
    db.write(move |connection| Box::pin(async move { insert_in(connection, &owner, question, &answer).await })).await
}

async fn insert_in(
    connection: &mut sqlx::SqliteConnection,
    owner: &UserId,
    question: Option<Message>,
    answer: &Message,
) -> Result<BeginOutcome, DatabaseError> {
    let chat = answer.chat_id.to_string();
    let title: Option<String> = sqlx::query_scalar("SELECT title FROM chat WHERE id = ? AND user_id = ?")
        .bind(&chat)
        .bind(owner.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    let Some(title) = title else { return Ok(BeginOutcome::NoSuchChat) };
    let busy: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM message WHERE chat_id = ? AND status = 'streaming')")
            .bind(&chat)
            .fetch_one(&mut *connection)
            .await?;
    if busy {
        return Ok(BeginOutcome::Busy);
    }
    let title = match &question {
        Some(question) => {
            insert_message(connection, question).await?;
            if title.is_empty() { title::from_question(&question.content) } else { title }
        }
        None => {
            sqlx::query(
                "DELETE FROM message WHERE chat_id = ?1 AND role = 'assistant'
                 AND id > (SELECT max(id) FROM message WHERE chat_id = ?1 AND role = 'user')",
            )
            .bind(&chat)
            .execute(&mut *connection)
            .await?;
            title
        }
    };
    // Some models refuse an empty message.
    let history: Vec<(String, String)> =
        sqlx::query("SELECT role, content FROM message WHERE chat_id = ? AND content <> '' ORDER BY id")
            .bind(&chat)
            .fetch_all(&mut *connection)
            .await?
            .iter()
            .map(|row| Ok((row.try_get("role")?, row.try_get("content")?)))
            .collect::<Result<_, sqlx::Error>>()?;
    if history.last().is_none_or(|(role, _)| role != "user") {
        return Ok(BeginOutcome::NothingToAnswer);
    }
    insert_message(connection, answer).await?;
    sqlx::query("UPDATE chat SET title = ?, model = ?, updated_at = ? WHERE id = ?")
        .bind(title)
        .bind(&answer.model)
        .bind(answer.created_at.as_millisecond())
        .bind(&chat)
        .execute(connection)
        .await?;
    Ok(BeginOutcome::History(history))
}
