//! The transaction that begins an answer: it inserts the question and the empty answer.

use sqlx::Row;
use uuid::Uuid;

use super::message::{Message, id_after};
use super::search;
use super::store::insert_message;
use super::title;
use crate::database::{Database, DatabaseError};
use crate::user::UserId;

/// The result of the transaction that begins an answer.
pub(super) enum BeginOutcome {
    NoSuchChat,
    Busy,
    NothingToAnswer,
    /// Both were inserted.
    Begun {
        /// The conversation as role and content, the question last.
        history: Vec<(String, String)>,
        question: Option<Uuid>,
        answer: Uuid,
    },
}

/// Inserts a question, if there is a new one, and an empty answer, with ids that come after all of
/// the chat. Without a new question the last answer is replaced.
pub(super) async fn insert(
    db: &Database,
    owner: &UserId,
    question: Option<Message>,
    answer: &Message,
) -> Result<BeginOutcome, DatabaseError> {
    let (owner, answer) = (owner.clone(), answer.clone());
    let bytes = question.as_ref().map_or(0, |question| question.content.len());
    db.write_bytes(bytes, move |connection| {
        Box::pin(async move { insert_in(connection, &owner, question, answer).await })
    })
    .await
}

async fn insert_in(
    connection: &mut sqlx::SqliteConnection,
    owner: &UserId,
    mut question: Option<Message>,
    mut answer: Message,
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
    let last: Option<String> = sqlx::query_scalar("SELECT max(id) FROM message WHERE chat_id = ?")
        .bind(&chat)
        .fetch_one(&mut *connection)
        .await?;
    let mut last = last.and_then(|id| id.parse().ok());
    let title = match &mut question {
        Some(question) => {
            question.id = id_after(last);
            last = Some(question.id);
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
    let messages: Vec<(String, String)> =
        sqlx::query("SELECT role, content FROM message WHERE chat_id = ? AND trim(content) <> '' ORDER BY id")
            .bind(&chat)
            .fetch_all(&mut *connection)
            .await?
            .iter()
            .map(|row| Ok((row.try_get("role")?, row.try_get("content")?)))
            .collect::<Result<_, sqlx::Error>>()?;
    let history = alternating(messages);
    if history.last().is_none_or(|(role, _)| role != "user") {
        return Ok(BeginOutcome::NothingToAnswer);
    }
    answer.id = id_after(last);
    insert_message(connection, &answer).await?;
    sqlx::query("UPDATE chat SET title = ?, model = ?, updated_at = max(updated_at, ?) WHERE id = ?")
        .bind(title)
        .bind(&answer.model)
        .bind(answer.created_at.as_millisecond())
        .bind(&chat)
        .execute(&mut *connection)
        .await?;
    search::index(connection, &chat).await;
    Ok(BeginOutcome::Begun { history, question: question.map(|question| question.id), answer: answer.id })
}

/// Stands for an answer that failed or was stopped before its first word.
const NO_ANSWER: &str = "[no answer]";

/// Puts a word between two questions that follow each other, which some models refuse, as they
/// refuse an empty answer.
fn alternating(messages: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut history: Vec<(String, String)> = Vec::with_capacity(messages.len());
    for message in messages {
        let is_question = message.0 == "user";
        if is_question && history.last().is_some_and(|(role, _)| role == "user") {
            history.push(("assistant".to_owned(), NO_ANSWER.to_owned()));
        }
        history.push(message);
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_alternates_between_the_authors() {
        let (user, model) = ("user", "assistant");
        let message = |(role, content): (&str, &str)| (role.to_owned(), content.to_owned());
        for (messages, expected) in [
            (&[(user, "a")][..], &[(user, "a")][..]),
            (&[(user, "a"), (model, "b"), (user, "c")], &[(user, "a"), (model, "b"), (user, "c")]),
            (&[(user, "a"), (user, "b")], &[(user, "a"), (model, NO_ANSWER), (user, "b")]),
            (
                &[(user, "a"), (model, "b"), (user, "c"), (user, "d")],
                &[(user, "a"), (model, "b"), (user, "c"), (model, NO_ANSWER), (user, "d")],
            ),
        ] {
            let history = alternating(messages.iter().copied().map(message).collect());
            assert_eq!(history, expected.iter().copied().map(message).collect::<Vec<_>>());
        }
    }
}
