//! One message as the thread shows it.

use super::texts::ChatTexts;
use crate::{
    chat::{Message, MessageRole, MessageStatus},
    markdown::{Labels, Renderer, SafeHtml},
    pages::layout::{Layout, Notice},
};

/// A message of the thread, drawn by `turn.html`.
pub(super) struct Turn {
    pub(super) id: String,
    pub(super) chat: String,
    pub(super) body: Body,
}

/// The content of a message.
pub(super) enum Body {
    /// A question, as it was written.
    Question(String),
    /// An answer being written, as far as it is saved. A stream brings the rest.
    Streaming(SafeHtml),
    /// An answer that ended.
    Answer(Answer),
}

/// An answer that ended, well or not.
pub(super) struct Answer {
    pub(super) html: SafeHtml,
    /// The Markdown, for copying.
    pub(super) source: String,
    pub(super) model: String,
    pub(super) notice: Option<Notice>,
}

/// Returns the texts within rendered answers.
pub(super) fn labels(layout: &Layout) -> Labels {
    Labels { copy: layout.texts.copy(), plain: ChatTexts(layout.locale).shown_plain() }
}

impl Turn {
    /// Draws a message, and renders it if it is an answer.
    pub(super) async fn new(renderer: &Renderer, layout: &Layout, message: &Message) -> Self {
        let (text, labels) = (&message.content, labels(layout));
        let body = match (message.role, message.status) {
            (MessageRole::User, _) => Body::Question(text.clone()),
            (MessageRole::Assistant, MessageStatus::Streaming) => Body::Streaming(renderer.render(text, labels).await),
            (MessageRole::Assistant, _) => Body::Answer(Answer {
                html: renderer.render_ended(message.id, text, labels).await,
                source: message.content.clone(),
                model: message.model.clone().unwrap_or_default(),
                notice: notice(ChatTexts(layout.locale), message),
            }),
        };
        Self { id: message.id.to_string(), chat: message.chat_id.to_string(), body }
    }

    /// True while the answer is being written.
    pub(super) fn is_streaming(&self) -> bool {
        matches!(self.body, Body::Streaming(_))
    }
}

/// Returns the line below an answer that did not end by itself.
fn notice(t: ChatTexts, message: &Message) -> Option<Notice> {
    match message.status {
        MessageStatus::Done | MessageStatus::Streaming => None,
        MessageStatus::Stopped => Some(Notice::warning(t.stopped())),
        MessageStatus::Failed => {
            let reason = message.failure.as_ref().map(|failure| failure.sentence(t.0));
            let reason = reason.filter(|reason| !reason.is_empty());
            let reason = reason.unwrap_or_else(|| t.failed_without_reason().to_owned());
            if message.failure.as_ref().is_some_and(|failure| failure.code.is_a_remark()) {
                return Some(Notice::warning(reason));
            }
            Some(Notice::problem(reason).with_title(t.failed()))
        }
    }
}
