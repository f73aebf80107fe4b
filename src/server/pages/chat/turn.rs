//! One message as the thread shows it.

use jiff::{SignedDuration, Timestamp};
use mai_openrouter::NanoUsd;

use super::texts::ChatTexts;
use crate::{
    chat::{AnswerUsage, Message, MessageRole, MessageStatus},
    markdown::{Labels, Renderer, SafeHtml},
    pages::layout::{Layout, Notice},
};

/// Time for which an open page asks for the price of an answer; mostly it is known after seconds.
const PRICE_PATIENCE: SignedDuration = SignedDuration::from_mins(10);

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
    /// The tokens and the price, as far as they are known.
    pub(super) usage: Option<String>,
    /// The tokens of the question and those of the answer.
    pub(super) usage_detail: String,
    /// True while the price is worth asking for again.
    pub(super) is_awaited: bool,
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
                usage: message.usage.map(|usage| usage_line(layout, usage)),
                usage_detail: message.usage.map(|usage| usage_detail(layout, usage)).unwrap_or_default(),
                is_awaited: message.usage.is_some_and(|usage| usage.is_open && is_recent(message.created_at)),
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

/// True within [`PRICE_PATIENCE`] of this moment.
fn is_recent(moment: Timestamp) -> bool {
    (SignedDuration::ZERO..PRICE_PATIENCE).contains(&Timestamp::now().duration_since(moment))
}

/// Returns the tokens and the price of an answer. A price of nothing is left out.
fn usage_line(layout: &Layout, usage: AnswerUsage) -> String {
    let t = ChatTexts(layout.locale);
    let both = || usage.prompt_tokens?.checked_add(usage.completion_tokens?);
    let tokens = usage.total_tokens.or_else(both).map(signed);
    let tokens = tokens.map(|tokens| t.tokens(&layout.locale.number(tokens), tokens));
    let price = match usage.price {
        Some(NanoUsd::ZERO) => None,
        Some(price) => Some(layout.locale.usd(price)),
        None if usage.is_open => Some(t.price_unknown_yet().to_owned()),
        None => Some(t.price_unknown().to_owned()),
    };
    tokens.into_iter().chain(price).collect::<Vec<_>>().join(" · ")
}

fn usage_detail(layout: &Layout, usage: AnswerUsage) -> String {
    let (Some(question), Some(answer)) = (usage.prompt_tokens, usage.completion_tokens) else { return String::new() };
    let number = |tokens| layout.locale.number(signed(tokens));
    ChatTexts(layout.locale).tokens_split(&number(question), &number(answer))
}

fn signed(tokens: u64) -> i64 {
    i64::try_from(tokens).unwrap_or(i64::MAX)
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
