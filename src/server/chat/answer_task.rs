//! Writes one answer: streams it from the upstream, and saves it as it grows and when it ends.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header, response};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::answer_row::{AnswerRow, AnswerRowEnd};
use super::completions::{CompletionRequest, Completions, Operation};
use super::failure::AnswerFailure;
use super::failure_code::FailureCode;
use super::live_answer::{AnswerEvent, LiveAnswer};
use super::message::MessageStatus;
use super::metered_body::MeteredBody;
use crate::database::Database;
use crate::models::RequestSize;
use crate::usage::Via;
use crate::user::UserId;
use mai_openrouter::{AnswerEnd, UpstreamErrorBody, plain_body};

/// Interval between two saves of a growing answer.
const SAVE_INTERVAL: Duration = Duration::from_millis(500);
/// Longest wait for the save of an end at shutdown.
const CLOSING_PATIENCE: Duration = Duration::from_secs(2);
/// Longest text of an answer, in bytes; more than any model writes in one.
const LONGEST_TEXT: usize = 1 << 20;
/// Tokens that models add for each message.
const MESSAGE_TOKENS: usize = 16;
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
    /// The row of the ledger, once there is one.
    pub(super) generation: OnceLock<String>,
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
        self.save_end(AnswerRowEnd { status, failure, at: Timestamp::now().as_millisecond() }, cut_off).await;
        self.live.end(end);
    }

    async fn write(&self, history: Vec<(String, String)>) -> AnswerEvent {
        let bytes = history.iter().map(|(role, content)| role.len() + content.len() + MESSAGE_TOKENS).sum::<usize>();
        let mut size = RequestSize { bytes: bytes as u64, choices: 1, ..RequestSize::default() };
        size.answer = self.completions.longest_affordable_answer(&self.user, &self.model, &size).await;
        let messages: Vec<Value> =
            history.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect();
        let mut body = json!({
            "model": self.model,
            "stream": true,
            // OpenRouter reports usage anyway; others only on request.
            "stream_options": { "include_usage": true },
            "user": self.completions.upstream_user(&self.user),
            "messages": messages,
        });
        if let Some(tokens) = size.answer {
            body["max_completion_tokens"] = tokens.into();
        }
        let request = CompletionRequest {
            operation: Operation::Chat,
            user: &self.user,
            key: None,
            model: &self.model,
            fallbacks: &[],
            streamed: true,
            via: Via::Page,
            chat: Some(self.chat),
            size,
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
            self.generation.set(entry.to_owned()).ok();
            self.save_text();
        }
        self.read(body).await
    }

    async fn read(&self, mut body: MeteredBody) -> AnswerEvent {
        let mut saved = Instant::now();
        let mut room = LONGEST_TEXT;
        loop {
            let frame = body.frame().await;
            let text = body.take_text();
            if text.len() > room {
                self.live.push(&text[..text.floor_char_boundary(room)]);
                // Dropping the body has the upstream stop; what it charged is looked up.
                return AnswerEvent::Failed(AnswerFailure::new(FailureCode::TextLimit));
            }
            if !text.is_empty() {
                room -= text.len();
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
            end => AnswerEvent::Failed(AnswerFailure::from_end(end, room < LONGEST_TEXT, body.base_url())),
        }
    }

    /// Saves the text so far, without waiting for it.
    fn save_text(&self) {
        self.db.enqueue(self.row(None));
    }

    /// Saves the end and waits until it is written, however long the database is locked; at
    /// shutdown not for long.
    async fn save_end(&self, end: AnswerRowEnd, cut_off: &CancellationToken) {
        let row = self.row(Some(end));
        let mut written = row.written.subscribe();
        self.db.enqueue(row);
        let closing = async {
            cut_off.cancelled().await;
            tokio::time::sleep(CLOSING_PATIENCE).await;
        };
        let is_written = tokio::select! {
            outcome = written.wait_for(|written| *written) => outcome.is_ok(),
            () = closing => false,
        };
        if !is_written {
            tracing::error!(answer = %self.answer, "the end of an answer could not be saved");
        }
    }

    fn row(&self, end: Option<AnswerRowEnd>) -> AnswerRow {
        AnswerRow {
            id: self.answer.to_string(),
            chat: self.chat.to_string(),
            text: self.live.text(),
            generation: self.generation.get().cloned(),
            end,
            written: watch::Sender::new(false),
        }
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
