//! Writes one answer: streams it from the upstream, and saves it as it grows and when it ends.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header, response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::completions::{CompletionRequest, Completions, Operation};
use super::failure::AnswerFailure;
use super::failure_code::FailureCode;
use super::live_answer::{AnswerEvent, LiveAnswer};
use super::message::MessageStatus;
use super::metered_body::MeteredBody;
use super::search;
use crate::database::{Database, DatabaseError};
use crate::usage::Via;
use crate::user::UserId;
use mai_openrouter::{AnswerEnd, UpstreamErrorBody, plain_body};

/// Interval between two saves of a growing answer.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// Most bytes read of an upstream's error body.
const ERROR_CAP: usize = 64 * 1024;

/// The task that streams one answer and saves it as it grows.
pub(super) struct AnswerTask {
    pub(super) db: Database,
    pub(super) completions: Completions,
    pub(super) live: Arc<LiveAnswer>,
    pub(super) user: UserId,
    pub(super) chat: Uuid,
    pub(super) answer: Uuid,
    pub(super) model: String,
}

impl AnswerTask {
    /// Runs to the end of the answer, until it is stopped, or until `cut_off` is cancelled.
    pub(super) async fn run(self, history: Vec<(String, String)>, cut_off: &CancellationToken) {
        let end = tokio::select! {
            biased;
            () = self.live.stop.cancelled() => AnswerEvent::Stopped,
            () = cut_off.cancelled() => AnswerEvent::Failed(AnswerFailure::new(FailureCode::Interrupted)),
            end = self.write(history) => end,
        };
        let (status, failure) = match &end {
            AnswerEvent::Done => (MessageStatus::Done, None),
            AnswerEvent::Failed(failure) => (MessageStatus::Failed, Some(failure.clone())),
            AnswerEvent::Stopped | AnswerEvent::Text(_) => (MessageStatus::Stopped, None),
        };
        if let Err(error) = self.save_end(status, failure).await {
            tracing::error!(%error, answer = %self.answer, "the answer could not be saved");
        }
        self.live.end(end);
    }

    async fn write(&self, history: Vec<(String, String)>) -> AnswerEvent {
        let messages: Vec<Value> =
            history.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
        let body = json!({
            "model": self.model,
            "stream": true,
            // OpenRouter reports usage anyway; others only on request.
            "stream_options": { "include_usage": true },
            "user": self.completions.upstream_user(&self.user),
            "messages": messages,
        });
        let request = CompletionRequest {
            operation: Operation::Chat,
            user: &self.user,
            key: None,
            model: &self.model,
            fallbacks: &[],
            streamed: true,
            via: Via::Page,
            chat: Some(self.chat),
            headers: HeaderMap::new(),
            body: Bytes::from(body.to_string()).into(),
        };
        let answer = match self.completions.send(request).await {
            Ok(answer) => answer,
            Err(error) => return AnswerEvent::Failed(error.into()),
        };
        let (head, mut body) = answer.into_parts();
        if head.status.is_redirection() {
            let location = head.headers.get(header::LOCATION).map(|to| String::from_utf8_lossy(to.as_bytes()));
            return AnswerEvent::Failed(AnswerFailure::redirected(body.base_url(), location.as_deref()));
        }
        if !head.status.is_success() {
            return AnswerEvent::Failed(refusal(&head, &mut body).await);
        }
        if let Some(entry) = body.entry_id() {
            self.save_generation_id(entry.to_owned());
        }
        self.read(body).await
    }

    async fn read(&self, mut body: MeteredBody) -> AnswerEvent {
        let mut saved = Instant::now();
        let mut has_text = false;
        loop {
            let frame = body.frame().await;
            let text = body.take_text();
            if !text.is_empty() {
                has_text = true;
                self.live.push(&text);
            }
            match frame {
                None => break,
                Some(Ok(_)) => {}
                Some(Err(error)) => return AnswerEvent::Failed(error.into()),
            }
            if saved.elapsed() >= SAVE_INTERVAL {
                saved = Instant::now();
                self.save_text();
            }
        }
        match body.end() {
            AnswerEnd::Complete => AnswerEvent::Done,
            end => AnswerEvent::Failed(AnswerFailure::from_end(end, has_text, body.base_url())),
        }
    }

    fn save_generation_id(&self, generation: String) {
        let answer = self.answer.to_string();
        self.db.write_later(move |connection| {
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

    fn save_text(&self) {
        let (text, answer) = (self.live.text(), self.answer.to_string());
        self.db.write_later(move |connection| {
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

    async fn save_end(&self, status: MessageStatus, failure: Option<AnswerFailure>) -> Result<(), DatabaseError> {
        let (text, answer, chat) = (self.live.text(), self.answer.to_string(), self.chat.to_string());
        let now = Timestamp::now().as_millisecond();
        let code = failure.as_ref().and_then(|failure| failure.code.as_str());
        let (refusal, words) = failure.map_or((None, None), |failure| (failure.status, failure.words));
        self.db
            .write(move |connection| {
                Box::pin(async move {
                    sqlx::query(
                        "UPDATE message SET content = ?, status = ?, failure = ?, failure_status = ?, failure_words = ?
                         WHERE id = ?",
                    )
                    .bind(text)
                    .bind(status.as_str())
                    .bind(code)
                    .bind(refusal)
                    .bind(words)
                    .bind(&answer)
                    .execute(&mut *connection)
                    .await?;
                    search::index(connection, &answer).await;
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

/// Reads the body of a refusal.
async fn refusal(head: &response::Parts, body: &mut MeteredBody) -> AnswerFailure {
    let mut bytes = BytesMut::new();
    while let Some(Ok(frame)) = body.frame().await {
        bytes.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if bytes.len() > ERROR_CAP {
            break;
        }
    }
    let bytes = plain_body(&head.headers, bytes.freeze(), ERROR_CAP);
    AnswerFailure::refused(Some(head.status.as_u16()), UpstreamErrorBody::parse(head.status, &bytes))
}
