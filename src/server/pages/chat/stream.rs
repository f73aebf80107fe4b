//! `GET /chat/{id}/messages/{message}/stream`: an answer as it is written, from its start, to any
//! number of readers.

use std::{convert::Infallible, pin::Pin, time::Duration};

use axum::{
    extract::{Path, State},
    http::HeaderValue,
    response::{
        Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures::{Stream, StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::parse;
use crate::{
    chat::{AnswerEvent, Answers},
    markdown::LiveMarkdown,
    pages::{error_page::ErrorPage, layout::SignedInVisitor, response},
};

pub(super) async fn stream_answer(
    State(answers): State<Answers>,
    State(closing): State<CancellationToken>,
    SignedInVisitor { layout, user }: SignedInVisitor,
    Path((_, message)): Path<(String, String)>,
) -> Result<Response, ErrorPage> {
    let message = layout.check(parse(&message))?;
    let events = layout.check(answers.follow(&user.id, message).await)?;
    let answer = AnswerStream {
        events: Box::pin(events),
        id: message,
        copy_label: layout.texts.copy(),
        text: String::new(),
        live: LiveMarkdown::default(),
        started: false,
        ended: false,
    };
    let events = stream::unfold(answer, |mut answer| async move {
        answer.next().await.map(|event| (Ok::<_, Infallible>(event), answer))
    })
    // The page joins the answer again after the restart.
    .take_until(async move { closing.cancelled().await });
    let mut response = response::events(Sse::new(events).keep_alive(KeepAlive::default()));
    // A proxy must not buffer what is meant to appear at once.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Interval between two drawings of the open end.
const INTERVAL: Duration = Duration::from_millis(60);

/// The events of an answer for one reader: finished blocks once, the open end again and again.
struct AnswerStream {
    events: Pin<Box<dyn Stream<Item = AnswerEvent> + Send>>,
    id: Uuid,
    copy_label: &'static str,
    text: String,
    live: LiveMarkdown,
    /// True after the first event, which replaces what the page holds, perhaps from an earlier
    /// connection.
    started: bool,
    ended: bool,
}

impl AnswerStream {
    async fn next(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        let first = self.events.next().await;
        self.apply(first);
        let until = Instant::now() + INTERVAL;
        while !self.ended {
            match timeout_at(until, self.events.next()).await {
                Ok(event) => self.apply(event),
                Err(_) => break,
            }
        }
        if self.ended {
            // The page then fetches the saved answer, with its buttons and any problem.
            return Some(Event::default().event("finished").data(""));
        }
        Some(Event::default().data(self.draw()))
    }

    fn apply(&mut self, event: Option<AnswerEvent>) {
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
        if !self.started {
            let finished = finished.unwrap_or_default();
            html.push_str(&format!(
                "<hx-partial hx-target=\"#m-{id}-done\" hx-swap=\"innerHTML\">{finished}</hx-partial>"
            ));
        } else if let Some(finished) = finished {
            html.push_str(&format!(
                "<hx-partial hx-target=\"#m-{id}-done\" hx-swap=\"beforeend\">{finished}</hx-partial>"
            ));
        }
        self.started = true;
        html.push_str(&format!("<hx-partial hx-target=\"#m-{id}-tail\" hx-swap=\"innerHTML\">{tail}</hx-partial>"));
        html
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::chat::AnswerFailure;

    fn answer_stream(events: Vec<AnswerEvent>) -> AnswerStream {
        AnswerStream {
            events: Box::pin(stream::iter(events).chain(stream::pending())),
            id: Uuid::nil(),
            copy_label: "Copy",
            text: String::new(),
            live: LiveMarkdown::default(),
            started: false,
            ended: false,
        }
    }

    #[tokio::test]
    async fn first_event_replaces_the_page_and_later_ones_append() {
        let mut answer = answer_stream(vec![]);
        answer.apply(Some(AnswerEvent::Text("# One\n\nTwo\n\nThr".to_owned())));
        let html = answer.draw();
        let nil = Uuid::nil();
        assert!(
            html.starts_with(&format!("<hx-partial hx-target=\"#m-{nil}-done\" hx-swap=\"innerHTML\"><h1>One</h1>")),
            "{html}"
        );
        assert!(html.contains("-tail\" hx-swap=\"innerHTML\"><p>Two</p>\n<p>Thr</p>"), "{html}");
        answer.apply(Some(AnswerEvent::Text("ee\n\nFo".to_owned())));
        answer.apply(Some(AnswerEvent::Text("ur\n".to_owned())));
        let html = answer.draw();
        assert!(html.contains("-done\" hx-swap=\"beforeend\"><p>Two</p>\n<p>Three</p>"), "{html}");
    }

    #[tokio::test]
    async fn stream_ends_with_one_finished_event() {
        for end in [AnswerEvent::Done, AnswerEvent::Stopped, AnswerEvent::Failed(AnswerFailure::worded("why"))] {
            let mut answer = answer_stream(vec![AnswerEvent::Text("Hi".to_owned()), end]);
            let last = format!("{:?}", answer.next().await.unwrap());
            assert!(last.contains("finished"), "{last}");
            assert!(answer.next().await.is_none());
        }
    }
}
