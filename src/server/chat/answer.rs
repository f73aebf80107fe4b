//! Asking in a stored chat: a task of its own streams the answer, saves it as it grows and goes on when nobody looks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;

use super::completions::{CompletionRequest, MeteredBody, ask, route};
use super::error::ChatError;
use super::live_answers::{AnswerEvent, LiveAnswer};
use super::request::upstream_user;
use super::store::{self, Message, MessageRole, MessageStatus};
use crate::App;
use crate::database::DatabaseError;
use crate::usage::Via;
use crate::users::UserId;
use mai_openrouter::UpstreamErrorBody;
use mai_openrouter::lines::{LineSplitter, event_data};

/// Most characters of a question.
pub const QUESTION_LENGTH: usize = 200_000;
/// How often a growing answer is saved.
const SAVE_EVERY: Duration = Duration::from_millis(500);
/// Of an upstream's error body, this much is read for its words.
const ERROR_CAP: usize = 64 * 1024;
/// At shutdown, answers being written have this long before they are cut.
const ANSWER_GRACE: Duration = Duration::from_secs(5);
/// What is told of an answer that ended with the server.
pub(super) const INTERRUPTED: &str = "The server was restarted while this answer was being written. Please ask again.";

/// A question that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentQuestion {
    /// The message with the question.
    pub question: Uuid,
    /// The message the answer is written to; see [`super::follow`].
    pub answer: Uuid,
}

/// Asks a question in one of the user's chats. Returns when question and empty answer are saved and the model is being
/// asked.
pub async fn send(app: &App, user: &UserId, chat: Uuid, text: &str, model: &str) -> Result<SentQuestion, ChatError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ChatError::Empty);
    }
    if text.chars().count() > QUESTION_LENGTH {
        return Err(ChatError::TooLong(QUESTION_LENGTH));
    }
    let question = message(chat, MessageRole::User, text, model, MessageStatus::Done);
    let answer = begin(app, user, chat, model, Some(question.clone())).await?;
    Ok(SentQuestion { question: question.id, answer })
}

/// Asks the last question of a chat again; the last answer is replaced by a new one.
pub async fn regenerate(app: &App, user: &UserId, chat: Uuid, model: &str) -> Result<Uuid, ChatError> {
    begin(app, user, chat, model, None).await
}

/// Stops an answer being written; what came until now is kept. An answer that has ended stays as it is.
pub async fn stop(app: &App, user: &UserId, answer: Uuid) -> Result<(), ChatError> {
    store::message(app, user, answer).await?;
    if let Some(live) = app.answers.find(answer) {
        live.stop.cancel();
    }
    Ok(())
}

/// Waits a little for answers being written, then cuts them; the database is still open.
pub(crate) async fn close(app: &App) {
    app.answers.tasks.close();
    if tokio::time::timeout(ANSWER_GRACE, app.answers.tasks.wait()).await.is_err() {
        app.cutting.cancel();
        app.answers.tasks.wait().await;
    }
}

fn message(chat: Uuid, role: MessageRole, content: &str, model: &str, status: MessageStatus) -> Message {
    Message {
        id: Uuid::now_v7(),
        chat_id: chat,
        role,
        content: content.to_owned(),
        model: Some(model.to_owned()),
        status,
        error: None,
        created_at: Timestamp::now(),
    }
}

/// What was found and done in the one transaction that begins an answer.
enum BeginOutcome {
    NoSuchChat,
    Busy,
    NothingToAnswer,
    /// The conversation so far, the question last.
    History(Vec<(String, String)>),
}

async fn begin(
    app: &App,
    user: &UserId,
    chat: Uuid,
    model: &str,
    question: Option<Message>,
) -> Result<Uuid, ChatError> {
    // Told now, beside the question, and not later inside an answer.
    route(app, model, &[]).await?;
    let answer = message(chat, MessageRole::Assistant, "", model, MessageStatus::Streaming);
    let (owner, row) = (user.clone(), answer.clone());
    let begun =
        app.db.write(move |connection| Box::pin(async move { enter(connection, &owner, question, &row).await }));
    let history = match begun.await? {
        BeginOutcome::History(history) => history,
        BeginOutcome::NoSuchChat => return Err(ChatError::NotFound),
        BeginOutcome::Busy => return Err(ChatError::Busy),
        BeginOutcome::NothingToAnswer => return Err(ChatError::Empty),
    };
    let writing = AnswerTask {
        app: app.clone(),
        live: app.answers.begin(answer.id, chat),
        user: user.clone(),
        chat,
        answer: answer.id,
        model: model.to_owned(),
    };
    app.answers.tasks.spawn(writing.run(history));
    Ok(answer.id)
}

async fn enter(
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
            store::insert_message(connection, question).await?;
            if title.is_empty() { store::title_of(&question.content) } else { title }
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
    // An answer of which nothing came says nothing, and some models refuse an empty message.
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
    store::insert_message(connection, answer).await?;
    sqlx::query("UPDATE chat SET title = ?, model = ?, updated_at = ? WHERE id = ?")
        .bind(title)
        .bind(&answer.model)
        .bind(answer.created_at.as_millisecond())
        .bind(&chat)
        .execute(connection)
        .await?;
    Ok(BeginOutcome::History(history))
}

/// One answer being written.
struct AnswerTask {
    app: App,
    live: Arc<LiveAnswer>,
    user: UserId,
    chat: Uuid,
    answer: Uuid,
    model: String,
}

impl AnswerTask {
    async fn run(self, history: Vec<(String, String)>) {
        let end = tokio::select! {
            biased;
            () = self.live.stop.cancelled() => AnswerEvent::Stopped,
            () = self.app.cutting.cancelled() => AnswerEvent::Failed(INTERRUPTED.to_owned()),
            end = self.write(history) => end,
        };
        let (status, error) = match &end {
            AnswerEvent::Done => (MessageStatus::Done, None),
            AnswerEvent::Failed(sentence) => (MessageStatus::Failed, Some(sentence.clone())),
            AnswerEvent::Stopped | AnswerEvent::Text(_) => (MessageStatus::Stopped, None),
        };
        if let Err(error) = self.save_end(status, error).await {
            tracing::error!(%error, answer = %self.answer, "an answer could not be saved");
        }
        self.live.end(end);
        self.app.answers.ended(self.answer);
    }

    async fn write(&self, history: Vec<(String, String)>) -> AnswerEvent {
        let messages: Vec<Value> =
            history.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
        let body = json!({
            "model": self.model,
            "stream": true,
            // OpenRouter reports usage anyway; others have to be asked.
            "stream_options": { "include_usage": true },
            "user": upstream_user(&self.app.secret, &self.user),
            "messages": messages,
        });
        let question = CompletionRequest {
            user: &self.user,
            model: &self.model,
            fallbacks: &[],
            streamed: true,
            via: Via::Page,
            chat: Some(self.chat),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()).into(),
        };
        let answer = match ask(&self.app, question).await {
            Ok(answer) => answer,
            Err(error) => return AnswerEvent::Failed(error.to_string()),
        };
        let status = answer.status();
        let mut body = answer.into_body();
        if !status.is_success() {
            return AnswerEvent::Failed(refused(status, &mut body).await);
        }
        if let Some(entry) = body.entry_id() {
            self.note_generation(entry.to_owned());
        }
        self.read(body).await
    }

    async fn read(&self, mut body: MeteredBody) -> AnswerEvent {
        let mut lines = LineSplitter::default();
        let mut seen = Seen::default();
        let mut saved = Instant::now();
        loop {
            let piece = match body.frame().await {
                None => break,
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) => {
                    return AnswerEvent::Failed(
                        "The connection to the AI provider was lost before the answer was complete. Please try again."
                            .to_owned(),
                    );
                }
            };
            lines.feed(&piece, |line| seen.line(line));
            if !seen.text.is_empty() {
                self.live.push(&seen.text);
                seen.text.clear();
            }
            if saved.elapsed() >= SAVE_EVERY {
                saved = Instant::now();
                self.save_so_far();
            }
        }
        match seen.error {
            Some(words) => AnswerEvent::Failed(format!("The AI provider stopped in the middle of the answer: {words}")),
            None => AnswerEvent::Done,
        }
    }

    fn note_generation(&self, generation: String) {
        let answer = self.answer.to_string();
        self.app.db.write_later(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE message SET generation = ? WHERE id = ?")
                    .bind(generation)
                    .bind(answer)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        });
    }

    fn save_so_far(&self) {
        let (text, answer) = (self.live.text(), self.answer.to_string());
        self.app.db.write_later(move |connection| {
            Box::pin(async move {
                sqlx::query("UPDATE message SET content = ? WHERE id = ? AND status = 'streaming'")
                    .bind(text)
                    .bind(answer)
                    .execute(connection)
                    .await?;
                Ok(())
            })
        });
    }

    async fn save_end(&self, status: MessageStatus, error: Option<String>) -> Result<(), DatabaseError> {
        let (text, answer, chat) = (self.live.text(), self.answer.to_string(), self.chat.to_string());
        let now = Timestamp::now().as_millisecond();
        self.app
            .db
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query("UPDATE message SET content = ?, status = ?, error = ? WHERE id = ?")
                        .bind(text)
                        .bind(status.as_str())
                        .bind(error)
                        .bind(answer)
                        .execute(&mut *connection)
                        .await?;
                    sqlx::query("UPDATE chat SET updated_at = ? WHERE id = ?")
                        .bind(now)
                        .bind(chat)
                        .execute(connection)
                        .await?;
                    Ok(())
                })
            })
            .await
    }
}

/// What was read of a stream: the text not yet handed on, and the upstream's words when it failed.
#[derive(Default)]
struct Seen {
    text: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Option<Delta>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<String>,
}

impl Seen {
    fn line(&mut self, line: &[u8]) {
        let Some(chunk) = event_data(line).and_then(|data| serde_json::from_slice::<Chunk>(data).ok()) else { return };
        for choice in chunk.choices {
            if let Some(content) = choice.delta.and_then(|delta| delta.content) {
                self.text.push_str(&content);
            }
        }
        if let Some(error) = chunk.error {
            let body = json!({ "error": error }).to_string();
            self.error = Some(UpstreamErrorBody::parse(StatusCode::BAD_GATEWAY, body.as_bytes()).message);
        }
    }
}

/// Why the upstream refused, and what to do about it.
async fn refused(status: StatusCode, body: &mut MeteredBody) -> String {
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > ERROR_CAP {
            break;
        }
    }
    let words = UpstreamErrorBody::parse(status, &bytes).message;
    let advice = match status.as_u16() {
        401 => "The key is not accepted; an administrator can enter another under Settings → Connection.",
        402 => "The provider account or key has no credit left; an administrator can add some.",
        403 => "The provider does not allow this request.",
        404 => "Please choose another model.",
        408 | 429 | 502 | 503 | 524 | 529 => "Please try again in a moment, or choose another model.",
        400 | 413 | 422 => "Please shorten the conversation, or choose another model.",
        _ => "Please try again.",
    };
    let words = words.trim_end_matches('.');
    format!("The AI provider refused: {words} ({}). {advice}", status.as_u16())
}
