//! Questions and answers of a chat: asking, asking again, one answer alone, and the stream of one being written.

use std::{convert::Infallible, pin::Pin, time::Duration};

use askama::Template;
use axum::{
    Form,
    extract::{Path, State},
    http::StatusCode,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use super::{
    chat::{Question, not_put, parse, status_of},
    notice::Notice,
    refusal::Refused,
    reply, said,
    shell::{Member, Shell},
};
use crate::{
    App,
    chat::{self, AnswerEvent, ChatError, Message, MessageStatus, Role},
    markdown::{self, LiveMarkdown, SafeHtml},
};

/// One message as the thread shows it.
pub(super) struct Turn {
    pub(super) id: String,
    pub(super) chat: String,
    pub(super) body: Body,
}

/// What a message is.
pub(super) enum Body {
    /// What a person asked, as they wrote it.
    Question(String),
    /// An answer being written, as far as it was saved; a stream brings the rest.
    Writing(SafeHtml),
    /// An answer that ended.
    Answer(Answer),
}

/// An answer that ended, well or not.
pub(super) struct Answer {
    pub(super) html: SafeHtml,
    /// The Markdown, for copying.
    pub(super) source: String,
    pub(super) model: String,
    pub(super) problem: Option<Notice>,
}

impl Turn {
    pub(super) fn new(s: &Shell, message: &Message) -> Self {
        let t = &s.t.chat;
        let rendered = || markdown::render(&message.content, s.t.shell.copy);
        let body = match (message.role, message.status) {
            (Role::User, _) => Body::Question(message.content.clone()),
            (Role::Assistant, MessageStatus::Streaming) => Body::Writing(rendered()),
            (Role::Assistant, status) => Body::Answer(Answer {
                html: rendered(),
                source: message.content.clone(),
                model: message.model.clone().unwrap_or_default(),
                problem: match status {
                    MessageStatus::Stopped => Some(Notice::warn(t.stopped)),
                    MessageStatus::Failed => {
                        let why = message.error.clone().filter(|why| !why.is_empty());
                        Some(Notice::bad(why.unwrap_or_else(|| t.failed_without_reason.to_owned())).titled(t.failed))
                    }
                    MessageStatus::Done | MessageStatus::Streaming => None,
                },
            }),
        };
        Self { id: message.id.to_string(), chat: message.chat_id.to_string(), body }
    }
}

#[derive(Template)]
#[template(path = "turns.html")]
struct Turns<'a> {
    s: &'a Shell,
    turns: Vec<Turn>,
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Problem {
    notice: Notice,
}

/// A problem beside the composer instead of a turn in the thread.
fn beside_the_composer(shell: &Shell, error: ChatError) -> Result<Response, Refused> {
    let Some(sentence) = said::chat(shell.locale, &error) else { return shell.check(Err(error)) };
    let part = reply::page(shell, status_of(&error), &Problem { notice: Notice::bad(sentence) });
    Ok(([("hx-retarget", "#problem"), ("hx-reswap", "innerHTML")], part).into_response())
}

async fn turns(app: &App, shell: &Shell, user: &crate::users::UserId, ids: &[Uuid]) -> Result<Response, Refused> {
    let mut turns = Vec::with_capacity(ids.len());
    for id in ids {
        turns.push(Turn::new(shell, &shell.check(chat::message(app, user, *id).await)?));
    }
    Ok(reply::page(shell, StatusCode::OK, &Turns { s: shell, turns }))
}

/// `POST /chat/{id}/messages`
pub(super) async fn ask(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path(id): Path<String>,
    Form(form): Form<Question>,
) -> Result<Response, Refused> {
    let chat = shell.check(parse(&id))?;
    match chat::send(&app, &user.id, chat, &form.text, &form.model).await {
        Ok(asked) if shell.by_htmx => turns(&app, &shell, &user.id, &[asked.question, asked.answer]).await,
        Ok(_) => Ok(reply::redirect(&format!("/chat/{chat}"))),
        Err(error) if shell.by_htmx => beside_the_composer(&shell, error),
        Err(error) => not_put(&app, &shell, &user, Some(chat), form, error).await,
    }
}

#[derive(Deserialize)]
pub(super) struct Again {
    #[serde(default)]
    model: String,
}

/// `POST /chat/{id}/messages/{message}/regenerate`: the last question again, with the model chosen now or the same one.
pub(super) async fn regenerate(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path((id, message)): Path<(String, String)>,
    Form(form): Form<Again>,
) -> Result<Response, Refused> {
    let chat = shell.check(parse(&id))?;
    let before = shell.check(chat::message(&app, &user.id, shell.check(parse(&message))?).await)?;
    let model = if form.model.is_empty() { before.model.unwrap_or_default() } else { form.model };
    match chat::regenerate(&app, &user.id, chat, &model).await {
        Ok(answer) if shell.by_htmx => turns(&app, &shell, &user.id, &[answer]).await,
        Ok(_) => Ok(reply::redirect(&format!("/chat/{chat}"))),
        Err(error) if shell.by_htmx => beside_the_composer(&shell, error),
        Err(error) => {
            let form = Question { text: String::new(), model };
            not_put(&app, &shell, &user, Some(chat), form, error).await
        }
    }
}

/// `GET /chat/{id}/messages/{message}`: one message alone; how an answer looks when it has ended.
pub(super) async fn show(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path((id, message)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let message = shell.check(parse(&message))?;
    if shell.by_htmx {
        turns(&app, &shell, &user.id, &[message]).await
    } else {
        Ok(reply::redirect(&format!("/chat/{}#m-{message}", shell.check(parse(&id))?)))
    }
}

/// `GET /chat/{id}/messages/{message}/stream`: the answer as it is written, for whoever comes at any time.
pub(super) async fn stream_answer(
    State(app): State<App>,
    Member { shell, user }: Member,
    Path((_, message)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let message = shell.check(parse(&message))?;
    let events = shell.check(chat::follow(&app, &user.id, message).await)?;
    let telling = Telling {
        events: Box::pin(events),
        id: message,
        copy_label: shell.t.shell.copy,
        text: String::new(),
        live: LiveMarkdown::default(),
        told: false,
        ended: false,
    };
    let closing = app.closing.clone();
    let events = stream::unfold(telling, |mut telling| async move {
        telling.next().await.map(|event| (Ok::<_, Infallible>(event), telling))
    })
    // An answer that is still being written then is joined again after the restart.
    .take_until(async move { closing.cancelled().await });
    let mut response = Sse::new(events).keep_alive(KeepAlive::default()).into_response();
    // Proxies in between must not collect what is meant to appear at once.
    response.headers_mut().insert("x-accel-buffering", axum::http::HeaderValue::from_static("no"));
    Ok(response)
}

/// How often the open end of an answer is drawn again.
const PACE: Duration = Duration::from_millis(60);

/// Tells one reader an answer: finished blocks once, the open end again and again.
struct Telling {
    events: Pin<Box<dyn Stream<Item = AnswerEvent> + Send>>,
    id: Uuid,
    copy_label: &'static str,
    text: String,
    live: LiveMarkdown,
    /// Whether anything was told. The first time replaces what the page had before, which may be from an earlier
    /// connection.
    told: bool,
    ended: bool,
}

impl Telling {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        let first = self.events.next().await;
        self.take(first);
        let until = Instant::now() + PACE;
        while !self.ended {
            match timeout_at(until, self.events.next()).await {
                Ok(event) => self.take(event),
                Err(_) => break,
            }
        }
        if self.ended {
            // The page then fetches the answer as it was saved, with its buttons and, if so, what went wrong.
            return Some(Event::default().event("finished").data(""));
        }
        Some(Event::default().data(self.draw()))
    }

    fn take(&mut self, event: Option<AnswerEvent>) {
        match event {
            Some(AnswerEvent::Text(text)) => self.text.push_str(&text),
            Some(AnswerEvent::Done | AnswerEvent::Stopped | AnswerEvent::Failed(_)) | None => self.ended = true,
        }
    }

    fn draw(&mut self) -> String {
        let finished = self.live.finished(&self.text, self.copy_label);
        let tail = self.live.tail(&self.text, self.copy_label);
        let id = self.id;
        let mut html = String::new();
        if !self.told {
            let finished = finished.unwrap_or_default();
            html.push_str(&format!(
                "<hx-partial hx-target=\"#m-{id}-done\" hx-swap=\"innerHTML\">{finished}</hx-partial>"
            ));
        } else if let Some(finished) = finished {
            html.push_str(&format!(
                "<hx-partial hx-target=\"#m-{id}-done\" hx-swap=\"beforeend\">{finished}</hx-partial>"
            ));
        }
        self.told = true;
        html.push_str(&format!("<hx-partial hx-target=\"#m-{id}-tail\" hx-swap=\"innerHTML\">{tail}</hx-partial>"));
        html
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;

    fn telling(events: Vec<AnswerEvent>) -> Telling {
        Telling {
            events: Box::pin(stream::iter(events).chain(stream::pending())),
            id: Uuid::nil(),
            copy_label: "Copy",
            text: String::new(),
            live: LiveMarkdown::default(),
            told: false,
            ended: false,
        }
    }

    #[tokio::test]
    async fn the_first_piece_replaces_what_the_page_had_and_later_ones_are_added() {
        let mut telling = telling(vec![]);
        telling.take(Some(AnswerEvent::Text("# One\n\nTwo\n\nThr".to_owned())));
        let html = telling.draw();
        let nil = Uuid::nil();
        assert!(
            html.starts_with(&format!("<hx-partial hx-target=\"#m-{nil}-done\" hx-swap=\"innerHTML\"><h1>One</h1>")),
            "{html}"
        );
        assert!(html.contains("-tail\" hx-swap=\"innerHTML\"><p>Two</p>\n<p>Thr</p>"), "{html}");
        telling.take(Some(AnswerEvent::Text("ee\n\nFo".to_owned())));
        telling.take(Some(AnswerEvent::Text("ur\n".to_owned())));
        let html = telling.draw();
        assert!(html.contains("-done\" hx-swap=\"beforeend\"><p>Two</p>\n<p>Three</p>"), "{html}");
    }

    #[tokio::test]
    async fn the_end_is_told_once_and_then_nothing() {
        for end in [AnswerEvent::Done, AnswerEvent::Stopped, AnswerEvent::Failed("why".to_owned())] {
            let mut telling = telling(vec![AnswerEvent::Text("Hi".to_owned()), end]);
            let last = format!("{:?}", telling.next().await.unwrap());
            assert!(last.contains("finished"), "{last}");
            assert!(telling.next().await.is_none());
        }
    }
}
